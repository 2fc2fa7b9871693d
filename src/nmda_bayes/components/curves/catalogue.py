"""What a curve is, and how a formula enters the catalogue."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmda_bayes.components.curves.advice import Advice, advise
from nmda_bayes.components.curves.options import as_words, dose_notes, option_faults

LOG = "log_"


@dataclass(frozen=True, slots=True)
class Curve:
    """A dose-response curve.

    Attributes
    ----------
    name
        What a spec calls it.
    parameters
        The names of its parameters, in the order of the formula. A curve with knots has them all
        only once its options are `given`.
    formula
        ``formula(x, xp, *options, **parameters)`` for x > 0.
    text
        The formula as a reader would write it.
    about
        One sentence on when it is the right curve.
    needs_dose
        False where any dose above 0 has the same effect, so that an arm may leave it out.
    numbered
        The parameter that comes as a list: its members are ``<name>_1``, ``<name>_2`` and so on.
    how_many
        How many members it has, from the options.
    wanted
        The options, each with its default; `inspect.Parameter.empty` where a spec must give it.
    example
        Options that work, for the mend of a fault.
    agree
        What is wrong with options that are each sound, in words; empty where nothing is.
    options
        The options, where they are given.
    symbols
        What the text's symbols mean, options filled in.
    inverse
        ``inverse(effect, *options, **parameters)`` to the dose that has it, in closed form.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    about: str
    needs_dose: bool = True
    numbered: str = ""
    how_many: Callable[..., int] | None = None
    wanted: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)
    agree: Callable[..., str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    symbols: str = ""
    inverse: Callable[..., Any] | None = None

    def option_faults(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Find what is wrong with a curve's options.

        Parameters
        ----------
        options
            As a spec writes them.

        Yields
        ------
        tuple[str, str, str]
            The option, a message and its mend.
        """
        faults = list(option_faults("curve", self.name, self.wanted, self.example, options))
        yield from faults
        sound = not any(name in self.wanted for name, _, _ in faults)
        if sound and self.agree is not None:
            known = {name: options.get(name, default) for name, default in self.wanted.items()}
            wrong = self.agree(**known)
            if wrong:
                yield next(iter(self.wanted)), wrong, "Mend the options."

    def given(self, options: Mapping[str, Any]) -> Curve:
        """Fill in the options of a curve, and with them the names of its parameters.

        Parameters
        ----------
        options
            As a spec writes them.

        Returns
        -------
        Curve
            The curve that can be evaluated.

        Raises
        ------
        ValueError
            If an option is missing, unknown or unsound.
        """
        faults = [message for _, message, _ in self.option_faults(options)]
        if faults:
            raise ValueError("; ".join(faults))
        filled = {name: options.get(name, default) for name, default in self.wanted.items()}
        count = self.how_many(**filled) if self.how_many is not None else 0
        members = tuple(f"{self.numbered}_{i + 1}" for i in range(count))
        scalars = tuple(p for p in self.parameters if p != self.numbered)
        words = {name: as_words(value) for name, value in filled.items()}
        return replace(
            self,
            parameters=(*scalars, *members),
            options=filled,
            symbols=self.symbols.format(**words),
        )

    def response(self, exposure: Any, parameters: Mapping[str, Any], xp: Any) -> Any:
        """Evaluate the curve, zero where the exposure is zero.

        A formula never sees x = 0: placebo gets its zero here, so that ``x ** hill`` and
        ``log(x)`` need no guard and have finite gradients everywhere.

        Parameters
        ----------
        exposure
            Labelled array of exposures >= 0, in the units of the spec's exposure.
        parameters
            Labelled arrays by parameter name; dims broadcast by name.
        xp
            Namespace with the elementary functions for these arrays.

        Returns
        -------
        Any
            Labelled array on the scale of the linear predictor.
        """
        active = (exposure > 0) * 1.0
        at_least_something = exposure + (1.0 - active)
        return active * self.formula(at_least_something, xp, **self._arguments(parameters))

    def dose_for(self, effect: Any, parameters: Mapping[str, Any]) -> Any:
        """Find the dose that has an effect, where the curve has an inverse in closed form.

        Parameters
        ----------
        effect
            Labelled array on the scale of the linear predictor, relative to dose 0.
        parameters
            Labelled arrays by parameter name.

        Returns
        -------
        Any
            Labelled array of doses >= 0, NaN where no dose has this effect.

        Raises
        ------
        ValueError
            If the curve has no inverse in closed form.
        """
        if self.inverse is None:
            raise ValueError(f"the curve '{self.name}' has no inverse in closed form")
        with np.errstate(all="ignore"):  # no dose has it: NaN, which is the answer
            dose = self.inverse(effect, **self._arguments(parameters))
            return (dose + 0.0 * effect).where(np.isfinite(dose) & (dose >= 0))

    def advice(self, doses: Sequence[float] = ()) -> dict[str, Advice]:
        """Advise on the priors of the parameters, by the doses that were tried.

        Parameters
        ----------
        doses
            The exposures above 0 that were tried; without them the advice is in words alone.

        Returns
        -------
        dict[str, Advice]
            By parameter. It is never used by itself: a prior that is not written is a fault.
        """
        return {name: advise(self, name, doses) for name in self.parameters}

    def notes(self, doses: Sequence[float]) -> tuple[str, ...]:
        """Say where the options and the doses that were tried do not meet.

        Parameters
        ----------
        doses
            The exposures above 0 that were tried.

        Returns
        -------
        tuple[str, ...]
            Sentences without a full stop.
        """
        return tuple(dose_notes(self.options, doses)) if len(doses) else ()

    def _arguments(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        theta: dict[str, Any] = dict(self.options)
        members = [n for n in self.parameters if self.numbered and _is_member(n, self.numbered)]
        theta |= {name: parameters[name] for name in self.parameters if name not in members}
        if self.numbered:
            theta[self.numbered] = tuple(parameters[name] for name in members)
        return theta


CURVES: dict[str, Curve] = {}


def curve(
    text: str,
    *,
    needs_dose: bool = True,
    numbered: str = "",
    how_many: Callable[..., int] | None = None,
    example: Mapping[str, Any] | None = None,
    agree: Callable[..., str] | None = None,
    symbols: str = "",
    inverse: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Curve]:
    """Enter a formula in the catalogue under its function's name.

    Its arguments after ``x, xp`` are the options of the curve, those after ``*`` its parameters:
    on the unconstrained scale, a positive quantity as its logarithm, called ``log_...``.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    needs_dose
        False where any dose above 0 has the same effect.
    numbered
        The parameter that comes as a list.
    how_many
        How many members it has, from the options.
    example
        Options that work.
    agree
        What is wrong with options that are each sound; empty where nothing is.
    symbols
        What the text's symbols mean; options stand in braces.
    inverse
        The inverse in closed form.

    Returns
    -------
    Callable
        Decorator from the formula to the `Curve`.
    """

    def enter(formula: Callable[..., Any]) -> Curve:
        signature = list(inspect.signature(formula).parameters.values())
        about = (inspect.getdoc(formula) or "").splitlines()[0]
        made = Curve(
            name=formula.__name__,
            parameters=tuple(p.name for p in signature if p.kind is p.KEYWORD_ONLY),
            formula=formula,
            text=text,
            about=about,
            needs_dose=needs_dose,
            numbered=numbered,
            how_many=how_many,
            wanted={p.name: p.default for p in signature[2:] if p.kind is not p.KEYWORD_ONLY},
            example=example or {},
            agree=agree,
            symbols=symbols,
            inverse=inverse,
        )
        CURVES[made.name] = made
        return made

    return enter


def _is_member(name: str, numbered: str) -> bool:
    return name.removeprefix(f"{numbered}_").isdigit() and name.startswith(numbered)
