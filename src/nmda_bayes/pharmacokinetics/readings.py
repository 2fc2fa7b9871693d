"""What an outcome may follow, counted up to its reading: of many arms at once, in one formula.

The same formula gives the numbers of the design (numpy) and the exposures of a graph whose
pharmacokinetic parameters have priors (PyTensor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmda_bayes.pharmacokinetics.asked import Asked
from nmda_bayes.pharmacokinetics.concentrations import per_mg_per_litre
from nmda_bayes.pharmacokinetics.draws import draw_parameters
from nmda_bayes.pharmacokinetics.exposures import FOREVER, peak_of, treatment_hours
from nmda_bayes.pharmacokinetics.inputs import Train, stacked
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.parameter import SITE_HALF_LIFE
from nmda_bayes.pharmacokinetics.responses import (
    area_until,
    passages,
    side_by_side_terms,
    superposed,
)

#: Draws of the parameters by which the hours are found at which a peak may stand, and how many of
#: those hours are kept. After an infusion it is one hour, whatever the parameters; after sprays and
#: tablets the hour moves with the rate of absorption, and the best of nine is within 1e-4 of it.
TRIED, KEPT = 64, 9
#: At an effect site every peak moves with the site's half-life, which may be known to a factor of
#: ten: as many hours more, evenly between the first and the last. Of a push, with a log SD of
#: 0.7, nine hours missed a peak by up to 9 %, these by 0.3 % (median 0.02 %).
TRIED_AT_SITE, MORE_AT_SITE = 512, 24


@dataclass(frozen=True, slots=True)
class Read:
    """One arm: what was given, and when its outcome was read.

    Attributes
    ----------
    agent
        What was given.
    schedule
        In the notation.
    hours
        From the first administration to the reading; NaN where not known, which counts the whole
        regimen.
    """

    agent: str
    schedule: str
    hours: float


@dataclass(frozen=True, slots=True)
class Readings:
    """Arms of one model and route side by side. Make it with `of`.

    Attributes
    ----------
    model
        The model, without its metabolites.
    route
        Of the doses.
    weight
        Of the body, kg.
    given
        Trains of doses, of shape (arms, 1, trains, 1).
    until
        The hour of each reading, of shape (arms, 1).
    ends
        The end of the treatment or the reading, whichever came first.
    peaks
        Hours at which the peak may stand, of shape (arms, `KEPT`) or fewer; none where no peak is
        asked for.
    """

    model: PharmacokineticModel
    route: str
    weight: float
    given: Train
    until: np.ndarray
    ends: np.ndarray
    peaks: np.ndarray

    @classmethod
    def of(
        cls,
        arms: Sequence[Read],
        model: PharmacokineticModel,
        *,
        route: str,
        weight: float,
        peaks: bool = True,
    ) -> Readings:
        """Lay out what arms were given.

        Parameters
        ----------
        arms
            At least one.
        model
            As `published_model` gives it.
        route
            Of the doses.
        weight
            Of the body, kg.
        peaks
            Whether peaks are asked for: to find their hours takes 10 ms an arm.

        Returns
        -------
        Readings
            Ready for the formulas.

        Raises
        ------
        InputError
            If a schedule says too little, or the model has no parameters for the route.
        """
        model = model.of_the_drug()
        asked = [_asked(arm, model, route, weight) for arm in arms]
        hours = [FOREVER if np.isnan(arm.hours) else arm.hours for arm in arms]
        until = np.array(hours, dtype=float)[:, None]
        ends = [[treatment_hours(one.given)] for one in asked]
        hours_of_peaks = np.empty((len(arms), 0))
        if peaks:
            found = [_peak_hours(one, limit) for one, limit in zip(asked, until, strict=True)]
            most = max(map(len, found))
            padded = [np.pad(mine, (0, most - len(mine)), mode="edge") for mine in found]
            hours_of_peaks = np.array(padded)
        given = _along(stacked([one.given for one in asked]))
        return cls(model, route, weight, given, until, np.minimum(ends, until), hours_of_peaks)

    def value(self, kind: str, bases: Mapping[str, Any] | None = None, xp: Any = np) -> Any:
        """Work out an exposure of every arm.

        Parameters
        ----------
        kind
            ``peak_concentration``, ``average_concentration``, ``concentration_at_outcome`` or
            ``area``.
        bases
            Parameters by name that are not at their published values: numbers, or variables of a
            graph.
        xp
            numpy, or `pytensor.tensor`.

        Returns
        -------
        Any
            One an arm, in ng/mL (areas: ng h/mL); NaN for an average of what took no time.
        """
        return self._value(kind, self.model.values(self.weight, bases), xp)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The parameters that the exposures of these arms hang on."""
        seen: set[str] = set()
        values = self.model.values(self.weight)
        watched = {analyte: _Watched(mine, seen) for analyte, mine in values.items()}
        self._value("average_concentration", watched, np)
        return tuple(symbol for _, symbol in self.model.parameters if symbol in seen)

    def _value(self, kind: str, values: Mapping[str, Mapping[str, Any]], xp: Any) -> Any:
        ways = passages(self.model, values, self.route, xp)[self.model.analyte]
        ways = side_by_side_terms(ways, xp)

        def over(formula: Callable[..., Any], hours: np.ndarray) -> Any:
            # Axes arm, hour, train, term: the formula is linear in the last two.
            parts = formula(ways, (self.given,), hours[..., None, None], xp)
            return xp.sum(xp.sum(parts, axis=-1), axis=-1)

        if kind == "peak_concentration":
            found = _highest(over(superposed, self.peaks), xp)
        elif kind == "concentration_at_outcome":
            found = over(superposed, self.until)[..., 0]
        elif kind == "area":
            found = over(area_until, self.until)[..., 0]
        else:
            lasting = np.where(self.ends > 0, self.ends, np.nan)
            found = (over(area_until, self.ends) / lasting)[..., 0]
        return found * per_mg_per_litre("ng/mL", self.model.analyte)


class _Watched(Mapping[str, Any]):
    """The parameters of an analyte, which say which of them were read."""

    def __init__(self, values: Mapping[str, Any], seen: set[str]) -> None:
        self._values, self._seen = values, seen

    def __getitem__(self, symbol: str) -> Any:
        value = self._values[symbol]
        self._seen.add(symbol)
        return value

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _highest(values: Any, xp: Any) -> Any:
    """Give the highest along the last axis; where several are, the slope is that of one.

    `max` hands its slope to each of those that tie, as two doses of a train at a steady state do.
    """
    is_highest = xp.where(values < xp.max(values, axis=-1, keepdims=True), 0.0, 1.0)
    return xp.sum(values * is_highest, axis=-1) / xp.sum(is_highest, axis=-1)


def _asked(arm: Read, model: PharmacokineticModel, route: str, weight: float) -> Asked:
    return Asked.of(arm.schedule, model, weight, route, arm.agent, None)


def _along(trains: Sequence[Train]) -> Train:
    """Put trains along an axis of their own, before that of the terms."""
    names = ("start", "hours", "amount", "n", "interval")
    return Train(*(np.stack([getattr(t, n) for t in trains], axis=-1)[..., None] for n in names))


def _peak_hours(asked: Asked, until: np.ndarray) -> np.ndarray:
    """Hours at which the peak stands for draws of the parameters, from the first to the last."""
    at_site = (asked.model.analyte, SITE_HALF_LIFE) in asked.model.parameters
    tried = TRIED_AT_SITE if at_site else TRIED
    drawn = draw_parameters(asked.model, np.random.default_rng(0), tried, of="typical")
    of_draws = Asked.of(
        next(iter(asked.regimens.values())),
        asked.model,
        asked.attributes["weight_kg"],
        asked.attributes["route"],
        asked.attributes["agent"],
        drawn,
    )
    hours = []
    for one in (asked, of_draws):
        _, at = peak_of(one, one.ways[asked.model.analyte], until[:, None])
        hours.append(np.ravel(at))
    found = np.concatenate(hours)
    if np.ptp(found) < 1e-9 * (1 + found.max()):
        return found[:1]
    usual = np.quantile(found[1:], np.linspace(0, 1, KEPT - 1))
    more = np.geomspace(found.min(), found.max(), MORE_AT_SITE if at_site else 0)
    return np.unique([*usual, found[0], *more])
