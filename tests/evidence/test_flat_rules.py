"""Numbers that a scale, or other numbers of their row, make impossible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.evidence.test_decisions import errors
from tests.evidence.test_labels import load

SCALES = st.tuples(st.integers(-20, 20), st.integers(1, 200))
few = settings(max_examples=12, deadline=None)


def table(mean, sd, low, high, *, change=0, n=40):
    head = "study,agent,mean,sd,n,is_change_score,scale_min,scale_max\n"
    middle = 0 if change else (low + high) / 2
    return (
        f"{head}A,placebo,{middle!r},{(high - low) / 10!r},{n},{change},{low},{high}\n"
        f"A,x,{mean!r},{sd!r},{n},{change},{low},{high}\n"
    )


@few
@given(SCALES, st.floats(0.001, 50), st.booleans())
def test_every_mean_outside_its_scale_is_refused(scale, beyond, below):
    low, high = scale[0], scale[0] + scale[1]
    mean = low - beyond if below else high + beyond
    assert errors(table(mean, scale[1] / 10, low, high)) == {("E184", 3, "mean")}


@few
@given(SCALES, st.floats(0, 1))
def test_every_mean_on_its_scale_is_accepted(scale, share):
    low, high = scale[0], scale[0] + scale[1]
    load(table(low + share * (high - low), scale[1] / 10, low, high))


@few
@given(SCALES, st.floats(-2, 2))
def test_a_change_is_at_most_the_width_of_the_scale(scale, share):
    assume(abs(abs(share) - 1) > 1e-6)
    low, high = scale[0], scale[0] + scale[1]
    text = table(share * scale[1], scale[1] / 10, low, high, change=1)
    if abs(share) > 1:
        assert errors(text) == {("E184", 3, "mean")}
    else:
        load(text)


@few
@given(SCALES, st.integers(2, 200), st.floats(0.2, 3), st.sampled_from([0, 1]))
def test_sds_larger_than_the_scale_allows_are_refused(scale, n, share, change):
    assume(abs(share - 1) > 0.02)
    low, high = scale[0], scale[0] + scale[1]
    bound = scale[1] / 2 * np.sqrt(n / (n - 1)) * (2 if change else 1)
    middle = 0.0 if change else (low + high) / 2
    text = table(middle, float(share * bound), low, high, change=change, n=n)
    if share > 1:
        assert errors(text) == {("E185", 3, "sd")}
    else:
        load(text)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_a_scale_that_is_set_is_checked(order):
    rows = ["A,placebo,5.1,2,40", "A,x,4.0,2,41", "B,placebo,55,2,50", "B,x,42,2,50"]
    text = "study,agent,mean,sd,n\n" + "\n".join(rows[i] for i in order) + "\n"
    outside = {("E184", order.index(2) + 2, "mean"), ("E184", order.index(3) + 2, "mean")}
    assert errors(text, "scale=0,10") == outside
    load(text, "scale=0,100")


def test_a_difference_larger_than_the_scale_is_refused():
    text = "study,agent,comparator,estimate,se,measure\nA,x,p,-12,1,MD\nB,x,p,-2,1,MD\n"
    assert errors(text, "scale=0,10") == {("E184", 2, "estimate")}


@pytest.mark.parametrize(
    ("columns", "cells", "error"),
    [
        ("mean,median,sd,n", "4,9,2,30", ("E186", "median")),
        ("mean,sd,min,max,n", "4,9,1,7,30", ("E140", "sd")),
        ("mean,sd,min,max,n", "4,0.2,1.0,7.0,30", ("E140", "sd")),
        (
            "change_mean,change_sd,pre_mean,post_mean,n",
            "-3.0,2,7.0,5.0,30",
            ("E186", "change_mean"),
        ),
    ],
)
def test_numbers_of_a_row_must_be_possible_together(columns, cells, error):
    good = {"4,9,2,30": "4,5,2,30", "4,9,1,7,30": "4,2,1,7,30", "4,0.2,1.0,7.0,30": "4,2,1,7,30"}
    fine = good.get(cells, "-2.0,2,7.0,5.0,30")
    text = f"study,agent,{columns}\nA,placebo,{fine}\nA,x,{cells}\n"
    assert errors(text) == {(error[0], 3, error[1])}


def test_units_of_an_outcome_must_be_one():
    text = "study,agent,mean,sd,n,unit\nA,placebo,5,1,40,mmol/L\nA,x,4,1,40,mmol/L\n"
    load(text)
    assert errors(text + "B,x,90,9,40,mg/dL\n") == {("E192", 4, "unit")}


@pytest.mark.parametrize("cells", [("yes", "no"), ("45%", "12%")])
def test_text_for_counts_is_one_error(cells):
    text = "study,agent,events,n\n" + "".join(f"A,x{i},{c},40\n" for i, c in enumerate(cells))
    assert errors(text) == {("E121", None, "events")}
