"""One compiled density for many fits: swapped numbers give the density of a new graph."""

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
from nmda_bayes.inference.compiled import log_density as log_density_of
from nmda_bayes.inference.nuts import _pack_data, compile_analysis, same_structure, with_weights
from nmda_bayes.inference.reparameterisation import recenter_locations, recentering_weights
from nmda_bayes.model import PY_MODE, build_model_from_design
from nmda_bayes.priors import BOUNDS, FAMILIES, random_variable
from nmda_bayes.spec import AnalysisSpec
from tests.model.test_mixing import BETA, MIXED, RESPONDERS
from tests.support import specs

TRIALS = specs.normal_table()
#: Two contrasts with a common control arm: their errors are correlated.
SHARED_ARM = specs.rows("""
    study agent    dose comparator comparator_dose estimate se comparator_se
    A     ketamine 1    placebo    0               -9       3  2
    A     ketamine 2    placebo    0               -12      3  2
    B     ketamine 1    placebo    0               -5       2  -
""")


def other_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The same trials with other results."""
    changed = frame.copy()
    for name, change in {"mean": 1.1, "se": 0.9, "estimate": 1.2}.items():
        if name in changed:
            changed[name] = pd.to_numeric(changed[name], errors="coerce") * change
    for name, more in {"n": 3, "events": 1}.items():
        if name in changed:
            changed[name] = pd.to_numeric(changed[name], errors="coerce") + more
    return changed


def linear(likelihood: str, curve: str = "linear", *, scale: float = 1.0, **priors: Any) -> Any:
    location, between_agent = specs.normal(0, 5 * scale), specs.half_normal(2 * scale)
    slope = specs.parameter("agent", location=location, between_agent=between_agent)
    parameters = ({"slope": slope} if curve == "linear" else {}) | priors
    return specs.spec(specs.outcome(likelihood, curve, parameters=parameters))


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
    "correlated contrasts": (lambda k: linear("normal_contrast", scale=k), SHARED_ARM),
    "means and counts": (
        lambda k: specs.benefit_risk(
            correlations={
                "heterogeneity": {"dist": "LKJCorr", "kwargs": {"eta": 2 * k}, "why": "x"}
            }
        ),
        specs.both_tables(),
    ),
}


def built(spec: AnalysisSpec, frame: pd.DataFrame, *, weighted: bool = False) -> pm.Model:
    design = build_design(spec, load_evidence(frame))
    return build_model_from_design(spec, with_weights(design) if weighted else design)


def density_and_gradient(model: pm.Model) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The log density and its gradient at a row of values, in alphabetical order of variables."""
    log_density, start = log_density_of(model), model.initial_point()
    values = sorted(model.value_vars, key=lambda value: str(value.name))
    gradients = pt.grad(log_density, values)
    evaluate = pytensor.function(
        values, [log_density, *gradients], mode=PY_MODE, on_unused_input="ignore"
    )
    shapes = [np.shape(start[value.name]) for value in values]
    sizes = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])

    def at(row: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [row[a:b].reshape(s) for a, b, s in zip(sizes[:-1], sizes[1:], shapes, strict=True)]
        value, *gradient = evaluate(*parts)
        return float(value), np.concatenate([np.ravel(part) for part in gradient])

    return at


def points(model: pm.Model) -> np.ndarray:
    count = sum(int(np.size(value)) for value in model.initial_point().values())
    return np.random.default_rng(8).normal(0, 0.7, size=(3, count))


@pytest.mark.parametrize("name", CASES)
def test_swapped_numbers_give_the_density_of_a_new_graph(name):
    spec_of, frame = CASES[name]
    base, base_weights = graph_and_weights(spec_of(1.0), frame)
    other, other_weights = graph_and_weights(spec_of(1.3), other_numbers(frame))
    assert same_structure(base, other)
    packed, row, pieces = _pack_data(base, base_weights)
    swapped = density_and_gradient(recenter_locations(packed, pieces))
    expected = density_and_gradient(recenter_locations(clone_model(other), other_weights))
    first, *_ = rows = points(base)
    row.set_value(_row(base, base, base_weights))
    before = swapped(first)[0]
    row.set_value(_row(base, other, other_weights))
    assert abs(before / expected(first)[0] - 1) > 1e-4  # the numbers matter
    for values in rows:
        assert_allclose(swapped(values)[0], expected(values)[0], rtol=1e-10)
        assert_allclose(swapped(values)[1], expected(values)[1], rtol=1e-8, atol=1e-8)


def graph_and_weights(
    spec: AnalysisSpec, frame: pd.DataFrame
) -> tuple[pm.Model, dict[str, xr.DataArray]]:
    """A graph and its recentring weights."""
    design = build_design(spec, load_evidence(frame))
    model = build_model_from_design(spec, design)
    return model, recentering_weights(model, spec, design)


def _row(base: pm.Model, other: pm.Model, weights: dict[str, xr.DataArray]) -> np.ndarray:
    """The numbers of a graph in the order of another, as in `CompiledAnalysis`."""
    data = [other[v.name].get_value() for v in base.data_vars]
    return np.concatenate([np.ravel(value) for value in (*data, *weights.values())])


def test_numbers_of_priors_are_data_but_for_bounds():
    """Swapped numbers give the density of the prior with these numbers."""
    numbers = {
        "mu": 0.2,
        "sigma": 0.15,
        "alpha": 2.0,
        "beta": 1.5,
        "nu": 4.0,
        "lam": 1.0,
        "b": 1.0,
        "scale": 2.0,
        "tau": 0.5,
        "lower": 0.0,
        "upper": 3.0,
    }
    members = [(d, tuple(a.split())) for d, f in FAMILIES.items() for a in f.arguments]

    def graph(factor: float) -> pm.Model:
        with pm.Model() as model:
            for i, (dist, arguments) in enumerate(members):
                kwargs = {a: numbers[a] * (1.0 if a in BOUNDS else factor) for a in arguments}
                random_variable(f"x{i}", dist, kwargs)
        return model

    base, other = graph(1.0), graph(1.2)
    assert same_structure(base, other)
    assert {v.name.split(".")[1] for v in base.data_vars} == set(numbers) - set(BOUNDS)
    terms, expected = (m.compile_logp(sum=False, mode=PY_MODE) for m in (base, other))
    point = base.initial_point()
    before = np.array(terms(point))
    for data in base.data_vars:
        data.set_value(other[data.name].get_value())
    assert_allclose(terms(point), expected(point), rtol=1e-12)
    changed = ~np.isclose(before, terms(point), rtol=1e-6, atol=0)
    assert [d for d, m in zip(members, changed, strict=True) if not m] == [
        ("Uniform", ("lower", "upper"))
    ]


class TestSameStructure:
    SPEC = linear("normal")

    def same(self, spec: AnalysisSpec, frame: pd.DataFrame = TRIALS) -> bool:
        return same_structure(built(self.SPEC, TRIALS), built(spec, frame))

    def test_other_numbers(self):
        assert self.same(linear("normal", scale=3.0), other_numbers(TRIALS))

    def test_other_family(self):
        prior = specs.prior("Cauchy", alpha=0, beta=1)
        slope = specs.parameter("agent", location=prior, between_agent=specs.half_normal(2))
        assert not self.same(linear("normal", slope=slope))

    def test_other_arguments_of_a_family(self):
        prior = specs.prior("Normal", mu=0, tau=1)
        slope = specs.parameter("agent", location=prior, between_agent=specs.half_normal(2))
        assert not self.same(linear("normal", slope=slope))

    def test_other_bound(self):
        low, high = (
            linear(
                "normal",
                slope=specs.parameter(
                    "common", location=specs.prior("TruncatedNormal", mu=0, sigma=1, lower=at)
                ),
            )
            for at in (0.0, 0.5)
        )
        assert not same_structure(built(low, TRIALS), built(high, TRIALS))

    def test_other_labels(self):
        renamed = TRIALS.assign(study=TRIALS["study"].replace("A", "Z"))
        assert not self.same(self.SPEC, renamed)

    def test_other_agents_at_the_same_arms(self):
        swapped = TRIALS.copy()
        swapped["agent"] = swapped["agent"].replace({"ketamine": "memantine", "mem": "ketamine"})
        assert not self.same(self.SPEC, swapped)

    def test_other_curve(self):
        assert not self.same(linear("normal", "log_linear"))

    def test_other_pooling(self):
        slope = specs.parameter("common", location=specs.normal(0, 5))
        assert not self.same(linear("normal", slope=slope))

    def test_other_number_of_trials(self):
        assert not self.same(self.SPEC, TRIALS[TRIALS["study"] != "A"])


class TestWeights:
    @pytest.mark.parametrize(
        "name",
        ["correlated contrasts", "crossover, responders, contrasts"],
    )
    def test_weight_of_all_rows(self, name):
        """A weight multiplies the log density of the rows."""
        spec_of, frame = CASES[name]
        plain, weighted = built(spec_of(1.0), frame), built(spec_of(1.0), frame, weighted=True)
        arms = weighted["arm.weight"].type.shape[0]
        rows = plain.compile_fn(
            plain.logp(vars=plain.observed_RVs, sum=False, jacobian=False),
            inputs=sorted(plain.value_vars, key=lambda value: str(value.name)),
            mode=PY_MODE,
            on_unused_input="ignore",
            point_fn=False,
        )
        point = points(plain)[0]
        likelihood = sum(float(np.sum(row)) for row in rows(*_split(plain, point)))
        full, evaluate = density_and_gradient(plain)(point), density_and_gradient(weighted)
        assert_allclose(evaluate(point)[0], full[0], rtol=1e-10)
        assert_allclose(evaluate(point)[1], full[1], rtol=1e-8, atol=1e-8)
        for weight in (0.5, 0.0):
            weighted["arm.weight"].set_value(np.full(arms, weight))
            expected = full[0] - (1 - weight) * likelihood
            assert_allclose(evaluate(point)[0], expected, rtol=1e-9)

    def test_weight_of_one_trial(self):
        spec = linear("normal")
        weighted, plain = built(spec, TRIALS, weighted=True), built(spec, TRIALS)
        rows = plain.compile_fn(
            plain.logp(vars=[plain["reported"]], sum=False, jacobian=False)[0],
            inputs=sorted(plain.value_vars, key=lambda value: str(value.name)),
            mode=PY_MODE,
            on_unused_input="ignore",
            point_fn=False,
        )
        point = points(plain)[0]
        of_b = np.array([label.startswith("B:") for label in plain.coords["arm"]])
        weighted["arm.weight"].set_value(np.where(of_b, 0.0, 1.0))
        expected = density_and_gradient(plain)(point)[0] - rows(*_split(plain, point))[of_b].sum()
        assert_allclose(density_and_gradient(weighted)(point)[0], expected, rtol=1e-10)

    def test_predictions_do_not_depend_on_weights(self):
        spec = linear("normal")
        design = with_weights(build_design(spec, load_evidence(TRIALS)))
        reported = design["outcomes/pain"].to_dataset()
        light = design.copy()
        light["outcomes/pain"] = xr.DataTree(reported.assign(weight=reported["weight"] * 0.2))
        drawn = []
        for weights_design in (design, light):
            model = build_model_from_design(spec, weights_design)
            with pytest.warns(UserWarning, match="effect of Potentials"):
                tree = pm.sample_prior_predictive(
                    20, model=model, random_seed=1, compile_kwargs={"mode": PY_MODE}
                )
            drawn.append(tree["prior_predictive"]["reported"].to_numpy())
        assert_array_equal(*drawn)

    def test_without_weights_there_is_no_potential(self):
        assert not built(linear("normal"), TRIALS).potentials


def _split(model: pm.Model, row: np.ndarray) -> list[np.ndarray]:
    parts, start = [], 0
    for _, value in sorted(model.initial_point().items()):
        parts.append(row[start : start + np.size(value)].reshape(np.shape(value)))
        start += np.size(value)
    return parts


@pytest.mark.slow
def test_a_fit_by_swapped_data_has_the_same_draws():
    """Bit for bit: the same code, numbers and starting points."""
    spec, other = linear("normal"), linear("normal", scale=2.0)
    design = build_design(spec, load_evidence(TRIALS))
    other_design = build_design(other, load_evidence(other_numbers(TRIALS)))
    compiled = compile_analysis(spec, design)
    swapped = compiled.sample(spec.sampling, spec=other, design=other_design)
    expected = compile_analysis(other, other_design).sample(other.sampling)
    for name, values in expected["posterior"].data_vars.items():
        assert_array_equal(swapped["posterior"][name], values)
    again = compiled.sample(spec.sampling)
    assert not np.array_equal(again["posterior"]["slope"], expected["posterior"]["slope"])
    with pytest.raises(ValueError, match="another structure"):
        compiled.sample(spec.sampling, spec=linear("normal", "log_linear"))
