"""A hundred variants of the primary analysis, in units of a cold fit; and ten of them by cold fits.

A cold fit is a new process of `nmda-bayes fit models/benefit_risk.toml` with nothing compiled on
disk; the variants run likewise, by `nmda-bayes sensitivity` into an empty folder. They are those of
`models/sensitivity.toml` and more prior locations, a hundred in all. For comparison, ten variants,
drawn with a fixed seed, are written as separate specs and fitted cold. Mean effects are compared in
Monte Carlo errors of their difference.

Other load slows processes unequally: CPU time is printed with wall time, and the cold fit is the
mean of two, before and after the variants. On two idle cores this takes about a quarter of an hour,
and twice that with the ten; `--sample 0` skips them.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import xarray as xr

from nmda_bayes import AnalysisSpec, load_evidence
from nmda_bayes.results_folder import write_spec
from nmda_bayes.sensitivity.plan import Plan, read_plan
from nmda_bayes.sensitivity.summaries import posterior_summaries

MODELS = Path(__file__).parents[1] / "models"
BASE, FILE = MODELS / "benefit_risk.toml", MODELS / "sensitivity.toml"
COMMAND = Path(sys.executable).with_name("nmda-bayes")
VARIANTS, SEED, DOSE = 100, 20251122, 1.0
#: Label of each sensitivity analysis, and its target in cold fits.
TARGETS = {"hundred": (f"{VARIANTS} variants", 10), "leave": ("leave one study out, all", 5)}
#: Shifts of prior locations that are added until there are enough variants.
SHIFTS = {
    "analgesia.log_ed50.location": (-1.0, -0.5, 0.5, 1.0),
    "analgesia.emax.location": (-5.0, 5.0),
    "psychotomimetic.slope.location": (-0.5, 0.5),
}


@dataclass(frozen=True)
class Taken:
    """Wall time and CPU time, seconds."""

    wall: float
    processor: float


def timed(*command: str | Path) -> Taken:
    """Run a cold process to its end, whether or not its convergence checks pass."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:  # nothing compiled by earlier processes
        flags = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={cache}"}
        ended = subprocess.run(
            [COMMAND, *command], capture_output=True, text=True, check=False, env=flags
        )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode not in (0, 3):
        sys.exit(ended.stderr[-2000:])
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return Taken(wall, used)


def plan_of(content: dict[str, Any], path: Path, evidence: xr.DataTree) -> Plan:
    """Write a sensitivity analysis, and read it."""
    path.write_text(tomli_w.dumps({**content, "base": str(BASE)}), encoding="utf-8")
    return read_plan(path, evidence, AnalysisSpec.from_toml(BASE))


def hundred(path: Path, evidence: xr.DataTree) -> Plan:
    """Write the shipped variants and further prior locations."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    rules = content["generate"]["prior_location"]
    rules += [{"of": of, "by": list(by), "why": "a grid"} for of, by in SHIFTS.items()]
    plan = plan_of(content, path, evidence)
    count = sum(variant.design is not None for variant in plan.variants.values()) - 1
    assert count == VARIANTS, f"{count} variants can be fitted: change SHIFTS"
    return plan


def cold(plan: Plan, name: str, folder: Path) -> tuple[Taken, xr.Dataset]:
    """Fit one variant as a separate analysis."""
    write_spec(plan.variants[name].spec, folder / "spec.toml")
    taken = timed("fit", folder / "spec.toml", "--out", folder / "fit")
    with xr.open_datatree(folder / "fit" / "fit.nc", engine="h5netcdf") as fit:
        return taken, posterior_summaries(fit.load(), DOSE)


def standardised_differences(variant: xr.Dataset, refit: xr.Dataset) -> np.ndarray:
    """Compare mean effects of all cells, in Monte Carlo errors of their difference."""
    effects = xr.align(variant["effect"], refit["effect"], join="inner")
    difference = (effects[0] - effects[1]).sel(statistic="mean")
    error = np.hypot(*(effect.sel(statistic="mcse") for effect in effects))
    return np.abs((difference / error).to_numpy()[(error > 0).to_numpy()])


def naive(plan: Plan, results: xr.Dataset, count: int) -> list[Taken]:
    """Fit a sample of the variants cold, and print the differences of their effects."""
    names = [str(n) for n in results["variant"].to_numpy()[1:] if plan.variants[str(n)].design]
    chosen = np.random.default_rng(SEED).choice(names, count, replace=False)
    print(f"\n{'difference in MCSE: mean':>24}{'max':>7}  how           variant")
    fits, distances = [], []
    for name in map(str, chosen):
        with tempfile.TemporaryDirectory() as folder:
            taken, refit = cold(plan, name, Path(folder))
        result = results.sel(variant=name)
        fits.append(taken)
        distances.append(standardised_differences(result, refit))
        how = str(result["how"].item()) + ("" if bool(result["passed"]) else ", failed")
        print(f"{distances[-1].mean():>24.2f}{distances[-1].max():>7.2f}  {how:<14}{name}")
    every = np.concatenate(distances)
    print(
        f"{every.mean():>24.2f}{every.max():>7.2f}  {len(every)} effects; expected mean for"
        " normal errors: 0.80"
    )
    return fits


def run_analyses(folder: Path, workers: str) -> dict[str, tuple[Taken, xr.Dataset]]:
    """Run both sensitivity analyses, and print how their variants were computed."""
    runs = {}
    for name in TARGETS:
        out = folder / name
        taken = timed("sensitivity", folder / f"{name}.toml", "--out", out, "--workers", workers)
        table = xr.load_dataset(out / "sensitivity.nc", engine="h5netcdf")
        runs[name] = taken, table
        how = table["how"].to_numpy().astype(str)
        counts = zip(*np.unique(how, return_counts=True), strict=True)
        texts = [f"{n} {label or 'impossible'}" for label, n in counts]
        failed = int((~table["passed"].to_numpy() & (how != "")).sum())
        print(f"{name}: {', '.join(texts)}; {failed} failed the convergence checks", flush=True)
    return runs


def ratios(fits: list[Taken], runs: dict[str, tuple[Taken, xr.Dataset]]) -> float:
    """Print the times and ratios of each job, and return the mean wall time of a cold fit."""
    print(f"{'':<28}{'s':>8}{'CPU s':>8}{'ratio':>8}{'of CPU':>8}{'target':>8}")
    for fit in fits:
        print(f"{'a cold fit':<28}{fit.wall:>8.1f}{fit.processor:>8.1f}")
    wall, processor = (float(np.mean(values)) for values in zip(*map(astuple, fits), strict=True))
    for name, (taken, _) in runs.items():
        label, target = TARGETS[name]
        print(
            f"{label:<28}{taken.wall:>8.1f}{taken.processor:>8.1f}{taken.wall / wall:>8.1f}"
            f"{taken.processor / processor:>8.1f}{target:>8}",
            flush=True,
        )
    return wall


def main() -> None:
    """Run all jobs and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="2")
    parser.add_argument("--sample", type=int, default=10)
    options = parser.parse_args()
    evidence = load_evidence()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plan = hundred(folder / "hundred.toml", evidence)
        leave = {"why": "Does the result depend on a single trial?", "by": ["study"]}
        plan_of({"generate": {"leave_one_out": leave}}, folder / "leave.toml", evidence)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {options.workers} workers")
        before = timed("fit", BASE, "--out", folder / "before")
        runs = run_analyses(folder, options.workers)
        wall = ratios([before, timed("fit", BASE, "--out", folder / "after")], runs)
        if options.sample:
            fits = naive(plan, runs["hundred"][1], options.sample)
            each = float(np.mean([taken.wall for taken in fits])) / wall
            print(
                f"a loop of cold fits: {VARIANTS * each:.0f} x a cold fit for {VARIANTS},"
                f" estimated from {len(fits)}"
            )


if __name__ == "__main__":
    main()
