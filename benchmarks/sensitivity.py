"""A hundred variants of the primary analysis, in cold fits of it; and ten of them by cold fits.

A cold fit is a new process of `nmda-bayes fit models/benefit_risk.toml` that finds nothing compiled
on disk; a sweep is likewise one of
`nmda-bayes sensitivity` into an empty folder, by the workers that are named. The variants are those
of `models/sensitivity.toml` and prior locations beside them, to a hundred that can be fitted.
Beside the sweep stands what an analyst does without it: ten of its variants, drawn with a fixed
seed, each written as a spec of its own and fitted cold. The means of their effects are held to the
sweep's, in Monte Carlo errors of their difference.

A machine that others use slows all of them, not evenly: seconds of processor stand beside those on
the wall, and the cold fit is the mean of two, before the sweeps and after. On two idle cores this
takes about a quarter of an hour, and twice that with the ten; `--sample 0` leaves them out.
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
from nmda_bayes.sensitivity.answers import answers
from nmda_bayes.sensitivity.plan import Plan, read_plan

MODELS = Path(__file__).parents[1] / "models"
BASE, FILE = MODELS / "benefit_risk.toml", MODELS / "sensitivity.toml"
COMMAND = Path(sys.executable).with_name("nmda-bayes")
VARIANTS, SEED, DOSE = 100, 20251122, 1.0
#: What each sensitivity analysis is, and its target in cold fits.
TARGETS = {"hundred": (f"{VARIANTS} variants", 10), "leave": ("leave one study out, all", 5)}
#: Shifts of prior locations that are added until there are enough variants.
SHIFTS = {
    "analgesia.log_ed50.location": (-1.0, -0.5, 0.5, 1.0),
    "analgesia.emax.location": (-5.0, 5.0),
    "psychotomimetic.slope.location": (-0.5, 0.5),
}


@dataclass(frozen=True)
class Taken:
    """Seconds on the wall, and of processor."""

    wall: float
    processor: float


def timed(*command: str | Path) -> Taken:
    """Run a cold process to its end; a fit that its checks refuse is a fit."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:  # nothing that an earlier process compiled
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
    """Write the shipped variants and prior locations beside them."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    rules = content["generate"]["prior_location"]
    rules += [{"of": of, "by": list(by), "why": "a grid"} for of, by in SHIFTS.items()]
    plan = plan_of(content, path, evidence)
    count = sum(one.design is not None for one in plan.variants.values()) - 1
    assert count == VARIANTS, f"{count} variants can be fitted: add to SHIFTS, or take from it"
    return plan


def cold(plan: Plan, name: str, folder: Path) -> tuple[Taken, xr.Dataset]:
    """Fit one variant as if it were the only one."""
    write_spec(plan.variants[name].spec, folder / "spec.toml")
    taken = timed("fit", folder / "spec.toml", "--out", folder / "fit")
    with xr.open_datatree(folder / "fit" / "fit.nc", engine="h5netcdf") as fit:
        return taken, answers(fit.load(), DOSE)


def apart(cheap: xr.Dataset, full: xr.Dataset) -> np.ndarray:
    """Hold mean effects of all cells to each other, in Monte Carlo errors of their difference."""
    one, two = xr.align(cheap["effect"], full["effect"], join="inner")
    off = (one - two).sel(statistic="mean")
    error = np.hypot(one.sel(statistic="mcse"), two.sel(statistic="mcse"))
    return np.abs((off / error).to_numpy()[(error > 0).to_numpy()])


def naive(plan: Plan, found: xr.Dataset, count: int) -> list[Taken]:
    """Fit a sample of the variants cold, and print how far the sweep's answers are from theirs."""
    names = [str(n) for n in found["variant"].to_numpy()[1:] if plan.variants[str(n)].design]
    chosen = np.random.default_rng(SEED).choice(names, count, replace=False)
    print(f"\n{'apart, in errors: mean':>24}{'worst':>7}  got           variant")
    fits, distances = [], []
    for name in map(str, chosen):
        with tempfile.TemporaryDirectory() as folder:
            taken, full = cold(plan, name, Path(folder))
        one = found.sel(variant=name)
        fits.append(taken)
        distances.append(apart(one, full))
        way = str(one["how"].item()) + ("" if bool(one["passed"]) else ", refused")
        print(f"{distances[-1].mean():>24.2f}{distances[-1].max():>7.2f}  {way:<14}{name}")
    every = np.concatenate(distances)
    print(
        f"{every.mean():>24.2f}{every.max():>7.2f}  {len(every)} effects; of a normal error of 1"
        " the mean is 0.80"
    )
    return fits


def sweeps(folder: Path, workers: str) -> dict[str, tuple[Taken, xr.Dataset]]:
    """Run both sensitivity analyses, and print how their answers were got."""
    found = {}
    for name in TARGETS:
        out = folder / name
        taken = timed("sensitivity", folder / f"{name}.toml", "--out", out, "--workers", workers)
        table = xr.load_dataset(out / "sensitivity.nc", engine="h5netcdf")
        found[name] = taken, table
        ways = table["how"].to_numpy().astype(str)
        how, counts = np.unique(ways, return_counts=True)
        told = [f"{n} {way or 'impossible'}" for way, n in zip(how, counts, strict=True)]
        refused = int((~table["passed"].to_numpy() & (ways != "")).sum())
        print(f"{name}: {', '.join(told)}; {refused} refused by their checks", flush=True)
    return found


def ratios(fits: list[Taken], found: dict[str, tuple[Taken, xr.Dataset]]) -> float:
    """Print one line a job, and its ratio to a cold fit against the target."""
    print(f"{'':<28}{'s':>8}{'CPU s':>8}{'ratio':>8}{'of CPU':>8}{'target':>8}")
    for one in fits:
        print(f"{'a cold fit':<28}{one.wall:>8.1f}{one.processor:>8.1f}")
    wall, processor = (float(np.mean(values)) for values in zip(*map(astuple, fits), strict=True))
    for name, (taken, _) in found.items():
        label, target = TARGETS[name]
        print(
            f"{label:<28}{taken.wall:>8.1f}{taken.processor:>8.1f}{taken.wall / wall:>8.1f}"
            f"{taken.processor / processor:>8.1f}{target:>8}",
            flush=True,
        )
    return wall


def main() -> None:
    """Print one line a job, and its ratio to a cold fit against the target."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--workers", default="2")
    asked.add_argument("--sample", type=int, default=10)
    said = asked.parse_args()
    evidence = load_evidence()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plan = hundred(folder / "hundred.toml", evidence)
        leave = {"why": "Does one trial carry the answer?", "by": ["study"]}
        plan_of({"generate": {"leave_one_out": leave}}, folder / "leave.toml", evidence)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {said.workers} workers")
        before = timed("fit", BASE, "--out", folder / "before")
        found = sweeps(folder, said.workers)
        wall = ratios([before, timed("fit", BASE, "--out", folder / "after")], found)
        if said.sample:
            fits = naive(plan, found["hundred"][1], said.sample)
            each = float(np.mean([taken.wall for taken in fits])) / wall
            print(
                f"a loop of cold fits: {VARIANTS * each:.0f} x a cold fit for {VARIANTS},"
                f" by the {len(fits)} of them"
            )


if __name__ == "__main__":
    main()
