"""Errors that rows share because their people are the same: a crossover's arms, an arm's readings.

Each is one normal term, as `nmda_bayes.components.designs` writes it, so that every row keeps a
density of its own. Who is in all arms of a crossover trial is in all its readings too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.designs import WITHIN_ARM, WITHIN_PERSON, same_people
from nmda_bayes.components.likelihoods.catalogue import column
from nmda_bayes.design import SAME_ARM, WHOLE_ARM
from nmda_bayes.dims import ARM, STUDY
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.named_data import named_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import DesignsSpec, PriorSpec


@dataclass(frozen=True)
class _Shared:
    """Rows whose people are the same within a label, and how their errors go together."""

    correlation: str
    given: PriorSpec | float
    offset: str
    dim: str
    same: np.ndarray
    labels: np.ndarray


def shared_errors(
    outcome: Outcome, reported: xr.Dataset, dim: str, designs: DesignsSpec
) -> tuple[Any, Any] | None:
    """Split the errors of rows into what their people carry along and what is left.

    Parameters
    ----------
    outcome
        The outcome.
    reported
        The rows that report an arm's own numbers.
    dim
        Their dim in the graph.
    designs
        How crossover trials and repeated readings enter.

    Returns
    -------
    tuple or None
        The shift of each row, and the standard error that is left; None where no people are the
        same, or the spec takes them for others.
    """
    found = list(_shared(outcome, reported, designs))
    tied = _tied(outcome, ARM, reported, reported[ARM].to_numpy(), dim)
    if not found and tied is None:
        return None
    shift, left = 0.0, column(reported, "se", dim)
    for one in found:
        # No row is in two of them, so that what one leaves the next finds whole.
        moved, left = _split(one, outcome, left, dim, reported)
        shift = shift + moved
    if tied is not None:
        weight, both, rest = tied
        shift, left = shift + left * weight * both, left * rest
    return shift, left


def _tied(
    outcome: Outcome, of: str, reported: xr.Dataset, labels: np.ndarray, dim: str
) -> tuple[Any, Any, Any] | None:
    """What errors share with those of other outcomes, where the spec ties them."""
    if outcome.tie is None:
        return None
    rows = reported.drop_vars(ARM).assign(label=(ARM, labels))
    return outcome.tie.split(of, rows, dim)


def _shared(outcome: Outcome, reported: xr.Dataset, designs: DesignsSpec) -> Iterator[_Shared]:
    crossover, repeated = designs.crossover, designs.repeated
    people = reported["same_people"].to_numpy().astype(float)
    if (
        people.any()
        and crossover is not None
        and crossover.within_person_correlation is not None
        and outcome.label not in crossover.as_parallel
    ):
        yield _Shared(
            WITHIN_PERSON,
            crossover.within_person_correlation,
            "people",
            f"crossover_{STUDY}",
            people,
            reported[STUDY].to_numpy(),
        )
    if (
        SAME_ARM in reported
        and repeated is not None
        and repeated.within_arm_correlation is not None
        and outcome.label not in repeated.as_independent
    ):
        again = reported[SAME_ARM].to_numpy().astype(float) * (1.0 - people)
        if again.any():
            yield _Shared(
                WITHIN_ARM,
                repeated.within_arm_correlation,
                "same_arm",
                f"repeated_{WHOLE_ARM}",
                again,
                reported[WHOLE_ARM].to_numpy(),
            )


def _split(
    one: _Shared, outcome: Outcome, se: Any, dim: str, reported: xr.Dataset
) -> tuple[Any, Any]:
    labels = list(dict.fromkeys(one.labels[one.same == 1]))
    own = outcome.name(one.dim)
    pm.modelcontext(None).add_coords({own: labels})
    name = outcome.name(one.correlation)
    if isinstance(one.given, PriorSpec):
        rho = random_variable(name, one.given.dist, one.given.kwargs, ())
    else:
        rho = named_data(name, one.given)
    people = pmd.Normal(outcome.name(one.offset + OFFSET), mu=0, sigma=1, dims=(own,))
    first = [int(np.flatnonzero(one.labels == label)[0]) for label in labels]
    of = STUDY if one.correlation == WITHIN_PERSON else WHOLE_ARM
    tied = _tied(outcome, of, reported.isel({ARM: first}), np.array(labels, dtype=object), own)
    if tied is not None:
        # The people are those of the other outcome too: their own errors are correlated as well.
        weight, both, rest = tied
        people = weight * both + rest * people
    place = [labels.index(label) if label in labels else 0 for label in one.labels]
    return same_people(
        se,
        pmd.as_xtensor(one.same, dims=(dim,)),
        rho,
        people.isel({own: pmd.as_xtensor(np.asarray(place), dims=(dim,))}),
        xp,
    )
