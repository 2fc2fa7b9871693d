"""Time courses: the share of the full effect that is present at an hour.

    eta[reading] = baseline[study, hour] + shift − mean shift of the arms + delta[arm]
    shift[reading] = f(exposure[arm]; theta) · g(hour; phi)

``g`` multiplies the curve. It reads two clocks: ``after``, hours since the study's treatments ended
(negative before), and ``since``, hours since they began. Half-lives are of the effect, not of a
concentration. To add a course, write its function under one `@time_course` line.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmda_bayes.components import keyword_parameters, summary_line
from nmda_bayes.components.curves import CurveOption, is_increasing, option_issues
from nmda_bayes.registry import Registry

HOURS_AFTER_END, HOURS_SINCE_START = "after", "since"
CLOCKS_TEXT = "after: hours since the study's treatments ended; since: hours since they began"
#: The only option of a course: hours after the end of treatment.
EDGES = "edges"
EDGES_EXAMPLE = {EDGES: [2, 24]}
COURSE_OPTIONS = {
    EDGES: CurveOption(
        EDGES, "increasing hours from 0 on", lambda v: is_increasing(v, 0) and len(v) > 0
    )
}


@dataclass(frozen=True, slots=True)
class TimeCourse:
    """A time course; ``indexed_parameter`` stands for one numbered parameter for each edge."""

    name: str
    parameters: tuple[str, ...]
    clocks: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    about: str
    indexed_parameter: str = ""
    edges: tuple[float, ...] = ()

    def option_issues(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Find unknown, missing and invalid options: option, message, hint."""
        defaults = {EDGES: inspect.Parameter.empty} if self.indexed_parameter else {}
        yield from option_issues(
            "course", self.name, defaults, EDGES_EXAMPLE, options, COURSE_OPTIONS
        )

    def with_options(self, options: Mapping[str, Any]) -> TimeCourse:
        """Set the edges, which determine the numbered parameters."""
        issues = [message for _, message, _ in self.option_issues(options)]
        if issues:
            raise ValueError("; ".join(issues))
        if not self.indexed_parameter:
            return self
        edges = tuple(float(edge) for edge in options[EDGES])
        numbered = tuple(f"{self.indexed_parameter}_{i + 1}" for i in range(len(edges)))
        return replace(self, parameters=numbered, edges=edges)

    def share(self, clocks: Mapping[str, Any], parameters: Mapping[str, Any], xp: Any) -> Any:
        """Evaluate the course."""
        hours = [clocks[name] for name in self.clocks]
        values = {name: parameters[name] for name in self.parameters}
        if not self.indexed_parameter:
            return self.formula(*hours, xp, **values)
        numbered = {self.indexed_parameter: tuple(values.values())}
        return self.formula(*hours, xp, self.edges, **numbered)


def _build(formula: Callable[..., Any], text: str, *, indexed_parameter: str = "") -> TimeCourse:
    """A course named after its function.

    Its first arguments are the clocks that it reads, those after ``*`` its parameters: a positive
    quantity is its logarithm, called ``log_...``.
    """
    clocks = (HOURS_AFTER_END, HOURS_SINCE_START)
    return TimeCourse(
        name=formula.__name__,
        parameters=keyword_parameters(formula),
        clocks=tuple(name for name in inspect.signature(formula).parameters if name in clocks),
        formula=formula,
        text=text,
        about=summary_line(formula),
        indexed_parameter=indexed_parameter,
    )


TIME_COURSES = Registry("course", _build)
time_course = TIME_COURSES.entry


def _halved(hours: Any, log_half_life: Any, xp: Any) -> Any:
    """The share that remains after some hours; 1 before 0."""
    return xp.exp(-math.log(2.0) * xp.maximum(hours, 0.0) / xp.exp(log_half_life))


@time_course("1")
def constant(xp: Any) -> Any:
    """The effect is the same at every hour, as an analysis of one time point assumes."""
    return 1.0


@time_course("2^(−after/half_life) once treatment has ended, 1 before")
def exponential_decay(after: Any, xp: Any, *, log_half_life: Any) -> Any:
    """The effect is complete during treatment and decays from its end."""
    return _halved(after, log_half_life, xp)


@time_course("(1 − 2^(−since/onset_half_life)) · 2^(−after/half_life)")
def onset_and_decay(
    after: Any, since: Any, xp: Any, *, log_onset_half_life: Any, log_half_life: Any
) -> Any:
    """The effect builds up from the first dose and decays from the end of treatment."""
    return (1.0 - _halved(since, log_onset_half_life, xp)) * _halved(after, log_half_life, xp)


@time_course("1 up to the first edge; share_j beyond edge j", indexed_parameter="share")
def steps(after: Any, xp: Any, edges: Sequence[float], *, share: Sequence[Any]) -> Any:
    """In each later window the effect has a separate share, of any sign, of its initial size."""
    level: Any = (after <= edges[0]) * 1.0
    for j, (edge, part) in enumerate(zip(edges, share, strict=True)):
        upper = edges[j + 1] if j + 1 < len(edges) else math.inf
        level = level + (after > edge) * (after <= upper) * part
    return level
