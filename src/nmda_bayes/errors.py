"""Faults that a user can mend, located and with the mend beside them.

A wrong table or spec is never one error: every fault is collected, and one exception carries
them all, so that a file is mended in one go. The command line prints them and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input, where it is, and what would mend it.

    Attributes
    ----------
    message
        What is wrong, in a sentence without a full stop.
    mend
        What to do about it.
    file
        The file it stands in; empty for an object made in memory.
    row
        Line of the file, the header being line 1; None where no single row is at fault.
    column
        Column of a table, or dotted key of a spec.
    """

    message: str
    mend: str = ""
    file: str = ""
    row: int | None = None
    column: str = ""

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"row {self.row}" if self.row is not None else "",
                self.column,
            )
            if part
        )
        text = f"{place}: {self.message}" if place else self.message
        return f"{text}. {self.mend}" if self.mend else text


class InputError(ValueError):
    """A user's input cannot be used; carries every `Fault` found.

    Parameters
    ----------
    faults
        At least one fault.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        if not self.faults:
            raise ValueError("an InputError needs at least one fault")
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Fault, ...]]]:
        """Keep the faults on the way from one process to another."""
        return type(self), (self.faults,)


class EvidenceError(InputError):
    """The evidence tables are at fault."""


class SpecError(InputError):
    """The analysis spec is at fault."""


class FitError(InputError):
    """A stored fit cannot be read or is not one of ours."""


def nearest(word: str, known: Sequence[str]) -> str:
    """Say which known word a misspelt one was probably meant to be.

    Parameters
    ----------
    word
        What was written.
    known
        What could have been meant.

    Returns
    -------
    str
        ``did you mean 'emax'?``, or the list of what is known when nothing is near.
    """
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(known)}"
