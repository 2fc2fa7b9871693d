"""`check` says ready exactly where a template can be filled in and its rows be selected."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nmda_bayes.design import build_design
from nmda_bayes.errors import InputError
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.templates import Rehearsal, fill_template, merge_settings, rehearse, run_command

#: Answers are given in rounds; a second one is for questions that the first answers raise.
MAX_ROUNDS = 2
AGENTS = ["placebo", "usual care", "x", "y"]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Tables of two to four trials: counts, rates, means or contrasts, with doses and gaps."""
    kind = draw(st.sampled_from(["counts", "rates", "means", "contrasts"]))
    agents = draw(st.lists(st.sampled_from(AGENTS), min_size=1, max_size=3, unique=True))
    doses = st.sampled_from([0.0, 1.0, 2.0, 5.0, np.nan])
    with_doses, conditions = draw(st.booleans()), draw(st.integers(1, 2))
    names = ["pain", "sleep"][: draw(st.integers(1, 2))]
    rows = []
    for number in range(draw(st.integers(2, 4))):
        arms = draw(st.lists(st.tuples(st.sampled_from(agents), doses), min_size=1, max_size=3))
        arms = list({(a, d if with_doses else None): (a, d) for a, d in arms}.values())
        shared = {"study": f"T{number}", "condition": f"c{number % conditions}"}
        for name in names:
            for i, (agent, dose) in enumerate(arms):
                row = shared | {"agent": agent, "outcome": name}
                row |= {"dose": dose} if with_doses else {}
                if kind == "counts":
                    row |= {"events": draw(st.integers(0, 20)), "n": 20}
                elif kind == "rates":
                    row |= {"events": draw(st.integers(0, 20)), "person_time": 100}
                elif kind == "means":
                    row |= {"mean": 3.0 + i, "sd": 1.0, "n": 20}
                elif i == 0:
                    continue
                else:
                    row |= {"comparator": arms[0][0], "estimate": 0.5, "se": 0.2}
                    row |= {"comparator_dose": arms[0][1]} if with_doses else {}
                    row |= {"comparator_se": 0.1}
                rows.append(row)
    columns = ["study", "agent", "outcome", "condition"]
    columns += {"counts": ["events", "n"], "rates": ["events", "person_time"]}.get(kind, [])
    columns += ["mean", "sd", "n"] if kind == "means" else []
    columns += ["comparator", "estimate", "se"] if kind == "contrasts" else []
    return pd.DataFrame(rows, columns=None if rows else columns)


def _answers(result: Rehearsal) -> list[str]:
    """The first setting that the hint of each question names."""
    answers = []
    for issue in result.issues:
        match = re.search(r"--set (?:'([^']+)'|([^ ]+))", issue.hint)
        if match is not None and "..." not in match[0]:
            answers.append((match[1] or match[2]).rstrip(".,:;"))
    return answers


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(tables(), st.booleans())
def test_ready_means_that_a_run_asks_nothing(table: pd.DataFrame, pooled: bool):
    chosen = ["doses=pooled", "conditions=pooled"] if pooled else []
    try:
        result = rehearse(table, parse_options(chosen))
    except InputError:
        return  # the table itself is refused
    options = parse_options(chosen)
    try:
        filled = fill_template(load_with_options(table, options), options)
        design = build_design(filled.spec, filled.evidence)
    except InputError:
        assert result.issues and result.spec is None
        return
    assert result.spec == filled.spec
    assert not result.issues
    assert set(design["outcomes"].children) == set(filled.spec.outcomes)


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(tables())
def test_the_words_of_a_question_answer_it(table: pd.DataFrame):
    chosen: list[str] = []
    for _ in range(MAX_ROUNDS):
        try:
            result = rehearse(table, parse_options(chosen))
        except InputError:
            return
        asked = _answers(result)
        assert not set(asked) & set(chosen), (asked, chosen)
        chosen += asked
        if not asked:
            return
    asked = _answers(rehearse(table, parse_options(chosen)))
    assert not asked, (asked, chosen)


@pytest.mark.parametrize(
    ("stored", "given_settings", "merged"),
    [
        ({"scale": "0,10"}, [], (None, ["scale=0,10"])),
        ({"scale": "0,10", "format": "netmeta"}, ["scale=0,5"], ("netmeta", ["scale=0,5"])),
        ({}, ["dose.x=2"], (None, ["dose.x=2"])),
    ],
)
def test_settings_of_the_user_replace_those_of_a_spec(stored, given_settings, merged):
    assert merge_settings(stored, None, given_settings) == merged


def test_the_command_is_quoted_for_a_shell():
    command = run_command({"outcome": "1.1 Pain; rm x", "format": "revman"}, "my file.csv")
    assert command == (
        "nmda-bayes run --evidence 'my file.csv' --set 'outcome=1.1 Pain; rm x' --format revman"
        " --out results"
    )
