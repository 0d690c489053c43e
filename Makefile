# The developer manual. Every target does its own set-up; none needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test interop check bench fleet fuzz conformance clean

demo: $(READY)            ## the whole chain on loopback, until Ctrl-C
	@exec $(BIN)/osap-bridge demo

test: $(READY)            ## all tests
	$(BIN)/python -m pytest -n 2 tests/test_layers.py tests/unit tests/property
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/integration tests/interop tests/conformance
	$(BIN)/python -m pytest tests/conformance --coap-stack aiocoap --ignore tests/conformance/test_oscore.py
	$(BIN)/python -m pytest tests/fuzz

interop: $(READY)         ## with Eclipse Leshan in both directions; built by Maven once, skipped without Java
	$(BIN)/python -m pytest -m leshan -rs tests/interop

check: $(READY)           ## style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

conformance: $(READY)    ## the cases of OMA's suite; writes docs/conformance.md
	$(BIN)/python -m pytest tests/conformance --conformance-table docs/conformance.md

bench: $(READY)           ## the server beside others; writes docs/performance.md; QUICK=1 tries it in a minute
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

fleet: $(READY)           ## two hundred devices at once, 60 s and 15 s; fails when a value is wrong or a task is left
	$(BIN)/python benchmarks/two_hundred_devices.py

fuzz: SECONDS := 600
fuzz: $(READY)            ## every parser of a stranger's bytes, with another seed each time; SECONDS=60 for a minute
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

clean:
	rm -rf $(VENV) .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12")'
	@echo "Setting up $(VENV) and fetching the packages into it, once. This takes a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
