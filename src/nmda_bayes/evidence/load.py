"""One door for all evidence: the shipped base, a folder of tables, a file, or a data frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.comparisons import review_evidence
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.folder import load_folder
from nmda_bayes.evidence.frames import Frame, is_frame, sheet_of_frame
from nmda_bayes.evidence.readers.own import load_own
from nmda_bayes.evidence.readers.said import Said
from nmda_bayes.evidence.reading import read_sheet
from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.evidence.workbook import is_workbook, read_workbook

#: The name of the shipped base in specs and on the command line.
SHIPPED = "nmda"
#: The Cochrane review's own rows, each analysis an outcome under the review's number.
REVIEW = "cochrane_2025"


def load_evidence(
    source: str | Path | Frame | None = None,
    format: str | None = None,
    *,
    groups: tuple[str, str] | None = None,
    scale: tuple[float, float] | None = None,
    measure: str | None = None,
) -> xr.DataTree:
    """Load evidence, and refuse it with every fault at once where it is wrong.

    Parameters
    ----------
    source
        None or ``"nmda"``: the shipped base. ``"cochrane_2025"``: the Cochrane review's own rows,
        each analysis an outcome under its number. A folder: the same tables. A CSV or TSV file, an
        Excel workbook (``file.xlsx``, its first sheet, or ``file.xlsx#Sheet``), a pandas or polars
        frame: a table of your own, one row an arm (``study, agent, dose`` with ``events, n`` or
        ``mean, se`` or ``mean, sd, n``) or one row a contrast (``study, agent, comparator,
        estimate, se``), or as another package wants it. A frame is not changed.
    format
        The convention of a table of your own: ``flat``, ``revman``, ``mbnmadose``, ``netmeta``,
        ``gemtc``, ``escalc`` (metafor), ``multinma``, ``mbnmatime``, or one layout of it, such as
        ``netmeta/contrasts``. None: found by the columns.
    groups
        What the first and the second group are, where the table does not name them.
    scale
        The ends of the scale of means, where the table does not say.
    measure
        What contrasts measure (``log_OR``, ``SMD``, ``MD``, ...), where the table does not say.

    Returns
    -------
    xr.DataTree
        Datasets ``studies`` (dim study), ``arms`` (dim arm), ``results``, ``contrasts``,
        ``reference_doses``, ``published`` (dim row), and in a base ``comparisons``,
        ``pharmacokinetics``, ``concentrations``, ``risk_of_bias`` and ``vocabulary``; attributes
        ``source``, ``kind`` (base or flat), ``evidence_hash``.

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
    return load_as_said(source, Said(format, groups, scale, measure))


def load_as_said(source: str | Path | Frame | None, said: Said) -> xr.DataTree:
    """Load evidence with what the user says of it.

    Parameters
    ----------
    source
        As `load_evidence` takes it.
    said
        What a table of one's own does not say.

    Returns
    -------
    xr.DataTree
        As `load_evidence` gives it.

    Raises
    ------
    EvidenceError
        With all faults.
    """
    if is_frame(source):
        sheet = sheet_of_frame(source, "data frame (row 2 is its first)")
        return load_own(sheet, "data frame", said)
    if not isinstance(source, str | Path | None):
        raise TypeError(f"evidence is a path, a data frame or None, not {type(source).__name__}")
    base = _base(source)
    if base is not None:
        if replace(said, reference=None) != Said():
            mend = "A base says everything itself: leave out --format and --say."
            raise EvidenceError([Fault("this is not a table of one's own", mend, str(source))])
        return base
    path = Path(str(source))
    if is_workbook(path):
        return load_own(read_workbook(path), str(source), said)
    if not path.exists():
        raise EvidenceError(
            [
                Fault(
                    "there is no such file or folder",
                    f"Give a folder, a CSV or Excel file, or '{SHIPPED}' for the shipped base.",
                    str(source),
                )
            ]
        )
    return load_own(read_sheet(path), str(source), said)


def _base(source: str | Path | None) -> xr.DataTree | None:
    """Load what is a base: the shipped one, the review's rows, or a folder of tables."""
    # The command line hands out paths, a notebook words.
    if source is None or str(source) == SHIPPED:
        return load_folder(shipped_folder("data"), SHIPPED)
    if str(source) == REVIEW:
        return _review()
    return load_folder(Path(source), str(source)) if Path(source).is_dir() else None


def _review() -> xr.DataTree:
    """Read the review's rows out of the base, with the published pools beside them."""
    base = load_folder(shipped_folder("data"), SHIPPED)
    rows = sheet_of_frame(review_evidence(base), f"{REVIEW} (row 2 is its first)")
    tree = load_flat(rows, REVIEW)
    tree["published"] = base["published"].copy()
    return tree
