# Each target is a thin call; the first one that needs it makes .venv.
#   make run            the whole chain on the embedded market, then a summary
#   make ui             the Dagster UI on 127.0.0.1 over what was run
#   make test           everything that CI runs
#   make test-all       the slow suites as well
#   make bench [NAME=x] benchmarks: a table, and one JSON line with the bars
#   make check          style, types, import directions, dependencies

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Of the tests; one more than the cores of a small machine, for a worker waits for its disk.
WORKERS ?= 3

.PHONY: run ui test test-all bench check reference

run: .venv/run.stamp
	$(BIN)/quant run $(ARGS)

ui: .venv/run.stamp
	$(BIN)/quant ui

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-all: .venv/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "slow or not slow" $(ARGS)

bench: .venv/dev.stamp
	$(BIN)/python -m quant_platform_tests.bench $(NAME)

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m quant_platform_tests.dependency_audit

reference: .venv/run.stamp
	$(BIN)/quant config schema --write
	$(BIN)/python -m quant_platform.orchestration.register

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.stamp: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
