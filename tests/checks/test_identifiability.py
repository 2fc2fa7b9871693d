"""Prior and posterior compared, on draws made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes.checks import reported_parameters
from nmda_bayes.checks.prior_influence import (
    INFORMED,
    NO_TRIAL,
    PRIOR_ONLY,
    WEAK,
    identifiability,
    prior_posterior_overlap,
)
from tests.support import specs
from tests.support.fits import draws, make_fit

N = 4000
AGENTS = ["ketamine", "mem"]


def quantiles(dist=stats.norm) -> np.ndarray:
    """A sample without sampling error."""
    return dist.ppf((np.arange(N) + 0.5) / N)


def fit_with(**posterior: xr.DataArray) -> xr.DataTree:
    outcome = specs.outcome("normal", "emax", parameters={"emax": specs.parameter("agent")})
    rng = np.random.default_rng(5)
    prior = {
        name: array.copy(data=rng.permutation(quantiles())[None].reshape(1, N))
        if array.ndim == 2
        else array.copy(data=np.stack([quantiles(), quantiles()], axis=-1)[None])
        for name, array in posterior.items()
    }
    return make_fit(specs.spec(outcome), specs.normal_table(), posterior, prior)


def agents(*samples: np.ndarray) -> xr.DataArray:
    return draws(np.stack(samples, axis=-1), "agent", agent=AGENTS)


def test_a_cell_without_a_trial_is_never_informed():
    outcome = specs.outcome(
        "normal", "linear", "none", {"slope": specs.parameter("agent_and_condition")}
    )
    # Ketamine was tested in crps only and mem in fibro only; every posterior is far from its prior.
    cells = {"agent": AGENTS, "condition": ["crps", "fibro"]}
    posterior = draws(np.tile(quantiles()[:, None, None] * 0.1 + 3, (1, 2, 2)), *cells, **cells)
    prior = draws(np.tile(quantiles()[:, None, None], (1, 2, 2)), *cells, **cells)
    fit = make_fit(
        specs.spec(outcome), specs.normal_table(), {"slope": posterior}, {"slope": prior}
    )
    table = identifiability(fit).set_index("at")
    assert table["conclusion"].to_dict() == {
        "agent=ketamine, condition=crps": INFORMED,
        "agent=ketamine, condition=fibro": NO_TRIAL,
        "agent=mem, condition=crps": NO_TRIAL,
        "agent=mem, condition=fibro": INFORMED,
    }


def test_conclusions_by_overlap():
    fit = fit_with(
        log_ed50=draws(quantiles()),
        heterogeneity_sd=draws(quantiles(stats.norm(0, 0.4))),
        emax=agents(quantiles(stats.norm(0.8, 0.9)), quantiles(stats.norm(3, 0.2))),
    )
    table = identifiability(fit).set_index(["variable", "at"])
    assert list(table.columns) == ["prior_sd", "posterior_sd", "overlap", "conclusion"]
    assert table["conclusion"].to_dict() == {
        ("log_ed50", ""): PRIOR_ONLY,
        ("heterogeneity_sd", ""): WEAK,
        ("emax", "agent=ketamine"): WEAK,
        ("emax", "agent=mem"): INFORMED,
    }
    # Half of the central 68% interval of a normal is its SD, up to 0.6%: 0.16 is not Φ(-1).
    np.testing.assert_allclose(table["prior_sd"], 1.0, rtol=0.01)
    assert table.loc[("emax", "agent=mem"), "posterior_sd"] == pytest.approx(0.2, rel=0.01)


def test_an_agent_without_a_trial():
    slope = {"slope": specs.parameter("agent")}
    outcomes = [specs.outcome(k, "linear", "none", slope) for k in ("normal", "binomial")]
    table = specs.both_tables()
    table = table[~((table["outcome"] == "harm") & (table["study"] == "C"))]
    sample = agents(quantiles(stats.norm(3, 0.2)), quantiles(stats.norm(3, 0.2)))
    prior = agents(quantiles(), quantiles())
    names = ["pain::slope", "harm::slope"]
    fit = make_fit(
        specs.spec(*outcomes), table, dict.fromkeys(names, sample), dict.fromkeys(names, prior)
    )
    conclusions = identifiability(fit).set_index(["variable", "at"])["conclusion"]
    assert conclusions["harm::slope", "agent=mem"] == NO_TRIAL
    assert conclusions["harm::slope", "agent=ketamine"] == INFORMED
    assert conclusions["pain::slope", "agent=mem"] == INFORMED


def test_an_agent_with_a_comma_in_its_name():
    """Without a trial, the conclusion depends on the name only."""
    slope = {"slope": specs.parameter("agent")}
    outcomes = [specs.outcome(k, "linear", "none", slope) for k in ("normal", "binomial")]
    table = specs.both_tables().replace({"mem": "memantine, extended = XR"})
    table = table[~((table["outcome"] == "harm") & (table["study"] == "C"))]
    sample = agents(quantiles(), quantiles())
    sample = sample.assign_coords(agent=["ketamine", "memantine, extended = XR"])
    fit = make_fit(specs.spec(*outcomes), table, {"pain::slope": sample, "harm::slope": sample})
    table = identifiability(fit)
    rows = table[table["at"].str.contains("memantine") & (table["variable"] == "harm::slope")]
    assert rows["conclusion"].tolist() == [NO_TRIAL]


@pytest.mark.parametrize(
    ("posterior", "overlap"),
    [
        (stats.norm(), 1.0),
        (stats.norm(10, 0.1), 0.0),
        # A uniform posterior on the central half of the prior's probability covers half of it.
        (stats.uniform(-0.6745, 1.349), 0.5),
    ],
)
def test_overlap(posterior, overlap):
    # One of twenty bins may be shared at each edge.
    assert prior_posterior_overlap(quantiles(), quantiles(posterior)) == pytest.approx(
        overlap, abs=0.06
    )


def test_overlap_is_that_of_two_normals():
    """Half the SD and the same mean: an overlap of 0.68 by the densities."""
    x = np.linspace(-8, 8, 200_001)
    expected = np.minimum(stats.norm.pdf(x), stats.norm(0, 0.5).pdf(x)).sum() * (x[1] - x[0])
    # Twenty bins blur the crossing of the densities, by less than the probability of one.
    assert prior_posterior_overlap(quantiles(), quantiles(stats.norm(0, 0.5))) == pytest.approx(
        expected, abs=0.05
    )


def test_two_samples_of_one_distribution_are_prior_only():
    rng = np.random.default_rng(2)
    assert prior_posterior_overlap(rng.normal(size=N), rng.normal(size=N)) > 0.93


def test_nuisances_and_logarithms_are_not_reported_twice(quick_fit: xr.DataTree):
    names = reported_parameters(quick_fit)
    assert set(names) == {
        "heterogeneity_correlation",
        *(f"{o}::{p}" for o in ("pain", "harm") for p in ("emax", "log_ed50", "heterogeneity_sd")),
    }


def test_a_posterior_equal_to_the_prior_is_prior_only(quick_fit: xr.DataTree):
    table = identifiability(quick_fit)
    assert len(table) == 7
    assert set(table["conclusion"]) == {PRIOR_ONLY}
