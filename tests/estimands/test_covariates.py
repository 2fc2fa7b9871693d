"""Estimands of models with covariates, strata, heavy tails and classes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.checks.prior_influence import ONE_CLASS, SINGLETON_CLASSES, identifiability
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import dose_response, study_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.equations import describe_analysis, equations
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

TABLE = specs.normal_table().assign(
    year=[2000, 2000, 2010, 2010, 2010, 2020, 2020], quality=list("aabbbaa")
)
YEAR = {"prior": specs.normal(0, 3), "centre": 2010.0, "unit": 5.0}
CLASSES = {"ketamine": "aryl", "mem": "adamantane"}
N = 4000


def spec_of(heterogeneity="none", slope=None, sd=None, **more):
    parameters = {"slope": slope or specs.parameter() | {"covariates": {"year": YEAR}}}
    if sd is not None:
        parameters["heterogeneity_sd"] = sd
    return specs.spec(specs.outcome("normal", "linear", heterogeneity, parameters), **more)


def fit_of(spec, **posterior):
    return make_fit(spec, TABLE, posterior)


class TestCovariates:
    def fit(self):
        eta = draws(np.zeros((2, 7)), "arm", arm=range(7))
        slope, change = draws([-4.0, -6.0]), draws([1.0, 2.0])
        return fit_of(spec_of(), slope=slope, slope_per_year=change, eta=eta)

    def test_curve_is_at_the_centre_by_default(self):
        fit = self.fit()
        at = {"agent": "ketamine", "condition": "crps", "outcome": "pain"}
        centre = dose_response(fit, [2.0]).sel(at)
        assert set(centre.dims) == {"dose", "chain", "draw"}
        assert_allclose(centre.to_numpy().ravel(), [-8.0, -12.0])
        later = dose_response(fit, [2.0], at={"year": 2020}).sel(at)
        assert_allclose(later.to_numpy().ravel(), [2 * (-4 + 2), 2 * (-6 + 4)])

    def test_unknown_covariate_is_rejected(self):
        (issue,) = issues_when(lambda: dose_response(self.fit(), [1], at={"yaer": 1}), SpecError)
        assert (issue.code, issue.column) == ("E804", "at")
        assert "'year'" in issue.hint

    def test_trial_is_predicted_at_its_covariates(self):
        predicted = study_effects(self.fit(), "pain")["predicted"].isel(chain=0, draw=0)
        # Doses 1, 0.5, 2, 1 in 2000, 2010, 2010, 2020.
        assert_allclose(predicted, [-4 - 2, -2, -8, -4 + 2])

    def test_report_states_the_covariates(self):
        lines = [line for block in equations(self.fit()) for line in block.lines]
        assert any(line.note == "effects are reported at year = 2010" for line in lines)
        text = describe_analysis(spec_of(), load_evidence(TABLE))
        assert "slope[study] = slope + slope_per_year · (year − 2010) / 5" in text


def test_simulated_evidence_keeps_covariates_and_strata():
    sd = specs.parameter("stratum", location=specs.half_normal()) | {"strata_column": "quality"}
    spec = spec_of("arm", sd=sd)
    flat, truth, back = simulate_evidence(spec, load_evidence(TABLE), seed=3)
    assert set(truth["heterogeneity_sd"].dims) == {"stratum"}
    assert list(flat["slope_per_year"]) == list(TABLE["year"])
    design = build_design(back, load_evidence(flat, settings=["ignore=stratum"]))["outcomes/pain"]
    assert list(design["slope_per_year"].to_numpy()) == list(TABLE["year"])
    assert list(design["stratum"].to_numpy()) == list(TABLE["quality"])


class TestNewTrials:
    def predicted(self, heterogeneity, sd, **posterior):
        spec = spec_of(heterogeneity, slope=specs.parameter(), sd=sd)
        zero = draws(np.zeros((N, 7)), "arm", arm=range(7))
        fit = fit_of(spec, slope=draws(np.zeros(N)), eta=zero, **posterior)
        return study_effects(fit, "pain")["predicted"].isel(chain=0)

    def test_heterogeneity_is_of_the_stratum(self):
        sd = specs.parameter("stratum", location=specs.half_normal()) | {"strata_column": "quality"}
        by_stratum = draws(np.tile([1.0, 3.0], (N, 1)), "stratum", stratum=["a", "b"])
        predicted = self.predicted("arm", sd, heterogeneity_sd=by_stratum)
        assert set(predicted.dims) == {"draw", "arm"}
        # Comparisons of trials A, B, B, C; the error of an SD is sd / √(2 n): four of each.
        expected = np.array([1.0, 3.0, 3.0, 1.0])
        assert (abs(predicted.std("draw") - expected) < 4 * expected / np.sqrt(2 * N)).all()

    def test_heavy_tails_follow_a_t_distribution(self):
        sd = specs.parameter(location=specs.half_normal()) | {"nu": 4.0}
        predicted = self.predicted("arm_t", sd, heterogeneity_sd=draws(np.full(N, 2.0)))
        known = stats.t(4, scale=2)
        for share in (0.025, 0.5, 0.975):
            error = np.sqrt(share * (1 - share) / N) / known.pdf(known.ppf(share))
            assert (abs(predicted.quantile(share, "draw") - known.ppf(share)) < 4 * error).all()


@pytest.mark.parametrize(
    ("classes", "between", "within"),
    [
        (CLASSES, SINGLETON_CLASSES, SINGLETON_CLASSES),
        ({"ketamine": "one", "mem": "one"}, ONE_CLASS, None),
    ],
)
def test_uninformative_classes_are_reported(classes, between, within):
    spec = spec_of(slope=specs.parameter("class_and_agent"), classes=classes)
    rng = np.random.default_rng(1)
    names = ("slope_between_class", "slope_within_class")
    fit = fit_of(spec, **{name: draws(rng.gamma(2, size=100)) for name in names})
    status = identifiability(fit).set_index("variable")["conclusion"]
    assert status["slope_between_class"] == between
    assert status["slope_within_class"] == within or within is None
    text = describe_analysis(spec, load_evidence(TABLE))
    assert ("class and agent effects are separated only by the prior" in text) is (
        classes == CLASSES
    )
