"""Time courses: values by hand, limits, gradients, options."""

import inspect

import numpy as np
import pymc.dims as pmd
import pytensor
import pytensor.tensor as pt
import pytensor.xtensor.math as xp
import pytest
import xarray as xr
from pytensor.graph.rewriting.utils import rewrite_graph

from nmda_bayes.components.time_courses import HOURS_AFTER_END, HOURS_SINCE_START, TIME_COURSES

HOURS = xr.DataArray([-3.0, 0.0, 2.0, 6.0, 24.0], dims="hour")
EDGES = (2.0, 12.0)
OPTIONS = {"steps": {"edges": EDGES}}
VALUES = {
    "log_half_life": np.log(6.0),
    "log_onset_half_life": np.log(1.5),
    "share_1": 0.4,
    "share_2": -0.1,
}
SHARES = {
    "constant": [1, 1, 1, 1, 1],
    "exponential_decay": [1, 1, 2 ** (-1 / 3), 0.5, 2**-4],
    "onset_and_decay": [
        1 - 2 ** (-1 / 1.5),
        1 - 2 ** (-4 / 1.5),
        (1 - 2 ** (-6 / 1.5)) * 2 ** (-1 / 3),
        (1 - 2 ** (-10 / 1.5)) * 0.5,
        (1 - 2 ** (-28 / 1.5)) * 2**-4,
    ],
    "steps": [1, 1, 1, 0.4, -0.1],
}


@pytest.fixture(params=list(TIME_COURSES))
def course(request):
    return TIME_COURSES[request.param].with_options(OPTIONS.get(request.param, {}))


def of_draws(course):
    draws = xr.DataArray(np.ones(3), dims="draw")
    return {name: VALUES[name] * draws for name in course.parameters}


def test_share_by_hand(course):
    clocks = {HOURS_AFTER_END: HOURS, HOURS_SINCE_START: HOURS + 4.0}
    share = course.share(clocks, of_draws(course), np) + 0.0 * HOURS
    if course.parameters:
        assert set(share.dims) == {"hour", "draw"}
        share = share.isel(draw=0)
    np.testing.assert_allclose(share, SHARES[course.name], rtol=1e-12)


def test_graph_equals_numpy(course):
    hours = {HOURS_AFTER_END: HOURS, HOURS_SINCE_START: HOURS + 4.0}
    clocks = {k: pmd.as_xtensor(v.to_numpy(), dims=("hour",)) for k, v in hours.items()}
    scalars = {name: pt.dscalar(name) for name in course.parameters}
    share = course.share(clocks, {n: pmd.as_xtensor(v, dims=()) for n, v in scalars.items()}, xp)
    if not scalars:
        assert share == 1.0
        return
    wrt = list(scalars.values())
    total = rewrite_graph(share.values.sum(), include=("lower_xtensor",))
    outputs = [share.values, *pytensor.grad(total, wrt)]
    evaluate = pytensor.function(wrt, outputs, mode="FAST_COMPILE")
    values, *gradients = evaluate(*(VALUES[name] for name in scalars))
    np.testing.assert_allclose(values, SHARES[course.name], rtol=1e-12)
    assert np.isfinite(gradients).all()


def test_course_reads_only_its_clocks(course):
    first = list(inspect.signature(course.formula).parameters)[: len(course.clocks)]
    assert tuple(first) == course.clocks
    clocks = dict.fromkeys(course.clocks, HOURS)
    course.share(clocks, of_draws(course), np)  # no other clock is clocks for


def test_onset_reduces_the_share():
    decay, onset = TIME_COURSES["exponential_decay"], TIME_COURSES["onset_and_decay"]
    clocks = {HOURS_AFTER_END: HOURS, HOURS_SINCE_START: HOURS + 4.0}
    assert (onset.share(clocks, VALUES, np) < decay.share(clocks, VALUES, np)).all()


@pytest.mark.parametrize("edges", [None, [], [2, 2], [5, 1], [-1, 3], ["2"], [True], [np.nan], 2])
def test_invalid_edges_are_rejected(edges):
    options = {} if edges is None else {"edges": edges}
    issues = list(TIME_COURSES["steps"].option_issues(options))
    assert len(issues) == 1
    name, message, hint = issues[0]
    assert name == "edges"
    assert "edges" in message
    assert "course_options = { edges = [2, 24] }" in hint
    with pytest.raises(ValueError, match="edges"):
        TIME_COURSES["steps"].with_options(options)


def test_option_of_another_course_is_rejected():
    issues = list(TIME_COURSES["exponential_decay"].option_issues({"edges": [2]}))
    assert [name for name, _, _ in issues] == ["edges"]
