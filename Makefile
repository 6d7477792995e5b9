# A newcomer needs two of these: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3.11
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports check-tests format clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/installed ## the whole job on a made-up feed (two to three minutes, the second time seconds)
	$(BIN)/nightread demo

test: .venv/installed-test lint types imports check-tests ## everything that CI checks

lint: .venv/installed-test ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-test ## mypy, strict
	$(BIN)/mypy

imports: .venv/installed-test ## which room may import which
	$(BIN)/lint-imports

check-tests: .venv/installed-test ## unit, integration and fault tests on real servers, sockets first, then TCP
	$(BIN)/pytest
	$(BIN)/pytest tests/integration --transport=tcp --ignore tests/integration/test_servers.py

format: .venv/installed-test ## let ruff put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the virtual environment and what the tests leave; the data folder .nightread stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# One environment; the tests add what the product does not need.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv (the first time some minutes) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/installed-test: .venv/installed
	@echo "Installing what the tests need …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@
