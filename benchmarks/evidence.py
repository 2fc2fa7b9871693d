"""How long a table of 100,000 arms takes to be checked and loaded, against pandas reading it.

pandas only parts the file into cells; everything beyond that is checks, what follows from the
numbers, labels and the fingerprint. The last column is the process's peak memory so far.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence

ARMS = 100_000


def trials(arms: int) -> pd.DataFrame:
    """Make trials of two and three arms in turn: means with SDs."""
    rng = np.random.default_rng(1)
    sizes = np.resize([2, 3], arms)
    study = np.repeat(np.arange(arms), sizes)[:arms]
    place = np.arange(arms) - np.searchsorted(study, study)
    return pd.DataFrame(
        {
            "study": [f"Study {i}" for i in study],
            "agent": np.choose(place, ["placebo", "ketamine", "memantine"]),
            "dose": place * 0.5,
            "condition": "crps",
            "outcome": "pain",
            "time_hours": 24.0,
            "mean": rng.normal(50, 10, arms).round(2),
            "sd": rng.gamma(9, 1, arms).round(2),
            "n": rng.integers(10, 200, arms),
        }
    )


def faulty(arms: int) -> pd.DataFrame:
    """Make the same with a fault in every row, and another in all but the first."""
    frame = trials(arms)
    words = [f"x{i}" for i in range(1, arms)]
    return frame.assign(n=-frame["n"], mean=["3", *words])


def seconds(act: Callable[[Path], object], path: Path) -> float:
    """Run once and return the wall time; evidence may be refused."""
    start = time.perf_counter()
    try:
        act(path)
    except EvidenceError as refused:
        assert len(refused.faults) > 20
    return time.perf_counter() - start


def main() -> None:
    """Print one line a table: pandas, this, their ratio, and the peak memory."""
    print(f"{f'{ARMS:,} arms':<20}{'pandas s':>9}{'load s':>9}{'ratio':>8}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("right", trials), ("a fault in each", faulty)):
            path = Path(folder) / "table.csv"
            make(ARMS).to_csv(path, index=False)
            plain = min(seconds(pd.read_csv, path) for _ in range(3))
            load = min(seconds(load_evidence, path) for _ in range(3))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(f"{name:<20}{plain:>9.3f}{load:>9.2f}{load / plain:>8.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
