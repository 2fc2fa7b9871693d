"""Work functions for test workers: quick results, failures and crashes.

Heavy imports are in the driver only: each worker is a new process.
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

from nmda_bayes.sensitivity.runner import VariantJob

OUTCOMES, AGENTS, CONDITIONS = ["pain", "harm"], ["ketamine", "mem"], ["crps", "fibro"]
STATISTICS = ("mean", "sd", "lower", "median", "upper", "above_zero", "mcse")
PRELOADED = ["tests.sensitivity.workers"]
PAUSE, DEADLY = "NMDA_BAYES_TEST_PAUSE", "NMDA_BAYES_TEST_DEADLY"


def code_version() -> str:
    """A fixed code version."""
    return "the code"


def quick(job: VariantJob) -> xr.Dataset:
    """Return numbers that depend only on the job's key, after a pause."""
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
    result = xr.Dataset({"effect": effect, "trials": trials, "p_window": p})
    result["ed50"] = effect.mean("condition")
    result["heterogeneity_sd"] = effect.mean(["condition", "agent"])
    attributes = {"how": "fitted", "seconds": 0.1, "passed": 1, "k_hat": float("nan")}
    return result.assign_attrs(attributes, failed_checks="[]")


def dying(job: VariantJob) -> xr.Dataset:
    """Kill the worker once at one variant (a file remembers it), and always at another."""
    once, always = os.environ[DEADLY].split(";")
    mark = Path(once)
    if job.name == "without study A" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == always:
        os.kill(os.getpid(), signal.SIGKILL)
    return quick(job)


def failing(job: VariantJob) -> xr.Dataset:
    """Raise an error at one variant."""
    if job.name == "without study A":
        raise ValueError("a singular matrix")
    return quick(job)


def the_plan(variants: int = 0):
    """Return a plan with leave-one-out and some prior scales, and its evidence."""
    from nmda_bayes.evidence import load_evidence
    from nmda_bayes.sensitivity.plan import build_plan
    from nmda_bayes.sensitivity.variants import DesignCache
    from tests.support import specs

    content: dict = {"dose": 1, "generate": {"leave_one_out": {"by": ["study"], "why": "so"}}}
    if variants:
        scale = {"of": "pain.emax.location", "by": list(np.arange(1, variants + 1) / 8 + 2)}
        content["generate"]["prior_scale"] = {**scale, "why": "so"}
    evidence = load_evidence(specs.both_tables())
    return build_plan(content, DesignCache(specs.benefit_risk(), evidence)), evidence


def main() -> None:
    """Run a plan as a separate process that a test can kill."""
    from nmda_bayes.sensitivity import cache, runner

    folder, processes, plan_file = sys.argv[1:]
    runner.PRELOADED, cache.code_version = PRELOADED, code_version
    plan, evidence = pickle.loads(Path(plan_file).read_bytes())
    make_executor = runner.executor_factory(int(processes))
    runner.run_plan(plan, evidence, cache.ResultCache(folder), make_executor, work=quick)
    print("done", flush=True)
