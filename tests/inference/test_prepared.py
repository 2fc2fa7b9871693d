"""One compiled density for many fits: swapped numbers give the density of a graph built anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from pymc.model.fgraph import clone_model

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import nuts
from nmda_bayes.inference.anchoring import anchor_weights, anchored
from nmda_bayes.inference.prepared import _packed, prepare, same_structure, weighable
from nmda_bayes.model import CHEAP, model_of
from nmda_bayes.priors import BOUNDS, FAMILIES, random_variable
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.model.test_mixing import BETA, MIXED, RESPONDERS

TRIALS = specs.normal_table()
#: Two contrasts with one control: their errors go together.
SHARED_ARM = specs.rows("""
    study agent    dose comparator comparator_dose estimate se comparator_se
    A     ketamine 1    placebo    0               -9       3  2
    A     ketamine 2    placebo    0               -12      3  2
    B     ketamine 1    placebo    0               -5       2  -
""")


def other_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The same trials with other results: shapes, labels and forms as they were."""
    moved = frame.copy()
    for name, change in {"mean": 1.1, "se": 0.9, "estimate": 1.2}.items():
        if name in moved:
            moved[name] = pd.to_numeric(moved[name], errors="coerce") * change
    for name, more in {"n": 3, "events": 1}.items():
        if name in moved:
            moved[name] = pd.to_numeric(moved[name], errors="coerce") + more
    return moved


def one(likelihood: str, curve: str = "linear", *, scale: float = 1.0, **priors: Any) -> Any:
    slope = specs.parameter("agent", location=specs.normal(0, 5 * scale),
                            between_agent=specs.half_normal(2 * scale))  # fmt: skip
    given = {"slope": slope} if curve == "linear" else {}
    return specs.spec(specs.outcome(likelihood, curve, parameters={**given, **priors}))


def mixed(scale: float = 1.0) -> AnalysisSpec:
    outcome = specs.outcome(
        "normal",
        "linear",
        "none",
        RESPONDERS | {"slope": specs.parameter("common", location=specs.normal(0, scale))},
        better="lower",
        contrasts={"effects": ["unnamed"]},
        responders={"measures": {"half": "50 %"}},
    )
    rho = BETA | {"kwargs": {"alpha": 5 * scale, "beta": 4}}
    crossover = {"crossover": {"periods": "all", "within_person_correlation": rho}}
    return specs.spec(outcome, designs=crossover)


CASES: dict[str, tuple[Callable[[float], AnalysisSpec], pd.DataFrame]] = {
    "crossover, responders, contrasts": (mixed, MIXED.astype({"dose": float})),
    "correlated contrasts": (lambda k: one("normal_contrast", scale=k), SHARED_ARM),
    "means and counts": (
        lambda k: specs.benefit_risk(
            correlations={
                "heterogeneity": {"dist": "LKJCorr", "kwargs": {"eta": 2 * k}, "why": "x"}
            }
        ),
        specs.both_tables(),
    ),
}


def built(spec: AnalysisSpec, frame: pd.DataFrame, *, weighed: bool = False) -> pm.Model:
    design = build_design(spec, load_evidence(frame))
    return model_of(spec, weighable(design) if weighed else design)


def density_and_slope(model: pm.Model) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Compile the log density and its gradient as the sampler sees them, at one row of values.

    Values go by name: swapping may put variables in another order.
    """
    log_density, start = nuts._log_density(model), model.initial_point()
    values = sorted(model.value_vars, key=lambda value: str(value.name))
    slopes = pt.grad(log_density, values)
    evaluate = pytensor.function(values, [log_density, *slopes], **CHEAP, on_unused_input="ignore")
    shapes = [np.shape(start[value.name]) for value in values]
    sizes = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])

    def at(row: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [row[a:b].reshape(s) for a, b, s in zip(sizes[:-1], sizes[1:], shapes, strict=True)]
        value, *slope = evaluate(*parts)
        return float(value), np.concatenate([np.ravel(part) for part in slope])

    return at


def points(model: pm.Model) -> np.ndarray:
    count = sum(int(np.size(value)) for value in model.initial_point().values())
    return np.random.default_rng(8).normal(0, 0.7, size=(3, count))


@pytest.mark.parametrize("name", CASES)
def test_swapped_numbers_give_the_density_and_gradient_of_a_graph_built_anew(name):
    spec_of, frame = CASES[name]
    (base, first), (fresh, then) = (
        anchors(spec_of(1.0), frame),
        anchors(spec_of(1.3), other_numbers(frame)),
    )
    assert same_structure(base, fresh)
    packed, row, pieces = _packed(base, first)
    here = points(base)
    swapped, anew = (
        density_and_slope(anchored(graph, given))
        for graph, given in ((packed, pieces), (clone_model(fresh), then))
    )
    row.set_value(_row(base, base, first))
    before = swapped(here[0])[0]
    row.set_value(_row(base, fresh, then))
    assert abs(before / anew(here[0])[0] - 1) > 1e-4  # the numbers do move it
    for at in here:
        assert_allclose(swapped(at)[0], anew(at)[0], rtol=1e-10)
        assert_allclose(swapped(at)[1], anew(at)[1], rtol=1e-8, atol=1e-8)


def anchors(spec: AnalysisSpec, frame: pd.DataFrame) -> tuple[pm.Model, dict[str, xr.DataArray]]:
    """A graph, and where its trials tell of what is shared."""
    design = build_design(spec, load_evidence(frame))
    model = model_of(spec, design)
    return model, anchor_weights(model, spec, design)


def _row(base: pm.Model, other: pm.Model, weights: dict[str, xr.DataArray]) -> np.ndarray:
    """The numbers of a graph in the order of another, as `Prepared` hands them over."""
    held = [other[v.name].get_value() for v in base.data_vars]
    return np.concatenate([np.ravel(value) for value in (*held, *weights.values())])


def test_the_numbers_of_every_family_are_data_but_for_its_bounds():
    """A density whose numbers are swapped is that of the prior written with them."""
    low = {"mu": 0.2, "sigma": 0.15, "alpha": 2.0, "beta": 1.5, "nu": 4.0, "lam": 1.0, "b": 1.0,
           "scale": 2.0, "tau": 0.5, "lower": 0.0, "upper": 3.0}  # fmt: skip
    members = [(d, tuple(a.split())) for d, f in FAMILIES.items() for a in f.arguments]

    def graph(factor: float) -> pm.Model:
        with pm.Model() as model:
            for place, (dist, arguments) in enumerate(members):
                given = {a: low[a] * (1.0 if a in BOUNDS else factor) for a in arguments}
                random_variable(f"x{place}", dist, given)
        return model

    base, fresh = graph(1.0), graph(1.2)
    assert same_structure(base, fresh)
    assert {v.name.split(".")[1] for v in base.data_vars} == set(low) - set(BOUNDS)
    terms, anew = (m.compile_logp(sum=False, mode=CHEAP["mode"]) for m in (base, fresh))
    point = base.initial_point()
    before = np.array(terms(point))
    for data in base.data_vars:
        data.set_value(fresh[data.name].get_value())
    assert_allclose(terms(point), anew(point), rtol=1e-12)
    moved = ~np.isclose(before, terms(point), rtol=1e-6, atol=0)
    assert [d for d, m in zip(members, moved, strict=True) if not m] == [
        ("Uniform", ("lower", "upper"))
    ]


class TestAccepts:
    SPEC = one("normal")

    def same(self, spec: AnalysisSpec, frame: pd.DataFrame = TRIALS) -> bool:
        return same_structure(built(self.SPEC, TRIALS), built(spec, frame))

    def test_other_numbers(self):
        assert self.same(one("normal", scale=3.0), other_numbers(TRIALS))

    def test_no_other_family(self):
        prior = specs.prior("Cauchy", alpha=0, beta=1)
        slope = specs.parameter("agent", location=prior, between_agent=specs.half_normal(2))
        assert not self.same(one("normal", slope=slope))

    def test_no_other_arguments_of_a_family(self):
        prior = specs.prior("Normal", mu=0, tau=1)
        slope = specs.parameter("agent", location=prior, between_agent=specs.half_normal(2))
        assert not self.same(one("normal", slope=slope))

    def test_no_other_bound(self):
        low, high = (
            one("normal", slope=specs.parameter("common", location=specs.prior(
                "TruncatedNormal", mu=0, sigma=1, lower=at)))
            for at in (0.0, 0.5)
        )  # fmt: skip
        assert not same_structure(built(low, TRIALS), built(high, TRIALS))

    def test_no_other_labels(self):
        renamed = TRIALS.assign(study=TRIALS["study"].replace("A", "Z"))
        assert not self.same(self.SPEC, renamed)

    def test_no_other_trial_in_the_same_place(self):
        moved = TRIALS.copy()
        moved["agent"] = moved["agent"].replace({"ketamine": "memantine", "mem": "ketamine"})
        assert not self.same(self.SPEC, moved)

    def test_no_other_curve(self):
        assert not self.same(one("normal", "log_linear"))

    def test_no_other_pooling(self):
        slope = specs.parameter("common", location=specs.normal(0, 5))
        assert not self.same(one("normal", slope=slope))

    def test_no_other_number_of_trials(self):
        assert not self.same(self.SPEC, TRIALS[TRIALS["study"] != "A"])


class TestWeights:
    @pytest.mark.parametrize(
        "name",
        ["correlated contrasts", "crossover, responders, contrasts"],
    )
    def test_of_nothing_take_the_rows_out(self, name):
        """What is left out is the log density of the rows, as `log_likelihood` would keep it."""
        spec_of, frame = CASES[name]
        plain, weighed = built(spec_of(1.0), frame), built(spec_of(1.0), frame, weighed=True)
        arms = weighed["arm.weight"].type.shape[0]
        rows = plain.compile_fn(
            plain.logp(vars=plain.observed_RVs, sum=False, jacobian=False),
            inputs=sorted(plain.value_vars, key=lambda value: str(value.name)),
            mode=CHEAP["mode"],
            on_unused_input="ignore",
            point_fn=False,
        )
        point = points(plain)[0]
        likelihood = sum(float(np.sum(row)) for row in rows(*_parted(plain, point)))
        everything, at = density_and_slope(plain)(point), density_and_slope(weighed)
        assert_allclose(at(point)[0], everything[0], rtol=1e-10)
        assert_allclose(at(point)[1], everything[1], rtol=1e-8, atol=1e-8)
        for weight in (0.5, 0.0):
            weighed["arm.weight"].set_value(np.full(arms, weight))
            expected = everything[0] - (1 - weight) * likelihood
            assert_allclose(at(point)[0], expected, rtol=1e-9)

    def test_of_one_trial_take_out_its_own(self):
        spec = one("normal")
        weighed, plain = built(spec, TRIALS, weighed=True), built(spec, TRIALS)
        rows = plain.compile_fn(
            plain.logp(vars=[plain["reported"]], sum=False, jacobian=False)[0],
            inputs=sorted(plain.value_vars, key=lambda value: str(value.name)),
            mode=CHEAP["mode"],
            on_unused_input="ignore",
            point_fn=False,
        )
        point = points(plain)[0]
        mine = np.array([label.startswith("B:") for label in plain.coords["arm"]])
        weighed["arm.weight"].set_value(np.where(mine, 0.0, 1.0))
        expected = density_and_slope(plain)(point)[0] - rows(*_parted(plain, point))[mine].sum()
        assert_allclose(density_and_slope(weighed)(point)[0], expected, rtol=1e-10)

    def test_leave_predictions_as_they_are(self):
        spec = one("normal")
        design = weighable(build_design(spec, load_evidence(TRIALS)))
        reported = design["outcomes/pain"].to_dataset()
        light = design.copy()
        light["outcomes/pain"] = xr.DataTree(reported.assign(weight=reported["weight"] * 0.2))
        drawn = []
        for one_design in (design, light):
            model = model_of(spec, one_design)
            with pytest.warns(UserWarning, match="effect of Potentials"):
                tree = pm.sample_prior_predictive(
                    20, model=model, random_seed=1, compile_kwargs=CHEAP
                )
            drawn.append(tree["prior_predictive"]["reported"].to_numpy())
        assert_array_equal(*drawn)

    def test_that_nobody_gave_cost_nothing(self):
        assert not built(one("normal"), TRIALS).potentials


def _parted(model: pm.Model, row: np.ndarray) -> list[np.ndarray]:
    parts, start = [], 0
    for _, value in sorted(model.initial_point().items()):
        parts.append(row[start : start + np.size(value)].reshape(np.shape(value)))
        start += np.size(value)
    return parts


@pytest.mark.slow
def test_a_refit_by_swap_has_the_draws_of_a_fit_prepared_anew():
    """Bit for bit: one code on the same numbers, from the same starts."""
    spec, other = one("normal"), one("normal", scale=2.0)
    design = build_design(spec, load_evidence(TRIALS))
    moved = build_design(other, load_evidence(other_numbers(TRIALS)))
    prepared = prepare(spec, design)
    swapped = prepared.sample(spec.sampling, spec=other, design=moved)
    anew = prepare(other, moved).sample(other.sampling)
    for name, values in anew["posterior"].data_vars.items():
        assert_array_equal(swapped["posterior"][name], values)
    again = prepared.sample(spec.sampling)
    assert not np.array_equal(again["posterior"]["slope"], anew["posterior"]["slope"])
    with pytest.raises(ValueError, match="another structure"):
        prepared.sample(spec.sampling, spec=one("normal", "log_linear"))
