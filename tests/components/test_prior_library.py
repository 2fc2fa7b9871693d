"""Published priors: as in their sources, in a spec, and as drawn from the graph."""

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
from nmda_bayes.prior_library import DRUG_VS_DRUG, DRUG_VS_PLACEBO, PRIOR_LIBRARIES, published_prior
from nmda_bayes.priors import is_positive, prior_issues, random_variable
from nmda_bayes.report.equations import describe_analysis
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

ENTRIES = [(name, *key) for name, library in PRIOR_LIBRARIES.items() for key in library.priors]
PAIN = {"library": "turner_2015", "outcome": "pain", "comparison": DRUG_VS_PLACEBO}
AT = "outcomes.pain.parameters.heterogeneity_sd.priors.location"

#: Quantiles 0.025, 0.5 and 0.975 by base R 4.2.2 of the distributions in their sources:
#: sqrt(qlnorm(p, m, s)), sqrt(exp(qt(p, 5) * s + m)), scale / qgamma(1 - p, shape),
#: scale * qt(p, df), scale * qnorm((1 + p) / 2).
R_QUANTILES = {
    ("turner_2015", "pain", DRUG_VS_PLACEBO): (
        0.0903040807770858,
        0.4005166260908188,
        1.7763711938018736,
    ),
    ("turner_2015", "any", ""): (0.0505309799442838, 0.2780373004531941, 1.5298484321605690),
    ("turner_2015", "all_cause_mortality", DRUG_VS_PLACEBO): (
        0.0373218672917515,
        0.1387613122429552,
        0.5159093896580683,
    ),
    ("rhodes_2015", "pain", DRUG_VS_PLACEBO): (
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
    """The families of a spec in scipy."""
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
def test_each_published_prior_is_valid(library, outcome, comparison):
    prior = published_prior(library, outcome=outcome, comparison=comparison)
    assert list(prior_issues(prior["dist"], prior["kwargs"])) == []
    of_tau = PRIOR_LIBRARIES[library].quantity == "heterogeneity"
    assert is_positive(prior["dist"], prior["kwargs"]) is of_tau
    assert PRIOR_LIBRARIES[library].citation in prior["why"]
    assert "ratios" in prior["why"] or "differences" in prior["why"]


@pytest.mark.reference
@pytest.mark.parametrize("entry", R_QUANTILES, ids="-".join)
def test_quantiles_match_the_source(entry):
    library, outcome, comparison = entry
    prior = published_prior(library, outcome=outcome, comparison=comparison)
    ours = quantiles(prior["dist"], prior["kwargs"], [0.025, 0.5, 0.975])
    assert_allclose(ours, R_QUANTILES[entry], rtol=1e-9, atol=1e-15)


@pytest.mark.reference
def test_mortality_prior_matches_bayesmeta():
    # TurnerEtAlPrior("all-cause mortality", "pharmacological", "placebo / control")$parameters of
    # the R package bayesmeta: tau is log-normal with -1.975 and 0.67.
    prior = published_prior(
        "turner_2015", outcome="all_cause_mortality", comparison=DRUG_VS_PLACEBO
    )
    assert prior["dist"] == "LogNormal"
    assert_allclose([prior["kwargs"]["mu"], prior["kwargs"]["sigma"]], [-1.975, 0.67])


def test_drug_vs_drug_has_less_heterogeneity():
    """Both papers: heterogeneity is smaller where drugs are compared with each other."""
    for library in ("turner_2015", "rhodes_2015"):
        outcomes = {key[0] for key in PRIOR_LIBRARIES[library].priors} - {"any"}
        assert len(outcomes) >= 5
        for outcome in outcomes:
            placebo, drug = (
                published_prior(library, outcome=outcome, comparison=c)["kwargs"]["mu"]
                for c in (DRUG_VS_PLACEBO, DRUG_VS_DRUG)
            )
            assert drug < placebo


@pytest.mark.parametrize(
    "entry", [e for e in R_QUANTILES if e[1] in ("pain", "log_odds_ratio")], ids="-".join
)
def test_draws_match_the_source(entry):
    library, outcome, comparison = entry
    prior = published_prior(library, outcome=outcome, comparison=comparison)
    with pm.Model(coords={"agent": ["a", "b"]}) as model:
        random_variable("x", prior["dist"], prior["kwargs"], ("agent",))
    drawn = pm.draw(model["x"].values, draws=10_000, random_seed=2, mode="FAST_COMPILE")
    assert drawn.shape == (10_000, 2)
    known = quantiles(prior["dist"], prior["kwargs"], [0.025, 0.5, 0.975])
    # Shares of 20,000 draws below each quantile: standard errors 0.0011, 0.0035, 0.0011; four each.
    shares = [(drawn < q).mean() for q in known]
    assert_allclose(shares, [0.025, 0.5, 0.975], atol=4 * 0.0035)
    assert abs(shares[0] - 0.025) < 0.0045


class TestLogStudentT:
    """The family that PyMC lacks."""

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

    def test_density_is_t_on_the_log_scale(self):
        model = self.model()
        point = {"x_log__": np.array([0.1, -1.0]), "y_log__": np.array(0.3)}
        t = stats.t(5, -1.58, 1.25)
        # On the unconstrained scale it is the density of t.
        density = model.compile_logp(mode="FAST_COMPILE")(point)
        assert float(density) == pytest.approx(t.logpdf([0.1, -1.0, 0.3]).sum(), rel=1e-12)
        slope = model.compile_dlogp(mode="FAST_COMPILE")(point)
        z = (np.array([0.1, -1.0, 0.3]) + 1.58) / 1.25
        assert_allclose(np.sort(slope), np.sort(-6 * z / (5 + z**2) / 1.25), rtol=1e-12)

    def test_density_is_zero_below_zero(self):
        x = self.model()["y"]
        density = pm.logp(x, x.type.filter_variable(-1.0)).values.eval(mode="FAST_COMPILE")
        assert float(density) == -np.inf


def content(prior: dict[str, Any], likelihood: str = "binomial", **more: Any) -> dict[str, Any]:
    parameters = {"heterogeneity_sd": specs.parameter("common", location=prior)}
    return specs.content(specs.outcome(likelihood, "constant", parameters=parameters, **more))


def sd_prior(spec: AnalysisSpec) -> Any:
    return spec.outcomes["pain"].parameters["heterogeneity_sd"].priors["location"]


def test_spec_keeps_numbers_and_citation():
    spec = AnalysisSpec.from_dict(content(PAIN))
    prior = sd_prior(spec)
    assert prior.dist == "LogNormal"
    assert prior.kwargs == {"mu": -0.915, "sigma": 0.76}
    assert "Turner et al. 2015" in prior.why
    assert "log tau² ~ Normal(-1.83, 1.52²)" in prior.why
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
    stored = json.loads(spec.to_json())["outcomes"]["pain"]["parameters"]["heterogeneity_sd"]
    assert stored["priors"]["location"]["kwargs"] == {"mu": -0.915, "sigma": 0.76}


def test_user_reason_precedes_citation():
    spec = AnalysisSpec.from_dict(content(PAIN | {"why": "Few trials."}))
    assert sd_prior(spec).why.startswith("Few trials. Turner et al. 2015")
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec


def test_published_prior_in_model_and_description():
    table = specs.binary_table().assign(outcome="pain")
    prior = {"library": "rhodes_2015", "outcome": "any"}
    spec = AnalysisSpec.from_dict(content(prior, "normal_contrast"))
    model = build_model(spec, load_evidence(specs.CONTRASTS))
    assert model["heterogeneity_sd"].owner.op._print_name[0] == "LogStudentT" or (
        "LogStudentT" in model.str_repr()
    )
    spec = AnalysisSpec.from_dict(content(PAIN))
    text = describe_analysis(spec, load_evidence(table))
    assert "heterogeneity_sd ~ LogNormal(mu=-0.915, sigma=0.76)   # Turner et al. 2015" in text


WRONG = {
    "library": (PAIN | {"library": "turner_2014"}, "E307"),
    "outcome": (PAIN | {"outcome": "pian"}, "E307"),
    "comparison": (PAIN | {"comparison": "drug_v_placbo"}, "E307"),
    "no comparison": ({"library": "turner_2015", "outcome": "pain"}, "E307"),
    "superfluous comparison": (PAIN | {"outcome": "any"}, "E307"),
    "other numbers": (PAIN | {"dist": "LogNormal", "kwargs": {"mu": 0, "sigma": 1}}, "E319"),
    "an effect": ({"library": "cochrane_pain_effect", "outcome": "log_odds_ratio"}, "E320"),
    "another scale": (PAIN | {"library": "rhodes_2015"}, "E321"),
    "wrong type": (PAIN | {"library": 3}, "E307"),
}


@pytest.mark.parametrize("case", WRONG)
def test_unknown_published_prior_is_rejected(case):
    prior, code = WRONG[case]
    issues = issues_when(lambda: AnalysisSpec.from_dict(content(prior)), SpecError)
    assert code in {issue.code for issue in issues if issue.column.startswith(AT)}


def test_published_prior_needs_matching_scale():
    (issue,) = issues_when(
        lambda: AnalysisSpec.from_dict(content(PAIN, "normal", unit="points")), SpecError
    )
    assert issue.code == "E321"
    smd = {"library": "rhodes_2015", "outcome": "pain", "comparison": DRUG_VS_PLACEBO}
    with pytest.raises(SpecError, match="E321"):
        AnalysisSpec.from_dict(content(smd, "normal", unit="points"))
    assert sd_prior(AnalysisSpec.from_dict(content(smd, "normal", unit="SD"))).dist == "LogStudentT"


def test_contrasts_accept_any_published_scale():
    spec = AnalysisSpec.from_dict(content(PAIN, "normal_contrast"))
    assert "heterogeneity of log odds ratios" in sd_prior(spec).why


def test_published_prior_of_an_effect():
    prior = {"library": "cochrane_pain_effect", "outcome": "log_odds_ratio"}
    effect = {"effect": specs.parameter("common", location=prior)}
    spec = specs.spec(specs.outcome("binomial", "constant", parameters=effect))
    resolved = spec.outcomes["pain"].parameters["effect"].priors["location"]
    assert (resolved.dist, resolved.kwargs) == ("StudentT", {"nu": 7.0, "mu": 0.0, "sigma": 1.0})


@pytest.mark.parametrize(
    ("names", "code", "column"),
    [
        (("turner", "pain", ""), "E501", "library"),
        (("turner_2015", "pian", DRUG_VS_PLACEBO), "E502", "outcome"),
        (("turner_2015", "pain", ""), "E503", "comparison"),
        (("turner_2015", "any", DRUG_VS_PLACEBO), "E503", "comparison"),
    ],
)
def test_unknown_name_of_published_prior(names, code, column):
    library, outcome, comparison = names
    (issue,) = issues_when(
        lambda: published_prior(library, outcome=outcome, comparison=comparison), SpecError
    )
    assert (issue.code, issue.column) == (code, column)
    assert issue.hint
