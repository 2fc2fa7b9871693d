"""Which code computes: a name for this package's source and the libraries it stands on."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

#: What draws depend on beside our own code.
LIBRARIES = ("pymc", "pytensor", "nutpie", "numba", "numpy")
#: Folders and files of the package that no answer depends on.
NOT_OF_ANSWERS = ("figures", "report", "cli.py", "asked.py", "results_folder.py")


@cache
def code_version() -> str:
    """Say which code computes answers.

    Returns
    -------
    str
        A hash of the package's own source, without figures and report, and of the versions of the
        libraries that draw. The package's version alone stays the same from one edit to the next.
    """
    root = Path(__file__).parent
    found = hashlib.sha256(" ".join(version(name) for name in LIBRARIES).encode())
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in NOT_OF_ANSWERS:
            found.update(str(place).encode() + path.read_bytes())
    return found.hexdigest()
