"""``show --evidence``: evidence as text, figures and tables."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.cli.conftest import TABLE, Bench
from tests.cli.test_light import COMMAND, HEAVY, imported_by

SECTIONS = (
    "Network by agent",
    "Network by dose",
    "Trials by outcome, agent, condition and time",
    "Tested doses",
    "Trials\n",
    "Risk of bias",
    "Unusable rows",
)


def section(text: str, title: str) -> list[str]:
    """Return the lines below a heading."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    after = lines[start + 2 :]
    ends = [i for i, line in enumerate(after) if line.startswith("---")]
    return after[: ends[0] - 1] if ends else after


def test_shipped_base_fits_a_terminal(bench: Bench):
    result = bench("show", "--evidence")
    assert result.code == 0, result.text
    assert all(title in result.out for title in SECTIONS)
    assert max(map(len, result.out.splitlines())) <= 100
    assert len(result.out.splitlines()) < 250
    assert "--all prints them" in result.out
    assert "no_dispersion" in result.out
    assert "  ketamine" in result.out


def test_all_prints_every_row(bench: Bench):
    result = bench("show", "--evidence", "nmda", "--all")
    assert result.code == 0, result.text
    assert "more trials" not in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    trials = section(result.out.replace("Trials by", "By"), "Trials")
    assert sum(line.strip().startswith("arms:") for line in trials) > 100


def test_flat_table_is_not_truncated(bench: Bench):
    result = bench("show", "--evidence", bench.write("trials.csv", TABLE))
    assert result.code == 0, result.text
    assert "--all" not in result.out
    by_agent = [line.split() for line in section(result.out, "Network by agent")]
    assert ["ketamine", "2", "80"] in by_agent
    assert ["memantine", ":", "placebo", "1", "49"] in by_agent
    by_dose = "\n".join(section(result.out, "Network by dose"))
    assert "1 trial compared doses of one" in by_dose
    assert "ketamine@0.5 : ketamine@2" in by_dose
    doses = [line.split() for line in section(result.out, "Tested doses")]
    assert ["ketamine", "0.5", "1", "1", "31"] in doses
    assert "All rows are usable." in result.out


@pytest.mark.slow
def test_out_writes_figures_and_tables_once(bench: Bench):
    table, out = bench.write("trials.csv", TABLE), bench.folder / "shown"
    result = bench("show", "--evidence", table, "--out", out)
    assert result.code == 0, result.text
    endings = {path.suffix for path in out.iterdir()}
    assert endings == {".txt", ".csv", ".png", ".pdf"}
    figures = {path.stem for path in out.glob("*.png")}
    assert figures == {"network_by_agent", "network_by_dose", "map", "map_over_time", "doses"}
    assert pd.read_csv(out / "trials.csv")["study"].tolist() == ["A", "B", "C"]
    assert pd.read_csv(out / "doses.csv")["dose"].tolist() == [1, 0.5, 2, 1]
    compared = pd.read_csv(out / "comparisons_by_dose.csv")
    assert compared["studies"].tolist() == [1] * 5
    before = bench.contents()
    again = bench("show", "--evidence", table, "--out", out)
    assert again.code == 2
    assert "is not empty" in again.err
    assert bench.contents() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "E902"),
        (["--all"], "E902"),
        (["benefit_risk", "--all"], "E903"),
        (["benefit_risk", "--out", "x"], "E903"),
        (["--evidence", "no_such.csv"], "no such file or folder"),
    ],
)
def test_invalid_arguments_are_rejected(bench: Bench, arguments: list[str], words: str):
    result = bench("show", *arguments)
    assert result.code == 2
    assert words in result.err


def test_it_does_not_import_pymc(bench: Bench):
    table = bench.write("trials.csv", TABLE)
    arguments = ["show", "--evidence", str(table)]
    assert imported_by(COMMAND.format(arguments=arguments), HEAVY) == [""]
