"""What the figures of a sensitivity analysis share: one cell, its variants, the base first."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.text import plain

VARIANT, CHOICE, STATISTIC = "variant", "choice", "statistic"
ENDS: Final = ("lower", "median", "upper")


def effects_of(cell: xr.Dataset, figure: str) -> xr.Dataset:
    """Take the variants that have an answer, and what each of them is.

    Parameters
    ----------
    cell
        As `nmda_bayes.sensitivity.one_cell` gives it: ``effect`` (variant, statistic), ``setting``
        (variant, choice), and by variant ``how``, ``passed``, ``kind``; the base comes first.
    figure
        The function that asks.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median``, ``upper`` by variant, those without an answer left out.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or the base has no answer.
    """
    need_variables(cell, ("effect",), figure)
    need_dims(cell["effect"], (VARIANT, STATISTIC), figure)
    ends = {name: cell["effect"].sel({STATISTIC: name}, drop=True) for name in ENDS}
    found = cell.drop_dims(STATISTIC).assign(ends)
    told = np.flatnonzero(found["median"].notnull().to_numpy())
    if not len(told) or told[0] != 0:
        raise ValueError(f"{figure} needs an answer of the base, which comes first")
    return found.isel({VARIANT: told})


def turned(cell: xr.Dataset) -> xr.DataArray:
    """Say which choices each variant turns.

    Parameters
    ----------
    cell
        With ``setting`` (variant, choice), the base first.

    Returns
    -------
    xr.DataArray
        True where a setting is not the base's; dims variant, choice.
    """
    return cell["setting"] != cell["setting"].isel({VARIANT: 0}, drop=True)


def doubtful(cell: xr.Dataset) -> np.ndarray:
    """Say which variants the checks refused.

    Parameters
    ----------
    cell
        With ``passed`` by variant.

    Returns
    -------
    np.ndarray
        True where an answer is not to be relied on.
    """
    return ~cell["passed"].to_numpy().astype(bool)


def titled(cell: xr.Dataset) -> str:
    """Write the cell's name.

    Parameters
    ----------
    cell
        Its attributes hold ``title``.

    Returns
    -------
    str
        Agent and condition.
    """
    return plain(cell.attrs.get("title", ""), 60)


def axis_of(cell: xr.Dataset) -> str:
    """Write the label of the effects' axis.

    Parameters
    ----------
    cell
        Its attributes hold ``axis``.

    Returns
    -------
    str
        Outcome, unit and dose.
    """
    return plain(cell.attrs.get("axis", "effect"), 110)
