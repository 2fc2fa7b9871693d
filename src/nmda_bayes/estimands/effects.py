"""Effects trial by trial: as reported, as the model sees them, and in a trial not yet run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.components.links import CLOGLOG, LOG
from nmda_bayes.design import AS_ARM, AS_CONTRAST, AS_RESPONDERS, READING
from nmda_bayes.dims import AGENT, ARM, CHAIN, CONDITION, CONTRAST, DRAW, STRATUM
from nmda_bayes.estimands.covariates import at_trials
from nmda_bayes.estimands.reading import design_of, link_of, members, spec_of, variable
from nmda_bayes.spec.pooling_rules import HETEROGENEITY_SD, NU

ZERO_CELL = "a zero cell: no ratio without a correction"
RESPONDERS_ONLY = "responders only: no difference of means without the model"
NO_SD = "an arm without an SD: the model borrows it from the others"
#: The printed standard errors alone do not give that of a difference within people.
SAME_PEOPLE = "a crossover trial: its interval is drawn as if its arms held different people"


def study_effects(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Compare each active arm with its study's reference arm.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Dim arm, one for each comparison: ``raw`` and ``raw_se`` as the trial reports them (NaN with
        ``raw_note`` where that cannot be said), ``shrunk`` (chain, draw, arm) as the model sees the
        same trial, ``predicted`` (chain, draw, arm) for a new trial of that agent, condition and
        exposure. Differences are on the linear predictor's scale.
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    here, there = compared(design)
    eta = fit["posterior"][variable(spec, outcome, "eta")].transpose(CHAIN, DRAW, ...)
    eta = eta.rename({eta.dims[-1]: ARM})
    index = {"here": xr.DataArray(here, dims=ARM), "there": xr.DataArray(there, dims=ARM)}
    mean = expected_arms(fit, outcome)
    shrunk = _difference(eta, index)  # the study's baseline cancels
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    raw, raw_se, note = _raw(design, here, there, likelihood)
    labels = [f"{design['arm'].values[i]}" for i in here]
    if len(set(labels)) < len(labels):
        labels = [
            f"{design['arm'].values[i]} v {design['arm'].values[j]}"
            for i, j in zip(here, there, strict=True)
        ]
    columns = ("study", "agent", "condition", "exposure")
    found = xr.Dataset(
        {
            "raw": (ARM, raw),
            "raw_se": (ARM, raw_se),
            "raw_note": (ARM, np.array(note, dtype=object)),
            "shrunk": _unlabelled(shrunk),
            "predicted": _unlabelled(_difference(mean, index) + _new_arms(fit, outcome, here)),
        },
        coords={ARM: np.array(labels, dtype=object)}
        | {c: (ARM, design[c].values[here]) for c in columns}
        | {"comparator": (ARM, design["agent"].values[there])},
    )
    part, link = spec.outcomes[outcome], link_of(spec, outcome)
    found.attrs["link"] = link.name
    found.attrs["label"] = part.label or outcome
    found.attrs["scale"] = link.effect or part.unit or "difference"
    return found


def _unlabelled(array: xr.DataArray) -> xr.DataArray:
    """Drop the coordinates of the arms that were subtracted from each other."""
    return array.drop_vars([c for c in array.coords if c not in (CHAIN, DRAW)])


def compared(design: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Pair each active arm with the arm that it is compared with.

    Parameters
    ----------
    design
        An outcome's arms, and its contrasts where there are some, which come last.

    Returns
    -------
    tuple[numpy.ndarray, numpy.ndarray]
        Positions among the arms: of one side, and of the other.
    """
    exposure = design["exposure"].values
    # Readings of one study at several hours: like is compared with like.
    study = design[READING if READING in design else "study"].values
    own = design["report"].values != AS_CONTRAST
    here, there = [], []
    for name in dict.fromkeys(study[own]):
        arms = np.flatnonzero(own & (study == name))
        reference = arms[np.argmin(exposure[arms])]
        rest = [i for i in arms if i != reference]
        here += rest
        there += [reference] * len(rest)
    if CONTRAST in design.dims:
        here += design["arm_position"].values.tolist()
        there += design["comparator_position"].values.tolist()
    return np.array(here, dtype=int), np.array(there, dtype=int)


def _difference(values: xr.DataArray, index: dict[str, xr.DataArray]) -> xr.DataArray:
    here, there = (_unlabelled(values.isel({ARM: index[side]})) for side in ("here", "there"))
    return here - there


def expected_arms(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """Evaluate the curve at each arm's exposure, without the arm's own effect.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.DataArray
        Dims chain, draw, arm, on the linear predictor's scale.
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    curve, posterior = spec.outcomes[outcome].shape, fit["posterior"].to_dataset()
    exposure = design["exposure"].drop_vars(ARM)
    theta = at_trials(fit, outcome, _at_arms(fit, outcome, curve.parameters), design)
    some = xr.zeros_like(posterior[CHAIN] * posterior[DRAW], dtype=float)
    agents = design["agent"].drop_vars(ARM)
    response = curve.response(exposure, theta, np, members(agents))
    response = response * _share_at_arms(fit, outcome)
    return (response + some).transpose(CHAIN, DRAW, ARM)


def _at_arms(fit: xr.DataTree, outcome: str, names: Sequence[str]) -> dict[str, xr.DataArray]:
    """Read parameters at each arm, along whichever of agent and condition they have."""
    spec, design = spec_of(fit), design_of(fit, outcome)
    posterior = fit["posterior"].to_dataset()
    at = {}
    for dim, column in ((AGENT, "agent"), (CONDITION, "condition")):
        known = fit["design/labels"].to_dataset()[dim].to_numpy()
        place = {label: i for i, label in enumerate(known)}
        at[dim] = xr.DataArray([place.get(v, 0) for v in design[column].values], dims=ARM)
    theta = {}
    for name in names:
        value = posterior[variable(spec, outcome, name)]
        value = value.isel({dim: where for dim, where in at.items() if dim in value.dims})
        theta[name] = value.drop_vars([c for c in value.coords if c not in (CHAIN, DRAW)])
    return theta


def _share_at_arms(fit: xr.DataTree, outcome: str) -> Any:
    """How much of its effect there is at each row's hour; 1 without a time course."""
    course, design = spec_of(fit).outcomes[outcome].over_time, design_of(fit, outcome)
    clocks = {clock: design[clock].drop_vars(ARM) for clock in course.clocks}
    return course.share(clocks, _at_arms(fit, outcome, course.parameters), np)


def _new_arms(fit: xr.DataTree, outcome: str, here: np.ndarray) -> xr.DataArray:
    """Effects of two new arms, subtracted: what a trial like each arm's adds to the curve."""
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    heterogeneity = HETEROGENEITIES[spec.outcomes[outcome].heterogeneity]
    if heterogeneity.formula is None:
        return xr.DataArray(0.0)
    parameters = {n: posterior[variable(spec, outcome, n)] for n in heterogeneity.parameters}
    stratum = variable(spec, outcome, STRATUM)
    if stratum in posterior.dims:
        of_arms = xr.DataArray(design_of(fit, outcome)[STRATUM].values[here], dims=ARM)
        parameters = {n: value.sel({stratum: of_arms}) for n, value in parameters.items()}
        parameters = {n: _unlabelled(value) for n, value in parameters.items()}
    rng = np.random.default_rng(spec.sampling.seed)
    shape = (posterior.sizes[CHAIN], posterior.sizes[DRAW], len(here))
    # Each arm's own effect, and where trials are nested its treatment's in a new cluster.
    own = "ab" if not heterogeneity.nested else "abcd"
    offsets = [xr.DataArray(rng.standard_normal(shape), dims=(CHAIN, DRAW, ARM)) for _ in own]
    if heterogeneity.of_offsets:
        ratio, share = (parameters.pop(name) for name in heterogeneity.of_offsets)
        # One kind for both arms: they are of one study.
        outlying = xr.DataArray(rng.random(shape), dims=(CHAIN, DRAW, ARM)) < share
        offsets = [offset * (1.0 + outlying * (ratio - 1.0)) for offset in offsets]
    tails: list[Any] = []
    if heterogeneity.fades:
        share = _share_at_arms(fit, outcome)
        tails = [share.isel({ARM: here}) if isinstance(share, xr.DataArray) else share]
    if heterogeneity.heavy:
        declared = spec.outcomes[outcome].parameters[HETEROGENEITY_SD].nu
        nu = declared or posterior[variable(spec, outcome, f"{HETEROGENEITY_SD}_{NU}")]
        wide = (xr.zeros_like(offsets[0]) + nu).transpose(CHAIN, DRAW, ARM)
        # One divisor for both arms: they are of one study.
        drawn = xr.zeros_like(wide) + rng.gamma(wide.to_numpy() / 2)
        tails = [(drawn * 2 / wide) ** 0.5]
    one, other = (heterogeneity.formula(*offsets[side::2], *tails, **parameters) for side in (0, 1))
    return one - other


def _raw(
    design: xr.Dataset, here: np.ndarray, there: np.ndarray, likelihood: Likelihood
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Each comparison as reported: an estimate and its standard error."""
    report = design["report"].values[here]
    raw, se = np.full(len(here), np.nan), np.full(len(here), np.nan)
    note = np.where(report == AS_RESPONDERS, RESPONDERS_ONLY, "").astype(object)
    arms = np.flatnonzero(report == AS_ARM)
    if len(arms) and likelihood.counts:
        raw[arms], se[arms] = _log_ratios(design, here[arms], there[arms], likelihood)
        note[arms] = np.where(np.isnan(raw[arms]), ZERO_CELL, "")
    elif len(arms):
        mean, error = design["mean"].values, design["se"].values
        raw[arms] = mean[here[arms]] - mean[there[arms]]
        se[arms] = np.hypot(error[here[arms]], error[there[arms]])
        note[arms[np.isnan(se[arms])]] = NO_SD
        raw[arms[np.isnan(se[arms])]] = np.nan
        paired = design["same_people"].values[here[arms]] == 1
        note[arms[paired]] = SAME_PEOPLE
    contrasts = np.flatnonzero(report == AS_CONTRAST)
    if len(contrasts):
        raw[contrasts], se[contrasts] = design["estimate"].values, design["estimate_se"].values
    return raw, se, note.tolist()


def _log_ratios(
    design: xr.Dataset, here: np.ndarray, there: np.ndarray, likelihood: Likelihood
) -> tuple[np.ndarray, np.ndarray]:
    """Log ratios of counts on the likelihood's own scale, NaN where a cell is empty."""
    events = design["events"].values.astype(float)
    known = [design[name].values.astype(float) for name in likelihood.columns[1:]]
    with np.errstate(divide="ignore", invalid="ignore"):
        if likelihood.link is LOG:
            level, variance = np.log(events / known[0]), 1 / events
        else:
            n = known[0]
            level, variance = np.log(events) - np.log(n - events), 1 / events + 1 / (n - events)
            if likelihood.link is CLOGLOG:
                alive = 1 - events / n
                level = np.log(-np.log(alive)) - np.log(known[1])
                variance = events / n / (n * alive * np.log(alive) ** 2)  # delta method
        whole = np.isfinite(level[here] + level[there] + variance[here] + variance[there])
        raw = np.where(whole, level[here] - level[there], np.nan)
        return raw, np.where(whole, np.sqrt(variance[here] + variance[there]), np.nan)
