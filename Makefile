# The two commands of the README. Both need Python 3.11 to 3.13 and make, and the Python package index.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint
demo: .venv/installed
	$(BIN)/nstd demo demo

# Most tests wait for the disk or for a clock, so that four at once suit two cores.
test: .venv/installed
	$(BIN)/pytest --numprocesses 4 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# pip learned dependency groups in 25.1.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
