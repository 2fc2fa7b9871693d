"""Labels that differ in nothing that is seen, and trials that are entered twice."""

from __future__ import annotations

import io
import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers.options import parse_options
from nmda_bayes.evidence.labels import fold_label, strip_invisible

TRIALS = (
    "study,agent,outcome,condition,route,events,n\n"
    "North 1,placebo,nausea,crps,iv,3,40\nNorth 1,Velamine,nausea,crps,iv,11,42\n"
    "South 2,placebo,nausea,crps,iv,5,51\nSouth 2,Velamine,nausea,crps,iv,16,50\n"
)


def frame_of(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def load(frame: pd.DataFrame | str, *sets: str):
    questions: list[Issue] = []
    frame = frame_of(frame) if isinstance(frame, str) else frame
    tree = load_with_options(frame, parse_options(sets), questions)
    return tree, questions


DECORATIONS = {
    "upper case": str.upper,
    "lower case": str.lower,
    "title": str.title,
    "a blank": lambda label: label[:1] + " " + label[1:],
    "two blanks for one": lambda label: label.replace(" ", "  "),
    "a hyphen": lambda label: label[:3] + "-" + label[3:],
    "a dash": lambda label: label[:3] + "\u2013" + label[3:],
    "an underscore": lambda label: label[:1] + "_" + label[1:],
    "a zero-width space": lambda label: label[:1] + "\u200b" + label[1:],
    "a soft hyphen": lambda label: label[:1] + "\u00ad" + label[1:],
    "a combining accent": lambda label: label[:2] + "\u0301" + label[2:],
    "a Cyrillic letter": lambda label: label.replace("e", "\u0435", 1).replace("o", "\u043e", 1),
    "full-width letters": lambda label: "".join(
        chr(ord(c) + 0xFEE0) if "!" < c < "~" else c for c in label
    ),
    "a full stop": lambda label: label + ".",
}


@pytest.mark.parametrize("decorate", DECORATIONS.values(), ids=DECORATIONS)
@pytest.mark.parametrize(
    ("column", "row"), [("study", 3), ("agent", 3), ("outcome", 0), ("condition", 2), ("route", 2)]
)
def test_every_decoration_of_a_label_is_asked_about(column, row, decorate):
    frame = frame_of(TRIALS)
    label = frame.loc[row, column]
    changed = decorate(label)
    frame.loc[row, column] = changed
    if changed == label:
        pytest.skip("the label has no such letter")
    if column == "condition":
        frame.loc[3, column] = changed  # a study has one condition
    _, questions = load(frame)
    asked = [issue for issue in questions if issue.code == "E182"]
    assert [issue.column for issue in asked] == [column]
    assert "--set labels=merged" in asked[0].hint


@pytest.mark.parametrize("decorate", DECORATIONS.values(), ids=DECORATIONS)
def test_labels_are_merged_or_kept_as_set(decorate):
    frame = frame_of(TRIALS)
    other = decorate("Velamine")
    frame.loc[3, "agent"] = other
    if other == "Velamine":
        pytest.skip("the label has no such letter")
    for setting, agents in (("merged", {"Velamine"}), ("kept", {"Velamine", other})):
        tree, questions = load(frame, f"labels={setting}")
        assert not questions
        assert set(to_frame(tree, "arms")["agent"]) == {"placebo", *agents}
        assert any("set by you" in note for note in tree.attrs["notes"])


DIFFERENT = [
    ("Trial 1-1", "Trial 11"),
    ("1.5 mg", "15 mg"),
    ("drug A", "drug B"),
    ("A+B", "AB"),
    ("IFN-\u03b1", "IFN-\u03b2"),
    ("drug 1", "drug 2"),
    ("x (oral)", "x (iv)"),
]


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_labels_that_are_seen_to_differ_are_not_asked_about(first, second):
    assert fold_label(first) != fold_label(second)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "Z", "S"]), min_size=1, max_size=12))
def test_folding_is_idempotent_and_ignores_case_and_form(label):
    folded = fold_label(label)
    for variant in (
        f" {label} ",
        unicodedata.normalize("NFD", label),
        f"\u200b{label}\u200b",
    ):
        if any(c.isalnum() for c in label):
            assert fold_label(variant) == folded


@pytest.mark.parametrize("end", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\xa0", "\t"])
def test_invisible_characters_at_the_ends_are_removed(end):
    assert strip_invisible(f"{end}Velamine{end}") == "Velamine"
    frame = frame_of(TRIALS)
    frame.loc[1, "agent"] += end
    tree, questions = load(frame)
    assert not questions
    assert set(to_frame(tree, "arms")["agent"]) == {"placebo", "Velamine"}


@pytest.mark.parametrize("spelling", ["Placebo", "PLACEBO", "pLACEBO"])
def test_placebo_has_one_spelling(spelling):
    tree, questions = load(TRIALS.replace("placebo", spelling))
    assert not questions
    assert set(to_frame(tree, "arms")["agent"]) == {"placebo", "Velamine"}
    assert any(spelling in note for note in tree.attrs["notes"])


@pytest.mark.parametrize("agent", ["saline", "control", "Velamine"])
def test_agents_at_dose_zero_are_noted(agent):
    text = f"study,agent,dose,events,n\nA,{agent},0,3,40\nA,x,1,9,41\n"
    tree, _ = load(text)
    assert any(f"'{agent}' at dose 0" in note for note in tree.attrs["notes"])
    assert to_frame(tree, "arms")["agent"].tolist() == [agent, "x"]


def test_trials_with_equal_numbers_are_noted():
    text = (
        "study,agent,events,n\nA,placebo,3,40\nA,x,9,41\n"
        "B,x,9,41\nB,placebo,3,40\nC,placebo,3,40\nC,x,8,41\n"
    )
    tree, _ = load(text)
    (note,) = (note for note in tree.attrs["notes"] if "same agents and numbers" in note)
    assert "'A', 'B'" in note
    assert "'C'" not in note


def test_without_a_list_questions_are_raised():
    with pytest.raises(EvidenceError) as caught:
        load_with_options(frame_of(TRIALS.replace("South 2,V", "south 2,V")), parse_options([]))
    assert {issue.code for issue in caught.value.issues} == {"E182"}


def test_row_order_changes_nothing():
    frame = frame_of(TRIALS)
    tree, _ = load(frame)
    other, _ = load(frame.iloc[::-1].reset_index(drop=True))
    assert other.attrs["evidence_hash"] == tree.attrs["evidence_hash"]
