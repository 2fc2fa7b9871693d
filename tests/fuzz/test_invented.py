"""Tables of known numbers: what is loaded is what was written, or a question or an error says why.

A wrong number without a word is the only failure; the share of tables that need no setting about
their columns is bounded from below, so that refusing everything does not pass.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import InputError
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.templates import Rehearsal, rehearse
from tests.fuzz.harness import alarm, pick
from tests.fuzz.invented import (
    LAYOUTS,
    Invented,
    decorated,
    wide_table,
    with_extra,
)
from tests.fuzz.test_inputs import AMOUNTS, TABLES, settings_given

#: Tables by layout: in the fast suite, and in `make slow`.
COUNTS = (3, 300)
#: Questions about the analysis, not about what the cells of a table mean.
ANALYSIS = {"E450", "E452", "E453", "E454", "E455", "E456", "E457", "E458", "E459", "E460"}
STATISTICS = ("events", "n", "mean", "sd", "se", "se_used", "person_time", "estimate")


def loaded_numbers(evidence: xr.DataTree) -> dict[tuple[str, str, str, str], list[tuple]]:
    """The doses and numbers of each study, outcome, agent and statistic."""
    arms = evidence["arms"].to_dataset().to_dataframe().to_dict("index")
    numbers = defaultdict(list)
    for name in ("results", "contrasts"):
        for row in evidence[name].to_dataset().to_dataframe().to_dict("records"):
            arm = arms.get(row["arm"]) or {"agent": row["agent"], "dose": row["dose"]}
            for statistic in STATISTICS:
                if not math.isnan(value := row.get(statistic, math.nan)):
                    key = row["study"], row["outcome"].casefold(), arm["agent"].casefold()
                    dose = -1.0 if math.isnan(arm["dose"]) else arm["dose"]
                    numbers[*key, statistic].append((dose, value))
    return numbers


def differences(table: Invented, evidence: xr.DataTree) -> list[str]:
    """The numbers that were written and are not loaded."""
    numbers, wrong = loaded_numbers(evidence), []
    tolerance = 0.03 if table.layout.startswith("contrasts") else 1e-6
    for (study, outcome, agent, dose, statistic), value in table.truth.items():
        names = [statistic, "se_used"] if statistic == "se" else [statistic]
        rows = next(
            (
                rows
                for name in names
                for (s, o, a, n), rows in numbers.items()
                if (s, a, n) == (study, agent, name) and outcome in ("", o)
            ),
            [],
        )
        right = len(rows) == 1 and math.isclose(
            rows[0][1], value, rel_tol=tolerance, abs_tol=tolerance
        )
        if not right or (dose >= 0 and rows[0][0] != dose):
            wrong.append(f"{study}, {outcome}, {agent}, {statistic}: {value} is {rows}")
    others = {key[0] for key in numbers} - {key[0] for key in table.truth}
    return wrong + [f"no trial: {name}" for name in sorted(others)]


def rehearsed(content: bytes, folder: Path, settings: list[str]) -> Rehearsal | None:
    """What a run would fit; None for a table that is refused."""
    path = folder / "table.csv"
    path.write_bytes(content)
    try:
        with alarm():
            return rehearse(path, parse_options(settings))
    except InputError:
        return None


def end_of(table: Invented, rehearsal: Rehearsal | None) -> tuple[str, list[str]]:
    """How a table is read, and its wrong numbers."""
    if rehearsal is None:
        return "refused", []
    if {issue.code for issue in rehearsal.issues} - ANALYSIS:
        return "asked", []
    wrong = differences(table, rehearsal.evidence)
    return ("wrong" if wrong else "right"), wrong


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("extra", [False, True], ids=["plain", "another_column"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore")
def test_no_known_number_is_misread(layout, extra: bool, amount: int, tmp_path: Path):
    ends: Counter[str] = Counter()
    failures = []
    for number in range(COUNTS[amount]):
        rng = np.random.default_rng([22, number, extra])
        table = layout(rng)
        table = with_extra(rng, table)[0] if extra else table
        content = decorated(rng, table)
        end, wrong = end_of(table, rehearsed(content, tmp_path, table.settings))
        ends[end] += 1
        if wrong:
            failures.append(f"{number} {table.layout}: {wrong[:3]}\n    {content[:300]!r}")
    print(f"{layout.__name__}: {dict(ends)}")
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures[:20])
    assert ends["right"] >= (0.5 if extra else 0.7) * COUNTS[amount]


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore")
def test_order_changes_nothing(layout, amount: int, tmp_path: Path):
    for number in range((1, 60)[amount]):
        rng = np.random.default_rng([23, number])
        table = layout(rng)
        columns = rng.permutation(len(table.headings))
        rows = [table.rows[i] for i in rng.permutation(len(table.rows))]
        if layout is wide_table:
            columns = np.arange(len(columns))  # the first group is that of the first columns
        moved = Invented(
            [table.headings[i] for i in columns],
            [[row[i] for i in columns] for row in rows],
            table.truth,
            table.layout,
        )
        results = []
        for each in (table, moved):
            lines = ["\t".join(line) for line in [each.headings, *each.rows]]
            content = "\n".join(lines).encode()
            rehearsal = rehearsed(content, tmp_path, table.settings)
            codes = None if rehearsal is None else sorted({i.code for i in rehearsal.issues})
            numbers = None if rehearsal is None else loaded_numbers(rehearsal.evidence)
            results.append((codes, numbers))
        assert results[0] == results[1], (table.headings, moved.headings)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.filterwarnings("ignore")
def test_random_settings_of_a_rehearsal_end_well(amount: int, tmp_path: Path):
    ends: Counter[str] = Counter()
    for number in range((8, 500)[amount]):
        rng = np.random.default_rng([24, number])
        given = settings_given(rng)
        if rng.random() < 0.6:
            table = pick(rng, LAYOUTS)(rng)
            content = decorated(rng, table)
            heading, label = pick(rng, table.headings), pick(rng, table.rows)[1]
            role = pick(rng, ["study", "agent", "n", "events", "mean", "dose", "outcome"])
            known = [f"column.{role}={heading}", f"ignore={heading}", f"reference={label}",
                     f"outcome={label}", "scale=0,100", "doses=separate", "labels=merged",
                     "decimal=comma", "groups=a,b", "conditions=separate"]  # fmt: skip
            given = [pick(rng, [pick(rng, known), *given]) for _ in range(int(rng.integers(1, 4)))]
        else:
            content = pick(rng, list(TABLES.values())).encode()
        path = tmp_path / "table.csv"
        path.write_bytes(content)
        try:
            with alarm():
                rehearsal = rehearse(path, parse_options(given))
        except InputError as error:
            assert all(issue.code and issue.message for issue in error.issues), given
            ends["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{number}: {given} {content[:300]!r}") from error
        else:
            ends["asked" if rehearsal.issues else "accepted"] += 1
    print(f"{sum(ends.values())} rehearsals: {dict(ends)}")
    assert ends["refused"]


def test_columns_of_the_user_are_not_replaced_by_a_guess(tmp_path: Path):
    """Tables that were once read without a column that names or numbers the result."""
    effects = (
        "study,Intervention,comparator,RR,ci_low,ci_high\nA,drug a,placebo,3.1,1.3,7.4\n"
        "B,drug b,placebo,1.2,0.9,1.7\nC,drug b,drug a,1.2,0.8,1.7\n"
    )
    rehearsal = rehearsed(effects.encode(), tmp_path, ["ci_level=0.95"])
    assert set(rehearsal.evidence["contrasts"]["agent"].to_numpy()) == {"drug a", "drug b"}
    groups = (
        "Author,events_control,n_control,events_treatment,n_treatment\n"
        "A,17,54,11,48\nB,56,85,9,71\n"
    )
    rehearsal = rehearsed(groups.encode(), tmp_path, ["groups=drug,placebo"])
    numbers = loaded_numbers(rehearsal.evidence)
    assert numbers["A", "", "drug", "events"][0][1] == 11
    assert numbers["A", "", "placebo", "events"][0][1] == 17
    outcomes = (
        "Trial,Treatment,Dose (mg/day),Pain (mean),Pain (SD),N,Nausea (events)\n"
        "A,placebo,0,50,20,31,2\nA,drug,1,41.5,18,30,3\n"
        "B,placebo,0,60,22,22,4\nB,drug,2,40,20,21,3\n"
    )
    numbers = loaded_numbers(rehearsed(outcomes.encode(), tmp_path, []).evidence)
    assert numbers["A", "pain", "drug", "mean"] == [(1.0, 41.5)]
    assert numbers["B", "nausea", "drug", "events"] == [(2.0, 3.0)]
