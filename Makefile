# One word per task. Everything lives in .venv; `make clean` removes it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODELS ?=

.PHONY: help verify test check results accept tables bench fuzz clean
.DEFAULT_GOAL := help

help:
	@echo "make verify    install, then check every shipped model and print the table of verdicts"
	@echo "make test      lint, types, all tests"
	@echo "make results   write results/ anew (a table, and one run per expected violation)"
	@echo "make accept    rewrite the expected outputs of the tests, to be read in the diff"
	@echo "make tables    write the parser tables anew, after an edit of grammar/protocheck.lark"
	@echo "make bench     speed beside what is promised and beside other checkers, then faults planted in all models"
	@echo "make fuzz      random models and random text, with a fresh seed"
	@echo "make clean     remove what the other tasks made"

# An editable installation: what is checked is what stands here, never a stale copy.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "protocheck needs Python 3.11 or later; try make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

verify: $(VENV)/.installed
	$(BIN)/python -m protocheck check $(MODELS)

test: $(VENV)/.developed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n auto --dist loadfile

check: test

results: $(VENV)/.installed
	$(BIN)/python results/generate.py

accept: $(VENV)/.developed
	PROTOCHECK_ACCEPT=1 $(BIN)/python -m pytest
	git diff --stat

# The bytes differ from run to run, as lark walks over sets of objects; the automaton is the same.
tables: $(VENV)/.installed
	$(BIN)/python -c 'from protocheck.syntax.parse import save_tables; save_tables()'

bench: $(VENV)/.developed
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.endless
	$(BIN)/python -m benchmarks.mutation

fuzz: $(VENV)/.developed
	PROTOCHECK_FUZZ=1 $(BIN)/python -m pytest

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
