# The project's commands. `make help` lists them.
#   TF=current   uses the newest TensorFlow in place of the default 2.17.1
#   DATA=DIR     makes the demo run on a folder of raw KuaiRand-Pure files

PYTHON ?= python3.11
TF ?= default
DATA ?=
RUN ?= runs/demo
PYTEST_ARGS ?= -n 2 --dist loadfile

ifeq ($(TF),default)
VENV := .venv
else
VENV := .venv-$(TF)
endif
LOCK := requirements/$(TF).lock
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo format quick test test-versions test-spark test-onnx benchmark-training lint front-door docs lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## create the environment from the lock file

$(STAMP): $(LOCK)
	@test -f $(LOCK) || { echo "TF=$(TF): must be 'default' or 'current'"; exit 2; }
	@command -v $(PYTHON) >/dev/null || { echo "PYTHON=$(PYTHON) is not on PATH; give one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r $(LOCK) \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(LOCK)
	@touch $@

demo: setup ## data, training, evaluation, export, one REST prediction (DATA=DIR for KuaiRand-Pure)
	$(BIN)/python -m pipelines.run --out $(RUN) $(if $(DATA),--raw $(DATA))

test: setup ## the whole test suite
	$(BIN)/pytest $(PYTEST_ARGS)

quick: setup ## one case of every parameter set, one training, without XLA and other processes
	$(BIN)/pytest --quick -q $(PYTEST_ARGS)

test-versions: setup ## what another TensorFlow may answer otherwise (with TF=current)
	$(BIN)/pytest -m "versions and not spark and not browser and not onnx" $(PYTEST_ARGS)

test-spark: setup ## preparation on Spark: installs PySpark beside the rest; needs Java 17
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements/spark.in
	$(BIN)/pytest -m spark || [ $$? -eq 5 ]  # 5: all skipped, for want of Java

test-onnx: setup ## export to ONNX: installs tf2onnx and ONNX Runtime beside the rest
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements/onnx-export.in -c $(LOCK)
	$(BIN)/pytest -m onnx $(PYTEST_ARGS)

benchmark-training: ## our training beside DeepCTR and torch-rechub, in environments of their own
	$(MAKE) setup
	$(BIN)/python -m benchmarks.training

lint: setup ## ruff and mypy, and whether the front door agrees with the source
	$(BIN)/python -m idefn_tf._front_door --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m docs.key_tables --check

format: setup ## what ruff can put right by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

front-door: setup ## the table and the types of `import idefn_tf`, from the marks in the source
	$(BIN)/python -m idefn_tf._front_door

docs: setup ## the documentation, into build/docs (open build/docs/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lock: setup ## recompile the lock files
	$(BIN)/uv pip compile -q --python-version 3.11 requirements/default.in -o requirements/default.lock
	$(BIN)/uv pip compile -q --python-version 3.11 requirements/current.in -o requirements/current.lock
	$(BIN)/uv pip compile -q --python-version 3.11 requirements/onnx.in -o requirements/onnx.lock

clean: ## remove environments, runs and caches
	rm -rf .venv .venv-* runs .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
