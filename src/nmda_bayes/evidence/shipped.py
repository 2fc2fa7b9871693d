"""Where the shipped evidence base and analyses lie: in the clone, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

from nmda_bayes.errors import EvidenceError, Fault


def shipped_folder(name: str) -> Path:
    """Find a folder that comes with the package.

    Parameters
    ----------
    name
        ``data`` (the evidence base) or ``models`` (the analyses).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    EvidenceError
        If neither a wheel nor a clone holds it.
    """
    package = Path(__file__).resolve().parents[1]
    # A clone has src/nmda_bayes beside data/; a wheel carries data/ below the package itself.
    for folder in (package / "shipped" / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise EvidenceError(
        [
            Fault(
                f"the folder '{name}' that comes with nmda_bayes is not there",
                "Install the wheel again, or run from a clone.",
                str(package),
            )
        ]
    )
