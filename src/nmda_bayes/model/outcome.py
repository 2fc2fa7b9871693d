"""One outcome of an analysis, with its names and dims in the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc.dims as pmd
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import (
    CONTRAST_REPORT,
    PARENT_ARM,
    READING,
    RESPONDER_REPORT,
    WEIGHT,
    agent_mask,
    cluster_arm_labels,
)
from nmda_bayes.dims import (
    AGENT,
    ARM,
    CLUSTER_ARM,
    CONTRAST,
    STRATUM,
    STUDY,
    positions_in,
    scoped_name,
    study_of,
)
from nmda_bayes.graph_data import add_study_dim, shared_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import CovariateSpec, OutcomeSpec, PriorSpec

if TYPE_CHECKING:
    from nmda_bayes.model.exposure import PKParameters
    from nmda_bayes.model.observed import CorrelatedError


@dataclass(frozen=True)
class Outcome:
    """One outcome: its spec, and the rows that its trials report."""

    label: str
    spec: OutcomeSpec
    single_outcome: bool
    labels: xr.Dataset
    reported: xr.Dataset
    correlated_error: CorrelatedError | None = None
    pk_parameters: PKParameters | None = None

    def name(self, name: str) -> str:
        """Name a variable or dim of this outcome."""
        return scoped_name(self.label, name, single_outcome=self.single_outcome)

    @property
    def arm(self) -> str:
        """The dim of its arms."""
        return self.name(ARM)

    @property
    def parent_arm(self) -> str:
        """The dim of arms, where each row is one of several results of an arm."""
        return self.name(PARENT_ARM)

    @property
    def cluster_arm(self) -> str:
        """The dim of the treatments in each cluster."""
        return self.name(CLUSTER_ARM)

    @property
    def stratum(self) -> str:
        """The dim of the strata of its heterogeneity."""
        return self.name(STRATUM)

    @property
    def study(self) -> str:
        """The dim of baselines: studies, or studies at an hour."""
        return self.name(READING if READING in self.reported else STUDY)

    @property
    def responder_study(self) -> str:
        """The dim of the studies that report responders."""
        return self.name(f"responder_{STUDY}")

    @property
    def heterogeneity_study(self) -> str:
        """The dim of all studies, whatever they report."""
        return self.name(f"heterogeneity_{STUDY}")

    @property
    def studies(self) -> dict[str, np.ndarray]:
        """Labels of each dim of studies that the outcome needs."""
        study, report = self.reported[STUDY].to_numpy(), self.reported["report"].to_numpy()
        # Baselines cancel in contrasts; if all studies report contrasts, no parameter has this dim.
        labels = self.reported[self.column_of(self.study)].to_numpy()
        with_baseline = labels[report != CONTRAST_REPORT]
        studies = {self.study: _unique(with_baseline if len(with_baseline) else labels)}
        if RESPONDER_REPORT in report:
            studies[self.responder_study] = _unique(study[report == RESPONDER_REPORT])
        if HETEROGENEITIES[self.spec.heterogeneity].heavy_tailed:
            studies[self.heterogeneity_study] = _unique(study)
        return studies

    def column_of(self, dim: str) -> str:
        """Name the column with the labels of a dim of studies."""
        return READING if dim == self.study != self.name(STUDY) else STUDY

    @property
    def class_of(self) -> np.ndarray:
        """The class of each agent; empty where the spec has no classes."""
        classes = self.labels.get("class_of_agent")
        return np.array([], dtype=object) if classes is None else classes.to_numpy()

    @property
    def classes(self) -> list[str]:
        """The classes of agents, sorted."""
        return sorted(set(self.class_of))

    @property
    def strata(self) -> list[str]:
        """The strata of its trials, sorted; empty where the spec has no strata."""
        return sorted(set(self.reported[STRATUM].to_numpy())) if STRATUM in self.reported else []

    @property
    def cluster_arms(self) -> np.ndarray:
        """The treatment of each arm in its cluster."""
        return cluster_arm_labels(self.reported)

    @property
    def has_baseline(self) -> np.ndarray:
        """1 for each arm whose study has a baseline, 0 where it reports contrasts only."""
        return (self.reported["report"].to_numpy() != CONTRAST_REPORT).astype(float)

    @property
    def centres_arms(self) -> bool:
        """Whether its baselines are means of the arms of a study."""
        likelihood = LIKELIHOODS[self.spec.likelihood]
        return likelihood.has_baseline and self.spec.baseline_is_mean

    @property
    def mean_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The arms whose mean is each arm's baseline, and the share of each, dims arm and slot.

        Arms of one study at one hour; those with weight 0 have no share, and in studies that report
        contrasts only none has.
        """
        together = self._rows_together(self.has_baseline > 0)
        weight = np.ones(len(self.has_baseline))
        if WEIGHT in self.reported:
            weight = self.reported[WEIGHT].to_numpy().astype(float)
        slots = max(map(len, together), default=1)
        positions = np.zeros((len(weight), slots), dtype=int)
        shares = np.zeros((len(weight), slots))
        for rows in together:
            # Of a study without any weight the mean does not matter.
            counted = weight[rows] > 0 if (weight[rows] > 0).any() else np.ones(len(rows), bool)
            positions[rows, : len(rows)] = rows
            shares[rows, : len(rows)] = counted / counted.sum()
        return positions, shares

    @property
    def course_shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The arms whose mean time course each arm follows, and the share of each.

        Its own; the reference has none, and follows the other arms of its study at that hour.
        """
        agents = self.reported[AGENT].to_numpy()
        has_course = positions_in(self.labels[AGENT].to_numpy(), agents) >= 0
        followed = [[i] for i in range(len(agents))]
        for rows in self._rows_together(np.ones(len(agents), bool)):
            others = [i for i in rows if has_course[i]]
            for i in set(rows) - set(others):
                followed[i] = others or [i]
        slots = max(map(len, followed), default=1)
        positions = np.zeros((len(agents), slots), dtype=int)
        shares = np.zeros((len(agents), slots))
        for i, rows in enumerate(followed):
            positions[i, : len(rows)] = rows
            shares[i, : len(rows)] = 1 / len(rows)
        return positions, shares

    def _rows_together(self, included: np.ndarray) -> list[list[int]]:
        """The included rows of each study, at each hour."""
        labels = self.reported[self.column_of(self.study)].to_numpy()
        together: dict[Any, list[int]] = {}
        for i in np.flatnonzero(included):
            together.setdefault(labels[i], []).append(int(i))
        return list(together.values())

    def variable(self, name: str, prior: PriorSpec, *dims: str) -> Any:
        """Add a random variable with a prior to the model on the stack."""
        return random_variable(self.name(name), prior.dist, prior.kwargs, dims)

    def centred_covariate(self, column: str, covariate: CovariateSpec) -> np.ndarray:
        """A covariate of the arms, centred and divided by its unit."""
        return (self.reported[column].to_numpy().astype(float) - covariate.origin) / covariate.step

    def add_dim(self, dim: str, column: str, labels: Iterable[Any]) -> None:
        """Add a dim labelled by a column of the design to the model, with each label's study."""
        studies = self.reported[study_of(CONTRAST) if column == CONTRAST else STUDY].to_numpy()
        study_of_label = dict(zip(self.reported[column].to_numpy(), studies, strict=True))
        labels = list(labels)
        add_study_dim(dim, labels, [study_of_label[label] for label in labels])

    def over_arms(self, values: Any, column: str = "") -> Any:
        """Values of the arms with their dim; named data of the graph if a column is named."""
        if column:
            return shared_data(f"{self.arm}.{column}", values, (self.arm,))
        return pmd.as_xtensor(np.asarray(values), dims=(self.arm,))

    def agent_mask(self, agents: Sequence[str]) -> Any:
        """1 for the arms of some agents, 0 for others."""
        return self.over_arms(agent_mask(self.reported[AGENT].to_numpy(), agents))

    def positions(self, column: str, coordinates: np.ndarray) -> Any:
        """Position of each arm's label among the coordinates of a dim; 0 if it is not there."""
        positions = positions_in(coordinates, self.reported[column].to_numpy())
        return self.over_arms(np.maximum(positions, 0))


def standard_normal(name: str, *dims: str) -> Any:
    """Add independent standard normal variables to the model on the stack."""
    return pmd.Normal(name, mu=0, sigma=1, dims=dims)


def take(value: Any, dim: str, positions: np.ndarray | Sequence[int], new_dim: str) -> Any:
    """Select positions along a dim; the result has a dim of another name."""
    return value.isel({dim: pmd.as_xtensor(np.asarray(positions), dims=(new_dim,))})


def _unique(labels: np.ndarray) -> np.ndarray:
    return np.array(list(dict.fromkeys(labels)), dtype=object)
