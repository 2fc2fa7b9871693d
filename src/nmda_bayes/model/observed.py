"""What trials report of an outcome: their arms' numbers, a difference, or a count of responders.

Each form of report depends on the same linear predictor ``eta`` of the arms; a trial reports in one
form, so that nobody is counted twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.likelihoods.catalogue import column
from nmda_bayes.components.responders import (
    RESPONDER_SD,
    STARTING_LEVEL,
    observe_responders,
    probit,
)
from nmda_bayes.design import AS_ARM, AS_CONTRAST, AS_RESPONDERS, LEVEL, levels_of
from nmda_bayes.dims import ARM, CONTRAST
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.shared_errors import shared_errors
from nmda_bayes.named_data import named_data
from nmda_bayes.spec import DesignsSpec

#: The likelihood of contrasts that enter beside arms.
BESIDE_ARMS = LIKELIHOODS["normal_contrast"]


def observe(outcome: Outcome, eta: Any, of_arm: dict[str, Any], designs: DesignsSpec) -> None:
    """Add what an outcome's trials report to the model on the stack.

    Parameters
    ----------
    outcome
        The outcome.
    eta
        Linear predictor, dim arm.
    of_arm
        Parameters at each arm, by name.
    designs
        How crossover trials and repeated readings enter.
    """
    forms = set(outcome.reported["report"].to_numpy())
    if AS_ARM in forms:
        _arms(outcome, eta, of_arm, designs)
    if AS_RESPONDERS in forms:
        _responders(outcome, eta, of_arm)
    if AS_CONTRAST in forms:
        _contrasts(outcome, eta)


def _rows(outcome: Outcome, report: str, name: str) -> tuple[np.ndarray, str]:
    """Positions of the arms that report in one form, and their dim: their own where others do not.

    The dim of all arms serves where all report alike, so that an outcome of one form has one dim.
    """
    where = np.flatnonzero(outcome.reported["report"].to_numpy() == report)
    if len(where) == outcome.reported.sizes[ARM]:
        return where, outcome.arm
    dim = outcome.name(name)
    pm.modelcontext(None).add_coords({dim: list(outcome.reported[ARM].to_numpy()[where])})
    return where, dim


def _at(value: Any, outcome: Outcome, where: np.ndarray, dim: str) -> Any:
    """Take some arms of a value over all of them, under the dim of those arms."""
    if dim == outcome.arm or outcome.arm not in value.type.dims:
        return value
    return value.isel({outcome.arm: pmd.as_xtensor(where, dims=(dim,))})


def _arms(outcome: Outcome, eta: Any, of_arm: dict[str, Any], designs: DesignsSpec) -> None:
    where, dim = _rows(outcome, AS_ARM, "reporting_arm")
    likelihood = LIKELIHOODS[outcome.spec.likelihood]
    reported = outcome.reported.isel({ARM: where})
    eta = _at(eta, outcome, where, dim)
    fixed = outcome.spec.likelihood_options
    own = {
        name: named_data(outcome.name(f"likelihood.{name}"), fixed[name])
        if name in fixed
        else _at(of_arm[name], outcome, where, dim)
        for name in likelihood.parameters
    }
    name = outcome.name("reported")
    shared = shared_errors(outcome, reported, dim, designs) if likelihood.splits_error else None
    if shared is None:
        likelihood.observe(name, eta, reported, dim, **own)
    else:
        shift, left = shared
        likelihood.observe(name, eta + shift, reported, dim, left, **own)


def _responders(outcome: Outcome, eta: Any, of_arm: dict[str, Any]) -> None:
    where, dim = _rows(outcome, AS_RESPONDERS, "responder_arm")
    reported = outcome.reported.isel({ARM: where})
    start, sd = (_at(of_arm[n], outcome, where, dim) for n in (STARTING_LEVEL, RESPONDER_SD))
    eta, lower = _at(eta, outcome, where, dim), outcome.spec.better == "lower"
    before, easier = np.array([], dtype=int), None
    z_before = eta
    events: Any = column(reported, "n", dim).astype(int).values
    for level in range(1, levels_of(reported) + 1):
        count = "events" if level == 1 else LEVEL.format("events", level)
        here = np.flatnonzero(~np.isnan(reported[count].to_numpy().astype(float)))
        rows = dim
        if level > 1:
            # Those who passed the harder cut-off are some of those who passed the easier one.
            rows = outcome.name(LEVEL.format("responder_arm", level))
            pm.modelcontext(None).add_coords({rows: list(reported[ARM].to_numpy()[here])})
            easier = _of_rows(z_before, dim, here, rows)
            events = events[np.searchsorted(before, here)]
        z_before = probit(eta, start, sd, **_cutoff(reported, level, dim), lower=lower)
        z = _of_rows(z_before, dim, here, rows)
        name = "reported_responders"
        events = observe_responders(
            outcome.name(name if level == 1 else LEVEL.format(name, level)),
            z.transpose(rows).values,
            None if easier is None else easier.transpose(rows).values,
            n=events,
            events=column(reported.isel({ARM: here}), count, rows).astype(int).values,
            dim=rows,
        )
        before = here


def _of_rows(value: Any, dim: str, here: np.ndarray, rows: str) -> Any:
    """Take some rows of a value, under a dim of their own."""
    return value if rows == dim else value.isel({dim: pmd.as_xtensor(here, dims=(rows,))})


def _cutoff(reported: Any, level: int, dim: str) -> dict[str, Any]:
    """Give the cut-offs of one level; 0 for the arms without it, which nothing then reads."""
    names = {c: f"cutoff_{c}" if level == 1 else LEVEL.format(f"cutoff_{c}", level)
             for c in ("share", "points")}  # fmt: skip
    return {
        part: column(reported[[name]].astype(float).fillna(0.0), name, dim)
        for part, name in names.items()
    }


def _contrasts(outcome: Outcome, eta: Any) -> None:
    likelihood = LIKELIHOODS[outcome.spec.likelihood]
    alone = likelihood.contrasts
    rows = outcome.name(CONTRAST)
    pm.modelcontext(None).add_coords({rows: list(outcome.reported[CONTRAST].to_numpy())})
    name = outcome.name("reported" if alone else "reported_contrasts")
    made = likelihood if alone else BESIDE_ARMS
    if outcome.tie is None:
        made.observe(name, eta, outcome.reported, rows)
        return
    place = outcome.reported["arm_position"].to_numpy()
    at = outcome.reported.drop_dims(CONTRAST).isel({ARM: place}).drop_vars(ARM)
    labelled = at.assign(label=(ARM, outcome.reported[CONTRAST].to_numpy()))
    tie = outcome.tie.split(CONTRAST, labelled, rows)
    made.observe(name, eta, outcome.reported, rows, tie=tie)
