"""Densities of studies against formulas and integrals of another kind; what is foretold of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.checks.leaving_out import study_density, study_elpd, study_influence
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import integrate, log_evidence
from nmda_bayes.inference.ownership import Ownership
from nmda_bayes.model import model_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import draws, make_fit
from tests.model.test_mixing import frame, mixed

REFERENCE = Path(__file__).parents[1] / "reference"


def normal_of(mean: np.ndarray, covariance: np.ndarray, reported: list[float]) -> float:
    return float(stats.multivariate_normal(mean, covariance).logpdf(reported))


class TestDensity:
    def test_every_form_of_report_at_once(self):
        """A: means. B: the means of a crossover trial. C: a difference. D: responders."""
        slope, rho, sd = np.array([-6.0, -2.0]), np.array([0.4, 0.7]), np.array([22.0, 18.0])
        # Values of the studies' own variables are only where the search starts.
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
        found = study_density(fit, points=256)
        assert found["log_density"].dims == ("chain", "draw", "study")
        assert found["study"].to_numpy().tolist() == ["A", "B", "C", "D"]
        assert found["closed"].to_numpy().tolist() == [True, True, True, False]
        assert (found["error"].sel(study=["A", "B", "C"]) == 0).all()
        for i in range(2):
            of = found["log_density"].isel(chain=0, draw=i)
            same = np.full((2, 2), 100.0)
            means = normal_of([0, slope[i]], np.diag([9, 16]) + same, [60, 50])
            se = np.array([2.0, 3.0])
            shared = rho[i] * np.outer(se, se) + np.diag((1 - rho[i]) * se**2)
            people = normal_of([0, 2 * slope[i]], shared + same, [55, 41])
            difference = stats.norm(slope[i], 5).logpdf(-9)
            assert_allclose(of[:3], [means, people, difference], rtol=1e-7)
            responders = np.log(self._responders(slope[i], sd[i]))
            error = float(found["error"].isel(chain=0, draw=i, study=3))
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
        found = study_density(fit, points=256).isel(chain=0, draw=0)
        assert not found["closed"].any()
        assert float(found["error"].max()) < 0.03
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
            error = float(found["error"].sel(study=study))
            assert_allclose(found["log_density"].sel(study=study), expected, atol=4 * error)

    def test_two_outcomes_of_a_study_are_one_report(self):
        """Given the effects of harm's arms pain is normal: those alone are drawn, and many."""
        share, spread, curves = 0.9, {"pain": 3.0, "harm": 0.8}, {"pain": -6.0, "harm": 1.5}
        values = {"pain_harm_offset": draws([share]), "arm_offset": draws(np.zeros((1, 2, 7)),
                  "outcome", "arm")}  # fmt: skip
        for name, emax in curves.items():
            values |= {f"{name}::emax": draws([emax]), f"{name}::log_ed50": draws([0.0]),
                       f"{name}::heterogeneity_sd": draws([spread[name]]),
                       f"{name}::baseline": draws(np.zeros((1, 3)), f"{name}::study")}  # fmt: skip
        fit = make_fit(specs.benefit_risk(correlations=specs.LKJ), specs.both_tables(), values)
        found = study_density(fit, points=256).isel(chain=0, draw=0).sel(study="B")
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
        tolerance = 4 * np.hypot(noise, float(found["error"]))
        assert_allclose(found["log_density"], expected, atol=tolerance)

    def test_contrasts_that_share_an_arm_are_their_study_s_own(self):
        outcome = specs.outcome("normal_contrast", "linear")
        values = {"slope": draws([-4.0]), "heterogeneity_sd": draws([2.0]),
                  "arm_offset": draws(np.zeros((1, 7)), "arm")}  # fmt: skip
        fit = make_fit(specs.spec(outcome), specs.CONTRASTS, values)
        found = study_density(fit).isel(chain=0, draw=0)
        assert found["closed"].all()
        shared = np.array([[9, 4], [4, 12.25]]) + np.array([[4, 2], [2, 4]])
        expected = [
            normal_of([-4, -8], shared, [-8, -11]),
            stats.norm(-4, np.sqrt(16 + 4)).logpdf(-5),
            stats.norm(-4, np.sqrt(4 + 4)).logpdf(-1),
        ]
        assert_allclose(found["log_density"], expected, rtol=1e-7)

    def test_a_row_counts_as_much_as_its_design_weighs_it(self):
        """A power prior of 1/4 is four times the variance, but for the density's constant."""
        outcome = specs.outcome("normal_contrast", "linear", "none")
        fit = make_fit(specs.spec(outcome), specs.CONTRASTS, {"slope": draws([-4.0])})
        weight = np.array([0.25, 0.25, 0.25, 0.0, 0.0, 1.0, 1.0])
        reported = fit["design/outcomes/pain"].to_dataset()
        fit["design/outcomes/pain"] = xr.DataTree(reported.assign(weight=("arm", weight)))
        found = study_density(fit).isel(chain=0, draw=0)
        of_a = normal_of([-4, -8], np.array([[9, 4], [4, 12.25]]), [-8, -11])
        expected = [of_a / 4, 0.0, stats.norm(-4, 2).logpdf(-1)]
        assert_allclose(found["log_density"], expected, rtol=1e-7)

    def test_what_is_neither_of_studies_nor_of_all_is_refused(self):
        design = build_design(specs.spec(), load_evidence(specs.normal_table()))
        model = model_of(specs.spec(), design)
        model.add_coords({"person": ["one", "two"]})
        model.named_vars_to_dims["emax"] = ("person",)
        (reason,) = Ownership(model, design).reasons()
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
    fit = integrate(spec, design, model_of(spec, design))
    for node in design.subtree:
        if node.has_data:
            fit[f"design{node.path}"] = xr.DataTree(node.to_dataset())
    fit.attrs = {"spec": spec.to_json()}
    return fit


@pytest.fixture(scope="module")
def elpd(schools) -> xr.Dataset:
    density = study_density(schools)
    assert density["closed"].all()
    return study_elpd(density)


def refitted_without(study: str) -> tuple[AnalysisSpec, xr.DataTree]:
    rows = pd.read_csv(REFERENCE / "eight_schools.csv")
    spec, evidence = eight_schools(rows[rows["study"] != study])
    return spec, build_design(spec, evidence)


class TestLeavingOut:
    def test_what_is_foretold_of_a_study_is_what_a_refit_without_it_foretells(self, schools, elpd):
        """The exact engine's evidence with and without a study is its density given the others."""
        assert elpd["elpd"].dims == ("study",)
        assert elpd["reliable"].all()
        spec, evidence = eight_schools()
        whole = log_evidence(spec, build_design(spec, evidence))
        for study in ("A", "C", "H"):
            exact = whole - log_evidence(*refitted_without(study))
            one = elpd.sel(study=study)
            assert_allclose(one["elpd"], exact, atol=4 * float(one["elpd_error"]))
            assert float(one["elpd_error"]) < 0.05

    def test_how_far_an_answer_moves_is_how_far_a_refit_moves_it(self, schools, elpd):
        moved = study_influence(elpd, schools["posterior"]["effect"])
        assert moved["shift"].dims == ("study",)
        spec, design = refitted_without("A")
        refit = integrate(spec, design, model_of(spec, design))["exact"]["effect"]
        exact = float(refit.sel(statistic="mean"))
        # 1,000 draws of an SD of 5 weigh as about half as many: an error of 0.22.
        assert_allclose(moved["without"].sel(study="A"), exact, atol=0.7)
        assert float(moved["with_all"]) - exact > 1.5
        assert float(moved["shift"].sel(study="A")) < -1.0

    def test_a_study_that_nobody_foretold_is_flagged(self):
        wild = np.random.default_rng(2).standard_cauchy((4, 250)) * 3
        both = np.stack([wild, np.zeros((4, 250))], axis=-1)
        density = xr.Dataset(
            {"log_density": (("chain", "draw", "study"), both)},
            coords={"chain": range(4), "draw": range(250), "study": ["wild", "still"]},
        )
        found = study_elpd(density)
        assert found["reliable"].to_numpy().tolist() == [False, True]
        assert float(found["elpd"].sel(study="still")) == 0.0
        answer = draws(np.zeros(250)).isel(chain=[0] * 4).assign_coords(chain=range(4))
        assert (study_influence(found, answer)["shift_in_sds"] == 0).all()

    def test_a_model_that_does_not_part_is_refused_in_words(self, schools, monkeypatch):
        monkeypatch.setattr(Ownership, "reasons", lambda self: iter(["'x' is everybody's"]))
        with pytest.raises(SpecError, match="'x' is everybody's"):
            study_density(schools)


@pytest.mark.slow
def test_counts_left_out_by_weights_are_foretold_as_by_refits():
    """Rare events by the sampler: three trials left out by weights and by fitting without them."""
    rows = pd.read_csv(REFERENCE / "nielweise2007.csv").assign(outcome="pain")
    effect = specs.parameter("common", location=specs.normal(0, 2))
    outcome = specs.outcome("binomial", "constant", "arm", {
        "effect": effect,
        "baseline": specs.parameter("independent", each=specs.normal(-3, 2)),
    })  # fmt: skip
    sampling = {"seed": 3, "chains": 4, "draws": 500, "tune": 500}
    content = specs.content(outcome, sampling=sampling, reference="standard")
    spec = AnalysisSpec.from_dict(content)
    fit = inference.fit(spec, load_evidence(rows))
    elpd = study_elpd(study_density(fit, draws=2000))
    moved = study_influence(elpd, fit["posterior"]["effect"])
    asked = elpd.isel(study=np.flatnonzero(elpd["reliable"]))
    assert asked.sizes["study"] >= 15
    for study in asked.sortby("parameters")["study"].to_numpy()[[0, -2, -1]]:
        refit = inference.fit(spec, load_evidence(rows[rows["study"] != study]))
        shared = refit["posterior"].to_dataset()[["effect", "heterogeneity_sd"]]
        # What is the left-out study's own is only where the search starts.
        own = fit["posterior"].to_dataset()[["baseline", "arm_offset"]]
        beside = fit.copy()
        beside["posterior"] = xr.DataTree(xr.merge([shared, own]))
        density = study_density(beside)["log_density"].sel(study=study)
        exact = float(np.log(np.exp(density - density.max()).mean()) + density.max())
        error = float(np.hypot(2 * elpd["elpd_error"].sel(study=study), 0.03))
        assert_allclose(elpd["elpd"].sel(study=study), exact, atol=2 * error)
        shift = float(shared["effect"].mean())
        sd = float(shared["effect"].std())
        # A thousand draws, of which a few hundred are effective with their weights.
        assert_allclose(moved["without"].sel(study=study), shift, atol=0.2 * sd)
