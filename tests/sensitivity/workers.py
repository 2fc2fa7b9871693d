"""What the workers of the tests do: answers at once, or none at all.

Only a driver imports what is heavy: each worker is a process of its own, and starts anew.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

from nmda_bayes.sensitivity.job import Job

OUTCOMES, AGENTS, CONDITIONS = ["pain", "harm"], ["ketamine", "mem"], ["crps", "fibro"]
STATISTICS = ("mean", "sd", "lower", "median", "upper", "above_zero", "mcse")
PRELOADED = ["tests.sensitivity.workers"]
PAUSE, DEADLY = "NMDA_BAYES_TEST_PAUSE", "NMDA_BAYES_TEST_DEADLY"


def some_code() -> str:
    """The code, which is not edited while tests run."""
    return "the code"


def quick(job: Job) -> xr.Dataset:
    """Numbers that follow from the job's key alone, after a pause."""
    time.sleep(float(os.environ.get(PAUSE, "0")))
    random = np.random.default_rng(int(job.key, 16))
    shape = (2, 2, 2)
    cells = {"outcome": OUTCOMES, "agent": AGENTS, "condition": CONDITIONS}
    effect = xr.DataArray(
        np.sort(random.normal(size=(*shape, len(STATISTICS)))),
        coords={**cells, "statistic": list(STATISTICS)},
    )
    trials = xr.DataArray(random.integers(0, 5, shape), coords=cells)
    p = xr.DataArray(
        random.uniform(size=(2, 2)), coords={k: cells[k] for k in ("agent", "condition")}
    )
    found = xr.Dataset({"effect": effect, "trials": trials, "p_window": p})
    found["ed50"] = effect.mean("condition")
    found["heterogeneity_sd"] = effect.mean(["condition", "agent"])
    attributes = {"how": "fitted", "seconds": 0.1, "passed": 1, "gate": "[]", "k_hat": float("nan")}
    return found.assign_attrs(attributes)


def dying(job: Job) -> xr.Dataset:
    """Die once at one variant, for a file remembers it; and always at another."""
    once, always = os.environ[DEADLY].split(";")
    mark = Path(once)
    if job.name == "without study A" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == always:
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(job)


def failing(job: Job) -> xr.Dataset:
    """Fail at one variant."""
    if job.name == "without study A":
        raise ValueError("a singular matrix")
    return quick(job)


def the_plan(variants: int = 0):
    """Leave-one-out, and as many prior scales as are asked for."""
    from nmda_bayes.evidence import load_evidence
    from nmda_bayes.sensitivity.designs import Designs
    from nmda_bayes.sensitivity.plan import plan_of
    from tests import specs

    content: dict = {"dose": 1, "generate": {"leave_one_out": {"by": ["study"], "why": "so"}}}
    if variants:
        scale = {"of": "pain.emax.location", "by": list(np.arange(1, variants + 1) / 8 + 2)}
        content["generate"]["prior_scale"] = {**scale, "why": "so"}
    evidence = load_evidence(specs.both_tables())
    return plan_of(content, Designs(specs.benefit_risk(), evidence)), evidence


def main() -> None:
    """A driver of its own, to be killed: folder, workers, file of a plan and its evidence."""
    from nmda_bayes.sensitivity import executors as places
    from nmda_bayes.sensitivity import store as stores
    from nmda_bayes.sensitivity.executors import executors
    from nmda_bayes.sensitivity.run import run_plan
    from nmda_bayes.sensitivity.store import Store

    folder, processes, planned = sys.argv[1:]
    places.PRELOADED, stores.code_version = PRELOADED, some_code
    plan, evidence = pickle.loads(Path(planned).read_bytes())
    run_plan(plan, evidence, Store(folder), executors(int(processes)), work=quick)
    print("done", flush=True)
