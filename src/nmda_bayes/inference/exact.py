"""Inference without a Markov chain, where the model allows it: normal errors, linear curves.

Given its scales an outcome is a regression with normal priors: baselines, effects of agents and
arms integrate out in closed form,

    log p(y | scales) = -1/2 (n log 2 pi + log|V| - log|P| + log|Q| + y'V⁻¹y + m'Pm - b'Qb),
    Q = P + X'V⁻¹X,   b = Q⁻¹ (Pm + X'V⁻¹y),

with X the design, V the sampling covariance, m and P the prior mean and precision of what is
normal. What is left, one or two scales, is summed over a grid on the log scale, where the
trapezoidal rule converges exponentially (Trefethen and Weideman 2014). Draws for everything that
reads draws come from that posterior directly: a scale by its quantiles, the rest from its normal.
The variables, their names and dims, are those of the graph.
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
from nmda_bayes.components.pooling import POOLINGS, SPREADS
from nmda_bayes.design import AS_RESPONDERS, WHOLE_ARM, covariates_of
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.inference.affine import linear
from nmda_bayes.inference.bias_reasons import bias_reasons
from nmda_bayes.inference.latents import POINT
from nmda_bayes.inference.moments import statistics
from nmda_bayes.inference.regression import solve
from nmda_bayes.inference.scales import Scale, parts, scale_grid
from nmda_bayes.inference.threads import on_one_thread
from nmda_bayes.model import CHEAP, Outcome, Sites, linear_terms, outcomes_of, parameters_of
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.pooling_rules import CLUSTER_SD, TRIAL_SDS
from nmda_bayes.spec.prior import PriorSpec
from nmda_bayes.spec.rules import natural

#: More scales than these are summed too slowly: 60 points each, and a regression at every one.
SCALES_AT_MOST = 2


def reasons_against(spec: AnalysisSpec, design: xr.DataTree) -> list[str]:
    """Say why an analysis cannot be integrated exactly.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    list[str]
        One reason a part; empty where it can.
    """
    found = []
    if spec.correlations.heterogeneity is not None:
        found.append("outcomes are correlated")
    if spec.correlations.errors is not None:
        found.append("errors are correlated between outcomes")
    if spec.correlations.agent is not None:
        found.append("effects of agents are correlated")
    for outcome in outcomes_of(spec, design):
        found += [f"{outcome.label}: {reason}" for reason in _reasons(outcome, spec)]
    return found


def _reasons(outcome: Outcome, spec: AnalysisSpec) -> Iterator[str]:
    part = outcome.spec
    if part.likelihood not in ("normal", "normal_contrast"):
        yield f"likelihood '{part.likelihood}' is not normal"
    forms = set(outcome.reported["report"].to_numpy())
    if AS_RESPONDERS in forms:
        yield "responders are counted"
    if outcome.kinetics is not None and EXPOSURES[part.exposure].of:
        yield "kinetic parameters have priors"
    if len(forms) > 1:
        yield "trials report in several forms"
    crossover = spec.designs.crossover
    same = bool((outcome.reported["same_people"].to_numpy().astype(float) == 1).any())
    if same and crossover is not None and outcome.label not in crossover.as_parallel:
        yield "the within-person correlation of crossover trials is not known"
    yield from _uneven(outcome)
    yield from bias_reasons(part.bias)
    names = [scale.name for scale in _scales(outcome)]
    if len(names) > SCALES_AT_MOST:
        yield f"{len(names)} scales to sum over ({', '.join(names)}), at most {SCALES_AT_MOST}"
    for name, dist in _not_normal(outcome):
        yield f"the prior of {name} is {dist}, not Normal"
    if not _is_linear(outcome):
        curves = ", ".join(f"'{curve.name}'" for curve, _ in part.shape.groups)
        yield f"curve {curves} is not linear in its parameters"


def _uneven(outcome: Outcome) -> Iterator[str]:
    """Say what is not one normal of one spread."""
    if outcome.spec.over_time.parameters:
        yield f"the course '{outcome.spec.course}' is not linear in what it learns"
    if WHOLE_ARM in outcome.reported:
        yield "arms are read at several hours"
    if HETEROGENEITIES[outcome.spec.heterogeneity].heavy:
        yield "effects of arms have the tails of a t distribution"
    if HETEROGENEITIES[outcome.spec.heterogeneity].of_offsets:
        yield "effects of arms are of trials of two kinds"
    for name, parameter in outcome.spec.parameters.items():
        if POOLINGS[parameter.pooling].heavy:
            yield f"'{name}' has the tails of a t distribution between agents"
        if parameter.covariates and name in _bent_parameters(outcome):
            on = ", ".join(parameter.covariates)
            yield f"'{name}', which the curve is not linear in, is regressed on {on}"
        if parameter.by and name != CLUSTER_SD:
            yield f"'{name}' differs by {parameter.by}"


def _scales(outcome: Outcome) -> list[Scale]:
    """What is summed over: spreads, the heterogeneity, and what the curve is not linear in."""
    found = []
    for name in parameters_of(outcome):
        given = name if name in outcome.spec.parameters else natural(name)
        parameter = outcome.spec.parameters[given]
        sites = Sites(outcome, given, parameter)
        for slot, prior in parameter.priors.items():
            if slot == "each":
                continue
            spread = slot.startswith(SPREADS)
            bent = slot == "location" and (name in TRIAL_SDS or name in _bent_parameters(outcome))
            if spread or bent:
                positive = spread or name in TRIAL_SDS or given != name
                found.append(Scale(sites.slot_name(slot), prior.dist, prior.kwargs, positive))
    return found


def _bent_parameters(outcome: Outcome) -> set[str]:
    """Name the parameters that a curve is not linear in, tried at a point."""
    return {name for curve, _ in outcome.spec.shape.groups for name in _bent_of(curve)}


def _bent_of(curve: Curve) -> set[str]:
    rng = np.random.default_rng(1)
    x = xr.DataArray(np.array([0.3, 1.0, 4.0]), dims="dose")
    at = {p: float(v) for p, v in zip(curve.parameters, rng.normal(size=20), strict=False)}
    bent = set()
    for name in curve.parameters:
        values = [curve.response(x, at | {name: at[name] + step}, np) for step in (-1.0, 0.0, 1.0)]
        flat = np.abs(values[0] - 2 * values[1] + values[2]).max()
        scale = max(float(np.abs(value).max()) for value in values)
        if flat > 1e-9 * max(scale, 1.0):
            bent.add(name)
    return bent


def _is_linear(outcome: Outcome) -> bool:
    """Say whether curves are linear in all that is not summed over, and that alone is common."""
    bent = _bent_parameters(outcome)
    for name in bent:
        given = name if name in outcome.spec.parameters else natural(name)
        if POOLINGS[outcome.spec.parameters[given].pooling].dims:
            return False
    return all(_is_straight(curve, bent) for curve, _ in outcome.spec.shape.groups)


def _is_straight(curve: Curve, bent: set[str]) -> bool:
    """Say whether a curve is linear in all its parameters but some."""
    straight = [p for p in curve.parameters if p not in bent]
    rng = np.random.default_rng(2)
    x = xr.DataArray(np.array([0.3, 1.0, 4.0]), dims="dose")
    fixed = {p: float(rng.normal()) for p in bent}
    one, other = (dict(zip(straight, rng.normal(size=20), strict=False)) for _ in "ab")
    both = {p: one[p] + other[p] for p in straight}
    parts = [curve.response(x, fixed | values, np) for values in (one, other, both)]
    return bool(np.allclose(parts[0] + parts[1], parts[2], rtol=1e-9, atol=1e-9))


def _not_normal(outcome: Outcome) -> Iterator[tuple[str, str]]:
    scales = {scale.name for scale in _scales(outcome)}
    for name in parameters_of(outcome):
        given = name if name in outcome.spec.parameters else natural(name)
        sites = Sites(outcome, given, outcome.spec.parameters[given])
        for slot, prior in sites.spec.priors.items():
            in_graph = sites.slot_name(slot)
            if in_graph in scales:
                continue
            if not _is_normal(prior):
                yield in_graph, prior.dist
    for column, (_, _, covariate) in covariates_of(outcome.spec).items():
        if not _is_normal(covariate.prior):
            yield outcome.name(column), covariate.prior.dist
    for term in linear_terms(outcome):
        if not _is_normal(term.prior):
            yield outcome.name(term.name), term.prior.dist


def _is_normal(prior: PriorSpec) -> bool:
    return prior.dist == "Normal" and set(prior.kwargs) == {"mu", "sigma"}


@on_one_thread
def integrate(spec: AnalysisSpec, design: xr.DataTree, model: pm.Model) -> xr.DataTree:
    """Integrate the posterior of an analysis, and draw from it.

    Parameters
    ----------
    spec
        The analysis; `reasons_against` has none.
    design
        As `nmda_bayes.design.build_design` gives it.
    model
        The graph, whose deterministic variables are worked out for the draws.

    Returns
    -------
    xr.DataTree
        Groups ``posterior`` (independent draws, dealt to the spec's chains), ``sample_stats``
        (``integration_error``: how much the log evidence changes when every second point of the
        grid is left out; ``diverging``, which nothing can here) and ``exact`` (`STATISTIC` of each
        scale and parameter, without draws).
    """
    settings = spec.sampling
    rng = np.random.default_rng(settings.seed)
    free: dict[str, np.ndarray] = {}
    exact: dict[str, xr.DataArray] = {}
    error = 0.0
    for outcome in outcomes_of(spec, design):
        grid = scale_grid(_scales(outcome), partial(_log_evidence_of, outcome))
        error = max(error, grid.error)
        drawn = grid.draw(settings.chains * settings.draws, rng)
        free |= {name: values.to_numpy() for name, values in drawn.items()}
        free |= _draws(outcome, drawn, settings.chains * settings.draws, rng)
        exact |= statistics(outcome, grid)
    posterior = _dealt(free, spec, model)
    stats = xr.Dataset(
        {
            "diverging": (SAMPLE, np.zeros((settings.chains, settings.draws), dtype=bool)),
            "integration_error": error,
        },
        coords={dim: posterior[dim] for dim in SAMPLE},
    )
    groups = {"posterior": posterior, "sample_stats": stats, "exact": xr.Dataset(exact)}
    return xr.DataTree.from_dict(groups)


@on_one_thread
def log_evidence(spec: AnalysisSpec, design: xr.DataTree) -> float:
    """Integrate the likelihood of an analysis over all its priors.

    Parameters
    ----------
    spec
        The analysis; `reasons_against` has none.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    float
        Its logarithm; outcomes are independent here, so that theirs add up.
    """
    return sum(
        scale_grid(_scales(outcome), partial(_log_evidence_of, outcome)).log_evidence
        for outcome in outcomes_of(spec, design)
    )


def _log_evidence_of(outcome: Outcome, scales: Mapping[str, xr.DataArray]) -> np.ndarray:
    return solve(linear(outcome, scales)).log_evidence


def _draws(
    outcome: Outcome, scales: Mapping[str, xr.DataArray], count: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the normal variables, each draw at its own scales."""
    values, blocks = [], {}
    for some in parts(scales, count):
        regression = linear(outcome, some)
        solved, blocks = solve(regression), regression.latents.blocks
        size = count if not scales else next(iter(some.values())).sizes[POINT]
        z = rng.standard_normal((size, regression.latents.size))
        # Q = LL', so that L'⁻¹ z has covariance Q⁻¹.
        moved = np.linalg.solve(np.swapaxes(solved.root, -1, -2), z[..., None])[..., 0]
        values.append(solved.mean + moved)
    drawn = np.concatenate(values)
    return {
        name: drawn[:, block.start : block.start + block.size].reshape(count, *block.shape)
        for name, block in blocks.items()
    }


def _dealt(free: Mapping[str, np.ndarray], spec: AnalysisSpec, model: pm.Model) -> xr.Dataset:
    """Deal independent draws to chains, and work out what the graph derives from them."""
    chains, draws = spec.sampling.chains, spec.sampling.draws
    coords = {CHAIN: np.arange(chains), DRAW: np.arange(draws)}
    variables = {}
    for name, values in free.items():
        dims = tuple(model.named_vars_to_dims.get(name) or ())
        shape = (chains, draws, *values.shape[1:])
        variables[name] = ((*SAMPLE, *dims), values.reshape(shape))
        coords |= {dim: list(model.coords[dim] or ()) for dim in dims}
    drawn = xr.Dataset(variables, coords=coords)
    with model:
        derived = pm.compute_deterministics(
            drawn, progressbar=False, merge_dataset=False, compile_kwargs=CHEAP
        )
    return xr.merge([drawn, derived]).drop_attrs()
