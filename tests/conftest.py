"""What the core's tests share: a sampler that does not sample, and fits written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes import inference
from nmda_bayes.design import build_design
from nmda_bayes.errors import Fault, InputError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.garbage import look_rarely
from nmda_bayes.inference.forward import prior_draws
from nmda_bayes.spec import AnalysisSpec
from tests import specs

SAMPLER = "nmda_bayes.inference.nuts.sample_posterior"
#: Where the sampler is mocked the prior's draws are few as well: they were a third of such a fit.
PRIOR_DRAWS = "nmda_bayes.inference.fitting.PRIOR_DRAWS"


#: Files with long fits are handed out first: of two processes neither is left alone with them.
LONG = ("reference", "notebooks", "report", "cli")


look_rarely()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: (
            LONG.index(item.path.parent.name) if item.path.parent.name in LONG else len(LONG)
        )
    )


def prior_as_posterior(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    """Stand in for the sampler: independent draws of the prior, dealt out to chains."""
    chains, draws = spec.sampling.chains, spec.sampling.draws
    drawn, _ = prior_draws(freeze_dims_and_data(model), chains * draws, seed=7)
    one = drawn.isel(chain=0, drop=True).drop_vars("draw")
    dealt = one.coarsen(draw=draws).construct(draw=("chain", "draw"))
    dealt = dealt.assign_coords(chain=range(chains), draw=range(draws))
    return xr.DataTree.from_dict(
        {"posterior": dealt.transpose("chain", "draw", ...), "sample_stats": calm(chains, draws)}
    )


def calm(chains: int, draws: int) -> xr.Dataset:
    """Sampler statistics without a complaint."""
    shape = (chains, draws)
    energy = np.random.default_rng(1).normal(size=shape)
    return xr.Dataset(
        {"diverging": (("chain", "draw"), np.zeros(shape, bool)),
         "energy": (("chain", "draw"), energy)},
        coords={"chain": range(chains), "draw": range(draws)},
    )  # fmt: skip


@pytest.fixture
def mocked_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SAMPLER, prior_as_posterior)
    monkeypatch.setattr(PRIOR_DRAWS, 100)


@pytest.fixture(scope="session")
def quick_fit() -> xr.DataTree:
    """A benefit-risk fit with correlated offsets whose posterior is its prior."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        spec = specs.benefit_risk(correlations=specs.LKJ)
        return inference.fit(spec, load_evidence(specs.both_tables()))


@pytest.fixture
def fit_by_hand() -> Callable[..., xr.DataTree]:
    """Make a fit from written draws: ``{variable: (dims, values)}`` over draw and labels.

    Values lead with the draw; they are dealt to one chain, or have dims of their own.
    """
    return make_fit


def make_fit(
    spec: AnalysisSpec,
    table: pd.DataFrame,
    posterior: Mapping[str, xr.DataArray],
    prior: Mapping[str, xr.DataArray] | None = None,
    **groups: xr.Dataset,
) -> xr.DataTree:
    design = build_design(spec, load_evidence(table))
    draws = xr.Dataset(dict(posterior))
    tree = {
        "posterior": draws,
        "prior": xr.Dataset(dict(prior or posterior)),
        "sample_stats": calm(draws.sizes["chain"], draws.sizes["draw"]),
        **groups,
    }
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": json.dumps(spec.model_dump())}
    return fit


def draws(values: Any, *dims: str, **coords: Any) -> xr.DataArray:
    """Draws of one chain: the first axis is the draw, the others are ``dims``."""
    array = np.asarray(values, float)[None]
    return xr.DataArray(
        array,
        dims=("chain", "draw", *dims),
        coords={"chain": [0], "draw": range(array.shape[1]), **coords},
    )


def value_of(model: pm.Model, name: str, point: Mapping[str, Any]) -> np.ndarray:
    """A variable of a graph at a point: free variables by value, positive ones by logarithm."""
    unknown = set(point) - {v.name for v in model.value_vars}
    assert not unknown, f"not a value of the graph: {unknown}"
    (value,) = model.replace_rvs_by_values([model[name]])
    tensor = getattr(value, "values", value)
    evaluate = model.compile_fn(
        tensor, inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore"
    )
    return np.asarray(evaluate(model.initial_point() | dict(point)))


def faults_when(action: Callable[[], Any], kind: type[InputError]) -> list[Fault]:
    """The faults that an action is refused with."""
    with pytest.raises(kind) as caught:
        action()
    return list(caught.value.faults)
