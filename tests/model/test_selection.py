"""Selection for publication in the graph and in redrawn results."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from nmda_bayes.components.bias import publication_probability
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import (
    PY_MODE,
    apply_publication_selection,
    build_model_from_design,
    model_outcomes,
)
from nmda_bayes.runtime import ignore_potential_warning
from tests.support import specs
from tests.support.issues import issues_when

FAST = "FAST_COMPILE"
BETA = specs.prior("Beta", alpha=1, beta=1)
CONTRASTS = specs.rows("""
    study agent    dose comparator comparator_dose estimate se outcome
    A     ketamine 1    placebo    0               -8       3  pain
    B     ketamine 1    placebo    0               -1       4  pain
    C     placebo  0    ketamine   1               -2       2  pain
""")
#: In favour of ketamine, where lower is better: the third is reported in the opposite direction.
TOWARD, SE = np.array([8.0, 1.0, -2.0]), np.array([3.0, 4.0, 2.0])
CRITICAL = -special.ndtri([0.025, 0.5])


def selected(likelihood="normal_contrast", curve="constant", heterogeneity="arm", **more):
    keys = {"steps": [0.025, 0.5], "priors": [BETA, BETA]} | more
    bias = {"selection": keys}
    return specs.outcome(likelihood, curve, heterogeneity, better="lower", bias=bias)


def model_on(table, outcome, **more):
    spec = specs.spec(outcome, **more)
    return build_model_from_design(spec, build_design(spec, load_evidence(table)))


def factor(mean, sd, published, toward=TOWARD, se=SE):
    """Log of the publication factor, by intervals of y."""
    total = np.zeros(len(toward))
    limits = [np.full_like(se, np.inf), *(c * se for c in CRITICAL), np.full_like(se, -np.inf)]
    density = np.zeros(len(toward))
    for weight, upper, lower in zip(published, limits, limits[1:], strict=False):
        share = stats.norm.cdf(upper, mean, sd) - stats.norm.cdf(lower, mean, sd)
        total += weight * share
        density += weight * ((toward < upper) & (toward >= lower))
    return np.log(density / total)


@pytest.mark.parametrize(
    ("relative_to", "published"), [("first", (1, 0.6, 0.3)), ("previous", (1, 0.6, 0.18))]
)
def test_selection_factor_by_hand(relative_to, published):
    model = model_on(CONTRASTS, selected(relative_to=relative_to))
    point = {
        "effect": np.array(-2.0),
        "heterogeneity_sd_log__": np.log(1.5),
        "arm_offset": np.array([3.0, -1.0, 0.5, 0.2, -2.0, 1.0]),
        "bias_published_2_logodds__": special.logit(0.6),
        "bias_published_3_logodds__": special.logit(0.3),
    }
    logp = model.compile_logp(vars=[model["bias_selection"]], sum=False, mode=FAST)
    (log_factor,) = logp(model.initial_point() | point)
    # The effects of the arms do not enter.
    assert_allclose(log_factor, factor(2.0, np.hypot(SE, 1.5), published), rtol=1e-10)
    assert model.named_vars_to_dims["bias_selection"] == ("published_study",)
    plain = model_on(CONTRASTS, specs.outcome("normal_contrast", "constant", "arm"))
    drop = [k for k in point if "published" in k]
    logp = model.compile_logp(mode=FAST)(model.initial_point() | point)
    shares = np.array([0.6, 0.3])
    jacobian = np.log(shares * (1 - shares)).sum()  # of the two flat Beta priors
    other = plain.compile_logp(mode=FAST)({k: v for k, v in point.items() if k not in drop})
    assert_allclose(logp - other, log_factor.sum() + jacobian, rtol=1e-10)
    assert np.isfinite(model.compile_dlogp(mode=FAST)(model.initial_point() | point)).all()


def test_marginal_density_is_vevea_and_hedges():
    contrast = CONTRASTS.iloc[[1]]
    model = model_on(contrast, selected())
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
    model = model_on(specs.normal_table(), selected("normal", contrast="highest_dose"))
    assert list(model.coords["published_study"]) == ["A", "B", "C"]
    estimates = {
        n: model.named_vars[f"published_study.{n}"].get_value() for n in ("estimate", "se")
    }
    assert_allclose(estimates["estimate"], [-8, -14, -3])
    assert_allclose(estimates["se"], [np.sqrt(8), np.sqrt(18), np.sqrt(32)])


def test_deciding_contrast_is_required():
    (issue,) = issues_when(lambda: model_on(specs.normal_table(), selected("normal")), SpecError)
    assert issue.column == "outcomes.pain.bias.selection.contrast"


def test_selection_refuses_crossover_trials():
    table = specs.normal_table().assign(design="crossover")
    outcome = selected("normal", contrast="highest_dose")
    crossover = {"periods": "all", "within_person_correlation": BETA}
    issues = issues_when(
        lambda: model_on(table, outcome, designs={"crossover": crossover}), SpecError
    )
    assert [issue.column for issue in issues] == ["outcomes.pain.bias.selection"]
    parallel = {"periods": "all", "as_parallel": ["pain"]}
    assert model_on(table, outcome, designs={"crossover": parallel}).observed_RVs


def test_selection_is_not_integrated_exactly():
    spec = specs.spec(selected())
    design = build_design(spec, load_evidence(CONTRASTS))
    assert [r for r in exact_obstacles(spec, design) if "published" in r]


#: Everything significant is published, of the rest one in ten, or of the unfavourable one in fifty.
SCARCE = [specs.prior("TruncatedNormal", mu=m, sigma=1e-3, lower=0) for m in (0.1, 0.02)]


def published_draws(table, outcome, *, of_arms, count=250, **more):
    """Replicates without and with selection; effects are fixed by narrow priors."""
    spec = specs.spec(outcome, **more)
    design = build_design(spec, load_evidence(table))
    model = build_model_from_design(spec, design)
    with ignore_potential_warning():
        drawn = pm.sample_prior_predictive(
            count, model=model, random_seed=3, compile_kwargs={"mode": PY_MODE}
        )
    (outcome,) = model_outcomes(spec, design)
    plain, parameters = (drawn[g].to_dataset() for g in ("prior_predictive", "prior"))
    return (
        plain,
        apply_publication_selection(outcome, plain, parameters, 4, of_arms=of_arms),
        parameters,
    )


def expected_mean(mean, sd, se, published):
    grid = np.linspace(mean - 8 * sd, mean + 8 * sd, 20001)
    kept = [1.0 * (grid >= c * se) for c in CRITICAL]
    density = stats.norm.pdf(grid, mean, sd) * publication_probability(kept, published)
    return (grid * density).sum() / density.sum()


NARROW = {
    "effect": specs.parameter(location=specs.normal(-1.0, 1e-6)),
    "heterogeneity_sd": specs.parameter(
        location=specs.prior("TruncatedNormal", mu=2.0, sigma=1e-6, lower=0)
    ),
}


def test_draws_follow_publication():
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


def test_replicates_keep_arm_effects():
    outcome = selected(priors=SCARCE)
    outcome["parameters"] |= NARROW
    plain, published, parameters = published_draws(CONTRASTS, outcome, of_arms=True)
    eta = parameters["eta"].to_numpy()[0]
    difference = eta[:, 1] - eta[:, 0]  # of trial A, whose arms stand first
    low = difference < np.quantile(difference, 0.2)
    both = [-d["reported"].to_numpy()[0, :, 0] for d in (plain, published)]
    assert both[1][low].mean() < both[1][~low].mean() - 1


def test_other_arms_follow_the_deciding_contrast():
    outcome = selected("normal", contrast="highest_dose", priors=SCARCE)
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
