"""Numbers, intervals and names as a reader sees them: the only place that rounds and renames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.dims import words_of
from nmda_bayes.intervals import INTERVAL_LEVEL
from nmda_bayes.priors import prior_text

MINUS: Final = "\N{MINUS SIGN}"
THIN_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"
#: The report defines it once, in its first section.
CRI: Final = f"{INTERVAL_LEVEL:.0%} CrI"
TAIL: Final = (1 - INTERVAL_LEVEL) / 2


def format_number(value: float, digits: int = 3) -> str:
    """Write a number with significant digits, and thin spaces between thousands."""
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
    return text.replace("-", MINUS).replace(",", THIN_SPACE)


def format_count(value: int) -> str:
    """Write a count, with thin spaces between thousands."""
    return f"{value:,}".replace(",", THIN_SPACE)


def format_exact(value: float) -> str:
    """Write a number that somebody chose, without trailing zeros: a dose, a limit."""
    text = format_number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def format_exact_percent(value: float) -> str:
    """Write a probability that somebody chose."""
    return f"{format_exact(100 * value)}%"


def format_effect(value: float) -> str:
    """Write an effect: one decimal above 1, two below."""
    if value is None or not math.isfinite(value) or abs(value) >= 1000:
        return format_number(value)
    return _fixed(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2)


def format_percent(value: float) -> str:
    """Write a risk as a percentage."""
    return "—" if math.isnan(value) else f"{_fixed(100 * value, 0 if abs(value) >= 0.1 else 1)}%"


def _fixed(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def format_probability(value: float) -> str:
    """Write a probability, never as a certainty that a sample of draws cannot show."""
    if value is None or math.isnan(value):
        return "—"
    if value < 0.01:
        return "< 0.01"
    return "> 0.99" if value > 0.99 else f"{value:.2f}"


def describe_probability(event: str, value: float) -> str:
    """Write the probability of an event."""
    text = format_probability(value)
    return f"Pr({event}) {text if text[0] in '<>' else f'= {text}'}"


def format_range(low: float, high: float, write: Callable[[float], str] = format_effect) -> str:
    """Write the two ends of a range."""
    return f"{write(low)} to {write(high)}"


def format_interval(
    low: float, middle: float, high: float, write: Callable[[float], str] = format_effect
) -> str:
    """Write an estimate with its interval."""
    return f"{write(middle)} ({format_range(low, high, write)})"


def format_draws(draws: Any, write: Callable[[float], str] = format_effect) -> str:
    """Write the median and 95% CrI of draws."""
    return format_interval(*quantile_interval(draws), write)


def quantile_interval(draws: np.ndarray | xr.DataArray) -> tuple[float, float, float]:
    """Lower end, median and upper end of the draws that are not NaN."""
    values = np.asarray(draws, float)
    known = values[~np.isnan(values)]
    if known.size == 0:
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(known, [TAIL, 0.5, 1 - TAIL])
    return float(low), float(middle), float(high)


def format_prior(prior: Any) -> str:
    """Write a prior of a spec."""
    return prior_text(prior.dist, prior.kwargs)


def capitalise(text: str) -> str:
    """Write a text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def decapitalise(text: str) -> str:
    """Write a text as part of a sentence; abbreviations keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def display_name(text: str) -> str:
    """Write a label of the evidence as words."""
    return words_of(str(text))


def join_words(words: Iterable[str], joint: str = "and") -> str:
    """Join words as a sentence does."""
    *others, last = [*words] or [""]
    return f"{', '.join(others)} {joint} {last}" if others else last


def list_some(words: Iterable[str], limit: int, separator: str = ", ") -> str:
    """Join the first words, and count the others."""
    all_words = list(words)
    more = len(all_words) - limit
    return separator.join(all_words[:limit]) + (f" and {more} more" if more > 0 else "")


def count_noun(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun."""
    return f"{count or 'no'} {noun if count == 1 else plural or f'{noun}s'}"


#: Names of parameters as a reader knows them.
PARAMETERS: Final = {
    "emax": "maximum effect",
    "log_ed50": "log ED50",
    "ed50": "ED50",
    "effect": "effect",
    "slope": "slope",
    "hill": "Hill coefficient",
    "baseline": "baseline",
    "heterogeneity_sd": "heterogeneity SD",
    "heterogeneity_correlation": "heterogeneity correlation",
}
#: What a pooled parameter's own parameters are, by the end of their names.
POOLED: Final = {
    "_location": "mean {}",
    "_between_agent": "SD between agents of the {}",
    "_between_condition": "SD between conditions of the {}",
    "_between_cells": "SD between agent-condition pairs of the {}",
    "_within_class": "SD between agents of a class of the {}",
    "_between_class": "SD between classes of the {}",
}


def parameter_words(name: str) -> str:
    """Write a parameter's name for a reader, with its label in brackets."""
    name, bracket, label = name.partition("[")
    if bracket:
        return f"{parameter_words(name)} ({words_of(label.removesuffix(']'))})"
    for ending, text in POOLED.items():
        if name.endswith(ending) and name != ending:
            return text.format(parameter_words(name.removesuffix(ending)))
    return PARAMETERS.get(name, words_of(name))
