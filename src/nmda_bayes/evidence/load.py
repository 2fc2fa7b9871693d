"""One door for all evidence: the shipped base, a folder of tables, a CSV, or a data frame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.comparisons import review_evidence
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.folder import load_folder
from nmda_bayes.evidence.reading import read_sheet, sheet_of_frame
from nmda_bayes.evidence.shipped import shipped_folder

#: The name of the shipped base in specs and on the command line.
SHIPPED = "nmda"
#: The Cochrane review's own rows, each analysis an outcome under the review's number.
REVIEW = "cochrane_2025"


def load_evidence(source: str | Path | pd.DataFrame | None = None) -> xr.DataTree:
    """Load evidence, and refuse it with every fault at once where it is wrong.

    Parameters
    ----------
    source
        None or ``"nmda"``: the shipped base. ``"cochrane_2025"``: the Cochrane review's own rows,
        each analysis an outcome under its number. A folder: the same tables. A CSV file or a data
        frame: a flat table, one row an arm (``study, agent, dose`` with ``events, n`` or
        ``mean, se`` or ``mean, sd, n``) or one row a contrast (``study, agent, comparator,
        estimate, se``). A frame is not changed.

    Returns
    -------
    xr.DataTree
        Datasets ``studies`` (dim study), ``arms`` (dim arm), ``results``, ``contrasts``,
        ``reference_doses``, ``published`` (dim row), and in a base ``comparisons`` and
        ``vocabulary``; attributes ``source``, ``kind`` (base or flat), ``evidence_hash``.

    Raises
    ------
    EvidenceError
        With all faults of all tables: file, row (the header is line 1), column, and the mend.

    Examples
    --------
    >>> import pandas as pd
    >>> from nmda_bayes.evidence import load_evidence, table
    >>> frame = pd.DataFrame(
    ...     {
    ...         "study": ["A", "A"],
    ...         "agent": ["placebo", "ketamine"],
    ...         "events": [2, 5],
    ...         "n": [20, 21],
    ...     }
    ... )
    >>> table(load_evidence(frame), "arms")["arm"].tolist()
    ['A: placebo', 'A: ketamine']
    """
    if isinstance(source, pd.DataFrame):
        return load_flat(sheet_of_frame(source, "data frame (row 2 is its first)"), "data frame")
    if source is None or source == SHIPPED:
        return load_folder(shipped_folder("data"), SHIPPED)
    if source == REVIEW:
        return _review()
    if not isinstance(source, str | Path):
        raise TypeError(f"evidence is a path, a data frame or None, not {type(source).__name__}")
    path = Path(source)
    if path.is_dir():
        return load_folder(path, str(source))
    if not path.exists():
        raise EvidenceError(
            [
                Fault(
                    "there is no such file or folder",
                    f"Give a folder, a CSV file, or '{SHIPPED}' for the shipped base.",
                    str(source),
                )
            ]
        )
    return load_flat(read_sheet(path), str(source))


def _review() -> xr.DataTree:
    """Read the review's rows out of the base, with the published pools beside them."""
    base = load_folder(shipped_folder("data"), SHIPPED)
    rows = sheet_of_frame(review_evidence(base), f"{REVIEW} (row 2 is its first)")
    tree = load_flat(rows, REVIEW)
    tree["published"] = base["published"].copy()
    return tree
