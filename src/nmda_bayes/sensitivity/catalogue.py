"""What a rule that writes variants is, and the line that enters one in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import xarray as xr

from nmda_bayes.sensitivity.variants import Draft
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.prior import Frozen


@dataclass(frozen=True)
class Ground:
    """What variants are made from.

    Attributes
    ----------
    spec
        The base.
    design
        The rows that the base sees.
    evidence
        All there is.
    """

    spec: AnalysisSpec
    design: xr.DataTree
    evidence: xr.DataTree


class Generator(Frozen):
    """What a file says of a rule; every rule has a reason."""

    kind: ClassVar[str] = ""
    about: ClassVar[str] = ""
    why: str

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write the variants.

        Parameters
        ----------
        ground
            The base and its evidence.

        Yields
        ------
        Draft
            One a variant.
        """
        raise NotImplementedError

    def draft(self, name: str, partial: Mapping[str, Any], choices: Mapping[str, str]) -> Draft:
        """Write one variant of this rule.

        Parameters
        ----------
        name
            Its name.
        partial
            What differs.
        choices
            Which choice it turns, and to what.

        Returns
        -------
        Draft
            Marked as written by a rule.
        """
        return Draft(name, partial, self.why, self.kind, choices, generated=True)


GENERATORS: dict[str, type[Generator]] = {}


def generator(about: str) -> Callable[[type[Generator]], type[Generator]]:
    """Enter a generator in the catalogue under its class's name, in small letters.

    Parameters
    ----------
    about
        One sentence on what it varies.

    Returns
    -------
    Callable
        Decorator.
    """

    def enter(made: type[Generator]) -> type[Generator]:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in made.__name__).lstrip("_")
        made.kind, made.about = name, about
        GENERATORS[name] = made
        return made

    return enter
