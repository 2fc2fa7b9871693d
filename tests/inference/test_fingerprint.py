"""The fingerprint: one for what is the same, another for whatever could change a density."""

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
from pymc.logprob.transforms import Transform
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from nmda_bayes.inference import fingerprint as told
from nmda_bayes.inference.fingerprint import fingerprint


class Scaled(Transform):
    """A change of variables that holds a number."""

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
    made = freeze_dims_and_data(model)
    if transform is not None:
        made.rvs_to_transforms[made[name]] = transform
    return made


OTHERS = {
    "a datum": {"datum": 1.5},
    "a number of a prior": {"sigma": 2.5},
    "a label": {"label": "c"},
    "a name": {"name": "relief"},
    "a family": {"family": pmd.Laplace},
    "what is derived": {"slope": 3.5},
    "a transform": {"transform": Scaled(1.0)},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_graph_has_another_fingerprint(what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(told, "KNOWN", (*told.KNOWN, __name__.partition(".")[0]))
    found = fingerprint(graph(**OTHERS[what]))
    assert found is not None
    assert found != fingerprint(graph())
    assert found == fingerprint(graph(**OTHERS[what]))


def test_numbers_within_a_transform_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(told, "KNOWN", (*told.KNOWN, __name__.partition(".")[0]))
    one, other = (fingerprint(graph(transform=Scaled(by))) for by in (1.0, 2.0))
    assert None not in (one, other)
    assert one != other


def test_so_do_graphs_within_a_transform(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(told, "KNOWN", (*told.KNOWN, __name__.partition(".")[0]))
    found = {fingerprint(graph(transform=Scaled(pt.exp(pt.scalar("x")) + by))) for by in (1, 2)}
    assert None not in found
    assert len(found) == 2


def test_another_line_of_code_makes_another_fingerprint(monkeypatch: pytest.MonkeyPatch):
    before = fingerprint(graph())
    monkeypatch.setattr(told, "code_version", lambda: "another line of code")
    assert fingerprint(graph()) != before


def test_code_that_is_not_ours_has_none():
    """An operation of a notebook may change from one run to the next, its name with it or not."""

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


def test_data_that_may_be_swapped_have_none():
    with pm.Model() as model:
        pm.Normal("x", pm.Data("middle", np.array(1.0)))
    assert fingerprint(model) is None


def test_every_process_gives_the_same():
    """Sets have another order in each, by a seed for hashes that changes."""
    script = "from tests.inference.test_fingerprint import *; print(fingerprint(graph()))"
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "11"},
    )
    assert other.stdout.split()[-1] == fingerprint(graph())
