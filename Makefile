# `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
DEMO ?= runs/digits-vinnas-seed0
RUN := $(VENV)/bin/python -m

help:  ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 15

demo: $(VENV)/installed  ## Set up, then search, train and export a network for the digits.
	$(RUN) vinnas_tf.search --run_dir=$(DEMO)
	$(RUN) vinnas_tf.train --run_dir=$(DEMO)
	$(RUN) vinnas_tf.export --run_dir=$(DEMO)

test: $(VENV)/installed  ## Set up, then run the tests.
	$(RUN) pytest

lint: $(VENV)/installed  ## Set up, then check style and types.
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

wheel: $(VENV)/installed  ## Build dist/vinnas_tf-*.whl.
	rm -rf build  # setuptools would take modules that are gone from it.
	$(RUN) build --wheel --no-isolation

# The marker is newer than the pins exactly when they are installed.
$(VENV)/installed: requirements.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=...' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --requirement requirements.txt
	touch $@

.PHONY: help demo test lint wheel
