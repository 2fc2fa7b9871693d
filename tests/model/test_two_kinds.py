"""Trials of two kinds: densities by hand, variances, faults, and who is probably outlying."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import outlying_trials, study_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import reasons_against
from nmda_bayes.inference.whitening import whitened
from nmda_bayes.model import CHEAP, build_model, model_of
from nmda_bayes.simulate import simulate
from tests import specs
from tests.conftest import draws, make_fit

#: Trials A (two arms), B (three) and C (two).
ARMS = {"A": [0, 1], "B": [2, 3, 4], "C": [5, 6]}
Z = np.array([0.3, -0.7, 2.5, -4.0, 1.1, 0.2, 0.1])
RATIO, SHARE = 5.0, 0.2
TABLE = specs.normal_table()


def analysis(**priors):
    parameters = {name: specs.parameter(location=prior) for name, prior in priors.items()}
    return specs.spec(specs.outcome("normal", "linear", "arm_mixture", parameters))


def either(z):
    """The log densities of effects of one trial's arms, were it of either kind."""
    ordinary = np.log(1 - SHARE) + stats.norm.logpdf(z).sum()
    return ordinary, np.log(SHARE) + stats.norm.logpdf(z, scale=RATIO).sum()


def test_the_density_of_a_trial_is_a_mixture_of_two_normals():
    model = build_model(analysis(), load_evidence(TABLE))
    assert model.named_vars_to_dims["arm_offset"] == ("arm",)
    row = model.compile_logp(vars=[model["arm_offset"]], sum=False, jacobian=False)
    ratio = np.log((RATIO - 1) / (10 - RATIO))  # of Uniform(1, 10)
    point = model.initial_point() | {
        "arm_offset": Z,
        "outlying_ratio_interval__": ratio,
        "outlying_share_logodds__": np.log(SHARE / (1 - SHARE)),
    }
    (found,) = row(point)
    assert found.shape == (7,)
    for places in ARMS.values():
        assert_allclose(found[places].sum(), np.logaddexp(*either(Z[places])), rtol=1e-12)


def test_arms_of_a_trial_are_of_one_kind():
    model = build_model(analysis(), load_evidence(TABLE))
    given = pm.do(model, {"outlying_ratio": RATIO, "outlying_share": SHARE})
    drawn = pm.draw(given["arm_offset"], 20_000, random_seed=1, **CHEAP)
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


def test_the_next_trial_is_of_either_kind(mocked_sampler):
    given = analysis(outlying_ratio=specs.prior("Uniform", lower=4, upper=4.001),
                     outlying_share=specs.prior("Beta", alpha=400, beta=600),
                     heterogeneity_sd=specs.prior("Gamma", mu=2, sigma=0.01))  # fmt: skip
    fit = inference.fit(given, load_evidence(TABLE))
    posterior = fit["posterior"].to_dataset()
    added = (study_effects(fit, "pain")["predicted"] - posterior["slope"]).isel(arm=0)
    # 4 (1 + 0.4 · 15); 400 draws of kurtosis 6.3 have a relative error of √(5.3 / 400) = 0.115.
    assert_allclose(added.var(), 28.0, rtol=4 * 0.115)


def test_a_trial_is_outlying_as_bayes_says():
    fit = make_fit(
        analysis(),
        TABLE,
        {
            "arm_offset": draws([Z, 0 * Z], "arm"),
            "outlying_ratio": draws([RATIO, RATIO]),
            "outlying_share": draws([SHARE, SHARE]),
        },
    )
    found = outlying_trials(fit, "pain")
    assert found.dims == ("chain", "draw", "study")
    assert found["study"].to_numpy().tolist() == list(ARMS)
    for k, z in enumerate([Z, 0 * Z]):
        for study, places in ARMS.items():
            ordinary, outlying = either(z[places])
            expected = np.exp(outlying - np.logaddexp(ordinary, outlying))
            assert_allclose(found.isel(chain=0, draw=k).sel(study=study), expected, rtol=1e-12)
    with pytest.raises(SpecError, match="has one kind of trial"):
        outlying_trials(make_fit(specs.spec(specs.outcome()), TABLE, {"x": draws([0.0])}), "pain")


def test_priors_must_say_which_kind_is_which():
    with pytest.raises(SpecError) as told:
        analysis(outlying_ratio=specs.half_normal(3), outlying_share=specs.half_normal(1))
    columns = [fault.column for fault in told.value.faults]
    assert columns == [
        "outcomes.pain.parameters.outlying_ratio.priors.location",
        "outcomes.pain.parameters.outlying_share.priors.location",
    ]
    outcome = specs.outcome("normal", "linear", "arm_mixture")
    del outcome["parameters"]["outlying_share"]
    with pytest.raises(SpecError, match="'outlying_share' has no prior"):
        specs.spec(outcome)


def test_two_kinds_are_neither_correlated_nor_asked_of_trials_that_count_no_harm():
    pain, harm = (specs.outcome(kind, "linear", "arm_mixture", better="lower")
                  for kind in ("normal", "binomial"))  # fmt: skip
    with pytest.raises(SpecError, match="same kinds"):
        specs.spec(pain, harm, correlations=specs.LKJ)
    biased = pain | {"bias": {"unblinding": {"harm": "harm", "prior": specs.normal()}}}
    with pytest.raises(SpecError, match="no kind is known"):
        specs.spec(biased, harm)


def test_it_is_sampled_in_its_own_coordinates_and_not_integrated():
    spec = analysis()
    design = build_design(spec, load_evidence(TABLE))
    assert "effects of arms are of trials of two kinds" in reasons_against(spec, design)[0]
    model = model_of(spec, design)
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    moved = whitened(model, spec, design)
    kept = [moved.rvs_to_values[rv].name for rv in moved.free_RVs]
    assert {"arm_offset", "baseline"} <= set(names) & set(kept)


def test_evidence_drawn_from_it_reads_back():
    rows, truth, back = simulate(analysis(), load_evidence(TABLE))
    assert {"outlying_ratio", "outlying_share"} <= set(truth)
    model = build_model(back, load_evidence(rows))
    assert model.named_vars_to_dims["arm_offset"] == ("arm",)
