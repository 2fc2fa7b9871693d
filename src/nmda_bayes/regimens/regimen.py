"""The regimen: phases make an administration, administrations a course, courses a regimen.

What a report does not say is NaN in everything that is worked out from it. Nothing is guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.regimens.measures import Measure, canonical
from nmda_bayes.regimens.parts import Phase, Repetition


@dataclass(frozen=True, slots=True)
class Course:
    """An administration and how often it is given.

    Attributes
    ----------
    phases
        The administration's parts, one after the other.
    repetition
        How often; once by default.
    """

    phases: tuple[Phase, ...]
    repetition: Repetition = Repetition()

    @property
    def hours(self) -> float:
        """Length of one administration in hours; NaN where not known."""
        return math.nan if self.repetition.pooled else sum(phase.hours for phase in self.phases)

    @property
    def amount(self) -> float:
        """What one administration gives (of a pooled amount: a day); NaN where not known."""
        return sum(phase.total for phase in self.phases)

    @property
    def total(self) -> float:
        """What the course gives; NaN where not known."""
        if self.repetition.pooled == "dosing day":
            return math.nan
        return self.amount * (self.repetition.days if self.repetition.pooled else self.repetition.n)

    @property
    def daily(self) -> float:
        """What a day of dosing gives (of an infusion over days: 24 hours of it)."""
        share = 24 / self.hours if self.hours > 24 else 1.0
        return self.amount * self.repetition.a_day * share

    @property
    def days(self) -> float:
        """Length of the course in days; NaN where not known."""
        if math.isnan(self.hours) and any(p.given in ("rate", "target") for p in self.phases):
            return math.nan
        end = (self.repetition.last_start + self.hours) / 24
        return max(self.repetition.days, 0.0 if math.isnan(end) else end)

    def __str__(self) -> str:
        given = ", then ".join(map(str, self.phases))
        pooled = f" a {self.repetition.pooled}" if self.repetition.pooled else ""
        return ", ".join(filter(None, (given + pooled, str(self.repetition))))


@dataclass(frozen=True, slots=True)
class Event:
    """An amount that goes in evenly from one time on.

    Attributes
    ----------
    start_hours
        Since the first administration.
    hours
        How long; 0 for a bolus, NaN where the report does not say (and for a swallowed dose).
    amount
        In the regimen's `basis`.
    """

    start_hours: float
    hours: float
    amount: float

    @property
    def rate(self) -> float:
        """Amount an hour; NaN for a bolus and where the length is not known."""
        return self.amount / self.hours if self.hours else math.nan


@dataclass(frozen=True, slots=True)
class Regimen:
    """What was given, how fast and how often. ``str(regimen)`` writes the notation back.

    Attributes
    ----------
    courses
        One after the other. All amounts are in one unit: mg, mg/kg or ng/mL (a target).
    """

    courses: tuple[Course, ...]

    @property
    def basis(self) -> str:
        """Unit of its amounts: mg, mg/kg, or ng/mL for a target concentration."""
        return self.courses[0].phases[0].basis

    @property
    def qualifiers(self) -> tuple[str, ...]:
        """The words of its phases that say an amount is not what everybody got, each once."""
        words = (phase.qualifier for course in self.courses for phase in course.phases)
        return tuple(dict.fromkeys(word for word in words if word))

    @property
    def hours(self) -> float:
        """Length of one administration in hours; NaN where not known, or where it changes."""
        lengths = {course.hours for course in self.courses}
        return lengths.pop() if len(lengths) == 1 else math.nan

    @property
    def days(self) -> float:
        """Length of the regimen in days; NaN where not known."""
        return sum(course.days for course in self.courses)

    @property
    def n_administrations(self) -> float:
        """Number of administrations; NaN where not known."""
        return sum(course.repetition.n for course in self.courses)

    def total(self, unit: str) -> float:
        """Give what the whole regimen gives.

        Parameters
        ----------
        unit
            mg or mg/kg, or another unit of the same dimension as `basis`.

        Returns
        -------
        float
            NaN where not known.

        Raises
        ------
        InputError
            If the unit is of another dimension: mg and mg/kg differ by a body weight.
        """
        return self._in(unit, sum(course.total for course in self.courses))

    def daily(self, unit: str) -> float:
        """Give what a day of dosing gives: where the dose was stepped, on its highest step.

        Parameters
        ----------
        unit
            As for `total`.

        Returns
        -------
        float
            NaN where not known. Of an infusion over days, 24 hours of it.

        Raises
        ------
        InputError
            As for `total`.
        """
        return self._in(unit, _largest([course.daily for course in self.courses]))

    def peak_rate(self, unit: str) -> float:
        """Give the highest rate of an infusion.

        Parameters
        ----------
        unit
            mg/h or mg/kg/h, or another unit of the same dimension as `basis` an hour.

        Returns
        -------
        float
            NaN where not known, and where any part is a bolus: it has no rate.

        Raises
        ------
        InputError
            As for `total`.
        """
        rates = [
            math.nan if course.repetition.pooled else phase.rate
            for course in self.courses
            for phase in course.phases
        ]
        return _largest(rates) * Measure(1.0, f"{self.basis}/h").to(unit)

    def for_weight(self, kg: float) -> Regimen:
        """Give the regimen of a body of known weight, in mg.

        Parameters
        ----------
        kg
            Weight of the body.

        Returns
        -------
        Regimen
            With mg/kg turned into mg; one that is in mg or ng/mL already is itself.
        """
        if self.basis != "mg/kg":
            return self
        return Regimen(
            tuple(
                replace(course, phases=tuple(_weighed(phase, kg) for phase in course.phases))
                for course in self.courses
            )
        )

    def events(self) -> tuple[Event, ...]:
        """Lay the regimen out in time.

        Returns
        -------
        tuple of Event
            Boluses, doses and infusions in the order of their start, evenly spaced where the
            schedule says only how many there were a day or a week.

        Raises
        ------
        InputError
            If the schedule does not say enough: which of amount, length or number is missing.
        """
        laid: list[Event] = []
        begin = 0.0
        for course in self.courses:
            _must_be_known(course, str(self))
            for k in range(int(course.repetition.n)):
                start = begin + (k * course.repetition.interval if k else 0.0)
                for phase in course.phases:
                    laid.append(Event(start, phase.hours, phase.total))
                    start += 0.0 if math.isnan(phase.hours) else phase.hours
            begin += course.days * 24
        return tuple(laid)

    def _in(self, unit: str, value: float) -> float:
        if self.basis == "ng/mL":
            return math.nan  # a concentration says no amount in any unit
        return value * Measure(1.0, self.basis).to(unit)

    def __str__(self) -> str:
        return "; ".join(map(str, self.courses))


def _weighed(phase: Phase, kg: float) -> Phase:
    unit = canonical(phase.amount.unit)
    return replace(phase, amount=Measure(phase.amount.to(unit) * kg, unit.replace("/kg", "")))


def _largest(values: list[float]) -> float:
    """Give the largest; NaN where any is not known."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def _must_be_known(course: Course, text: str) -> None:
    missing = {
        "how much is given": math.isnan(course.amount),
        "how many doses there are": math.isnan(course.repetition.n),
        "when the doses are given": course.repetition.n > 1
        and math.isnan(course.repetition.interval),
        "how long a part before another lasts": any(
            math.isnan(phase.hours) for phase in course.phases[:-1]
        ),
    }
    said = [what for what, lost in missing.items() if lost]
    if said:
        raise InputError(
            [
                Fault(
                    f"the schedule '{text}' does not say {' or '.join(said)}",
                    "Events need the amount, the number and the time of every dose.",
                )
            ]
        )
