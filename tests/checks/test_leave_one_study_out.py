"""Densities of studies against formulas and other integrals; leave-one-study-out prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.checks.leave_one_study_out import study_density, study_elpd, study_influence
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import integrate_posterior, log_marginal_likelihood
from nmda_bayes.inference.study_density import (
    SHARED_DRAW,
    StudyPartition,
    StudyTerms,
    integrate_studies,
)
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.model.test_mixing import frame, mixed
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

REFERENCE = Path(__file__).parents[1] / "reference"


def normal_of(mean: np.ndarray, covariance: np.ndarray, reported: list[float]) -> float:
    return float(stats.multivariate_normal(mean, covariance).logpdf(reported))


class TestDensity:
    def test_every_report_format(self):
        """A: means. B: the means of a crossover trial. C: a difference. D: responders."""
        slope, rho, sd = np.array([-6.0, -2.0]), np.array([0.4, 0.7]), np.array([22.0, 18.0])
        # Values of local variables are only starting points.
        fit = make_fit(
            mixed(),
            frame(),
            {
                "slope": draws(slope),
                "within_person_correlation": draws(rho),
                "responder_sd": draws(sd),
                "baseline": draws(np.zeros((2, 3)), "study"),
                "starting_level": draws(np.full((2, 1), 50.0), "responder_study"),
                "people_offset": draws(np.zeros((2, 1)), "crossover_study"),
            },
        )
        density = study_density(fit, points=256)
        assert density["log_density"].dims == ("chain", "draw", "study")
        assert density["study"].to_numpy().tolist() == ["A", "B", "C", "D"]
        assert density["closed_form"].to_numpy().tolist() == [True, True, True, False]
        assert (density["mcse"].sel(study=["A", "B", "C"]) == 0).all()
        for i in range(2):
            of = density["log_density"].isel(chain=0, draw=i)
            same = np.full((2, 2), 100.0)
            means = normal_of([0, slope[i]], np.diag([9, 16]) + same, [60, 50])
            se = np.array([2.0, 3.0])
            shared = rho[i] * np.outer(se, se) + np.diag((1 - rho[i]) * se**2)
            people = normal_of([0, 2 * slope[i]], shared + same, [55, 41])
            difference = stats.norm(slope[i], 5).logpdf(-9)
            assert_allclose(of[:3], [means, people, difference], rtol=1e-7)
            responders = np.log(self._responders(slope[i], sd[i]))
            error = float(density["mcse"].isel(chain=0, draw=i, study=3))
            assert 0 < error < 0.05
            assert_allclose(of[3], responders, atol=4 * error)

    @staticmethod
    def _responders(slope: float, sd: float) -> float:
        start, baseline = np.linspace(-30, 150, 361)[:, None], np.linspace(-80, 80, 641)
        inside = stats.norm.pdf(start, 60, 15) * stats.norm.pdf(baseline, 0, 10)
        for n, events, shift in ((30, 4, 0.0), (31, 11, slope)):
            share = stats.norm.cdf((0.5 * start - baseline - shift) / sd)
            inside = inside * stats.binom(n, share).pmf(events)
        return float(inside.sum() * 0.5 * 0.25)

    def test_counts_against_quadrature_arm_by_arm(self):
        tau, emax, log_ed50 = 0.8, 1.5, 0.3
        fit = make_fit(
            specs.spec(specs.outcome("binomial")),
            specs.binary_table(name="pain"),
            {
                "emax": draws([emax]),
                "log_ed50": draws([log_ed50]),
                "heterogeneity_sd": draws([tau]),
                "baseline": draws(np.full((1, 3), -2.0), "study"),
                "arm_offset": draws(np.zeros((1, 7)), "arm"),
            },
        )
        density = study_density(fit, points=256).isel(chain=0, draw=0)
        assert not density["closed_form"].any()
        assert float(density["mcse"].max()) < 0.03
        nodes, weights = np.polynomial.hermite_e.hermegauss(61)
        weights = weights / np.sqrt(2 * np.pi)
        baseline = np.linspace(-40, 40, 4001)
        for study, rows in specs.TRIALS.groupby("study"):
            inside = stats.norm.pdf(baseline, 0, 10)
            for row in rows.itertuples():
                effect = emax * row.dose / (row.dose + np.exp(log_ed50))
                eta = baseline[:, None] + effect + tau / np.sqrt(2) * nodes
                p = 1 / (1 + np.exp(-eta))
                inside = inside * (stats.binom(row.n, p).pmf(row.events) @ weights)
            expected = np.log(np.trapezoid(inside, baseline))
            error = float(density["mcse"].sel(study=study))
            assert_allclose(density["log_density"].sel(study=study), expected, atol=4 * error)

    def test_two_outcomes_of_a_study(self):
        """Given the arm effects of harm, pain is normal: only those are sampled."""
        share, spread, curves = 0.9, {"pain": 3.0, "harm": 0.8}, {"pain": -6.0, "harm": 1.5}
        values = {
            "pain_harm_offset": draws([share]),
            "arm_offset": draws(np.zeros((1, 2, 7)), "outcome", "arm"),
        }
        for name, emax in curves.items():
            values |= {
                f"{name}::emax": draws([emax]),
                f"{name}::log_ed50": draws([0.0]),
                f"{name}::heterogeneity_sd": draws([spread[name]]),
                f"{name}::baseline": draws(np.zeros((1, 3)), f"{name}::study"),
            }
        fit = make_fit(specs.benefit_risk(correlations=specs.LKJ), specs.both_tables(), values)
        density = study_density(fit, points=256).isel(chain=0, draw=0).sel(study="B")
        rows = specs.TRIALS[specs.TRIALS["study"] == "B"]
        rng, size, r = np.random.default_rng(3), 400_000, 2 * share - 1
        curve = rows["dose"].to_numpy() / (1 + rows["dose"].to_numpy())
        z = rng.standard_normal((size, len(rows)))
        eta = curves["harm"] * curve + spread["harm"] / np.sqrt(2) * z
        eta = eta + rng.normal(0, 10, (size, 1))
        counts = stats.binom(rows["n"].to_numpy(), 1 / (1 + np.exp(-eta)))
        half = spread["pain"] / np.sqrt(2)
        covariance = np.diag(rows["se"] ** 2 + half**2 * (1 - r**2)) + 100.0
        off = rows["mean"].to_numpy() - curves["pain"] * curve - half * r * z
        total = counts.logpmf(rows["events"].to_numpy()).sum(1)
        total += stats.multivariate_normal(np.zeros(3), covariance).logpdf(off)
        weight = np.exp(total - total.max())
        expected = np.log(weight.mean()) + total.max()
        noise = weight.std() / weight.mean() / np.sqrt(size)
        assert noise < 0.02
        tolerance = 4 * np.hypot(noise, float(density["mcse"]))
        assert_allclose(density["log_density"], expected, atol=tolerance)

    def test_contrasts_that_share_an_arm(self):
        outcome = specs.outcome("normal_contrast", "linear")
        values = {
            "slope": draws([-4.0]),
            "heterogeneity_sd": draws([2.0]),
            "arm_offset": draws(np.zeros((1, 7)), "arm"),
        }
        fit = make_fit(specs.spec(outcome), specs.CONTRASTS, values)
        density = study_density(fit).isel(chain=0, draw=0)
        assert density["closed_form"].all()
        shared = np.array([[9, 4], [4, 12.25]]) + np.array([[4, 2], [2, 4]])
        expected = [
            normal_of([-4, -8], shared, [-8, -11]),
            stats.norm(-4, np.sqrt(16 + 4)).logpdf(-5),
            stats.norm(-4, np.sqrt(4 + 4)).logpdf(-1),
        ]
        assert_allclose(density["log_density"], expected, rtol=1e-7)

    def test_likelihood_weights(self):
        """A weight of 1/4 is a log density divided by 4."""
        outcome = specs.outcome("normal_contrast", "linear", "none")
        fit = make_fit(specs.spec(outcome), specs.CONTRASTS, {"slope": draws([-4.0])})
        weight = np.array([0.25, 0.25, 0.25, 0.0, 0.0, 1.0, 1.0])
        reported = fit["design/outcomes/pain"].to_dataset()
        fit["design/outcomes/pain"] = xr.DataTree(reported.assign(weight=("arm", weight)))
        density = study_density(fit).isel(chain=0, draw=0)
        of_a = normal_of([-4, -8], np.array([[9, 4], [4, 12.25]]), [-8, -11])
        expected = [of_a / 4, 0.0, stats.norm(-4, 2).logpdf(-1)]
        assert_allclose(density["log_density"], expected, rtol=1e-7)

    def test_study_of_each_scalar(self):
        design = build_design(mixed(), load_evidence(frame()))
        partition = StudyPartition(build_model_from_design(mixed(), design), design)
        assert partition.studies == ("A", "B", "C", "D")
        expected = {
            "baseline": "ABD",
            "starting_level": "D",
            "people_offset": "B",
            "eta": "AABBCCDD",
            "reported": "AABB",
            "reported_contrasts": "C",
            "reported_responders": "DD",
        }
        for name, studies in expected.items():
            index = partition.study_index(name)
            assert "".join(partition.studies[i] for i in index) == studies

    def test_dims_that_are_neither_local_nor_shared_are_rejected(self):
        design = build_design(specs.spec(), load_evidence(specs.normal_table()))
        model = build_model_from_design(specs.spec(), design)
        model.add_coords({"person": ["one", "two"]})
        model.named_vars_to_dims["emax"] = ("person",)
        (reason,) = StudyPartition(model, design).obstacles()
        assert "'emax' varies over 'person'" in reason


def eight_schools(rows: pd.DataFrame | None = None) -> tuple[AnalysisSpec, xr.DataTree]:
    spec = AnalysisSpec.from_toml(REFERENCE / "eight_schools.toml")
    few = spec.sampling.model_copy(update={"draws": 500, "chains": 4})
    table = pd.read_csv(REFERENCE / "eight_schools.csv") if rows is None else rows
    return spec.model_copy(update={"sampling": few}), load_evidence(table)


@pytest.fixture(scope="module")
def schools() -> xr.DataTree:
    spec, evidence = eight_schools()
    design = build_design(spec, evidence)
    fit = integrate_posterior(spec, design, build_model_from_design(spec, design))
    for node in design.subtree:
        if node.has_data:
            fit[f"design{node.path}"] = xr.DataTree(node.to_dataset())
    fit.attrs = {"spec": spec.to_json()}
    return fit


@pytest.fixture(scope="module")
def elpd(schools) -> xr.Dataset:
    density = study_density(schools)
    assert density["closed_form"].all()
    return study_elpd(density)


def refitted_without(study: str) -> tuple[AnalysisSpec, xr.DataTree]:
    rows = pd.read_csv(REFERENCE / "eight_schools.csv")
    spec, evidence = eight_schools(rows[rows["study"] != study])
    return spec, build_design(spec, evidence)


class TestLeavingOut:
    def test_elpd_is_that_of_refits(self, schools, elpd):
        """The log evidence with a study less that without is its density given the others."""
        assert elpd["elpd"].dims == ("study",)
        assert elpd["reliable"].all()
        spec, evidence = eight_schools()
        whole = log_marginal_likelihood(spec, build_design(spec, evidence))
        for study in ("A", "C", "H"):
            exact = whole - log_marginal_likelihood(*refitted_without(study))
            of_study = elpd.sel(study=study)
            assert_allclose(of_study["elpd"], exact, atol=4 * float(of_study["elpd_mcse"]))
            assert float(of_study["elpd_mcse"]) < 0.05

    def test_influence_is_that_of_refits(self, schools, elpd):
        influence = study_influence(elpd, schools["posterior"]["effect"])
        assert influence["shift"].dims == ("study",)
        spec, design = refitted_without("A")
        refit = integrate_posterior(spec, design, build_model_from_design(spec, design))
        exact = float(refit["exact"]["effect"].sel(statistic="mean"))
        # 1,000 draws of an SD of 5 weigh as about half as many: an error of 0.22.
        assert_allclose(influence["mean_without"].sel(study="A"), exact, atol=0.7)
        assert float(influence["mean"]) - exact > 1.5
        assert float(influence["shift"].sel(study="A")) < -1.0

    def test_an_unpredictable_study_is_flagged(self):
        wild = np.random.default_rng(2).standard_cauchy((4, 250)) * 3
        both = np.stack([wild, np.zeros((4, 250))], axis=-1)
        density = xr.Dataset(
            {"log_density": (("chain", "draw", "study"), both)},
            coords={"chain": range(4), "draw": range(250), "study": ["wild", "constant"]},
        )
        elpd = study_elpd(density)
        assert elpd["reliable"].to_numpy().tolist() == [False, True]
        assert float(elpd["elpd"].sel(study="constant")) == 0.0
        estimate = draws(np.zeros(250)).isel(chain=[0] * 4).assign_coords(chain=range(4))
        assert (study_influence(elpd, estimate)["shift_in_sd"] == 0).all()

    def test_a_model_that_is_not_separable_is_rejected(self, schools, monkeypatch):
        monkeypatch.setattr(StudyPartition, "obstacles", lambda self: iter(["a", "b"]))
        issues = issues_when(lambda: study_density(schools), SpecError)
        assert [issue.code for issue in issues] == ["E560", "E560"]


def test_terms_that_depend_on_another_study_are_rejected():
    def evaluate(local: np.ndarray, shared: list[np.ndarray]) -> np.ndarray:
        return np.stack([local.sum(-1), local[..., 1]], axis=-1)

    terms = StudyTerms(("A", "B"), np.array([0, 1]), {}, {}, np.zeros(2), evaluate, evaluate, 2)
    draws_of_one = xr.Dataset(coords={SHARED_DRAW: [0]})
    (issue,) = issues_when(lambda: integrate_studies(terms, draws_of_one, 8, 1), SpecError)
    assert issue.code == "E561"


@pytest.mark.slow
def test_elpd_of_counts_is_that_of_refits():
    """Rare events by NUTS: three trials left out by importance weights and by refits."""
    rows = pd.read_csv(REFERENCE / "nielweise2007.csv").assign(outcome="pain")
    effect = specs.parameter("common", location=specs.normal(0, 2))
    outcome = specs.outcome(
        "binomial",
        "constant",
        "arm",
        {
            "effect": effect,
            "baseline": specs.parameter("independent", each=specs.normal(-3, 2)),
        },
    )
    sampling = {"seed": 3, "chains": 4, "draws": 500, "tune": 500}
    content = specs.content(outcome, sampling=sampling, reference="standard")
    spec = AnalysisSpec.from_dict(content)
    fit = inference.fit(spec, load_evidence(rows))
    elpd = study_elpd(study_density(fit, draws=2000))
    influence = study_influence(elpd, fit["posterior"]["effect"])
    reliable = elpd.isel(study=np.flatnonzero(elpd["reliable"]))
    assert reliable.sizes["study"] >= 15
    for study in reliable.sortby("p_loo")["study"].to_numpy()[[0, -2, -1]]:
        refit = inference.fit(spec, load_evidence(rows[rows["study"] != study]))
        shared = refit["posterior"].to_dataset()[["effect", "heterogeneity_sd"]]
        # Local variables of the omitted study are only starting points.
        local = fit["posterior"].to_dataset()[["baseline", "arm_offset"]]
        without = fit.copy()
        without["posterior"] = xr.DataTree(xr.merge([shared, local]))
        density = study_density(without)["log_density"].sel(study=study)
        exact = float(np.log(np.exp(density - density.max()).mean()) + density.max())
        error = float(np.hypot(2 * elpd["elpd_mcse"].sel(study=study), 0.03))
        assert_allclose(elpd["elpd"].sel(study=study), exact, atol=2 * error)
        shift = float(shared["effect"].mean())
        sd = float(shared["effect"].std())
        # Of a thousand draws a few hundred are effective with weights.
        assert_allclose(influence["mean_without"].sel(study=study), shift, atol=0.2 * sd)
