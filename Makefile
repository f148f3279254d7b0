# Coalesce: learn to make GPUs fast, with or without a GPU.
#
#   make start    set up, and open the course in JupyterLab
#   make test     set up, and run every check
#
# Both need only Linux on x86-64, python3 (3.11 to 3.14) and make. See README.md.

# The first Python that fits; `make PYTHON=...` names another.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$name && break; \
	done)
endif
# None: let set-up, which any python3 can read, say what is missing.
PYTHON := $(or $(PYTHON),python3)
VENV := .venv/bin/python
# Options for JupyterLab:  make start ARGS="--no-browser --port 8890"
ARGS ?=
# Processes that run the tests: one for each core, unless said otherwise.
JOBS ?= logical
ROOT_USER := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help start test setup routines lint types generated unit format generate constraints clean

help:
	@echo "make start        set up .venv and open the course in JupyterLab"
	@echo "make test         set up .venv and run lint, types, checks of generated files, tests"
	@echo "make setup        set up .venv only"
	@echo "make routines     compile the software GPU's own routines, which start and test do"
	@echo "make lint | types | generated | unit     one part of make test"
	@echo "make format       format and fix what ruff can"
	@echo "make generate     write generated files anew: labs, environment.yml, tables in emulator/README.md"
	@echo "make constraints  pin the newest versions of all dependencies in constraints.txt"
	@echo "make clean        remove .venv and caches"

setup:
	@command -v $(PYTHON) >/dev/null || { \
		echo "Coalesce needs Python 3.11 to 3.14, and '$(PYTHON)' was not found."; \
		echo "Install it (Debian, Ubuntu: sudo apt install python3), then run this again."; exit 1; }
	@$(PYTHON) tools/set_up.py

# Half a minute once, and none in the middle of a lesson or in each process that runs tests.
routines: setup
	@$(VENV) -m emulator.prepare

start: routines
	@$(VENV) -m jupyterlab $(ROOT_USER) --log-level=WARN --ServerApp.root_dir="$(CURDIR)" \
		--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(ARGS)

test: lint types generated unit

lint: setup
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .

types: setup
	$(VENV) -m mypy

generated: setup
	$(VENV) tools/conda_environment.py --check
	$(VENV) -m grader make-labs --check

unit: routines
	$(VENV) -m pytest -n $(JOBS)

format: setup
	$(VENV) -m ruff check --fix .
	$(VENV) -m ruff format .

generate: setup
	$(VENV) tools/conda_environment.py
	$(VENV) -m grader make-labs
	$(VENV) -m emulator.isa --write
	$(VENV) -m benchmarks.approximate --write

constraints: setup
	$(VENV) tools/resolve_constraints.py
	$(VENV) tools/conda_environment.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
