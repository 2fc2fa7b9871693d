"""Decision thresholds agree with exact fits of shifted results and priors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import linear_response
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import fit
from nmda_bayes.sensitivity.thresholds import (
    Perturbation,
    bias_perturbation,
    decide_by_best,
    decide_by_sign,
    decision_thresholds,
    prior_perturbation,
    trial_perturbations,
)
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS
from tests.support.issues import issues_when

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
    result = linear_response(of, "pain", [1.0]).isel(dose=0, agent=0, condition=0, drop=True)
    return result.reset_coords(drop=True)


def shifted(study: str, by: float) -> pd.DataFrame:
    active = (TABLE["study"] == study) & (TABLE["dose"] > 0)
    return TABLE.assign(mean=TABLE["mean"] + by * active)


def test_trial_threshold_agrees_with_exact_fit(exact: xr.DataTree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PRIOR_DRAWS, 50)
    draws = effect(exact)
    # A change of sign lies far out in the tails; a tenth less of the effect is within reach.
    nearly = 0.9 * float(draws.mean())
    (move,) = [m for m in trial_perturbations(exact, "pain", 12.0) if m.name == "B"]
    table = decision_thresholds([move], decide_by_sign(draws - nearly))
    (row,) = table.to_dict("records")
    assert row["decision"] == "below 0"
    assert np.isfinite(row["down"])  # the trial reports too low a pain, that is too much relief
    assert row["to_down"] == "above 0"
    # b is what the trial reports too much, so that its result without the bias is y − b.
    again = effect(an_exact_fit(shifted("B", -row["down"])))
    error = float(draws.std()) / np.sqrt(draws.size)
    # Two means of 8,000 independent draws, and weights that leave a third of them.
    assert float(again.mean()) == pytest.approx(nearly, abs=4 * error * np.sqrt(1 + 3))


def test_prior_threshold_agrees_with_exact_fit(exact: xr.DataTree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PRIOR_DRAWS, 50)
    draws = effect(exact)
    nearly = 0.985 * float(draws.mean())
    move = prior_perturbation(exact, "pain", "slope", "location", 20.0)
    (row,) = decision_thresholds([move], decide_by_sign(draws - nearly)).to_dict("records")
    assert np.isfinite(row["up"])
    again = effect(an_exact_fit(mu=row["up"]))
    error = float(draws.std()) / np.sqrt(draws.size)
    assert float(again.mean()) == pytest.approx(nearly, abs=4 * error * np.sqrt(2))


def test_unreliable_weights_give_no_threshold(exact: xr.DataTree):
    move = bias_perturbation(exact, "pain", ["A", "B", "C"], 500.0)
    (row,) = decision_thresholds([move], decide_by_sign(effect(exact))).to_dict("records")
    assert np.isnan(row["down"])
    assert np.isnan(row["up"])
    assert "refit" in row["text"]


def test_best_of_several_options_changes():
    """Two options and a perturbation that favours the second."""
    random = np.random.default_rng(1)
    first, second = random.normal(0.1, 1, 4000), random.normal(0, 1, 4000)
    options = xr.DataArray(
        np.stack([first, second])[:, None],
        dims=("dose", "chain", "draw"),
        coords={"dose": ["low", "high"]},
    )
    move = Perturbation("a hint", lambda b: b * second, 1.0)
    (row,) = decision_thresholds([move], decide_by_best(options)).to_dict("records")
    assert (row["decision"], row["to_up"]) == ("low", "high")
    # exp(b x) tilts a standard normal's mean to b: the gap of the means, with their error.
    gap = first.mean() - second.mean()
    assert row["up"] == pytest.approx(gap, abs=4 / np.sqrt(4000))
    assert np.isnan(row["down"])
    assert "refit" not in row["text"]


def test_counts_are_shifted_on_the_logit_scale(fit_by_hand):
    outcome = specs.outcome("binomial", "constant", "none")
    spec = specs.spec(outcome)
    random = np.random.default_rng(2)
    shape = ("chain", "draw")
    arms = 7
    eta = xr.DataArray(random.normal(-2, 0.2, (1, 500, arms)), dims=(*shape, "arm"))
    result = fit_by_hand(spec, specs.binary_table(name="pain"), {"eta": eta})
    move = bias_perturbation(result, "pain", ["A"], 1.0)
    x = eta.to_numpy()[0, :, 1]
    events, n = 4, 20

    def logp(z):
        return events * z - n * np.log1p(np.exp(z))

    np.testing.assert_allclose(move.log_ratio(0.3), logp(x + 0.3) - logp(x), rtol=1e-9)


def test_unknown_names_are_reported(exact: xr.DataTree):
    (issue,) = issues_when(lambda: bias_perturbation(exact, "pain", ["Z"], 1.0), SpecError)
    assert (issue.code, issue.column) == ("E670", "outcomes.pain")
    (issue,) = issues_when(
        lambda: prior_perturbation(exact, "pain", "emax", "location", 1.0), SpecError
    )
    assert (issue.code, issue.column) == ("E672", "pain.emax.location")
