"""A whole sensitivity analysis: from a file and evidence to one table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from tempfile import TemporaryDirectory

import xarray as xr

from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.sensitivity.designs import rows_asked
from nmda_bayes.sensitivity.executors import executors
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.plan import Plan, base_of, read_plan
from nmda_bayes.sensitivity.results import together
from nmda_bayes.sensitivity.store import Store, key_of
from nmda_bayes.sensitivity.sweep import Cheap, Near, Progress, Work, sweep
from nmda_bayes.sensitivity.variants import BASE
from nmda_bayes.spec import AnalysisSpec


def fit_variants(
    path: str | os.PathLike[str],
    evidence: xr.DataTree,
    *,
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    only: tuple[str, ...] = (),
) -> xr.Dataset:
    """Run a sensitivity analysis.

    Parameters
    ----------
    path
        Its TOML file.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    store
        A folder that keeps each answer as soon as it is there, so that a second call goes on; None
        to keep nothing.
    workers
        Processes of this machine; None for this one.
    only
        Names of variants, in which ``*`` stands for anything; empty for all.

    Returns
    -------
    xr.Dataset
        As `nmda_bayes.sensitivity.results.together` gives it: a dim variant, the base first.

    Raises
    ------
    SpecError, EvidenceError
        With every fault of every variant, before anything runs.
    """
    base = AnalysisSpec.from_toml(base_of(path, shipped_folder("models")))
    plan = read_plan(path, evidence, base)
    plan = plan.only(only) if only else plan
    where = executors(workers)
    if store is not None:
        return run_plan(plan, evidence, Store(store), where)
    with TemporaryDirectory() as folder:
        return run_plan(plan, evidence, Store(folder), where)


def run_plan(
    plan: Plan,
    evidence: xr.DataTree,
    store: Store,
    where: Callable[[], Executor],
    *,
    work: Work | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run a plan.

    Parameters
    ----------
    plan
        Every variant whole and checked.
    evidence
        What it was checked against.
    store
        What is finished, and where it goes.
    where
        As `nmda_bayes.sensitivity.executors.executors` gives it.
    work
        What answers a variant; None to fit it.
    progress
        Told of each finished variant.

    Returns
    -------
    xr.Dataset
        One table.
    """
    jobs = jobs_of(plan, evidence)
    ordered = list(in_order(jobs, structure_of))
    cheap = _cheap(jobs[BASE], store) if work is None and BASE in jobs else None
    return together(plan, sweep(ordered, store, where, work or _fitting(), progress, cheap))


def _cheap(base: Job, store: Store) -> Cheap:
    def of(left: Sequence[Job]) -> Near | None:
        from nmda_bayes.sensitivity.cheap import nearby  # PyMC takes seconds to import

        structure = structure_of(base)
        return nearby(base, left, store, lambda job: structure_of(job) == structure)

    return of


def _fitting() -> Work:
    from nmda_bayes.sensitivity.work import answer  # PyMC takes seconds to import

    return answer


def jobs_of(plan: Plan, evidence: xr.DataTree) -> dict[str, Job]:
    """Make the jobs of a plan.

    Parameters
    ----------
    plan
        Every variant whole and checked.
    evidence
        What it was checked against.

    Returns
    -------
    dict[str, Job]
        By name; what cannot be fitted has none.
    """
    hashed = str(evidence.attrs["evidence_hash"])
    jobs = {}
    for name, one in plan.variants.items():
        asked = plan.base if one.same_rows else one
        if asked.design is not None:
            wanted = [plan.dose, "elpd"] if plan.elpd else plan.dose
            key = key_of(asked.spec, hashed, wanted)
            jobs[name] = Job(name, key, asked.spec, asked.design, plan.dose, plan.elpd)
    return jobs


def structure_of(job: Job) -> str:
    """Name the compiled graph that a job needs, nearly: rows and parts, without priors' numbers.

    Parameters
    ----------
    job
        A variant.

    Returns
    -------
    str
        The same for jobs that should stand side by side.
    """
    parts = [
        (
            name,
            one.curve,
            one.likelihood,
            str((one.curve_options, one.curves)),
            one.heterogeneity,
            sorted(one.parameters),
        )
        for name, one in job.spec.outcomes.items()
    ]
    bare = job.spec.model_copy(update={"exclude": {}})
    tied = sorted(job.spec.correlations.model_dump(exclude_none=True))
    return f"{rows_asked(bare)} {parts} {tied}"


def in_order(jobs: Mapping[str, Job], structure: Callable[[Job], str]) -> Iterator[Job]:
    """Put the jobs of one structure side by side, the largest group first.

    Parameters
    ----------
    jobs
        By name.
    structure
        Names the compiled graph that a job needs.

    Yields
    ------
    Job
        Each once.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs.values():
        groups.setdefault(structure(job), []).append(job)
    for group in sorted(groups.values(), key=len, reverse=True):
        yield from group
