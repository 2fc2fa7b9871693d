"""The cheap pass: variants near the base are answered from its draws before any is fitted.

The base is fitted first, here, and its draws are kept beside the answers, so that a run that was
cut off does not draw them again. What weights cannot carry stays for the sweep.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from nmda_bayes.checks import study_density
from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.fitting import NUTS, method_of
from nmda_bayes.inference.store import write_fit
from nmda_bayes.sensitivity import work
from nmda_bayes.sensitivity.answers import as_fit
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.reweighting import resampled, reweighting
from nmda_bayes.sensitivity.store import Store, digest
from nmda_bayes.sensitivity.variants import BASE


def answer_nearby(jobs: Mapping[str, Job], store: Store, near: Mapping[str, Job]) -> None:
    """Answer the base, and by reweighting its draws what is near enough, into the store.

    Parameters
    ----------
    jobs
        All variants, the base among them.
    store
        What is finished, and where it goes.
    near
        Those whose graph has the base's structure.
    """
    left = [job for job in near.values() if job.name != BASE and store.read(job.key) is None]
    base = jobs[BASE]
    if not left or method_of(base.spec, base.design) != NUTS:
        return
    fit = _base_fit(base, store)
    density = _density(fit, left)
    for job in left:
        start = time.perf_counter()
        found = reweighting(fit, job.spec, job.design, density=density)
        if found is None or not found.reliable:
            continue
        posterior = resampled(fit["posterior"].to_dataset(), found, job.spec.sampling.seed)
        answered = work.told(
            as_fit(job.spec, job.design, posterior, fit["sample_stats"].to_dataset()),
            job.dose,
            how=work.REWEIGHTED,
            seconds=time.perf_counter() - start,
            k_hat=found.k_hat,
        )
        store.write(job.key, answered)


def _base_fit(job: Job, store: Store) -> xr.DataTree:
    """Read the base's draws, or draw them and keep them with the base's answer."""
    path = store.folder / f"{job.key}.draws"
    kept = _read_draws(path, job.key, store)
    if kept is not None:
        return kept
    start = time.perf_counter()
    drawn, how = work.sampled(job)
    parts = (drawn[name].to_dataset() for name in ("posterior", "sample_stats"))
    fit = as_fit(job.spec, job.design, *parts)
    seconds = time.perf_counter() - start
    store.write(job.key, work.told(fit, job.dose, how=how, seconds=seconds))
    signed = fit.copy()
    signed.attrs |= {"key": job.key, "digest": digest(fit["posterior"].to_dataset())}
    write_fit(signed, path)
    return fit


def _read_draws(path: Path, key: str, store: Store) -> xr.DataTree | None:
    if not path.is_file():
        return None
    try:
        with xr.open_datatree(path, engine="h5netcdf") as stored:
            fit = stored.load()
        whole = fit.attrs.get("digest") == digest(fit["posterior"].to_dataset())
        if whole and fit.attrs.get("key") == key:
            return fit
        wrong = "is not the base's draws, or has changed since they were written"
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        wrong = f"cannot be read ({str(error).splitlines()[0] if str(error) else error!r})"
    store.distrusted.append(Fault(wrong, "The base is drawn again.", file=str(path)))
    return None


def _density(fit: xr.DataTree, jobs: list[Job]) -> xr.Dataset | None:
    """The density of each trial, where one is left out and the model parts by trial."""
    if not any(_leaves_out(job) for job in jobs):
        return None
    try:
        found: xr.Dataset = study_density(fit)
    except SpecError:
        return None
    return found


def _leaves_out(job: Job) -> bool:
    rows = (node.to_dataset() for node in job.design[OUTCOMES].children.values())
    return any(WEIGHT in one and bool(np.any(one[WEIGHT] == 0)) for one in rows)
