"""One outcome of the analysis, and its names and dims in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc.dims as pmd
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.design import (
    AS_CONTRAST,
    AS_RESPONDERS,
    READING,
    WHOLE_ARM,
    cluster_arms,
    of_agents,
)
from nmda_bayes.dims import AGENT, ARM, CLUSTER_ARM, STRATUM, STUDY, scoped
from nmda_bayes.named_data import named_data
from nmda_bayes.spec import CovariateSpec, OutcomeSpec

if TYPE_CHECKING:
    from nmda_bayes.model.error_ties import ErrorTie
    from nmda_bayes.model.kinetic_parameters import KineticParameters


@dataclass(frozen=True)
class Outcome:
    """One outcome of the analysis.

    Attributes
    ----------
    label
        Its name in the spec.
    spec
        What the spec says of it.
    alone
        True where the spec has no other outcome.
    labels
        Agents and conditions of the analysis.
    reported
        Its design: dim arm, and dim contrast where there are contrasts.
    tie
        What ties its errors to those of other outcomes, where the spec says so.
    kinetics
        The parameters of pharmacokinetic models, where they have priors.
    """

    label: str
    spec: OutcomeSpec
    alone: bool
    labels: xr.Dataset
    reported: xr.Dataset
    tie: ErrorTie | None = None
    kinetics: KineticParameters | None = None

    def name(self, name: str) -> str:
        """Name a variable or dim of this outcome.

        Parameters
        ----------
        name
            Its own name.

        Returns
        -------
        str
            With the outcome's prefix where there are several.
        """
        return scoped(self.label, name, alone=self.alone)

    @property
    def arm(self) -> str:
        """The dim of its arms."""
        return self.name(ARM)

    @property
    def study(self) -> str:
        """The dim of what has a baseline: studies, or studies at an hour."""
        return self.name(READING if READING in self.reported else STUDY)

    @property
    def responder_study(self) -> str:
        """The dim of the studies that count responders."""
        return self.name(f"responder_{STUDY}")

    @property
    def every_study(self) -> str:
        """The dim of all studies, whatever they report."""
        return self.name(f"heterogeneity_{STUDY}")

    @property
    def whole_arm(self) -> str:
        """The dim of the arms themselves, where a row is one of several readings of an arm."""
        return self.name(WHOLE_ARM)

    @property
    def studies(self) -> dict[str, np.ndarray]:
        """The studies of each dim that has them: those with a baseline, those with responders."""
        study, report = self.reported[STUDY].to_numpy(), self.reported["report"].to_numpy()
        # A study's baseline cancels in its contrasts; alone among contrasts, no dim asks for it.
        level = self.reported[self.column_of(self.study)].to_numpy()
        with_baseline = level[report != AS_CONTRAST]
        found = {self.study: _once(with_baseline if len(with_baseline) else level)}
        if AS_RESPONDERS in report:
            found[self.responder_study] = _once(study[report == AS_RESPONDERS])
        if HETEROGENEITIES[self.spec.heterogeneity].heavy:
            found[self.every_study] = _once(study)
        return found

    def column_of(self, dim: str) -> str:
        """Name the column that says where each row stands along a dim of studies.

        Parameters
        ----------
        dim
            One of `studies`.

        Returns
        -------
        str
            The study's, or that of its readings.
        """
        return READING if dim == self.study != self.name(STUDY) else STUDY

    @property
    def class_of(self) -> np.ndarray:
        """The class of each agent; empty where the spec has no classes."""
        known = self.labels.get("class_of_agent")
        return np.array([], dtype=object) if known is None else known.to_numpy()

    @property
    def classes(self) -> list[str]:
        """The classes of agents, in the order of the alphabet."""
        return sorted(set(self.class_of))

    @property
    def stratum(self) -> str:
        """The dim of the strata of its heterogeneity."""
        return self.name(STRATUM)

    @property
    def strata(self) -> list[str]:
        """The strata that its trials are in; empty where the spec names no column of them."""
        return sorted(set(self.reported[STRATUM].to_numpy())) if STRATUM in self.reported else []

    @property
    def cluster_arm(self) -> str:
        """The dim of the treatments of each cluster."""
        return self.name(CLUSTER_ARM)

    @property
    def cluster_arms(self) -> np.ndarray:
        """The treatment of each arm in its cluster."""
        return cluster_arms(self.reported)

    @property
    def has_baseline(self) -> np.ndarray:
        """1 for each arm whose study has a baseline, 0 where a contrast is all that it reports."""
        return (self.reported["report"].to_numpy() != AS_CONTRAST).astype(float)

    def moved(self, column: str, covariate: CovariateSpec) -> np.ndarray:
        """Give a covariate of the arms, counted from its centre in its unit.

        Parameters
        ----------
        column
            Its column in the design.
        covariate
            What the spec says of it.

        Returns
        -------
        np.ndarray
            One an arm.
        """
        x = self.reported[column].to_numpy().astype(float)
        return (x - covariate.origin) / covariate.step

    def members(self, agents: Sequence[str]) -> Any:
        """Say which arms are of some agents.

        Parameters
        ----------
        agents
            Their labels; what a comparison sets apart from an agent is of that agent.

        Returns
        -------
        Any
            Dim arm: 1 there, 0 elsewhere.
        """
        return self.over_arms(of_agents(self.reported[AGENT].to_numpy(), agents))

    def over_arms(self, values: Any, column: str = "") -> Any:
        """Label values of the arms.

        Parameters
        ----------
        values
            One an arm.
        column
            What they are called among the graph's data; without it they are of its structure, and
            a compiled graph does not take others.

        Returns
        -------
        Any
            Dim arm.
        """
        if column:
            return named_data(f"{self.arm}.{column}", values, (self.arm,))
        return pmd.as_xtensor(np.asarray(values), dims=(self.arm,))

    def positions(self, column: str, coordinates: np.ndarray) -> Any:
        """Say where each arm's label stands among the coordinates of a dim.

        Parameters
        ----------
        column
            The column of the labels.
        coordinates
            The dim's own.

        Returns
        -------
        Any
            Dim arm; 0 for a label that is not there, such as the reference agent, whose exposure
            of 0 then gives it no effect.
        """
        place = {label: i for i, label in enumerate(coordinates)}
        return self.over_arms([place.get(v, 0) for v in self.reported[column].to_numpy()])


def _once(labels: np.ndarray) -> np.ndarray:
    return np.array(list(dict.fromkeys(labels)), dtype=object)
