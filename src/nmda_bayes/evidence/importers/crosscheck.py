"""Quantities that a table states twice: they must agree, and what is not used is named.

Effects of two groups are computed from their counts, means or rates and compared with the effect
that the row states, in the measure that agrees best and in either direction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from nmda_bayes.evidence.derive import rounding_half_widths
from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.effect_sizes import (
    Counts,
    Effect,
    Means,
    Rates,
    log_odds_ratio,
    log_rate_ratio,
    log_ratio_of_means,
    log_risk_ratio,
    mean_difference,
    risk_difference,
    standardised_mean_difference,
)
from nmda_bayes.evidence.importers.base import SourceTable, normalise_name
from nmda_bayes.evidence.importers.effect_columns import RATIOS, measure_of_heading
from nmda_bayes.evidence.importers.vocabulary import user_columns
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.validate import Rule, parse_numbers, rule_issues

#: Roles of an effect that a table states besides the numbers of its groups.
STATED = ("estimate", "variance", "se")
#: Two standard errors of one number may differ by this factor, apart from rounding.
MAX_RATIO = 1.1
#: Two effects may differ by this many standard errors, apart from rounding.
MAX_DISTANCE = 0.1
#: Share of rows in which a measure must agree to be the measure of the table.
MIN_AGREEMENT = 0.5


def check_standard_errors(table: SourceTable) -> None:
    """Compare a variance with the standard error of the same row; the variance is used."""
    if not table.has("variance", "se"):
        return
    variance, se = table.numbers("variance"), table.numbers("se")
    slack = _rounding(table, "variance"), _rounding(table, "se")
    by_variance = np.sqrt(variance.where(variance > 0))
    slack_of_root = slack[0] / (2 * by_variance)
    gap = (by_variance - se).abs() - slack_of_root - slack[1]
    apart = gap > (MAX_RATIO - 1) * np.minimum(by_variance, se)
    columns = table.column("variance"), table.column("se")
    table.issue(
        "E221",
        "se",
        apart.to_numpy(),
        lambda i: (
            f"'{columns[0]}' and '{columns[1]}' disagree: the square root of"
            f" {variance.iloc[i]:.4g} is {by_variance.iloc[i]:.4g}, not {se.iloc[i]:.4g}"
        ),
        f"Correct the wrong one, or leave one out with --set ignore={columns[0]} or"
        f" --set ignore={columns[1]}.",
    )
    table.note(f"'{columns[1]}' agrees with '{columns[0]}' and is not used.")


def check_stated_effect(table: SourceTable) -> None:
    """Compare the effect that a row states with that of its groups; the groups are used."""
    stated = [role for role in STATED if table.has(role)]
    if "estimate" not in stated:
        _check_bare_effects(table)
        return
    estimate = table.numbers("estimate")
    if not estimate.notna().any():
        return
    check_standard_errors(table)
    se = np.sqrt(table.numbers("variance")) if table.has("variance") else table.numbers("se")
    slack = _rounding(table, "estimate")
    agreement = {
        (name, sign): _agrees(estimate, se, slack, effect, sign)
        for name, effect in _effects_of_groups(table).items()
        for sign in (1, -1)
    }
    comparable = {key: known for key, (_, known) in agreement.items() if known.any()}
    if not comparable:
        return
    measure = max(comparable, key=lambda key: _share(*agreement[key]))
    agrees, known = agreement[measure]
    columns = ", ".join(f"'{table.column(role)}'" for role in stated)
    names = ",".join(table.column(role) for role in stated)
    hint = f"Correct the wrong one, or leave {columns} out with --set ignore={names}."
    if _share(agrees, known) >= MIN_AGREEMENT:
        direction = "" if measure[1] == 1 else ", the second group minus the first"
        reason = f"not the {measure[0]} of the row's groups, as in most rows"
        table.note(
            f"{columns}: the {measure[0]} of the groups{direction}; the numbers of the groups are"
            " used."
        )
    else:
        listed = ", ".join(dict.fromkeys(name for name, _ in comparable))
        reason = f"no effect of the row's groups ({listed})"
    table.issue(
        "E220",
        "estimate",
        (known & ~agrees).to_numpy(),
        lambda i: f"{estimate.iloc[i]:.4g} with standard error {se.iloc[i]:.4g} is {reason}",
        hint,
    )


#: The effect of the groups that the heading of a column names.
_OF_HEADING = {
    "OR": "log odds ratio",
    "RR": "log risk ratio",
    "IRR": "log rate ratio",
    "RD": "risk difference",
    "MD": "difference of means",
    "SMD": "SMD",
}


def _check_bare_effects(table: SourceTable) -> None:
    """Compare effects that are stated without their error; adjusted ones may differ."""
    free = [c for c in user_columns(table.raw) if c not in table.columns.values()]
    effects = _effects_of_groups(table)
    for column in free:
        name, measure = normalise_name(column), measure_of_heading(column)
        effect = effects.get(_OF_HEADING.get(measure.removeprefix("log_"), ""))
        if effect is None or name in table.ignored or "adj" in name or name[:1] == "a":
            continue
        values, wrong = parse_numbers(table.raw, column)
        if wrong.any() or not values.notna().any():
            continue
        half = rounding_half_widths(table.raw, [column])[column]
        if measure in RATIOS:
            positive = values.where(values > 0)
            values, half = np.log(positive), half / positive
        computed = pd.Series(effect.estimate, index=values.index)
        known = values.notna() & computed.notna() & (effect.note == "")
        slack = half + MAX_DISTANCE * pd.Series(effect.se, index=values.index)
        apart = {sign: (values - sign * computed).abs() > slack for sign in (1, -1)}
        sign = min(apart, key=lambda each: int((apart[each] & known).sum()))
        logs = sign * computed
        stated_as = pd.Series(np.exp(logs), index=logs.index) if measure in RATIOS else logs
        table.issues += rule_issues(
            [
                Rule(
                    "E220",
                    column,
                    (known & apart[sign]).to_numpy(),
                    _disagreement(table, column, stated_as),
                    f"Correct the wrong one, or leave it out with {set_text('ignore', column)}.",
                )
            ],
            table.raw.file,
            table.lines,
        )


def check_ratio(table: SourceTable, ratio: str, logarithm: str) -> None:
    """Compare a ratio with the logarithm of the same row; the logarithm is used."""
    if not table.has(ratio, logarithm):
        return
    value, log = table.numbers(ratio), table.numbers(logarithm)
    positive = value.where(value > 0)
    gap = (np.log(positive) - log).abs()
    slack = _rounding(table, ratio) / positive + _rounding(table, logarithm)
    columns = table.column(ratio), table.column(logarithm)
    table.issue(
        "E220",
        logarithm,
        (gap > slack + 0.01).to_numpy(),
        lambda i: f"{log.iloc[i]:.4g} is not the logarithm of '{columns[0]}', {value.iloc[i]:.4g}",
        f"Correct the wrong one, or leave one out with --set ignore={columns[0]}.",
    )
    table.note(f"'{columns[0]}' agrees with '{columns[1]}' and is not used.")


def _share(agrees: pd.Series, known: pd.Series) -> float:
    return float(agrees[known].mean()) if known.any() else 0.0


def _rounding(table: SourceTable, role: str) -> pd.Series:
    column = table.column(role)
    return rounding_half_widths(table.raw, [column])[column]


def _agrees(
    estimate: pd.Series, se: pd.Series, slack: pd.Series, effect: Effect, sign: int
) -> tuple[pd.Series, pd.Series]:
    """Mark the rows whose effect and standard error agree, and those that can be compared."""
    computed = pd.Series(sign * effect.estimate, index=estimate.index)
    error = pd.Series(effect.se, index=estimate.index)
    usable = pd.Series(effect.note == "", index=estimate.index)
    known = usable & computed.notna() & error.notna() & estimate.notna()
    near = (estimate - computed).abs() <= slack + MAX_DISTANCE * error
    similar = se.isna() | (
        (np.maximum(se, error) <= MAX_RATIO * np.minimum(se, error) + slack)
        | ((se - error).abs() <= slack)
    )
    return near & similar, known


def _effects_of_groups(table: SourceTable) -> dict[str, Effect]:
    """The effects of the two groups of each row, by the name of their measure."""
    numbers = {
        role: [table.numbers(f"{role}{side}").to_numpy() for side in "12"]
        for role in ("events", "without", "n", "mean", "sd", "variance", "person_time")
        if table.has(f"{role}1", f"{role}2")
    }
    if "without" in numbers and "n" not in numbers:
        pairs = zip(numbers["events"], numbers["without"], strict=True)
        numbers["n"] = [events + without for events, without in pairs]
    if "variance" in numbers and "sd" not in numbers:
        numbers["sd"] = [np.sqrt(values) for values in numbers["variance"]]
    effects: dict[str, Effect] = {}
    if {"mean", "sd", "n"} <= set(numbers):
        # n of 1 has no SD, and is an error elsewhere.
        sizes = [np.where(n > 1, n, np.nan) for n in numbers["n"]]
        spread = [np.where(sd >= 0, sd, np.nan) for sd in numbers["sd"]]
        means = [Means(*values) for values in zip(numbers["mean"], spread, sizes, strict=True)]
        effects["difference of means"] = mean_difference(*means)
        effects["SMD"] = standardised_mean_difference(*means, exact=False)
        effects["log ratio of means"] = log_ratio_of_means(*means)
    elif {"events", "n"} <= set(numbers):
        counts = [_counts(*values) for values in zip(numbers["events"], numbers["n"], strict=True)]
        corrected: list[tuple[str, Callable[..., Effect]]] = [
            ("log odds ratio", log_odds_ratio),
            ("log risk ratio", log_risk_ratio),
            ("risk difference", risk_difference),
        ]
        effects |= {name: effect(*counts, correction=None) for name, effect in corrected}
    elif {"events", "person_time"} <= set(numbers):
        pairs = zip(numbers["events"], numbers["person_time"], strict=True)
        rates = [
            Rates(np.where(events >= 0, events, np.nan), np.where(time > 0, time, np.nan))
            for events, time in pairs
        ]
        effects["log rate ratio"] = log_rate_ratio(*rates, correction=None)
    return effects


def _counts(events: np.ndarray, n: np.ndarray) -> Counts:
    """Counts without the cells that are errors elsewhere."""
    possible = (events >= 0) & (events <= n) & (n >= 1)
    return Counts(np.where(possible, events, np.nan), np.where(possible, n, np.nan))


def _disagreement(table: SourceTable, column: str, computed: pd.Series) -> Callable[[int], str]:
    """The message of a row whose effect is not that of its groups."""
    stated = table.raw.cells[column]
    return lambda i: (
        f"'{column}' is {shorten(stated.iloc[i])}, and the numbers of the groups give"
        f" {computed.iloc[i]:.3g}: they disagree"
    )
