"""What a sensitivity analysis will take: counted, and timed by what was timed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.run import structure_of
from nmda_bayes.sensitivity.store import Store
from nmda_bayes.sensitivity.variants import BASE

#: Seconds of processor of the shipped primary analysis: to compile a graph, and to draw from it and
#: answer. By these a hundred variants take 9 minutes on two workers; they took 526 s.
COMPILING: Final = 20.0
DRAWING: Final = 25.0
#: A variant of the base's own graph: four of five are weighed in a second or two, the others moved
#: or drawn.
NEARBY: Final = 6.0


@dataclass(frozen=True)
class Estimate:
    """A count and a time.

    Attributes
    ----------
    variants
        With the base.
    impossible
        Of these, how many cannot be fitted.
    alike
        Of these, how many choose the base's rows, so that its answer is theirs.
    finished
        Of these, how many are stored already.
    left
        Answers that are still asked for; names that ask for the same count once.
    graphs
        Models to compile for the rest.
    seconds
        What the rest will take.
    measured
        True where the seconds rest on this folder's own finished fits.
    """

    variants: int
    impossible: int
    alike: int
    finished: int
    left: int
    graphs: int
    seconds: float
    measured: bool

    @property
    def text(self) -> str:
        """The estimate in words."""
        left = self.left
        parts = [f"{self.variants} variants with the base"]
        if self.impossible:
            parts.append(f"{self.impossible} of them cannot be fitted")
        if self.alike:
            verb = "choose" if self.alike > 1 else "chooses"
            parts.append(f"{self.alike} of them {verb} the base's rows")
        if self.finished:
            parts.append(f"{self.finished} are finished")
        parts.append(f"{left} to fit, {self.graphs} models to compile")
        basis = "as this folder's own took" if self.measured else "as the primary analysis took"
        time = f"about {duration(self.seconds)}, {basis}" if left else "nothing is left to do"
        return f"{'; '.join(parts)}; {time}."


def estimate(plan: Plan, jobs: Mapping[str, Job], store: Store | None, workers: int) -> Estimate:
    """Count and time a plan.

    Parameters
    ----------
    plan
        What was asked.
    jobs
        Its jobs.
    store
        What is finished; None where nothing is.
    workers
        Processes at work at once.

    Returns
    -------
    Estimate
        Before anything runs.
    """
    held = store.held(job.key for job in jobs.values()) if store is not None else set()
    once = {job.key: job for job in jobs.values() if job.key not in held}
    left = list(once.values())
    graphs = len({structure_of(job) for job in left})
    own = _own_seconds(store, held)
    seconds = _shipped_seconds(jobs, left, graphs, workers) if own is None else own * len(left)
    return Estimate(
        variants=len(plan.variants),
        impossible=sum(bool(one.impossible) for one in plan.variants.values()),
        alike=sum(one.same_rows for one in plan.variants.values()),
        finished=len(held),
        left=len(left),
        graphs=graphs,
        seconds=seconds / max(1, workers),
        measured=own is not None,
    )


def _shipped_seconds(
    jobs: Mapping[str, Job], left: Sequence[Job], graphs: int, workers: int
) -> float:
    """Time variants as those of the primary analysis."""
    alike = structure_of(jobs[BASE]) if BASE in jobs else ""
    near = sum(structure_of(job) == alike for job in left)
    # Each worker compiles for itself what several of them work on.
    compiled = min(graphs + workers - 1, len(left))
    return compiled * COMPILING + near * NEARBY + (len(left) - near) * DRAWING


def _own_seconds(store: Store | None, held: set[str]) -> float | None:
    answers = [store.read(key) for key in sorted(held)[:50]] if store is not None else []
    known: Sequence[float] = [float(a.attrs.get("seconds", 0)) for a in answers if a is not None]
    return sum(known) / len(known) if known else None


def duration(seconds: float) -> str:
    """Write a length of time as a person would.

    Parameters
    ----------
    seconds
        Its length.

    Returns
    -------
    str
        ``40 s``, ``12 min``, ``3.5 h``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
