"""What a likelihood is, and the line that enters one in the catalogue."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nmda_bayes.components.links import Link
from nmda_bayes.named_data import named_data


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A sampling model of reported results.

    Attributes
    ----------
    name
        What a spec calls it.
    columns
        The columns that a row must give; the first is what is observed, the rest is known.
    link
        The scale of the linear predictor.
    contrasts
        True where a row is a contrast of two arms; study baselines then cancel.
    conditional
        True where a trial's total is taken as known; study baselines then cancel too.
    observe
        ``observe(name, eta, reported, dim, *, parameter, ...)``: makes the observed variable in
        the model on the stack. ``reported`` holds the columns; ``dim`` is the observed variable's.
        Parameters come as values at the rows, or as one value for all.
    text
        The sampling statement as a reader would write it.
    effects
        The measures of a printed contrast that are differences of this linear predictor;
        ``unnamed`` is a contrast whose table does not say. Empty for a likelihood of contrasts.
    parameters
        Parameters of its own: each needs a prior, or a number among the spec's
        ``likelihood_options``.
    positive, shares
        Which of them lie above 0, and between 0 and 1.
    of_studies
        Which of them a study may have of its own.
    also
        A column that is observed beside the first, where a row gives it.
    """

    name: str
    columns: tuple[str, ...]
    link: Link
    contrasts: bool
    observe: Callable[..., Any]
    text: str
    effects: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    of_studies: tuple[str, ...] = ()
    also: str = ""
    conditional: bool = False

    @property
    def has_baseline(self) -> bool:
        """Whether it asks for the level of a study, beside differences between its arms."""
        return not (self.contrasts or self.conditional)

    @property
    def splits_error(self) -> bool:
        """Whether rows may share a part of their errors, as a crossover trial's means do."""
        return "se" in inspect.signature(self.observe).parameters

    @property
    def ties_error(self) -> bool:
        """Whether its errors are known, so that they may go with those of other outcomes."""
        return self.splits_error or "tie" in inspect.signature(self.observe).parameters

    @property
    def counts(self) -> bool:
        """Whether events are counted."""
        return self.columns[0] == "events"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names in its text that differ from row to row."""
        return ("eta", *self.columns, *((self.also, f"arm_{self.also}") if self.also else ()))


LIKELIHOODS: dict[str, Likelihood] = {}


def likelihood(
    text: str,
    *,
    columns: str,
    link: Link,
    contrasts: bool = False,
    effects: str = "",
    positive: str = "",
    shares: str = "",
    of_studies: str = "",
    also: str = "",
    conditional: bool = False,
) -> Callable[[Callable[..., Any]], Likelihood]:
    """Enter a sampling model in the catalogue under its function's name.

    Parameters
    ----------
    text
        The sampling statement as a reader would write it.
    columns
        The columns that a row must give, separated by spaces, what is observed first.
    link
        The scale of the linear predictor.
    contrasts
        True where a row is a contrast of two arms.
    effects
        The measures of contrasts on the scale of the linear predictor, separated by spaces.
    positive, shares
        The parameters above 0, and those between 0 and 1, separated by spaces.
    of_studies
        The parameters that a study may have of its own.
    also
        A column that is observed beside the first where a row gives it.
    conditional
        True where a trial's total is taken as known.

    Returns
    -------
    Callable
        Decorator from the function to the `Likelihood`; its keyword-only arguments are the
        likelihood's parameters.
    """

    def enter(observe: Callable[..., Any]) -> Likelihood:
        arguments = inspect.signature(observe).parameters.values()
        made = Likelihood(
            observe.__name__,
            tuple(columns.split()),
            link,
            contrasts,
            observe,
            text,
            tuple(effects.split()),
            tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY),
            tuple(positive.split()),
            tuple(shares.split()),
            tuple(of_studies.split()),
            also,
            conditional,
        )
        LIKELIHOODS[made.name] = made
        return made

    return enter


def column(reported: Any, name: str, dim: str) -> Any:
    """Take a column into the graph.

    Parameters
    ----------
    reported
        The rows' columns.
    name
        The column.
    dim
        The dim of the rows.

    Returns
    -------
    Any
        Floats over ``dim``: named data ``<dim>.<column>``, so that a compiled graph takes others.
    """
    return named_data(f"{dim}.{name}", reported[name].to_numpy().astype(float), (dim,))
