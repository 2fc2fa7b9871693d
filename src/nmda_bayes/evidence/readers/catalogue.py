"""The catalogue of readers: one value for each layout of a table that others' software reads.

To add a layout, write its function under one `@reader` line: it takes a `Foreign` table, whose
columns were found by their roles, and gives the `Reading`: flat rows, and where each came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nmda_bayes.evidence.readers.foreign import Foreign, fold
from nmda_bayes.evidence.readers.placed import Reading

Aliases = Mapping[str, str]
FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Reader:
    """One layout of a convention.

    Attributes
    ----------
    convention
        What ``format`` calls it: the package or program whose convention it is.
    layout
        Which of the convention's layouts: ``format`` may say ``convention/layout``.
    about
        What one row is, and where the convention is written down.
    needed
        Roles that must have a column, each with its names, the preferred one first.
    optional
        Roles that may have one.
    flatten
        From the table to flat rows.
    """

    convention: str
    layout: str
    about: str
    needed: dict[str, tuple[str, ...]]
    optional: dict[str, tuple[str, ...]]
    flatten: Callable[[Foreign], Reading]

    @property
    def name(self) -> str:
        """What ``format`` may say to mean exactly this layout."""
        return f"{self.convention}/{self.layout}"

    @property
    def looked_for(self) -> str:
        """The columns it needs, as a fault prints them."""
        return ", ".join(names[0] for names in self.needed.values())

    def found(self, columns: list[str]) -> dict[str, str]:
        """Give the column of each role that has one.

        Parameters
        ----------
        columns
            Of the table.

        Returns
        -------
        dict[str, str]
            Column by role; case, blanks, dots and underscores do not matter.
        """
        folded = {fold(column): column for column in reversed(columns)}
        found = {}
        for role, names in {**self.needed, **self.optional}.items():
            column = next((folded[fold(name)] for name in names if fold(name) in folded), None)
            if column is not None:
                found[role] = column
        return found

    def missing(self, columns: list[str]) -> list[str]:
        """Name the needed columns that a table does not have.

        Parameters
        ----------
        columns
            Of the table.

        Returns
        -------
        list[str]
            Each by its preferred name.
        """
        found = self.found(columns)
        return [names[0] for role, names in self.needed.items() if role not in found]


READERS: dict[str, Reader] = {}


def reader(
    name: str, about: str, *, needed: Aliases, optional: Aliases | None = None
) -> Callable[[Callable[[Foreign], Reading]], Callable[[Foreign], Reading]]:
    """Enter a layout in the catalogue.

    Parameters
    ----------
    name
        ``convention/layout``.
    about
        What one row is.
    needed
        Roles and their column names, separated by ``|``, the preferred name first.
    optional
        Likewise.

    Returns
    -------
    Callable
        Decorator that leaves the function as it is.
    """
    convention, layout = name.split("/")

    def split(roles: Aliases) -> dict[str, tuple[str, ...]]:
        return {role: tuple(names.split("|")) for role, names in roles.items()}

    def enter(flatten: Callable[[Foreign], Reading]) -> Callable[[Foreign], Reading]:
        READERS[name] = Reader(
            convention, layout, about, split(needed), split(optional or {}), flatten
        )
        return flatten

    return enter


def conventions() -> list[str]:
    """Name the conventions that can be asked for.

    Returns
    -------
    list[str]
        ``flat`` and those of the catalogue, in its order.
    """
    return list(dict.fromkeys([FLAT, *(one.convention for one in READERS.values())]))
