"""Whose each variable of a graph is: of one study, or of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.tensor.random.basic import MvNormalRV

from nmda_bayes.design import ARMS, OUTCOMES, READING, WEIGHT, WHOLE_ARM
from nmda_bayes.dims import (
    AGENT,
    AGENT_CLASS,
    AGENT_PARAMETER,
    ARM,
    CLUSTER_ARM,
    CONDITION,
    CONTRAST,
    OUTCOME,
    PAIR,
    PARAMETER_PAIR,
    SEPARATOR,
    STRATUM,
    STUDY,
    scoped,
)
from nmda_bayes.model.selection import P_VALUE_STEP
from nmda_bayes.model.selection_density import SelectionRV
from nmda_bayes.model.weighing import WEIGHING

#: Dims of what studies share. The treatments of a cluster are its trials' together: what is
#: foretold of a trial is foretold in its cluster.
OF_ALL = (
    AGENT,
    AGENT_CLASS,
    AGENT_PARAMETER,
    CLUSTER_ARM,
    CONDITION,
    OUTCOME,
    P_VALUE_STEP,
    PAIR,
    PARAMETER_PAIR,
    STRATUM,
)
#: Columns of a design whose values are of one study each.
OF_ONE = (STUDY, READING, WHOLE_ARM)


class Ownership:
    """Whose each variable of a graph is: of one study, where it has a dim of studies or arms.

    Parameters
    ----------
    model
        The graph.
    design
        Its design, which says whose each arm is.

    Attributes
    ----------
    studies
        The studies of the design.
    """

    def __init__(self, model: pm.Model, design: xr.DataTree) -> None:
        self._model = model
        self._study_of = _study_of(design)
        self._weight_of = _weight_of(design)
        self.studies = tuple(dict.fromkeys(self._study_of.values()))

    def dims(self, name: str) -> tuple[str, ...]:
        """Name a variable's dims.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        tuple[str, ...]
            Empty for a scalar.
        """
        return tuple(self._model.named_vars_to_dims.get(name) or ())

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a variable's shape.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        tuple[int, ...]
            One size a dim.
        """
        return tuple(len(self._labels(dim)) for dim in self.dims(name))

    def size(self, name: str) -> int:
        """Count a variable's scalars.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        int
            How many there are.
        """
        return prod(self.shape(name))

    def dim(self, name: str) -> str:
        """Find the dim along which a variable is of one study each.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        str
            Empty where all studies share it.
        """
        return next((dim for dim in self.dims(name) if self._is_of_studies(dim)), "")

    def owners(self, name: str) -> np.ndarray:
        """Say whose each scalar of a variable is.

        Parameters
        ----------
        name
            A variable with a `dim` of studies.

        Returns
        -------
        np.ndarray
            Places among the studies, in the order of the raveled variable.
        """
        dim, place = self.dim(name), {study: i for i, study in enumerate(self.studies)}
        of = np.array([place[self._study_of[label]] for label in self._labels(dim)])
        along = [-1 if d == dim else 1 for d in self.dims(name)]
        return np.broadcast_to(of.reshape(along), self.shape(name)).ravel()

    def weights(self, name: str) -> np.ndarray | float:
        """Say how much each row of an observed variable counts.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        np.ndarray or float
            One a row, as its design has them; 1 where it has none, or the density has them in it.
        """
        outcome = name.rpartition(SEPARATOR)[0]
        of = self._weight_of.get(outcome)
        if of is None or isinstance(self._model[name].owner.op, SelectionRV):
            return 1.0
        return np.array([of[label] for label in self._labels(self.dim(name))])

    def is_joint(self, name: str) -> bool:
        """Say whether the rows of an observed variable have one density between them.

        Parameters
        ----------
        name
            The variable.

        Returns
        -------
        bool
            True for a multivariate normal.
        """
        return isinstance(self._model[name].owner.op, MvNormalRV)

    def reasons(self) -> Iterator[str]:
        """Say why the graph does not part by study.

        Yields
        ------
        str
            One reason a variable.
        """
        for rv in self._model.basic_RVs:
            of_studies = [dim for dim in self.dims(rv.name) if self._is_of_studies(dim)]
            for dim in self.dims(rv.name):
                if dim not in of_studies and dim.split(SEPARATOR)[-1] not in OF_ALL:
                    yield f"'{rv.name}' varies over '{dim}', which is neither of studies nor of all"
            if len(of_studies) > 1:
                yield f"'{rv.name}' varies over {' and '.join(of_studies)} at once"
            if rv in self._model.observed_RVs and not of_studies:
                yield f"'{rv.name}' was observed of no study in particular"
        for potential in self._model.potentials:
            if potential.name.split(SEPARATOR)[-1] != WEIGHING:
                yield f"'{potential.name}' is a factor of the posterior that is no study's"

    def _labels(self, dim: str) -> tuple[str, ...]:
        return tuple(self._model.coords[dim] or ())

    def _is_of_studies(self, dim: str) -> bool:
        if dim.split(SEPARATOR)[-1] in OF_ALL:
            return False
        labels = self._labels(dim)
        return bool(labels) and all(label in self._study_of for label in labels)


def _study_of(design: xr.DataTree) -> Mapping[str, str]:
    """Say whose each label is: of arms, of contrasts, of readings, of studies themselves."""
    arms = design[ARMS].to_dataset()
    found = dict(zip(arms[ARM].to_numpy(), arms[STUDY].to_numpy(), strict=True))
    for node in design[OUTCOMES].children.values():
        reported = node.to_dataset()
        study = reported[STUDY].to_numpy()
        for column in (ARM, *OF_ONE):
            if column in reported:
                found |= dict(zip(reported[column].to_numpy(), study, strict=True))
        if CONTRAST in reported.dims:
            of_rows = study[reported["arm_position"].to_numpy().astype(int)]
            found |= dict(zip(reported[CONTRAST].to_numpy(), of_rows, strict=True))
    return found


def _weight_of(design: xr.DataTree) -> Mapping[str, Mapping[str, float]]:
    """The weight of each row by outcome, as variables name it, where a design has weights."""
    outcomes = design[OUTCOMES].children
    found = {}
    for name, node in outcomes.items():
        reported = node.to_dataset()
        if WEIGHT not in reported:
            continue
        weight = reported[WEIGHT].to_numpy().astype(float)
        of = dict(zip(reported[ARM].to_numpy(), weight, strict=True))
        if CONTRAST in reported.dims:
            of_rows = weight[reported["arm_position"].to_numpy().astype(int)]
            of |= dict(zip(reported[CONTRAST].to_numpy(), of_rows, strict=True))
        prefix = scoped(name, "", alone=len(outcomes) == 1).removesuffix(SEPARATOR)
        found[prefix] = of
    return found
