"""``show --evidence``: what evidence there is, printed and written."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.cli.conftest import TABLE, Bench
from tests.cli.test_light import COMMAND, HEAVY, imported_by

SECTIONS = (
    "Network by agent",
    "Network by dose",
    "Trials by outcome, agent, condition and time",
    "Doses that were tried",
    "Trials\n",
    "Risk of bias",
    "What cannot be used, and why",
)


def section(text: str, title: str) -> list[str]:
    """The lines below a heading."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    after = lines[start + 2 :]
    ends = [i for i, line in enumerate(after) if line.startswith("---")]
    return after[: ends[0] - 1] if ends else after


def test_the_shipped_base_fits_a_terminal(bench: Bench):
    told = bench("show", "--evidence")
    assert told.code == 0, told.text
    assert all(title in told.out for title in SECTIONS)
    assert max(map(len, told.out.splitlines())) <= 100
    assert len(told.out.splitlines()) < 250
    assert "--all prints them" in told.out
    assert "no_dispersion" in told.out
    assert "  ketamine" in told.out


def test_all_prints_what_was_cut(bench: Bench):
    whole = bench("show", "--evidence", "nmda", "--all")
    assert whole.code == 0, whole.text
    assert "more trials" not in whole.out
    assert max(map(len, whole.out.splitlines())) <= 100
    trials = section(whole.out.replace("Trials by", "By"), "Trials")
    assert sum(line.strip().startswith("arms:") for line in trials) > 100


def test_a_flat_table_is_told_whole(bench: Bench):
    told = bench("show", "--evidence", bench.write("trials.csv", TABLE))
    assert told.code == 0, told.text
    assert "--all" not in told.out
    by_agent = [line.split() for line in section(told.out, "Network by agent")]
    assert ["ketamine", "2", "80"] in by_agent
    assert ["memantine", ":", "placebo", "1", "49"] in by_agent
    by_dose = "\n".join(section(told.out, "Network by dose"))
    assert "1 trial compared doses of one" in by_dose
    assert "ketamine@0.5 : ketamine@2" in by_dose
    doses = [line.split() for line in section(told.out, "Doses")]
    assert ["ketamine", "0.5", "1", "1", "31"] in doses
    assert "Every row can be used." in told.out


@pytest.mark.slow
def test_out_writes_figures_and_tables_and_nothing_twice(bench: Bench):
    table, out = bench.write("trials.csv", TABLE), bench.folder / "looked_at"
    told = bench("show", "--evidence", table, "--out", out)
    assert told.code == 0, told.text
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
        ([], "there is nothing to show"),
        (["--all"], "there is nothing to show"),
        (["benefit_risk", "--all"], "go without a spec"),
        (["benefit_risk", "--out", "x"], "go without a spec"),
        (["--evidence", "no_such.csv"], "no such file or folder"),
    ],
)
def test_what_cannot_be_shown_is_told(bench: Bench, arguments: list[str], words: str):
    told = bench("show", *arguments)
    assert told.code == 2
    assert words in told.err


def test_it_does_not_import_pymc(bench: Bench):
    table = bench.write("trials.csv", TABLE)
    arguments = ["show", "--evidence", str(table)]
    assert imported_by(COMMAND.format(arguments=arguments), HEAVY) == [""]
