"""Certainty of the evidence, cell by cell: what data can tell, and what remains a judgement.

The five domains of GRADE are named, and no level is given: a level is a judgement of people. What
can be computed is computed by a plain random-effects pool, without a prior, and said in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import nearest
from nmda_bayes.evidence.certainty_words import DOMAINS, NO_TRIAL, said
from nmda_bayes.evidence.classical import dersimonian_laird, egger_p
from nmda_bayes.evidence.count_effects import NO_EVENTS, ZERO_CELL
from nmda_bayes.evidence.map import evidence_map
from nmda_bayes.evidence.planning import information_size
from nmda_bayes.evidence.tree import table
from nmda_bayes.evidence.trial_effects import (
    POINTS,
    RATIO,
    STANDARD,
    effects_of_arms,
    effects_of_contrasts,
    told_arms,
)

DOMAIN: Final = "domain"
JUDGEMENT: Final = "judgement"
BIAS_DOMAIN: Final = "bias_domain"
NOT_JUDGED: Final = "not_judged"
#: From best to worst: of several judgements of a trial the worst counts.
JUDGEMENTS: Final = ("low", "unclear", "some_concerns", "high", NOT_JUDGED)
#: The whole of a trial, and the one domain that is known for most trials.
BIAS_DOMAINS: Final = ("overall", "randomisation")
COUNTS: Final = ("trials", "pooled", "people", "no_events", "zero_cells", "crossovers")
POOLED: Final = (
    *("estimate", "lower", "upper", "tau2", "q", "i2"),
    *("prediction_lower", "prediction_upper"),
)
NUMBERS: Final = (*POOLED, "egger_p", "least_difference", "information_size")


def certainty(
    tree: xr.DataTree,
    *,
    by: Sequence[str] = (AGENT, OUTCOME),
    comparators: Sequence[str] = ("placebo",),
    least_difference: Mapping[str, float] | None = None,
    correction: float | None = 0.5,
) -> xr.Dataset:
    """Say of each cell what its data tell of certainty, domain by domain.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    by
        Agent and outcome, or agent, condition and outcome.
    comparators
        What the agents are compared with; an arm at dose 0 counts too. Trials without such an arm
        are not counted.
    least_difference
        For an outcome, the smallest difference that matters: a risk ratio for counts, points of
        100 for means on a rating scale, otherwise in the unit of the cell's ``measure``. It is the
        target of the optimal information size (5 % two-sided, 80 % power). Nothing is taken for
        an outcome that is not named.
    correction
        Added to all cells of a table of counts with an empty one (``zero_cells`` counts such
        trials); None: such trials are not pooled. Trials without any event never are.

    Returns
    -------
    xr.Dataset
        Over the dims of ``by``: ``trials``, ``people`` in them, ``pooled`` (trials with an effect
        and a variance), ``no_events``, ``zero_cells``, ``crossovers`` (trials whose people were in
        both arms, pooled as if they were not: too wide an interval); ``measure``; the pool
        (``estimate``, ``lower``, ``upper``, ``tau2``, ``q``, ``i2``, ``prediction_lower``,
        ``prediction_upper``, ratios as logarithms), ``egger_p``, ``least_difference`` and
        ``information_size`` (people). Over dim ``domain`` too: ``status`` (computed, judgement,
        not_assessable, no_trial) and ``words``. Over dims ``bias_domain`` and ``judgement``:
        ``people_by_bias``, people in trials so judged. Holes are cells with 0 trials.

    Raises
    ------
    ValueError
        If ``by`` names other dims, or ``least_difference`` an outcome that is not there.

    References
    ----------
    Guyatt GH et al. (2011), J Clin Epidemiol 64:1283, doi:10.1016/j.jclinepi.2011.01.012
    (imprecision, information size); 64:1294, doi:10.1016/j.jclinepi.2011.03.017 (inconsistency).
    """
    if {*by} not in ({AGENT, OUTCOME}, {AGENT, CONDITION, OUTCOME}) or len(by) != len({*by}):
        raise ValueError("by is agent and outcome, or agent, condition and outcome")
    frame = evidence_map(tree, by)
    wanted = dict(least_difference or {})
    known = [str(word) for word in frame[OUTCOME].to_numpy()]
    for outcome in wanted:
        if outcome not in known:
            raise ValueError(f"no outcome '{outcome}'. {nearest(outcome, known)}")
    arms = effects_of_arms(told_arms(tree, comparators), correction)
    printed = effects_of_contrasts(tree, comparators)
    keys = ["study", "agent", "outcome"]
    again = pd.MultiIndex.from_frame(printed[keys]).isin(pd.MultiIndex.from_frame(arms[keys]))
    effects = pd.concat([part for part in (arms, printed[~again]) if len(part)] or [arms])
    found = cells_of_effects(effects, frame, _bias(tree), wanted)
    return found.assign_attrs(
        comparators=", ".join(comparators),
        correction="none" if correction is None else f"{correction:g}",
        source=str(tree.attrs["source"]),
        evidence_hash=str(tree.attrs["evidence_hash"]),
    )


def cells_of_effects(
    effects: pd.DataFrame,
    frame: xr.DataArray,
    bias: pd.DataFrame | None,
    least_difference: Mapping[str, float],
    scale: tuple[str, str] | None = None,
) -> xr.Dataset:
    """Fill the cells of a map with what the effects of trials tell.

    Parameters
    ----------
    effects
        As `effects_of_arms` gives them.
    frame
        Any array over the cells, such as the evidence map.
    bias
        Columns study and `BIAS_DOMAINS`, a word of `JUDGEMENTS` each; None where no judgements are
        at hand.
    least_difference
        By outcome.
    scale
        The measure of all effects, and the column that holds it; None: chosen cell by cell.

    Returns
    -------
    xr.Dataset
        As `certainty` says.
    """
    dims = tuple(str(dim) for dim in frame.dims)
    shape, words = frame.shape, np.full((*frame.shape, len(DOMAINS)), NO_TRIAL, object)
    status = np.full(words.shape, "no_trial", object)
    counts = {name: np.zeros(shape, np.int64) for name in COUNTS}
    numbers = {name: np.full(shape, np.nan) for name in NUMBERS}
    measure = np.full(shape, "", object)
    by_bias = np.zeros((*shape, len(BIAS_DOMAINS), len(JUDGEMENTS)), np.int64)
    place = {dim: {str(w): i for i, w in enumerate(frame[dim].to_numpy())} for dim in dims}
    for key, trials in effects.groupby([*dims]):
        at = tuple(place[dim][str(word)] for dim, word in zip(dims, key, strict=True))
        outcome = str(key[dims.index(OUTCOME)])
        cell = summary_of_cell(trials, least_difference.get(outcome), scale)
        judged = _people_by_bias(trials, bias)
        measure[at] = cell["measure"]
        for name in COUNTS:
            counts[name][at] = cell[name]
        for name in NUMBERS:
            numbers[name][at] = cell[name]
        by_bias[at] = judged
        for i, domain in enumerate(DOMAINS):
            status[(*at, i)], words[(*at, i)] = said(domain, cell, judged[0], bias is not None)
    variables: dict[str, Any] = {name: (dims, array) for name, array in counts.items()}
    variables |= {name: (dims, array) for name, array in numbers.items()}
    variables |= {
        "measure": (dims, measure),
        "status": ((*dims, DOMAIN), status),
        "words": ((*dims, DOMAIN), words),
        "people_by_bias": ((*dims, BIAS_DOMAIN, JUDGEMENT), by_bias),
    }
    own = {DOMAIN: [*DOMAINS], BIAS_DOMAIN: [*BIAS_DOMAINS], JUDGEMENT: [*JUDGEMENTS]}
    coords = dict(frame.coords) | {k: np.array(v, object) for k, v in own.items()}
    return xr.Dataset(variables, coords)


def summary_of_cell(
    trials: pd.DataFrame, least: float | None, scale: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Pool the trials of one cell on the one scale that they share.

    Parameters
    ----------
    trials
        Rows of `effects_of_arms`.
    least
        The smallest difference that matters, in the unit of the measure (a ratio for counts).
    scale
        The measure, and the column that holds it; None: chosen from the trials.

    Returns
    -------
    dict[str, Any]
        ``measure``, and a number for each of `COUNTS` and `NUMBERS`.
    """
    measure, column = scale or _measure(trials)
    y, v = (trials[c].to_numpy(float) for c in (column, f"{column}: v"))
    pool = dersimonian_laird(y, v)
    size = np.nan if least is None else information_size(trials, measure, least)
    return {
        "measure": measure,
        "trials": trials["study"].nunique(),
        "people": int(trials["people"].sum()),
        "pooled": pool.trials,
        "no_events": int((trials["note"] == NO_EVENTS).sum()),
        "zero_cells": int((trials["note"] == ZERO_CELL).sum()),
        "crossovers": int(trials["crossover"].sum()),
        **{name: getattr(pool, name) for name in POOLED},
        "egger_p": egger_p(y, v),
        "least_difference": np.nan if least is None else least,
        "information_size": size,
    }


def _measure(trials: pd.DataFrame) -> tuple[str, str]:
    """Choose the scale, and the column that holds it: means stay in units if all share them."""
    if (trials["kind"] == "binary").sum() * 2 >= len(trials):
        return RATIO, RATIO
    means = trials[trials["kind"] == "continuous"]
    if means["factor"].notna().all():
        return POINTS, POINTS
    units = set(means["unit"])
    if len(units) == 1 and "" not in units and means["factor"].isna().all():
        return f"mean difference, {units.pop()}", "md"
    return STANDARD, STANDARD


def _bias(tree: xr.DataTree) -> pd.DataFrame | None:
    """One row a trial: the worst judgement of each domain; None where the evidence holds none."""
    if "risk_of_bias" not in tree.children or not len(table(tree, "risk_of_bias")):
        return None
    rows = table(tree, "risk_of_bias")
    # A judgement of one outcome says nothing of the others.
    rows = rows[rows["domain"].isin(BIAS_DOMAINS) & (rows["scope"] == "")]
    rows = rows[rows["judgement"].isin(JUDGEMENTS[:-1])]
    worst = rows.assign(place=rows["judgement"].map(JUDGEMENTS.index))
    wide = worst.pivot_table("place", "study", "domain", aggfunc="max")
    return wide.reindex(columns=[*BIAS_DOMAINS]).map(
        lambda i: NOT_JUDGED if np.isnan(i) else JUDGEMENTS[int(i)]
    )


def _people_by_bias(trials: pd.DataFrame, bias: pd.DataFrame | None) -> np.ndarray:
    out = np.zeros((len(BIAS_DOMAINS), len(JUDGEMENTS)), np.int64)
    for study, people in zip(trials["study"], trials["people"].fillna(0), strict=True):
        for i, domain in enumerate(BIAS_DOMAINS):
            known = bias is not None and study in bias.index
            word = str(bias.loc[study, domain]) if bias is not None and known else NOT_JUDGED
            out[i, JUDGEMENTS.index(word)] += int(people)
    return out
