"""One model, one table, one run: effective draws a second here, in brms and in hand-written JAGS.

The triptans network (182 arms, 70 trials, 7 agents) with the priors of
`tests/reference/triptans_hierarchical.toml`. Each fit is a cold process of its own, one after
another; each may use two cores (two chains at a time). Told are the bulk effective draws of the
worst parameter, by one estimator (ArviZ), a second of sampling with its warm-up, and the seconds
from the start of the process to its summary. Here this is told twice: of the first process that
ever fits the model, and of any later one, which finds its code kept on disk. A machine that others
use slows all of them, not evenly: effective draws a second of processor, and all seconds of
processor, are told beside.

The peers stand in `benchmarks/peers/`; Debian has them as r-cran-brms, r-cran-rstan, libboost-dev,
jags and r-cran-rjags. One that is not installed is said to be missing, which is no pass.
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
    """What one cold process took, and what it drew."""

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
        """Effective draws of the worst parameter a second of sampling."""
        return self.effective / self.sampling


def run(command: list[str], compiled: str) -> Run | None:
    """Fit once in a process of its own that keeps code in a folder; None where it cannot be run."""
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
        told = pd.read_csv(Path(folder) / "told.csv").iloc[0]
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
        str(told["version"]), effective[worst], worst, int(told["divergences"]),
        float(told["compiling"]), float(told["sampling"]), float(told["processor"]), cold, used,
    )  # fmt: skip


def main() -> None:
    """Print one line a fit, and the ratios against the targets."""
    columns = ("ESS", "s", "ESS/s", "ESS/CPU s", "div", "compile", "cold s", "CPU s")
    print(f"{'':<12}" + "".join(f"{column:>10}" for column in columns))
    runs = {}
    compiled = tempfile.TemporaryDirectory()
    for name, command in RUNS.items():
        done = run(command, compiled.name)
        if done is None:
            print(f"{name:<12} is not installed, or it failed: nothing is shown against it")
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
        ratio, owed = ours.rate / peer.rate, peer.effective / peer.processor
        print(
            f"{ratio:.1f} x {name} in ESS a second of sampling (target {TARGETS[name]});"
            f" {ours.effective / ours.processor / owed:.1f} x a second of processor"
        )
    if "brms" in runs:
        for words, one in (("", ours), ("; the first process of all", first)):
            share = one.cold / runs["brms"].cold
            work = one.cold_processor / runs["brms"].cold_processor
            print(
                f"{share:.3f} of brms's cold time (target at most {COLD_SHARE});"
                f" {work:.3f} of its seconds of processor{words}"
            )


if __name__ == "__main__":
    main()
