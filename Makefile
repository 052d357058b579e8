# Every target sets up what it needs in .venv; PYTHON chooses the interpreter the venv is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check lint types imports format bench fuzz chaos nightly clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP) ## index the standard library through warm workers, and show the result
	@$(BIN)/python examples/stdlib-index/demo.py

test: $(STAMP) ## all tests but the long ones (under five minutes)
	@$(BIN)/python -m pytest -m 'not long' -n 3 --dist loadscope

test-long: $(STAMP) ## crash, power-cut, chaos and load runs
	@$(BIN)/python -m pytest -m long

check: lint types imports ## lint, strict types, and the direction of imports

lint: $(STAMP) ## ruff, code and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

imports: $(STAMP) ## import-linter: imports point down only
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## rewrite the code the way `make lint` wants it
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(STAMP) ## measure speed, beside the bare pipe, GNU parallel and xargs of the same run (ARGS=--help)
	@$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(STAMP) ## the two line protocols against arbitrary bytes, for longer than the tests do
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/fuzz -q

chaos: $(STAMP) ## workers that do everything wrong at random, ten minutes or 200,000 jobs (ARGS=--help)
	@$(BIN)/python -m tests.chaos $(ARGS)

nightly: $(STAMP) ## the stores and the feeder against their models, for tens of thousands of steps
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest tests/store/test_state_machine.py tests/pool/test_any_sequence.py tests/core -q -n 3

clean: ## remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
