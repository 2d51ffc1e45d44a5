# Needs Python 3.11 or newer (with its venv module), make and git. Everything else goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Newer than the files it is made from: the environment is up to date.
STAMP := $(VENV)/.up-to-date

.PHONY: help venv demo lint test test-agents bench reference clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

venv: $(STAMP) ## Make or refresh the environment in .venv (PYTHON=python3.12 chooses its Python)

$(STAMP): pyproject.toml constraints.txt tools/make_venv.sh
	@PYTHON="$(PYTHON)" bash tools/make_venv.sh $(VENV)
	@touch $@

demo: $(STAMP) ## Run the nightly dependency upgrade on a clone of this project; AGENT=claude: with Claude Code
	@$(BIN)/python tools/demo.py $(AGENT)

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=dags/examples $(BIN)/mypy -p nightly_upgrade
	MYPYPATH=dags/examples $(BIN)/mypy tools/demo.py tools/demo_agent.py tools/agents.py tools/make_reference.py tools/terminal_svg.py

test: lint ## All checks and tests; ARGS="-k name" goes to pytest
	$(BIN)/python tools/agents.py install claude codex
	$(BIN)/python -m pytest -m "not more_agents" $(ARGS)

test-agents: $(STAMP) ## The same tests with Kimi, OpenCode and Aider; 2 GB more to install, with older versions of the others
	$(BIN)/python tools/agents.py install kimi opencode aider claude@2.1.197 codex@0.150.0
	$(BIN)/python -m pytest -m more_agents $(ARGS)

bench: $(STAMP) ## Measure against plain Airflow and dag-factory; writes docs/benchmarks.md
	$(BIN)/python tests/benchmarks/run.py $(ARGS)

reference: $(STAMP) ## Write docs/reference anew, from the code
	$(BIN)/python tools/make_reference.py

clean: ## Remove .venv, caches and the demo's clone. ~/.cis stays
	rm -rf $(VENV) .demo .agents build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
