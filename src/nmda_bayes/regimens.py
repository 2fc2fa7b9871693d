"""Regimens: doses, rates and schedules with units.

A schedule in words (``bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h``) is parsed into a frozen
`Regimen`, which computes totals, rates and times of doses, and returns NaN where the schedule does
not say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from nmda_bayes.errors import InputError, Issue

if TYPE_CHECKING:
    import pint

_UNIT_DEFINITIONS = (
    "milli- = 1e-3 = m-",
    "micro- = 1e-6 = µ- = μ- = u-",
    "nano- = 1e-9 = n-",
    "gram = [drug] = g",
    "mcg = 1e-6 * gram",
    "kg = [body_weight]",
    "liter = [volume] = L = l = litre",
    "hour = [time] = h",
    "minute = hour / 60 = min",
    "second = minute / 60 = s",
    "day = 24 * hour",
    "week = 7 * day",
)
CANONICAL_UNITS = ("mg", "mg/kg", "mg/h", "mg/kg/h", "ng/mL", "h")

#: What the words before an amount mean.
QUALIFIER_NOTES = {
    "up to": "the highest dose of a titrated or stepped schedule",
    "mean": "the mean dose",
    "median": "the median dose",
}
#: The notation by examples, the hint of syntax errors.
NOTATION = (
    "Write a schedule like '0.5 mg/kg over 40 min', 'bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h',"
    " '0.35 mg/kg/h for 4 h, 10 days', '20 mg, 2 times a day, 28 days', '400 mg a day, 63 days',"
    " '56 mg, 2 times a week, 4 weeks', 'up to 30 mg a day', 'target 150 ng/mL for 30 min'."
)
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"[;,]|{_NUMBER}|[^\s;,]+")
#: Letters with at most two slashes, all that pint may be asked about: it would work out a power.
_UNIT = re.compile(r"(?:1|[A-Za-z\u00b5\u03bc]{1,12})(?:/[A-Za-z\u00b5\u03bc]{1,12}){0,2}")
MAX_LETTERS = 5000
#: Numbers of a schedule, other than 0.
SMALLEST, LARGEST = 1e-9, 1e9
#: The most administrations whose times are listed.
MAX_ADMINISTRATIONS = 100_000
_PERIODS = ("day", "days", "week", "weeks")

DoseKind = Literal["bolus", "dose", "rate", "target"]
Qualifier = Literal["", "up to", "mean", "median"]
PooledPeriod = Literal["", "day", "dosing day"]


@lru_cache(maxsize=4096)
def parse_regimen(text: str) -> Regimen:
    """Parse the notation of a schedule.

    Parameters
    ----------
    text
        Courses separated by ``;``. A course is an administration, its phases joined by ``, then``,
        and how often it is given. A phase is ``[bolus] AMOUNT [over TIME]``, ``RATE [for TIME]`` or
        ``target CONCENTRATION [for TIME]``, after an optional ``up to`` (highest of a stepped
        dose), ``mean`` or ``median`` (of the doses given). ``AMOUNT a day`` is a daily dose in an
        unknown number of parts, ``AMOUNT a dosing day`` the same where not every day is one. How
        often: ``N times a day``, ``N times a week``, ``every TIME``, ``N times``, and the duration
        in days or weeks; a duration alone means once a day.

    Returns
    -------
    Regimen
        ``str(regimen)`` is the notation again.

    Raises
    ------
    InputError
        With one issue (E700 to E703, E760) that names the word and the notation.

    Examples
    --------
    >>> nb.parse_regimen("20 mg, 2 times a day, 28 days").total("mg")
    1120.0
    """
    if len(text) > MAX_LETTERS:
        message = f"the schedule '{text[:40]}...' has {len(text)} letters, at most {MAX_LETTERS}"
        raise InputError([Issue("E760", message, NOTATION)])
    return _Parser(text).regimen()


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its unit."""

    value: float
    unit: str

    def to(self, unit: str) -> float:
        """Return the number in another unit."""
        return self.value * _unit_factor(self.unit, unit)

    def __str__(self) -> str:
        return f"{format_number(self.value)} {self.unit}"


def format_number(value: float) -> str:
    """Write a number so that it reads back as itself, without ``.0``."""
    return repr(float(value)).removesuffix(".0")


@cache
def canonical_unit(unit: str) -> str:
    """Return the canonical unit of the same dimension; empty if there is none."""
    if not _UNIT.fullmatch(unit):
        return ""
    registry = _unit_registry()
    try:
        dimension = registry.get_dimensionality(registry.parse_units(unit))
    # pint reads a unit as Python's tokeniser does, and raises errors of both.
    except Exception:
        return ""
    same = (known for known in CANONICAL_UNITS if registry.get_dimensionality(known) == dimension)
    return next(same, "")


@cache
def _unit_registry() -> pint.UnitRegistry:
    # Imported late: it takes 0.2 s, which `nmda-bayes --help` does not need.
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(None)
    for definition in _UNIT_DEFINITIONS:
        registry.define(definition)
    return registry


@cache
def _unit_factor(unit: str, other: str) -> float:
    try:
        if _UNIT.fullmatch(unit) and _UNIT.fullmatch(other):
            return float(_unit_registry().Quantity(1.0, unit).to(other).magnitude)
    except Exception:
        pass
    hint = "mg/kg and mg differ by a body weight, a rate and an amount by a time."
    raise InputError([Issue("E704", f"{unit[:40]} cannot be read as {other[:40]}", hint)])


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of an administration."""

    kind: DoseKind
    amount: Measure
    duration: Measure | None = None
    qualifier: Qualifier = ""

    @property
    def basis(self) -> str:
        """Unit of the amount: mg, mg/kg or ng/mL."""
        return canonical_unit(self.amount.unit).removesuffix("/h")

    @property
    def hours(self) -> float:
        """Duration in hours; NaN if not known."""
        if self.kind == "bolus":
            return 0.0
        return self.duration.to("h") if self.duration else math.nan

    @property
    def total(self) -> float:
        """Amount in the unit of `basis`; NaN if not known."""
        if self.kind == "target":
            return math.nan
        if self.kind == "rate":
            return self.amount.to(f"{self.basis}/h") * self.hours
        return self.amount.to(self.basis)

    @property
    def rate(self) -> float:
        """Amount per hour; NaN for a bolus, an average, and if the duration is not known."""
        if self.kind in ("bolus", "target") or self.qualifier in ("mean", "median"):
            return math.nan
        if self.kind == "rate":
            return self.amount.to(f"{self.basis}/h")
        return self.total / self.hours if self.hours else math.nan

    def for_weight(self, kg: float) -> Phase:
        """Return the phase with mg/kg converted to mg."""
        unit = canonical_unit(self.amount.unit)
        amount = Measure(self.amount.to(unit) * kg, unit.replace("/kg", ""))
        return replace(self, amount=amount)

    def __str__(self) -> str:
        kind = self.kind if self.kind in ("bolus", "target") else ""
        preposition = "over" if self.kind == "dose" else "for"
        duration = f"{preposition} {self.duration}" if self.duration else ""
        return " ".join(filter(None, (self.qualifier, kind, str(self.amount), duration)))


@dataclass(frozen=True, slots=True)
class Repetition:
    """How often an administration is given."""

    pooled_over: PooledPeriod = ""
    times: int | None = None
    per: Literal["", "day", "week"] = ""
    every: Measure | None = None
    count: int | None = None
    duration: Measure | None = None

    @property
    def interval(self) -> float:
        """Hours from one administration to the next; NaN if not known, or for a single one."""
        if self.every:
            return self.every.to("h")
        if self.times:
            return Measure(1, self.per).to("h") / self.times
        return 24.0 if self.duration and not self.pooled_over else math.nan

    @property
    def n(self) -> float:
        """Number of administrations; NaN if not known."""
        if self.count:
            return float(self.count)
        if self.pooled_over or (self.duration is None and (self.every or self.times)):
            return math.nan
        if self.duration is None:
            return 1.0
        # Every 6 h over ten days: 40; over 25 h: 5, as the last one starts within the course.
        return float(math.ceil(round(self.duration.to("h") / self.interval, 9)))

    @property
    def per_day(self) -> float:
        """Administrations on a day of dosing; NaN if not known."""
        if self.pooled_over or self.n == 1:
            return 1.0
        if math.isnan(self.interval):
            return math.nan
        most = max(1.0, 24 / self.interval)
        return most if math.isnan(self.n) else min(most, self.n)

    @property
    def days(self) -> float:
        """Days from the first administration to the last, both included; NaN if not known."""
        if self.duration:
            return self.duration.to("day")
        return math.nan if math.isnan(self.last_start) else float(self.last_start // 24 + 1)

    @property
    def last_start(self) -> float:
        """Hour at which the last administration starts; NaN if not known."""
        return 0.0 if self.n == 1 else (self.n - 1) * self.interval

    def __str__(self) -> str:
        times = self.times or self.count
        per = f" a {self.per}" if self.per else ""
        parts = (
            f"every {self.every}" if self.every else "",
            f"{times} time{'' if times == 1 else 's'}{per}" if times else "",
            str(self.duration) if self.duration else "",
        )
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Course:
    """An administration and how often it is given."""

    phases: tuple[Phase, ...]
    repetition: Repetition = Repetition()

    @property
    def hours(self) -> float:
        """Duration of one administration in hours; NaN if not known."""
        return math.nan if self.repetition.pooled_over else sum(p.hours for p in self.phases)

    @property
    def amount(self) -> float:
        """Amount of one administration (of a pooled amount: of a day); NaN if not known."""
        return sum(phase.total for phase in self.phases)

    @property
    def total(self) -> float:
        """Amount of the course; NaN if not known."""
        pooled = self.repetition.pooled_over
        if pooled == "dosing day":
            return math.nan
        return self.amount * (self.repetition.days if pooled else self.repetition.n)

    @property
    def daily(self) -> float:
        """Amount on a day of dosing (of an infusion over days: in 24 hours)."""
        fraction = 24 / self.hours if self.hours > 24 else 1.0
        return self.amount * self.repetition.per_day * fraction

    @property
    def days(self) -> float:
        """Duration of the course in days; NaN if not known."""
        if math.isnan(self.hours) and any(p.kind in ("rate", "target") for p in self.phases):
            return math.nan
        end = (self.repetition.last_start + self.hours) / 24
        return max(self.repetition.days, 0.0 if math.isnan(end) else end)

    @property
    def unknowns(self) -> list[str]:
        """What the times and amounts of its doses depend on and the schedule does not say."""
        repetition = self.repetition
        conditions = {
            "how much is given": math.isnan(self.amount),
            "how many doses there are": math.isnan(repetition.n),
            "when the doses are given": repetition.n > 1 and math.isnan(repetition.interval),
            "how long a phase before another takes": any(
                math.isnan(p.hours) for p in self.phases[:-1]
            ),
        }
        return [text for text, unknown in conditions.items() if unknown]

    def __str__(self) -> str:
        phases = ", then ".join(map(str, self.phases))
        pooled = f" a {self.repetition.pooled_over}" if self.repetition.pooled_over else ""
        return ", ".join(filter(None, (phases + pooled, str(self.repetition))))


@dataclass(frozen=True, slots=True)
class Event:
    """An amount that is given evenly from one time on."""

    start_hours: float
    hours: float
    amount: float

    @property
    def rate(self) -> float:
        """Amount per hour; NaN for a bolus and if the duration is not known."""
        return self.amount / self.hours if self.hours else math.nan


@dataclass(frozen=True, slots=True)
class Regimen:
    """Doses, rates and schedule of a treatment; ``str(regimen)`` is its notation.

    Attributes
    ----------
    courses
        One after the other. All amounts have one unit: mg, mg/kg or ng/mL (a target).

    Examples
    --------
    >>> regimen = nb.parse_regimen("bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h")
    >>> regimen.basis, regimen.total("mg/kg"), regimen.hours
    ('mg/kg', 0.25, 1.0)
    """

    courses: tuple[Course, ...]

    @property
    def basis(self) -> str:
        """Unit of its amounts: mg, mg/kg, or ng/mL for a target concentration."""
        return self.courses[0].phases[0].basis

    @property
    def qualifiers(self) -> tuple[str, ...]:
        """Words of its phases that an amount is not what everybody got, each once."""
        words = (phase.qualifier for course in self.courses for phase in course.phases)
        return tuple(dict.fromkeys(filter(None, words)))

    @property
    def hours(self) -> float:
        """Duration of one administration in hours; NaN if not known, or if it changes."""
        durations = {course.hours for course in self.courses}
        return durations.pop() if len(durations) == 1 else math.nan

    @property
    def days(self) -> float:
        """Duration of the regimen in days; NaN if not known."""
        return sum(course.days for course in self.courses)

    @property
    def n_administrations(self) -> float:
        """Number of administrations; NaN if not known."""
        return sum(course.repetition.n for course in self.courses)

    @property
    def unknowns(self) -> tuple[str, ...]:
        """What `events` depend on and the schedule does not say, each once."""
        return tuple(dict.fromkeys(text for course in self.courses for text in course.unknowns))

    def total(self, unit: str) -> float:
        """Return the amount of the whole regimen.

        Parameters
        ----------
        unit
            mg or mg/kg, or another unit of the same dimension as `basis`.

        Returns
        -------
        float
            NaN if not known, and for a target concentration.

        Raises
        ------
        InputError
            If the unit has another dimension (E704): mg and mg/kg differ by a body weight.
        """
        return self._in_unit(unit, sum(course.total for course in self.courses))

    def daily(self, unit: str) -> float:
        """Return the amount on a day of dosing; of a stepped dose, of the highest step.

        Parameters
        ----------
        unit
            As for `total`.

        Returns
        -------
        float
            NaN if not known. Of an infusion over days, in 24 hours.

        Raises
        ------
        InputError
            As for `total`.
        """
        return self._in_unit(unit, _nan_max([course.daily for course in self.courses]))

    def peak_rate(self, unit: str) -> float:
        """Return the highest infusion rate.

        Parameters
        ----------
        unit
            mg/h or mg/kg/h, or another unit of the same dimension as `basis` per hour.

        Returns
        -------
        float
            NaN if not known, and if any phase is a bolus.

        Raises
        ------
        InputError
            As for `total`.
        """
        rates = [
            math.nan if course.repetition.pooled_over else phase.rate
            for course in self.courses
            for phase in course.phases
        ]
        return _nan_max(rates) * Measure(1.0, f"{self.basis}/h").to(unit)

    def for_weight(self, kg: float) -> Regimen:
        """Return the regimen in mg for a body weight.

        Parameters
        ----------
        kg
            Body weight.

        Returns
        -------
        Regimen
            With mg/kg converted to mg; unchanged if it is in mg or ng/mL.
        """
        if self.basis != "mg/kg":
            return self
        return Regimen(
            tuple(
                replace(course, phases=tuple(phase.for_weight(kg) for phase in course.phases))
                for course in self.courses
            )
        )

    def events(self) -> tuple[Event, ...]:
        """Return the doses in time.

        Returns
        -------
        tuple of Event
            Boluses, doses and infusions by start, evenly spaced if the schedule says only how many
            are given per day or week.

        Raises
        ------
        InputError
            If the schedule does not say enough (E705), with what is missing.
        """
        if self.unknowns:
            message = f"the schedule '{self}' does not say {' or '.join(self.unknowns)}"
            hint = "The amount, the number and the time of every dose are needed."
            raise InputError([Issue("E705", message, hint)])
        if self.n_administrations > MAX_ADMINISTRATIONS:
            message = f"the schedule '{self}' has {self.n_administrations:.0f} administrations"
            hint = f"The times of at most {MAX_ADMINISTRATIONS} can be listed."
            raise InputError([Issue("E761", message, hint)])
        events: list[Event] = []
        course_start = 0.0
        for course in self.courses:
            for k in range(int(course.repetition.n)):
                start = course_start + (k * course.repetition.interval if k else 0.0)
                for phase in course.phases:
                    events.append(Event(start, phase.hours, phase.total))
                    start += 0.0 if math.isnan(phase.hours) else phase.hours
            course_start += course.days * 24
        return tuple(events)

    def _in_unit(self, unit: str, value: float) -> float:
        if self.basis == "ng/mL":
            return math.nan
        return value * Measure(1.0, self.basis).to(unit)

    def __str__(self) -> str:
        return "; ".join(map(str, self.courses))


def _nan_max(values: list[float]) -> float:
    """Return the largest value; NaN if any is not known."""
    return math.nan if any(map(math.isnan, values)) else max(values)


class _Parser:
    """Recursive descent over the words of a schedule, so that an error can name the word."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _TOKEN.findall(text)
        self.position = 0

    @property
    def word(self) -> str:
        return self.words[self.position] if self.position < len(self.words) else ""

    def accept(self, *words: str) -> bool:
        """Skip these words if they are next."""
        end = self.position + len(words)
        if tuple(self.words[self.position : end]) != words:
            return False
        self.position = end
        return True

    def fail(self, expected: str, back: int = 0) -> NoReturn:
        """Raise a syntax error at the next word, or some words back."""
        self.position -= back
        at_word = f"'{self.word}'" if self.word else "the end"
        self.error("E700", f"expected {expected} at {at_word}")

    def error(self, code: str, message: str, hint: str = NOTATION) -> NoReturn:
        raise InputError([Issue(code, f"{message} of the schedule '{self.text}'", hint)])

    def regimen(self) -> Regimen:
        courses = [self.course()]
        while self.accept(";"):
            courses.append(self.course())
        if self.word:
            self.fail("',' or ';'")
        units = sorted({phase.basis for course in courses for phase in course.phases})
        if len(units) > 1:
            hint = "Use one unit: they differ by a body weight, or by a pharmacokinetic model."
            self.error("E701", f"{' and '.join(units)} in the courses", hint)
        return Regimen(tuple(courses))

    def course(self) -> Course:
        phases = [self.phase()]
        pooled: PooledPeriod = ""
        if phases[0].kind == "dose" and not phases[0].duration:
            if self.accept("a", "day"):
                pooled = "day"
            elif self.accept("a", "dosing", "day"):
                pooled = "dosing day"
        while not pooled and (self.accept(",", "then") or self.accept("then")):
            phases.append(self.phase())
        return Course(tuple(phases), self.repetition(pooled))

    def phase(self) -> Phase:
        qualifier = next((q for q in QUALIFIER_NOTES if self.accept(*q.split())), "")
        bolus, target = self.accept("bolus"), self.accept("target")
        units = ("ng/mL",) if target else ("mg", "mg/kg")
        if not (bolus or target):
            units = (*units, "mg/h", "mg/kg/h")
        amount = self.measure("a concentration" if target else "an amount or a rate", units)
        is_rate = canonical_unit(amount.unit).endswith("/h")
        kind: DoseKind = "target" if target else "bolus" if bolus else "rate" if is_rate else "dose"
        return Phase(kind, amount, self.phase_duration(kind), cast(Qualifier, qualifier))

    def phase_duration(self, kind: DoseKind) -> Measure | None:
        if self.word not in ("over", "for"):
            return None
        if kind == "bolus":
            self.fail(
                "no duration (a bolus is given at once; a dose without 'bolus' may take time)"
            )
        preposition = "over" if kind == "dose" else "for"
        if not self.accept(preposition):
            self.fail(f"'{preposition}' (amounts are given over a time, rates for a time)")
        return self.positive_time()

    def positive_time(self) -> Measure:
        time = self.measure("a time", ("h",))
        if not time.value:
            self.fail("a time above 0", back=2)
        return time

    def repetition(self, pooled: PooledPeriod) -> Repetition:
        options: dict[str, Any] = {}
        while self.accept(","):
            start = self.position
            new = self.frequency()
            if set(new) & set(options) or (pooled and "duration" not in new):
                self.fail("nothing that is given already", back=self.position - start)
            options |= new
        names = set(options)
        if {"times", "every"} <= names or ("count" in names and names & {"times", "duration"}):
            hint = "Use one: 'N times a day', 'every TIME', or 'N times'."
            self.error("E702", "the number of doses is given in two ways in the courses", hint)
        result = Repetition(pooled, **options)
        if result.times and result.duration:
            n = result.times * result.duration.to("day") / (7 if result.per == "week" else 1)
            if abs(n - round(n)) > 1e-6:
                message = f"{result} is not a whole number of doses in the courses"
                self.error("E703", message)
        return result

    def frequency(self) -> dict[str, Any]:
        """Parse how often, or how long, an administration is given."""
        if self.accept("every"):
            if self.word in _PERIODS:
                self.position += 1
                return {"every": Measure(1.0, self.words[self.position - 1])}
            return {"every": self.positive_time()}
        number = self.number("how often it is given")
        if self.accept("times") or self.accept("time"):
            if number < 1 or number % 1:
                self.fail("a whole number of times", back=2)
            for period in ("day", "week"):
                if self.accept("a", period):
                    return {"times": int(number), "per": period}
            return {"count": int(number)}
        if self.word not in _PERIODS or not number:
            self.fail("'times', 'days' or 'weeks'")
        self.position += 1
        return {"duration": Measure(number, self.words[self.position - 1])}

    def number(self, expected: str) -> float:
        if not re.fullmatch(_NUMBER, self.word):
            self.fail(expected)
        number = float(self.word)
        if number and not SMALLEST <= number <= LARGEST:
            self.fail(f"a number from {SMALLEST:g} to {LARGEST:g}, or 0,")
        self.position += 1
        return number

    def measure(self, expected: str, units: tuple[str, ...]) -> Measure:
        number = self.number(expected)
        if not self.word or canonical_unit(self.word) not in units:
            self.fail(f"a unit like {' or '.join(units)}")
        self.position += 1
        return Measure(number, self.words[self.position - 1])
