"""The 95% credible interval (CrI) of every summary: between the 2.5% and 97.5% quantiles.

ArviZ's default is 89%; the interval is defined here once, and summaries carry it as attributes.
"""

from __future__ import annotations

from typing import Final

import xarray as xr

from nmda_bayes.dims import SAMPLE

INTERVAL_KIND: Final = "equal-tailed"
INTERVAL_LEVEL: Final = 0.95
INTERVAL_TEXT: Final = f"{INTERVAL_LEVEL:.0%} CrI"


def credible_interval(array: xr.DataArray, dim: tuple[str, ...] = SAMPLE) -> xr.Dataset:
    """Summarise draws by the median and the 95% credible interval.

    Parameters
    ----------
    array
        Draws, in any unit.
    dim
        The dims of the draws.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median`` and ``upper`` (the 2.5%, 50% and 97.5% quantiles), in the unit of the
        draws and without the dims of the draws; attributes ``kind`` and ``level``.

    Examples
    --------
    >>> draws = xr.DataArray(np.arange(101.0), dims="draw")
    >>> interval = nb.credible_interval(draws, dim=("draw",))
    >>> [round(float(interval[name]), 6) for name in ("lower", "median", "upper")]
    [2.5, 50.0, 97.5]
    """
    tail = (1 - INTERVAL_LEVEL) / 2
    points = array.quantile([tail, 0.5, 1 - tail], dim=dim)
    names = ("lower", "median", "upper")
    parts = {name: points.isel(quantile=i, drop=True) for i, name in enumerate(names)}
    return xr.Dataset(parts, attrs={**array.attrs, "kind": INTERVAL_KIND, "level": INTERVAL_LEVEL})
