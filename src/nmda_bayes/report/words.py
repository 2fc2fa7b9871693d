"""Numbers and names in a reader's words: the one place where the page rounds and renames."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import xarray as xr

from nmda_bayes.intervals import LEVEL

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"


def number(value: float, digits: int = 3) -> str:
    """Write a number with as many digits as it deserves.

    Parameters
    ----------
    value
        Any float.
    digits
        Significant digits.

    Returns
    -------
    str
        With a true minus sign and grouped thousands; ``—`` where there is no number.
    """
    if value is None or math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    if places > 6:
        return f"{value:.1e}".replace("-", MINUS)
    rounded = round(value, places)
    text = f"{rounded:,.{places}f}" if abs(value) < 1000 else f"{rounded:,.0f}"
    return text.replace("-", MINUS).replace(",", THIN)


def exact(value: float) -> str:
    """Write a number that somebody chose: a dose, a limit.

    Parameters
    ----------
    value
        Any float.

    Returns
    -------
    str
        Up to three significant digits, without trailing zeros.
    """
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def exact_percent(value: float) -> str:
    """Write a probability that somebody chose.

    Parameters
    ----------
    value
        Between 0 and 1.

    Returns
    -------
    str
        A percentage without trailing zeros.
    """
    return f"{exact(100 * value)} %"


def opened(text: str) -> str:
    """Write a text as the beginning of a sentence.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        With its first letter in upper case; the others as they were.
    """
    return text[:1].upper() + text[1:]


def within(text: str) -> str:
    """Write a text as part of a sentence.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    str
        "Acute pain" as "acute pain"; "S-ketamine" and "PTSD symptoms" as they are.
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def effect(value: float) -> str:
    """Write an effect: one decimal above 1, two significant digits below.

    Parameters
    ----------
    value
        In any units.

    Returns
    -------
    str
        The number.
    """
    if value is None or math.isnan(value) or math.isinf(value):
        return number(value)
    if abs(value) >= 1000:
        return number(value, 3)
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def probability(value: float) -> str:
    """Write a probability, never as a certainty that draws cannot give.

    Parameters
    ----------
    value
        Between 0 and 1.

    Returns
    -------
    str
        Two decimals, or ``< 0.01`` and ``> 0.99``.
    """
    if value is None or math.isnan(value):
        return "—"
    if value < 0.01:
        return "< 0.01"
    return "> 0.99" if value > 0.99 else f"{value:.2f}"


def chance(event: str, value: float) -> str:
    """Write the probability of an event.

    Parameters
    ----------
    event
        In words.
    value
        Between 0 and 1.

    Returns
    -------
    str
        ``P(event) = 0.93``, or ``P(event) > 0.99``.
    """
    said = probability(value)
    return f"P({event}) {said if said[0] in '<>' else f'= {said}'}"


def percent(value: float) -> str:
    """Write a risk as a percentage.

    Parameters
    ----------
    value
        Between -1 and 1.

    Returns
    -------
    str
        Whole percents from 10 on, one decimal below.
    """
    if math.isnan(value):
        return "—"
    text = f"{100 * value:.{0 if abs(value) >= 0.1 else 1}f}"
    return (text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)) + " %"


def spread(draws: np.ndarray) -> tuple[float, float, float]:
    """Summarise draws by the package's interval.

    Parameters
    ----------
    draws
        Any shape; NaN are dropped.

    Returns
    -------
    tuple[float, float, float]
        Lower end, median, upper end of the equal-tailed interval.
    """
    known = draws[~np.isnan(draws)]
    if known.size == 0:
        return math.nan, math.nan, math.nan
    tail = (1 - LEVEL) / 2
    low, middle, high = np.quantile(known, [tail, 0.5, 1 - tail])
    return float(low), float(middle), float(high)


def name(text: str) -> str:
    """Write a label of the evidence as words.

    Parameters
    ----------
    text
        For instance ``neuropathic_peripheral`` or ``s_ketamine``.

    Returns
    -------
    str
        For instance ``neuropathic peripheral`` or ``S-ketamine``.
    """
    words = str(text)
    if words.startswith(("s_", "r_")):
        words = f"{words[0].upper()}-{words[2:]}"
    return words.replace("_", " ")


def listed(words: Iterable[str], joint: str = "and") -> str:
    """Join words as a sentence does.

    Parameters
    ----------
    words
        Any number of them.
    joint
        The word before the last.

    Returns
    -------
    str
        ``a, b and c``.
    """
    all_words = list(words)
    if len(all_words) < 2:
        return "".join(all_words)
    return f"{', '.join(all_words[:-1])} {joint} {all_words[-1]}"


def count(number_of: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun.

    Parameters
    ----------
    number_of
        How many.
    noun
        One of them.
    plural
        Several of them; ``noun`` with an s if empty.

    Returns
    -------
    str
        ``1 trial``, ``5 trials``, ``no trials``.
    """
    many = plural or f"{noun}s"
    return f"{number_of or 'no'} {noun if number_of == 1 else many}"


def draws_of(array: xr.DataArray) -> np.ndarray:
    """Take the draws of one scalar quantity.

    Parameters
    ----------
    array
        Dims chain and draw only.

    Returns
    -------
    np.ndarray
        One dim, any order.
    """
    return np.asarray(array.to_numpy(), dtype=float).ravel()
