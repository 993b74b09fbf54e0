PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --generate-hashes --quiet

# Told before anything is installed. A virtual environment of an older Python is replaced.
define REQUIRE_PYTHON
import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is required, but this is %s. Name a newer one, for \
example: make run PYTHON=python3.12" % sys.version.split()[0])
endef

.PHONY: run dev aws serverless check check-all lint format test test-acceptance test-clients test-deploy test-emulators test-failures \
  test-firebase test-compose test-ministack test-mutation test-openapi test-generated-clients test-python-client test-scale \
  test-browsers test-exiftool test-renditions test-sdk test-sdk-node test-serverless test-slow test-templates test-uploads test-web test-web-aws sdk-types vendor bench bench-scale \
  lock upgrade audit sbom

run: $(VENV)/.run
	$(BIN)/python -m app serve

# Reloads when the code changes, logs readable text, and has a demo account with some photos. Its data is in data/dev.
dev: export ENVIRONMENT := development
dev: export DATA_DIR := data/dev
dev: export HOST := 127.0.0.1
dev: export PORT ?= 8000
dev: $(VENV)/.run
	$(BIN)/python -m infra.seed_demo http://$(HOST):$(PORT) & \
	  exec $(BIN)/uvicorn main:app --host $(HOST) --port $(PORT) --http app.connections:LimitedProtocol --reload --reload-dir app

# The aws backend on MiniStack, an AWS emulator that needs no Docker. Its state is kept in data/ministack.
aws: $(VENV)/.run $(VENV)-ministack/.ready
	exec env BACKEND=aws ENVIRONMENT=development $(BIN)/python -m infra.with_aws_emulator --port 4566 --keep data/ministack ministack \
	  sh -c '$(BIN)/python infra/deploy.py && exec sh infra/api_and_worker.sh $(BIN)/python'

# The API and the worker as Lambda functions on MiniStack, which runs them without Docker. Its state is kept in
# data/ministack-serverless. It prints how to upload a photo.
serverless: export REGISTRATION ?= open
serverless: $(VENV)/.run $(VENV)-ministack/.ready
	exec $(BIN)/python -m infra.with_aws_emulator --port 4566 --keep data/ministack-serverless ministack \
	  sh -c '$(BIN)/python infra/deploy.py serverless && exec $(BIN)/python -m infra.show_serverless'

# What every change has to pass. It needs no Node, browser or Docker. CI also runs most of the slower suites (.ci/run).
check: lint test test-acceptance

# Every suite. It takes much longer and needs Node 20, Chromium, Docker for LocalStack, and the clients of test-clients.
check-all: check test-exiftool test-slow test-openapi test-generated-clients test-sdk test-python-client test-emulators test-firebase test-web test-web-aws test-browsers \
  test-renditions test-clients test-uploads test-deploy test-compose test-serverless test-templates

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Otherwise pytest rewrites the assertions of all tests again in each process of each run.
test test-acceptance test-slow test-ministack test-failures test-emulators: export PYTHONDONTWRITEBYTECODE :=

# The tests of a file run in the same process, because they share fixtures. There are three processes: most tests wait.
PYTEST_PARALLEL := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev
	$(PYTEST_PARALLEL) --ignore tests/acceptance

# The service and its commands as started processes.
test-acceptance: $(VENV)/.dev
	$(PYTEST_PARALLEL) tests/acceptance

# The tests that are marked as slow, except those of test-failures, and property tests with more examples.
SLOW_SELECTION := slow or hypothesis
test-slow: $(VENV)/.dev
	$(BIN)/pytest -m "$(SLOW_SELECTION)" --hypothesis-profile thorough --ignore tests/generated_clients --ignore tests/resumable \
	  --ignore tests/compose --ignore tests/serverless $(PYTHON_CLIENT_TESTS:%=--ignore tests/python_client/test_%.py) \
	  $(SLOW_IGNORED:%=--ignore %) \
	  $(FAILURE_TESTS:%=--ignore tests/acceptance/test_%.py)

# What exiftool finds in files whose metadata was removed. CI does not install exiftool, so `test-slow` skips this there.
test-exiftool: $(VENV)/.dev
	command -v exiftool >/dev/null || { apt-get update && apt-get install -y --no-install-recommends libimage-exiftool-perl; }
	$(BIN)/pytest -m slow tests/contracts/test_stripping_exiftool.py

EMULATOR_TESTS := tests/contracts tests/infra tests/api

# The tests of the aws backend on two emulators that are stricter than moto. LocalStack runs in Docker, unless
# LOCALSTACK_URL is the URL of a running one, or LOCALSTACK_COMMAND is a command that starts one on the port given as its
# last argument.
test-emulators: test-ministack test-failures
	$(BIN)/python -m infra.with_aws_emulator localstack $(BIN)/pytest $(EMULATOR_TESTS)

test-ministack: $(VENV)/.dev $(VENV)-ministack/.ready
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack $(BIN)/pytest $(EMULATOR_TESTS)

# Processes that are killed, upgraded, restored or have a wrong clock, and dependencies that fail. It takes some minutes.
FAILURE_TESTS := worker webhooks outages deletion skew restore upgrade crash idempotency_after_crash
test-failures: $(VENV)/.dev $(VENV)-ministack/.ready
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack \
	  $(BIN)/pytest -m "" $(FAILURE_TESTS:%=tests/acceptance/test_%.py)

# A reconcile run over a million images that is killed twice, and its memory. It takes about ten minutes.
test-scale: $(VENV)/.dev
	SCALE_IMAGES=1000000 $(BIN)/pytest -m "" -o timeout=14400 --capture=no tests/scale

# The OpenAPI description, in the opinion of a validator and two linters. Needs Node 20.
test-openapi: $(VENV)/.dev tests/openapi/node_modules/.package-lock.json
	$(BIN)/pytest tests/api/test_openapi.py tests/openapi
	$(BIN)/python -m tests.openapi.describe >tests/openapi/openapi.json
	cd tests/openapi && npm test

# Clients that three generators make from the OpenAPI description. Needs Node 20.
test-generated-clients: $(VENV)/.dev tests/generated_clients/node_modules/.package-lock.json
	$(BIN)/pytest -m "" tests/generated_clients

# The TypeScript client, packed and installed as an application installs it, in Node and in a browser, also with the Firebase
# Auth emulator, and the examples. Needs what test-firebase needs.
test-sdk: test-sdk-node $(VENV)-ministack/.ready tests/firebase/node_modules/.package-lock.json \
  tests/web/node_modules/.package-lock.json examples/react/node_modules/.package-lock.json
	cd tests/firebase && PATH="$$PWD/node_modules/.bin:$$PATH" firebase emulators:exec --only auth --project demo-images \
	  "cd ../sdk && node --test firebase.test.mjs examples.test.mjs"
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack \
	  sh -c '$(BIN)/python infra/deploy.py && cd tests/sdk && node --test browser.test.mjs'

# The part of test-sdk that needs only Node 20.
test-sdk-node: $(VENV)/.dev tests/sdk/node_modules/.ready
	cd tests/sdk && node --test package.test.mjs unit.test.mjs readme.test.mjs node.test.mjs

# The types of the TypeScript client, after a change of the API.
SDK := clients/typescript
sdk-types: $(VENV)/.dev $(SDK)/node_modules/.package-lock.json
	$(BIN)/python -m tests.openapi.describe | (cd $(SDK) && npm run --silent generate)

tests/sdk/node_modules/.ready: $(SDK)/node_modules/.package-lock.json $(wildcard $(SDK)/*.json $(SDK)/*.md $(SDK)/src/*.ts)
	rm -rf $(@D)
	mkdir -p $(@D)
	cd $(SDK) && npm pack --silent --pack-destination $(CURDIR)/$(@D)
	npm install --prefix tests/sdk --no-save --no-package-lock --ignore-scripts --prefer-offline $(@D)/*.tgz
	touch $@

# The Python client and its command, which is killed many times, and its package in a new virtual environment.
PYTHON_CLIENT_TESTS := kills package
test-python-client: $(VENV)/.dev
	$(BIN)/pytest -m "" tests/python_client

# Changes significant lines, one at a time, and checks that a test fails. It takes half an hour.
test-mutation: $(VENV)/.dev
	$(BIN)/python -m tests.mutation

# HTTP clients of several languages, directly and through nginx, that receive a response while they are still sending.
# Installs missing clients with apt, which requires root.
CLIENT_PACKAGES := go=golang-go nginx=nginx curl=curl javac=default-jdk-headless
test-clients: $(VENV)/.dev tests/clients/node_modules/.package-lock.json
	missing=$$(for tool in $(CLIENT_PACKAGES); do command -v $${tool%=*} >/dev/null || echo $${tool#*=}; done); \
	  test -z "$$missing" || { apt-get update && apt-get install -y --no-install-recommends $$missing; }
	$(BIN)/python -m tests.clients.matrix

# Real tus clients, whose connections are cut and whose service is killed, on both backends. Needs what test-web needs.
test-uploads: $(VENV)/.dev $(VENV)-ministack/.ready tests/resumable/node_modules/.package-lock.json \
  tests/web/node_modules/.package-lock.json
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack $(BIN)/pytest -m "" tests/resumable

# The Lambda functions on MiniStack, which enforces their roles: requests, jobs, files that arrive, failures and throttling,
# what the roles allow and refuse, and the handlers in a process with a read-only file system.
SERVERLESS_TESTS := tests/serverless
test-serverless: $(VENV)/.lambda $(VENV)-ministack/.ready
	$(BIN)/pytest -m "" $(SERVERLESS_TESTS)

# The CloudFormation templates, in the opinion of two linters.
TEMPLATES := infra/template.yaml infra/serverless.yaml infra/containers.yaml
test-templates: $(VENV)/.dev $(VENV)-templates/.ready
	$(BIN)/cfn-lint $(TEMPLATES)
	$(VENV)-templates/bin/checkov --framework cloudformation --compact --quiet --skip-download --file $(TEMPLATES)

# The samples in deploy/, with the tools that read them. Installs missing tools with apt, which requires root.
DEPLOY_PACKAGES := nginx=nginx caddy=caddy promtool=prometheus systemd-analyze=systemd
test-deploy: $(VENV)/.dev
	missing=$$(for tool in $(DEPLOY_PACKAGES); do command -v $${tool%=*} >/dev/null || echo $${tool#*=}; done); \
	  test -z "$$missing" || { apt-get update && apt-get install -y --no-install-recommends $$missing; }
	$(BIN)/pytest tests/deploy

# docker-compose.yml and the image, while containers are restarted, killed, multiplied and rebuilt. It takes some minutes.
# Needs Docker with Compose 2.24 or newer; without Docker the tests are skipped.
test-compose: $(VENV)/.dev
	$(BIN)/pytest -m "" tests/compose

# With the Firebase Auth emulator, also in a browser. Needs what test-web needs.
test-firebase: $(VENV)/.dev tests/firebase/node_modules/.package-lock.json tests/web/node_modules/.package-lock.json
	cd tests/firebase && PATH="$$PWD/node_modules/.bin:$$PATH" firebase emulators:exec --only auth --project demo-images \
	  "cd ../.. && $(BIN)/pytest tests/firebase tests/contracts/test_accounts.py && node --test tests/web/firebase.test.mjs"

# The gallery page in a browser, on both backends. Needs Debian's chromium (or CHROMIUM=…) and Node 20 or newer.
WEB_TESTS := test
test-web: $(VENV)/.dev $(VENV)-ministack/.ready tests/web/node_modules/.package-lock.json
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack sh -c '$(BIN)/python infra/deploy.py && npm run $(WEB_TESTS) --prefix tests/web'

# The suites that test-web runs on the embedded backend, on the aws backend. Needs what test-web needs.
AWS_WEB_TESTS := gallery keyboard account sharing views details failures
test-web-aws: $(VENV)/.dev $(VENV)-ministack/.ready tests/web/node_modules/.package-lock.json
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack sh -c '$(BIN)/python infra/deploy.py && \
	  BACKEND=aws node --test --test-concurrency=1 $(AWS_WEB_TESTS:%=tests/web/%.test.mjs)'

# The gallery page in Firefox (or FIREFOX=…) and in WebKit. Installs missing browsers with apt, which requires root.
BROWSER_PACKAGES := $(if $(FIREFOX),,firefox-esr=firefox-esr) WebKitWebDriver=webkit2gtk-driver xvfb-run=xvfb xauth=xauth
FIREFOX_TESTS := journey gallery keyboard account sharing views details
test-browsers: $(VENV)/.dev tests/web/node_modules/.package-lock.json
	missing=$$(for tool in $(BROWSER_PACKAGES); do command -v $${tool%=*} >/dev/null || echo $${tool#*=}; done); \
	  test -z "$$missing" || { apt-get update && apt-get install -y --no-install-recommends $$missing; }
	BROWSER=firefox node --test --test-concurrency=1 $(FIREFOX_TESTS:%=tests/web/%.test.mjs)
	xvfb-run -a node --test tests/web/webkit.test.mjs

# A page of 50 images in responsive sizes, in a browser, on both backends. Needs what test-web needs.
test-renditions: $(VENV)/.dev $(VENV)-ministack/.ready tests/web/node_modules/.package-lock.json
	$(BIN)/python -m infra.with_aws_emulator --check-signatures ministack sh -c '$(BIN)/python infra/deploy.py && node --test tests/web/renditions.test.mjs'

# Copies the files of Swagger UI and Redoc, in the versions of tests/openapi/package-lock.json, into the service. Redoc would
# load its logo from another host; without it, Redoc shows none.
VENDOR := app/web/vendor
vendor: tests/openapi/node_modules/.package-lock.json
	mkdir -p $(VENDOR)/swagger-ui $(VENDOR)/redoc
	cd tests/openapi/node_modules && cp swagger-ui-dist/LICENSE swagger-ui-dist/NOTICE swagger-ui-dist/swagger-ui.css \
	  swagger-ui-dist/swagger-ui-bundle.js swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt $(CURDIR)/$(VENDOR)/swagger-ui
	cd tests/openapi/node_modules/redoc && cp LICENSE bundles/redoc.standalone.js.LICENSE.txt $(CURDIR)/$(VENDOR)/redoc
	sed 's,https://cdn.redoc.ly/redoc/logo-mini.svg,data:\,,' tests/openapi/node_modules/redoc/bundles/redoc.standalone.js \
	  >$(VENDOR)/redoc/redoc.standalone.js

# Writes its results to docs/performance.md. It takes about an hour, and needs a machine on which nothing else runs.
bench: $(VENV)/.dev $(VENV)-ministack/.ready bench/node_modules/.package-lock.json
	command -v strace >/dev/null || { apt-get update && apt-get install -y --no-install-recommends strace; }
	for name in presigning startup; do \
	  $(BIN)/python -m bench.report $$name $(BIN)/python -m bench.$$name || exit; done
	for name in rendering fsyncs reconcile; do $(BIN)/python -m bench.$$name || exit; done
	$(BIN)/python -m infra.with_aws_emulator ministack sh -c '$(BIN)/python -m bench.throughput && $(BIN)/python -m bench.pages && \
	  for name in memory account_deletion; do $(BIN)/python -m bench.report $$name $(BIN)/python -m bench.$$name || exit; done'

# What one deployment and one owner can write before DynamoDB refuses, by a model. It takes some minutes.
bench-scale: $(VENV)/.dev
	$(BIN)/python -m bench.scale

# Pins what the *.in files need. Existing pins stay, unless the target is `upgrade`.
lock: $(VENV)/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile $(LOCK) --constraint requirements.txt requirements-dev.in --output-file requirements-dev.txt

# Known vulnerabilities of the pinned versions. Fails if the database of vulnerabilities cannot be reached.
TOOLS := $(VENV)-tools
audit: $(TOOLS)/.ready
	$(TOOLS)/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.txt

# A software bill of materials of the service, in CycloneDX.
sbom: $(TOOLS)/.ready
	$(TOOLS)/bin/cyclonedx-py requirements requirements.txt --output-file sbom.json

# In an environment of their own: their requirements are not those of the service.
$(TOOLS)/.ready:
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1 cyclonedx-bom==7.5.0
	touch $@

upgrade: LOCK += --upgrade
upgrade: lock

# The stamp files record that a requirements file is installed, so that make does not access the network again.
$(VENV)/.run: requirements.txt
	@$(PYTHON) -c '$(REQUIRE_PYTHON)'
	@$(BIN)/python -c '$(REQUIRE_PYTHON)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# The runtime client of AWS, which otherwise only the image of the functions has.
$(VENV)/.lambda: infra/requirements-lambda.txt $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -r infra/requirements-lambda.txt
	touch $@

# In an environment of its own: its requirements are not those of the service.
$(VENV)-templates/.ready: infra/requirements-templates.txt
	test -x $(VENV)-templates/bin/python || $(PYTHON) -m venv $(VENV)-templates
	$(VENV)-templates/bin/pip install --quiet --disable-pip-version-check -r infra/requirements-templates.txt
	touch $@

$(VENV)-ministack/.ready: infra/requirements-ministack.txt
	test -x $(VENV)-ministack/bin/python || $(PYTHON) -m venv $(VENV)-ministack
	$(VENV)-ministack/bin/pip install --quiet --disable-pip-version-check -r infra/requirements-ministack.txt
	touch $@

# No package needs its installation script: they only compile optional parts or report statistics.
%/node_modules/.package-lock.json: %/package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --prefix $*
