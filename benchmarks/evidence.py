"""Time to validate and load a table of 100,000 arms, relative to pandas reading it.

pandas only parses the file; the rest is validation, derived values, labels and the hash. The last
column is the peak memory of the process so far.
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
    """Simulate trials with two and three arms: means with SDs."""
    rng = np.random.default_rng(1)
    sizes = np.resize([2, 3], arms)
    study = np.repeat(np.arange(arms), sizes)[:arms]
    arm = np.arange(arms) - np.searchsorted(study, study)
    return pd.DataFrame(
        {
            "study": [f"Study {i}" for i in study],
            "agent": np.choose(arm, ["placebo", "ketamine", "memantine"]),
            "dose": arm * 0.5,
            "condition": "crps",
            "outcome": "pain",
            "time_hours": 24.0,
            "mean": rng.normal(50, 10, arms).round(2),
            "sd": rng.gamma(9, 1, arms).round(2),
            "n": rng.integers(10, 200, arms),
        }
    )


def invalid_trials(arms: int) -> pd.DataFrame:
    """Simulate the same with an error in every row, and another in all but the first."""
    frame = trials(arms)
    texts = [f"x{i}" for i in range(1, arms)]
    return frame.assign(n=-frame["n"], mean=["3", *texts])


def seconds(read: Callable[[Path], object], path: Path) -> float:
    """Read once and return the wall time; the table may be invalid."""
    start = time.perf_counter()
    try:
        read(path)
    except EvidenceError as error:
        assert len(error.issues) > 20
    return time.perf_counter() - start


def main() -> None:
    """Print for each table the times of pandas and of loading, their ratio, and the peak memory."""
    print(f"{f'{ARMS:,} arms':<20}{'pandas s':>9}{'load s':>9}{'ratio':>8}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("valid", trials), ("an error per row", invalid_trials)):
            path = Path(folder) / "table.csv"
            make(ARMS).to_csv(path, index=False)
            plain = min(seconds(pd.read_csv, path) for _ in range(3))
            load = min(seconds(load_evidence, path) for _ in range(3))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(f"{name:<20}{plain:>9.3f}{load:>9.2f}{load / plain:>8.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
