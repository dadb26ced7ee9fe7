# `make serve` and `make test` set up all they need in .venv; nothing is written elsewhere.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

.PHONY: serve test soak bench bench-quick bench-curves check format lock clean

serve: .venv/run.stamp ## start the service on http://localhost:8000
	@exec $(BIN)/springfield serve

test: .venv/dev.stamp ## run every test, against real servers
	@$(BIN)/python tests/servers/install.py
	$(BIN)/pytest

soak: .venv/dev.stamp ## load the service for ten minutes (MINUTES=2: two) and see that nothing grows
	@$(BIN)/python -m tests.soak

bench: .venv/peers.stamp ## measure it beside its peers, into docs/benchmarks: about half an hour
	@$(BIN)/python -m benchmarks whole --out docs/benchmarks

bench-quick: .venv/peers.stamp ## the same in two minutes, into .benchmarks
	@$(BIN)/python -m benchmarks quick

bench-curves: .venv/peers.stamp ## cost against sizes, names, workers, idle connections, into .benchmarks
	@$(BIN)/python -m benchmarks curves

check: .venv/dev.stamp ## run the linters, the type checker and the architecture contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp ## let ruff write the code's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: .venv/dev.stamp ## resolve the dependencies anew
	$(LOCK) pyproject.toml requirements/build.in --output-file requirements/run.txt
	$(LOCK) pyproject.toml requirements/build.in --extra otel --constraints requirements/run.txt --output-file requirements/container.txt
	$(LOCK) pyproject.toml requirements/build.in requirements/dev.in --extra curl --extra otel --constraints requirements/run.txt --output-file requirements/dev.txt
	$(LOCK) requirements/bench.in --output-file requirements/bench.txt

clean: ## remove the environment and what the tools left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks dist

.venv/pip.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Springfield needs Python 3.11 or newer and $(PYTHON) is older; name another: make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv; the first time takes about half a minute."
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/run.stamp: .venv/pip.stamp requirements/run.txt pyproject.toml
	@echo "Installing the locked dependencies."
	@$(PIP) --require-hashes --requirement requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt requirements/servers.txt
	@echo "Installing what the tests need."
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@$(PIP) --no-deps --requirement requirements/servers.txt
	@touch $@

# aiobotocore wants another botocore than the service has, so the peers live apart.
.venv/peers.stamp: .venv/dev.stamp requirements/bench.txt
	@$(BIN)/python tests/servers/install.py
	@echo "Installing the peers of the benchmark."
	@$(PYTHON) -m venv --clear .venv/peers
	@.venv/peers/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bench.txt
	@touch $@
