"""Help, version, and which modules are imported before they are needed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.main import get_command

from nmda_bayes.cli import app
from nmda_bayes.evidence.importers import format_names
from nmda_bayes.registry import shipped_analyses
from tests.cli.conftest import TABLE, Bench

COMMANDS = sorted(get_command(app).commands)
HEAVY = ("pymc", "pymc_extras", "pytensor", "nutpie", "arviz_stats", "numba")
TABLES = ("pandas", "xarray", "matplotlib", "pydantic", "pandera")


def imported_by(code: str, modules: tuple[str, ...]) -> list[str]:
    """Those of some modules that a fresh interpreter has imported after running code."""
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


def test_help_lists_the_commands(bench: Bench):
    result = bench("--help")
    assert result.code == 0
    assert COMMANDS == [
        "check",
        "fit",
        "regimens",
        "report",
        "run",
        "sensitivity",
        "show",
        "simulate",
    ]
    assert all(name in result.out for name in COMMANDS)
    assert "2 bad input" in " ".join(result.out.split())


def test_version(bench: Bench):
    result = bench("--version")
    assert result.code == 0
    assert result.out.split() == ["nmda-bayes", version("nmda-bayes")]


def test_help_lists_formats_and_shipped_analyses(bench: Bench):
    words = set(re.findall(r"[a-z_]+", bench("run", "--help").out))
    assert {*format_names(), *shipped_analyses()} <= words


@pytest.mark.parametrize("name", COMMANDS)
def test_command_help_has_an_example(bench: Bench, name: str):
    result = bench(name, "--help")
    assert result.code == 0
    assert f"nmda-bayes {name}" in result.out


def test_misspelt_option(bench: Bench):
    result = bench("fit", "benefit_risk", "--ou", "x")
    assert result.code == 2
    assert "--out" in result.err


def test_the_package_imports_nothing_heavy():
    assert imported_by("import nmda_bayes", (*HEAVY, *TABLES)) == [""]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    assert imported_by(COMMAND.format(arguments=arguments), (*HEAVY, *TABLES)) == [""]


def test_command_help_imports_nothing_heavy():
    modules = (*HEAVY, "pandas", "xarray", "matplotlib")  # typer imports pydantic
    assert imported_by(COMMAND.format(arguments=["run", "--help"]), modules) == [""]


def test_check_does_not_import_pymc(bench: Bench):
    table = bench.write("trials.csv", TABLE)
    assert imported_by(COMMAND.format(arguments=["check", str(table)]), HEAVY) == [""]


def test_spec_errors_do_not_import_pymc(bench: Bench):
    code = """
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.errors import SpecError
try:
    AnalysisSpec.from_dict({"titel": "x"})
except SpecError:
    pass
"""
    assert imported_by(code, HEAVY) == [""]
