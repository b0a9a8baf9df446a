# `make demo` and `make test` do all set-up: Python 3.11–3.13, make and a package index are enough.
#   make test PYTHON=/path/to/python3.12      another interpreter for a new environment
#   make test VENV=.venv311                   another environment beside the first
#   make test ARGS="-k splits"                more arguments for pytest
#   make test JOBS=0                          in one process; by default two share the files of tests

VENV ?= .venv
PYTHON ?=
ARGS ?=
JOBS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
CHECKED := jaxresp bento datasets tests experiments scripts
UV_VERSION := 0.13.*

# The newest of ours that really runs and can make an environment: a command of that name may be a launcher's stub
# which fails when called, or a Python without ensurepip, or too new.
CHOOSE = for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    >/dev/null 2>&1; then echo "$$candidate"; exit 0; fi; done; \
	echo "make: no usable Python 3.11, 3.12 or 3.13 with venv (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3)); \
	install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1

# Libraries are installed uncompiled (below): a machine that forbids Python to keep what it compiles would compile them in
# every process.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow results lint format types build bento lock upgrade clean distclean
.DELETE_ON_ERROR:

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Done once, and again when the lock or the project file has changed. The lock is complete, so nothing is resolved here
# (pip check says whether that is true), and modules are compiled when first imported: half the time of a plain install.
$(READY): requirements.txt pyproject.toml
	@test -x $(BIN)/python || { python=$$($(CHOOSE)) && "$$python" -m venv $(VENV); }
	@echo "setting up $(VENV) with $$($(BIN)/python --version): a minute or two, once"
	@$(PIP) install --require-hashes --no-deps --no-compile -r requirements.txt
	@$(PIP) install --no-build-isolation --no-deps -e .
	@$(PIP) check
	@touch $@

setup: $(READY)  ## the environment in .venv, from the hashed lock

demo: $(READY)  ## made-up recordings, six small models, the service at http://localhost:3000/ui
	$(BIN)/jaxresp demo $(ARGS)

test: $(READY)  ## the quick tests
	$(PYTEST) -n $(JOBS) --dist loadscope $(ARGS)

test-slow: $(READY)  ## kill loops, full-size runs, packaging, browser, load
	$(PYTEST) -m slow -n $(JOBS) --dist loadscope $(ARGS)

# Each corpus that is not in JAXRESP_RECORDINGS is left out with a sentence; each look at a test stands in the ledger.
EXPERIMENTS := icbhi_official_cycles icbhi_diagnosis sprsound_official kauh_cross_validation transfer
results: $(READY)  ## every experiment whose corpus is here (JAXRESP_RECORDINGS); hours
	set -e; for each in $(EXPERIMENTS); do echo "== $$each"; $(BIN)/python experiments/$$each.py $(ARGS); done

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check $(wildcard $(CHECKED))
	$(BIN)/ruff format --check $(wildcard $(CHECKED))

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix $(wildcard $(CHECKED))
	$(BIN)/ruff format $(wildcard $(CHECKED))

types: $(READY)  ## mypy
	$(BIN)/mypy $(wildcard jaxresp bento datasets)

build: $(READY)  ## the sdist and the wheel, in dist/
	$(BIN)/python -m build --no-isolation

# A folder of its own in dist/ is also what a container is built from: see docs/deploying.md.
bento: $(READY)  ## the Bento of the models in BentoML's store, in dist/
	@mkdir -p dist
	tag=$$($(BIN)/bentoml build --output tag .) && $(BIN)/bentoml export "$${tag#__tag__:}" dist/jaxresp.bento

# Neither file holds a download address. uv lives in an environment of its own: only this target needs it.
# BentoML adds a line without a hash to the Bento's list, so that one is pinned and not hashed.
UV_COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --no-emit-index-url --no-header --python-version 3.11 $(UPGRADE)
# The Space's list keeps the Bento's versions where the Hub's own requirements allow it: uv prefers what stands in the file.
lock:  ## requirements.txt, bento/requirements.txt and bento/space/requirements.txt from pyproject.toml
	@test -x .venv-lock/bin/uv || { python=$$($(CHOOSE)) && "$$python" -m venv .venv-lock; }
	@.venv-lock/bin/python -m pip --quiet --disable-pip-version-check install 'uv==$(UV_VERSION)'
	$(UV_COMPILE) --generate-hashes --extra dev pyproject.toml -o requirements.txt
	$(UV_COMPILE) --no-annotate --extra serve -c requirements.txt pyproject.toml -o bento/requirements.txt
	cp bento/requirements.txt bento/space/requirements.txt
	$(UV_COMPILE) --no-annotate --extra serve pyproject.toml bento/space/requirements.in -o bento/space/requirements.txt

upgrade:  ## lock, with the newest versions that fit
	$(MAKE) lock UPGRADE=--upgrade

clean:  ## caches and builds; the environment stays
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find jaxresp bento datasets tests experiments scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean  ## clean, and the environments
	rm -rf .venv .venv-lock .venv311
