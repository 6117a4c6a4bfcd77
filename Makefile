# Everything from nothing: each goal makes the environment it needs in .venv, without root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := eddy-out
export PATH := $(PATH):/usr/sbin# where Debian has mosquitto

.PHONY: help setup demo test check bench soak clean

help:
	@echo "make demo    play the far-edge loop on a simulated bearing; report in $(OUT)/report.html"
	@echo "make test    the tests, with a sample of the long campaigns; names what it skips"
	@echo "make check   ruff, mypy, layers, and the kernel through mpy-cross"
	@echo "make bench   measure what the documentation claims"
	@echo "make soak    the long campaigns, all of them"
	@echo "make setup   the environment for development in $(VENV)"
	@echo "make clean   remove what the other goals made"

# Two stamps: the demo needs the runtime only, the rest needs the development tools, which include it.
$(VENV)/runtime: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

# tahutils declares a protobuf below 5, and works with later ones. Without it the tests of Sparkplug are skipped.
$(VENV)/development: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'tahutils>=0.1.11,<0.2'
	@touch $@ $(VENV)/runtime

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Eddy needs Python 3.11 or newer as '$(PYTHON)'; name another one with: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu the package python3-venv provides it"; exit 1; }

setup: $(VENV)/development

demo: $(VENV)/runtime
	@mkdir -p $(OUT)
	$(BIN)/eddy demo pump --quantile 850 --json $(OUT)/demo.json --report $(OUT)/report.html

test: $(VENV)/development
	$(BIN)/python -m pytest -m "not soak" -rs -n auto --dist loadfile

soak: $(VENV)/development
	$(BIN)/python -m pytest -m soak -rs --timeout=0

check: $(VENV)/development
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/kernel_gate.py

bench: $(VENV)/development
	@mkdir -p $(OUT)
	$(BIN)/eddy bench far-edge --json $(OUT)/far-edge.json

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find src tests targets scripts -name __pycache__ -type d -prune -exec rm -rf {} +
