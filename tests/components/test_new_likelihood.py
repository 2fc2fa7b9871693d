"""A likelihood defined in a test supports all that those of the package do."""

from __future__ import annotations

import math

import numpy as np
import pymc.dims as pmd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import nmda_bayes as nb
from nmda_bayes.components.likelihoods import LIKELIHOODS, data_column, likelihood
from nmda_bayes.components.links import IDENTITY
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model_from_design
from nmda_bayes.sensitivity.thresholds import bias_perturbation
from tests.calibration.bands import p_value
from tests.calibration.cases import case_of
from tests.calibration.combinations import Combination
from tests.calibration.simulation import Simulations
from tests.support import specs
from tests.support.issues import issues_when

#: Variance of the rounding error of means in steps of 2.
ROUNDING = 2.0**2 / 12
TABLE = specs.normal_table().assign(se=[1.0, 2.0, 1.0, 1.5, 1.5, 2.0, 2.0])
Y, SE = TABLE["mean"].to_numpy(float), TABLE["se"].to_numpy()
SAMPLING = {"seed": 1, "chains": 2, "draws": 1000, "tune": 500, "method": "nuts"}


@pytest.fixture(scope="module", params=["rounded_normal", "laplace"])
def name(request):
    @likelihood(
        "mean ~ Normal(eta, √(se² + rounding))",
        columns="mean se",
        link=IDENTITY,
        effects="MD",
        normal=True,
        crude=lambda arms: (arms["mean"], arms["se"] ** 2 + ROUNDING),
        information=lambda arms, expected: 1 / (arms["se"] ** 2 + ROUNDING),
        deviance=lambda arms, eta: (arms["mean"] - eta) ** 2 / (arms["se"] ** 2 + ROUNDING),
        log_density=lambda arms, eta: stats.norm.logpdf(
            arms["mean"], eta, np.sqrt(arms["se"] ** 2 + ROUNDING)
        ),
    )
    def rounded_normal(name, eta, reported, dim):
        """Rounded means with known standard errors."""
        error = (data_column(reported, "se", dim) ** 2 + ROUNDING) ** 0.5
        return pmd.Normal(name, mu=eta, sigma=error, observed=data_column(reported, "mean", dim))

    @likelihood(
        "mean ~ Laplace(eta, se / √2)",
        columns="mean se",
        link=IDENTITY,
        effects="MD",
        crude=lambda arms: (arms["mean"], arms["se"] ** 2),
        information=lambda arms, expected: 2 / arms["se"] ** 2,
        deviance=lambda arms, eta: 2 * math.sqrt(2) * abs(arms["mean"] - eta) / arms["se"],
        log_density=lambda arms, eta: stats.laplace.logpdf(
            arms["mean"], eta, arms["se"] / math.sqrt(2)
        ),
    )
    def laplace(name, eta, reported, dim):
        """Means whose errors have a known SD and heavy tails."""
        scale = data_column(reported, "se", dim) / math.sqrt(2)
        return pmd.Laplace(name, mu=eta, b=scale, observed=data_column(reported, "mean", dim))

    yield request.param
    del LIKELIHOODS["rounded_normal"], LIKELIHOODS["laplace"]


def variance(name: str) -> np.ndarray:
    return SE**2 + (ROUNDING if name == "rounded_normal" else 0.0)


@pytest.fixture(scope="module")
def fit(name):
    pain = specs.outcome(name, "linear", "arm", {"slope": specs.parameter("agent")}, better="lower")
    return nb.fit(specs.spec(pain, sampling=SAMPLING), load_evidence(TABLE))


def test_new_likelihood_is_sampled(fit):
    assert not fit["sample_stats"]["diverging"].any()
    gate = nb.diagnose(fit).convergence.set_index("check")
    assert gate.loc["R-hat", "value"] < 1.05


def test_new_likelihood_density(fit, name):
    eta = fit["posterior"]["eta"].to_numpy()
    expected = LIKELIHOODS[name].log_density({"mean": Y, "se": SE}, eta)
    assert_allclose(fit["log_likelihood"]["reported"].to_numpy(), expected, rtol=1e-10)


def test_new_likelihood_predictions(fit, name):
    prior = fit["prior_predictive"]["reported"].to_numpy()
    assert prior.shape[-1] == len(TABLE) and np.isfinite(prior).all()
    # Standardised errors: mean 0, variance 1.
    errors = fit["posterior_predictive"]["reported"] - fit["posterior"]["eta"]
    z = (errors / np.sqrt(variance(name))).to_numpy().ravel()
    # Five standard errors of 14,000 draws; the fourth moment is 3, of a Laplace distribution 6.
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(5 / z.size)


def test_new_likelihood_study_effects(fit, name):
    effects = nb.study_effects(fit, "pain")
    arms, control = [1, 3, 4, 6], [0, 2, 2, 5]
    assert_allclose(effects["raw"], Y[arms] - Y[control])
    assert_allclose(effects["raw_se"] ** 2, variance(name)[arms] + variance(name)[control])


def test_new_likelihood_residual_deviance(fit, name):
    z = np.abs(Y - fit["posterior"]["eta"].to_numpy()) / np.sqrt(variance(name))
    each = z**2 if name == "rounded_normal" else 2 * math.sqrt(2) * z
    table = nb.residual_deviance(fit, "pain")
    assert_allclose(table["deviance"], each.mean((0, 1)), rtol=1e-10)
    assert table.attrs["data_points"] == len(TABLE)


def test_new_likelihood_shrinkage(fit, name):
    report = nb.shrinkage_by_cell(fit, "pain")
    (cell,) = [c for c in report["cell"].to_numpy() if c.startswith("mem")]
    spread = float((fit["posterior"]["heterogeneity_sd"] ** 2).mean())
    information = 1.0 if name == "rounded_normal" else 2.0
    sampling = variance(name)[[5, 6]].sum() / information
    assert_allclose(report["own"].sel(cell=cell), Y[6] - Y[5])
    assert_allclose(report["own_sd"].sel(cell=cell) ** 2, sampling + spread)
    assert 0 < float(report["pooling"].sel(cell=cell)) < 1


def test_new_likelihood_bias_perturbation(fit, name):
    log_ratio = bias_perturbation(fit, "pain", ["C"], 5.0).log_ratio(2.0)
    eta = fit["posterior"]["eta"].to_numpy().reshape(-1, len(TABLE))[:, 6]
    part, arm = LIKELIHOODS[name], {"mean": Y[6], "se": SE[6]}
    assert_allclose(log_ratio, part.log_density(arm, eta + 2) - part.log_density(arm, eta))


def selected(name: str, method: str = "nuts"):
    beta = specs.prior("Beta", alpha=1, beta=1)
    keys = {"steps": [0.025], "priors": [beta], "contrast": "highest_dose"}
    pain = specs.outcome(name, "linear", "arm", better="lower", bias={"selection": keys})
    return specs.spec(pain, sampling={**SAMPLING, "draws": 300, "method": method})


def test_publication_selection_needs_normal_likelihood(name):
    if name == "laplace":
        (issue,) = issues_when(lambda: selected(name), SpecError)
        assert (issue.code, issue.column) == ("E376", "outcomes.pain.bias.selection")
        return
    spec, evidence = selected(name), load_evidence(TABLE)
    model = build_model_from_design(spec, build_design(spec, evidence))
    point = model.initial_point()
    tau, kept = np.exp(point["heterogeneity_sd_log__"]), 0.3
    point["slope"], point["bias_published_2_logodds__"] = -2.0, np.log(kept / (1 - kept))
    logp = model.compile_logp(vars=[model["bias_selection"]], sum=False, mode="FAST_COMPILE")
    arms, control, dose = [1, 4, 6], [0, 2, 5], np.array([1.0, 2.0, 1.0])
    estimate = -(Y[arms] - Y[control])
    se = np.sqrt(variance(name)[arms] + variance(name)[control])
    critical = stats.norm.isf(0.025) * se
    below = stats.norm.cdf(critical, 2.0 * dose, np.hypot(se, tau))
    factor = np.log(np.where(estimate >= critical, 1, kept) / (1 - below + kept * below))
    assert_allclose(logp(point)[0], factor, rtol=1e-10)

    fit = nb.fit(spec, evidence)
    assert np.isfinite(fit["log_likelihood"]["bias_selection"]).all()
    assert 0 < float(fit["posterior"]["bias_published_2"].mean()) < 1


def test_exact_engine_needs_normal_likelihood(name, fit):
    pain = specs.outcome(name, "linear", "arm", {"slope": specs.parameter("agent")})
    spec, evidence = specs.spec(pain), load_evidence(TABLE)
    reasons = exact_obstacles(spec, build_design(spec, evidence))
    assert len(reasons) == (name == "laplace")
    if reasons:
        return
    exact = nb.fit(specs.spec(pain, sampling={**SAMPLING, "method": "exact"}), evidence)
    for parameter in ("slope_location", "heterogeneity_sd", "slope_between_agent"):
        sampled, drawn = fit["posterior"][parameter], exact["posterior"][parameter]
        # 2,000 draws, an effective sample of some 400: five Monte Carlo errors.
        assert abs(float(sampled.mean() - drawn.mean())) < 5 * float(drawn.std()) / np.sqrt(400)


def test_new_likelihood_is_calibrated(name):
    simulations = Simulations(case_of(Combination("linear", name, "agent", "arm")), 60, seed=1)
    simulations.run_simulations()
    p = {n: p_value(np.array(counts)) for n, counts in simulations.counts().items()}
    assert min(p.values()) > 0.01 / len(p), p
