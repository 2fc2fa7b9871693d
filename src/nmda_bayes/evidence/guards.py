"""Text that a spreadsheet would run as a formula, written so that it does not, and read back.

A cell that begins with =, +, -, @ or a tab is a formula to spreadsheet programs, which may even
fetch pages. Such text is written with an apostrophe before it, which makes text of it; what begins
with apostrophes and then such a letter gets one more. Reading takes one off, so that text comes
back letter for letter. Columns of numbers are never touched: -5 stays -5.
"""

from __future__ import annotations

import re

_RUNS = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def guarded(text: str) -> str:
    """Write text so that no spreadsheet runs it.

    Parameters
    ----------
    text
        A cell of text.

    Returns
    -------
    str
        With an apostrophe before what would run.
    """
    return f"'{text}" if _RUNS.match(text) else text


def unguarded(text: str) -> str:
    """Read text as it was before it was guarded.

    Parameters
    ----------
    text
        A cell of a file.

    Returns
    -------
    str
        Without the apostrophe of `guarded`.
    """
    return text[1:] if _GUARDED.match(text) else text
