"""What a worker does: one variant, from its spec and rows to its answers.

A worker keeps the last graphs that it compiled: variants of one structure come one after the other,
and only the first of them waits for the compiler.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.checks.diagnostics import diagnostics, gate
from nmda_bayes.dims import CHAIN
from nmda_bayes.inference.exact import integrate
from nmda_bayes.inference.fitting import EXACT as BY_INTEGRATION
from nmda_bayes.inference.fitting import method_of
from nmda_bayes.inference.prepared import Prepared, prepare
from nmda_bayes.model import OFFSET, model_of
from nmda_bayes.sensitivity.answers import answers, as_fit
from nmda_bayes.sensitivity.designs import seen
from nmda_bayes.sensitivity.foretold import foretold
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.variants import BASE
from nmda_bayes.spec import SamplingSpec

#: How an answer was got, from the cheapest to the dearest.
EXACT: Final = "exact"
REWEIGHTED: Final = "reweighted"
MATCHED: Final = "moment matched"
REFITTED: Final = "refitted"
FITTED: Final = "fitted"
WAYS: Final = (EXACT, REWEIGHTED, MATCHED, REFITTED, FITTED)
#: Linear predictors of arms are no answer of a variant, and they are half of the scalars.
NOT_GATED: Final = ("eta", OFFSET)
#: A variant draws half as often as the base, but no less than so often a chain, and tunes half as
#: long: what is compared are differences of tenths of an SD, and the other half would take a third
#: off an error of 3 % of one. Where the gate refuses the half, as many chains again stand beside
#: it. After 500 of tuning all of a hundred variants of the primary analysis passed in the end.
DRAWS_AT_LEAST: Final = 1000
TUNED_AT_LEAST: Final = 500
#: The graphs that were compiled last.
_PREPARED: deque[Prepared] = deque(maxlen=3)
#: PyTensor compiles for one thread of a process at a time.
_ONE_AT_A_TIME = threading.Lock()


def answer(job: Job) -> xr.Dataset:
    """Fit a variant and answer what variants are compared by.

    Parameters
    ----------
    job
        The variant.

    Returns
    -------
    xr.Dataset
        As `nmda_bayes.sensitivity.answers.answers` gives it; attributes ``how`` (one of `WAYS`),
        ``seconds``, ``passed``, ``gate`` (the failed checks, in words) and ``k_hat`` (NaN where
        nothing was reweighted).
    """
    with _ONE_AT_A_TIME:
        start = time.perf_counter()
        if method_of(job.spec, job.design) == BY_INTEGRATION:
            rows = seen(job.design)
            drawn = integrate(job.spec, rows, model_of(job.spec, rows))
            return _told_of(job, drawn, EXACT, start)
        part = _part(job)
        if part is None:
            return _told_of(job, *sampled(job, job.spec.sampling), start)
        drawn, how = sampled(job, part)
        found = _told_of(job, drawn, how, start)
        if found.attrs["passed"]:
            return found
        again = part.model_copy(update={"seed": part.seed + 1})
        return _told_of(job, _beside(drawn, sampled(job, again)[0]), how, start)


def _part(job: Job) -> SamplingSpec | None:
    """Halve what is drawn; None for the base, and where less than that is asked for."""
    asked = job.spec.sampling
    short = asked.draws < 2 * DRAWS_AT_LEAST or asked.tune < 2 * TUNED_AT_LEAST
    if job.name == BASE or short:
        return None
    return asked.model_copy(update={"draws": asked.draws // 2, "tune": asked.tune // 2})


def _beside(drawn: xr.DataTree, more: xr.DataTree) -> xr.DataTree:
    """Put chains beside others of the same posterior."""
    parts = {}
    for name in drawn.children:
        ours, theirs = (tree[name].to_dataset() for tree in (drawn, more))
        moved = theirs.assign_coords({CHAIN: theirs[CHAIN] + ours.sizes[CHAIN]})
        parts[name] = xr.concat([ours, moved], dim=CHAIN)
    return xr.DataTree.from_dict(parts)


def _told_of(job: Job, drawn: xr.DataTree, how: str, start: float) -> xr.Dataset:
    parts = (drawn[name].to_dataset() for name in ("posterior", "sample_stats"))
    fit = as_fit(job.spec, job.design, *parts)
    return told(fit, job.dose, how=how, seconds=time.perf_counter() - start, elpd=job.elpd)


def told(
    fit: xr.DataTree,
    dose: float,
    *,
    how: str,
    seconds: float,
    k_hat: float = np.nan,
    elpd: bool = False,
) -> xr.Dataset:
    """Answer, and say how the answer was got and whether it may be believed.

    Parameters
    ----------
    fit
        As `as_fit` makes it.
    dose
        Where effects are compared.
    how
        One of `WAYS`.
    seconds
        What the fit took.
    k_hat
        Of the importance weights, where the draws were reweighted: the gate is then not asked
        again, for chains that are resampled have none.
    elpd
        True where it is asked how well whole trials are foretold.

    Returns
    -------
    xr.Dataset
        The answers.
    """
    found = answers(fit, dose)
    if elpd:
        found = found.merge(foretold(fit))
    failed = [] if how in (REWEIGHTED, MATCHED) else _failed(fit)
    return found.assign_attrs(
        how=how,
        seconds=float(seconds),
        passed=int(not failed),
        gate=json.dumps(failed),
        k_hat=float(k_hat),
    )


def sampled(job: Job, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
    """Draw from the posterior of a variant, by a graph that is compiled already where there is one.

    Parameters
    ----------
    job
        The variant.
    settings
        How often.

    Returns
    -------
    tuple[xr.DataTree, str]
        Groups posterior and sample_stats, and how they were got.
    """
    for known in _PREPARED:
        if known.accepts(job.spec, job.design):
            drawn = known.sample(settings, spec=job.spec, design=job.design)
            return drawn, REFITTED
    made = prepare(job.spec, job.design)
    _PREPARED.appendleft(made)
    return made.sample(settings), FITTED


def _failed(fit: xr.DataTree) -> list[str]:
    """Name the checks of the gate that a fit failed."""
    posterior = fit["posterior"].to_dataset()
    left = [n for n in posterior.data_vars if not str(n).endswith(NOT_GATED)]
    asked = fit.copy()
    asked["posterior"] = xr.DataTree(posterior[left])
    held: Any = gate(asked, diagnostics(asked))
    return [
        f"{row.check} {row.value:.4g} (limit {row.threshold:g}) at {row.where}"
        for row in held[~held["passed"]].itertuples()
    ]
