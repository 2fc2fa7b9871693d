"""What a figure asks of the arrays that it is given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION


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


def cells(array: xr.DataArray | xr.Dataset) -> tuple[list[dict[str, object]], int]:
    """List the agent-condition cells in reading order, and how many stand in a row.

    Parameters
    ----------
    array
        With dims agent and condition.

    Returns
    -------
    tuple[list[dict[str, object]], int]
        A selection for each cell, and the number of columns: the agents if they fit, else the
        conditions, else as many as fit.
    """
    agents, conditions = list(array[AGENT].values), list(array[CONDITION].values)
    by_agent = [{AGENT: a, CONDITION: c} for a in agents for c in conditions]
    if 1 < len(agents) <= 4:
        return [{AGENT: a, CONDITION: c} for c in conditions for a in agents], len(agents)
    if 1 < len(conditions) <= 4:
        return by_agent, len(conditions)
    return by_agent, min(4, len(by_agent))
