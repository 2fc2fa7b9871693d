"""Outlier mixture: densities by hand, variances, errors and outlier probabilities."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import outlier_probabilities, study_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.inference.reparameterisation import conditional_noncentering
from nmda_bayes.model import PY_MODE, build_model, build_model_from_design
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

#: Trials A (two arms), B (three) and C (two).
ARMS = {"A": [0, 1], "B": [2, 3, 4], "C": [5, 6]}
Z = np.array([0.3, -0.7, 2.5, -4.0, 1.1, 0.2, 0.1])
RATIO, SHARE = 5.0, 0.2
TABLE = specs.normal_table()


def analysis(**priors):
    parameters = {name: specs.parameter(location=prior) for name, prior in priors.items()}
    return specs.spec(specs.outcome("normal", "linear", "outlier_mixture", parameters))


def either(z):
    """Joint log densities of a trial's effects and its being ordinary, or outlying."""
    ordinary = np.log(1 - SHARE) + stats.norm.logpdf(z).sum()
    return ordinary, np.log(SHARE) + stats.norm.logpdf(z, scale=RATIO).sum()


def test_density_is_a_mixture_of_normals():
    model = build_model(analysis(), load_evidence(TABLE))
    assert model.named_vars_to_dims["arm_offset"] == ("arm",)
    row = model.compile_logp(vars=[model["arm_offset"]], sum=False, jacobian=False)
    ratio = np.log((RATIO - 1) / (10 - RATIO))  # of Uniform(1, 10)
    point = model.initial_point() | {
        "arm_offset": Z,
        "outlier_sd_ratio_interval__": ratio,
        "outlier_probability_logodds__": np.log(SHARE / (1 - SHARE)),
    }
    (log_density,) = row(point)
    assert log_density.shape == (7,)
    for places in ARMS.values():
        assert_allclose(log_density[places].sum(), np.logaddexp(*either(Z[places])), rtol=1e-12)


def test_arms_of_a_trial_are_outlying_together():
    model = build_model(analysis(), load_evidence(TABLE))
    conditioned = pm.do(model, {"outlier_sd_ratio": RATIO, "outlier_probability": SHARE})
    drawn = pm.draw(conditioned["arm_offset"], 20_000, random_seed=1, mode=PY_MODE)
    wide = np.abs(drawn) > 4  # 6e-5 of ordinary effects, 0.42 of outlying ones
    beside = [
        np.corrcoef(wide[:, i], wide[:, j])[0, 1] for i, j in ((2, 3), (3, 4), (1, 2), (4, 5))
    ]
    tail = 2 * stats.norm.sf(4 / RATIO)
    both = (SHARE * tail**2 - (SHARE * tail) ** 2) / (SHARE * tail * (1 - SHARE * tail))
    # Standard error of a correlation of 20,000: 0.007; four of them.
    assert_allclose(beside, [both, both, 0, 0], atol=0.03)
    contrast = (drawn[:, 3] - drawn[:, 2]) / np.sqrt(2)
    # Its kurtosis is 10.0, so that the variance has a relative error of √(9 / 20,000) = 0.02.
    assert_allclose(contrast.var(), 1 + SHARE * (RATIO**2 - 1), rtol=4 * 0.022)


def test_new_trial_is_drawn_from_the_mixture(mocked_sampler):
    spec = analysis(
        outlier_sd_ratio=specs.prior("Uniform", lower=4, upper=4.001),
        outlier_probability=specs.prior("Beta", alpha=400, beta=600),
        heterogeneity_sd=specs.prior("Gamma", mu=2, sigma=0.01),
    )
    fit = inference.fit(spec, load_evidence(TABLE))
    posterior = fit["posterior"].to_dataset()
    added = (study_effects(fit, "pain")["predicted"] - posterior["slope"]).isel(arm=0)
    # 4 (1 + 0.4 · 15); 400 draws of kurtosis 6.3 have a relative error of √(5.3 / 400) = 0.115.
    assert_allclose(added.var(), 28.0, rtol=4 * 0.115)


def test_outlier_probability_follows_bayes():
    fit = make_fit(
        analysis(),
        TABLE,
        {
            "arm_offset": draws([Z, 0 * Z], "arm"),
            "outlier_sd_ratio": draws([RATIO, RATIO]),
            "outlier_probability": draws([SHARE, SHARE]),
        },
    )
    probabilities = outlier_probabilities(fit, "pain")
    assert probabilities.dims == ("chain", "draw", "study")
    assert probabilities["study"].to_numpy().tolist() == list(ARMS)
    for k, z in enumerate([Z, 0 * Z]):
        for study, places in ARMS.items():
            ordinary, outlying = either(z[places])
            expected = np.exp(outlying - np.logaddexp(ordinary, outlying))
            assert_allclose(
                probabilities.isel(chain=0, draw=k).sel(study=study), expected, rtol=1e-12
            )
    without = make_fit(specs.spec(specs.outcome()), TABLE, {"x": draws([0.0])})
    with pytest.raises(SpecError):
        outlier_probabilities(without, "pain")


def test_outlier_priors_are_constrained():
    wide = {"outlier_sd_ratio": specs.half_normal(3), "outlier_probability": specs.half_normal(1)}
    issues = issues_when(lambda: analysis(**wide), SpecError)
    assert [(issue.code, issue.column) for issue in issues] == [
        ("E352", "outcomes.pain.parameters.outlier_sd_ratio.priors.location"),
        ("E318", "outcomes.pain.parameters.outlier_probability.priors.location"),
    ]
    outcome = specs.outcome("normal", "linear", "outlier_mixture")
    del outcome["parameters"]["outlier_probability"]
    (issue,) = issues_when(lambda: specs.spec(outcome), SpecError)
    assert (issue.code, issue.column) == ("E310", "outcomes.pain.parameters.outlier_probability")


def test_outlier_mixture_restrictions():
    pain, harm = (
        specs.outcome(kind, "linear", "outlier_mixture", better="lower")
        for kind in ("normal", "binomial")
    )
    with pytest.raises(SpecError, match="E353"):
        specs.spec(pain, harm, correlations=specs.LKJ)
    biased = pain | {"bias": {"unblinding": {"harm": "harm", "prior": specs.normal()}}}
    with pytest.raises(SpecError, match="E383"):
        specs.spec(biased, harm)


def test_outlier_mixture_is_not_integrated():
    spec = analysis()
    design = build_design(spec, load_evidence(TABLE))
    assert "arm effects have an outlier mixture" in exact_obstacles(spec, design)[0]
    model = build_model_from_design(spec, design)
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    moved = conditional_noncentering(model, spec, design)
    kept = [moved.rvs_to_values[rv].name for rv in moved.free_RVs]
    assert {"arm_offset", "baseline"} <= set(names) & set(kept)


def test_simulated_evidence_reads_back():
    rows, truth, back = simulate_evidence(analysis(), load_evidence(TABLE))
    assert {"outlier_sd_ratio", "outlier_probability"} <= set(truth)
    model = build_model(back, load_evidence(rows))
    assert model.named_vars_to_dims["arm_offset"] == ("arm",)
