"""Fits on disk: one netCDF file, written whole or not at all, and never trusted unread."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from nmda_bayes.errors import Fault, FitError

NEEDED = ("posterior", "prior", "sample_stats", "design", "design/labels")


def write_fit(fit: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a fit to a netCDF file.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.
    path
        The file. It is written beside and then renamed, so that a reader never sees half of it.

    Returns
    -------
    Path
        The file.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        fit.to_netcdf(partial, engine="h5netcdf")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def read_fit(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit from a netCDF file.

    Parameters
    ----------
    path
        The file, or the folder that holds it as ``fit.nc``.

    Returns
    -------
    xr.DataTree
        The fit, in memory.

    Raises
    ------
    FitError
        If the file is missing, truncated, or not a fit of this package.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "fit.nc"
    again = "Run nmda-bayes fit again; nothing was changed."
    if not file.is_file():
        raise FitError([Fault("there is no fit here", "Run nmda-bayes fit first.", str(file))])
    try:
        with xr.open_datatree(file, engine="h5netcdf") as stored:
            fit = stored.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FitError(
            [Fault(f"cannot be read as a fit: truncated or not netCDF ({error})", again, str(file))]
        ) from None
    groups = {node.path.strip("/") for node in fit.subtree}
    missing = [name for name in NEEDED if name not in groups]
    if missing or "spec" not in fit.attrs:
        what = ", ".join(missing) or "the spec"
        raise FitError([Fault(f"is not a fit of this package: lacks {what}", again, str(file))])
    return fit
