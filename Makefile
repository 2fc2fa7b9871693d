# The commands for people and for CI. Paths are relative, so that the path of a clone may contain
# spaces.
.DEFAULT_GOAL := help
.PHONY: help demo test slow check notebooks report bench calibrate lock clean
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
DEMO_SPEC := models/benefit_risk.toml
DEMO_OUT := build/demo
# The first of these that runs, is recent enough and can create an environment. An interpreter shim
# may exist and still fail, so each is tried; PYTHON=... is tried first.
PYTHONS := python3.13 python3.12 python3.14 python3 python /usr/bin/python3 /usr/local/bin/python3

help:  ## show this help
	@echo "Usage: make TARGET. Targets:"
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 14

demo: $(READY)  ## run the primary analysis on the shipped evidence and print the path of the report
	rm -rf $(DEMO_OUT)
	$(BIN)/nmda-bayes run $(DEMO_SPEC) --out $(DEMO_OUT)
	@echo; echo "Report: $$(pwd)/$(DEMO_OUT)/report.html"

# Two processes, distributed by file: most tests use one core, and fits shared by files are made once
# per process. BLAS runs one thread in each: with two threads per process on two cores, threads wait
# for each other over matrices of a few dozen rows.
test: $(READY)  ## run the fast tests
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(READY)  ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(READY)  ## check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo

notebooks: $(READY)  ## run every notebook into build/notebooks
	mkdir -p build/notebooks
	$(BIN)/jupyter-execute --output='../build/notebooks/{notebook_name}' notebooks/*.ipynb

report: $(READY)  ## rewrite the demo's report from its stored fit
	@test -f $(DEMO_OUT)/fit.nc || { echo "No fit in $(DEMO_OUT): run 'make demo' first." >&2; exit 2; }
	$(BIN)/nmda-bayes report $(DEMO_OUT)

bench: $(READY)  ## run the benchmarks (results are ratios)
	@for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

# Low optimisation of numba: each case is compiled for only 64 short chains (benchmarks/README.md).
calibrate: $(READY)  ## run or resume the calibration of everything without a current record
	NUMBA_OPT=1 nice -n 15 $(BIN)/python -W ignore -m tests.calibration.job $(ARGS)

lock: $(BIN)/uv  ## update requirements.lock from pyproject.toml (hashes, no package host)
	$(UV) pip compile --quiet --python-version 3.12 --universal --generate-hashes --no-annotate --group dev pyproject.toml -o requirements.lock

clean:  ## remove the environment, builds and caches
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv:
	@for python in "$(PYTHON)" $(PYTHONS); do \
	    if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then \
	        echo "Creating .venv with $$python ($$("$$python" --version))"; \
	        "$$python" -m venv --clear .venv && exec $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; \
	        exit 1; \
	    fi; \
	done; \
	echo "No Python >= 3.12 with the venv module found (tried: $(PYTHONS)). Choose one with: make PYTHON=/path/to/python" >&2; exit 2

$(READY): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing packages from requirements.lock (takes a few minutes)"
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)
