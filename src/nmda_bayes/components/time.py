"""Time courses: how much of an effect is there at an hour, 1 being the whole of it.

    eta[reading] = baseline[study, hour] + f(exposure[arm]; theta) · g(hour; phi) + delta[arm]

``g`` multiplies the curve, so that a dose says how large an effect is and a course how long. Two
clocks run: ``after``, hours since the study's treatments ended and negative before, and ``since``,
hours since they began. Half-lives are halvings of the effect, not of a concentration.

To add a course, write its function under one `@course` line.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nmda_bayes.components.curves.options import Option, option_faults, rises_from

AFTER, SINCE = "after", "since"
CLOCKS = "after: hours since the study's treatments ended; since: hours since they began"
#: The only option that a course has: hours after the end of treatment.
EDGES = "edges"
EXAMPLE = {EDGES: [2, 24]}
_RISING = rises_from(0, touching=True)
OPTIONS = {
    EDGES: Option(
        EDGES,
        "hours from 0 on, each above the last",
        lambda value: _RISING(value) and len(value) > 0,
        is_dose=False,
    )
}


@dataclass(frozen=True, slots=True)
class Course:
    """A time course of an effect.

    Attributes
    ----------
    name
        What a spec calls it.
    parameters
        The names of its parameters; a course with edges has them all only once these are `given`.
    clocks
        Which of the two clocks its formula reads.
    formula
        ``formula(*clocks, xp, *options, **parameters)`` to the share of the effect.
    text
        The formula as a reader would write it.
    about
        One sentence on when it is the right course.
    numbered
        The parameter of which there is one for each edge.
    edges
        The edges, where they are given.
    """

    name: str
    parameters: tuple[str, ...]
    clocks: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    about: str
    numbered: str = ""
    edges: tuple[float, ...] = ()

    def option_faults(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Find what is wrong with a course's options.

        Parameters
        ----------
        options
            As a spec writes them.

        Yields
        ------
        tuple[str, str, str]
            The option, a message and its mend.
        """
        wanted = {EDGES: inspect.Parameter.empty} if self.numbered else {}
        yield from option_faults("course", self.name, wanted, EXAMPLE, options, OPTIONS)

    def given(self, options: Mapping[str, Any]) -> Course:
        """Fill in the edges of a course, and with them the names of its parameters.

        Parameters
        ----------
        options
            As a spec writes them.

        Returns
        -------
        Course
            The course that can be evaluated.

        Raises
        ------
        ValueError
            If an option is missing, unknown or unsound.
        """
        faults = [message for _, message, _ in self.option_faults(options)]
        if faults:
            raise ValueError("; ".join(faults))
        if not self.numbered:
            return self
        edges = tuple(float(edge) for edge in options[EDGES])
        members = tuple(f"{self.numbered}_{i + 1}" for i in range(len(edges)))
        return replace(self, parameters=members, edges=edges)

    def share(self, clocks: Mapping[str, Any], parameters: Mapping[str, Any], xp: Any) -> Any:
        """Evaluate the course.

        Parameters
        ----------
        clocks
            Labelled hours by `AFTER` and `SINCE`; a course reads only its own.
        parameters
            Labelled arrays by parameter name; dims broadcast by name.
        xp
            Namespace with the elementary functions for these arrays.

        Returns
        -------
        Any
            The share of the effect, 1 where all of it is there.
        """
        hours = [clocks[name] for name in self.clocks]
        if not self.numbered:
            return self.formula(*hours, xp, **{name: parameters[name] for name in self.parameters})
        members = tuple(parameters[name] for name in self.parameters)
        return self.formula(*hours, xp, self.edges, **{self.numbered: members})


COURSES: dict[str, Course] = {}


def course(text: str, *, numbered: str = "") -> Callable[[Callable[..., Any]], Course]:
    """Enter a formula in the catalogue under its function's name.

    Its first arguments are the clocks that it reads, those after ``*`` its parameters: a positive
    quantity as its logarithm, called ``log_...``.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    numbered
        The parameter of which there is one for each edge.

    Returns
    -------
    Callable
        Decorator from the formula to the `Course`.
    """

    def enter(formula: Callable[..., Any]) -> Course:
        signature = inspect.signature(formula).parameters.values()
        made = Course(
            name=formula.__name__,
            parameters=tuple(p.name for p in signature if p.kind is p.KEYWORD_ONLY),
            clocks=tuple(p.name for p in signature if p.name in (AFTER, SINCE)),
            formula=formula,
            text=text,
            about=(inspect.getdoc(formula) or "").splitlines()[0],
            numbered=numbered,
        )
        COURSES[made.name] = made
        return made

    return enter


def _halved(hours: Any, log_half_life: Any, xp: Any) -> Any:
    """What is left after some hours; the whole before them."""
    return xp.exp(-math.log(2.0) * xp.maximum(hours, 0.0) / xp.exp(log_half_life))


@course("1")
def constant(xp: Any) -> Any:
    """The effect is the same at every hour: what an analysis of one time point assumes."""
    return 1.0


@course("2^(−after/half_life) once treatment has ended, 1 before")
def exponential_decay(after: Any, xp: Any, *, log_half_life: Any) -> Any:
    """The effect is whole while treatment lasts and fades from its end."""
    return _halved(after, log_half_life, xp)


@course("(1 − 2^(−since/onset_half_life)) · 2^(−after/half_life)")
def onset_and_decay(
    after: Any, since: Any, xp: Any, *, log_onset_half_life: Any, log_half_life: Any
) -> Any:
    """The effect builds up from the first dose and fades from the end of treatment."""
    return (1.0 - _halved(since, log_onset_half_life, xp)) * _halved(after, log_half_life, xp)


@course("1 up to the first edge; share_j beyond edge j", numbered="share")
def steps(after: Any, xp: Any, edges: Sequence[float], *, share: Sequence[Any]) -> Any:
    """The effect has a share of its first size in each later window, of any sign: no shape."""
    level: Any = (after <= edges[0]) * 1.0
    for j, (edge, part) in enumerate(zip(edges, share, strict=True)):
        upper = edges[j + 1] if j + 1 < len(edges) else math.inf
        level = level + (after > edge) * (after <= upper) * part
    return level
