# A newcomer needs two of these: `make demo` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3.11
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports check-tests unit integration faults docs-check bench-quick wheel hooks format clean
# These start servers and environments of their own, the same over either transport.
TRANSPORT_OF_THEIR_OWN := test_servers.py test_operations.py test_wheel.py
BENCHMARKS = $(sort $(shell grep -l __main__ benchmarks/*.py))

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
	$(BIN)/pytest tests/integration --transport=tcp $(TRANSPORT_OF_THEIR_OWN:%=--ignore tests/integration/%)

unit: .venv/installed-test ## the fast tests: decisions, parsers, models; no servers
	$(BIN)/pytest tests/unit

integration: .venv/installed-test ## the tests that speak to PostgreSQL and Redis
	$(BIN)/pytest tests/integration

faults: .venv/installed-test ## kill workers, lose messages, restart servers
	$(BIN)/pytest tests/faults

docs-check: .venv/installed-test ## what documents and deployment files name exists, and their commands work
	$(BIN)/pytest tests/unit/test_documents.py tests/unit/test_compose.py tests/integration/test_operations.py

bench-quick: .venv/installed-test ## every benchmark in its quick form, two minutes each at most
	@failed=; for program in $(BENCHMARKS); do \
		echo "--- $$program"; $(BIN)/python $$program --quick || failed="$$failed $$program"; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

wheel: .venv/installed-test ## build dist/nightread-….whl
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

hooks: .venv/installed-test ## look at every commit before it is made: ruff, mypy, import rules
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,hooks]'
	$(BIN)/pre-commit install

format: .venv/installed-test ## let ruff put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the virtual environment and what the tests leave; the data folder .nightread stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

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
