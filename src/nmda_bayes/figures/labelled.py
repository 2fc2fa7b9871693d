"""What a figure asks of the arrays that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION

#: Cells on one page.
AT_MOST: Final = 12


def need_dims(array: xr.DataArray | xr.Dataset, dims: tuple[str, ...], figure: str) -> None:
    """Refuse an array that lacks a dim.

    Parameters
    ----------
    array
        What the caller gave.
    dims
        What the figure needs.
    figure
        The function that asks.

    Raises
    ------
    ValueError
        If a dim is missing; names it.
    """
    present = [str(dim) for dim in array.dims]
    for dim in dims:
        if dim not in present:
            raise ValueError(
                f"{figure} needs the dim '{dim}'; the array has {', '.join(present) or 'none'}"
            )


def need_variables(dataset: xr.Dataset, names: tuple[str, ...], figure: str) -> None:
    """Refuse a dataset that lacks a variable.

    Parameters
    ----------
    dataset
        What the caller gave.
    names
        What the figure needs.
    figure
        The function that asks.

    Raises
    ------
    ValueError
        If a variable is missing; names it.
    """
    for name in names:
        if name not in dataset.variables:
            present = ", ".join(str(v) for v in dataset.data_vars)
            raise ValueError(f"{figure} needs the variable '{name}'; the dataset has {present}")


def runs(flags: np.ndarray) -> Iterator[tuple[slice, bool]]:
    """Cut an axis where a flag changes.

    Parameters
    ----------
    flags
        One dim of booleans.

    Yields
    ------
    tuple[slice, bool]
        Each run and its flag. A run takes in the last point of the one before it, so that lines
        drawn run by run have no gap.
    """
    edges = np.flatnonzero(np.diff(flags.astype(int))) + 1
    for start, stop in zip([0, *edges], [*edges, len(flags)], strict=True):
        yield slice(max(start - 1, 0), stop), bool(flags[start])


def untried(cell: xr.Dataset) -> str:
    """Say which side of a cell no trial has tried.

    Parameters
    ----------
    cell
        With the scalars ``trials_benefit`` and ``trials_harm``, where they are known.

    Returns
    -------
    str
        Empty where both were tried.
    """
    known = {"benefit": "trials_benefit", "harm": "trials_harm"}
    gaps = [what for what, name in known.items() if name in cell and int(cell[name]) == 0]
    return {0: "", 1: f"no trial of {''.join(gaps)}", 2: "no trial"}[len(gaps)]


def trials_of_both(cell: xr.Dataset) -> xr.DataArray:
    """Count the trials of the side, benefit or harm, that has fewer.

    Parameters
    ----------
    cell
        With ``trials_benefit`` and ``trials_harm``.

    Returns
    -------
    xr.DataArray
        Their own dims.
    """
    benefit, harm = (cell[f"trials_{side}"].reset_coords(drop=True) for side in ("benefit", "harm"))
    return benefit.where(benefit < harm, harm)


def most_tried(trials: xr.DataArray) -> tuple[dict[str, object], int]:
    """Find the cell with the most trials.

    Parameters
    ----------
    trials
        Number of trials, dims agent and condition.

    Returns
    -------
    tuple[dict[str, object], int]
        A selection, and its number of trials.
    """
    table = trials.transpose(AGENT, CONDITION)
    agent, condition = np.unravel_index(int(np.argmax(table.values)), table.shape)
    cell = {AGENT: table[AGENT].values[agent], CONDITION: table[CONDITION].values[condition]}
    return cell, int(table.values.max())


@dataclass(frozen=True)
class Cells:
    """The agent-condition cells that a figure draws.

    Attributes
    ----------
    chosen
        A selection each, in reading order.
    columns
        How many stand side by side.
    left_out
        What is not drawn, in words; empty where all are.
    """

    chosen: list[dict[str, object]]
    columns: int
    left_out: str = ""

    @property
    def lines(self) -> int:
        """How many rows of cells there are."""
        return -(-len(self.chosen) // self.columns)


def cells(trials: xr.DataArray, what: str = "trial") -> Cells:
    """Choose the agent-condition cells to draw, and their order.

    Parameters
    ----------
    trials
        Number of trials, dims agent and condition.
    what
        What ``trials`` counts, for the words about cells that are not drawn.

    Returns
    -------
    Cells
        All of them up to `AT_MOST`, the agents side by side if they fit, else the conditions. Of
        more, those with the most trials: a page of cells that rest on the prior hides the others.
    """
    agents, conditions = list(trials[AGENT].values), list(trials[CONDITION].values)
    by_agent = [{AGENT: a, CONDITION: c} for a in agents for c in conditions]
    if len(by_agent) > AT_MOST:
        count = trials.transpose(AGENT, CONDITION).values.ravel()
        order = np.argsort(-count, kind="stable")
        order = order[: max(1, min(AT_MOST, int((count > 0).sum())))]
        rest = len(by_agent) - len(order)
        why = f"no {what}" if np.delete(count, order).max() == 0 else f"fewer or no {what}"
        left_out = f"not drawn: {rest} more pairs of agent and condition ({why})"
        return Cells([by_agent[i] for i in sorted(order)], min(4, len(order)), left_out)
    if 1 < len(agents) <= 4:
        return Cells([{AGENT: a, CONDITION: c} for c in conditions for a in agents], len(agents))
    if 1 < len(conditions) <= 4:
        return Cells(by_agent, len(conditions))
    return Cells(by_agent, min(4, len(by_agent)))
