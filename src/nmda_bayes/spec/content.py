"""A spec as it was written, before anything is known of its form: how rules read out of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.priors import is_share


def mapping(content: Any, *keys: str) -> Mapping[str, Any]:
    """Follow keys to a part of a spec.

    Parameters
    ----------
    content
        What was written, of whatever form.
    *keys
        From the outermost.

    Returns
    -------
    Mapping
        Empty where there is no such part, or no part at all: its form is told elsewhere.
    """
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, Mapping) else {}


def names(value: Any) -> list[str]:
    """Read one name or several.

    Parameters
    ----------
    value
        A text, a list, or nothing.

    Returns
    -------
    list[str]
        Empty where nothing was written.
    """
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


def no_share(prior: Any) -> bool:
    """Say whether a prior is written out and reaches below 0 or above 1.

    Parameters
    ----------
    prior
        What was written in its place.

    Returns
    -------
    bool
        False also where it is no prior, or not written out.
    """
    written = mapping(prior)
    kwargs = written.get("kwargs")
    return isinstance(kwargs, Mapping) and not is_share(str(written.get("dist")), kwargs)


def unknown_outcomes(
    named: Collection[str], outcomes: Mapping[str, Any], key: str
) -> Iterator[Fault]:
    """Find names of outcomes that the spec does not have.

    Parameters
    ----------
    named
        The names.
    outcomes
        The spec's outcomes.
    key
        Where they are named.

    Yields
    ------
    Fault
        With the nearest name.
    """
    for name in named:
        if name not in outcomes:
            message = f"no outcome is called '{name}'"
            yield Fault(message, nearest(name, list(outcomes)), column=key)


def named_once(named: Collection[str]) -> bool:
    """Say whether there are two names or more, each of them once.

    Parameters
    ----------
    named
        The names.

    Returns
    -------
    bool
        True where a correlation can be between them.
    """
    return len(set(named)) >= 2 and len(set(named)) == len(named)
