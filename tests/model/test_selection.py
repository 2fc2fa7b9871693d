"""Selection for publication in the graph, and the drawing of trials as they are published."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from nmda_bayes.components.bias import publication
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import reasons_against
from nmda_bayes.logs import drawing_forward
from nmda_bayes.model import CHEAP, as_published, model_of, outcomes_of
from tests import specs
from tests.conftest import faults_when

FAST = "FAST_COMPILE"
BETA = specs.prior("Beta", alpha=1, beta=1)
CONTRASTS = specs.rows("""
    study agent    dose comparator comparator_dose estimate se outcome
    A     ketamine 1    placebo    0               -8       3  pain
    B     ketamine 1    placebo    0               -1       4  pain
    C     placebo  0    ketamine   1               -2       2  pain
""")
#: In favour of ketamine, where lower is better: the third is printed the other way round.
TOWARD, SE = np.array([8.0, 1.0, -2.0]), np.array([3.0, 4.0, 2.0])
CRITICAL = -special.ndtri([0.025, 0.5])


def selected(likelihood="normal_contrast", curve="constant", heterogeneity="arm", **more):
    keys = {"steps": [0.025, 0.5], "priors": [BETA, BETA]} | more
    bias = {"selection": keys}
    return specs.outcome(likelihood, curve, heterogeneity, better="lower", bias=bias)


def model_on(table, outcome, **more):
    spec = specs.spec(outcome, **more)
    return model_of(spec, build_design(spec, load_evidence(table)))


def factor(mean, sd, published, toward=TOWARD, se=SE):
    """By intervals of y, none of the package's code."""
    total = np.zeros(len(toward))
    limits = [np.full_like(se, np.inf), *(c * se for c in CRITICAL), np.full_like(se, -np.inf)]
    own = np.zeros(len(toward))
    for weight, upper, lower in zip(published, limits, limits[1:], strict=False):
        share = stats.norm.cdf(upper, mean, sd) - stats.norm.cdf(lower, mean, sd)
        total += weight * share
        own += weight * ((toward < upper) & (toward >= lower))
    return np.log(own / total)


@pytest.mark.parametrize(
    ("relative_to", "published"), [("first", (1, 0.6, 0.3)), ("previous", (1, 0.6, 0.18))]
)
def test_the_factor_is_that_of_the_marginal_model(relative_to, published):
    model = model_on(CONTRASTS, selected(relative_to=relative_to))
    point = {
        "effect": np.array(-2.0),
        "heterogeneity_sd_log__": np.log(1.5),
        "arm_offset": np.array([3.0, -1.0, 0.5, 0.2, -2.0, 1.0]),
        "bias_published_2_logodds__": special.logit(0.6),
        "bias_published_3_logodds__": special.logit(0.3),
    }
    logp = model.compile_logp(vars=[model["bias_selection"]], sum=False, mode=FAST)
    (found,) = logp(model.initial_point() | point)
    # The arms' own effects are large, and not in it.
    assert_allclose(found, factor(2.0, np.hypot(SE, 1.5), published), rtol=1e-10)
    assert model.named_vars_to_dims["bias_selection"] == ("published_study",)
    plain = model_on(CONTRASTS, specs.outcome("normal_contrast", "constant", "arm"))
    drop = [k for k in point if "published" in k]
    one = model.compile_logp(mode=FAST)(model.initial_point() | point)
    shares = np.array([0.6, 0.3])
    jacobian = np.log(shares * (1 - shares)).sum()  # of the two flat Beta priors
    other = plain.compile_logp(mode=FAST)({k: v for k, v in point.items() if k not in drop})
    assert_allclose(one - other, found.sum() + jacobian, rtol=1e-10)
    assert np.isfinite(model.compile_dlogp(mode=FAST)(model.initial_point() | point)).all()


def test_integrated_over_the_effects_of_its_arms_a_trial_has_vevea_and_hedges_density():
    one = CONTRASTS.iloc[[1]]
    model = model_on(one, selected())
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    logp = model.compile_logp(vars=[model["reported"], model["bias_selection"]], mode=FAST)
    tau, published = 2.5, (1, 0.6, 0.3)
    fixed = {
        "effect": np.array(-3.0),
        "heterogeneity_sd_log__": np.log(tau),
        "bias_published_2_logodds__": special.logit(0.6),
        "bias_published_3_logodds__": special.logit(0.3),
    }
    total = (
        sum(
            a * b * np.exp(logp(fixed | {"arm_offset": np.array([x, y])}))
            for x, a in zip(nodes, weights, strict=True)
            for y, b in zip(nodes, weights, strict=True)
        )
        / weights.sum() ** 2
    )
    sd = np.hypot(4.0, tau)
    expected = stats.norm.logpdf(-1, -3, sd) + factor(3.0, sd, published, TOWARD[1:2], SE[1:2])
    assert_allclose(np.log(total), expected, rtol=1e-8)


def test_arms_are_selected_by_the_contrast_of_the_highest_dose():
    model = model_on(specs.normal_table(), selected("normal", of_several="highest_dose"))
    assert list(model.coords["published_study"]) == ["A", "B", "C"]
    found = {n: model.named_vars[f"published_study.{n}"].get_value() for n in ("estimate", "se")}
    assert_allclose(found["estimate"], [-8, -14, -3])
    assert_allclose(found["se"], [np.sqrt(8), np.sqrt(18), np.sqrt(32)])


def test_which_of_several_contrasts_decided_must_be_said():
    (fault,) = faults_when(lambda: model_on(specs.normal_table(), selected("normal")), SpecError)
    assert fault.column == "outcomes.pain.bias.selection.of_several"
    assert "several contrasts of B" in fault.message and "highest_dose" in fault.mend


def test_the_p_value_of_a_crossover_trial_is_not_known():
    table = specs.normal_table().assign(design="crossover")
    outcome = selected("normal", of_several="highest_dose")
    crossover = {"periods": "all", "within_person_correlation": BETA}
    faults = faults_when(
        lambda: model_on(table, outcome, designs={"crossover": crossover}), SpecError
    )
    assert ["within-person" in f.message for f in faults] == [True]
    parallel = {"periods": "all", "as_parallel": ["pain"]}
    assert model_on(table, outcome, designs={"crossover": parallel}).observed_RVs


def test_selection_is_not_integrated_exactly():
    spec = specs.spec(selected())
    design = build_design(spec, load_evidence(CONTRASTS))
    assert [r for r in reasons_against(spec, design) if "published" in r]


#: Everything significant is published, of the rest one in ten, or of the unfavourable one in fifty.
SCARCE = [specs.prior("TruncatedNormal", mu=m, sigma=1e-3, lower=0) for m in (0.1, 0.02)]


def published_draws(table, outcome, *, of_arms, count=250, **more):
    """Draw replicates of trials as published, with and without; effects fixed by narrow priors."""
    spec = specs.spec(outcome, **more)
    design = build_design(spec, load_evidence(table))
    model = model_of(spec, design)
    with drawing_forward():
        drawn = pm.sample_prior_predictive(count, model=model, random_seed=3, compile_kwargs=CHEAP)
    (one,) = outcomes_of(spec, design)
    plain, parameters = (drawn[g].to_dataset() for g in ("prior_predictive", "prior"))
    return plain, as_published(one, plain, parameters, 4, of_arms=of_arms), parameters


def expected_mean(mean, sd, se, published):
    grid = np.linspace(mean - 8 * sd, mean + 8 * sd, 20001)
    kept = [1.0 * (grid >= c * se) for c in CRITICAL]
    density = stats.norm.pdf(grid, mean, sd) * publication(kept, published)
    return (grid * density).sum() / density.sum()


NARROW = {
    "effect": specs.parameter(location=specs.normal(-1.0, 1e-6)),
    "heterogeneity_sd": specs.parameter(
        location=specs.prior("TruncatedNormal", mu=2.0, sigma=1e-6, lower=0)
    ),
}


def test_trials_are_drawn_as_they_are_published():
    outcome = selected(priors=SCARCE)
    outcome["parameters"] |= NARROW
    plain, published, _ = published_draws(CONTRASTS, outcome, of_arms=False)
    assert published["reported"].dims == plain["reported"].dims
    toward = -published["reported"].to_numpy()[0] * [1, 1, -1]
    sd = np.hypot(SE, 2.0)
    for k in range(3):
        expected = expected_mean(1.0, sd[k], SE[k], [1, 0.1, 0.02])
        error = toward[:, k].std() / np.sqrt(len(toward))
        assert abs(toward[:, k].mean() - expected) < 4 * error
        assert expected > 1.0 + 10 * error  # and selection moves it far beyond that


def test_replicates_of_the_same_trials_stay_with_the_effects_of_their_arms():
    outcome = selected(priors=SCARCE)
    outcome["parameters"] |= NARROW
    plain, published, parameters = published_draws(CONTRASTS, outcome, of_arms=True)
    eta = parameters["eta"].to_numpy()[0]
    own = eta[:, 1] - eta[:, 0]  # of trial A, whose arms stand first
    low = own < np.quantile(own, 0.2)
    both = [-d["reported"].to_numpy()[0, :, 0] for d in (plain, published)]
    assert both[1][low].mean() < both[1][~low].mean() - 1


def test_the_other_arms_of_a_trial_follow_the_one_that_decided():
    outcome = selected("normal", of_several="highest_dose", priors=SCARCE)
    outcome["parameters"] |= NARROW
    table = specs.normal_table()
    _, published, _ = published_draws(table, outcome, of_arms=False)
    y = published["reported"].to_numpy()[0]
    # Trial B: control, half and two units, arms 2 to 4. Both doses have the same control.
    high, low = y[:, 4] - y[:, 2], y[:, 3] - y[:, 2]
    weights = [9 + 2.0, 9 + 2.0]  # of each arm: se² + tau² / 2
    slope = np.polyfit(high, low, 1)[0]
    assert slope == pytest.approx(weights[0] / sum(weights), abs=0.2)  # its error is 0.05
    assert high.mean() < low.mean() - 1
