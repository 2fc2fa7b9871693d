"""What the data said of each parameter, on priors and posteriors planted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes.checks import parameters_of
from nmda_bayes.checks.identifiability import (
    INFORMED,
    NO_TRIAL,
    PRIOR_ONLY,
    WEAK,
    identifiability,
    overlap_of,
)
from tests import specs
from tests.conftest import draws, make_fit

N = 4000
AGENTS = ["ketamine", "mem"]


def quantiles(dist=stats.norm) -> np.ndarray:
    """A sample without sampling error."""
    return dist.ppf((np.arange(N) + 0.5) / N)


def planted(**posterior: xr.DataArray) -> xr.DataTree:
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


def test_verdicts_on_a_posterior_that_is_the_prior_and_ones_that_are_not():
    fit = planted(
        log_ed50=draws(quantiles()),
        heterogeneity_sd=draws(quantiles(stats.norm(0, 0.4))),
        emax=agents(quantiles(stats.norm(0.8, 0.9)), quantiles(stats.norm(3, 0.2))),
    )
    found = identifiability(fit).set_index(["variable", "at"])
    assert list(found.columns) == ["prior_sd", "posterior_sd", "overlap", "verdict"]
    assert found["verdict"].to_dict() == {
        ("log_ed50", ""): PRIOR_ONLY,
        ("heterogeneity_sd", ""): WEAK,
        ("emax", "agent=ketamine"): WEAK,
        ("emax", "agent=mem"): INFORMED,
    }
    # Half of the central 68 % of a normal is its SD, to the 0.6 % by which 0.16 is not Φ(-1).
    np.testing.assert_allclose(found["prior_sd"], 1.0, rtol=0.01)
    assert found.loc[("emax", "agent=mem"), "posterior_sd"] == pytest.approx(0.2, rel=0.01)


def test_an_agent_without_a_trial_says_that_it_rests_on_the_others():
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
    verdicts = identifiability(fit).set_index(["variable", "at"])["verdict"]
    assert verdicts["harm::slope", "agent=mem"] == NO_TRIAL
    assert verdicts["harm::slope", "agent=ketamine"] == INFORMED
    assert verdicts["pain::slope", "agent=mem"] == INFORMED


def test_an_agent_whose_name_has_a_comma_is_told_apart():
    """No trial of it: the verdict hangs on its name alone."""
    slope = {"slope": specs.parameter("agent")}
    outcomes = [specs.outcome(k, "linear", "none", slope) for k in ("normal", "binomial")]
    table = specs.both_tables().replace({"mem": "memantine, extended = XR"})
    table = table[~((table["outcome"] == "harm") & (table["study"] == "C"))]
    sample = agents(quantiles(), quantiles())
    sample = sample.assign_coords(agent=["ketamine", "memantine, extended = XR"])
    fit = make_fit(specs.spec(*outcomes), table, {"pain::slope": sample, "harm::slope": sample})
    found = identifiability(fit)
    mine = found[found["at"].str.contains("memantine") & (found["variable"] == "harm::slope")]
    assert mine["verdict"].tolist() == [NO_TRIAL]


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
    assert overlap_of(quantiles(), quantiles(posterior)) == pytest.approx(overlap, abs=0.06)


def test_overlap_is_that_of_two_normals():
    """Half as wide and in the middle: 0.68 by the densities, as the comment in the source says."""
    x = np.linspace(-8, 8, 200_001)
    known = np.minimum(stats.norm.pdf(x), stats.norm(0, 0.5).pdf(x)).sum() * (x[1] - x[0])
    # Twenty bins blur the crossing of the densities, by less than the probability of one.
    assert overlap_of(quantiles(), quantiles(stats.norm(0, 0.5))) == pytest.approx(known, abs=0.05)


def test_two_samples_of_one_distribution_are_prior_only():
    rng = np.random.default_rng(2)
    assert overlap_of(rng.normal(size=N), rng.normal(size=N)) > 0.93


def test_nuisances_and_twins_are_not_asked_about(quick_fit: xr.DataTree):
    names = parameters_of(quick_fit)
    assert set(names) == {
        "heterogeneity_correlation",
        *(f"{o}::{p}" for o in ("pain", "harm") for p in ("emax", "log_ed50", "heterogeneity_sd")),
    }


def test_a_posterior_drawn_from_the_prior_is_prior_only_throughout(quick_fit: xr.DataTree):
    found = identifiability(quick_fit)
    assert len(found) == 7
    assert set(found["verdict"]) == {PRIOR_ONLY}
