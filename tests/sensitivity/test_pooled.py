"""Thousands of exact variants, held to the analyses one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import SpecError
from nmda_bayes.inference import meta_analysis
from nmda_bayes.sensitivity.pooled import leave_out, pooled_variants
from tests.conftest import faults_when

STUDIES = [f"s{i}" for i in range(14)]


def a_prior(dist: str, **kwargs: float) -> dict:
    return {"dist": dist, "kwargs": kwargs}


PRIORS = {
    f"mu sd {sigma:g}, tau {dist} {scale:g}": (
        a_prior("Normal", mu=0.0, sigma=sigma),
        a_prior(dist, **{{"HalfNormal": "sigma", "HalfCauchy": "beta"}[dist]: scale}),
    )
    for sigma in (0.3, 0.5, 1.0, 2.0, 10.0)
    for dist, scale in (("HalfNormal", 0.2), ("HalfNormal", 0.5), ("HalfCauchy", 0.3),
                        ("HalfCauchy", 1.0))
}  # fmt: skip


@pytest.fixture
def trials() -> xr.Dataset:
    random = np.random.default_rng(3)
    se = random.uniform(0.1, 0.5, len(STUDIES))
    return xr.Dataset(
        {"estimate": ("study", random.normal(0.4, np.hypot(se, 0.2))), "se": ("study", se)},
        coords={"study": STUDIES},
    )


def test_two_thousand_variants_in_half_a_minute_are_those_of_one_by_one(trials: xr.Dataset):
    subsets = leave_out(trials["estimate"], 2)
    assert subsets.sizes == {"subset": 1 + 14 + 91, "study": 14}
    start = time.process_time()
    found = pooled_variants(trials["estimate"], trials["se"], PRIORS, subsets)
    assert time.process_time() - start < 30
    assert found["mu"].sizes["prior"] * found["mu"].sizes["subset"] == 2120
    assert found["trials"].sel(subset="without s3, s7") == 12
    for prior, subset in ((0, 0), (7, 5), (19, 60)):
        inside = subsets.isel(subset=subset).to_numpy()
        location, heterogeneity = list(PRIORS.values())[prior]
        alone = meta_analysis(
            trials["estimate"][inside],
            trials["se"][inside],
            location=location,
            heterogeneity=heterogeneity,
        )
        here = found.isel(prior=prior, subset=subset)
        for name in ("mu", "tau", "new_study", "log_evidence"):
            # The same sums in another order: the quadrature's own error is 1e-7.
            np.testing.assert_allclose(here[name], alone[name], rtol=1e-6)


def test_a_tighter_prior_draws_in_and_a_trial_pulls(trials: xr.Dataset):
    found = pooled_variants(trials["estimate"], trials["se"], PRIORS, leave_out(trials.estimate, 1))
    mean = found["mu"].sel(statistic="mean", subset="all")
    assert float(mean[0]) < float(mean[-1])
    highest = str(trials["estimate"].idxmax().item())
    one = found["mu"].sel(statistic="mean").isel(prior=-1)
    assert float(one.sel(subset=f"without {highest}")) < float(one.sel(subset="all"))


def test_every_fault_is_told_with_its_prior(trials: xr.Dataset):
    subsets = xr.zeros_like(leave_out(trials["estimate"], 0))
    wrong = {"bad": (a_prior("Normal", mu=0.0), a_prior("Normal", mu=0.0, sigma=1.0))}
    faults = faults_when(
        lambda: pooled_variants(trials["estimate"], trials["se"], wrong, subsets), SpecError
    )
    assert [f.column for f in faults][:2] == ["", "priors.bad.location"]
    assert "holds no trial" in faults[0].message
