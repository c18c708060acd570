# Every target sets up what it needs, and again only when the file that describes it has changed.
# `make help` lists the targets.

PYTHON ?= python3
# AutoTrain's pins need Python 3.11: make AUTOTRAIN_PYTHON=python3.11 where PYTHON is newer.
AUTOTRAIN_PYTHON ?= $(PYTHON)
# Test processes. Tests share no state, so any number works; 0 runs them in one process.
WORKERS ?= 2

SHELL := bash
BIN := .venv/bin
SETUP := .venv/.installed
SETUP_TRAINER := .venv-trainer/.installed
SETUP_AUTOTRAIN := .venv-autotrain/.installed
SETUP_GGUF := .llama.cpp/ready
SETUP_MLFLOW := .venv-mlflow/.installed
SETUP_LANGGRAPH := .venv-langgraph/.installed
SETUP_EXTENSIONS := extensions/node_modules/.installed
SETUP_WORKBENCH := .workbench/.installed
# Where llama.cpp comes from: prebuilt (needs npm, Linux on x86-64) or source (needs a C++ compiler).
LLAMA_CPP_FROM ?= prebuilt

# Two torch processes that fight for the cores are many times slower than two that share them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-trainer setup-autotrain setup-gguf setup-mlflow setup-langgraph-dev setup-extensions setup-workbench client page extension test-extension pictures studio demo test postgres test-slow test-all test-live lint format bench soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 24

setup: $(SETUP) ## make .venv: the orchestrator and the tools to work on it

setup-trainer: $(SETUP_TRAINER) ## make .venv-trainer: the training engine, in an interpreter of its own

setup-autotrain: $(SETUP_AUTOTRAIN) ## make .venv-autotrain: the second engine, which also knows ORPO (Python 3.11)

setup-gguf: $(SETUP_GGUF) ## fetch llama.cpp, which converts to GGUF; LLAMA_CPP_FROM=source builds it

setup-mlflow: $(SETUP_MLFLOW) ## make .venv-mlflow: an MLflow server for the mirror's tests, or to look at

setup-langgraph-dev: $(SETUP_LANGGRAPH) ## make .venv-langgraph: LangGraph's development server, to look into the graph

studio: setup-langgraph-dev ## open the graph in LangGraph's development server (in memory, on loopback)
	.venv-langgraph/bin/langgraph dev --no-browser --allow-blocking --host 127.0.0.1

setup-extensions: $(SETUP_EXTENSIONS) ## fetch what extensions/ is built with (needs npm)

setup-workbench: $(SETUP_WORKBENCH) ## fetch a VS Code that runs in a browser, for the extension's tests (needs npm, chromium)

client: setup setup-extensions ## generate the TypeScript client from the API's OpenAPI document
	@$(BIN)/chef api openapi | (cd extensions && npm run --silent generate)

PAGE := agent_orchestrator/api/page_files
page: setup-extensions ## build the web page that `chef serve` shows, and the editor's views
	@cd extensions && npm run --silent build --workspace @codechef/views
	@rm -rf $(PAGE) && mkdir $(PAGE) && cp extensions/views/dist/* $(PAGE)

extension: page ## build the extension and pack it: extensions/vscode-codechef/dist/*.vsix
	@cd extensions && npm run --silent package --workspace vscode-codechef

GENERATED := extensions/client/src/choices.ts extensions/client/src/schema.ts extensions/vscode-codechef/package.json
test-extension: setup setup-trainer setup-workbench extension ## the tests of extensions/, in a real browser and a real VS Code too
	@before=$$(cksum $(GENERATED)) && { $(MAKE) --no-print-directory client || exit; } && [ "$$before" = "$$(cksum $(GENERATED))" ] \
		|| { echo 'The generated client was not current; `make client` has made it so.'; exit 1; }
	@cd extensions && npm run --silent check && npm run --silent test:browser && npm run --silent test:workbench

pictures: setup setup-trainer setup-workbench extension ## take the documentation's pictures of the page and the editor again
	@cd extensions && CODECHEF_PICTURES=1 npm run --silent test:browser -- evidence
	@cd extensions && CODECHEF_PICTURES=1 npm run --silent test:workbench -- pictures

demo: setup setup-trainer ## the whole loop on this machine: train, evaluate, canary, roll back
	$(BIN)/python support/scripts/demo.py

test: setup setup-trainer ## the tests, offline, and their coverage
	$(PYTEST) -m "not slow" --cov --cov-report=
	@rm -f .coverage.*  # torn data of processes that tests killed; the rest is in .coverage
	$(call coverage_of,agent_orchestrator/domain,--include='agent_orchestrator/domain/*',95)
	$(call coverage_of,the rest,--omit='agent_orchestrator/domain/*$(COMMA)agent_orchestrator/trainer/*',85)

test-slow: setup setup-trainer setup-autotrain setup-gguf setup-mlflow setup-langgraph-dev postgres ## integration and fault tests that take minutes
	$(PYTEST) -m slow

postgres: ## get PostgreSQL for the tests (apt-get, as root); without it those tests are skipped
	@support/scripts/postgres_for_tests.sh install >/dev/null || [ -z "$(CI)" ]

test-all: test test-slow ## every test

# They make data sets, projects and repositories under names of their own and take them away again.
test-live: setup ## the contract tests against the real services whose keys are set; others are skipped
	$(BIN)/python -m pytest --live -m live -v support/tests/contracts

lint: setup ## style, types, import contracts, security
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit --configfile pyproject.toml --severity-level medium --recursive --quiet agent_orchestrator

format: setup ## bring the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

BENCHMARKS := $(sort $(wildcard support/benchmarks/*.py))
bench: setup setup-trainer page ## run every program of support/benchmarks
	@printf 'benchmarks: %s\n' "$(or $(BENCHMARKS),none yet)"
	@set -e; for program in $(BENCHMARKS); do \
		printf '\n== %s\n' "$$program"; PYTHONPATH=support OMP_NUM_THREADS=1 $(BIN)/python "$$program"; done

SOAKS := $(sort $(wildcard support/soak/*.py))
soak: setup ## run every program of support/soak: minutes under load, hundreds of kills
	@set -e; for program in $(SOAKS); do \
		printf '\n== %s\n' "$$program"; PYTHONPATH=support $(BIN)/python "$$program"; done

bench-peers: setup ## make the environments of the peers that router.py compares us with
	$(BIN)/python support/benchmarks/contest/peers.py

clean: ## remove caches and build outputs (environments and .chef stay)
	rm -rf build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache
	find agent_orchestrator support -name __pycache__ -type d -prune -exec rm -rf {} +

$(SETUP): pyproject.toml
	$(call environment,.venv)
	@echo 'Installing the orchestrator into .venv (a minute or two) …'
	@$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

# torch goes first and alone, so that the pin chooses its build. On Linux the index's build may be
# the one for CUDA (gigabytes); PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu avoids it.
# The worker needs our package only to be importable, not what the orchestrator depends on.
TRAINER_REQUIREMENTS := agent_orchestrator/trainer/requirements-trl.txt
$(SETUP_TRAINER): $(TRAINER_REQUIREMENTS)
	$(call environment,.venv-trainer)
	@echo 'Installing the training engine into .venv-trainer (1.3 GB, some minutes) …'
	@.venv-trainer/bin/python -m pip install --quiet "$$(grep '^torch==' $(TRAINER_REQUIREMENTS))"
	@.venv-trainer/bin/python -m pip install --quiet --requirement $(TRAINER_REQUIREMENTS)
	@.venv-trainer/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

AUTOTRAIN_REQUIREMENTS := agent_orchestrator/trainer/requirements-autotrain.txt
AUTOTRAIN_ITSELF := agent_orchestrator/trainer/requirements-autotrain-itself.txt
$(SETUP_AUTOTRAIN): $(AUTOTRAIN_REQUIREMENTS)
	@$(AUTOTRAIN_PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("AutoTrain needs Python 3.11; this is " + sys.version.split()[0] + ". Name one with: make setup-autotrain AUTOTRAIN_PYTHON=/path/to/python3.11")'
	$(call environment,.venv-autotrain,$(AUTOTRAIN_PYTHON))
	@echo 'Installing the AutoTrain engine into .venv-autotrain (1.4 GB, some minutes) …'
	@.venv-autotrain/bin/python -m pip install --quiet "$$(grep '^torch==' $(AUTOTRAIN_REQUIREMENTS))"
	@.venv-autotrain/bin/python -m pip install --quiet --requirement $(AUTOTRAIN_REQUIREMENTS)
	@.venv-autotrain/bin/python -m pip install --quiet --no-deps --requirement $(AUTOTRAIN_ITSELF) --editable .
	@touch $@

$(SETUP_MLFLOW): Makefile
	$(call environment,.venv-mlflow)
	@echo 'Installing an MLflow server into .venv-mlflow (850 MB, some minutes) …'
	@.venv-mlflow/bin/python -m pip install --quiet 'mlflow==3.17.2'
	@touch $@

$(SETUP_LANGGRAPH): pyproject.toml
	$(call environment,.venv-langgraph)
	@echo 'Installing LangGraph'"'"'s development server into .venv-langgraph (530 MB) …'
	@.venv-langgraph/bin/python -m pip install --quiet --editable . 'langgraph-cli[inmem]>=0.4.40,<0.5'
	@touch $@

$(SETUP_EXTENSIONS): extensions/package-lock.json
	@echo 'Fetching what extensions/ is built with (500 MB) …'
	@cd extensions && npm ci --silent
	@touch $@

$(SETUP_WORKBENCH): support/scripts/setup_workbench.sh
	@echo 'Fetching a workbench into .workbench (740 MB, some minutes) …'
	@support/scripts/setup_workbench.sh .workbench
	@touch $@

$(SETUP_GGUF): support/scripts/setup_llama_cpp.py | $(SETUP_TRAINER)
	@.venv-trainer/bin/python $< .llama.cpp $(LLAMA_CPP_FROM)

# $(call environment,folder[,python]): a working virtual environment; one that is cut off or lost its
# interpreter is made anew. Dependency groups need pip 25.1.
define environment
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || { \
		$(or $(2),$(PYTHON)) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("code/chef needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=/path/to/python3.11")' \
		&& echo 'Making $(1) …' && $(or $(2),$(PYTHON)) -m venv --clear $(1); }
	@$(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
endef

# $(call coverage_of,name,selection,floor): fail, with the lines that no test reaches, below floor %.
COMMA := ,
define coverage_of
	@printf 'coverage of %s, at least $(3) %%: ' '$(1)'
	@$(BIN)/coverage report $(2) --format=total --fail-under=$(3) \
		|| { $(BIN)/coverage report $(2); exit 1; }
endef
