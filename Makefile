# `make` alone lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
METHOD ?= vinnas
DEMO ?= runs/digits-$(METHOD)-seed0
RUN := $(VENV)/bin/python -m

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed  ## Set up, then search, train and export a network for the digits (METHOD=...).
	$(RUN) vinnas_tf --method=$(METHOD) --run_dir=$(DEMO)

# A process a core; tests/conftest.py says which tests stay together.
TESTS := pytest --numprocesses=logical --dist=loadfile --no-loadscope-reorder

test: $(VENV)/installed  ## Set up, then run the tests.
	$(RUN) $(TESTS)

coverage: $(VENV)/installed  ## Set up, then run the tests and tell which lines they leave out.
	$(RUN) $(TESTS) --cov --cov-report=term-missing:skip-covered

format: $(VENV)/installed  ## Set up, then mend style where ruff can.
	$(RUN) ruff check --fix
	$(RUN) ruff format

lint: $(VENV)/installed  ## Set up, then check style and types.
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

# pdoc warns of what it can't import or read. It would keep imports from asking which processor this is.
docs: $(VENV)/installed  ## Set up, then write the reference of the API to build/docs.
	rm -rf build/docs
	PDOC_ALLOW_EXEC=1 $(VENV)/bin/python -W error::UserWarning -m pdoc --docformat=google --output-directory=build/docs vinnas_tf

# Fails for a licence that asks of a program that uses the package to be free too.
licences: $(VENV)/installed  ## List the licence of every package that is installed.
	$(RUN) piplicenses --from=mixed --order=license --with-urls --format=markdown --partial-match \
	  --fail-on="GNU General;GNU Affero;GPL-2;GPL-3;AGPL"

wheel: $(VENV)/installed  ## Build dist/vinnas_tf-*.whl.
	rm -rf build  # setuptools would take modules that are gone from it.
	$(RUN) build --wheel --no-isolation

# The marker is newer than the pins exactly when they are installed.
$(VENV)/installed: requirements.txt
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=...' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --requirement requirements.txt
	touch $@

.PHONY: help demo test coverage format lint docs licences wheel
