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

from nmda_bayes.errors import Fault
from nmda_bayes.inference.fitting import NUTS, method_of
from nmda_bayes.inference.store import write_fit
from nmda_bayes.sensitivity import work
from nmda_bayes.sensitivity.answers import STATISTIC, answers, as_fit
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.reweighting import Reweighting, Weigher, resampled
from nmda_bayes.sensitivity.store import Store, digest
from nmda_bayes.sensitivity.variants import BASE


def answer_nearby(jobs: Mapping[str, Job], store: Store) -> None:
    """Answer the base, and by reweighting its draws what is near enough, into the store.

    Parameters
    ----------
    jobs
        All variants, the base among them.
    store
        What is finished, and where it goes.
    """
    base = jobs[BASE]
    left = {j.key: j for j in jobs.values() if j.key != base.key and store.read(j.key) is None}
    if not left or method_of(base.spec, base.design) != NUTS:
        return
    fit = _base_fit(base, store)
    weigher = Weigher(fit)
    errors = _errors(answers(fit, base.dose))
    for job in left.values():
        start = time.perf_counter()
        found = weigher.weigh(job.spec, job.design)
        if found is None or not found.reliable:
            continue
        posterior = resampled(weigher.draws, found, job.spec.sampling.seed)
        answered = work.told(
            as_fit(job.spec, job.design, posterior, fit["sample_stats"].to_dataset()),
            job.dose,
            how=work.REWEIGHTED,
            seconds=time.perf_counter() - start,
            k_hat=found.k_hat,
        )
        store.write(job.key, _with_errors(answered, errors, found))


def _errors(answered: xr.Dataset) -> xr.Dataset:
    """Give the Monte Carlo errors of means in SDs: one over the root of the effective draws."""
    summed = answered[[name for name in answered if STATISTIC in answered[name].dims]]
    sd = summed.sel({STATISTIC: "sd"}, drop=True)
    return (summed.sel({STATISTIC: "mcse"}, drop=True) / sd.where(sd > 0)).fillna(0.0)


def _with_errors(answered: xr.Dataset, errors: xr.Dataset, found: Reweighting) -> xr.Dataset:
    """Put the Monte Carlo errors of weighted draws in the place of those of plain ones.

    Resampled draws look independent: the base's chains and the weights are no longer seen in them.
    """
    kept = answered.copy(deep=True)
    count = found.log_weight.size
    for name, of_base in errors.items():
        # Thinned draws are worth more each, and never more than one.
        of_draws = np.maximum(of_base, count**-0.5)
        of_weights = (found.effective / found.share / count) ** -0.5
        sd = kept[name].sel({STATISTIC: "sd"}, drop=True)
        kept[name].loc[{STATISTIC: "mcse"}] = (sd * of_draws * of_weights).transpose(*sd.dims)
    return kept


def _base_fit(job: Job, store: Store) -> xr.DataTree:
    """Read the base's draws, or draw them and keep them with the base's answer."""
    path = store.folder / f"{job.key}.draws"
    kept = _read_draws(path, job.key, store)
    if kept is not None:
        return kept
    start = time.perf_counter()
    drawn, how = work.sampled(job, job.spec.sampling)
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
