# Two commands do everything on a bare machine with Python 3.11+ and make: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: demo test check bench lock clean

.venv/ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: .venv/ready
	$(BIN)/zhibao demo $(ARGS)

test: .venv/ready
	$(BIN)/pytest $(ARGS)

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 --group dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 -c requirements-dev.lock pyproject.toml -o requirements.lock

bench: .venv/ready
	$(BIN)/python -m tests.benchmarks $(ARGS)

clean:
	rm -rf .venv
