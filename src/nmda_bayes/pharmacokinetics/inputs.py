"""What goes in, and what is left of it: a regimen as trains of equal doses, in closed form.

A pool that empties at a rate holds, during and after an input, what two elementary functions say;
after k equal inputs in a row it holds a geometric series of that. So the cost of a month of doses
is that of one, and nothing is stepped through time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.regimens import Event, Regimen

#: The share of a dosing interval by which a time may fall short of a dose and still count as it:
#: a time typed as 48 h is the third dose of a day, whatever its last digit.
_AT = 1e-9
_LEAST = 1e-300
_SMALL = 1e-8


@dataclass(frozen=True, slots=True)
class Train:
    """Equal inputs, evenly spaced. Each attribute may be an array: one value a regimen or a draw.

    Attributes
    ----------
    start
        Hour of the first.
    hours
        Length of each; 0 for a bolus.
    amount
        Of each, mg.
    n
        How many.
    interval
        Hours from one to the next; longer than `hours`.
    """

    start: Any
    hours: Any
    amount: Any
    n: Any = 1
    interval: Any = 1.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Times as a train sees them. Make it with `read`.

    Attributes
    ----------
    train
        The train.
    begun
        1 where the first input has begun, 0 before.
    before
        Inputs that were over before the one at hand.
    inside
        Hours that the input at hand has lasted.
    after
        Hours since it ended.
    """

    train: Train
    begun: Any
    before: Any
    inside: Any
    after: Any

    def left(self, rate: Any, xp: Any = np) -> Any:
        """Say what a pool still holds of the train, if it empties at a rate.

        Parameters
        ----------
        rate
            1/h.
        xp
            numpy, or `pytensor.tensor`.

        Returns
        -------
        Any
            As a multiple of one input, at each time from the start on.
        """
        train = self.train
        # Of each input alone: what left while it went in, and what of the rest left after.
        gone, decay = xp.expm1(-rate * self.inside), xp.exp(-rate * self.after)
        if _none(train.hours):
            held = decay
        else:
            # Over the length: right for one of a second as for 0.
            even = gone / (-rate * xp.maximum(train.hours, _LEAST))
            held = decay * (even if _every(train.hours) else xp.where(train.hours > 0, even, 1.0))
        if np.any(np.asarray(train.n) > 1):
            pause = xp.exp(-rate * (train.interval - train.hours))
            series = xp.expm1(-rate * train.interval * self.before) / xp.expm1(
                -rate * train.interval
            )
            earlier = _kept(rate * train.hours, xp) * pause
            held = held + earlier * (decay * (1 + gone) * series)
        return held

    def given(self, xp: Any = np) -> Any:
        """Say how much the train has put in.

        Parameters
        ----------
        xp
            numpy, or `pytensor.tensor`.

        Returns
        -------
        Any
            As a multiple of one input, at each time from the start on.
        """
        lasting = xp.maximum(self.train.hours, _LEAST)
        return self.before + xp.where(self.train.hours > 0, self.inside / lasting, 1.0)

    @property
    def amount(self) -> Any:
        """Amount of one input, mg; 0 at times before the first."""
        return self.train.amount * self.begun


def read(train: Train, times: Any, xp: Any = np) -> Clock:
    """Place times within a train.

    Parameters
    ----------
    train
        The train.
    times
        Hours since the first administration of the regimen. A time at which a bolus is given sees
        it.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    Clock
        Of the shape that times and train have together.
    """
    since = times - train.start
    late = xp.maximum(since, 0.0)
    if np.any(np.asarray(train.n) > 1):
        before = xp.minimum(xp.floor(late / train.interval + _AT), train.n - 1)
        at_hand = xp.maximum(late - before * train.interval, 0.0)
    else:
        before, at_hand = 0.0, late
    inside = 0.0 if _none(train.hours) else xp.minimum(at_hand, train.hours)
    return Clock(train, 1.0 * (since >= 0), before, inside, at_hand - inside)


def _none(hours: Any) -> bool:
    """Whether lengths are known to be 0: boluses."""
    return isinstance(hours, float | int | np.ndarray) and not np.any(hours)


def _every(hours: Any) -> bool:
    """Whether lengths are all positive; a variable of a graph is the length of a release."""
    return not isinstance(hours, float | int | np.ndarray) or bool(np.all(np.asarray(hours) > 0))


def _kept(x: Any, xp: Any) -> Any:
    """Mean of exp(-x s) over s in (0, 1): what is left when an even input ends; 1 for x = 0."""
    small = x < _SMALL
    # Twice, so that the gradient of the branch that is not taken is no 0 / 0 either.
    away = xp.where(small, 1.0, x)
    return xp.where(small, 1 - x / 2, -xp.expm1(-away) / away)


@lru_cache(maxsize=1024)
def trains(regimen: Regimen) -> tuple[Train, ...]:
    """Gather the events of a regimen into trains of equal ones.

    Parameters
    ----------
    regimen
        In mg.

    Returns
    -------
    tuple of Train
        Lengths that are not known are NaN.

    Raises
    ------
    InputError
        If the schedule does not say enough.
    """
    runs: list[list[Event]] = []
    last: dict[tuple[str, float], list[Event]] = {}
    for event in regimen.events():
        key = (repr(event.hours), event.amount)
        run = last.get(key)
        if run and _goes_on(run, event):
            run.append(event)
        else:
            last[key] = [event]
            runs.append(last[key])
    return tuple(_train(run) for run in runs)


def _goes_on(run: Sequence[Event], event: Event) -> bool:
    """Whether an event is the next one of a run of evenly spaced ones that do not overlap."""
    step = event.start_hours - run[-1].start_hours
    if step <= 0 or step < (0 if math.isnan(event.hours) else event.hours) * (1 - _AT):
        return False
    return len(run) == 1 or math.isclose(
        step, run[-1].start_hours - run[-2].start_hours, rel_tol=1e-9
    )


def _train(run: Sequence[Event]) -> Train:
    first = run[0]
    # Of a single input nothing asks for an interval but the formula, which needs one that is over
    # after the input is.
    interval = (
        (run[-1].start_hours - first.start_hours) / (len(run) - 1)
        if len(run) > 1
        else 1.0 + (0.0 if math.isnan(first.hours) else first.hours)
    )
    return Train(first.start_hours, first.hours, first.amount, len(run), interval)


def with_lengths(given: Sequence[Train], route: str, regimen: Regimen) -> tuple[Train, ...]:
    """Fill in the lengths that a route leaves no doubt of.

    Parameters
    ----------
    given
        As `trains` gives them.
    route
        Of an absorbed dose the absorption says how it goes in; it is taken, or given, at once.
    regimen
        For the message.

    Returns
    -------
    tuple of Train
        With no length missing.

    Raises
    ------
    InputError
        If an intravenous dose is given over a time that is not known.
    """
    unknown = [train for train in given if math.isnan(train.hours)]
    if unknown and route == "iv":
        raise InputError(
            [
                Fault(
                    f"the schedule '{regimen}' does not say how long an intravenous dose took",
                    "Write 'bolus 0.3 mg/kg' or '0.3 mg/kg over 15 min': the peak depends on it.",
                )
            ]
        )
    return tuple(
        Train(t.start, 0.0, t.amount, t.n, t.interval) if math.isnan(t.hours) else t for t in given
    )


def side_by_side(many: Sequence[Sequence[Train]]) -> tuple[Train, ...]:
    """Stack the trains of several regimens, so that one formula serves all.

    Parameters
    ----------
    many
        The trains of each regimen.

    Returns
    -------
    tuple of Train
        Attributes of shape (regimens, 1). Regimens with fewer trains are filled with empty ones.
    """
    return tuple(many[0]) if len(many) == 1 else stacked(many)


def stacked(many: Sequence[Sequence[Train]]) -> tuple[Train, ...]:
    """Stack the trains of regimens, of one as of many.

    Parameters
    ----------
    many
        The trains of each regimen.

    Returns
    -------
    tuple of Train
        Attributes of shape (regimens, 1); fewer trains are filled with empty ones.
    """
    longest = max(map(len, many))
    nothing = Train(0.0, 0.0, 0.0)
    filled = [[*each, *[nothing] * (longest - len(each))] for each in many]
    return tuple(
        Train(
            *(
                np.array([[getattr(each[k], name)] for each in filled])
                for name in ("start", "hours", "amount", "n", "interval")
            )
        )
        for k in range(longest)
    )
