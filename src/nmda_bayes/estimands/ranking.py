"""Ranks of agents at a named dose, and what they hide."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.league import league_table
from nmda_bayes.estimands.named_dose import NamedDose, differs_by_agent, effects_at
from nmda_bayes.estimands.network_evidence import COMPARATOR, UNTIED
from nmda_bayes.estimands.reading import spec_of
from nmda_bayes.intervals import LEVEL, interval

RANK = "rank"
CAUTION = (
    "A rank says nothing of how far apart agents are: the first may be better by too little to"
    " matter, and a small trial's wide interval can take an agent to the top and to the bottom."
)


def ranks(
    fit: xr.DataTree,
    outcome: str,
    dose: NamedDose = None,
    condition: str | None = None,
    better: Literal["lower", "higher"] | None = None,
) -> xr.Dataset:
    """Rank the agents and the reference at a named dose, draw by draw.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    dose
        A number on the exposure axis, or a mapping of each agent's own.
    condition
        May be left out where the model gives all conditions one effect.
    better
        Which way is better; the spec's if None.

    Returns
    -------
    xr.Dataset
        Over agent, the reference among them: ``p_rank`` and ``cumulative`` (rank 1 is the best),
        ``sucra``, the surface under the cumulative ranking (Salanti, Ades and Ioannidis 2011),
        ``mean_rank`` with ``lower`` and ``upper``, and ``evidence`` against the reference. Read it
        with attribute ``caution``, which counts the pairs whose interval includes no difference.

    Raises
    ------
    SpecError
        If no way is better, agents share one curve, or dose or condition is not named.
    """
    way = better or spec_of(fit).outcomes[outcome].better
    effects = effects_at(fit, outcome, dose, condition)
    if way not in ("lower", "higher"):
        mend = 'Pass better = "lower" or "higher", or write it in the spec.'
        raise SpecError([Fault(f"which way of '{outcome}' is better is not said", mend)])
    if not differs_by_agent(fit, outcome):
        mend = "Compare doses, or give agents curves of their own."
        raise SpecError([Fault("all agents share one curve: there is nothing to rank", mend)])
    league = league_table(fit, outcome, dose, condition, "difference")
    bare = effects.reset_coords(drop=True)
    worse = -bare if way == "higher" else bare
    beaten_by = worse.rename({AGENT: COMPARATOR}) < worse
    rank = 1 + beaten_by.sum(COMPARATOR)
    places = np.arange(1, bare.sizes[AGENT] + 1)
    each = xr.DataArray(places, dims=RANK, coords={RANK: places})
    p_rank = (rank == each).mean(SAMPLE)
    cumulative = p_rank.cumsum(RANK).assign_coords({RANK: places})
    ends = interval(rank.astype(float))
    found = xr.Dataset(
        {
            "p_rank": p_rank,
            "cumulative": cumulative,
            "sucra": cumulative.isel({RANK: slice(None, -1)}).mean(RANK),
            "mean_rank": rank.mean(SAMPLE),
            "lower": ends["lower"],
            "upper": ends["upper"],
            "evidence": league["evidence"].sel({COMPARATOR: spec_of(fit).reference}, drop=True),
        }
    )
    found = found.assign_coords({k: effects[k] for k in ("dose", "label", "extrapolated")})
    found = found.drop_vars(COMPARATOR, errors="ignore")
    found.attrs = {**league.attrs, "better": way, "caution": _caution(league, found)}
    return found


def _caution(league: xr.Dataset, found: xr.Dataset) -> str:
    """What these ranks hide, counted."""
    size = league.sizes[AGENT]
    lower = np.tril(np.ones((size, size), dtype=bool), k=-1)
    open_sign = ((league["lower"] <= 0) & (league["upper"] >= 0)).to_numpy()
    pairs, unclear = int(lower.sum()), int((open_sign & lower).sum())
    text = (
        f"{CAUTION} Of {pairs} pairs here, {unclear} have a {LEVEL:.0%} interval of their"
        " difference that includes 0."
    ).replace("%", " %")
    loose = found["evidence"].isin(UNTIED).to_numpy()
    named = [str(x) for x in found["label"].to_numpy()[loose]]
    if named:
        text += (
            f" No trial ties {', '.join(named)} to {league.attrs['reference']}: their ranks rest"
        )
        text += " on assumptions or the prior."
    return text
