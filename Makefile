# The few commands of this project. The first call makes .venv and installs everything into it; later calls are quick.
# On a machine whose python3 is older than 3.11: make test PYTHON=/path/to/python3.11

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test check lint types contract soak docs clean

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) ## make .venv and install streambridge with its tools

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "streambridge needs Python 3.11 or newer; type: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV): a virtual environment with torch, transformers and PyAV, about 1.3 GB, a few minutes once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: $(READY) ## watch a made video of three minutes: questions, spoken-up answers, expected beside heard
	@echo "demo: the embedded tiny model watches a rendered video (no GPU, no key, no download)"
	@$(BIN)/streambridge demo

test: $(READY) ## run the tests (two cores: some minutes)
	@echo "test: the promises, without those marked slow or gpu; the full counts run with: make soak"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

check: lint types contract test ## everything that must hold before a commit

lint: $(READY)
	@echo "lint: ruff"
	@$(BIN)/ruff check .

types: $(READY)
	@echo "types: mypy --strict on src"
	@$(BIN)/mypy

contract: $(READY)
	@echo "contract: who may import whom"
	@$(BIN)/lint-imports --no-cache

soak: $(READY) ## the full counts and the long runs (an hour or more); write the figures into log/
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow --timeout 7200

docs: $(READY) ## write docs/program.md, every verb and option, from the program itself
	@$(BIN)/python -m typer --app app streambridge.cli utils docs --name streambridge --output docs/program.md

clean: ## remove what the commands above made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
