"""Published priors: as printed, as a spec writes them, and as the graph draws them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.priors import is_positive, prior_faults, random_variable
from nmda_bayes.published_priors import DRUG_V_DRUG, DRUG_V_PLACEBO, LIBRARIES, prior_library
from nmda_bayes.report.show import show_text
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when

ENTRIES = [(name, *key) for name, library in LIBRARIES.items() for key in library.priors]
PAIN = {"library": "turner_2015", "outcome": "pain", "comparison": DRUG_V_PLACEBO}
AT = "outcomes.pain.parameters.heterogeneity_sd.priors.location"

#: Quantiles 0.025, 0.5 and 0.975 by base R 4.2.2 of the distributions as their sources print them:
#: sqrt(qlnorm(p, m, s)), sqrt(exp(qt(p, 5) * s + m)), scale / qgamma(1 - p, shape),
#: scale * qt(p, df), scale * qnorm((1 + p) / 2).
R_QUANTILES = {
    ("turner_2015", "pain", DRUG_V_PLACEBO): (
        0.0903040807770858,
        0.4005166260908188,
        1.7763711938018736,
    ),
    ("turner_2015", "any", ""): (0.0505309799442838, 0.2780373004531941, 1.5298484321605690),
    ("turner_2015", "all_cause_mortality", DRUG_V_PLACEBO): (
        0.0373218672917515,
        0.1387613122429552,
        0.5159093896580683,
    ),
    ("rhodes_2015", "pain", DRUG_V_PLACEBO): (
        0.00828567387593382,
        0.20597509820488347,
        5.12037303371776886,
    ),
    ("rhodes_2015", "any", ""): (0.0064163652814191, 0.1790661479114932, 4.9973285375001248),
    ("cochrane_pain_heterogeneity", "standardised_mean_difference", ""): (
        0.0836146548692405,
        0.3063771770315328,
        2.7347240673083912,
    ),
    ("cochrane_pain_heterogeneity", "log_odds_ratio", ""): (
        0.0855761083758983,
        0.3381271472534513,
        3.7072172768219964,
    ),
    ("cochrane_pain_heterogeneity", "risk_difference", ""): (
        0.00332182609427121,
        0.07149591352078466,
        0.23758868912612433,
    ),
    ("cochrane_pain_effect", "standardised_mean_difference", ""): (
        -1.10535018932362,
        0,
        1.10535018932361,
    ),
    ("cochrane_pain_effect", "log_odds_ratio", ""): (-2.36462425159278, 0, 2.36462425159278),
}


def quantiles(dist: str, kwargs: dict[str, float], p: Any) -> np.ndarray:
    """What the families of a spec mean, by scipy."""
    if dist == "LogStudentT":
        t = stats.t(kwargs["nu"], kwargs["mu"], kwargs["sigma"])
        return np.exp(t.ppf(p))
    known = {
        "LogNormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
        "StudentT": lambda nu, mu, sigma: stats.t(nu, mu, sigma),
        "InverseGamma": lambda alpha, beta: stats.invgamma(alpha, scale=beta),
        "HalfNormal": lambda sigma: stats.halfnorm(scale=sigma),
    }
    return known[dist](**kwargs).ppf(p)


@pytest.mark.parametrize(("library", "outcome", "comparison"), ENTRIES)
def test_each_entry_is_a_sound_prior_with_its_source(library, outcome, comparison):
    found = prior_library(library, outcome=outcome, comparison=comparison)
    assert list(prior_faults(found["dist"], found["kwargs"])) == []
    of_tau = LIBRARIES[library].quantity == "heterogeneity"
    assert is_positive(found["dist"], found["kwargs"]) is of_tau
    assert LIBRARIES[library].citation in found["why"]
    assert "ratios" in found["why"] or "differences" in found["why"]


@pytest.mark.reference
@pytest.mark.parametrize("entry", R_QUANTILES, ids="-".join)
def test_quantiles_are_those_of_the_printed_distribution(entry):
    library, outcome, comparison = entry
    found = prior_library(library, outcome=outcome, comparison=comparison)
    ours = quantiles(found["dist"], found["kwargs"], [0.025, 0.5, 0.975])
    assert_allclose(ours, R_QUANTILES[entry], rtol=1e-9, atol=1e-15)


@pytest.mark.reference
def test_mortality_is_as_bayesmeta_gives_it_for_tau():
    # TurnerEtAlPrior("all-cause mortality", "pharmacological", "placebo / control")$parameters of
    # the R package bayesmeta: tau is log-normal with -1.975 and 0.67.
    found = prior_library("turner_2015", outcome="all_cause_mortality", comparison=DRUG_V_PLACEBO)
    assert found["dist"] == "LogNormal"
    assert_allclose([found["kwargs"]["mu"], found["kwargs"]["sigma"]], [-1.975, 0.67])


def test_two_drugs_differ_less_than_drug_and_placebo():
    """Both papers: heterogeneity is smaller where drugs are compared with each other."""
    for library in ("turner_2015", "rhodes_2015"):
        outcomes = {key[0] for key in LIBRARIES[library].priors} - {"any"}
        assert len(outcomes) >= 5
        for outcome in outcomes:
            one, other = (
                prior_library(library, outcome=outcome, comparison=c)["kwargs"]["mu"]
                for c in (DRUG_V_PLACEBO, DRUG_V_DRUG)
            )
            assert other < one


@pytest.mark.parametrize(
    "entry", [e for e in R_QUANTILES if e[1] in ("pain", "log_odds_ratio")], ids="-".join
)
def test_the_graph_draws_what_the_source_prints(entry):
    library, outcome, comparison = entry
    found = prior_library(library, outcome=outcome, comparison=comparison)
    with pm.Model(coords={"agent": ["a", "b"]}) as model:
        random_variable("x", found["dist"], found["kwargs"], ("agent",))
    drawn = pm.draw(model["x"].values, draws=10_000, random_seed=2, mode="FAST_COMPILE")
    assert drawn.shape == (10_000, 2)
    known = quantiles(found["dist"], found["kwargs"], [0.025, 0.5, 0.975])
    # Shares of 20,000 draws below each quantile: standard errors 0.0011, 0.0035, 0.0011; four each.
    shares = [(drawn < q).mean() for q in known]
    assert_allclose(shares, [0.025, 0.5, 0.975], atol=4 * 0.0035)
    assert abs(shares[0] - 0.025) < 0.0045


class TestLogStudentT:
    """The one family that PyMC lacks."""

    KWARGS = {"nu": 5.0, "mu": -1.58, "sigma": 1.25}

    def model(self) -> pm.Model:
        with pm.Model(coords={"agent": ["a", "b"]}) as model:
            random_variable("x", "LogStudentT", self.KWARGS, ("agent",))
            random_variable("y", "LogStudentT", self.KWARGS)
        return model

    def test_has_dims_and_starts_at_its_median(self):
        model = self.model()
        dims = model.named_vars_to_dims
        assert {v.name: dims[v.name] for v in model.free_RVs} == {"x": ("agent",), "y": ()}
        point = model.initial_point()
        assert_allclose(point["x_log__"], [-1.58, -1.58])
        assert "LogStudentT(5, -1.58, 1.25)" in model.str_repr()

    def test_its_density_is_that_of_a_t_on_the_log_scale(self):
        model = self.model()
        point = {"x_log__": np.array([0.1, -1.0]), "y_log__": np.array(0.3)}
        t = stats.t(5, -1.58, 1.25)
        # On the unconstrained scale the Jacobian brings back the t itself.
        density = model.compile_logp(mode="FAST_COMPILE")(point)
        assert float(density) == pytest.approx(t.logpdf([0.1, -1.0, 0.3]).sum(), rel=1e-12)
        slope = model.compile_dlogp(mode="FAST_COMPILE")(point)
        z = (np.array([0.1, -1.0, 0.3]) + 1.58) / 1.25
        assert_allclose(np.sort(slope), np.sort(-6 * z / (5 + z**2) / 1.25), rtol=1e-12)

    def test_is_nowhere_negative(self):
        x = self.model()["y"]
        density = pm.logp(x, x.type.filter_variable(-1.0)).values.eval(mode="FAST_COMPILE")
        assert float(density) == -np.inf


def content(prior: dict[str, Any], likelihood: str = "binomial", **more: Any) -> dict[str, Any]:
    parameters = {"heterogeneity_sd": specs.parameter("common", location=prior)}
    return specs.content(specs.outcome(likelihood, "constant", parameters=parameters, **more))


def sd_prior(spec: AnalysisSpec) -> Any:
    return spec.outcomes["pain"].parameters["heterogeneity_sd"].priors["location"]


def test_a_spec_names_a_prior_and_keeps_its_numbers_and_citation():
    spec = AnalysisSpec.from_dict(content(PAIN))
    found = sd_prior(spec)
    assert found.dist == "LogNormal"
    assert found.kwargs == {"mu": -0.915, "sigma": 0.76}
    assert "Turner et al. 2015" in found.why
    assert "log tau² ~ Normal(-1.83, 1.52²)" in found.why
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
    stored = json.loads(spec.to_json())["outcomes"]["pain"]["parameters"]["heterogeneity_sd"]
    assert stored["priors"]["location"]["kwargs"] == {"mu": -0.915, "sigma": 0.76}


def test_the_readers_own_reason_stands_before_the_citation():
    spec = AnalysisSpec.from_dict(content(PAIN | {"why": "Few trials."}))
    assert sd_prior(spec).why.startswith("Few trials. Turner et al. 2015")
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec


def test_it_is_fitted_and_shown():
    table = specs.binary_table().assign(outcome="pain")
    prior = {"library": "rhodes_2015", "outcome": "any"}
    spec = AnalysisSpec.from_dict(content(prior, "normal_contrast"))
    model = build_model(spec, load_evidence(specs.CONTRASTS))
    assert model["heterogeneity_sd"].owner.op._print_name[0] == "LogStudentT" or (
        "LogStudentT" in model.str_repr()
    )
    spec = AnalysisSpec.from_dict(content(PAIN))
    text = show_text(spec, load_evidence(table))
    assert "location ~ LogNormal(mu=-0.915, sigma=0.76)   # Turner et al. 2015" in text


WRONG = {
    "library": (PAIN | {"library": "turner_2014"}, ["unknown prior library", "'turner_2015'"]),
    "outcome": (PAIN | {"outcome": "pian"}, ["has no outcome 'pian'", "'pain'"]),
    "comparison": (PAIN | {"comparison": "drug_v_placbo"}, ["'drug_v_placbo'", "drug_v_placebo"]),
    "no comparison": ({"library": "turner_2015", "outcome": "pain"}, ["has no comparison ''"]),
    "too many": (
        PAIN | {"outcome": "any"}, ["does not tell comparisons apart", "Remove comparison"]),
    "other numbers": (
        PAIN | {"dist": "LogNormal", "kwargs": {"mu": 0, "sigma": 1}},
        ["the numbers are not those of turner_2015"]),
    "an effect": (
        {"library": "cochrane_pain_effect", "outcome": "log_odds_ratio"},
        ["has priors of an effect, not of 'heterogeneity_sd'"]),
    "another scale": (
        {"library": "rhodes_2015", "outcome": "pain", "comparison": DRUG_V_PLACEBO},
        ["a prior for standardised mean differences", "effects are log odds ratios"]),
    "a word of another type": (PAIN | {"library": 3}, ["library"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_with_the_nearest(case):
    prior, words = WRONG[case]
    found = faults_when(lambda: AnalysisSpec.from_dict(content(prior)), SpecError)
    text = " ".join(str(fault) for fault in found if fault.column.startswith(AT))
    assert all(word in text for word in words), text


def test_a_prior_of_log_odds_is_refused_for_means_in_a_unit_and_one_of_smd_asks_for_sds():
    (fault,) = faults_when(
        lambda: AnalysisSpec.from_dict(content(PAIN, "normal", unit="points")), SpecError
    )
    assert "differences of means in its own unit" in fault.message
    smd = {"library": "rhodes_2015", "outcome": "pain", "comparison": DRUG_V_PLACEBO}
    with pytest.raises(SpecError, match='unit = "SD"'):
        AnalysisSpec.from_dict(content(smd, "normal", unit="points"))
    assert sd_prior(AnalysisSpec.from_dict(content(smd, "normal", unit="SD"))).dist == "LogStudentT"


def test_contrasts_may_be_on_any_scale_and_the_reason_says_which_is_meant():
    spec = AnalysisSpec.from_dict(content(PAIN, "normal_contrast"))
    assert "heterogeneity of log odds ratios" in sd_prior(spec).why


def test_an_effect_has_its_prior_from_the_library_too():
    prior = {"library": "cochrane_pain_effect", "outcome": "log_odds_ratio"}
    effect = {"effect": specs.parameter("common", location=prior)}
    spec = specs.spec(specs.outcome("binomial", "constant", parameters=effect))
    found = spec.outcomes["pain"].parameters["effect"].priors["location"]
    assert (found.dist, found.kwargs) == ("StudentT", {"nu": 7.0, "mu": 0.0, "sigma": 1.0})


def test_in_python_an_unknown_name_is_a_fault_with_the_nearest():
    (fault,) = faults_when(lambda: prior_library("turner", outcome="pain"), SpecError)
    assert "'turner_2015'" in fault.mend
