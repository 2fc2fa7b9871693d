"""The notation of a schedule, read word by word, so that a fault names the word."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Literal, NoReturn, cast

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.regimens.measures import Measure, canonical
from nmda_bayes.regimens.parts import Given, Phase, Qualifier, Repetition
from nmda_bayes.regimens.regimen import Course, Regimen

#: The notation in one sentence, as faults print it.
NOTATION = (
    "Write a schedule like '0.5 mg/kg over 40 min', 'bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h',"
    " '0.35 mg/kg/h for 4 h, 10 days', '20 mg, 2 times a day, 28 days', '400 mg a day, 63 days',"
    " '56 mg, 2 times a week, 4 weeks', 'up to 30 mg a day', 'target 150 ng/mL for 30 min'."
)

_TOKEN = re.compile(r"[;,]|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[^\s;,]+")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_PERIODS = ("day", "days", "week", "weeks")


@lru_cache(maxsize=4096)
def parse_regimen(text: str) -> Regimen:
    """Read the notation of a schedule.

    Parameters
    ----------
    text
        Courses parted by ``;``. A course is an administration, its phases joined by ``, then``,
        and how often it is given. A phase is ``[bolus] AMOUNT [over TIME]``, ``RATE [for TIME]``
        or ``target CONCENTRATION [for TIME]``; before it may stand ``up to`` (the highest of a
        stepped dose), ``mean`` or ``median`` (of what people were given). ``AMOUNT a day`` is what
        a day gives in doses whose number is not said, ``AMOUNT a dosing day`` likewise where not
        every day is one. How often: ``N times a day``, ``N times a week``, ``every TIME``,
        ``N times``, and the length in days or weeks; a length alone means once a day.

    Returns
    -------
    Regimen
        ``str`` of it is the notation again.

    Raises
    ------
    InputError
        With one fault that names the word and what is understood.
    """
    return _Reader(text).regimen()


class _Reader:
    """A place in the words of a schedule."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = _TOKEN.findall(text)
        self.place = 0

    @property
    def word(self) -> str:
        return self.words[self.place] if self.place < len(self.words) else ""

    def take(self, *expected: str) -> bool:
        """Pass over these words if they stand here."""
        end = self.place + len(expected)
        if tuple(self.words[self.place : end]) != expected:
            return False
        self.place = end
        return True

    def refuse(self, wanted: str) -> NoReturn:
        where = f"'{self.word}'" if self.word else "the end"
        message = f"{wanted} should stand at {where} of the schedule '{self.text}'"
        raise InputError([Fault(message, NOTATION)])

    def regimen(self) -> Regimen:
        courses = [self.course()]
        while self.take(";"):
            courses.append(self.course())
        if self.word:
            self.refuse("',' or ';'")
        units = {phase.basis for course in courses for phase in course.phases}
        if len(units) > 1:
            raise InputError(
                [
                    Fault(
                        f"the schedule '{self.text}' is in {' and '.join(sorted(units))}",
                        "Keep to one: a body weight or a model lies between them.",
                    )
                ]
            )
        return Regimen(tuple(courses))

    def course(self) -> Course:
        phases = [self.phase()]
        pooled: Literal["", "day", "dosing day"] = ""
        if phases[0].given == "dose" and not phases[0].lasting:
            if self.take("a", "day"):
                pooled = "day"
            elif self.take("a", "dosing", "day"):
                pooled = "dosing day"
        while not pooled and (self.take(",", "then") or self.take("then")):
            phases.append(self.phase())
        return Course(tuple(phases), self.repetition(pooled))

    def phase(self) -> Phase:
        qualifier: Qualifier = ""
        if self.take("up", "to"):
            qualifier = "up to"
        elif self.word in ("mean", "median"):
            qualifier = cast(Qualifier, self.word)
            self.place += 1
        bolus, target = self.take("bolus"), self.take("target")
        kinds = ("ng/mL",) if target else ("mg", "mg/kg")
        if not (bolus or target):
            kinds = (*kinds, "mg/h", "mg/kg/h")
        amount = self.measure("a concentration" if target else "an amount or a rate", kinds)
        rate = canonical(amount.unit).endswith("/h")
        given: Given = "target" if target else "bolus" if bolus else "rate" if rate else "dose"
        return Phase(given, amount, self.length(given), qualifier)

    def length(self, given: Given) -> Measure | None:
        if self.word not in ("over", "for"):
            return None
        if given == "bolus":
            self.refuse("no length (a bolus goes in at once; without 'bolus' it may take a time)")
        wanted = "over" if given == "dose" else "for"
        if not self.take(wanted):
            self.refuse(f"'{wanted}' (amounts go in over a time, rates last for one)")
        length = self.measure("a time", ("h",))
        if not length.value:
            self.place -= 2
            self.refuse("a time above 0")
        return length

    def repetition(self, pooled: Literal["", "day", "dosing day"]) -> Repetition:
        said: dict[str, object] = {}
        while self.take(","):
            start = self.place
            new = self.how_often()
            if set(new) & set(said) or (pooled and "lasting" not in new):
                self.place = start
                self.refuse("nothing that was said already")
            said |= new
        made = Repetition(pooled, **said)  # type: ignore[arg-type]
        if sum((made.times is not None, made.every is not None)) > 1 or (
            made.count and (made.times or made.lasting)
        ):
            raise InputError(
                [
                    Fault(
                        f"the schedule '{self.text}' says its number of doses in two ways",
                        "Say one: 'N times a day', 'every TIME', or 'N times'.",
                    )
                ]
            )
        self.must_fit(made)
        return made

    def must_fit(self, made: Repetition) -> None:
        """Refuse a course that does not hold whole weeks, or days, of its doses."""
        if made.times and made.lasting:
            n = made.times * made.lasting.to("day") / (7 if made.each == "week" else 1)
            if abs(n - round(n)) > 1e-6:
                raise InputError(
                    [
                        Fault(
                            f"{made.times} times a {made.each} are no whole number of doses in"
                            f" {made.lasting} in the schedule '{self.text}'",
                            NOTATION,
                        )
                    ]
                )

    def how_often(self) -> dict[str, object]:
        if self.take("every"):
            if self.word in _PERIODS:
                self.place += 1
                return {"every": Measure(1.0, self.words[self.place - 1])}
            every = self.measure("a time", ("h",))
            if not every.value:
                self.place -= 2
                self.refuse("a time above 0")
            return {"every": every}
        number = self.number("how often it is given")
        if self.take("times") or self.take("time"):
            if number < 1 or number % 1:
                self.place -= 2
                self.refuse("a whole number of times")
            for each in ("day", "week"):
                if self.take("a", each):
                    return {"times": int(number), "each": each}
            return {"count": int(number)}
        if self.word not in _PERIODS or not number:
            self.refuse("'times', 'days' or 'weeks'")
        self.place += 1
        return {"lasting": Measure(number, self.words[self.place - 1])}

    def number(self, what: str) -> float:
        if not _NUMBER.fullmatch(self.word):
            self.refuse(what)
        number = float(self.word)
        if number == math.inf:
            self.refuse("a finite number")
        self.place += 1
        return number

    def measure(self, what: str, kinds: tuple[str, ...]) -> Measure:
        number = self.number(what)
        if not self.word or canonical(self.word) not in kinds:
            self.refuse(f"a unit like {' or '.join(kinds)}")
        self.place += 1
        return Measure(number, self.words[self.place - 1])
