"""What changes the answer is asked, converted with a note, or refused with the row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import network_issues, to_frame
from nmda_bayes.evidence.conversions import canonical_measure
from nmda_bayes.evidence.dose_units import parse_dose_unit
from tests.evidence.test_labels import frame_of, load
from tests.support.specs import outcome, spec

CONTRASTS = "study,agent,comparator,estimate,se,measure\n"


def errors(text: str | pd.DataFrame, *sets: str):
    with pytest.raises(EvidenceError) as caught:
        load(text, *sets)
    return {(issue.code, issue.row, issue.column) for issue in caught.value.issues}


def asked(text: str | pd.DataFrame, *sets: str):
    return {(issue.code, issue.column): issue.hint for issue in load(text, *sets)[1]}


# Measures.

MEASURES = ["RR", "OR", "HR", "IRR", "MD", "SMD", "log_RR", "RD"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(MEASURES), min_size=2, max_size=5))
def test_mixed_measures_are_asked_about(measures):
    rows = "".join(f"S{i},x,placebo,0.{i + 3},0.2,{m}\n" for i, m in enumerate(measures))
    distinct = {canonical_measure(name) for name in measures}
    questions = asked(CONTRASTS + rows, "ratio_se=log")
    assert (("E180", "measure") in questions) == (len(distinct) > 1)
    tree, left = load(CONTRASTS + rows, f"measure={measures[0]}", "ratio_se=log")
    assert not left
    contrasts = to_frame(tree, "contrasts")
    usable = contrasts[contrasts["unusable"] == ""]
    assert set(usable["measure"]) == {canonical_measure(measures[0])}
    assert len(contrasts) == len(measures)


def test_measures_of_different_outcomes_do_not_mix():
    text = CONTRASTS.replace("measure", "measure,outcome")
    rows = "A,x,p,0.5,0.2,OR,a\nB,x,p,-3,0.2,MD,b\n"
    assert not asked(text + rows, "ratio_se=log")


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["OR", "RR", "HR", "IRR"]), st.floats(0.1, 9), st.floats(0.01, 2))
def test_standard_errors_of_ratios_are_asked_about(measure, estimate, se):
    text = CONTRASTS + f"A,x,p,{estimate!r},{se!r},{measure}\n"
    assert set(asked(text)) == {("E195", "se")}
    for choice, factor in (("log", 1), ("ratio", 1 / estimate)):
        tree, questions = load(text, f"ratio_se={choice}")
        assert not questions
        contrasts = to_frame(tree, "contrasts")
        np.testing.assert_allclose(contrasts["estimate"], [np.log(estimate)])
        np.testing.assert_allclose(contrasts["se"], [se * factor])
        assert tree.attrs["notes"]


def test_logarithms_and_intervals_have_no_doubtful_error():
    assert not asked(CONTRASTS + "A,x,p,-0.5,0.2,log_OR\n")
    text = "study,agent,comparator,estimate,ci_low,ci_high,ci_level,measure\n"
    assert not asked(text + "A,x,p,0.5,0.3,0.83,0.95,OR\n")


@pytest.mark.parametrize(
    ("measure", "target", "factor"),
    [
        ("log10_OR", "log_OR", np.log(10)),
        ("log10(RR)", "log_RR", np.log(10)),
        ("log2_HR", "log_HR", np.log(2)),
        ("lnOR", "log_OR", 1),
        ("logRR", "log_RR", 1),
        ("ln(HR)", "log_HR", 1),
    ],
)
def test_logarithms_are_converted_to_base_e(measure, target, factor):
    tree, questions = load(CONTRASTS + f"A,x,p,-0.3,0.1,{measure}\nB,x,p,-0.2,0.1,{target}\n")
    assert not questions
    contrasts = to_frame(tree, "contrasts")
    assert contrasts["measure"].tolist() == [target] * 2
    np.testing.assert_allclose(contrasts["estimate"], [-0.3 * factor, -0.2])
    np.testing.assert_allclose(contrasts["se"], [0.1 * factor, 0.1])
    assert tree.attrs["notes"]


def test_a_measure_that_no_row_has_is_refused():
    assert ("E181", None, "measure") in errors(CONTRASTS + "A,x,p,0.5,0.2,OR\n", "measure=SMD")


# Columns that nothing reads.

RESEMBLING = {
    "dose_mg": "column.dose=dose_mg",
    "Dosage": "column.dose=Dosage",
    "dose level": '"column.dose=dose level"',
    "population": "column.condition=population",
    "Indication": "column.condition=Indication",
    "mg": "column.dose=mg",
    "week": "column.time_label=week",
    "follow_up_months": "column.time_label=follow_up_months",
    "days": "column.time_label=days",
    "ICC (pain)": '"column.icc=ICC (pain)"',
    "cluster_id": "column.cluster_size=cluster_id",
    "design effect": "",
    "district": "",
    "units": "column.unit=units",
    "instrument": "",
    "sei": "column.se=sei",
    "vi": "",
    "weights": "",
    "subgroup": "column.condition=subgroup",
    "evnts": "",
}


@pytest.mark.parametrize(("name", "setting"), RESEMBLING.items(), ids=RESEMBLING)
def test_columns_that_resemble_ours_are_asked_about(name, setting):
    frame = frame_of("study,agent,events,n\nA,placebo,3,40\nA,x,9,41\nB,placebo,4,44\nB,x,9,47\n")
    frame[name] = ["1", "2", "3", "4"]
    if name in ("design effect", "evnts"):
        frame = frame.rename(columns={"design effect": "designeffect"})
        name = name.replace(" ", "")
    if name == "evnts":
        frame = frame.rename(columns={"evnts": "condtion"})
        name = "condtion"
    tree, questions = load(frame)
    assert [(issue.code, issue.column) for issue in questions] == [("E183", name)]
    assert setting in questions[0].hint
    assert tree.attrs["unread"] == (name,)
    tree, questions = load(frame, f"ignore={name}")
    assert not questions
    assert name in to_frame(tree, "results")


def test_one_cause_is_one_question():
    text = "study,agent,events,n,icc\nA,placebo,3,40,0.1\nA,x,9,41,0.1\n"
    assert set(asked(text)) == {("E234", "icc")}
    assert not asked(text, "ignore=icc")


@pytest.mark.parametrize("name", ["Dose (mg)", "Dose mg", "Dosage"])
def test_doses_of_arms_under_their_headings_are_read(name):
    text = f"Study,Drug,{name},Events,N\nA,placebo,0,3,40\nA,x,5,9,41\n"
    tree, questions = load(text)
    assert not questions
    assert to_frame(tree, "arms")["dose"].tolist() == [0, 5]
    assert name in tree.attrs["columns"]


@pytest.mark.parametrize("name", ["site/centre", "a//b", "/", "Dose (mg/kg)/day", "n/N"])
def test_any_name_of_a_column_is_possible(name):
    frame = frame_of("study,agent,events,n\nA,placebo,3,40\nA,x,9,41\n").assign(**{name: "u"})
    assert len(to_frame(load(frame, f"ignore={name}")[0], "results")) == 2


@pytest.mark.parametrize("label", ["Total", "OVERALL", "Subtotal:", "All studies", "pooled"])
def test_totals_are_left_out_or_refused(label):
    text = "study,agent,events,n\nA,placebo,3,40\nA,x,9,41\nB,placebo,4,44\nB,x,8,47\n"
    text += f"{label},placebo,7,84\n{label},x,{{}},88\nC,placebo,5,30\n"
    assert ("E194", 6, "study") in errors(text.format(17))
    text = text.replace("C,placebo,5,30\n", "")
    tree, _ = load(frame_of(text.format(17)))
    assert to_frame(tree, "studies")["study"].tolist() == ["A", "B"]
    assert any("(rows 6, 7)" in note for note in tree.attrs["notes"])
    assert ("E194", 7, "study") in errors(frame_of(text.format(18)))


def test_a_referent_compared_with_itself_is_left_out():
    text = "study,agent,dose,comparator,comparator_dose,estimate,se,measure\n"
    text += "A,x,0,x,0,0,{},log_RR\nA,x,5,x,0,0.13,0.21,log_RR\n"
    for se in ("0", "", "NA"):
        tree, _ = load(text.format(se))
        assert to_frame(tree, "contrasts")["line"].tolist() == [3]
    assert "E144" in {code for code, _, _ in errors(text.format("0.2"))}


@pytest.mark.parametrize("name", ["colour", "year", "age", "body_weight", "country", "sponsor"])
def test_other_columns_are_listed_and_kept(name):
    frame = frame_of("study,agent,events,n\nA,placebo,3,40\nA,x,9,41\n")
    frame[name] = ["1", "2"]
    tree, questions = load(frame)
    assert not questions
    assert tree.attrs["unread"] == (name,)
    assert to_frame(tree, "results")[name].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("columns", "cells", "column"),
    [
        ("se,sei", "0.20,0.31", "sei"),
        ("se,vi", "0.20,0.20", "vi"),
        ("se,variance", "0.20,0.31", "variance"),
    ],
)
def test_two_statements_of_one_quantity_must_agree(columns, cells, column):
    text = f"study,agent,comparator,estimate,{columns}\nA,x,p,0.5,{cells}\n"
    assert ("E186", 2, column) in errors(text)


@pytest.mark.parametrize(("columns", "cells"), [("se,sei", "0.20,0.2"), ("se,vi", "0.20,0.04")])
def test_equal_statements_are_not_asked_about(columns, cells):
    text = f"study,agent,comparator,estimate,{columns}\nA,x,p,0.5,{cells}\n"
    assert not asked(text)


@settings(max_examples=10, deadline=None)
@given(st.integers(10, 300), st.integers(0, 300), st.floats(2, 40))
def test_percentages_must_be_those_of_the_counts(n, events, shift):
    events = min(events, n)
    percent = round(100 * events / n, 1)
    text = "study,agent,events,n,percent\nA,placebo,5,50,10.0\nA,x,{},{},{:.1f}\n"
    assert not asked(text.format(events, n, percent))
    assert ("E186", 3, "percent") in errors(text.format(events, n, percent + shift))


# Codes of missing values.


@pytest.mark.parametrize("code", ["-9", "-99", "-999", "999", "9999", "-999.0", "-88"])
@pytest.mark.parametrize("column", ["events", "n"])
def test_codes_of_missing_values_are_asked_about(code, column):
    frame = frame_of(
        "study,agent,events,n\nA,placebo,3,40\nA,x,9,41\nB,placebo,4,44\nB,x,9,47\n"
        "C,placebo,4,44\nC,x,9,47\n"
    )
    frame.loc[1, column] = code
    questions = asked(frame)
    assert set(questions) == {("E189", column)}
    assert f"--set missing={code}" in questions["E189", column]


@pytest.mark.parametrize("value", ["12", "38", "99"])
def test_ordinary_numbers_are_not_codes(value):
    text = f"study,agent,events,n\nA,placebo,3,80\nA,x,9,{value}\nB,placebo,4,44\nB,x,9,47\n"
    assert not asked(text)


# Units of doses.


@pytest.mark.parametrize(
    ("unit", "other", "factor"),
    [
        ("mg", "ug", 1e3),
        ("mg/kg", "ug_per_kg", 1e3),
        ("g", "mg", 1e3),
        ("mg/kg/h", "ug/kg/min", 1e3 / 60),
        ("mg", "\u00b5g", 1e3),
        ("IU", "units", 1),
        ("mg a day", "mg/day", 1),
    ],
)
def test_doses_are_converted_where_that_is_exact(unit, other, factor):
    text = (
        "study,agent,dose,dose_unit,events,n\nA,placebo,0,,3,40\n"
        f"A,x,0.5,{unit},9,41\nB,placebo,0,,3,44\nB,x,0.5,{unit},9,41\n"
        f"C,placebo,0,,4,47\nC,x,{0.5 * factor!r},{other},9,49\n"
    )
    tree, questions = load(text)
    assert not questions
    arms = to_frame(tree, "arms")
    active = arms[arms["agent"] == "x"]
    np.testing.assert_allclose(active["dose"], 0.5)
    assert set(active["dose_unit"]) == {unit}


@pytest.mark.parametrize("pair", [("mg", "mg/kg"), ("mg", "mg/h"), ("mg", "mL"), ("IU", "mg")])
def test_units_that_do_not_convert_are_refused(pair):
    text = (
        "study,agent,dose,dose_unit,events,n\nA,placebo,0,,3,40\n"
        f"A,x,0.5,{pair[0]},9,41\nA,y,0.5,{pair[0]},9,41\nB,placebo,0,,3,44\nB,x,5,{pair[1]},9,41\n"
    )
    assert {code for code, _, _ in errors(text)} == {"E188"}


@pytest.mark.parametrize("unit", ["mg_per_moon", "mg**9**9", "milli", "m g / / kg", "x" * 500])
def test_unknown_units_are_refused(unit):
    assert parse_dose_unit(unit) is None
    text = f"study,agent,dose,dose_unit,events,n\nA,placebo,0,,3,40\nA,x,0.5,{unit},9,41\n"
    assert ("E187", 3, "dose_unit") in errors(text)


def test_units_in_cells_and_from_a_setting():
    text = "study,agent,dose,events,n\nA,placebo,0,3,40\nA,x,0.5 mg/kg,9,41\nB,placebo,0,3,40\n"
    tree, questions = load(text + "B,x,250 ug/kg,9,42\n")
    assert not questions
    assert to_frame(tree, "arms")["dose"].tolist() == [0, 0.5, 0, 0.25]
    assert set(asked(text + "B,x,0.25,9,42\n")) == {("E190", "dose_unit")}
    tree, questions = load(text + "B,x,0.25,9,42\n", "dose_unit=mg/kg")
    assert not questions
    assert to_frame(tree, "arms")["dose_unit"].tolist()[1::2] == ["mg/kg"] * 2


# Rows without a result.


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "nan"])
def test_rows_without_a_result_are_set_aside_with_their_comparator(cell):
    text = (
        f"study,agent,events,n\nA,placebo,3,40\nA,x,{cell},41\nB,placebo,4,44\nB,x,9,47\n"
        f"C,placebo,4,44\nC,x,9,47\nC,y,{cell},47\n"
    )
    tree, questions = load(text)
    assert not questions
    results = to_frame(tree, "results")
    reasons = dict(zip(results["line"], results["unusable"], strict=True))
    assert [line for line, reason in reasons.items() if reason] == [2, 3, 8]
    assert reasons[2] == "no comparator left"
    assert network_issues(tree) == []
    assert sum("Set aside" in note for note in tree.attrs["notes"]) == 2


def test_nothing_left_is_an_error():
    assert ("E120", 3, "events") in errors("study,agent,events,n\nA,placebo,3,40\nA,x,,41\n")


# Trials of one name.

SAME_NAME = (
    "study,agent,{0},events,n\nReed,placebo,{1},3,40\nReed,x,{1},9,41\n"
    "Reed,placebo,{2},4,44\nReed,x,{2},9,47\n"
)


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [("year", "2001", "2004"), ("pub_year", "2001", "2004"), ("trial id", "T1", "T2")],
)
def test_trials_of_one_name_are_told_apart_by_a_column(column, first, second):
    text = SAME_NAME.format(column, first, second)
    for sets in ((), (f"column.study=study+{column}",)):
        tree, questions = load(text, *sets)
        assert not questions
        assert to_frame(tree, "studies")["study"].tolist() == [f"Reed {first}", f"Reed {second}"]
        assert any(column in note for note in tree.attrs["notes"])


@pytest.mark.parametrize(("column", "first", "second"), [("country", "PL", "NO")])
def test_a_column_that_may_tell_trials_apart_is_asked_about(column, first, second):
    text = SAME_NAME.format(column, first, second)
    assert f"column.study=study+{column}" in asked(text)["E191", "study"]
    tree, questions = load(text, f"column.study=study+{column}")
    assert not questions
    assert to_frame(tree, "studies")["study"].tolist() == [f"Reed {first}", f"Reed {second}"]


def test_study_names_are_joined_in_every_format():
    text = "author,country,ai,n1i,ci,n2i\nOz,PL,3,40,5,41\nOz,NO,4,44,6,47\n"
    assert {code for code, _ in asked(text)} == {"E238"}
    tree, _ = load(text, "column.study=author+country")
    assert to_frame(tree, "studies")["study"].tolist() == ["Oz PL", "Oz NO"]
    assert ("E174", None, "") in errors(text, "column.study=author+city")


@pytest.mark.parametrize(
    ("column", "suggestion"), [("measure_used", "column.outcome"), ("site", "column.study")]
)
def test_repeated_arms_that_differ_are_never_to_be_deleted(column, suggestion):
    with pytest.raises(EvidenceError) as caught:
        load(SAME_NAME.format(column, "a", "b"))
    issue = next(issue for issue in caught.value.issues if issue.code == "E128")
    assert suggestion in issue.hint
    assert "delete" not in issue.hint.casefold()


# Arms of one agent in contrasts.


def test_contrasts_of_two_arms_of_one_agent():
    text = (
        "study,agent,arm,dose,comparator,estimate,se,comparator_se,measure\n"
        "A,x,slow,1,placebo,-0.5,0.2,0.14,SMD\nA,x,fast,1,placebo,-0.8,0.2,0.14,SMD\n"
        "B,x,,1,placebo,-0.4,0.2,,SMD\n"
    )
    tree, questions = load(text)
    assert not questions
    assert network_issues(tree) == []
    design = build_design(spec(outcome("normal_contrast", measures=[""])), tree)
    arms = design["arms"].to_dataset()["arm"].to_numpy().tolist()
    assert arms == ["A: x 1 (slow)", "A: x 1 (fast)", "A: placebo 0", "B: x 1", "B: placebo 0"]
    assert ("E127", 3, "estimate") in errors(text.replace("fast", "slow"))


def test_two_doses_of_one_agent_are_a_contrast():
    text = (
        "study,agent,dose,comparator,comparator_dose,estimate,se,measure\n"
        "A,x,1,placebo,0,-0.5,0.2,SMD\nB,x,2,x,1,-0.3,0.2,SMD\n"
    )
    assert network_issues(load(text)[0]) == []


# Settings for what rows lack.


def test_level_of_intervals_is_asked_for_and_set():
    text = "study,agent,comparator,estimate,ci_low,ci_high\nA,x,p,2,1,3\n"
    assert "--set ci_level=0.95" in asked(text)["E136", "ci_level"]
    tree, questions = load(text, "ci_level=0.95")
    assert not questions
    assert to_frame(tree, "contrasts")["se"].tolist() == pytest.approx([1 / 1.959964])


def test_correlation_before_and_after_is_asked_for_and_set():
    text = "study,agent,pre_mean,pre_sd,post_mean,post_sd,n\nA,placebo,50,4,40,3,13\n"
    text += "A,x,50,4,30,3,13\n"
    assert set(asked(text)) == {("E193", "pre_post_correlation")}
    tree, questions = load(text, "pre_post_correlation=0.5")
    assert not questions
    assert to_frame(tree, "results")["se_used"].tolist() == pytest.approx([1, 1])
