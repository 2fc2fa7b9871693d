"""What is said of each domain of certainty, and whether it was computed or needs a judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from nmda_bayes.evidence.classical import FUNNEL_TRIALS

DOMAINS: Final = (
    *("risk_of_bias", "inconsistency", "indirectness", "imprecision", "publication_bias"),
)
NO_TRIAL: Final = "no trial"
#: Measures that begin so are logarithms of ratios.
LOG: Final = "log "
NOT_MADE: Final = "a judgement: not made here"

Said = tuple[str, str]


def said(domain: str, cell: Mapping[str, Any], judged: Sequence[int], bias_known: bool) -> Said:
    """Say one domain of one cell.

    Parameters
    ----------
    domain
        A word of `DOMAINS`.
    cell
        As `summary_of_cell` gives it.
    judged
        People in trials judged, over the whole trial, low, unclear, some concerns, high, not.
    bias_known
        Whether judgements were at hand at all.

    Returns
    -------
    Said
        The status (``computed``, ``judgement``, ``not_assessable``) and the sentence.
    """
    if domain == "risk_of_bias":
        return _bias(judged, bias_known)
    if domain == "indirectness":
        return "judgement", NOT_MADE
    return {
        "inconsistency": _inconsistency,
        "imprecision": _imprecision,
        "publication_bias": _publication,
    }[domain](cell)


def _bias(judged: Sequence[int], known: bool) -> Said:
    if not known:
        return "judgement", f"{NOT_MADE}; no judgements of trials are at hand"
    names = ("low", "unclear", "some concerns", "high", "not judged")
    parts = [f"{name} {int(n)}" for name, n in zip(names, judged, strict=True) if n]
    people = ", ".join(parts) if parts else "none counted"
    return "judgement", f"{NOT_MADE}; people by what others judged of the whole trial: {people}"


def _inconsistency(cell: Mapping[str, Any]) -> Said:
    k = cell["pooled"]
    if k < 2:
        return "not_assessable", f"not assessable: {_trials(k)} with an effect"
    text = f"computed: I² {100 * cell['i2']:.0f} %, tau² {cell['tau2']:.3g}, {_trials(k)}"
    if k == 2:
        return "computed", f"{text}; an interval for a new trial needs three"
    new = _interval(cell, "prediction_lower", "prediction_upper")
    null = _null(cell)
    inside = cell["lower"] <= 0 <= cell["upper"]
    new_inside = cell["prediction_lower"] <= 0 <= cell["prediction_upper"]
    more = ""
    if new_inside and not inside:
        more = f"; it includes {null}, which the mean's interval excludes"
    return "computed", f"{text}; 95 % interval for a new trial {new}{more}"


def _imprecision(cell: Mapping[str, Any]) -> Said:
    if not cell["pooled"]:
        none = "; no events in any trial" if cell["no_events"] == cell["trials"] else ""
        return "not_assessable", f"not assessable: no trial with an effect and its spread{none}"
    holds = "includes" if cell["lower"] <= 0 <= cell["upper"] else "excludes"
    measure = cell["measure"].removeprefix(LOG)
    text = (
        f"computed: {measure} {_shown(cell, cell['estimate'])}, 95 % confidence interval"
        f" {_interval(cell, 'lower', 'upper')}, which {holds} {_null(cell)}"
    )
    parts = [text, _least(cell), _information(cell)]
    if cell["crossovers"]:
        parts.append(f"{_trials(cell['crossovers'])} crossed over and pooled as parallel: too wide")
    if cell["zero_cells"]:
        parts.append(f"{_trials(cell['zero_cells'])} with an empty cell, corrected")
    return "computed", "; ".join(part for part in parts if part)


def _least(cell: Mapping[str, Any]) -> str:
    least = cell["least_difference"]
    if np.isnan(least):
        return "no least important difference was given"
    size = abs(np.log(least)) if _ratio(cell) else abs(least)
    ends = [side for side, beyond in (("below", -cell["lower"]), ("above", cell["upper"]))
            if beyond >= size]  # fmt: skip
    shown = f"{least:g}"
    if len(ends) == 2:
        return f"it reaches an important difference ({shown}) on both sides"
    if ends:
        return f"it reaches an important difference ({shown}) {ends[0]} the null"
    return f"it reaches no important difference ({shown})"


def _information(cell: Mapping[str, Any]) -> str:
    size = cell["information_size"]
    if np.isnan(size):
        return ""
    need = int(np.ceil(size))
    met = "reached" if cell["people"] >= need else "not reached"
    return f"{cell['people']} people of the {need} that one trial would need: {met}"


def _publication(cell: Mapping[str, Any]) -> Said:
    k = cell["pooled"]
    if k < FUNNEL_TRIALS:
        return "not_assessable", f"not assessable: {_trials(k)}, and a funnel needs {FUNNEL_TRIALS}"
    if np.isnan(cell["egger_p"]):
        return "not_assessable", f"not assessable: all {k} trials are of one size"
    return "computed", f"computed: Egger's test, p = {cell['egger_p']:.2g}, {_trials(k)}"


def _ratio(cell: Mapping[str, Any]) -> bool:
    return str(cell["measure"]).startswith(LOG)


def _trials(k: int) -> str:
    return "1 trial" if k == 1 else f"{k} trials"


def _null(cell: Mapping[str, Any]) -> str:
    return "a ratio of 1" if _ratio(cell) else "no difference"


def _interval(cell: Mapping[str, Any], lower: str, upper: str) -> str:
    return f"{_shown(cell, cell[lower])} to {_shown(cell, cell[upper])}"


def _shown(cell: Mapping[str, Any], value: float) -> str:
    """Ratios as ratios; three significant digits."""
    if _ratio(cell):
        value = float(np.exp(np.clip(value, -700, 700)))
        return f"{value:.2e}" if value >= 10_000 else f"{value:.3g}"
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
