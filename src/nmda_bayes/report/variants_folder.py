"""The folder of a sensitivity analysis: its answers, one table, one page; run again, it goes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import xarray as xr

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.report.page import free_for_a_page
from nmda_bayes.report.variants_page import variants_table, write_variants_page
from nmda_bayes.sensitivity.estimate import estimate
from nmda_bayes.sensitivity.executors import executors
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.progress import shown
from nmda_bayes.sensitivity.run import jobs_of, run_plan
from nmda_bayes.sensitivity.store import Store

#: Where a report seeks the sensitivity analysis of its fit.
BESIDE = "sensitivity"
ANSWERS, PAGE, TABLE, NUMBERS = "answers", "sensitivity.html", "sensitivity.csv", "sensitivity.nc"


def said_before(plan: Plan, evidence: xr.DataTree, out: Path, workers: int | None) -> str:
    """Count and time a sensitivity analysis before it starts.

    Parameters
    ----------
    plan
        What was asked.
    evidence
        What it was checked against.
    out
        Its folder, which may hold finished answers.
    workers
        Processes at work at once.

    Returns
    -------
    str
        One line.
    """
    answers = out / ANSWERS
    store = Store(answers) if answers.is_dir() else None
    return estimate(plan, jobs_of(plan, evidence), store, workers or 1).text


def beside(folder: Path) -> xr.Dataset | None:
    """Read the sensitivity analysis that stands in a fit's folder.

    Parameters
    ----------
    folder
        Of a fit; its sensitivity analysis is sought in ``sensitivity`` there.

    Returns
    -------
    xr.Dataset or None
        None where there is none.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = folder / BESIDE / NUMBERS
    if not path.is_file():
        return None
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        mend = "Write it again with nmda-bayes sensitivity, or take it away."
        fault = Fault(f"cannot be read ({str(error).splitlines()[0]})", mend, file=str(path))
        raise InputError([fault]) from None


def fill_folder(
    plan: Plan,
    evidence: xr.DataTree,
    out: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> tuple[Path, bool]:
    """Run a sensitivity analysis into a folder.

    Parameters
    ----------
    plan
        What was asked.
    evidence
        What it was checked against.
    out
        A new or empty folder, or one of an earlier run.
    workers, scheduler
        Where variants run.

    Returns
    -------
    tuple[Path, bool]
        The page, and whether every answer was let pass by its checks.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written in.
    """
    if out.exists() and not (out / ANSWERS).is_dir() and (not out.is_dir() or any(out.iterdir())):
        mend = "Name a new folder, or that of an earlier run; nothing was written over."
        fault = Fault("exists and is not a sensitivity analysis", mend, file=str(out))
        raise InputError([fault])
    where = executors(workers, scheduler)
    store = Store(out / ANSWERS)
    target = free_for_a_page(out / PAGE)
    with shown() as progress:
        found = run_plan(plan, evidence, store, where, progress=progress)
    for fault in store.distrusted:
        print(f"note: {fault}", file=sys.stderr)
    _write(found, out)
    fitted = found["how"].to_numpy() != ""
    return write_variants_page(target, found), bool(found["passed"].to_numpy()[fitted].all())


def _write(found: xr.Dataset, out: Path) -> None:
    """Write the tables beside their places and then rename them."""
    for name in (TABLE, NUMBERS):
        partial = out / f".{name}.{os.getpid()}.partial"
        try:
            if name == TABLE:
                variants_table(found).to_csv(partial, index=False)
            else:
                found.to_netcdf(partial, engine="h5netcdf")
            partial.replace(out / name)
        finally:
            partial.unlink(missing_ok=True)
