# make demo    raw videos in, an evaluated backbone and a page to look at out; ten minutes on a laptop
# make test    the checks and all fast tests; what .ci/run runs
# Needs make, git and Python 3.11 or later; the rest is installed into .venv

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VIDEOS ?=
OUT ?= demo
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# One thread a process: the same numbers on any machine, and tests that do not fight for cores.
QUIET_THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Without ARGS, several processes share the test files; with ARGS, starting them costs too much.
# Files keep their order, so that slow ones do not come last.
PROCESSES := $(if $(ARGS),,-n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder)
# The demo needs no developer tools, and is content with an environment that has them.
READY := $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.run)

.PHONY: help demo test check nightly gpu newest docs format constraints wheel clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 16

demo: $(READY)  ## ingest, train, evaluate, export, report; VIDEOS=folder takes your own, OUT=folder
	@$(BIN)/footage demo $(if $(VIDEOS),"$(VIDEOS)") --out "$(OUT)" $(ARGS)

test: check  ## the checks, then every fast test
	@$(QUIET_THREADS) $(BIN)/python -m pytest -q $(PROCESSES) $(ARGS)

check: .venv/.dev  ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check --quiet . || { echo "error: run make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/lint-imports >.venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }
	@echo "format, lint, types and imports: ok"

nightly: .venv/.dev  ## all tests and all attacks, slow ones too; writes docs/background/reliability.md
	@$(QUIET_THREADS) HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -q -m "not gpu" \
	  --trials benchmarks/reliability/trials.json $(ARGS)
	@$(BIN)/python -m docs.generate

gpu: .venv/.dev  ## the tests that need a CUDA device
	@$(BIN)/python -m pytest -q -m gpu $(ARGS)

newest:  ## the fast tests with the newest releases of all packages, in .newest (gigabytes, slow)
	@$(PYTHON) -m venv .newest
	@.newest/bin/python -m pip --disable-pip-version-check --quiet install --upgrade --upgrade-strategy eager -e '.[dev]'
	@.newest/bin/python -c 'import platform, av, torch; print("Python", platform.python_version(), "torch", torch.__version__, "PyAV", av.__version__)'
	@$(QUIET_THREADS) .newest/bin/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile \
	  --deselect tests/release --deselect tests/docs/test_documents.py $(ARGS)

docs: .venv/.dev  ## write the generated pages, build the site in site/, check the commands in the documents
	@$(QUIET_THREADS) $(BIN)/python -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict
	@$(QUIET_THREADS) $(BIN)/python -m pytest -q tests/docs tests/e2e/test_readme.py $(ARGS)

format: .venv/.dev  ## format the code and fix what ruff can fix
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

constraints: .venv/.dev  ## pin the installed versions of all developer tools in constraints.txt
	@$(BIN)/python -m release.constraints

wheel: .venv/.dev  ## build the sdist and the wheel in dist/, and run every command from the wheel
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation
	@FOOTAGE_DIST=dist $(QUIET_THREADS) $(BIN)/python -m pytest -q -m '' tests/release/test_wheel.py $(ARGS)

clean:  ## remove caches and build products; keeps .venv, demo/ and runs/
	@rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or later is needed, $(PYTHON) is $$("$(PYTHON)" --version 2>&1); try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@"$(PYTHON)" -m venv .venv || { \
	  echo "error: $(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv" >&2; \
	  rm -rf .venv; exit 1; }

# Everything in one pip command: a second one may bring another build of torch.
.venv/.run: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing footage into .venv (once, some minutes)" >&2
	@$(PIP) install -e . -c constraints.txt
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing footage and its developer tools into .venv (once, some minutes)" >&2
	@$(PIP) install -e '.[dev]' -c constraints.txt
	@touch $@
