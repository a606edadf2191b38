# `make demo` and `make test` do all their own set-up: they need Python >= 3.11 with venv, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.installed
READY_TEST := $(VENV)/.installed-test
JOBS ?= 2

.PHONY: demo test test-all mutants lint docs bench samples clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing stn and torch into $(VENV) (a few minutes the first time) ..."
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(READY_TEST): $(READY)
	$(PIP) install --quiet -c constraints.txt --group test
	@touch $@

demo: $(READY)
	@$(BIN)/python samples/demo.py

# The fast suite, measured: too little of the code run by it is a failure too.
test: $(READY_TEST) lint
	$(BIN)/python -m pytest -n $(JOBS) --cov=stn_cli --cov-report=json:.coverage.json
	$(BIN)/python tests/coverage_floor.py .coverage.json

test-all: $(READY_TEST) lint
	$(BIN)/python -m pytest -n $(JOBS) -m "slow or not slow"

# Changes core/ line by line and sees whether a test notices: half an hour. `mutmut show NAME` shows a survivor.
mutants: $(READY_TEST)
	$(PIP) install --quiet -c constraints.txt --group mutants
	$(BIN)/mutmut run --max-children $(JOBS)
	$(BIN)/mutmut results

lint: $(READY_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY_TEST)
	$(BIN)/python docs/make_reference.py

samples: $(READY)
	$(BIN)/python samples/make_samples.py

# Each of these prints a table of docs/performance.md again; run it on a quiet machine.
bench: $(READY_TEST)
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.kernel
	$(BIN)/python -m tests.benchmarks.codecs
	$(BIN)/python -m tests.benchmarks.folder

clean:
	rm -rf $(VENV) out mutants .pytest_cache .ruff_cache .hypothesis
