"""Effective draws per second of one model here, in brms and in hand-written JAGS.

The triptans network (182 arms, 70 trials, 7 agents) with the priors of
`tests/reference/triptans_hierarchical.toml`. Each fit is a separate cold process, one after
another; each may use two cores (two chains at a time). Reported are the bulk effective draws of the
worst parameter, by one estimator (ArviZ), per second of sampling including warm-up, and the seconds
from the start of the process to its summary. Here both are reported twice: for the first process
that ever fits the model, and for a later one, which loads compiled code from disk. Shared machines
slow the programs unequally, so effective draws per second of CPU and the CPU time are reported too.

The scripts of the peers are in `benchmarks/peers/`; their Debian packages are r-cran-brms,
r-cran-rstan, libboost-dev, jags and r-cran-rjags. One that is not installed is reported missing.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ARMS = HERE.parent / "tests" / "reference" / "triptans.csv"
OURS = [sys.executable, str(HERE / "peers" / "triptans_ours.py")]
RUNS = {
    "ours, first": OURS,
    "ours": OURS,
    "brms": ["Rscript", str(HERE / "peers" / "triptans_brms.R")],
    "JAGS": ["Rscript", str(HERE / "peers" / "triptans_jags.R")],
}
TARGETS = {"brms": 15, "JAGS": 30}
COLD_SHARE = 0.1


@dataclass(frozen=True)
class Run:
    """Times and effective draws of one cold process."""

    version: str
    effective: float
    worst: str
    divergences: int
    compiling: float
    sampling: float
    processor: float
    cold: float
    cold_processor: float

    @property
    def rate(self) -> float:
        """Effective draws of the worst parameter per second of sampling."""
        return self.effective / self.sampling


def run(command: list[str], compiled: str) -> Run | None:
    """Fit in a new process that caches compiled code in a folder; None if it cannot run."""
    flags = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={compiled}"}
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        try:
            ended = subprocess.run(
                [*command, str(ARMS), folder],
                capture_output=True,
                text=True,
                check=False,
                env=flags,
            )
        except FileNotFoundError:
            return None
        cold = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if ended.returncode != 0:
            print(ended.stderr[-600:], file=sys.stderr)
            return None
        draws = pd.read_csv(Path(folder) / "draws.csv")
        timings = pd.read_csv(Path(folder) / "timings.csv").iloc[0]
    chains = draws["chain"].nunique()
    effective = {
        name: float(arviz_stats.ess(draws[name].to_numpy().reshape(chains, -1), method="bulk"))
        for name in draws.columns[2:]
    }
    assert len(effective) == 19, sorted(effective)
    assert np.isfinite(list(effective.values())).all()
    worst = min(effective, key=effective.__getitem__)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return Run(
        str(timings["version"]), effective[worst], worst, int(timings["divergences"]),
        float(timings["compiling"]), float(timings["sampling"]), float(timings["processor"]),
        cold, used,
    )  # fmt: skip


def main() -> None:
    """Print one line per fit, and the ratios against the targets."""
    columns = ("ESS", "s", "ESS/s", "ESS/CPU s", "div", "compile", "cold s", "CPU s")
    print(f"{'':<12}" + "".join(f"{column:>10}" for column in columns))
    runs = {}
    compiled = tempfile.TemporaryDirectory()
    for name, command in RUNS.items():
        done = run(command, compiled.name)
        if done is None:
            print(f"{name:<12} is not installed or failed: no comparison")
            continue
        runs[name] = done
        print(
            f"{name:<12}{done.effective:>10.0f}{done.sampling:>10.1f}{done.rate:>10.1f}"
            f"{done.effective / done.processor:>10.1f}{done.divergences:>10}{done.compiling:>10.1f}"
            f"{done.cold:>10.1f}{done.cold_processor:>10.1f}"
            f"  worst {done.worst}; {done.version}"
        )
    first, ours = (runs.pop(name, None) for name in ("ours, first", "ours"))
    if first is None or ours is None:
        sys.exit(1)
    for name, peer in runs.items():
        ratio, peer_rate = ours.rate / peer.rate, peer.effective / peer.processor
        print(
            f"{ratio:.1f} x {name} in ESS per second of sampling (target {TARGETS[name]});"
            f" {ours.effective / ours.processor / peer_rate:.1f} x per second of CPU"
        )
    if "brms" in runs:
        for note, fit in (("", ours), ("; the first process of all", first)):
            share = fit.cold / runs["brms"].cold
            work = fit.cold_processor / runs["brms"].cold_processor
            print(
                f"{share:.3f} of brms's cold time (target at most {COLD_SHARE});"
                f" {work:.3f} of its CPU time{note}"
            )


if __name__ == "__main__":
    main()
