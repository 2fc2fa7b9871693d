# One door: what a person types is what CI runs. Paths are relative, so that a clone may stand in
# a folder with spaces in its name.
.DEFAULT_GOAL := help
.PHONY: help demo test slow check notebooks report bench calibrate lock clean
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
DEMO_SPEC := models/benefit_risk.toml
DEMO_OUT := build/demo
# The first of these that runs, is new enough and can make an environment. An interpreter shim may
# be found and yet fail, so each is tried; PYTHON=... puts another first.
PYTHONS := python3.13 python3.12 python3.14 python3 python /usr/bin/python3 /usr/local/bin/python3

help:  ## this text
	@echo "make TARGET, where TARGET is one of:"
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 14

demo: $(READY)  ## the primary analysis on the shipped evidence; ends with the report's path
	rm -rf $(DEMO_OUT)
	$(BIN)/nmda-bayes run $(DEMO_SPEC) --out $(DEMO_OUT)
	@echo; echo "Report: $$(pwd)/$(DEMO_OUT)/report.html"

# Two processes, a file to each in turn: most tests use one core, and the fits that files share are
# made once a process. BLAS has one thread in each: two processes with two threads on two cores wait
# for each other over matrices of a few dozen rows.
test: $(READY)  ## the fast tests
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(READY)  ## style, types, floors, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m numpydoc lint --config . $$(find src -name '*.py')

notebooks: $(READY)  ## every notebook, run from the top into build/notebooks
	mkdir -p build/notebooks
	$(BIN)/jupyter-execute --output='../build/notebooks/{notebook_name}' notebooks/*.ipynb

report: $(READY)  ## write the demo's report again from its saved fit
	@test -f $(DEMO_OUT)/fit.nc || { echo "No fit in $(DEMO_OUT): run 'make demo' first." >&2; exit 2; }
	$(BIN)/nmda-bayes report $(DEMO_OUT)

bench: $(READY)  ## speed, as ratios
	@for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

# Numba's lowest useful effort: cases are compiled for 64 short chains each. At full effort a first
# case of 20 arms took 15 s to compile and 0.17 s a fit, so 8 s and 0.18 s.
calibrate: $(READY)  ## run or resume the calibration: what has no record, or one of another model
	NUMBA_OPT=1 nice -n 15 $(BIN)/python -W ignore -m tests.calibration.job $(ARGS)

lock: $(BIN)/uv  ## pin every package anew from pyproject.toml (hashes, no package host)
	$(UV) pip compile --quiet --python-version 3.12 --universal --generate-hashes --no-annotate --group dev pyproject.toml -o requirements.lock

clean:  ## remove what make made: the environment, builds, caches
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv:
	@for python in "$(PYTHON)" $(PYTHONS); do \
	    if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then \
	        echo "Making .venv with $$python ($$("$$python" --version))"; \
	        "$$python" -m venv --clear .venv && exec $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; \
	        exit 1; \
	    fi; \
	done; \
	echo "No Python >= 3.12 with the venv module found (tried: $(PYTHONS)). Name one: make PYTHON=/path/to/python" >&2; exit 2

$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Laying out .venv from requirements.lock (some minutes on a first run)"
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)
