"""Help, and what may be imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from nmda_bayes.cli import app
from tests.cli.conftest import TABLE, Bench

VERBS = sorted(get_command(app).commands)
HEAVY = ("pymc", "pymc_extras", "pytensor", "nutpie", "arviz_stats", "numba")
TABLES = ("pandas", "xarray", "matplotlib", "pydantic", "pandera")


def imported_by(code: str, modules: tuple[str, ...]) -> list[str]:
    """Which of some modules a fresh interpreter has imported after running code."""
    report = f"\nimport sys; print([m for m in {modules!r} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()[-1].strip("[]").replace("'", "").split(", ")


COMMAND = """
from nmda_bayes.cli import main
import sys
sys.argv = ["nmda-bayes", *{arguments!r}]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def test_help_lists_the_verbs(bench: Bench):
    told = bench("--help")
    assert told.code == 0
    assert VERBS == ["check", "fit", "regimens", "report", "run", "sensitivity", "show", "simulate"]
    assert all(verb in told.out for verb in VERBS)
    assert "2 bad input" in " ".join(told.out.split())


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(bench: Bench, verb: str):
    told = bench(verb, "--help")
    assert told.code == 0
    assert f"nmda-bayes {verb}" in told.out


def test_a_misspelt_option_is_told(bench: Bench):
    told = bench("fit", "benefit_risk", "--ou", "x")
    assert told.code == 2
    assert "--out" in told.err


def test_the_package_imports_nothing_heavy():
    assert imported_by("import nmda_bayes", (*HEAVY, *TABLES)) == [""]


def test_help_imports_nothing_heavy():
    assert imported_by(COMMAND.format(arguments=["--help"]), (*HEAVY, *TABLES)) == [""]


def test_check_does_not_import_pymc(bench: Bench):
    table = bench.write("trials.csv", TABLE)
    assert imported_by(COMMAND.format(arguments=["check", str(table)]), HEAVY) == [""]


def test_a_bad_spec_is_told_before_pymc_is_imported(bench: Bench):
    code = """
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.errors import SpecError
try:
    AnalysisSpec.from_dict({"titel": "x"})
except SpecError:
    pass
"""
    assert imported_by(code, HEAVY) == [""]
