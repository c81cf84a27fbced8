# Everything a new machine with Python, git and make needs:
#   make demo   the small world: two trainings are watched, the hopeless one is stopped
#   make test   lint, types and all tests, as CI runs them
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check lint types unit clean
install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(STAMP)

demo: install
	$(BIN)/watcher demo

check: lint types

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

unit: install
	$(BIN)/python -m pytest -m 'not slow'

test: install check
	$(BIN)/python -m pytest --cov --cov-report=term

clean:
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache dist
