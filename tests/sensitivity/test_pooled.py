"""Exact meta-analysis variants agree with single meta-analyses."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import SpecError
from nmda_bayes.inference import meta_analysis
from nmda_bayes.sensitivity.summaries import leave_out_subsets, meta_analysis_variants
from tests.support.issues import issues_when

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


def test_variants_agree_with_single_meta_analyses(trials: xr.Dataset):
    subsets = leave_out_subsets(trials["estimate"], 2)
    assert subsets.sizes == {"subset": 1 + 14 + 91, "study": 14}
    start = time.process_time()
    result = meta_analysis_variants(trials["estimate"], trials["se"], PRIORS, subsets)
    assert time.process_time() - start < 30
    assert result["mu"].sizes["prior"] * result["mu"].sizes["subset"] == 2120
    assert result["trials"].sel(subset="without s3, s7") == 12
    for prior, subset in ((0, 0), (7, 5), (19, 60)):
        inside = subsets.isel(subset=subset).to_numpy()
        location, heterogeneity = list(PRIORS.values())[prior]
        single = meta_analysis(
            trials["estimate"][inside],
            trials["se"][inside],
            location=location,
            heterogeneity=heterogeneity,
        )
        variant = result.isel(prior=prior, subset=subset)
        for name in ("mu", "tau", "new_study", "log_evidence"):
            # Sums in another order; the quadrature error is 1e-7.
            np.testing.assert_allclose(variant[name], single[name], rtol=1e-6)


def test_direction_of_prior_and_trial_influence(trials: xr.Dataset):
    result = meta_analysis_variants(
        trials["estimate"], trials["se"], PRIORS, leave_out_subsets(trials.estimate, 1)
    )
    mean = result["mu"].sel(statistic="mean", subset="all")
    assert float(mean[0]) < float(mean[-1])
    highest = str(trials["estimate"].idxmax().item())
    mean = result["mu"].sel(statistic="mean").isel(prior=-1)
    assert float(mean.sel(subset=f"without {highest}")) < float(mean.sel(subset="all"))


def test_errors_name_their_prior(trials: xr.Dataset):
    subsets = xr.zeros_like(leave_out_subsets(trials["estimate"], 0))
    wrong = {"bad": (a_prior("Normal", mu=0.0), a_prior("Normal", mu=0.0, sigma=1.0))}
    issues = issues_when(
        lambda: meta_analysis_variants(trials["estimate"], trials["se"], wrong, subsets), SpecError
    )
    assert [f.column for f in issues][:2] == ["subset", "priors.bad.location"]
    assert issues[0].code == "E680"
