PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := --universal --python-version 3.11 --upgrade --no-header --no-annotate --no-emit-index-url --quiet

.PHONY: run test test-failures test-firebase test-ministack test-stand-ins test-web aws bench lint lock

run: $(VENV)/.run
	$(BIN)/python main.py

# A file's tests stay together, in one of three processes: much of what they do is wait.
test: $(VENV)/.dev lint
	$(BIN)/pytest --numprocesses 3 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The aws backend on MiniStack, a stand-in for AWS that needs no Docker; its state is kept in data/ministack.
aws: $(VENV)/.run $(VENV)-ministack/.ready
	exec env BACKEND=aws ENVIRONMENT=development $(BIN)/python -m infra.beside --port 4566 --keep data/ministack ministack \
	  sh -c '$(BIN)/python infra/deploy.py && exec sh infra/api_and_worker.sh $(BIN)/python'

STAND_IN_TESTS := tests/contracts tests/infra tests/api

# What holds for moto's server, on two stand-ins that are stricter. LOCALSTACK_URL names one that runs already.
test-stand-ins: test-ministack test-failures
	$(BIN)/python -m infra.beside localstack $(BIN)/pytest $(STAND_IN_TESTS)

test-ministack: $(VENV)/.dev $(VENV)-ministack/.ready
	$(BIN)/python -m infra.beside --check-signatures ministack $(BIN)/pytest $(STAND_IN_TESTS)

# Workers that are killed, and dependencies that fail: it takes some minutes.
test-failures: $(VENV)/.dev $(VENV)-ministack/.ready
	$(BIN)/python -m infra.beside --check-signatures ministack \
	  $(BIN)/pytest tests/acceptance/test_worker.py tests/acceptance/test_outages.py tests/acceptance/test_deletion.py

bench: $(VENV)/.dev $(VENV)-ministack/.ready bench/node_modules/.package-lock.json
	$(BIN)/python -m bench.presigning
	$(BIN)/python -m bench.rendering
	$(BIN)/python -m infra.beside ministack sh -c '$(BIN)/python -m bench.uploads && $(BIN)/python -m bench.listing && $(BIN)/python -m bench.memory'

lock: $(VENV)/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile $(LOCK) --constraint requirements.txt requirements-dev.in --output-file requirements-dev.txt

# Against the Firebase Auth emulator, in a browser too; needs what test-web needs.
test-firebase: $(VENV)/.dev tests/firebase/node_modules/.package-lock.json tests/web/node_modules/.package-lock.json
	cd tests/firebase && PATH="$$PWD/node_modules/.bin:$$PATH" firebase emulators:exec --only auth --project demo-images \
	  "cd ../.. && $(BIN)/pytest tests/firebase tests/contracts/test_accounts.py && node --test tests/web/firebase.test.mjs"

# The gallery page in a browser, on both backends; needs Debian's chromium (or CHROMIUM=…) and Node 20 or newer.
test-web: $(VENV)/.dev $(VENV)-ministack/.ready tests/web/node_modules/.package-lock.json
	$(BIN)/python -m infra.beside --check-signatures ministack sh -c '$(BIN)/python infra/deploy.py && npm test --prefix tests/web'

tests/firebase/node_modules/.package-lock.json: tests/firebase/package-lock.json
	npm ci --no-audit --no-fund --prefix tests/firebase

# Each stamp says that what its requirements file names is installed: nothing is asked of the network again.
$(VENV)/.run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)-ministack/.ready: infra/requirements-ministack.txt
	test -x $(VENV)-ministack/bin/python || $(PYTHON) -m venv $(VENV)-ministack
	$(VENV)-ministack/bin/pip install --quiet --disable-pip-version-check -r infra/requirements-ministack.txt
	touch $@

bench/node_modules/.package-lock.json: bench/package-lock.json
	npm ci --no-audit --no-fund --prefix bench

tests/web/node_modules/.package-lock.json: tests/web/package-lock.json
	npm ci --no-audit --no-fund --prefix tests/web
