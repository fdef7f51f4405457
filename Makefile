# Every target sets up what it needs in .venv, with pip alone. `make` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help toy test theory check format setup clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

toy: $(VENV)/.base ## the paper's toy cell: table and figure in out/toy (ARGS="--seeds 10" for more)
	$(BIN)/python -m benchmarks.toy $(ARGS)

test: $(VENV)/.dev ## the whole test suite, with coverage
	$(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=90 $(ARGS)

theory: $(VENV)/.dev ## the tests that verify mathematics
	$(BIN)/python -m pytest -m theory $(ARGS)

check: $(VENV)/.dev ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

format: $(VENV)/.dev ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.dev ## the full environment: base and dev

clean: ## remove the environment and the default output
	rm -rf $(VENV) out

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(INSTALL) --editable '.[dev]'
	@touch $@
