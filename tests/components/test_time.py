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

from nmda_bayes.components.time import AFTER, COURSES, SINCE

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


@pytest.fixture(params=list(COURSES))
def one(request):
    return COURSES[request.param].given(OPTIONS.get(request.param, {}))


def of_draws(one):
    draws = xr.DataArray(np.ones(3), dims="draw")
    return {name: VALUES[name] * draws for name in one.parameters}


def test_share_by_hand_with_treatment_of_four_hours(one):
    clocks = {AFTER: HOURS, SINCE: HOURS + 4.0}
    share = one.share(clocks, of_draws(one), np) + 0.0 * HOURS
    if one.parameters:
        assert set(share.dims) == {"hour", "draw"}
        share = share.isel(draw=0)
    np.testing.assert_allclose(share, SHARES[one.name], rtol=1e-12)


def test_graph_and_numpy_are_one_formula_and_gradients_are_finite(one):
    hours = {AFTER: HOURS, SINCE: HOURS + 4.0}
    clocks = {k: pmd.as_xtensor(v.to_numpy(), dims=("hour",)) for k, v in hours.items()}
    scalars = {name: pt.dscalar(name) for name in one.parameters}
    share = one.share(clocks, {n: pmd.as_xtensor(v, dims=()) for n, v in scalars.items()}, xp)
    if not scalars:
        assert share == 1.0
        return
    wrt = list(scalars.values())
    total = rewrite_graph(share.values.sum(), include=("lower_xtensor",))
    outputs = [share.values, *pytensor.grad(total, wrt)]
    evaluate = pytensor.function(wrt, outputs, mode="FAST_COMPILE")
    values, *gradients = evaluate(*(VALUES[name] for name in scalars))
    np.testing.assert_allclose(values, SHARES[one.name], rtol=1e-12)
    assert np.isfinite(gradients).all()


def test_a_course_reads_only_the_clocks_that_it_names(one):
    first = list(inspect.signature(one.formula).parameters)[: len(one.clocks)]
    assert tuple(first) == one.clocks
    asked = dict.fromkeys(one.clocks, HOURS)
    one.share(asked, of_draws(one), np)  # no other clock is asked for


def test_a_slow_onset_leaves_less_of_the_effect_at_every_hour():
    decay, onset = COURSES["exponential_decay"], COURSES["onset_and_decay"]
    clocks = {AFTER: HOURS, SINCE: HOURS + 4.0}
    assert (onset.share(clocks, VALUES, np) < decay.share(clocks, VALUES, np)).all()


@pytest.mark.parametrize("edges", [None, [], [2, 2], [5, 1], [-1, 3], ["2"], [True], [np.nan], 2])
def test_edges_that_are_none_are_refused_with_the_mend(edges):
    options = {} if edges is None else {"edges": edges}
    faults = list(COURSES["steps"].option_faults(options))
    assert len(faults) == 1
    name, message, mend = faults[0]
    assert name == "edges"
    assert "edges" in message
    assert "course_options = { edges = [2, 24] }" in mend
    with pytest.raises(ValueError, match="edges"):
        COURSES["steps"].given(options)


def test_an_option_of_another_course_is_refused():
    faults = list(COURSES["exponential_decay"].option_faults({"edges": [2]}))
    assert [name for name, _, _ in faults] == ["edges"]
