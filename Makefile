# make run: learn on digits, from nothing but Python.  make test: everything that must hold.  make docs: the docs as a site.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test lint types unit slow docs reference clean

run: $(VENV)/.run
	$(BIN)/incrlearn run recipes/der_digits.yaml

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy tools

# One thread a worker: two workers on two cores would otherwise fight over them.
unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -q

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow -q

docs: $(VENV)/.docs
	$(BIN)/zensical build --clean --strict
	@echo "site/index.html reads from disk; its search wants a server: $(BIN)/python -m http.server --directory site"

# The pages that are written from the code; they are committed.
reference: $(VENV)/.dev
	$(BIN)/python tools/reference.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "incrlearn needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing incrlearn and the ordinary torch build: about two minutes and 5.5 GB the first time"
	$(BIN)/python -m pip install --quiet --editable '.[digits]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing incrlearn and its development tools: about two minutes and 5.5 GB the first time"
	$(BIN)/python -m pip install --quiet --editable '.[digits]' --group dev
	@touch $@

# Docstrings are read from the source: neither torch nor incrlearn is installed for the site.
$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

clean:
	rm -rf $(VENV) site .cache .mypy_cache .pytest_cache .ruff_cache dist build
