"""Certainty of evidence by cell in the domains of GRADE: what is computed, and what is judged.

Computed domains rest on a random-effects meta-analysis without priors. No level of certainty is
given: that is a judgement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import suggest_match
from nmda_bayes.evidence.effect_sizes import NO_EVENTS, ZERO_CELL
from nmda_bayes.evidence.frequentist import (
    LOG_RISK_RATIO,
    MEAN_DIFFERENCE,
    MEAN_DIFFERENCE_OF_100,
    MIN_FUNNEL_TRIALS,
    STANDARDISED_DIFFERENCE,
    dersimonian_laird,
    effects_from_arms,
    effects_from_contrasts,
    egger_p,
    information_size,
    usable_arm_results,
)
from nmda_bayes.evidence.network import evidence_map
from nmda_bayes.evidence.tree import to_frame

NO_TRIAL: Final = "no trial"
#: Measures with this prefix are logarithms of ratios.
LOG_PREFIX: Final = "log "
NEEDS_JUDGEMENT: Final = "requires judgement"

DOMAIN: Final = "domain"
JUDGEMENT: Final = "judgement"
BIAS_DOMAIN: Final = "bias_domain"
NOT_JUDGED: Final = "not_judged"
#: From best to worst: of several judgements of a trial the worst counts.
JUDGEMENTS: Final = ("low", "unclear", "some_concerns", "high", NOT_JUDGED)
#: The overall judgement of a trial, and the domain that is judged for most trials.
BIAS_DOMAINS: Final = ("overall", "randomisation")
#: Column of the overall judgement of each study. `risk_of_bias` in studies.csv is free text.
RISK_OF_BIAS_COLUMN: Final = "risk_of_bias_judgement"

COUNT_FIELDS: Final = ("trials", "pooled", "people", "no_events", "zero_cells", "crossovers")
POOLED_FIELDS: Final = (
    "estimate",
    "lower",
    "upper",
    "tau2",
    "q",
    "i2",
    "prediction_lower",
    "prediction_upper",
)
NUMBER_FIELDS: Final = (
    *POOLED_FIELDS,
    "egger_p",
    "minimal_important_difference",
    "information_size",
)

Cell = Mapping[str, Any]
#: Status (computed, judgement, not_assessable) and text of a domain.
DomainText = tuple[str, str]


def grade_certainty(
    evidence: xr.DataTree,
    *,
    by: Sequence[str] = (AGENT, OUTCOME),
    comparators: Sequence[str] = ("placebo",),
    minimal_important_difference: Mapping[str, float] | None = None,
    correction: float | None = 0.5,
) -> xr.Dataset:
    """Describe the certainty of the evidence of each cell, domain by domain.

    Parameters
    ----------
    evidence
        From `load_evidence`.
    by
        Agent and outcome, or agent, condition and outcome.
    comparators
        Agents to compare with; arms at dose 0 count too. Trials without such an arm are not
        counted.
    minimal_important_difference
        By outcome: a risk ratio for counts, points of 100 for means on a rating scale, otherwise in
        the unit of ``measure``. The target of the optimal information size (5% two-sided, 80%
        power).
    correction
        Added to all cells of 2x2 tables with an empty one (``zero_cells``); None: such trials are
        not pooled. Trials without any event never are.

    Returns
    -------
    xr.Dataset
        Over the dims of ``by``: ``trials``; ``people``; ``pooled`` (trials with an effect and a
        variance); ``no_events``; ``zero_cells``; ``crossovers`` (pooled as parallel trials: too
        wide an interval); ``measure``; the meta-analysis (``estimate``, ``lower``, ``upper``,
        ``tau2``, ``q``, ``i2``, ``prediction_lower``, ``prediction_upper``; ratios as logarithms);
        ``egger_p``; ``minimal_important_difference``; ``information_size`` (people). Also over dim
        ``domain``: ``status`` (computed, judgement, not_assessable, no_trial) and ``text``. Over
        dims ``bias_domain`` and ``judgement``: ``people_by_bias``. Gaps are cells with 0 trials.

    Raises
    ------
    ValueError
        If ``by`` has other dims, or ``minimal_important_difference`` an unknown outcome.

    References
    ----------
    Guyatt GH et al. (2011), J Clin Epidemiol 64:1283, doi:10.1016/j.jclinepi.2011.01.012
    (imprecision, information size); 64:1294, doi:10.1016/j.jclinepi.2011.03.017 (inconsistency).

    Examples
    --------
    >>> cells = nb.grade_certainty(evidence)
    >>> cells["status"].dims, cells["domain"].to_numpy()[0]
    (('agent', 'outcome', 'domain'), 'risk_of_bias')
    """
    if {*by} not in ({AGENT, OUTCOME}, {AGENT, CONDITION, OUTCOME}) or len(by) != len({*by}):
        raise ValueError("by must be agent and outcome, or agent, condition and outcome")
    cells = evidence_map(evidence, by)
    differences = dict(minimal_important_difference or {})
    outcomes = [str(outcome) for outcome in cells[OUTCOME].to_numpy()]
    for outcome in differences:
        if outcome not in outcomes:
            raise ValueError(f"unknown outcome '{outcome}'. {suggest_match(outcome, outcomes)}")
    arms = effects_from_arms(usable_arm_results(evidence, comparators), correction)
    reported = effects_from_contrasts(evidence, comparators)
    keys = ["study", "agent", "outcome"]
    duplicate = pd.MultiIndex.from_frame(reported[keys]).isin(pd.MultiIndex.from_frame(arms[keys]))
    effects = pd.concat([part for part in (arms, reported[~duplicate]) if len(part)] or [arms])
    return grade_cells(effects, cells, _worst_by_domain(evidence), differences).assign_attrs(
        comparators=", ".join(comparators),
        correction="none" if correction is None else f"{correction:g}",
        source=str(evidence.attrs["source"]),
        evidence_hash=str(evidence.attrs["evidence_hash"]),
    )


def grade_cells(
    effects: pd.DataFrame,
    cells: xr.DataArray,
    bias: pd.DataFrame | None,
    minimal_important_difference: Mapping[str, float],
    scale: tuple[str, str] | None = None,
) -> xr.Dataset:
    """Return the dataset of `grade_certainty` for the cells of a map, from effects of trials.

    `scale` is the measure and its column in `effects`, by default chosen for each cell.
    """
    dims, shape = [str(dim) for dim in cells.dims], cells.shape
    fields: dict[str, np.ndarray] = {name: np.zeros(shape, np.int64) for name in COUNT_FIELDS}
    fields |= {name: np.full(shape, np.nan) for name in NUMBER_FIELDS}
    fields["measure"] = np.full(shape, "", object)
    text = np.full((*shape, len(GRADE_DOMAINS)), NO_TRIAL, object)
    status = np.full(text.shape, "no_trial", object)
    people_by_bias = np.zeros((*shape, len(BIAS_DOMAINS), len(JUDGEMENTS)), np.int64)
    labels = [cells[dim].to_numpy().astype(str).tolist() for dim in dims]
    for key, trials in effects.groupby(dims):
        at = tuple(names.index(str(label)) for names, label in zip(labels, key, strict=True))
        difference = minimal_important_difference.get(str(key[dims.index(OUTCOME)]))
        people_by_bias[at] = _people_by_bias(trials, bias)
        overall = None if bias is None else people_by_bias[at][0]
        cell = cell_summary(trials, difference, scale) | {"people_by_bias": overall}
        for name, array in fields.items():
            array[at] = cell[name]
        for i, describe in enumerate(_DOMAIN_TEXT.values()):
            status[(*at, i)], text[(*at, i)] = describe(cell)
    return xr.Dataset(
        {name: (dims, array) for name, array in fields.items()}
        | {
            "status": ([*dims, DOMAIN], status),
            "text": ([*dims, DOMAIN], text),
            "people_by_bias": ([*dims, BIAS_DOMAIN, JUDGEMENT], people_by_bias),
        },
        {
            **cells.coords,
            DOMAIN: np.array(GRADE_DOMAINS, object),
            BIAS_DOMAIN: np.array(BIAS_DOMAINS, object),
            JUDGEMENT: np.array(JUDGEMENTS, object),
        },
    )


def cell_summary(
    trials: pd.DataFrame, difference: float | None, scale: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Pool the trials of one cell on their common scale."""
    measure, column = scale or _common_scale(trials)
    y, v = (trials[name].to_numpy(float) for name in (column, f"{column}: v"))
    pool = dersimonian_laird(y, v)
    size = np.nan if difference is None else information_size(trials, measure, difference)
    return {
        "measure": measure,
        "trials": trials["study"].nunique(),
        "people": int(trials["people"].sum()),
        "pooled": pool.trials,
        "no_events": int((trials["note"] == NO_EVENTS).sum()),
        "zero_cells": int((trials["note"] == ZERO_CELL).sum()),
        "crossovers": int(trials["crossover"].sum()),
        **{name: getattr(pool, name) for name in POOLED_FIELDS},
        "egger_p": egger_p(y, v),
        "minimal_important_difference": np.nan if difference is None else difference,
        "information_size": size,
    }


def _common_scale(trials: pd.DataFrame) -> tuple[str, str]:
    """Return measure and column: means keep their unit if all trials share it."""
    if (trials["kind"] == "binary").sum() * 2 >= len(trials):
        return LOG_RISK_RATIO, LOG_RISK_RATIO
    means = trials[trials["kind"] == "continuous"]
    if means["factor"].notna().all():
        return MEAN_DIFFERENCE_OF_100, MEAN_DIFFERENCE_OF_100
    units = set(means["unit"])
    if len(units) == 1 and "" not in units and means["factor"].isna().all():
        return f"mean difference, {units.pop()}", MEAN_DIFFERENCE
    return STANDARDISED_DIFFERENCE, STANDARDISED_DIFFERENCE


def _risk_of_bias(cell: Cell) -> DomainText:
    if cell["people_by_bias"] is None:
        return "judgement", f"{NEEDS_JUDGEMENT}; no judgements of trials available"
    names = (judgement.replace("_", " ") for judgement in JUDGEMENTS)
    counts = zip(names, cell["people_by_bias"], strict=True)
    people = ", ".join(f"{name} {int(n)}" for name, n in counts if n) or "none counted"
    return "judgement", f"{NEEDS_JUDGEMENT}; people by published judgement of their trial: {people}"


def _inconsistency(cell: Cell) -> DomainText:
    k = cell["pooled"]
    if k < 2:
        return "not_assessable", f"not assessable: {_trials(k)} with an effect"
    text = f"computed: I² {100 * cell['i2']:.0f}%, tau² {cell['tau2']:.3g}, {_trials(k)}"
    if k == 2:
        return "computed", f"{text}; a prediction interval needs three"
    text += f"; 95% prediction interval {_interval(cell, 'prediction_lower', 'prediction_upper')}"
    predicted_null = cell["prediction_lower"] <= 0 <= cell["prediction_upper"]
    if predicted_null and not _includes_null(cell):
        text += f", which includes {_null(cell)}, unlike the interval of the mean"
    return "computed", text


def _indirectness(cell: Cell) -> DomainText:
    return "judgement", NEEDS_JUDGEMENT


def _imprecision(cell: Cell) -> DomainText:
    if not cell["pooled"]:
        none = "; no events in any trial" if cell["no_events"] == cell["trials"] else ""
        return "not_assessable", f"not assessable: no trial with an estimate and its SE{none}"
    verb = "includes" if _includes_null(cell) else "excludes"
    measure, _, unit = cell["measure"].removeprefix(LOG_PREFIX).partition(", ")
    estimate = f"{_format_value(cell, cell['estimate'])} {unit}".rstrip()
    parts = [
        f"computed: {measure} {estimate}, 95% confidence interval"
        f" {_interval(cell, 'lower', 'upper')}, which {verb} {_null(cell)}",
        _important_difference_text(cell),
        _information_text(cell),
    ]
    if cell["crossovers"]:
        trials = _trials(cell["crossovers"])
        parts.append(f"{trials} with a crossover design pooled as parallel: too wide")
    if cell["zero_cells"]:
        parts.append(f"{_trials(cell['zero_cells'])} with a zero cell, corrected")
    return "computed", "; ".join(filter(None, parts))


def _important_difference_text(cell: Cell) -> str:
    difference = cell["minimal_important_difference"]
    if np.isnan(difference):
        return "no minimal important difference given"
    size = abs(np.log(difference)) if _is_ratio(cell) else abs(difference)
    reached = {"below": -cell["lower"] >= size, "above": cell["upper"] >= size}
    sides = [side for side, is_reached in reached.items() if is_reached]
    if not sides:
        return f"it reaches no important difference ({difference:g})"
    side = f"{sides[0]} the null" if len(sides) == 1 else "on both sides"
    return f"it includes an important difference ({difference:g}) {side}"


def _information_text(cell: Cell) -> str:
    if np.isnan(cell["information_size"]):
        return ""
    needed = int(np.ceil(cell["information_size"]))
    reached = "reached" if cell["people"] >= needed else "not reached"
    return f"{cell['people']} people of the {needed} that one trial would need: {reached}"


def _publication_bias(cell: Cell) -> DomainText:
    k = cell["pooled"]
    if k < MIN_FUNNEL_TRIALS:
        text = f"not assessable: {_trials(k)}; a funnel plot needs at least {MIN_FUNNEL_TRIALS}"
        return "not_assessable", text
    if np.isnan(cell["egger_p"]):
        return "not_assessable", f"not assessable: all {k} trials are of one size"
    return "computed", f"computed: Egger's test, p = {cell['egger_p']:.2g}, {_trials(k)}"


_DOMAIN_TEXT: Final = {
    "risk_of_bias": _risk_of_bias,
    "inconsistency": _inconsistency,
    "indirectness": _indirectness,
    "imprecision": _imprecision,
    "publication_bias": _publication_bias,
}
GRADE_DOMAINS: Final = tuple(_DOMAIN_TEXT)


def _is_ratio(cell: Cell) -> bool:
    return str(cell["measure"]).startswith(LOG_PREFIX)


def _includes_null(cell: Cell) -> bool:
    return bool(cell["lower"] <= 0 <= cell["upper"])


def _trials(k: int) -> str:
    return "1 trial" if k == 1 else f"{k} trials"


def _null(cell: Cell) -> str:
    return "a ratio of 1" if _is_ratio(cell) else "no effect"


def _interval(cell: Cell, lower: str, upper: str) -> str:
    return f"{_format_value(cell, cell[lower])} to {_format_value(cell, cell[upper])}"


def _format_value(cell: Cell, value: float) -> str:
    """Format to three significant digits, logarithms as ratios."""
    if _is_ratio(cell):
        value = float(np.exp(np.clip(value, -700, 700)))
        return f"{value:.2e}" if value >= 10_000 else f"{value:.3g}"
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def overall_risk_of_bias(tree: xr.DataTree) -> pd.Series | None:
    """Return the worst judgement of each trial, overall or of its randomisation; None if none."""
    rows = _judgement_ranks(tree)
    if rows is None or rows.empty:
        return None
    return rows.groupby("study")["rank"].max().map(dict(enumerate(JUDGEMENTS)))


def _worst_by_domain(tree: xr.DataTree) -> pd.DataFrame | None:
    """Return the worst judgement of each domain, a row per trial; None if there are none."""
    rows = _judgement_ranks(tree)
    if rows is None:
        return None
    wide = rows.pivot_table("rank", "study", "domain", aggfunc="max")
    wide = wide.reindex(columns=[*BIAS_DOMAINS])
    return wide.map(dict(enumerate(JUDGEMENTS)).get, na_action="ignore").fillna(NOT_JUDGED)


def _judgement_ranks(tree: xr.DataTree) -> pd.DataFrame | None:
    """Return judgements of whole trials with their rank; None if the evidence has no judgements."""
    if "risk_of_bias" not in tree.children or not len(to_frame(tree, "risk_of_bias")):
        return None
    rows = to_frame(tree, "risk_of_bias")
    # A judgement of one outcome does not apply to the others.
    rows = rows[rows["domain"].isin(BIAS_DOMAINS) & (rows["scope"] == "")]
    rows = rows[rows["judgement"].isin(JUDGEMENTS[:-1])]
    return rows.assign(rank=rows["judgement"].map(JUDGEMENTS.index))


def _people_by_bias(trials: pd.DataFrame, bias: pd.DataFrame | None) -> np.ndarray:
    """Return people by domain and judgement of their trial."""
    people = trials["people"].fillna(0).to_numpy(np.int64)
    judged = pd.DataFrame(columns=[*BIAS_DOMAINS], dtype="str") if bias is None else bias
    judged = judged.reindex(trials["study"]).fillna(NOT_JUDGED)
    counts = [[people[judged[d] == j].sum() for j in JUDGEMENTS] for d in BIAS_DOMAINS]
    return np.array(counts, np.int64)
