# Every chore of the project. Needs python3 (3.11 to 3.13), make and git; the rest comes into .venv from requirements.lock.

PYTHON     ?= python3
PORT       ?= 8400
JOBS       ?= 2
UV_VERSION := 0.13.8

# What is deployed: deploy/Dockerfile and deploy/aws/template.yaml take it from deploy/requirements.lock.
DEPLOYED      := bot bedrock anthropic openai postgres dynamodb objects keys
LAMBDA        ?= build/lambda
LAMBDA_LOCK   ?= deploy/requirements.lock
LAMBDA_PYTHON ?= 3.13
LAMBDA_TAGS   := manylinux1 manylinux2010 manylinux2014 $(patsubst %,manylinux_2_%,$(shell seq 5 28))

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
UV      ?= $(BIN)/uv
PYTEST  := $(BIN)/python -m pytest

# Byte code of the tests is kept, so that collecting them costs a quarter; it lies in folders that git ignores.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install demo test check static unit service docs bench mutants soak reference promises lock lambda clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with all extras and the test tools, from the hashed lock

# The stamp depends on what decides the content of .venv, so an unchanged tree costs nothing.
# Byte code is made here, because each test starts processes and some machines keep them from writing it themselves.
# uv is quicker; where it cannot be had, or knows no index that it can reach, pip installs the same hashed lock.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Stateroom needs Python 3.11 to 3.13; $(PYTHON) is another. Try: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) && ( set -x; \
	  $(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock && \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . ); then :; \
	else \
	  echo "uv $(UV_VERSION) does not reach the packages here (it does not read pip's settings); pip does it, more slowly."; \
	  set -x; $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .; \
	fi
	@$(BIN)/python -m compileall -q src
	@touch $@

demo: install ## a local Slack workspace in the browser with the bot in it (PORT=8400)
	@$(BIN)/stateroom dev --port $(PORT)

# What `check` adds to `static` is in `unit` too, so `test` runs each test once.
test: export STATEROOM_TEST_PROFILE = ci
test: static unit service ## everything that must pass: check, unit tests, service tests

check: static docs ## ruff, mypy --strict, the layer test, the docs tests

static: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	$(PYTEST) -q tests/test_layers.py tests/docs

# They prove nothing about the disk, so they may as well write to memory.
unit: export TMPDIR := $(shell test -w /dev/shm && echo /dev/shm || echo $${TMPDIR:-/tmp})
unit: install ## the tests that need no server, browser or child process
	$(PYTEST) -q -m "not service" -n $(JOBS) --dist worksteal --durations=10

# Whole files go to one worker: what a file starts, it starts once. JOBS=0 runs them in one process.
service: install ## the tests with real servers, browsers and killed processes
	$(PYTEST) -q -m service -n $(JOBS) --dist loadfile --durations=20

bench: install ## measure against the raw limits and the peers (CASES="import ...", ARGS=--write)
	$(BIN)/python -m bench $(CASES) $(ARGS)

mutants: install ## switch each mechanism off and expect its tests red (NAMES="...")
	$(BIN)/python scripts/mutants.py $(NAMES)

soak: export STATEROOM_TEST_PROFILE = soak
soak: install ## the full sizes; hours
	$(PYTEST) --soak --durations=20

reference: install ## make the reference pages (docs/cli.md, settings.md, api.md, turn.md, emulator.md) from the program
	$(BIN)/python scripts/gen_docs.py

# With the full sizes: the table has a row that no shorter run asks for.
promises: install ## run the conformance suite over every engine and write its table into docs/engines.md
	$(PYTEST) -q tests/engines/test_conformance.py -n $(JOBS) --soak --promises docs/engines.md

# Without index addresses, so that the lock says what is installed and never from where.
lock: install ## make requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 $(DEPLOYED:%=--extra %) --constraint requirements.lock \
	  --generate-hashes --no-emit-index-url --no-header pyproject.toml deploy/build.in -o deploy/requirements.lock

# Wheels for Lambda's machine, whatever this one is: by uv, or by pip where uv cannot be had, as in `install`. pip is told
# each tag of a platform that glibc 2.28 runs; it reads the lock's markers for this machine, and they are so that Linux
# and macOS read them alike (tests/deploy).
lambda: install ## make build/lambda, what deploy/aws/template.yaml deploys
	rm -rf $(LAMBDA)
	@if ( set -x; $(UV) pip install --quiet --target $(LAMBDA) --python-platform x86_64-manylinux_2_28 \
	  --python-version $(LAMBDA_PYTHON) --only-binary :all: --require-hashes -r $(LAMBDA_LOCK) && \
	  $(UV) pip install --quiet --target $(LAMBDA) --no-deps . ); then :; \
	else \
	  echo "uv $(UV_VERSION) does not reach the packages here (it does not read pip's settings); pip does it, more slowly."; \
	  set -x; rm -rf $(LAMBDA) && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --target $(LAMBDA) \
	  $(LAMBDA_TAGS:%=--platform %_x86_64) --python-version $(LAMBDA_PYTHON) --implementation cp \
	  --only-binary :all: --require-hashes -r $(LAMBDA_LOCK) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --target $(LAMBDA) --no-deps .; \
	fi

clean: ## remove .venv and all caches; keeps your databases
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
