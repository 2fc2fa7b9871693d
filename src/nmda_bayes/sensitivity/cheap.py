"""The cheap pass: variants near the base are answered from its draws, weighed or moved and weighed.

The base is fitted first, here, and its draws are kept beside the answers, so that a run that was
cut off does not draw them again. What weights cannot carry stays for the sweep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from nmda_bayes.errors import Fault
from nmda_bayes.inference.fitting import NUTS, method_of
from nmda_bayes.inference.prepared import weighable
from nmda_bayes.inference.store import write_fit
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity import work
from nmda_bayes.sensitivity.answers import STATISTIC, as_fit
from nmda_bayes.sensitivity.differences import difference
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.matched_draws import WORTH_A_MOVE, Matcher
from nmda_bayes.sensitivity.reweighting import Reweighting, Weigher, resampled
from nmda_bayes.sensitivity.store import Store, digest


class Nearby:
    """Answers variants near a base one after the other, the base first.

    Nothing is drawn before the first of them is asked for, so that workers can compile meanwhile
    what is `far`.

    Parameters
    ----------
    base
        What the others differ from.
    jobs
        Those that have no answer; the base may be among them.
    store
        Where the base's draws are kept.
    alike
        Whether a job has the parts and rows of the base, which is told at once; graphs are built,
        which takes 0.15 s each, for the others alone.
    """

    def __init__(
        self, base: Job, jobs: Sequence[Job], store: Store, alike: Callable[[Job], bool]
    ) -> None:
        self._base, self._store = base, store
        self._wanted = any(job.key == base.key for job in jobs)
        others = [job for job in jobs if job.key != base.key]
        design = weighable(base.design)
        model = model_of(base.spec, design)

        def near(job: Job) -> bool:
            its = weighable(job.design)
            return difference(model, design, model_of(job.spec, its), its) is not None

        self.far = [job for job in others if not alike(job) and not near(job)]
        self.near = [job for job in others if job not in self.far]

    def __iter__(self) -> Iterator[tuple[Job, xr.Dataset | None]]:
        """Answer; None where weights cannot."""
        fit, answered = _base_fit(self._base, self._store)
        if self._wanted:
            yield self._base, answered
        cheap = _Cheap(fit, answered)
        for job in self.near:
            yield job, cheap.answer(job)


def nearby(
    base: Job, jobs: Sequence[Job], store: Store, alike: Callable[[Job], bool]
) -> Nearby | None:
    """Say what can be asked of the base's draws.

    Parameters
    ----------
    base, jobs, store, alike
        As `Nearby` takes them.

    Returns
    -------
    Nearby or None
        None where the base is all that is asked for, or is not drawn but integrated.
    """
    others = any(job.key != base.key for job in jobs)
    if not others or method_of(base.spec, base.design) != NUTS:
        return None
    return Nearby(base, jobs, store, alike)


class _Cheap:
    """Answers from the base's draws: weighed, or moved and weighed."""

    def __init__(self, fit: xr.DataTree, answered: xr.Dataset) -> None:
        self._fit, self._errors = fit, _errors(answered)
        self._weigher = Weigher(fit)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self._weigher)

    def answer(self, job: Job) -> xr.Dataset | None:
        """Answer a variant; None where neither suffices."""
        start = time.perf_counter()
        found, draws, how = (
            self._weigher.weigh(job.spec, job.design),
            self._weigher.every,
            work.REWEIGHTED,
        )
        if found is None:
            return None
        # Moved draws have nothing of a trial's own, where densities of trials start from.
        movable = found.effective >= WORTH_A_MOVE and not job.elpd
        if not found.reliable and movable:
            matched = self._matcher.match(job.spec, job.design)
            if matched is not None:
                draws, found, how = matched.draws, matched.weights, work.MATCHED
        if not found.reliable:
            return None
        posterior = resampled(draws, found, job.spec.sampling.seed)
        stats = self._fit["sample_stats"].to_dataset()
        answered = work.told(
            as_fit(job.spec, job.design, posterior, stats),
            job.dose,
            how=how,
            seconds=time.perf_counter() - start,
            k_hat=found.k_hat,
            elpd=job.elpd,
        )
        return _with_errors(answered, self._errors, found)


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


def _base_fit(job: Job, store: Store) -> tuple[xr.DataTree, xr.Dataset]:
    """Read the base's draws, or draw them and keep them; and answer."""
    path = store.folder / f"{job.key}.draws"
    fit = _read_draws(path, job.key, store)
    if fit is None:
        start = time.perf_counter()
        drawn, how = work.sampled(job, job.spec.sampling)
        parts = (drawn[name].to_dataset() for name in ("posterior", "sample_stats"))
        fit = as_fit(job.spec, job.design, *parts)
        fit.attrs |= {"how": how, "seconds": time.perf_counter() - start}
        signed = fit.copy()
        signed.attrs |= {"key": job.key, "digest": digest(fit["posterior"].to_dataset())}
        write_fit(signed, path)
    how, seconds = str(fit.attrs["how"]), float(fit.attrs["seconds"])
    return fit, work.told(fit, job.dose, how=how, seconds=seconds, elpd=job.elpd)


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
