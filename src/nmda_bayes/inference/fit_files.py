"""Fits on disk: one netCDF file each, with the digest of its content."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.artifacts import digest, write_atomically
from nmda_bayes.errors import FitError, Issue

REQUIRED_GROUPS: Final = ("posterior", "sample_stats", "design", "design/labels")
DIGEST: Final = "digest"
FIT_FILE, MANIFEST = "fit.nc", "manifest.json"
#: Attribute with a remark on each group that could not be computed, or only in a range (JSON).
REMARKS: Final = "remarks"


def fit_digest(fit: xr.DataTree) -> str:
    """Hash the numbers, labels and attributes of all groups, independent of the file format."""
    nodes = sorted(fit.subtree, key=lambda node: node.path)
    return digest(*(part for node in nodes for part in _node_parts(node)))


def _node_parts(node: xr.DataTree) -> Iterator[str | bytes]:
    dataset = node.to_dataset(inherit=False)
    attributes = {k: v for k, v in dataset.attrs.items() if node.path != "/" or k != DIGEST}
    yield json.dumps([node.path, _plain(attributes), len(dataset.variables)])
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        array = np.asarray(variable.to_numpy())
        numeric = array.dtype.kind in "fiub"
        described = [name, list(map(str, variable.dims)), array.shape, _plain(variable.attrs)]
        yield json.dumps([*described, name in dataset.coords, str(array.dtype) if numeric else ""])
        yield array.tobytes() if numeric else json.dumps(array.astype(str).tolist())


def _plain(attributes: Any) -> list[list[Any]]:
    return [[str(key), repr(np.asarray(attributes[key]).tolist())] for key in sorted(attributes)]


def remarks_of(fit: xr.DataTree) -> dict[str, str]:
    """Remarks on groups of a fit that could not be computed, or only in a range."""
    return dict(json.loads(fit.attrs.get(REMARKS, "{}")))


def fit_image(fit: xr.DataTree) -> tuple[bytes, str]:
    """Return the bytes of a fit's file, made in memory, and the digest of what is read from them.

    A full disk is then an error of a plain write: HDF5's ends the process.
    """
    plain = bytes(fit.to_netcdf(engine="h5netcdf"))
    with xr.open_datatree(io.BytesIO(plain), engine="h5netcdf") as stored:
        content = fit_digest(stored.load())
    signed = fit.copy()
    signed.attrs = dict(fit.attrs) | {DIGEST: content}
    return bytes(signed.to_netcdf(engine="h5netcdf")), content


def write_fit(fit: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a fit to a netCDF file, atomically.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` returns it.
    path
        The file.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = nb.read_fit(nb.write_fit(fit, f"{folder}/fit.nc"))
    >>> stored["posterior"].equals(fit["posterior"])
    True
    """
    return write_atomically(Path(path), fit_image(fit)[0])


def read_fit(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit from a netCDF file.

    Parameters
    ----------
    path
        The file, or a results folder that holds it as ``fit.nc``.

    Returns
    -------
    xr.DataTree
        The fit, in memory.

    Raises
    ------
    FitError
        If the file is missing, damaged, altered since it was written, or not a fit of this package.

    Examples
    --------
    >>> fit = nb.read_fit("results/analysis")  # doctest: +SKIP
    """
    file = Path(path)
    if file.is_dir():
        file = file / FIT_FILE
    if not file.is_file():
        raise FitError([Issue("E552", "no fit found", "Run nmda-bayes fit first.", str(file))])
    hint = "Run nmda-bayes fit again; the file is unchanged."
    try:
        with xr.open_datatree(file, engine="h5netcdf") as stored:
            fit = stored.load()
        groups = {node.path.strip("/") for node in fit.subtree}
        required = [name for name in REQUIRED_GROUPS if name not in groups]
        missing = required + ([] if "spec" in fit.attrs else ["attribute spec"])
        content = "" if missing else fit_digest(fit)
    # A damaged file makes HDF5 and its readers raise errors of any kind.
    except Exception as error:
        lines = str(error).splitlines()
        message = f"the file is damaged or not netCDF ({lines[0] if lines else repr(error)})"
        raise FitError([Issue("E553", message, hint, str(file))]) from None
    if missing:
        message = f"not a fit of this package: {', '.join(missing)} missing"
        raise FitError([Issue("E554", message, hint, str(file))])
    if DIGEST not in fit.attrs:
        message = "the fit has no digest of its content, so that changes would be unseen"
        raise FitError([Issue("E580", message, hint, str(file))])
    if fit.attrs[DIGEST] != content:
        message = "the fit has been altered since it was written: its digest does not match"
        raise FitError([Issue("E581", message, hint, str(file))])
    _require_manifest_of(content, file.with_name(MANIFEST), file)
    del fit.attrs[DIGEST]
    return fit


def _require_manifest_of(content: str, manifest: Path, file: Path) -> None:
    """Stop if the manifest next to a fit names the digest of another one."""
    if file.name != FIT_FILE or not manifest.is_file():
        return
    hint = "Restore both files of one run, or run nmda-bayes fit again."
    try:
        named = json.loads(manifest.read_text(encoding="utf-8"))[DIGEST]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        message = "is damaged or names no digest of the fit"
        raise FitError([Issue("E583", message, hint, str(manifest))]) from None
    if named != content:
        message = f"the fit is not the one that {MANIFEST} describes"
        raise FitError([Issue("E582", message, hint, str(file))])
