"""Predictive checks on replicates written by hand, and the whole of `check`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.checks import Checks, check
from nmda_bayes.checks.predictive import predictive_checks
from nmda_bayes.checks.prior_sensitivity import prior_sensitivity
from nmda_bayes.evidence import load_evidence
from tests import specs
from tests.conftest import draws, make_fit


def replicated(likelihood: str, observed: np.ndarray, replicates: np.ndarray) -> pd.DataFrame:
    table = specs.normal_table() if likelihood == "normal" else specs.binary_table(name="pain")
    outcome = specs.outcome(likelihood, "constant", "none")
    predicted = xr.Dataset({"reported": draws(replicates, "arm")})
    fit = make_fit(
        specs.spec(outcome),
        table,
        {"effect": draws(np.zeros(len(replicates)))},
        observed_data=xr.Dataset({"reported": ("arm", observed)}),
        prior_predictive=predicted,
        posterior_predictive=predicted,
    )
    return predictive_checks(fit).set_index(["outcome", "statistic"])


def test_shares_of_replicates_at_least_as_large():
    observed = np.arange(7.0)
    shifts = np.array([-1.0, -1.0, 1.0, 2.0])
    found = replicated("normal", observed, observed + shifts[:, None])
    assert list(found.columns) == ["observed", "prior_p", "posterior_p"]
    assert found["observed"].to_dict() == {
        ("pain", "mean over arms"): 3.0,
        ("pain", "SD over arms"): 2.0,
        ("pain", "smallest"): 0.0,
        ("pain", "largest"): 6.0,
    }
    shares = found["posterior_p"].to_dict()
    assert shares["pain", "mean over arms"] == 0.5
    assert shares["pain", "largest"] == 0.5
    assert shares["pain", "SD over arms"] == pytest.approx(0.5)  # all equal: half of each


def test_ties_count_half():
    events = specs.TRIALS["events"].to_numpy(float)
    replicates = np.stack([events, events, events + 1, np.maximum(events - 1, 0)])
    found = replicated("binomial", events, replicates)
    shares = found["posterior_p"].to_dict()
    # Sums: two equal, one above, one below.
    assert shares["pain", "events in all arms"] == (1 + 2 / 2) / 4
    # One arm is without an event; in the replicates 1, 1, 0 and 2 are.
    assert shares["pain", "arms without an event"] == (1 + 2 / 2) / 4
    assert found.loc[("pain", "arms without an event"), "observed"] == 1


def test_replicates_on_one_side_are_zero_or_one():
    observed = np.arange(7.0)
    found = replicated("normal", observed, observed + np.array([[5.0], [6.0]]))
    assert found.loc[("pain", "smallest"), "posterior_p"] == 1.0
    found = replicated("normal", observed, observed - np.array([[5.0], [6.0]]))
    assert found.loc[("pain", "smallest"), "prior_p"] == 0.0


def test_prior_sensitivity_has_a_row_a_parameter(quick_fit: xr.DataTree):
    found = prior_sensitivity(quick_fit)
    assert {"variable", "prior", "likelihood", "diagnosis"} <= set(found.columns)
    assert {"pain::emax", "harm::log_ed50"} <= set(found["variable"])
    assert not found["variable"].str.contains("baseline").any()
    assert (found["prior"] >= 0).all()


def test_check_holds_all_tables_and_a_verdict(quick_fit: xr.DataTree):
    found = check(quick_fit)
    assert isinstance(found, Checks)
    assert found.passed is bool(found.gate["passed"].all())
    for table in (found.diagnostics, found.identifiability, found.predictive):
        assert not table.empty
    with pytest.raises(AttributeError):
        found.gate = found.diagnostics  # type: ignore[misc]


def test_check_refuses_what_its_gate_refuses(quick_fit: xr.DataTree):
    wrong = quick_fit.copy()
    stats = wrong["sample_stats"].to_dataset().copy(deep=True)
    stats["diverging"][0, 0] = True
    wrong["sample_stats"] = xr.DataTree(stats)
    assert not check(wrong).passed


@pytest.mark.usefixtures("mocked_sampler")
def test_contrasts_are_checked_as_numbers():
    spec = specs.spec(specs.outcome("normal_contrast", "linear"))
    found = check(inference.fit(spec, load_evidence(specs.CONTRASTS)))
    assert set(found.predictive["statistic"]) == {
        "mean over arms", "SD over arms", "smallest", "largest"}  # fmt: skip
    assert found.predictive["observed"].tolist()[2:] == [-11.0, -1.0]
