"""Inference without MCMC, where the model allows it: normal errors, linear curves.

Given its scales (SDs, an ED50) an outcome is a regression with normal priors: baselines, effects of
agents and arms integrate out in closed form,

    log p(y | scales) = -1/2 (n log 2 pi + log|V| - log|P| + log|Q| + y'V⁻¹y + m'Pm - b'Qb),
    Q = P + X'V⁻¹X,   b = Q⁻¹ (Pm + X'V⁻¹y),

with design X, sampling covariance V, and m and P the prior mean and precision of the normal
variables. The one or two scales are summed over a grid on the log scale, where the trapezoidal
rule converges exponentially (Trefethen and Weideman 2014). Independent draws come from that
posterior: scales by their quantiles, the rest from its normal. Variables have the names and dims of
the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pymc as pm
import xarray as xr

from nmda_bayes.components.curves import Curve
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS, SD_PREFIXES
from nmda_bayes.design import PARENT_ARM, RESPONDER_REPORT, outcome_covariates
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.inference.normal_regression import GRID_POINT, build_regression, solve_regression
from nmda_bayes.inference.scale_grid import Scale, grid_statistics, scale_batches, scale_grid
from nmda_bayes.model import (
    PY_MODE,
    Outcome,
    ParameterLayout,
    arm_parameters,
    linear_biases,
    model_outcomes,
)
from nmda_bayes.runtime import single_threaded_blas
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.outcome import PriorSpec
from nmda_bayes.spec.rules import CLUSTER_SD, TRIAL_SDS, natural_name

#: Two scales need 61² regressions; a third would be too slow.
MAX_SCALES = 2
#: Doses at which the linearity of a curve is tested, with random parameters.
TEST_DOSES = xr.DataArray(np.array([0.3, 1.0, 4.0]), dims="dose")


def exact_obstacles(spec: AnalysisSpec, design: xr.DataTree) -> list[str]:
    """Give every reason why an analysis cannot be integrated exactly; none if it can."""
    correlations = spec.correlations
    obstacles = _applicable(
        {
            "outcomes are correlated": correlations.heterogeneity,
            "errors are correlated between outcomes": correlations.errors,
            "effects of agents are correlated": correlations.agent,
        }
    )
    for outcome in model_outcomes(spec, design):
        obstacles += [f"{outcome.label}: {reason}" for reason in _outcome_obstacles(outcome, spec)]
    return obstacles


def _applicable(obstacles: Mapping[str, object]) -> list[str]:
    return [text for text, applies in obstacles.items() if applies]


def _outcome_obstacles(outcome: Outcome, spec: AnalysisSpec) -> list[str]:
    part, bias, reported = outcome.spec, outcome.spec.bias, outcome.reported
    heterogeneity, crossover = HETEROGENEITIES[part.heterogeneity], spec.designs.crossover
    formats = set(reported["report"].to_numpy())
    is_normal = LIKELIHOODS[part.likelihood].normal
    pk_priors = outcome.pk_parameters and EXPOSURES[part.exposure].metric
    as_crossover = crossover is not None and outcome.label not in crossover.as_parallel
    same_people = (reported["same_people"].to_numpy().astype(float) == 1).any()
    correlated = as_crossover and same_people
    scales = [scale.name for scale in _scales(outcome)]
    too_many = f"{len(scales)} scales to integrate over ({', '.join(scales)}), at most {MAX_SCALES}"
    curves = ", ".join(f"'{curve.name}'" for curve, _ in part.shape.groups)
    has_spread = bias.risk_of_bias is not None and bias.risk_of_bias.spread is not None
    obstacles = _applicable(
        {
            f"likelihood '{part.likelihood}' is not normal": not is_normal,
            "responders are counted": RESPONDER_REPORT in formats,
            "pharmacokinetic parameters have priors": pk_priors,
            "trials report in several formats": len(formats) > 1,
            "the within-person correlation of crossover trials is unknown": correlated,
            f"time course '{part.course}' is not linear": part.over_time.parameters,
            "arms are measured at several times": PARENT_ARM in reported,
            "arm effects have the tails of a t distribution": heterogeneity.heavy_tailed,
            "arm effects have an outlier mixture": heterogeneity.offset_parameters,
            "published estimates are selected by p-value": bias.selection,
            "unblinding bias depends on the harm outcome": bias.unblinding,
            "the bias varies between trials, with an unknown spread": has_spread,
            too_many: len(scales) > MAX_SCALES,
            f"curve {curves} is not linear in its parameters": not _is_linear(outcome),
        }
    )
    for name, parameter in part.parameters.items():
        covariates, strata = ", ".join(parameter.covariates), parameter.strata_column
        heavy_tailed = POOLINGS[parameter.pooling].heavy_tailed
        regressed = covariates and name in _nonlinear_parameters(outcome)
        obstacles += _applicable(
            {
                f"'{name}' has the tails of a t distribution between agents": heavy_tailed,
                f"'{name}' is not linear and is regressed on {covariates}": regressed,
                f"'{name}' differs by {strata}": strata and name != CLUSTER_SD,
            }
        )
    return obstacles + [
        f"the prior of {name} is {prior.dist}, not Normal"
        for name, prior in _location_priors(outcome, scales)
        if prior.dist != "Normal" or set(prior.kwargs) != {"mu", "sigma"}
    ]


def _parameter_priors(outcome: Outcome) -> Iterator[tuple[str, ParameterLayout, str, PriorSpec]]:
    """The priors of the arms' parameters: parameter of the formula, layout, slot, prior."""
    for name in arm_parameters(outcome):
        in_spec = _name_in_spec(outcome, name)
        layout = ParameterLayout(outcome, in_spec, outcome.spec.parameters[in_spec])
        for slot, prior in layout.spec.priors.items():
            yield name, layout, slot, prior


def _name_in_spec(outcome: Outcome, name: str) -> str:
    return name if name in outcome.spec.parameters else natural_name(name)


def _scales(outcome: Outcome) -> list[Scale]:
    """What is summed over a grid: SDs, and parameters that the curve is not linear in."""
    nonlinear = _nonlinear_parameters(outcome)
    scales = []
    for name, layout, slot, prior in _parameter_priors(outcome):
        is_sd = slot.startswith(SD_PREFIXES)
        if is_sd or (slot == "location" and (name in TRIAL_SDS or name in nonlinear)):
            positive = is_sd or name in TRIAL_SDS or layout.parameter != name
            scales.append(Scale(layout.slot_name(slot), prior.dist, prior.kwargs, positive))
    return scales


def _location_priors(outcome: Outcome, scales: list[str]) -> Iterator[tuple[str, PriorSpec]]:
    """Priors of all variables but scales, which must be normal, by name."""
    for _, layout, slot, prior in _parameter_priors(outcome):
        if layout.slot_name(slot) not in scales:
            yield layout.slot_name(slot), prior
    for column, (_, _, covariate) in outcome_covariates(outcome.spec).items():
        yield outcome.name(column), covariate.prior
    for term in linear_biases(outcome):
        yield outcome.name(term.name), term.prior


def _nonlinear_parameters(outcome: Outcome) -> set[str]:
    """Parameters that a curve is not linear in, by second differences at a random point."""
    nonlinear = set()
    for curve, _ in outcome.spec.shape.groups:
        values = np.random.default_rng(1).normal(size=20)
        point = {p: float(v) for p, v in zip(curve.parameters, values, strict=False)}
        for name in curve.parameters:
            low, middle, high = (
                curve.response(TEST_DOSES, point | {name: point[name] + step}, np)
                for step in (-1.0, 0.0, 1.0)
            )
            largest = max(float(np.abs(value).max()) for value in (low, middle, high))
            if np.abs(low - 2 * middle + high).max() > 1e-9 * max(largest, 1.0):
                nonlinear.add(name)
    return nonlinear


def _is_linear(outcome: Outcome) -> bool:
    """Whether curves are linear in all but common parameters, which are summed over."""
    nonlinear = _nonlinear_parameters(outcome)
    parameters = outcome.spec.parameters
    poolings = [parameters[_name_in_spec(outcome, name)].pooling for name in nonlinear]
    return not any(POOLINGS[pooling].dims for pooling in poolings) and all(
        _is_additive(curve, nonlinear) for curve, _ in outcome.spec.shape.groups
    )


def _is_additive(curve: Curve, nonlinear: set[str]) -> bool:
    """Whether a curve is linear in its other parameters jointly, at two random points."""
    names = [p for p in curve.parameters if p not in nonlinear]
    rng = np.random.default_rng(2)
    fixed = {p: float(rng.normal()) for p in nonlinear}
    first, second = (dict(zip(names, rng.normal(size=20), strict=False)) for _ in range(2))
    both = {p: first[p] + second[p] for p in names}
    a, b, total = (curve.response(TEST_DOSES, fixed | v, np) for v in (first, second, both))
    return bool(np.allclose(a + b, total, rtol=1e-9, atol=1e-9))


@single_threaded_blas
def integrate_posterior(spec: AnalysisSpec, design: xr.DataTree, model: pm.Model) -> xr.DataTree:
    """Integrate the posterior of an analysis, and draw from it."""
    chains, draws = spec.sampling.chains, spec.sampling.draws
    rng = np.random.default_rng(spec.sampling.seed)
    free: dict[str, np.ndarray] = {}
    exact: dict[str, xr.DataArray] = {}
    error = 0.0
    for outcome in model_outcomes(spec, design):
        grid = scale_grid(_scales(outcome), partial(_log_evidence, outcome))
        error = max(error, grid.error)
        scales = grid.draw(chains * draws, rng)
        free |= {name: values.to_numpy() for name, values in scales.items()}
        free |= _draw_latents(outcome, scales, chains * draws, rng)
        exact |= grid_statistics(outcome, grid)
    posterior = _as_chains(free, chains, draws, model)
    stats = xr.Dataset(
        {
            "diverging": (SAMPLE, np.zeros((chains, draws), dtype=bool)),
            "integration_error": error,
        },
        coords={dim: posterior[dim] for dim in SAMPLE},
    )
    groups = {"posterior": posterior, "sample_stats": stats, "exact": xr.Dataset(exact)}
    return xr.DataTree.from_dict(groups)


@single_threaded_blas
def log_marginal_likelihood(spec: AnalysisSpec, design: xr.DataTree) -> float:
    """Integrate the likelihood of an analysis over all its priors."""
    return sum(
        scale_grid(_scales(outcome), partial(_log_evidence, outcome)).log_evidence
        for outcome in model_outcomes(spec, design)
    )


def _log_evidence(outcome: Outcome, scales: Mapping[str, xr.DataArray]) -> np.ndarray:
    return solve_regression(build_regression(outcome, scales)).log_evidence


def _draw_latents(
    outcome: Outcome, scales: Mapping[str, xr.DataArray], count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the normal variables, each draw at its own scales."""
    values, blocks = [], {}
    for batch in scale_batches(scales, count):
        regression = build_regression(outcome, batch)
        solved, blocks = solve_regression(regression), regression.latents.blocks
        size = next(iter(batch.values())).sizes[GRID_POINT] if batch else count
        z = rng.standard_normal((size, regression.latents.size))
        # With Q = LL', L'⁻¹ z has covariance Q⁻¹.
        deviation = np.linalg.solve(np.swapaxes(solved.root, -1, -2), z[..., None])[..., 0]
        values.append(solved.mean + deviation)
    drawn = np.concatenate(values)
    return {
        name: drawn[:, block.start : block.start + block.size].reshape(count, *block.shape)
        for name, block in blocks.items()
    }


def _as_chains(
    free: Mapping[str, np.ndarray], chains: int, draws: int, model: pm.Model
) -> xr.Dataset:
    """Split independent draws into chains, and add the deterministics of the graph."""
    coords = {CHAIN: np.arange(chains), DRAW: np.arange(draws)}
    variables = {}
    for name, values in free.items():
        dims = tuple(model.named_vars_to_dims.get(name) or ())
        variables[name] = ((*SAMPLE, *dims), values.reshape(chains, draws, *values.shape[1:]))
        coords |= {dim: list(model.coords[dim] or ()) for dim in dims}
    drawn = xr.Dataset(variables, coords=coords)
    with model:
        derived = pm.compute_deterministics(
            drawn, progressbar=False, merge_dataset=False, compile_kwargs={"mode": PY_MODE}
        )
    return xr.merge([drawn, derived]).drop_attrs()
