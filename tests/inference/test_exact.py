"""Inference without draws: against integrals of another kind, and against the graph itself."""

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
from nmda_bayes.checks import check
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import meta_analysis
from nmda_bayes.inference.affine import linear
from nmda_bayes.inference.exact import integrate, reasons_against
from nmda_bayes.inference.latents import POINT
from nmda_bayes.inference.quantiles import grid_quantiles, mixture_quantile
from nmda_bayes.inference.regression import solve
from nmda_bayes.model import model_of, outcomes_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.reference.quadrature import normal_normal

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
    return integrate(few, design, model_of(few, design))["exact"].to_dataset()


def by_quadrature(name: str) -> dict[str, float]:
    rows, (sd, tau) = pd.read_csv(REFERENCE / f"{name}.csv"), PRIORS[name]
    prior = FROZEN[tau["dist"]](scale=next(iter(tau["kwargs"].values())))
    return normal_normal(rows["estimate"].to_numpy(), rows["se"].to_numpy(), sd, prior)


@pytest.mark.reference
@pytest.mark.parametrize("name", PRIORS)
class TestReferenceCases:
    def test_the_engine(self, name):
        found = integrated(name)
        expected = by_quadrature(name)
        mu, tau = found["effect"], found["heterogeneity_sd"]
        assert mu.dims == tau.dims == ("statistic",)
        for ours, theirs in (
            (mu.sel(statistic="mean"), expected["mu_mean"]),
            (mu.sel(statistic="sd"), expected["mu_sd"]),
            (tau.sel(statistic="mean"), expected["tau_mean"]),
            (tau.sel(statistic="sd"), expected["tau_sd"]),
            (tau.sel(statistic="q50"), expected["tau_q50"]),
        ):
            assert_allclose(ours, theirs, rtol=1e-3)

    def test_the_batch(self, name):
        rows, (sd, tau) = pd.read_csv(REFERENCE / f"{name}.csv"), PRIORS[name]
        location = {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": sd}}
        y, se = (xr.DataArray(rows[c].to_numpy(), dims="study") for c in ("estimate", "se"))
        found = meta_analysis(y, se, location=location, heterogeneity=tau)
        expected = by_quadrature(name)
        assert found["study_effect"].dims == ("study", "statistic")
        for variable, statistic, key in (
            ("mu", "mean", "mu_mean"),
            ("mu", "sd", "mu_sd"),
            ("tau", "mean", "tau_mean"),
            ("tau", "q50", "tau_q50"),
            ("new_study", "sd", "new_trial_sd"),
        ):
            assert_allclose(found[variable].sel(statistic=statistic), expected[key], rtol=1e-3)

    def test_what_the_reference_prints(self, name):
        """bayesmeta's numbers, whose own accuracy is 1e-3 (its delta and epsilon)."""
        pinned = json.loads((REFERENCE / "pinned.json").read_text())[name]["numbers"]
        found = integrated(name)
        names = {"mu": found["effect"], "tau": found["heterogeneity_sd"]}
        asked = {key: value for key, value in pinned.items() if key.split("_")[0] in names}
        assert asked
        for key, value in asked.items():
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
    def test_the_log_evidence_is_the_density_of_the_marginal_normal(self, case):
        spec, table = CASES[case]
        outcome = next(outcomes_of(spec, build_design(spec, load_evidence(table))))
        scales = {
            "slope_between_agent": 1.3,
            "heterogeneity_sd": 2.1,
            "log_ed50": -0.4,
        }
        scales = {k: xr.DataArray([v, 2 * v], dims=POINT) for k, v in scales.items()}
        regression = linear(outcome, scales)
        blocks = regression.latents.blocks.values()
        mean = np.concatenate([np.full(b.size, b.mean) for b in blocks])
        variance = np.concatenate([np.full(b.size, b.sd**2) for b in blocks])
        solved = solve(regression)
        assert solved.log_evidence.shape == (2,)
        for point in range(2):
            x, y = regression.design[point], regression.target[point]
            marginal = stats.multivariate_normal(
                x @ mean, x @ np.diag(variance) @ x.T + regression.covariance
            )
            assert_allclose(solved.log_evidence[point], marginal.logpdf(y), rtol=1e-9)

    def test_the_predictor_is_that_of_the_graph(self, case):
        """The draws of the normal variables, put through the graph, give the affine predictor."""
        spec, table = CASES[case]
        design = build_design(spec, load_evidence(table))
        fit = integrate(spec, design, model_of(spec, design))
        posterior = fit["posterior"].to_dataset().isel(chain=0, draw=slice(0, 3))
        outcome = next(outcomes_of(spec, design))
        scales = {
            str(name): xr.DataArray(posterior[name].to_numpy(), dims=POINT)
            for name in posterior
            if name in ("slope_between_agent", "heterogeneity_sd", "log_ed50")
        }
        regression = linear(outcome, scales)
        latents = np.concatenate(
            [posterior[name].to_numpy().reshape(3, -1) for name in regression.latents.blocks],
            axis=1,
        )
        design_by_draw = np.broadcast_to(regression.design, (3, *regression.design.shape[1:]))
        found = np.einsum("prl,pl->pr", design_by_draw, latents)
        eta = posterior["eta"].to_numpy()
        if case == "contrasts":
            pain = design["outcomes/pain"].to_dataset()
            eta = eta[:, pain["arm_position"]] - eta[:, pain["comparator_position"]]
        assert_allclose(found, eta, rtol=1e-9, atol=1e-9)

    def test_every_variable_of_the_graph_is_there(self, case):
        spec, table = CASES[case]
        design = build_design(spec, load_evidence(table))
        model = model_of(spec, design)
        posterior = integrate(spec, design, model)["posterior"].to_dataset()
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
    def test_draws_have_the_moments_of_the_integral(self, fit):
        posterior, exact = fit["posterior"].to_dataset(), fit["exact"].to_dataset()
        for name in ("slope", "baseline", "heterogeneity_sd", "slope_between_agent"):
            draws, of = posterior[name], ("chain", "draw")
            sd = exact[name].sel(statistic="sd")
            # Independent draws: four standard errors of the mean of 4,000.
            off = abs(draws.mean(of) - exact[name].sel(statistic="mean"))
            assert bool((off < 4 * sd / np.sqrt(4000)).all()), name
            for share, statistic in ((0.025, "q2.5"), (0.975, "q97.5")):
                below = (draws < exact[name].sel(statistic=statistic)).mean(of)
                assert_allclose(below, share, atol=4 * np.sqrt(0.025 * 0.975 / 4000))

    def test_the_gate_and_the_report_read_it_as_any_fit(self, fit):
        checks = check(fit)
        assert checks.passed
        assert "integration error" in set(checks.gate["check"])
        assert fit.attrs["method"] == "exact"
        assert {"prior", "posterior_predictive", "log_likelihood"} <= set(fit.children)

    def test_one_seed_one_set_of_draws(self, fit):
        spec = linear_by_agent(sampling=EXACT)
        again = inference.fit(spec, load_evidence(specs.normal_table()))
        xr.testing.assert_identical(again["posterior"].to_dataset(), fit["posterior"].to_dataset())

    def test_two_scales_against_a_double_integral(self, fit):
        """The mean of the heterogeneity by Gauss and Legendre's rule on the scales themselves."""
        spec = linear_by_agent()
        outcome = next(outcomes_of(spec, build_design(spec, load_evidence(specs.normal_table()))))

        nodes, weights = np.polynomial.legendre.leggauss(40)
        between, sd = (a.ravel() for a in np.meshgrid(6 * (nodes + 1), 3 * (nodes + 1)))
        scales = {"slope_between_agent": between, "heterogeneity_sd": sd}
        at = {k: xr.DataArray(v, dims=POINT) for k, v in scales.items()}
        logs = solve(linear(outcome, at)).log_evidence
        prior = stats.halfnorm(0, 2).pdf(between) * stats.halfnorm(0, 1).pdf(sd)
        joint = np.exp(logs - logs.max()) * prior * np.outer(weights, weights).ravel()
        mean = float((joint * sd).sum() / joint.sum())
        found = fit["exact/heterogeneity_sd"].sel(statistic="mean")
        assert_allclose(found, mean, rtol=1e-3)


class TestWhereItApplies:
    def reasons(self, spec, table):
        return reasons_against(spec, build_design(spec, load_evidence(table)))

    def test_counts_do_not(self):
        (reason,) = self.reasons(
            specs.spec(specs.outcome("binomial", "linear")),
            specs.binary_table().assign(outcome="pain"),
        )
        assert "not normal" in reason

    def test_an_ed50_of_every_agent_does_not(self):
        parameters = {"log_ed50": specs.parameter("independent")}
        found = self.reasons(specs.spec(specs.outcome(parameters=parameters)), specs.normal_table())
        assert any("not linear" in reason for reason in found)

    def test_three_scales_do_not(self):
        parameters = {"slope": specs.parameter("agent_and_condition")}
        found = self.reasons(
            specs.spec(specs.outcome("normal", "linear", parameters=parameters)),
            specs.normal_table(),
        )
        assert any("3 scales" in reason for reason in found)

    def test_a_prior_that_is_not_normal_does_not(self):
        slope = specs.parameter("common", location=specs.prior("StudentT", nu=4, mu=0, sigma=1))
        found = self.reasons(
            specs.spec(specs.outcome("normal", "linear", parameters={"slope": slope})),
            specs.normal_table(),
        )
        assert found == ["pain: the prior of slope is StudentT, not Normal"]

    def test_asking_for_what_does_not_apply_is_a_fault(self):
        spec = specs.spec(
            specs.outcome("binomial", "linear"), sampling={**specs.SAMPLING, "method": "exact"}
        )
        with pytest.raises(SpecError, match="not normal") as told:
            inference.fit(spec, load_evidence(specs.binary_table().assign(outcome="pain")))
        assert told.value.faults[0].column == "sampling.method"

    def test_auto_samples_where_it_must(self, mocked_sampler):
        spec = specs.spec(
            specs.outcome("binomial", "linear"), sampling={**specs.SAMPLING, "method": "auto"}
        )
        fit = inference.fit(spec, load_evidence(specs.binary_table().assign(outcome="pain")))
        assert fit.attrs["method"] == "nuts"


class TestBatch:
    location = {"dist": "Normal", "kwargs": {"mu": 0.0, "sigma": 2.0}}
    heterogeneity = {"dist": "HalfNormal", "kwargs": {"sigma": 0.5}}

    def pool(self, y, se, **more):
        given = {"location": self.location, "heterogeneity": self.heterogeneity} | more
        dims = ("analysis", "study")[-np.ndim(y) :]
        return meta_analysis(xr.DataArray(y, dims=dims), xr.DataArray(se, dims=dims), **given)

    def test_many_are_each_as_one(self):
        rng = np.random.default_rng(2)
        y, se = rng.normal(0, 1, (5, 7)), rng.uniform(0.1, 0.6, (5, 7))
        together = self.pool(y, se)
        assert together["study_effect"].dims == ("analysis", "study", "statistic")
        for i in range(5):
            xr.testing.assert_allclose(together.isel(analysis=i), self.pool(y[i], se[i]), rtol=1e-9)

    def test_a_study_that_is_not_there_changes_nothing(self):
        y, se = np.array([0.3, 0.1, np.nan]), np.array([0.2, 0.1, np.nan])
        found, without = self.pool(y, se), self.pool(y[:2], se[:2])
        xr.testing.assert_allclose(found["mu"], without["mu"])
        assert np.isnan(found["study_effect"].isel(study=2)).all()

    def test_one_study_is_the_conjugate_normal_given_tau(self):
        """With no heterogeneity to speak of, precision adds up."""
        tau = {"dist": "HalfNormal", "kwargs": {"sigma": 1e-6}}
        found = self.pool(np.array([1.0]), np.array([0.5]), heterogeneity=tau)["mu"]
        precision = 1 / 0.5**2 + 1 / 2.0**2
        assert_allclose(found.sel(statistic="mean"), 4.0 / precision, rtol=1e-6)
        assert_allclose(found.sel(statistic="sd"), precision**-0.5, rtol=1e-6)

    def test_what_is_wrong_is_said(self):
        with pytest.raises(SpecError, match="integrated as a normal"):
            self.pool([0.1], [0.1], location=specs.prior("StudentT", nu=3.0, mu=0.0, sigma=1.0))
        with pytest.raises(SpecError, match="not positive"):
            self.pool([0.1], [0.0])
        with pytest.raises(SpecError, match="standard deviation is positive"):
            self.pool([0.1], [0.1], heterogeneity=self.location)


class TestQuantiles:
    def test_of_a_grid_against_a_gamma(self):
        u = np.linspace(-8, 4, 61)[None]
        log_density = stats.gamma(3).logpdf(np.exp(u)) + u
        found = np.exp(grid_quantiles(u, log_density, (0.025, 0.5, 0.975)))
        assert_allclose(found[0], stats.gamma(3).ppf([0.025, 0.5, 0.975]), rtol=1e-5)

    def test_of_a_mixture_against_a_root(self):
        mean, sd, weight = np.array([[0.0, 3.0]]), np.array([[1.0, 0.2]]), np.array([[0.7, 0.3]])
        for share in (0.025, 0.5, 0.975):
            x = mixture_quantile(mean, sd, weight, share)
            below = (weight * stats.norm.cdf((x - mean) / sd)).sum()
            assert_allclose(below, share, atol=1e-7)
