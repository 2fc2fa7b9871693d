"""Network comparisons: evidence by pair, league tables, ranks, and tests of consistency.

A node split is a spec: the trials that compare two agents directly inform a separate agent with
its own curve and the same priors; its difference from the agent that the rest of the network
informs is the inconsistency. Where agents are pooled, the prior shrinks that difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.components.links import LOGIT, Link
from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.design.node_split import DIRECT_SUFFIX, VERSUS_SEPARATOR, arm_nodes
from nmda_bayes.dims import AGENT, SAMPLE
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.clinical import COMPARATOR
from nmda_bayes.estimands.fit_access import (
    design_of,
    labels_of,
    link_of,
    pools_baselines,
    spec_error,
    spec_of,
    stated_baseline,
    unknown_label,
)
from nmda_bayes.estimands.response import (
    CommonDose,
    absolute_risk,
    differs_by_agent,
    effects_at_dose,
    evidence_condition,
)
from nmda_bayes.evidence import connected_components
from nmda_bayes.intervals import INTERVAL_LEVEL, credible_interval
from nmda_bayes.spec import AnalysisSpec

# Evidence behind each comparison.

DIRECT, INDIRECT, BOTH = "direct", "indirect", "direct and indirect"
#: What a comparison rests on if no trials connect the two.
VIA_CURVE, VIA_BASELINES, PRIOR_ONLY = "curve's shape", "shared baselines", "prior only"
NOT_CONNECTED = (VIA_CURVE, VIA_BASELINES, PRIOR_ONLY)
ASSUMPTIONS = {
    VIA_CURVE: "the curve extrapolates from comparisons between doses to the effect at dose 0",
    VIA_BASELINES: "arms are compared across trials: baselines are exchangeable, and other"
    " differences between trials are random",
    PRIOR_ONLY: "no trials connect the two: the estimate rests on the prior and on pooling",
}


def trial_nodes(fit: xr.DataTree, outcome: str, condition: str | None = None) -> pd.DataFrame:
    """List the arms of an outcome: study, node (agent, or reference at dose 0) and exposure."""
    arms = design_of(fit, outcome)[["study", "agent", "condition", "exposure"]].to_dataframe()
    if condition is not None:
        arms = arms[arms["condition"] == condition]
    arms = arms.assign(node=arm_nodes(arms, spec_of(fit).reference))
    return arms[["study", "node", "exposure"]].reset_index(drop=True)


def evidence_by_pair(
    arms: pd.DataFrame, agents: Sequence[str], reference: str, *, baselines_shared: bool
) -> xr.Dataset:
    """Classify the evidence on each pair of agents, and count the trials with both."""
    nodes = _nodes_by_study(arms)
    edges = [(study, node) for study, members in nodes.items() for node in members]
    dose_edges = [(study, reference) for study, _ in _dose_comparisons(arms)]
    size = len(agents)
    evidence, trials = np.full((size, size), "", dtype=object), np.zeros((size, size), dtype=int)
    for i, j in combinations(range(size), 2):
        pair = {agents[i], agents[j]}
        direct = {study for study, members in nodes.items() if pair <= members}
        indirect = _is_connected([edge for edge in edges if edge[0] not in direct], pair)
        if direct:
            kind = BOTH if indirect else DIRECT
        elif indirect:
            kind = INDIRECT
        elif _is_connected([*edges, *dose_edges], pair):
            kind = VIA_CURVE
        elif baselines_shared and pair <= {node for _, node in edges}:
            kind = VIA_BASELINES
        else:
            kind = PRIOR_ONLY
        evidence[i, j] = evidence[j, i] = kind
        trials[i, j] = trials[j, i] = len(direct)
    dims = (AGENT, COMPARATOR)
    return xr.Dataset(
        {"evidence": (dims, evidence), "trials": (dims, trials)},
        coords={AGENT: list(agents), COMPARATOR: list(agents)},
    )


def _nodes_by_study(arms: pd.DataFrame) -> dict[str, set[str]]:
    return {str(study): set(nodes) for study, nodes in arms.groupby("study")["node"]}


def _dose_comparisons(arms: pd.DataFrame) -> set[tuple[str, str]]:
    """List study and node where the study compares doses of one agent."""
    doses = arms.drop_duplicates(["study", "node", "exposure"])
    several = doses[doses.duplicated(["study", "node"])]
    return {(str(s), str(n)) for s, n in zip(several["study"], several["node"], strict=True)}


def _is_connected(edges: Iterable[tuple[str, str]], pair: set[str]) -> bool:
    return any(pair <= component for component in connected_components(edges))


def subnetworks(fit: xr.DataTree, outcome: str) -> pd.DataFrame:
    """List the connected parts of an outcome's network: what is identified, what is assumed.

    Columns ``part, agents, trials, identified, assumption``, the part of the reference first.
    """
    spec, arms = spec_of(fit), trial_nodes(fit, outcome)
    reference = spec.reference
    components = connected_components(zip(arms["study"], arms["node"], strict=True))
    components.sort(key=lambda component: reference not in component)
    with_doses = {node for _, node in _dose_comparisons(arms)}
    rows: list[tuple[tuple[str, ...], int, str, str]] = []
    for component in components:
        members = tuple(sorted(str(node) for node in component if node != reference))
        count = int(arms.loc[arms["node"].isin(component), "study"].nunique())
        if reference in component:
            identified = f"effects vs {reference} and differences between all of them"
            rows.append(((reference, *members), count, identified, ""))
            continue
        compares_doses = bool(with_doses & set(members))
        identified = "only the level of its arms"
        if len(members) > 1:
            identified = "differences between these agents"
        elif compares_doses:
            identified = "differences between doses"
        pooled = pools_baselines(spec, outcome)
        kind = VIA_BASELINES if pooled else VIA_CURVE if compares_doses else PRIOR_ONLY
        rows.append((members, count, identified, f"vs {reference}: {ASSUMPTIONS[kind]}"))
    absent = tuple(a for a in labels_of(fit, AGENT) if a not in set(arms["node"]))
    if absent:
        rows.append((absent, 0, "nothing", ASSUMPTIONS[PRIOR_ONLY]))
    columns = ["part", "agents", "trials", "identified", "assumption"]
    return pd.DataFrame([(k, *row) for k, row in enumerate(rows, start=1)], columns=columns)


# League table.

Scale = Literal["difference", "ratio", "OR", "RR", "RD", "correlation"]
DIFFERENCE, RATIO, ODDS_RATIO, RISK_RATIO, RISK_DIFFERENCE = "difference", "ratio", "OR", "RR", "RD"
CORRELATION = "correlation"
#: The value of no effect on each scale.
NULL = {DIFFERENCE: 0.0, RATIO: 1.0, ODDS_RATIO: 1.0, RISK_RATIO: 1.0, RISK_DIFFERENCE: 0.0}
NULL |= {CORRELATION: 0.0}
EXTRAPOLATED = "extrapolated"


def league_table(
    fit: xr.DataTree,
    outcome: str,
    dose: CommonDose = None,
    condition: str | None = None,
    scale: Scale | None = None,
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Compare every agent with every other, and with the reference, at one dose.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.
    dose
        A number on the exposure axis for all agents, or a mapping from agent to number; by default
        1 if the exposure is relative to a reference.
    condition
        May be omitted if the model gives all conditions the same effects.
    scale
        ``difference`` (linear predictor), ``ratio`` (its exponential), for risks ``OR``, ``RR`` or
        ``RD``, for Fisher's z ``correlation``; the natural one by default.
    baseline_risk
        Risk at dose 0, for ``RR`` and ``RD``; by default ``window.baseline_risk`` of the spec.

    Returns
    -------
    xr.Dataset
        Dims agent and comparator, both with the reference: ``effect`` (with chain, draw) of agent
        vs comparator; ``lower``, ``median``, ``upper``; ``p_better`` if the spec says which
        direction is better; ``evidence`` (direct, indirect, ...); ``trials`` with both;
        ``extrapolated``, True where either dose exceeds the tested ones. Attributes include scale,
        dose, condition, and the kind and level of the interval.

    Raises
    ------
    SpecError
        If outcome, condition or agent is not in the fit (E800); dose, condition or baseline risk
        is missing (E806, E807, E802); or the outcome has no such scale (E820).

    Examples
    --------
    >>> league = nb.league_table(fit, "psychotomimetic", dose=1.0, condition="crps")
    >>> league["effect"].dims
    ('agent', 'comparator', 'chain', 'draw')
    >>> league.attrs["scale"]
    'OR'
    """
    spec = spec_of(fit)
    effects = effects_at_dose(fit, outcome, dose, condition)
    part = spec.outcomes[outcome]
    selected, scale_text, baseline = _scale(fit, outcome, scale, baseline_risk)
    values = effects.reset_coords(drop=True)
    difference = (values - values.rename({AGENT: COMPARATOR})).transpose(AGENT, COMPARATOR, *SAMPLE)
    effect = _on_scale(values, difference, selected, baseline, link_of(spec, outcome))
    league = credible_interval(effect)
    league["effect"] = effect
    if part.better:
        is_better = (difference < 0) if part.better == "lower" else (difference > 0)
        league["p_better"] = is_better.mean(SAMPLE)
    arms = trial_nodes(fit, outcome, evidence_condition(fit, outcome, condition))
    agents = [str(a) for a in effects[AGENT].to_numpy()]
    shared = pools_baselines(spec, outcome)
    league = league.merge(evidence_by_pair(arms, agents, spec.reference, baselines_shared=shared))
    extrapolated = effects["extrapolated"].reset_coords(drop=True)
    league["extrapolated"] = extrapolated | extrapolated.rename({AGENT: COMPARATOR})
    league = league.assign_coords(
        {
            name: effects[name].reset_coords(drop=True)
            for name in ("dose", "dose_text", "tested", "label")
        }
    )
    league.attrs |= {
        **effects.attrs,
        "outcome": outcome,
        "title": part.label or outcome,
        "scale": selected,
        "scale_text": scale_text,
        "null": NULL[selected],
        "better": part.better,
        "reference": spec.reference,
    }
    if baseline is not None:
        league.attrs["baseline_risk"] = baseline
    return league


def _scale(
    fit: xr.DataTree, outcome: str, scale: Scale | None, baseline_risk: float | None
) -> tuple[Scale, str, float | None]:
    """Choose a scale; return it with a text and the baseline risk that it needs."""
    spec = spec_of(fit)
    link, unit = link_of(spec, outcome), spec.outcomes[outcome].unit
    natural: Scale = "OR" if link is LOGIT else "ratio" if link.ratio else "difference"
    if link.correlation:
        natural = "correlation"
    selected = scale or natural
    available = [DIFFERENCE, RATIO, *([ODDS_RATIO] if link is LOGIT else [])]
    available += [CORRELATION] if link.correlation else []
    available += [RISK_RATIO, RISK_DIFFERENCE] if link.probability else []
    if selected not in available:
        hint = f"Use one of: {', '.join(available)}."
        raise spec_error("E820", f"outcome '{outcome}' has no scale '{selected}'", hint, "scale")
    if selected == CORRELATION:
        return selected, selected, None
    if selected == DIFFERENCE:
        return selected, link.effect or (f"difference in {unit}" if unit else selected), None
    if selected in (RATIO, ODDS_RATIO):
        return selected, link.ratio or "ratio", None
    baseline = stated_baseline(fit, baseline_risk)
    name = "risk ratio" if selected == RISK_RATIO else "risk difference"
    return selected, f"{name} at a baseline risk of {100 * baseline:g}%", baseline


def _on_scale(
    effects: xr.DataArray,
    difference: xr.DataArray,
    scale: Scale,
    baseline: float | None,
    link: Link,
) -> xr.DataArray:
    if scale == DIFFERENCE:
        return difference
    if scale == CORRELATION:
        return xr.apply_ufunc(np.tanh, difference)
    if scale in (RATIO, ODDS_RATIO) or baseline is None:
        return xr.apply_ufunc(np.exp, difference)
    risk = absolute_risk(effects, baseline, link)
    comparator = risk.rename({AGENT: COMPARATOR})
    compared = risk / comparator if scale == RISK_RATIO else risk - comparator
    return compared.transpose(AGENT, COMPARATOR, *SAMPLE)


def league_frame(league: xr.Dataset) -> pd.DataFrame:
    """Convert a league table to rows, each pair once.

    Parameters
    ----------
    league
        As `league_table` returns it.

    Returns
    -------
    pd.DataFrame
        ``agent, comparator`` (labels), ``doses``, ``median, lower, upper``, ``p_better`` if known,
        ``trials``, ``evidence`` and ``remark``; attributes as the table's.
    """
    labels = [str(x) for x in league["label"].to_numpy()]
    numbers = [k for k in ("median", "lower", "upper", "p_better") if k in league]
    doses = league["dose_text"].to_numpy() if "dose_text" in league.coords else [""] * len(labels)
    rows = []
    for i, agent in enumerate(labels):
        for j, comparator in enumerate(labels[:i]):
            cell = league.isel({AGENT: i, COMPARATOR: j})
            evidence = str(cell["evidence"].item())
            remarks = [PRIOR_ONLY] if evidence == PRIOR_ONLY else []
            remarks += [EXTRAPOLATED] if bool(cell["extrapolated"]) else []
            remarks += [_untested(league, (i, j))] if _untested(league, (i, j)) else []
            rows.append(
                {
                    "agent": agent,
                    "comparator": comparator,
                    "doses": " vs ".join(str(doses[k]) or "no dose" for k in (i, j)),
                    **{k: float(cell[k]) for k in numbers},
                    "trials": int(cell["trials"]),
                    "evidence": evidence,
                    "remark": "; ".join(remarks),
                }
            )
    frame = pd.DataFrame(rows)
    frame.attrs = dict(league.attrs)
    return frame


def _untested(league: xr.Dataset, pair: tuple[int, int]) -> str:
    """Name the agents of a pair whose dose no trial had."""
    if "tested" not in league.coords:
        return ""
    tested, above = league["tested"].to_numpy(), league["extrapolated"].to_numpy().diagonal()
    names = [str(league["label"].to_numpy()[k]) for k in pair if not (tested[k] or above[k])]
    return f"not a tested dose: {' and '.join(names)}" if names else ""


# Ranks.

RANK = "rank"
#: Coordinates of effects that ranks keep.
RANKED = ("dose", "dose_text", "label", "extrapolated", "tested")
CAUTION = (
    "Ranks do not show how far apart agents are: differences may be too small to matter, and an"
    " imprecisely estimated agent can rank both first and last."
)


def rank_agents(
    fit: xr.DataTree,
    outcome: str,
    dose: CommonDose = None,
    condition: str | None = None,
    better: Literal["lower", "higher"] | None = None,
) -> xr.Dataset:
    """Rank the agents and the reference at one dose, in each posterior draw.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.
    dose
        A number on the exposure axis for all agents, or a mapping from agent to number; by default
        1 if the exposure is relative to a reference.
    condition
        May be omitted if the model gives all conditions the same effects.
    better
        Direction that is better; the spec's by default.

    Returns
    -------
    xr.Dataset
        Over agent, with the reference: ``p_rank`` and ``cumulative`` (with rank; 1 is best),
        ``sucra``, the surface under the cumulative ranking curve [1]_, ``mean_rank`` with its
        ``lower`` and ``upper``, and ``evidence`` vs the reference. Attribute ``caution`` counts the
        pairs whose interval includes no difference.

    Raises
    ------
    SpecError
        If the better direction is unknown (E821), all agents share one curve (E822), or dose or
        condition is missing (E806, E807).

    References
    ----------
    .. [1] Salanti G, Ades AE, Ioannidis JPA. J Clin Epidemiol 2011; 64:163-71.

    Examples
    --------
    >>> ranking = nb.rank_agents(fit, "analgesia", dose=1.0, condition="crps")
    >>> ranking["p_rank"].dims
    ('agent', 'rank')
    >>> float(ranking["p_rank"].sum("rank").round(6).min())
    1.0
    """
    spec = spec_of(fit)
    direction = better or spec.outcomes[outcome].better
    effects = effects_at_dose(fit, outcome, dose, condition)
    if direction not in ("lower", "higher"):
        hint = 'Pass better = "lower" or "higher", or set it in the spec.'
        message = f"the better direction of outcome '{outcome}' is unknown"
        raise spec_error("E821", message, hint, f"outcomes.{outcome}.better")
    if not differs_by_agent(fit, outcome):
        hint = "Compare doses, or give agents separate curves."
        raise spec_error("E822", "all agents share one curve and cannot be ranked", hint)
    league = league_table(fit, outcome, dose, condition, "difference")
    values = effects.reset_coords(drop=True)
    badness = -values if direction == "higher" else values
    rank = 1 + (badness.rename({AGENT: COMPARATOR}) < badness).sum(COMPARATOR)
    levels = np.arange(1, values.sizes[AGENT] + 1)
    p_rank = (rank == xr.DataArray(levels, dims=RANK, coords={RANK: levels})).mean(SAMPLE)
    cumulative = p_rank.cumsum(RANK).assign_coords({RANK: levels})
    interval = credible_interval(rank.astype(float))
    ranking = xr.Dataset(
        {
            "p_rank": p_rank,
            "cumulative": cumulative,
            "sucra": cumulative.isel({RANK: slice(None, -1)}).mean(RANK),
            "mean_rank": rank.mean(SAMPLE),
            "lower": interval["lower"],
            "upper": interval["upper"],
            "evidence": league["evidence"].sel({COMPARATOR: spec.reference}, drop=True),
        }
    )
    ranking = ranking.assign_coords({k: effects[k] for k in RANKED})
    ranking = ranking.drop_vars(COMPARATOR, errors="ignore")
    ranking.attrs = {**league.attrs, "better": direction, "caution": _caution(league, ranking)}
    return ranking


def _caution(league: xr.Dataset, ranking: xr.Dataset) -> str:
    """Count the pairs of which ranks show a difference that the data do not."""
    pairs = np.tril_indices(league.sizes[AGENT], k=-1)
    unclear = ((league["lower"] <= 0) & (league["upper"] >= 0)).to_numpy()[pairs]
    text = (
        f"{CAUTION} Of {len(unclear)} pairs, {int(unclear.sum())} have a difference whose"
        f" {INTERVAL_LEVEL:.0%} CrI includes 0."
    )
    not_connected = ranking["evidence"].isin(NOT_CONNECTED).to_numpy()
    names = ", ".join(str(label) for label in ranking["label"].to_numpy()[not_connected])
    if names:
        text += (
            f" No trials connect {names} with {league.attrs['reference']}: those ranks rest on"
            " assumptions or the prior."
        )
    return text


# Consistency of direct and indirect evidence.

Pair = tuple[str, str]
COMPARISON, SOURCE = "comparison", "source"
#: Evidence behind an effect: the trials of the pair, the other trials, or all of them.
SOURCES = ("direct", "indirect", "consistency model")
NO_PATH = "no other trials connect the two"


def unrelated_means(spec: AnalysisSpec, outcome: str | None = None) -> AnalysisSpec:
    """Derive the model of unrelated mean effects: one effect per directly compared pair.

    It drops the assumption of consistency [1]_.

    Parameters
    ----------
    spec
        The analysis, under consistency.
    outcome
        One of its outcomes; may be omitted if there is one.

    Returns
    -------
    AnalysisSpec
        With that outcome only and ``effects = "unrelated"``. Compare its fit with the consistent
        one by `deviance_table`: a better fit without consistency is a warning.

    References
    ----------
    .. [1] Dias S et al. 2013, doi:10.1177/0272989X12455847; NICE DSU TSD 4.
    """
    # Over a dose, a comparator may be connected to the network by these comparisons only.
    more = {"disconnected": "allow"}
    return _single_outcome(spec, outcome, {"effects": "unrelated", "split": None}, more)


def node_split_candidates(
    spec: AnalysisSpec, evidence: xr.DataTree, outcome: str | None = None
) -> pd.DataFrame:
    """List the comparisons with direct evidence, and whether they can be split.

    A comparison can be split if trials that do not contain both agents still connect them (van
    Valkenhoef et al. 2016, doi:10.1002/jrsm.1167).
    """
    consistent = _single_outcome(spec, outcome, {"effects": "consistent", "split": None})
    (name,) = consistent.outcomes
    design = build_design(consistent, evidence)[f"{OUTCOMES}/{name}"].to_dataset()
    arms = design[["study", "agent", "exposure"]].to_dataframe()
    nodes = _nodes_by_study(arms.assign(node=arm_nodes(arms, spec.reference)))
    agents = sorted(set().union(*nodes.values()), key=lambda a: (a == spec.reference, a))
    rows = []
    for pair in combinations(agents, 2):
        direct = [study for study, members in nodes.items() if set(pair) <= members]
        rest = [(s, node) for s, members in nodes.items() if s not in direct for node in members]
        if direct:
            can_split = _is_connected(rest, set(pair))
            rows.append((*pair, len(direct), can_split, "" if can_split else NO_PATH))
    return pd.DataFrame(rows, columns=["agent", "comparator", "direct_trials", "can_split", "why"])


def with_node_split(
    spec: AnalysisSpec, evidence: xr.DataTree, comparison: Pair, outcome: str | None = None
) -> AnalysisSpec:
    """Derive the spec in which the direct trials of a comparison inform a separate agent."""
    listed = node_split_candidates(spec, evidence, outcome)
    agent, comparator = _reference_last(comparison, spec.reference)
    can_split = {
        VERSUS_SEPARATOR.join(sorted(pair)): ok
        for *pair, _, ok, _ in listed.itertuples(index=False)
    }
    comparison_label = VERSUS_SEPARATOR.join(sorted(comparison))
    if not can_split.get(comparison_label):
        reason = NO_PATH if comparison_label in can_split else "no trial compares the two"
        possible = [label for label, ok in can_split.items() if ok]
        message = f"{agent}{VERSUS_SEPARATOR}{comparator} cannot be split: {reason}"
        hint = f"Comparisons that can be split: {', '.join(possible) or 'none'}."
        raise spec_error("E823", message, hint, "split")
    return _single_outcome(spec, outcome, {"effects": "consistent", "split": (agent, comparator)})


def _reference_last(pair: Pair, reference: str) -> Pair:
    return (pair[1], pair[0]) if pair[0] == reference else pair


def _single_outcome(
    spec: AnalysisSpec,
    outcome: str | None,
    changes: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> AnalysisSpec:
    """Keep one outcome of a spec, changed."""
    if outcome is None and not spec.single_outcome:
        hint = f"Pass outcome=..., one of: {', '.join(spec.outcomes)}."
        raise spec_error("E824", "the spec has several outcomes", hint, "outcome")
    name = outcome or next(iter(spec.outcomes))
    if name not in spec.outcomes:
        raise SpecError([unknown_label("outcome", name, list(spec.outcomes))])
    content = spec.model_dump()
    content["outcomes"] = {name: {**content["outcomes"][name], **changes}}
    content |= {"window": None, "correlations": {}, **(more or {})}
    crossover = content["designs"]["crossover"]
    if crossover is not None:
        crossover["as_parallel"] = [key for key in crossover["as_parallel"] if key == name]
    return AnalysisSpec.from_dict(content)


def inconsistency(
    fit: xr.DataTree, dose: CommonDose = None, condition: str | None = None
) -> xr.Dataset:
    """Compare direct and indirect evidence on a split comparison at one dose.

    Parameters
    ----------
    fit
        Fit of a spec that `with_node_split` returned.
    dose
        A number on the exposure axis for both agents, or a mapping from agent to number.
    condition
        May be omitted if the model gives all conditions the same effects.

    Returns
    -------
    xr.Dataset
        ``direct``, ``indirect`` and their ``difference`` on the linear predictor, dims chain and
        draw; ``p_value``, twice the smaller posterior tail of the difference beyond 0 [1]_.

    Raises
    ------
    SpecError
        If the fit's spec splits no comparison (E825).

    References
    ----------
    .. [1] Marshall EC, Spiegelhalter DJ. Bayesian Analysis 2007; 2:409-44.
    """
    spec = spec_of(fit)
    splits = [(name, part.split) for name, part in spec.outcomes.items() if part.split]
    if not splits:
        hint = "Fit the spec that with_node_split(spec, evidence, comparison) returns."
        raise spec_error("E825", "the fit splits no comparison", hint)
    (name, split), *_ = splits
    agent, comparator = _reference_last(split, spec.reference)
    direct_agent = agent + DIRECT_SUFFIX
    if isinstance(dose, Mapping):
        dose = {**dose, direct_agent: dose[agent]} if agent in dose else dose
        dose = {a: x for a, x in dose.items() if a != spec.reference}
    effects = effects_at_dose(fit, name, dose, condition)
    by_agent = {
        a: effects.sel({AGENT: a}, drop=True).reset_coords(drop=True)
        for a in (direct_agent, agent, comparator)
    }
    direct, indirect = (by_agent[a] - by_agent[comparator] for a in (direct_agent, agent))
    difference = direct - indirect
    tail = min(float((difference > 0).mean()), float((difference < 0).mean()))
    return xr.Dataset(
        {
            "direct": direct,
            "indirect": indirect,
            "difference": difference,
            "p_value": min(2 * tail, 1.0),
        },
        attrs={
            **effects.attrs,
            "comparison": f"{agent}{VERSUS_SEPARATOR}{comparator}",
            "outcome": name,
        },
    )


def compare_direct_indirect(
    spec: AnalysisSpec,
    evidence: xr.DataTree,
    dose: CommonDose = None,
    condition: str | None = None,
    outcome: str | None = None,
) -> xr.Dataset:
    """Split every comparison that can be split, and compare direct with indirect evidence.

    Runs one fit per comparison, and one of the consistency model.

    Parameters
    ----------
    spec
        The analysis, under consistency.
    evidence
        As `load_evidence` returns it.
    dose
        A number on the exposure axis for all agents, or a mapping from agent to number; by default
        1 if the exposure is relative to a reference.
    condition
        May be omitted if the model gives all conditions the same effects.
    outcome
        One of the spec's outcomes; may be omitted if there is one.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median``, ``upper`` (comparison, source) by source ``direct``, ``indirect``
        and ``consistency model``, on the linear predictor; over comparison the difference between
        direct and indirect (``difference_lower``, ``difference_median``, ``difference_upper``),
        ``p_value`` and ``direct_trials``.

    Raises
    ------
    SpecError
        If no comparison has both direct and indirect evidence (E826).

    Examples
    --------
    >>> nb.compare_direct_indirect(spec, evidence, outcome="psychotomimetic")
    Traceback (most recent call last):
        ...
    nmda_bayes.errors.SpecError: E826 ...
    """
    listed = node_split_candidates(spec, evidence, outcome)
    candidates = listed[listed["can_split"]]
    if candidates.empty:
        hint = "The network has no loop, so that consistency cannot be tested."
        raise spec_error("E826", "no comparison has both direct and indirect evidence", hint)
    consistent = _single_outcome(spec, outcome, {"effects": "consistent", "split": None})
    (name,) = consistent.outcomes
    effects = effects_at_dose(inference.fit(consistent, evidence), name, dose, condition)
    rows = {}
    for agent, comparator, trials, *_ in candidates.itertuples(index=False):
        split = with_node_split(spec, evidence, (str(agent), str(comparator)), name)
        result = inconsistency(inference.fit(split, evidence), dose, condition)
        pooled = effects.sel({AGENT: agent}) - effects.sel({AGENT: comparator})
        draws = [result["direct"], result["indirect"], pooled.reset_coords(drop=True)]
        intervals = [credible_interval(values) for values in draws]
        row = xr.concat(intervals, dim=xr.Variable(SOURCE, list(SOURCES)), combine_attrs="drop")
        for end, value in credible_interval(result["difference"]).items():
            row[f"difference_{end}"] = value
        row["p_value"], row["direct_trials"] = result["p_value"], int(trials)
        rows[f"{agent}{VERSUS_SEPARATOR}{comparator}"] = row
    comparisons = xr.Variable(COMPARISON, list(rows))
    joined = xr.concat(list(rows.values()), dim=comparisons, combine_attrs="drop")
    part = consistent.outcomes[name]
    scale = link_of(consistent, name).effect or part.unit or "difference"
    return joined.assign_attrs({**effects.attrs, "title": part.label or name, "scale_text": scale})
