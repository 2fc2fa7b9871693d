"""Fingerprints: equal for equal graphs, different if the density could differ."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import pytest
from pymc.distributions.transforms import Transform
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from nmda_bayes.inference import compile_cache
from nmda_bayes.inference.compile_cache import fingerprint


class Scaled(Transform):
    """A change of variables with a number."""

    name = "scaled"

    def __init__(self, by: Any) -> None:
        self.by = by

    def forward(self, value: Any, *inputs: Any) -> Any:
        return value / self.by

    def backward(self, value: Any, *inputs: Any) -> Any:
        return value * self.by


def graph(
    *,
    datum: float = 1.0,
    sigma: float = 2.0,
    label: str = "b",
    name: str = "effect",
    family: Callable[..., Any] = pmd.Normal,
    slope: float = 3.0,
    transform: Transform | None = None,
) -> pm.Model:
    with pm.Model(coords={"arm": ["a", label]}) as model:
        effect = family(name, 0.0, sigma, dims="arm")
        pmd.Deterministic("double", effect * slope)
        pmd.Normal("seen", effect, 1.0, observed=pmd.math.as_xtensor([0.0, datum], dims=("arm",)))
    frozen = freeze_dims_and_data(model)
    if transform is not None:
        frozen.rvs_to_transforms[frozen[name]] = transform
    return frozen


OTHERS = {
    "a datum": {"datum": 1.5},
    "a number of a prior": {"sigma": 2.5},
    "a label": {"label": "c"},
    "a name": {"name": "relief"},
    "a family": {"family": pmd.Laplace},
    "a deterministic": {"slope": 3.5},
    "a transform": {"transform": Scaled(1.0)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_graph_has_another_fingerprint(what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        compile_cache, "VERSIONED", (*compile_cache.VERSIONED, __name__.partition(".")[0])
    )
    other = fingerprint(graph(**OTHERS[what]))
    assert other is not None
    assert other != fingerprint(graph())
    assert other == fingerprint(graph(**OTHERS[what]))


def test_numbers_in_a_transform(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        compile_cache, "VERSIONED", (*compile_cache.VERSIONED, __name__.partition(".")[0])
    )
    fingerprints = {fingerprint(graph(transform=Scaled(by))) for by in (1.0, 2.0)}
    assert None not in fingerprints
    assert len(fingerprints) == 2


def test_graphs_in_a_transform(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        compile_cache, "VERSIONED", (*compile_cache.VERSIONED, __name__.partition(".")[0])
    )
    transforms = [Scaled(pt.exp(pt.scalar("x")) + by) for by in (1, 2)]
    fingerprints = {fingerprint(graph(transform=transform)) for transform in transforms}
    assert None not in fingerprints
    assert len(fingerprints) == 2


def test_other_code_has_another_fingerprint(monkeypatch: pytest.MonkeyPatch):
    before = fingerprint(graph())
    monkeypatch.setattr(compile_cache, "code_version", lambda: "another line of code")
    assert fingerprint(graph()) != before


def test_unversioned_code_has_no_fingerprint():
    """An operation defined in a notebook may change without its name."""

    class Odd(Op):
        __props__ = ()

        def make_node(self, x: Any) -> Apply:
            return Apply(self, [x], [x.type()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = inputs[0]

    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Deterministic("y", Odd()(x))
    assert fingerprint(model) is None
    assert fingerprint(graph(transform=Scaled(1.0))) is None


def test_shared_data_have_no_fingerprint():
    with pm.Model() as model:
        pm.Normal("x", pm.Data("middle", np.array(1.0)))
    assert fingerprint(model) is None


def test_fingerprints_are_equal_between_processes():
    """The order of sets differs between processes."""
    script = "from tests.inference.test_fingerprint import *; print(fingerprint(graph()))"
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "11"},
    )
    assert other.stdout.split()[-1] == fingerprint(graph())
