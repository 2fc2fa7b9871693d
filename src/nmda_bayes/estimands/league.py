"""The league table: every agent against every other, at a named dose."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.links import LOGIT, Link
from nmda_bayes.dims import AGENT, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import stated_baseline
from nmda_bayes.estimands.named_dose import NamedDose, condition_of_evidence, effects_at
from nmda_bayes.estimands.network_evidence import (
    COMPARATOR,
    PRIOR_ONLY,
    evidence_between,
    memberships,
    shares_baselines,
)
from nmda_bayes.estimands.reading import link_of, spec_of
from nmda_bayes.estimands.response import absolute_risk
from nmda_bayes.intervals import interval

Scale = Literal["difference", "ratio", "OR", "RR", "RD"]
DIFFERENCE, RATIO, ODDS_RATIO, RISK_RATIO, RISK_DIFFERENCE = "difference", "ratio", "OR", "RR", "RD"
#: Scales that say nothing of a difference at this value.
NULL = {DIFFERENCE: 0.0, RATIO: 1.0, ODDS_RATIO: 1.0, RISK_RATIO: 1.0, RISK_DIFFERENCE: 0.0}
EXTRAPOLATED = "extrapolated"


def league_table(
    fit: xr.DataTree,
    outcome: str,
    dose: NamedDose = None,
    condition: str | None = None,
    scale: Scale | None = None,
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Compare every agent with every other at a named dose.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    dose
        As `effects_at` takes it: a number on the exposure axis, or a mapping of each agent's own.
    condition
        May be left out where the model gives all conditions one effect.
    scale
        ``difference`` (of the linear predictor), ``ratio`` (its exponential: for outcomes that are
        logarithms of ratios), and for risks ``OR``, ``RR`` or ``RD``; the natural one if None.
    baseline_risk
        The risk without an agent from which ``RR`` and ``RD`` are counted; the spec's window if
        None.

    Returns
    -------
    xr.Dataset
        Over agent and comparator, the reference among them: ``effect`` (chain, draw) of the agent
        against the comparator, its ``lower``, ``median``, ``upper``; ``p_better`` (where the spec
        says which way is better); ``evidence``, in words; ``trials`` that hold both; and
        ``extrapolated``, True where either dose is beyond those tried. Attributes: scale, dose,
        condition, and the interval's kind and level.

    Raises
    ------
    SpecError
        If dose, condition, scale or baseline is missing or does not fit the outcome.
    """
    spec = spec_of(fit)
    effects = effects_at(fit, outcome, dose, condition)
    part = spec.outcomes[outcome]
    chosen, words, baseline = _scale(fit, outcome, scale, baseline_risk)
    bare = effects.reset_coords(drop=True)
    difference = (bare - bare.rename({AGENT: COMPARATOR})).transpose(AGENT, COMPARATOR, *SAMPLE)
    effect = _on_scale(bare, difference, chosen, baseline, link_of(spec, outcome))
    found = interval(effect)
    found["effect"] = effect
    if part.better:
        found["p_better"] = ((difference < 0) if part.better == "lower" else (difference > 0)).mean(
            SAMPLE
        )
    agents = [str(a) for a in effects[AGENT].to_numpy()]
    arms = memberships(fit, outcome, condition_of_evidence(fit, outcome, condition))
    shared = shares_baselines(spec, outcome)
    found = found.merge(evidence_between(arms, agents, spec.reference, baselines_shared=shared))
    beyond = effects["extrapolated"].reset_coords(drop=True)
    found["extrapolated"] = beyond | beyond.rename({AGENT: COMPARATOR})
    named = {name: effects[name].reset_coords(drop=True) for name in ("dose", "label")}
    found = found.assign_coords(named)
    found.attrs = {
        **effects.attrs,
        "outcome": outcome,
        "title": part.label or outcome,
        "scale": chosen,
        "scale_text": words,
        "null": NULL[chosen],
        "better": part.better,
        "reference": spec.reference,
        **{k: v for k, v in interval(effect).attrs.items() if k in ("kind", "level")},
    }
    if baseline is not None:
        found.attrs["baseline_risk"] = baseline
    return found


def _scale(
    fit: xr.DataTree, outcome: str, scale: Scale | None, baseline_risk: float | None
) -> tuple[Scale, str, float | None]:
    """Choose the scale; say it in words, and find the baseline that it needs."""
    spec = spec_of(fit)
    link, unit = link_of(spec, outcome), spec.outcomes[outcome].unit
    natural: Scale = "OR" if link is LOGIT else "ratio" if link.ratio else "difference"
    chosen = scale or natural
    if chosen not in NULL:
        raise SpecError([Fault(f"unknown scale '{chosen}'", f"Use one of: {', '.join(NULL)}.")])
    odds, risks = chosen == ODDS_RATIO, chosen in (RISK_RATIO, RISK_DIFFERENCE)
    if (odds and link is not LOGIT) or (risks and not link.probability):
        mend = 'Use scale = "difference", or "ratio" for logarithms of ratios.'
        raise SpecError([Fault(f"the effects of '{outcome}' have no {chosen}", mend)])
    if chosen == DIFFERENCE:
        return chosen, link.effect or (f"difference in {unit}" if unit else chosen), None
    if chosen in (RATIO, ODDS_RATIO):
        return chosen, link.ratio or "ratio", None
    baseline = stated_baseline(fit, baseline_risk)
    name = "risk ratio" if chosen == RISK_RATIO else "risk difference"
    return chosen, f"{name} at a baseline risk of {100 * baseline:g} %", baseline


def _on_scale(
    effects: xr.DataArray,
    difference: xr.DataArray,
    scale: Scale,
    baseline: float | None,
    link: Link,
) -> xr.DataArray:
    if scale == DIFFERENCE:
        return difference
    if scale in (RATIO, ODDS_RATIO) or baseline is None:
        return xr.apply_ufunc(np.exp, difference)
    risk = absolute_risk(effects, baseline, link)
    other = risk.rename({AGENT: COMPARATOR})
    found = risk / other if scale == RISK_RATIO else risk - other
    return found.transpose(AGENT, COMPARATOR, *SAMPLE)


def league_frame(league: xr.Dataset) -> pd.DataFrame:
    """Write a league table as rows, each pair once.

    Parameters
    ----------
    league
        As `league_table` gives it.

    Returns
    -------
    pd.DataFrame
        ``agent, comparator`` (labels), ``median, lower, upper``, ``p_better`` where it is known,
        ``trials``, ``evidence`` and ``remark``; attributes as the table's.
    """
    labels = [str(x) for x in league["label"].to_numpy()]
    rows = []
    for i, agent in enumerate(labels):
        for j, comparator in enumerate(labels[:i]):
            cell = league.isel({AGENT: i, COMPARATOR: j})
            row: dict[str, object] = {"agent": agent, "comparator": comparator}
            row |= {k: float(cell[k]) for k in ("median", "lower", "upper")}
            if "p_better" in cell:
                row["p_better"] = float(cell["p_better"])
            beyond = EXTRAPOLATED if bool(cell["extrapolated"]) else ""
            evidence = str(cell["evidence"].item())
            guess = evidence if evidence == PRIOR_ONLY else ""
            remarks = [text for text in (guess, beyond) if text]
            row |= {"trials": int(cell["trials"]), "evidence": evidence}
            rows.append({**row, "remark": "; ".join(remarks)})
    frame = pd.DataFrame(rows)
    frame.attrs = dict(league.attrs)
    return frame
