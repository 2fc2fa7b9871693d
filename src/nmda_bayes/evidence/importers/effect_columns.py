"""Columns of an effect and its error, by the headings that packages and people use."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nmda_bayes.evidence.importers.base import normalise_name
from nmda_bayes.evidence.importers.vocabulary import column_of, is_numeric, words
from nmda_bayes.evidence.table_io import RawTable

#: The measure of an effect, by its heading without punctuation; blank where it names none.
_HEADINGS = {
    "": "yi te estimate est es effect effectsize beta coef coefficient",
    "SMD": "smd g d hedgesg cohensd hedges cohend stdmeandiff",
    "MD": "md meandiff meandifference wmd",
    "log_OR": "logor lnor logodds logoddsratio lor",
    "log_RR": "logrr lnrr logriskratio lrr",
    "log_HR": "loghr lnhr loghazardratio",
    "log_IRR": "logirr lnirr lograteratio",
    "log_ROM": "logrom lnrom rom lnr",
    "OR": "or oddsratio adjor aor",
    "RR": "rr riskratio relativerisk adjrr arr",
    "HR": "hr hazardratio adjhr ahr",
    "IRR": "irr rateratio",
    "RD": "rd riskdiff riskdifference",
    "ZCOR": "zi fisherz zcor",
}
MEASURES = {word: measure for measure, listed in _HEADINGS.items() for word in words(listed)}
#: Measures that are ratios, printed as such.
RATIOS = ("OR", "RR", "HR", "IRR")

_SE_WORDS = "sei se sete stderr stderror standarderror seyi sediff"
_VARIANCE_WORDS = "vi v var variance varyi"
#: Headings of the ends of an interval, in pairs.
_ENDS = [
    pair.split("/")
    for pair in words(
        "cilb/ciub cilow/cihigh cilower/ciupper lower/upper lb/ub lcl/ucl lci/uci ll/ul l95/u95"
        " cil/ciu low/high lowerci/upperci lowercl/uppercl lowlim/upplim lo/hi min95/max95"
        " lower95/upper95 ci95low/ci95high cilo/cihi lcb/ucb"
    )
]
#: Words around an effect's heading that make the heading of its error or of an end.
_SE_AFFIXES = ("se", "stderr", "s")
_VARIANCE_AFFIXES = ("var", "v", "variance")


def measure_of_heading(column: str) -> str:
    """The measure that the heading of an effect names, if any."""
    return MEASURES.get(normalise_name(column), "")


def effect_columns(table: RawTable, columns: Sequence[str]) -> dict[str, str]:
    """The effect of a row, its error, and the same effect as a ratio, by role."""
    names = {normalise_name(column): column for column in reversed(columns)}
    known = [names[word] for word in MEASURES if word in names]
    known = [column for column in known if is_numeric(table, column)]
    matched: dict[str, str] = {}
    for column in sorted(known, key=lambda c: measure_of_heading(c) in RATIOS):
        errors = _errors_of(names, column)
        if errors:
            matched = {"estimate": column, **errors}
            break
    if not matched:
        return {}
    ratio = measure_of_heading(matched["estimate"]).removeprefix("log_")
    same = [c for c in known if measure_of_heading(c) == ratio and c != matched["estimate"]]
    return matched | ({"ratio": same[0]} if same and ratio in RATIOS else {})


def _errors_of(names: dict[str, str], column: str) -> dict[str, str]:
    """Columns of the standard error, variance and interval of an effect."""
    effect = normalise_name(column)
    short = effect.removeprefix("log").removeprefix("ln")

    def first(words: str, affixes: tuple[str, ...]) -> str:
        ours = " ".join(f"{affix}{effect} {effect}{affix}" for affix in affixes)
        return column_of(names.values(), "", f"{ours} {words}")

    errors = {
        "se": first(_SE_WORDS, _SE_AFFIXES),
        "variance": first(_VARIANCE_WORDS, _VARIANCE_AFFIXES),
    }
    for low, high in _ENDS:
        for stem in (effect, short, ""):
            ends = [names.get(key, "") for key in (stem + low, stem + high)]
            if not all(ends):
                ends = [names.get(key, "") for key in (low + stem, high + stem)]
            if all(ends):
                # The interval of a logarithm may be printed as that of the ratio.
                errors |= {"ci_low": ends[0], "ci_high": ends[1]}
                break
        if "ci_low" in errors:
            break
    if "ci_low" not in errors:
        ends = [names.get("l" + short, ""), names.get("u" + short, "")]
        errors |= {"ci_low": ends[0], "ci_high": ends[1]} if all(ends) else {}
    return {role: name for role, name in errors.items() if name}


def interval_level(columns: Sequence[str]) -> float | None:
    """The level of an interval that its headings name, such as 95% CI."""
    for column in columns:
        match = re.search(r"(?<!\d)(80|90|95|99)(?!\d)", column)
        if match:
            return float(match[1])
    return None
