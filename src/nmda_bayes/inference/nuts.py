"""The posterior by the No-U-Turn sampler (nutpie)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.model.transform import do, freeze_dims_and_data
from pytensor.compile import SharedVariable
from pytensor.graph import graph_inputs
from pytensor.graph.basic import equal_computations
from pytensor.xtensor import as_xtensor

from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.dims import ARM
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.inference.compiled import DATA, CompiledModel, compile_model, fast_path
from nmda_bayes.inference.reparameterisation import (
    conditional_noncentering,
    recenter_locations,
    recentering_weights,
)
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec, SamplingSpec

SAMPLE_STATS = (
    "diverging",
    "energy",
    "energy_error",
    "depth",
    "maxdepth_reached",
    "n_steps",
    "step_size",
    "mean_tree_accept",
    "logp",
)


def sample_posterior(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    """Draw groups posterior and sample_stats, with the sampling settings of a spec.

    With a design the model is reparameterised (`nmda_bayes.inference.reparameterisation`).
    """
    # In a frozen model, what depends on data only (binomial coefficients) is computed once.
    model = freeze_dims_and_data(model)
    if design is not None and fast_path():
        # Correlated arm effects cannot be standardised: with the baselines alone the conditional
        # map costs more than it gains, and recentring serves better.
        if spec.correlations.heterogeneity is None:
            model = conditional_noncentering(model, spec, design)
        else:
            model = recenter_locations(model, recentering_weights(model, spec, design))
    return sample_compiled(compile_model(model).sampler, spec.sampling, progress)


def sample_compiled(sampler: Any, settings: SamplingSpec, progress: bool) -> xr.DataTree:
    """Draw groups posterior and sample_stats from a model compiled for nutpie.

    We leave nutpie's ``mindepth`` unset: forcing deeper trees biases the heterogeneity SD. The mass
    matrix comes from draws alone: more effective draws for the same time than with gradients, as is
    nutpie's default. A dense matrix diverges in funnels, and one of low rank is slower.
    """
    import nutpie

    try:
        drawn = nutpie.sample(
            sampler,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            target_accept=settings.target_accept,
            save_warmup=False,
            adaptation="draw_diag",
            progress_bar=progress,
        )
    except BaseException as error:
        # Without a finite density to start from, nutpie raises a RuntimeError, or a panic that no
        # ``except Exception`` catches.
        no_start = "initialization points failed" in str(error)
        if not no_start and type(error).__name__ != "PanicException":
            raise
        message = "no starting point: the log density is not finite near the prior median"
        hint = (
            "Check for a prior under which effects overflow, and for data that are impossible under"
            " the model; nmda-bayes show prints both."
        )
        raise SpecError([Issue("E550", message, hint)]) from error
    stats = drawn["sample_stats"].to_dataset()
    kept = stats[[name for name in SAMPLE_STATS if name in stats]]
    posterior = drawn["posterior"].to_dataset()
    return xr.DataTree.from_dict(
        {"posterior": posterior.drop_attrs(), "sample_stats": kept.drop_attrs()}
    )


# An analysis compiled once, to be sampled with other numbers in its priors and its data.


def compile_analysis(spec: AnalysisSpec, design: xr.DataTree) -> CompiledAnalysis:
    """Compile the log density of an analysis, for all analyses of the same structure."""
    design = with_weights(design)
    model = build_model_from_design(spec, design)
    weights = recentering_weights(model, spec, design) if fast_path() else {}
    packed, row, weight_variables = _pack_data(model, weights)
    compiled = compile_model(recenter_locations(packed, weight_variables), row)
    return CompiledAnalysis(spec, design, model, compiled, weights)


@dataclass(frozen=True)
class CompiledAnalysis:
    """A compiled model, with its analysis and graph.

    ``weights`` are those that recentre its locations; they follow the data in the swapped vector.
    """

    spec: AnalysisSpec
    design: xr.DataTree
    model: pm.Model
    compiled: CompiledModel
    weights: Mapping[str, xr.DataArray]

    def is_compatible(self, spec: AnalysisSpec, design: xr.DataTree) -> bool:
        """Whether an analysis differs only in numbers, so that they can be swapped in."""
        return same_structure(self.model, build_model_from_design(spec, with_weights(design)))

    def sample(
        self,
        settings: SamplingSpec,
        *,
        spec: AnalysisSpec | None = None,
        design: xr.DataTree | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw posterior and sample_stats of this analysis, or of a compatible one.

        Chains start near the centre of the prior, which moves with its numbers. ValueError if the
        analysis is not compatible.
        """
        spec, design = spec or self.spec, with_weights(design or self.design)
        model = build_model_from_design(spec, design)
        if not same_structure(self.model, model):
            raise ValueError("the analysis has another structure than the compiled one")
        values = [model[v.name].get_value() for v in self.model.data_vars]
        weights = recentering_weights(model, spec, design) if self.weights else {}
        values += [weights.get(name, old).to_numpy() for name, old in self.weights.items()]
        swapped = self.compiled.with_data(np.concatenate([value.ravel() for value in values]))
        return sample_compiled(swapped.sampler, settings, progress)


def _pack_data(
    model: pm.Model, weights: Mapping[str, xr.DataArray]
) -> tuple[pm.Model, Any, dict[str, Any]]:
    """Put all data of a graph, and the recentring weights, into one vector.

    nutpie unpacks each datum by generated code, which doubles the time of compilation.
    """
    arrays = {data.name: (data.get_value(), data.type.dims) for data in model.data_vars}
    arrays |= {f"{name}.weight": (w.to_numpy(), w.dims) for name, w in weights.items()}
    packed = np.concatenate([value.ravel() for value, _ in arrays.values()])
    row = pytensor.shared(packed, name=DATA, shape=packed.shape)
    pieces, start = {}, 0
    for name, (value, dims) in arrays.items():
        piece = row[start : start + value.size] if value.ndim else row[start]
        piece = piece.reshape(value.shape) if value.ndim > 1 else piece
        pieces[name] = as_xtensor(piece, dims=dims)
        start += value.size
    weight_variables = {name: pieces.pop(f"{name}.weight") for name in weights}
    return do(model, pieces, make_interventions_shared=False), row, weight_variables


def with_weights(design: xr.DataTree) -> xr.DataTree:
    """Give every row a weight, 1 by default, so that trials can be left out later."""
    weighted = design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows = node.to_dataset()
        if WEIGHT not in rows:
            ones = (ARM, np.ones(rows.sizes[ARM]))
            weighted[f"{OUTCOMES}/{name}"] = xr.DataTree(rows.assign({WEIGHT: ones}))
    return weighted


def same_structure(model: pm.Model, other: pm.Model) -> bool:
    """Whether labels, names, operations and constants agree, so that only data can differ."""
    if dict(model.coords) != dict(other.coords):
        return False
    if dict(model.named_vars_to_dims) != dict(other.named_vars_to_dims):
        return False
    outputs, other_outputs = _outputs(model), _outputs(other)
    inputs, other_inputs = _shared(outputs), _shared(other_outputs)
    if [(v.name, v.type) for v in inputs] != [(v.name, v.type) for v in other_inputs]:
        return False
    return bool(equal_computations(outputs, other_outputs, in_xs=inputs, in_ys=other_inputs))


def _outputs(model: pm.Model) -> list[Any]:
    """The variables of a graph, and the observations, which may be computed from data."""
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [*model.basic_RVs, *model.deterministics, *model.potentials, *observed]


def _shared(outputs: list[Any]) -> list[Any]:
    return [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]
