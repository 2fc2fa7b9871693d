"""Predictive checks on replicates made by hand, and all of `diagnose`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.checks import Diagnostics, diagnose
from nmda_bayes.checks.diagnostics import predictive_checks
from nmda_bayes.checks.prior_influence import prior_sensitivity
from nmda_bayes.evidence import load_evidence
from tests.support import specs
from tests.support.fits import draws, make_fit


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


def test_p_values_of_replicates():
    observed = np.arange(7.0)
    shifts = np.array([-1.0, -1.0, 1.0, 2.0])
    table = replicated("normal", observed, observed + shifts[:, None])
    assert list(table.columns) == ["observed", "prior_p", "posterior_p"]
    assert table["observed"].to_dict() == {
        ("pain", "mean over arms"): 3.0,
        ("pain", "SD over arms"): 2.0,
        ("pain", "smallest"): 0.0,
        ("pain", "largest"): 6.0,
    }
    shares = table["posterior_p"].to_dict()
    assert shares["pain", "mean over arms"] == 0.5
    assert shares["pain", "largest"] == 0.5
    assert shares["pain", "SD over arms"] == pytest.approx(0.5)  # all equal: half of each


def test_ties_count_half():
    events = specs.TRIALS["events"].to_numpy(float)
    replicates = np.stack([events, events, events + 1, np.maximum(events - 1, 0)])
    table = replicated("binomial", events, replicates)
    shares = table["posterior_p"].to_dict()
    # Sums: two equal, one above, one below.
    assert shares["pain", "events in all arms"] == (1 + 2 / 2) / 4
    # One arm is without an event; in the replicates 1, 1, 0 and 2 are.
    assert shares["pain", "arms without an event"] == (1 + 2 / 2) / 4
    assert table.loc[("pain", "arms without an event"), "observed"] == 1


def test_replicates_on_one_side_are_zero_or_one():
    observed = np.arange(7.0)
    table = replicated("normal", observed, observed + np.array([[5.0], [6.0]]))
    assert table.loc[("pain", "smallest"), "posterior_p"] == 1.0
    table = replicated("normal", observed, observed - np.array([[5.0], [6.0]]))
    assert table.loc[("pain", "smallest"), "prior_p"] == 0.0


def test_prior_sensitivity_has_a_row_per_parameter(quick_fit: xr.DataTree):
    table = prior_sensitivity(quick_fit)
    assert {"variable", "prior", "likelihood", "diagnosis"} <= set(table.columns)
    assert {"pain::emax", "harm::log_ed50"} <= set(table["variable"])
    assert not table["variable"].str.contains("baseline").any()
    assert (table["prior"] >= 0).all()


def test_diagnose_has_all_tables(quick_fit: xr.DataTree):
    checks = diagnose(quick_fit)
    assert isinstance(checks, Diagnostics)
    assert checks.passed is bool(checks.convergence["passed"].all())
    for table in (checks.scalars, checks.identifiability, checks.predictive):
        assert not table.empty
    with pytest.raises(AttributeError):
        checks.convergence = checks.scalars  # type: ignore[misc]


def test_one_divergence_fails_the_checks(quick_fit: xr.DataTree):
    diverging = quick_fit.copy()
    stats = diverging["sample_stats"].to_dataset().copy(deep=True)
    stats["diverging"][0, 0] = True
    diverging["sample_stats"] = xr.DataTree(stats)
    assert not diagnose(diverging).passed


@pytest.mark.usefixtures("mocked_sampler")
def test_contrasts_are_checked_as_numbers():
    spec = specs.spec(specs.outcome("normal_contrast", "linear"))
    table = diagnose(inference.fit(spec, load_evidence(specs.CONTRASTS))).predictive
    assert list(table["statistic"]) == ["mean over arms", "SD over arms", "smallest", "largest"]
    assert table["observed"].tolist()[2:] == [-11.0, -1.0]
