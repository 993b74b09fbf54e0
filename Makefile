PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-firebase lint lock

run: $(VENV)/.run
	$(BIN)/python main.py

test: $(VENV)/.dev lint
	$(BIN)/pytest

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Against the Firebase Auth emulator; needs Node 20 or newer.
test-firebase: $(VENV)/.dev tests/firebase/node_modules/.package-lock.json
	cd tests/firebase && PATH="$$PWD/node_modules/.bin:$$PATH" firebase emulators:exec --only auth --project demo-images \
	  "cd ../.. && $(BIN)/pytest tests/firebase tests/contracts/test_accounts.py"

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
