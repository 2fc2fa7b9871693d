"""Time until the command line responds, relative to the bare interpreter.

Imports of PyMC are lazy so that `--help` and `check` respond at once; this measures the gain. Each
line is the best of five, because other load can only make a start slower.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("nmda-bayes")
STARTS: dict[str, list[str | Path]] = {
    "bare interpreter": [sys.executable, "-c", ""],
    "import nmda_bayes": [sys.executable, "-c", "import nmda_bayes"],
    "nmda-bayes --help": [COMMAND, "--help"],
    "nmda-bayes check": [COMMAND, "check"],
    "import pymc": [sys.executable, "-c", "import pymc"],
}


def seconds(command: list[str | Path]) -> float:
    """Run once and return the wall time."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print for each start its time, the time beyond the bare interpreter, and the ratio."""
    best = {name: min(seconds(command) for _ in range(5)) for name, command in STARTS.items()}
    bare = best["bare interpreter"]
    print(f"{'start':<20}{'s':>8}{'beyond':>8}{'ratio':>8}")
    for name, taken in best.items():
        print(f"{name:<20}{taken:>8.3f}{taken - bare:>8.3f}{taken / bare:>8.1f}")


if __name__ == "__main__":
    main()
