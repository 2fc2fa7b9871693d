"""The parts of a course: the phases of an administration, and how often it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nmda_bayes.regimens.measures import Measure, canonical

Given = Literal["bolus", "dose", "rate", "target"]
Qualifier = Literal["", "up to", "mean", "median"]


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of an administration.

    Attributes
    ----------
    given
        ``bolus`` (at once), ``dose`` (an amount), ``rate``, or ``target`` (a concentration in
        plasma that a pump aims at).
    amount
        The amount, rate or concentration.
    lasting
        How long; None where the report does not say, and for a bolus.
    qualifier
        ``up to``: the highest of a stepped or titrated dose. ``mean``, ``median``: of what people
        were given. Empty: everybody got this.
    """

    given: Given
    amount: Measure
    lasting: Measure | None = None
    qualifier: Qualifier = ""

    @property
    def basis(self) -> str:
        """Unit of the amount: mg, mg/kg or ng/mL."""
        return canonical(self.amount.unit).removesuffix("/h")

    @property
    def hours(self) -> float:
        """Length in hours; NaN where not known."""
        if self.given == "bolus":
            return 0.0
        return self.lasting.to("h") if self.lasting else math.nan

    @property
    def total(self) -> float:
        """Amount in the unit of `basis`; NaN where not known."""
        if self.given == "target":
            return math.nan
        if self.given == "rate":
            return self.amount.to(f"{self.basis}/h") * self.hours
        return self.amount.to(self.basis)

    @property
    def rate(self) -> float:
        """Amount an hour; NaN for a bolus, an average and where the length is not known."""
        if self.given in ("bolus", "target") or self.qualifier in ("mean", "median"):
            return math.nan
        if self.given == "rate":
            return self.amount.to(f"{self.basis}/h")
        return self.total / self.hours if self.hours else math.nan

    def __str__(self) -> str:
        word = self.given if self.given in ("bolus", "target") else ""
        join = "over" if self.given == "dose" else "for"
        lasting = f"{join} {self.lasting}" if self.lasting else ""
        return " ".join(filter(None, (self.qualifier, word, str(self.amount), lasting)))


@dataclass(frozen=True, slots=True)
class Repetition:
    """How often an administration is given.

    Attributes
    ----------
    pooled
        ``day``: the amount is that of a day, in doses whose number is not said; ``dosing day``:
        likewise, and not every day need be one; empty: the amount is that of one administration.
    times
        Administrations a day or a week, evenly spaced.
    each
        ``day`` or ``week``, for `times`.
    every
        Time from one administration to the next.
    count
        Number of administrations.
    lasting
        Length of the course.
    """

    pooled: Literal["", "day", "dosing day"] = ""
    times: int | None = None
    each: Literal["", "day", "week"] = ""
    every: Measure | None = None
    count: int | None = None
    lasting: Measure | None = None

    @property
    def interval(self) -> float:
        """Hours from one administration to the next; NaN where not known, or for a single one."""
        if self.every:
            return self.every.to("h")
        if self.times:
            return Measure(1, self.each).to("h") / self.times
        return 24.0 if self.lasting and not self.pooled else math.nan

    @property
    def n(self) -> float:
        """Number of administrations; NaN where not known."""
        if self.count:
            return float(self.count)
        if self.pooled or (self.lasting is None and (self.every or self.times)):
            return math.nan
        if self.lasting is None:
            return 1.0
        # Six hours go into ten days 40 times, and into 25 hours five times: the last one starts
        # within the course.
        return float(math.ceil(round(self.lasting.to("h") / self.interval, 9)))

    @property
    def a_day(self) -> float:
        """Administrations on a day of dosing; NaN where not known."""
        if self.pooled or self.n == 1:
            return 1.0
        if math.isnan(self.interval):
            return math.nan
        most = max(1.0, 24 / self.interval)
        return most if math.isnan(self.n) else min(most, self.n)

    @property
    def days(self) -> float:
        """Days from the first administration to the last, both counted; NaN where not known."""
        if self.lasting:
            return self.lasting.to("day")
        if self.n == 1:
            return 1.0
        return float(self.last_start // 24 + 1) if not math.isnan(self.last_start) else math.nan

    @property
    def last_start(self) -> float:
        """Hour at which the last administration starts; NaN where not known."""
        return 0.0 if self.n == 1 else (self.n - 1) * self.interval

    def __str__(self) -> str:
        each = f" a {self.each}" if self.each else ""
        times = self.times or self.count
        plural = "" if times == 1 else "s"
        words = (
            f"every {self.every}" if self.every else "",
            f"{times} time{plural}{each}" if times else "",
            str(self.lasting) if self.lasting else "",
        )
        return ", ".join(filter(None, words))
