"""What a table of parameters cannot say of a model: how doses enter, what metabolites come from.

A `Structure` belongs to the report of a model. Numbers that are parameters stand in the table;
here stand the model's shape, its rule for body weight and what it assumes, each with its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The parameters of one analyte by symbol, in L, L/h, 1/h, h and shares of 1.
Symbols = Mapping[str, Any]

#: g/mol: ketamine C13H16ClNO, norketamine C12H14ClNO, hydroxynorketamine C12H14ClNO2, magnesium,
#: dextromethorphan C18H25NO, dextrorphan C17H23NO; standard atomic weights.
MOLAR_MASS = {
    "ketamine": 237.73,
    "s_ketamine": 237.73,
    "r_ketamine": 237.73,
    "norketamine": 223.70,
    "s_norketamine": 223.70,
    "s_hydroxynorketamine": 239.70,
    "magnesium": 24.305,
    "magnesium_above_baseline": 24.305,
    "dextromethorphan": 271.40,
    "dextrorphan": 257.37,
}


@dataclass(frozen=True, slots=True)
class Path:
    """One way by which a dose of some route enters.

    Attributes
    ----------
    share
        ``share(symbols, mg)``: the part of the dose that goes this way and is not lost on it.
    rate
        Symbol of the absorption rate; empty for a dose that enters at once.
    hours
        Symbol of the time over which the dose is released evenly; empty for none.
    lag
        Symbol of the time before anything happens; empty for none.
    liver
        Whether it enters the liver's compartment instead of the central one.
    first_pass
        ``first_pass(symbols)``: the part that is metabolised on the way; None for none.
    parent_only
        Whether metabolites are left out, since most of them come another way.
    """

    share: Callable[[Symbols, float], Any]
    rate: str = ""
    hours: str = ""
    lag: str = ""
    liver: bool = False
    first_pass: Callable[[Symbols], Any] | None = None
    parent_only: bool = False


@dataclass(frozen=True, slots=True)
class Metabolite:
    """What is formed from the parent or from another metabolite.

    Attributes
    ----------
    analyte
        Its name.
    source
        What it is formed from; empty for the parent.
    fraction
        ``fraction(symbols of the parent)``: the part of what is eliminated that becomes it.
    transit
        Symbol of the mean time of two pools on the way; empty for none.
    molar
        Whether a mole becomes a mole; otherwise a milligram a milligram, as fitted.
    """

    analyte: str
    source: str = ""
    fraction: Callable[[Symbols], Any] = lambda symbols: 1.0
    transit: str = ""
    molar: bool = False


def _whole(symbols: Symbols, mg: float) -> Any:
    return 1.0


#: Into a vein: all of it, at once or as fast as the regimen says.
INTRAVENOUS = {"iv": (Path(_whole),)}


def absorbed(rate: str, share: str = "", lag: str = "") -> tuple[Path, ...]:
    """Describe first-order absorption.

    Parameters
    ----------
    rate
        Symbol of its rate.
    share
        Symbol of the bioavailability; empty where volumes and clearances are apparent.
    lag
        Symbol of the lag time; empty for none.

    Returns
    -------
    tuple of Path
        One way.
    """
    return (Path(lambda p, mg: p[share] if share else 1.0, rate, lag=lag),)


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a published model.

    Attributes
    ----------
    routes
        Ways in, by route.
    metabolites
        In the order in which they are formed.
    exponents
        Powers of body weight for volumes and for clearances, for parameters given for a body.
    own_exponents
        Symbol to body weight in kg and power, where a parameter has a rule of its own.
    specimen
        What was drawn; empty where that was not read.
    assumes
        What the model, or this reading of it, takes for granted.
    lacks
        What of the model is not here.
    """

    routes: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: INTRAVENOUS)
    metabolites: tuple[Metabolite, ...] = ()
    exponents: tuple[float, float] = (1.0, 0.75)
    own_exponents: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    specimen: str = ""
    assumes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
