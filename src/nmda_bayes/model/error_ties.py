"""Errors of one arm, or one contrast, that go together between outcomes: of the same people.

Pain and mood of an arm are measured in the same people, so that their sampling errors are
correlated. With a correlation r between the errors of two outcomes,

    mean = eta + se · (±√|r| · w[arm] + √(1 − |r|) · e[arm]),   w ~ Normal(0, 1), of both outcomes,

the minus for the second one where r is negative; every mean keeps its variance, and those of one
arm the covariance r · se · se'. Contrasts that share an arm have se · e replaced by L e, L being
the root of their covariance, w likewise. (Riley 2009; Berkey et al. 1998.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.likelihoods.catalogue import column
from nmda_bayes.design import AS_ARM, ERROR_CORRELATION, OUTCOMES, WHOLE_ARM
from nmda_bayes.dims import ARM, CONTRAST, STUDY
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.named_data import named_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import AnalysisSpec, ErrorCorrelation


@dataclass(frozen=True)
class ErrorTie:
    """What ties the errors of one outcome to those of others.

    Attributes
    ----------
    given
        The correlation, as the spec has it.
    turned
        True for the outcome whose errors go the other way where the correlation is negative.
    labels
        Labels that another outcome has too, by what they are of.
    """

    given: ErrorCorrelation
    turned: bool
    labels: dict[str, tuple[str, ...]]

    def split(self, of: str, rows: xr.Dataset, dim: str) -> tuple[Any, Any, Any] | None:
        """Split standard normal errors into what the outcomes share and what is left.

        Parameters
        ----------
        of
            What the rows are: ``arm``, ``contrast``, or the ``study`` of people in all its arms.
        rows
            ``label``, and the correlation where it is a column; one row an error.
        dim
            The rows' dim in the graph.

        Returns
        -------
        tuple or None
            Weight of what is shared, the shared errors, and the weight of the rest, over ``dim``;
            None where no row is tied.
        """
        known = self.labels.get(of, ())
        mine = rows["label"].to_numpy()
        held = np.isin(mine, known).astype(float)
        if not held.any():
            return None
        place = {label: i for i, label in enumerate(known)}
        at = pmd.as_xtensor(np.array([place.get(label, 0) for label in mine]), dims=(dim,))
        same = pmd.as_xtensor(held, dims=(dim,))
        rho = self._correlation(rows, dim)
        sign = xp.sign(rho) if self.turned else 1.0
        shared = self._shared(of, known).isel({f"error_{of}": at})
        size = xp.abs(rho)
        return same * sign * xp.sqrt(size), shared, xp.sqrt(1.0 - same * size)

    def _correlation(self, rows: xr.Dataset, dim: str) -> Any:
        if self.given.column:
            return column(rows, ERROR_CORRELATION, dim)
        if self.given.prior is None:
            return named_data(ERROR_CORRELATION, self.given.correlation)
        made = pm.modelcontext(None).named_vars.get(ERROR_CORRELATION)
        prior = self.given.prior
        return (
            random_variable(ERROR_CORRELATION, prior.dist, prior.kwargs) if made is None else made
        )

    def _shared(self, of: str, labels: tuple[str, ...]) -> Any:
        """Make the errors that outcomes share, once for all of them."""
        model, name = pm.modelcontext(None), f"error_{of}{OFFSET}"
        if name in model.named_vars:
            return model.named_vars[name]
        model.add_coords({f"error_{of}": labels})
        return pmd.Normal(name, mu=0, sigma=1, dims=(f"error_{of}",))


def error_ties(spec: AnalysisSpec, design: xr.DataTree) -> dict[str, ErrorTie]:
    """Find what ties the errors of outcomes to each other.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    dict[str, ErrorTie]
        By outcome; empty where the spec correlates no errors.
    """
    given = spec.correlations.errors
    if given is None:
        return {}
    reported = [design[f"{OUTCOMES}/{name}"].to_dataset() for name in given.of]
    tied = {kind: tuple(_common(reported, kind)) for kind in (ARM, WHOLE_ARM, STUDY)}
    tied[CONTRAST] = tuple(_contrasts(reported))
    return {name: ErrorTie(given, place > 0, tied) for place, name in enumerate(given.of)}


def _common(reported: list[xr.Dataset], kind: str) -> list[str]:
    """Labels of arms that report their own numbers in two outcomes or more."""
    times: Counter[str] = Counter()
    for one in reported:
        own = one.isel({ARM: np.flatnonzero(one["report"].to_numpy() == AS_ARM)})
        times.update(list(dict.fromkeys(own[kind].to_numpy().tolist() if kind in own else ())))
    return [label for label, count in times.items() if count > 1]


def _contrasts(reported: list[xr.Dataset]) -> list[str]:
    """Contrasts of the trials that print some of two outcomes or more.

    A trial's contrasts hang together by the arms that they share: all of them are tied, or none.
    """
    trials = [
        dict(
            zip(
                one[CONTRAST].to_numpy().tolist(),
                one[STUDY].to_numpy()[one["arm_position"].to_numpy()].tolist(),
                strict=True,
            )
        )
        for one in reported
        if CONTRAST in one.dims
    ]
    times = Counter(study for one in trials for study in set(one.values()))
    return list(dict.fromkeys(c for one in trials for c, study in one.items() if times[study] > 1))
