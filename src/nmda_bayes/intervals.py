"""The one kind of interval that this package prints, and its level.

ArviZ's default is an 89 % interval; a trial's reader expects 95 %. Fixed here once, and carried by
every summary as attributes, so that no number is shown without them.
"""

from __future__ import annotations

from typing import Final

import xarray as xr

from nmda_bayes.dims import SAMPLE

KIND: Final = "equal-tailed"
LEVEL: Final = 0.95
INTERVAL_TEXT: Final = f"{LEVEL:.0%} {KIND} interval".replace("%", " %")


def interval(array: xr.DataArray, dim: tuple[str, ...] = SAMPLE) -> xr.Dataset:
    """Summarise draws by their median and equal-tailed interval.

    Parameters
    ----------
    array
        Draws over ``dim`` and any other dims.
    dim
        The dims of the draws.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median``, ``upper`` over the other dims; attributes kind and level.
    """
    tail = (1 - LEVEL) / 2
    points = array.quantile([tail, 0.5, 1 - tail], dim=dim)
    names = ("lower", "median", "upper")
    parts = {name: points.isel(quantile=i, drop=True) for i, name in enumerate(names)}
    return xr.Dataset(parts, attrs={**array.attrs, "kind": KIND, "level": LEVEL})
