"""When an outcome is read: one hour of each study, or every one of its readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.time import COURSES, EDGES, Course
from nmda_bayes.errors import Fault
from nmda_bayes.spec.content import mapping, names, no_share, unknown_outcomes
from nmda_bayes.spec.prior import Frozen, PriorSpec, known, listed

ALL_READINGS = "every_reading"
EXAMPLE = '{ dist = "Beta", kwargs = { alpha = 5, beta = 5 }, why = "..." }'


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


CourseName = Annotated[str, known(COURSES, "course"), listed(COURSES)]
#: The course knows what is sound (`time_faults`); a second opinion here would name faults twice.
CourseOptions = Annotated[
    dict[
        str,
        Annotated[
            Any,
            AfterValidator(_frozen),
            WithJsonSchema({"type": "array", "items": {"type": "number"}}),
        ],
    ],
    Field(json_schema_extra={"propertyNames": {"enum": [EDGES]}}),
]


class TimeSpec(Frozen):
    """Which of a study's time points enters: one for each outcome, or all of them."""

    rule: Literal["nearest_end_of_treatment", "earliest", "latest", "every_reading"]
    at_most_hours: Annotated[float, Field(ge=0)] | None = None
    undated: Literal["window_of_the_end", "leave_out"] = "leave_out"
    why: str = ""


class RepeatedSpec(Frozen):
    """How several readings of one arm enter: their people are the same."""

    # A prior, or a number between 0 and 1 that is declared and not learned.
    within_arm_correlation: PriorSpec | Annotated[float, Field(ge=0, lt=1)] | None = None
    as_independent: tuple[str, ...] = ()
    why: str = ""


def course_of(outcome: Mapping[str, Any]) -> Course | None:
    """Find an outcome's time course, its options filled in.

    Parameters
    ----------
    outcome
        An outcome of a spec, as plain content.

    Returns
    -------
    Course or None
        None where the course is not known or its options are at fault.
    """
    course = COURSES.get(str(outcome.get("course", "constant")))
    options = outcome.get("course_options", {})
    if course is None or not isinstance(options, Mapping) or any(course.option_faults(options)):
        return None
    return course.given(options)


def time_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where an outcome's time course and its choice of time points contradict each other.

    Parameters
    ----------
    key
        The outcome's dotted key.
    outcome
        Its plain content.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    course = COURSES.get(str(outcome.get("course", "constant")))
    options = outcome.get("course_options", {})
    if course is None or not isinstance(options, Mapping):
        return
    for name, message, mend in course.option_faults(options):
        yield Fault(message, mend, column=f"{key}.course_options.{name}")
    time = outcome.get("time")
    time = mapping(time)
    timed = bool(course.clocks)
    if timed and not time:
        yield Fault(
            f"course '{course.name}' needs the hours of the readings, and no rule chooses them",
            f'Write [{key}.time] with rule = "{ALL_READINGS}", or a rule that keeps one.',
            column=f"{key}.time",
        )
    if (timed or time.get("rule") == ALL_READINGS) and time.get("undated", "leave_out") != (
        "leave_out"
    ):
        yield Fault(
            "a reading without an hour has no place on a time course",
            'Write undated = "leave_out", or remove it.',
            column=f"{key}.time.undated",
        )
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    bare = likelihood is not None and not likelihood.has_baseline
    if likelihood is not None and bare and time.get("rule") == ALL_READINGS:
        yield Fault(
            f"likelihood '{likelihood.name}' has one time point of a study: no level of an hour"
            " cancels in it, and its reports at two hours are of the same people",
            'Keep one hour of each study, for instance rule = "nearest_end_of_treatment".',
            column=f"{key}.likelihood",
        )


def repeated_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    """Ask how several readings of one arm enter, where a spec lets them in.

    Parameters
    ----------
    content
        The spec as plain content.
    outcomes
        Its outcomes.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    given = mapping(content, "designs", "repeated")
    key, rho = "designs.repeated", given.get("within_arm_correlation")
    independent = names(given.get("as_independent"))
    yield from unknown_outcomes(independent, outcomes, f"{key}.as_independent")
    if no_share(rho):
        yield Fault(
            "a within-arm correlation lies between 0 and 1, this prior does not",
            f"Write for instance {EXAMPLE}, or a number.",
            column=f"{key}.within_arm_correlation",
        )
    for name, outcome in outcomes.items():
        if mapping(outcome, "time").get("rule") != ALL_READINGS:
            continue
        likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
        splits = likelihood is not None and likelihood.splits_error
        if name in independent or (splits and rho is not None):
            continue
        mend = f'as_independent = ["{name}"]'
        if splits:
            mend = f"within_arm_correlation = {EXAMPLE}, or a number, or {mend}"
        yield Fault(
            f"outcome '{name}' takes every reading of an arm, whose people are the same, and the"
            " spec does not say how they go together",
            f"Write [designs.repeated] with {mend}.",
            column=key,
        )
