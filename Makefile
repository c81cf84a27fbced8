# Everything a new machine with Python, git and make needs:
#   make demo   the small world: two trainings are watched, the hopeless one is stopped
#   make test   lint, types and all tests, as CI runs them; WORKERS=4 shares the tests among so many processes (0: none)
#   make cover  the same tests, and which lines none of them runs
#   make bench  what it costs, measured against its budgets; QUICK=1 only shows that every benchmark works
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A file's tests stay in one process, which makes its costly fixtures once; files start in the order of tests/conftest.py.
# One thread of torch each: threads of several processes would wait for each other on the same cores.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: install tools demo test check lint types unit cover bench clean
install: $(STAMP)

# The environment is made anew when what it should hold has changed.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $(STAMP)

# systemd-analyze checks the units; without it, and without the right to install it, those tests are skipped.
tools:
	@command -v systemd-analyze >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	       && apt-get install -y -qq --no-install-recommends systemd >/dev/null; } \
	  || echo 'systemd-analyze is not here: the tests of the systemd units will be skipped'

demo: install
	$(BIN)/watcher demo

check: lint types

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

unit: install
	$(PYTEST) -m 'not slow'

test: install tools check
	$(PYTEST)

# The same tests, slower, and which lines none of them runs.
cover: install tools
	$(PYTEST) --cov --cov-report=term

# Some of it takes minutes, and the figures need a machine that does nothing else.
bench: install
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache dist
