"""Exact inference against other integrals and against the graph."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.checks import diagnose
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import meta_analysis
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.inference.fitting import sampling_method, size_note
from nmda_bayes.inference.normal_regression import GRID_POINT, build_regression, solve_regression
from nmda_bayes.inference.scale_grid import grid_quantiles, mixture_quantile
from nmda_bayes.model import build_model_from_design, model_outcomes
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when
from tests.support.quadrature import normal_normal

REFERENCE = Path(__file__).parents[1] / "reference"
PRIORS = {
    "eight_schools": (50.0, {"dist": "HalfCauchy", "kwargs": {"beta": 25.0}}),
    "crins2014": (4.0, {"dist": "HalfNormal", "kwargs": {"sigma": 0.5}}),
    "bcg": (4.0, {"dist": "HalfNormal", "kwargs": {"sigma": 0.5}}),
}
FROZEN = {"HalfCauchy": stats.halfcauchy, "HalfNormal": stats.halfnorm}


def reference_case(name: str) -> tuple[AnalysisSpec, xr.DataTree]:
    spec = AnalysisSpec.from_toml(REFERENCE / f"{name}.toml")
    return spec, load_evidence(REFERENCE / f"{name}.csv")


@cache
def integrated(name: str) -> xr.Dataset:
    spec, evidence = reference_case(name)
    few = spec.model_copy(update={"sampling": spec.sampling.model_copy(update={"draws": 10})})
    design = build_design(few, evidence)
    return integrate_posterior(few, design, build_model_from_design(few, design))[
        "exact"
    ].to_dataset()


def by_quadrature(name: str) -> dict[str, float]:
    rows, (sd, tau) = pd.read_csv(REFERENCE / f"{name}.csv"), PRIORS[name]
    prior = FROZEN[tau["dist"]](scale=next(iter(tau["kwargs"].values())))
    return normal_normal(rows["estimate"].to_numpy(), rows["se"].to_numpy(), sd, prior)


@pytest.mark.reference
@pytest.mark.parametrize("name", PRIORS)
class TestReferenceCases:
    def test_engine(self, name):
        exact = integrated(name)
        expected = by_quadrature(name)
        mu, tau = exact["effect"], exact["heterogeneity_sd"]
        assert mu.dims == tau.dims == ("statistic",)
        for value, reference in (
            (mu.sel(statistic="mean"), expected["mu_mean"]),
            (mu.sel(statistic="sd"), expected["mu_sd"]),
            (tau.sel(statistic="mean"), expected["tau_mean"]),
            (tau.sel(statistic="sd"), expected["tau_sd"]),
            (tau.sel(statistic="q50"), expected["tau_q50"]),
        ):
            assert_allclose(value, reference, rtol=1e-3)

    def test_batch(self, name):
        rows, (sd, tau) = pd.read_csv(REFERENCE / f"{name}.csv"), PRIORS[name]
        location = {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": sd}}
        y, se = (xr.DataArray(rows[c].to_numpy(), dims="study") for c in ("estimate", "se"))
        pooled = meta_analysis(y, se, location=location, heterogeneity=tau)
        expected = by_quadrature(name)
        assert pooled["study_effect"].dims == ("study", "statistic")
        for variable, statistic, key in (
            ("mu", "mean", "mu_mean"),
            ("mu", "sd", "mu_sd"),
            ("tau", "mean", "tau_mean"),
            ("tau", "q50", "tau_q50"),
            ("new_study", "sd", "new_trial_sd"),
        ):
            assert_allclose(pooled[variable].sel(statistic=statistic), expected[key], rtol=1e-3)

    def test_published_numbers(self, name):
        """The numbers of bayesmeta, with an accuracy of 1e-3 (its delta and epsilon)."""
        pinned = json.loads((REFERENCE / "pinned.json").read_text())[name]["numbers"]
        exact = integrated(name)
        names = {"mu": exact["effect"], "tau": exact["heterogeneity_sd"]}
        reported = {key: value for key, value in pinned.items() if key.split("_")[0] in names}
        assert reported
        for key, value in reported.items():
            variable, statistic = key.split("_", 1)
            assert_allclose(
                names[variable].sel(statistic=statistic), value, rtol=1.5e-3, err_msg=key
            )


def linear_by_agent(**more) -> AnalysisSpec:
    priors = {"location": specs.normal(0, 5), "between_agent": specs.half_normal(2)}
    slope = specs.parameter("agent", **priors)
    return specs.spec(specs.outcome("normal", "linear", parameters={"slope": slope}), **more)


def one_ed50() -> AnalysisSpec:
    parameters = {"emax": specs.parameter("independent", each=specs.normal(0, 20))}
    return specs.spec(specs.outcome("normal", "emax", parameters=parameters))


CASES = {
    "arms, slopes by agent": (linear_by_agent(), specs.normal_table()),
    "arms, one ED50": (one_ed50(), specs.normal_table()),
    "contrasts": (specs.spec(specs.outcome("normal_contrast", "linear")), specs.CONTRASTS),
    "no heterogeneity": (
        specs.spec(specs.outcome("normal", "log_linear", "none")),
        specs.normal_table(),
    ),
}


@pytest.mark.parametrize("case", CASES)
class TestRegression:
    def test_log_evidence_is_the_marginal_normal_density(self, case):
        spec, table = CASES[case]
        outcome = next(model_outcomes(spec, build_design(spec, load_evidence(table))))
        scales = {
            "slope_between_agent": 1.3,
            "heterogeneity_sd": 2.1,
            "log_ed50": -0.4,
        }
        scales = {k: xr.DataArray([v, 2 * v], dims=GRID_POINT) for k, v in scales.items()}
        regression = build_regression(outcome, scales)
        blocks = regression.latents.blocks.values()
        mean = np.concatenate([np.full(b.size, b.mean) for b in blocks])
        variance = np.concatenate([np.full(b.size, b.sd**2) for b in blocks])
        solved = solve_regression(regression)
        assert solved.log_evidence.shape == (2,)
        for point in range(2):
            x, y = regression.design[point], regression.target[point]
            marginal = stats.multivariate_normal(
                x @ mean, x @ np.diag(variance) @ x.T + regression.covariance
            )
            assert_allclose(solved.log_evidence[point], marginal.logpdf(y), rtol=1e-9)

    def test_linear_predictor_is_that_of_the_graph(self, case):
        """Draws of the normal variables give the graph's eta."""
        spec, table = CASES[case]
        design = build_design(spec, load_evidence(table))
        fit = integrate_posterior(spec, design, build_model_from_design(spec, design))
        posterior = fit["posterior"].to_dataset().isel(chain=0, draw=slice(0, 3))
        outcome = next(model_outcomes(spec, design))
        scales = {
            str(name): xr.DataArray(posterior[name].to_numpy(), dims=GRID_POINT)
            for name in posterior
            if name in ("slope_between_agent", "heterogeneity_sd", "log_ed50")
        }
        regression = build_regression(outcome, scales)
        latents = np.concatenate(
            [posterior[name].to_numpy().reshape(3, -1) for name in regression.latents.blocks],
            axis=1,
        )
        design_by_draw = np.broadcast_to(regression.design, (3, *regression.design.shape[1:]))
        predictor = np.einsum("prl,pl->pr", design_by_draw, latents)
        eta = posterior["eta"].to_numpy()
        if case == "contrasts":
            pain = design["outcomes/pain"].to_dataset()
            eta = eta[:, pain["arm_position"]] - eta[:, pain["comparator_position"]]
        assert_allclose(predictor, eta, rtol=1e-9, atol=1e-9)

    def test_every_variable_of_the_graph_is_drawn(self, case):
        spec, table = CASES[case]
        design = build_design(spec, load_evidence(table))
        model = build_model_from_design(spec, design)
        posterior = integrate_posterior(spec, design, model)["posterior"].to_dataset()
        named = {v.name for v in [*model.free_RVs, *model.deterministics]}
        assert set(posterior) == named
        for name in named:
            dims = ("chain", "draw", *(model.named_vars_to_dims[name] or ()))
            assert posterior[name].dims == dims


EXACT = {"method": "exact", "seed": 3, "chains": 4, "draws": 1000, "tune": 1}


@pytest.fixture(scope="module")
def fit() -> xr.DataTree:
    return inference.fit(linear_by_agent(sampling=EXACT), load_evidence(specs.normal_table()))


class TestDraws:
    def test_draws_have_the_exact_moments(self, fit):
        posterior, exact = fit["posterior"].to_dataset(), fit["exact"].to_dataset()
        for name in ("slope", "baseline", "heterogeneity_sd", "slope_between_agent"):
            draws, dims = posterior[name], ("chain", "draw")
            sd = exact[name].sel(statistic="sd")
            # Independent draws: four standard errors of the mean of 4,000.
            error = abs(draws.mean(dims) - exact[name].sel(statistic="mean"))
            assert bool((error < 4 * sd / np.sqrt(4000)).all()), name
            for share, statistic in ((0.025, "q2.5"), (0.975, "q97.5")):
                below = (draws < exact[name].sel(statistic=statistic)).mean(dims)
                assert_allclose(below, share, atol=4 * np.sqrt(0.025 * 0.975 / 4000))

    def test_checks_and_groups_are_those_of_any_fit(self, fit):
        checks = diagnose(fit)
        assert checks.passed
        assert "integration error" in set(checks.convergence["check"])
        assert fit.attrs["method"] == "exact"
        assert {"prior", "posterior_predictive", "log_likelihood"} <= set(fit.children)

    def test_same_seed_same_draws(self, fit):
        spec = linear_by_agent(sampling=EXACT)
        again = inference.fit(spec, load_evidence(specs.normal_table()))
        xr.testing.assert_identical(again["posterior"].to_dataset(), fit["posterior"].to_dataset())

    def test_two_scales_against_a_double_integral(self, fit):
        """The mean heterogeneity SD by Gauss-Legendre quadrature over the scales."""
        spec = linear_by_agent()
        outcome = next(
            model_outcomes(spec, build_design(spec, load_evidence(specs.normal_table())))
        )

        nodes, weights = np.polynomial.legendre.leggauss(40)
        between, sd = (a.ravel() for a in np.meshgrid(6 * (nodes + 1), 3 * (nodes + 1)))
        scales = {"slope_between_agent": between, "heterogeneity_sd": sd}
        at = {k: xr.DataArray(v, dims=GRID_POINT) for k, v in scales.items()}
        logs = solve_regression(build_regression(outcome, at)).log_evidence
        prior = stats.halfnorm(0, 2).pdf(between) * stats.halfnorm(0, 1).pdf(sd)
        joint = np.exp(logs - logs.max()) * prior * np.outer(weights, weights).ravel()
        mean = float((joint * sd).sum() / joint.sum())
        exact = fit["exact/heterogeneity_sd"].sel(statistic="mean")
        assert_allclose(exact, mean, rtol=1e-3)


class TestObstacles:
    def obstacles(self, spec, table):
        return exact_obstacles(spec, build_design(spec, load_evidence(table)))

    def test_counts(self):
        (obstacle,) = self.obstacles(
            specs.spec(specs.outcome("binomial", "linear")),
            specs.binary_table().assign(outcome="pain"),
        )
        assert "not normal" in obstacle

    def test_an_ed50_per_agent(self):
        parameters = {"log_ed50": specs.parameter("independent")}
        obstacles = self.obstacles(
            specs.spec(specs.outcome(parameters=parameters)), specs.normal_table()
        )
        assert any("not linear" in text for text in obstacles)

    def test_three_scales(self):
        parameters = {"slope": specs.parameter("agent_and_condition")}
        obstacles = self.obstacles(
            specs.spec(specs.outcome("normal", "linear", parameters=parameters)),
            specs.normal_table(),
        )
        assert any("3 scales" in text for text in obstacles)

    def test_a_prior_that_is_not_normal(self):
        slope = specs.parameter("common", location=specs.prior("StudentT", nu=4, mu=0, sigma=1))
        obstacles = self.obstacles(
            specs.spec(specs.outcome("normal", "linear", parameters={"slope": slope})),
            specs.normal_table(),
        )
        assert obstacles == ["pain: the prior of slope is StudentT, not Normal"]

    def test_exact_method_is_rejected_if_impossible(self):
        spec = specs.spec(
            specs.outcome("binomial", "linear"), sampling={**specs.SAMPLING, "method": "exact"}
        )
        evidence = load_evidence(specs.binary_table().assign(outcome="pain"))
        (issue,) = issues_when(lambda: inference.fit(spec, evidence), SpecError)
        assert (issue.code, issue.column) == ("E551", "sampling.method")

    def test_auto_falls_back_to_nuts(self, mocked_sampler):
        spec = specs.spec(
            specs.outcome("binomial", "linear"), sampling={**specs.SAMPLING, "method": "auto"}
        )
        fit = inference.fit(spec, load_evidence(specs.binary_table().assign(outcome="pain")))
        assert fit.attrs["method"] == "nuts"

    @pytest.mark.parametrize(("trials", "method"), [(150, "exact"), (151, "nuts")])
    def test_auto_samples_a_large_analysis(self, trials: int, method: str):
        rows = [(f"T{i}", "x", "placebo", 0.1, 0.2, "SMD") for i in range(trials)]
        names = ["study", "agent", "comparator", "estimate", "se", "measure"]
        table = pd.DataFrame(rows, columns=names).assign(outcome="pain")
        content = specs.outcome("normal_contrast", "constant")
        spec = specs.spec(content, sampling={**specs.SAMPLING, "method": "auto"})
        design = build_design(spec, load_evidence(table))
        assert sampling_method(spec, design) == method
        assert bool(size_note(spec, design)) == (method == "nuts")


STUDENT = specs.prior("StudentT", nu=3.0, mu=0.0, sigma=1.0)


class TestBatch:
    location = {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": 2.0}}
    heterogeneity = {"dist": "HalfNormal", "kwargs": {"sigma": 0.5}}

    def pool(self, y, se, **more):
        priors = {"location": self.location, "heterogeneity": self.heterogeneity} | more
        dims = ("analysis", "study")[-np.ndim(y) :]
        return meta_analysis(xr.DataArray(y, dims=dims), xr.DataArray(se, dims=dims), **priors)

    def test_many_analyses_are_each_as_one(self):
        rng = np.random.default_rng(2)
        y, se = rng.normal(0, 1, (5, 7)), rng.uniform(0.1, 0.6, (5, 7))
        together = self.pool(y, se)
        assert together["study_effect"].dims == ("analysis", "study", "statistic")
        for i in range(5):
            xr.testing.assert_allclose(together.isel(analysis=i), self.pool(y[i], se[i]), rtol=1e-9)

    def test_a_missing_study_changes_nothing(self):
        y, se = np.array([0.3, 0.1, np.nan]), np.array([0.2, 0.1, np.nan])
        pooled, without = self.pool(y, se), self.pool(y[:2], se[:2])
        xr.testing.assert_allclose(pooled["mu"], without["mu"])
        assert np.isnan(pooled["study_effect"].isel(study=2)).all()

    def test_one_study_is_conjugate(self):
        """Without heterogeneity, precisions add."""
        tau = {"dist": "HalfNormal", "kwargs": {"sigma": 1e-6}}
        mu = self.pool(np.array([1.0]), np.array([0.5]), heterogeneity=tau)["mu"]
        precision = 1 / 0.5**2 + 1 / 2.0**2
        assert_allclose(mu.sel(statistic="mean"), 4.0 / precision, rtol=1e-6)
        assert_allclose(mu.sel(statistic="sd"), precision**-0.5, rtol=1e-6)

    @pytest.mark.parametrize(
        ("se", "priors", "code", "column"),
        [
            (0.1, {"location": {"dist": "Norml"}}, "E555", "location"),
            (0.1, {"location": STUDENT}, "E556", "location"),
            (0.1, {"heterogeneity": location}, "E557", "heterogeneity"),
            (0.0, {}, "E558", "se"),
            (np.nan, {}, "E559", "se"),
        ],
    )
    def test_invalid_arguments(self, se, priors, code, column):
        (issue,) = issues_when(lambda: self.pool([0.1], [se], **priors), SpecError)
        assert (issue.code, issue.column) == (code, column)


class TestQuantiles:
    def test_of_a_grid(self):
        u = np.linspace(-8, 4, 61)[None]
        log_density = stats.gamma(3).logpdf(np.exp(u)) + u
        quantiles = np.exp(grid_quantiles(u, log_density, (0.025, 0.5, 0.975)))
        assert_allclose(quantiles[0], stats.gamma(3).ppf([0.025, 0.5, 0.975]), rtol=1e-5)

    def test_of_a_mixture(self):
        mean, sd, weight = np.array([[0.0, 3.0]]), np.array([[1.0, 0.2]]), np.array([[0.7, 0.3]])
        for share in (0.025, 0.5, 0.975):
            x = mixture_quantile(mean, sd, weight, share)
            below = (weight * stats.norm.cdf((x - mean) / sd)).sum()
            assert_allclose(below, share, atol=1e-7)
