"""Every registered likelihood, heterogeneity and exposure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES, ArmScope
from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.priors import FAMILIES
from nmda_bayes.spec import AnalysisSpec
from tests.components.test_pooling import assert_can_be_sampled
from tests.support import specs

TABLES = {
    "normal": specs.normal_table(),
    "student_t": specs.normal_table(),
    "normal_with_sd": specs.sd_table(),
    "binomial": specs.binary_table().assign(outcome="pain"),
    "beta_binomial": specs.binary_table(name="pain"),
    "poisson": specs.rate_table(),
    "negative_binomial": specs.rate_table(),
    "binomial_cloglog": specs.follow_up_table(),
    "hypergeometric": specs.binary_table(name="pain"),
    "normal_contrast": specs.CONTRASTS,
}
CATALOGUES = {
    "curve": "OutcomeSpec",
    "likelihood": "OutcomeSpec",
    "heterogeneity": "OutcomeSpec",
    "exposure": "OutcomeSpec",
    "pooling": "ParameterSpec",
    "dist": "PriorSpec",
}


def test_every_likelihood_has_a_table():
    assert set(TABLES) == set(LIKELIHOODS)


#: Each likelihood with the usual heterogeneity, each heterogeneity with the usual likelihood.
PAIRS = [
    *((likelihood, "arm") for likelihood in sorted(LIKELIHOODS)),
    *(("normal", heterogeneity) for heterogeneity in sorted(set(HETEROGENEITIES) - {"arm"})),
]


@pytest.mark.parametrize(("likelihood", "heterogeneity"), PAIRS)
def test_each_likelihood_and_heterogeneity(likelihood, heterogeneity):
    part = LIKELIHOODS[likelihood]
    spec = specs.spec(specs.outcome(likelihood, "linear", heterogeneity))
    model = build_model(spec, load_evidence(TABLES[likelihood]))
    assert model.named_vars_to_dims["eta"] == ("arm",)
    assert model.named_vars_to_dims["reported"] == (("contrast",) if part.contrasts else ("arm",))
    assert ("baseline" in model.named_vars) is part.has_baseline
    for name in HETEROGENEITIES[heterogeneity].parameters:
        assert model.named_vars_to_dims[name] == ()
    assert_can_be_sampled(model)


def test_contrasts_of_a_study_have_correlation_half():
    rng = np.random.default_rng(1)
    offset = xr.DataArray(rng.standard_normal((200_000, 3)), dims=("draw", "arm"))

    class Drawn(ArmScope):
        def offset(self):
            return offset

    delta = HETEROGENEITIES["arm"].formula(Drawn(), heterogeneity_sd=2.0)
    contrasts = delta.isel(arm=[1, 2]) - delta.isel(arm=0)
    covariance = np.cov(contrasts.to_numpy().T)
    # sd² on the diagonal, half of it elsewhere. Standard errors of a variance and a covariance of
    # 200,000 draws: 4 √(2 / n) = 0.013 and 4 √((1 + 1/4) / n) = 0.010; four of each.
    assert_allclose(covariance, [[4.0, 2.0], [2.0, 4.0]], atol=4 * 0.013)


def test_contrasts_sharing_an_arm_covary():
    reported = xr.Dataset(
        {
            "estimate_se": ("contrast", [3.0, 3.5, 4.0]),
            "comparator_se": ("contrast", [2.0, 2.0, np.nan]),
            "arm_position": ("contrast", [1, 2, 4]),
            "comparator_position": ("contrast", [0, 0, 3]),
        }
    )
    expected = [[9.0, 4.0, 0.0], [4.0, 12.25, 0.0], [0.0, 0.0, 16.0]]
    assert_allclose(contrast_covariance(reported), expected)


def test_contrast_chain_has_negative_covariance():
    # Variances of the arms: placebo 4, low 5, high 7; low vs placebo and high vs low.
    reported = xr.Dataset(
        {
            "estimate_se": ("contrast", np.sqrt([9.0, 12.0])),
            "comparator_se": ("contrast", np.sqrt([4.0, 5.0])),
            "arm_position": ("contrast", [1, 2]),
            "comparator_position": ("contrast", [0, 1]),
        }
    )
    assert_allclose(contrast_covariance(reported), [[9.0, -5.0], [-5.0, 12.0]])


ARMS = pd.DataFrame(
    {
        "agent": ["placebo", "ketamine", "ketamine", "mem", "mem"],
        "route": ["iv", "iv", "oral", "oral", "iv"],
        "dose": [0.0, np.nan, np.nan, np.nan, np.nan],
        "total_dose_mg_per_kg": [np.nan, 1.0, 1.0, np.nan, 5.0],
        "daily_dose_mg": [np.nan, np.nan, 90.0, 30.0, np.nan],
        # Pharmacokinetic metrics, as the design adds them.
        **{
            f"{kind}{relative}": [0.0, 150.0, np.nan, np.nan, 20.0]
            for kind in sorted({e.metric for e in EXPOSURES.values()} - {""})
            for relative in ("", "_relative")
        },
    }
)
REFERENCES = pd.DataFrame(
    {
        "agent": ["ketamine", "mem"],
        "route": ["iv", "oral"],
        "dose_column": ["total_dose_mg_per_kg", "daily_dose_mg"],
        "reference_dose": [0.5, 20.0],
    }
)


@pytest.mark.parametrize("name", sorted(EXPOSURES))
def test_exposure_is_zero_for_the_reference(name):
    value = EXPOSURES[name].formula(ARMS, REFERENCES)
    assert value.shape == (len(ARMS),)
    assert value.dtype == float
    assert value[0] == 0.0
    assert EXPOSURES[name].axis.startswith(("dose", "peak", "average", "concentration", "area"))
    assert EXPOSURES[name].relative == ("multiples" in EXPOSURES[name].axis)
    assert EXPOSURES[name].missing_reason


def test_relative_dose_by_agent_and_route():
    value = EXPOSURES["dose_relative_to_reference"].formula(ARMS, REFERENCES)
    # 1 mg/kg over 0.5; oral ketamine has no reference; 30 mg over 20; intravenous mem has none.
    assert_allclose(value, [0.0, 2.0, np.nan, 1.5, np.nan])


@pytest.mark.parametrize("word", sorted(CATALOGUES))
def test_schema_lists_registry(word):
    from nmda_bayes.components.curves import CURVES
    from nmda_bayes.components.pooling import POOLINGS

    catalogue = {
        "curve": CURVES,
        "likelihood": LIKELIHOODS,
        "heterogeneity": HETEROGENEITIES,
        "exposure": EXPOSURES,
        "pooling": POOLINGS,
        "dist": FAMILIES,
    }[word]
    definition = AnalysisSpec.model_json_schema()["$defs"][CATALOGUES[word]]
    assert definition["properties"][word]["enum"] == list(catalogue)
