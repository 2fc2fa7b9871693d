"""A folder of results: made before the work, never written over, enough to make it all again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmda_bayes.errors import Fault, InputError

if TYPE_CHECKING:
    import xarray as xr

    from nmda_bayes.checks import Checks
    from nmda_bayes.spec import AnalysisSpec


@contextmanager
def new_folder(out: Path) -> Iterator[None]:
    """Make the folder before the long work, and take it back if that comes to nothing.

    A path that cannot be written is better told now than after the sampling; a folder that holds
    anything is refused, for nothing of the user's is written over.

    Parameters
    ----------
    out
        The folder.

    Yields
    ------
    None
        While the work is done.

    Raises
    ------
    InputError
        If it holds something, or is a file.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        mend = "Name a new folder; nothing was written over."
        raise InputError([Fault("exists and is not empty", mend, file=str(out))])
    existed = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not existed:
            out.rmdir()
        raise


def write_spec(spec: AnalysisSpec, path: Path) -> None:
    """Write a spec as TOML.

    Parameters
    ----------
    spec
        The spec.
    path
        The file.
    """
    import tomli_w

    content = spec.model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    path.write_text(tomli_w.dumps(content), encoding="utf-8")


def write_tables(spec: str | None, result: xr.DataTree, checks: Checks, out: Path) -> None:
    """Write summary.csv, diagnostics.csv and manifest.json beside a fit.

    Parameters
    ----------
    spec
        The spec file as the user named it; None for the one written beside the fit.
    result
        The fit.
    checks
        What was checked of it.
    out
        The folder.
    """
    from nmda_bayes.report.tables import summary_table

    summary_table(result, checks.diagnostics).to_csv(out / "summary.csv", index=False)
    checks.diagnostics.to_csv(out / "diagnostics.csv", index=False)
    manifest = _manifest(spec, result, checks)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _manifest(spec: str | None, result: xr.DataTree, checks: Checks) -> dict[str, Any]:
    return {
        "spec_file": spec or "spec.toml",
        "spec": json.loads(result.attrs["spec"]),
        "evidence": result.attrs["evidence_source"],
        "evidence_hash": result.attrs["evidence_hash"],
        "versions": json.loads(result.attrs["versions"]),
        "seed": int(result.attrs["seed"]),
        "passed": checks.passed,
        "gate": checks.gate.to_dict(orient="records"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
