"""How far results must move, held to exact fits of moved results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import linear_response
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import fit
from nmda_bayes.sensitivity.moves import Move, bias_move, prior_move, trial_moves
from nmda_bayes.sensitivity.thresholds import best_of, sign_of, thresholds
from tests import specs
from tests.conftest import PRIOR_DRAWS

TABLE = specs.normal_table()


def an_exact_fit(table: pd.DataFrame = TABLE, **location: float) -> xr.DataTree:
    """A linear curve of one slope: the posterior of the slope is normal given the heterogeneity."""
    parameters = {
        "slope": specs.parameter(location=specs.normal(**{"mu": 0, "sigma": 5} | location)),
        "baseline": specs.parameter("independent", each=specs.normal(50, 30)),
    }
    outcome = specs.outcome("normal", "linear", "none", parameters=parameters)
    sampling = {"seed": 1, "chains": 4, "draws": 2000, "method": "exact"}
    return fit(specs.spec(outcome, sampling=sampling), load_evidence(table))


@pytest.fixture(scope="module")
def exact() -> xr.DataTree:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PRIOR_DRAWS, 50)
        return an_exact_fit()


def effect(of: xr.DataTree) -> xr.DataArray:
    found = linear_response(of, "pain", [1.0]).isel(dose=0, agent=0, condition=0, drop=True)
    return found.reset_coords(drop=True)


def moved(study: str, by: float) -> pd.DataFrame:
    active = (TABLE["study"] == study) & (TABLE["dose"] > 0)
    return TABLE.assign(mean=TABLE["mean"] + by * active)


def test_a_trial_must_move_as_far_as_an_exact_fit_of_the_moved_results_says(
    exact: xr.DataTree, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PRIOR_DRAWS, 50)
    draws = effect(exact)
    # A change of sign lies far out in the tails; a tenth less of the effect is within reach.
    nearly = 0.9 * float(draws.mean())
    (move,) = [m for m in trial_moves(exact, "pain", 12.0) if m.name == "B"]
    table = thresholds([move], sign_of(draws - nearly))
    (row,) = table.to_dict("records")
    assert row["decision"] == "below 0"
    assert np.isfinite(row["down"])  # the trial reports too low a pain, that is too much relief
    assert row["to_down"] == "above 0"
    # b is what the trial reports too much, so that its result without the bias is y − b.
    again = effect(an_exact_fit(moved("B", -row["down"])))
    error = float(draws.std()) / np.sqrt(draws.size)
    # Two means of 8,000 independent draws, and weights that leave a third of them.
    assert float(again.mean()) == pytest.approx(nearly, abs=4 * error * np.sqrt(1 + 3))


def test_a_prior_must_move_as_far_as_an_exact_fit_under_it_says(
    exact: xr.DataTree, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PRIOR_DRAWS, 50)
    draws = effect(exact)
    nearly = 0.985 * float(draws.mean())
    move = prior_move(exact, "pain", "slope", "location", 20.0)
    (row,) = thresholds([move], sign_of(draws - nearly)).to_dict("records")
    assert np.isfinite(row["up"])
    again = effect(an_exact_fit(mu=row["up"]))
    error = float(draws.std()) / np.sqrt(draws.size)
    assert float(again.mean()) == pytest.approx(nearly, abs=4 * error * np.sqrt(2))


def test_where_weights_fail_no_number_is_given(exact: xr.DataTree):
    move = bias_move(exact, "pain", ["A", "B", "C"], 500.0)
    (row,) = thresholds([move], sign_of(effect(exact))).to_dict("records")
    assert np.isnan(row["down"])
    assert np.isnan(row["up"])
    assert "only a refit can say" in row["said"]


def test_the_best_of_several_changes_with_what_holds_it_up():
    """Two options and a hand-made move that speaks for the second."""
    random = np.random.default_rng(1)
    first, second = random.normal(0.1, 1, 4000), random.normal(0, 1, 4000)
    options = xr.DataArray(
        np.stack([first, second])[:, None],
        dims=("dose", "chain", "draw"),
        coords={"dose": ["low", "high"]},
    )
    move = Move("a hint", lambda b: b * second, 1.0)
    (row,) = thresholds([move], best_of(options)).to_dict("records")
    assert (row["decision"], row["to_up"]) == ("low", "high")
    # exp(b x) tilts a standard normal's mean to b: the gap of the means, with their error.
    gap = first.mean() - second.mean()
    assert row["up"] == pytest.approx(gap, abs=4 / np.sqrt(4000))
    assert np.isnan(row["down"])
    assert "down: unchanged to 1" in row["said"]


def test_counts_move_on_the_logit_scale(fit_by_hand):
    outcome = specs.outcome("binomial", "constant", "none")
    spec = specs.spec(outcome)
    random = np.random.default_rng(2)
    shape = ("chain", "draw")
    arms = 7
    eta = xr.DataArray(random.normal(-2, 0.2, (1, 500, arms)), dims=(*shape, "arm"))
    found = fit_by_hand(spec, specs.binary_table(name="pain"), {"eta": eta})
    move = bias_move(found, "pain", ["A"], 1.0)
    x = eta.to_numpy()[0, :, 1]
    events, n = 4, 20

    def logp(z):
        return events * z - n * np.log1p(np.exp(z))

    np.testing.assert_allclose(move.log_ratio(0.3), logp(x + 0.3) - logp(x), rtol=1e-9)


def test_what_is_not_there_is_told(exact: xr.DataTree):
    with pytest.raises(SpecError, match="no study of 'pain' is called 'Z'"):
        bias_move(exact, "pain", ["Z"], 1.0)
    with pytest.raises(SpecError, match="no prior with a location at 'pain.emax.location'"):
        prior_move(exact, "pain", "emax", "location", 1.0)
