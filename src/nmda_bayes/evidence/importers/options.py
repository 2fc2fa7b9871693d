"""What the owner of a table adds to it: ``--set KEY=VALUE``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from nmda_bayes.errors import EvidenceError, Issue, suggest_match


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Information that a table lacks, and decisions that only its owner can take.

    ``column``: the user's heading of each role; ``scale_of``, ``better_of``: by outcome;
    ``doses`` and ``conditions``: ``pooled`` or ``separate``; ``crossover``: how such trials enter;
    ``labels``: whether labels that differ only in case, blanks or hyphens are ``merged`` or
    ``kept``; ``repeated``: rows of one trial that nothing tells apart are ``separate``;
    ``ignore``: columns that may stay unread; ``missing``: codes of missing values;
    ``decimal``: the decimal mark; ``ratio_se``: what the standard errors of ratios are of;
    ``window``: the benefit that matters, the acceptable added risk, and the risk without treatment;
    ``settings``: the options as the user wrote them; ``read``: columns that the analysis reads as
    covariates, strata and the like.
    """

    format: str | None = None
    groups: tuple[str, str] | None = None
    scale: tuple[float, float] | None = None
    measure: str | None = None
    reference: str | None = None
    outcome: str | None = None
    better: str | None = None
    benefit: str | None = None
    harm: str | None = None
    doses: str | None = None
    conditions: str | None = None
    crossover: str | None = None
    labels: str | None = None
    repeated: str | None = None
    dose_unit: str | None = None
    ratio_se: str | None = None
    ci_level: float | None = None
    icc: float | None = None
    pre_post_correlation: float | None = None
    sheet: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    column: dict[str, str] = field(default_factory=dict)
    scale_of: dict[str, tuple[float, float]] = field(default_factory=dict)
    better_of: dict[str, str] = field(default_factory=dict)
    reference_doses: dict[str, float] = field(default_factory=dict)
    window: tuple[float, float, float] | None = None
    settings: tuple[str, ...] = field(default=(), compare=False)
    read: tuple[str, ...] = field(default=(), compare=False)

    def scale_for(self, outcome: str) -> tuple[float, float] | None:
        """The scale that the user set for an outcome, or for all."""
        return _by_outcome(self.scale_of, outcome) or self.scale

    def better_for(self, outcome: str) -> str | None:
        """The better direction that the user set for an outcome, or for all."""
        return _by_outcome(self.better_of, outcome) or self.better


def is_named(outcome: str, name: str) -> bool:
    """Whether a name is an outcome's, in any case; an analysis may be named by its number alone."""
    folded = outcome.casefold()
    return name.casefold() in (folded, folded.split(" ")[0])


def _by_outcome[Value](values: dict[str, Value], outcome: str) -> Value | None:
    return next((value for name, value in values.items() if is_named(outcome, name)), None)


def _parse_groups(text: str) -> tuple[str, str]:
    first, second = (part.strip() for part in text.split(","))
    if not first or not second:
        raise ValueError
    return first, second


def _parse_scale(text: str) -> tuple[float, float]:
    low, high = map(float, text.split(","))
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError
    return low, high


def _parse_dose(text: str) -> float:
    dose = float(text)
    if not 0 < dose < math.inf:
        raise ValueError
    return dose


def _parse_window(text: str) -> tuple[float, float, float]:
    benefit, risk, baseline = (float(part) for part in text.split(","))
    if not (0 < benefit < math.inf and 0 < risk < 1 and 0 < baseline < 1):
        raise ValueError
    return benefit, risk, baseline


def _parse_proportion(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _parse_list(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ValueError
    return parts


def _parse_text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _one_of(*choices: str) -> Callable[[str], str]:
    return {choice: choice for choice in choices}.__getitem__


#: How the value of each option is parsed, and an example.
OPTION_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "groups": (_parse_groups, "groups=vaccine,control"),
    "scale": (_parse_scale, "scale=0,10 (the lower end first)"),
    "measure": (_parse_text, "measure=log_OR"),
    "reference": (_parse_text, "reference=placebo"),
    "outcome": (_parse_text, "outcome=vomiting"),
    "better": (_one_of("lower", "higher"), "better=lower or better=higher"),
    "benefit": (_parse_text, "benefit=pain"),
    "harm": (_parse_text, "harm=dissociation"),
    "window": (_parse_window, "window=10,0.10,0.05 (benefit, added risk, risk without treatment)"),
    "doses": (_one_of("pooled", "separate"), "doses=pooled or doses=separate"),
    "conditions": (_one_of("pooled", "separate"), "conditions=pooled or conditions=separate"),
    "crossover": (
        _one_of("parallel", "paired", "first"),
        "crossover=parallel, crossover=paired or crossover=first",
    ),
    "labels": (_one_of("merged", "kept"), "labels=merged or labels=kept"),
    "repeated": (_one_of("separate"), "repeated=separate"),
    "dose_unit": (_parse_text, "dose_unit=mg/kg"),
    "ratio_se": (_one_of("log", "ratio"), "ratio_se=log or ratio_se=ratio"),
    "ci_level": (_parse_proportion, "ci_level=0.95"),
    "icc": (_parse_proportion, "icc=0.05"),
    "pre_post_correlation": (_parse_proportion, "pre_post_correlation=0.5"),
    "sheet": (_parse_text, "sheet=Results"),
    "decimal": (_one_of("comma", "point"), "decimal=comma or decimal=point"),
    "missing": (_parse_list, "missing=-999,NR"),
    "ignore": (_parse_list, "ignore=week,comment"),
}
#: Options of one role, outcome or agent, by prefix: the field that collects them.
PREFIXED_OPTIONS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "column.": ("column", _parse_text, "column.agent=Treatment"),
    "scale.": ("scale_of", _parse_scale, "scale.pain=0,10 (the lower end first)"),
    "better.": ("better_of", _one_of("lower", "higher"), "better.pain=lower"),
    "dose.": ("reference_doses", _parse_dose, "dose.ketamine=0.5"),
}


def parse_options(settings: Iterable[str], format: str | None = None) -> ImportOptions:
    """Parse ``KEY=VALUE`` settings."""
    issues, settings = [], tuple(settings)
    options = ImportOptions(format=format, settings=settings)
    for setting in settings:
        key, _, value = (part.strip() for part in setting.partition("="))
        prefix = next((p for p in PREFIXED_OPTIONS if key.startswith(p) and key != p), "")
        field_name, parse, example = PREFIXED_OPTIONS.get(prefix) or (
            key,
            *OPTION_PARSERS.get(key, (None, "")),
        )
        hint = f"An example: {example}."
        try:
            if parse is None:
                known = [*OPTION_PARSERS, "column.ROLE", "scale.OUTCOME", "better.OUTCOME"]
                hint = suggest_match(key, [*known, "dose.AGENT"])
                hint = f"Write --set KEY=VALUE. {hint}"
                raise ValueError
            parsed = parse(value)
        except (KeyError, ValueError):
            issues.append(Issue("E203", f"invalid setting '{setting}'", hint, "--set"))
            continue
        if prefix:
            parsed = {**getattr(options, field_name), key.removeprefix(prefix): parsed}
        options = replace(options, **{field_name: parsed})
    if issues:
        raise EvidenceError(issues)
    return options
