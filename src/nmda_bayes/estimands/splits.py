"""Consistency under test: unrelated effects, and direct against indirect evidence (node-splitting).

A split is a spec: the trials that compare two agents directly inform an agent of their own, with
its own curve and the same priors. The difference between that agent and the one that the rest of
the network informs, at a named dose, is the inconsistency. The prior of the difference is that of
two agents' effects: where agents are pooled it draws the two together, and so hides some of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.design.splitting import DIRECT, VERSUS, nodes
from nmda_bayes.dims import AGENT
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.estimands.named_dose import NamedDose, effects_at
from nmda_bayes.estimands.reading import link_of, spec_of
from nmda_bayes.evidence import connected_parts
from nmda_bayes.intervals import interval
from nmda_bayes.spec import AnalysisSpec

Pair = tuple[str, str]
COMPARISON, SOURCE = "comparison", "source"
#: What an effect rests on: the trials of the pair, the other trials, or all under consistency.
SOURCES = ("direct", "indirect", "all, consistent")
NO_PATH = "no other trials connect the two"


def unrelated_means(spec: AnalysisSpec, outcome: str | None = None) -> AnalysisSpec:
    """Write the model of unrelated mean effects: each pair compared directly has its own effect.

    Parameters
    ----------
    spec
        The analysis, under consistency.
    outcome
        One of its outcomes; may be left out where there is one.

    Returns
    -------
    AnalysisSpec
        With that outcome alone, ``effects = "unrelated"``. Set its fit beside the consistent one by
        `deviance_table`: a model that fits better without consistency is a warning.

    References
    ----------
    Dias et al. 2013, doi:10.1177/0272989X12455847; NICE TSD 4.
    """
    # Over a dose a comparator may hang on its comparisons alone, with nothing else to place it.
    loose = {"disconnected": "allow"}
    return _alone(spec, outcome, {"effects": "unrelated", "split": None}, loose)


def node_splits(
    spec: AnalysisSpec, evidence: xr.DataTree, outcome: str | None = None
) -> pd.DataFrame:
    """List the comparisons with direct evidence, and whether there is indirect to set against it.

    A comparison can be split where the trials that do not hold both agents still connect them (van
    Valkenhoef et al. 2016, doi:10.1002/jrsm.1167).

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    outcome
        One of its outcomes; may be left out where there is one.

    Returns
    -------
    pd.DataFrame
        ``agent, comparator, direct_trials, can_split, why``; the reference is always the
        comparator.
    """
    one = _alone(spec, outcome, {"effects": "consistent", "split": None})
    (name,) = one.outcomes
    design = build_design(one, evidence)[f"{OUTCOMES}/{name}"].to_dataset()
    arms = pd.DataFrame({c: design[c].to_numpy() for c in ("study", "agent", "exposure")})
    node = nodes(arms, one.reference)
    held = {str(study): set(members) for study, members in node.groupby(arms["study"])}
    rows = []
    everyone = sorted(set(node), key=lambda agent: (agent == one.reference, agent))
    for pair in combinations(everyone, 2):
        direct = [study for study, members in held.items() if set(pair) <= members]
        if not direct:
            continue
        rest = [(s, member) for s, members in held.items() if s not in direct for member in members]
        tied = any(set(pair) <= part for part in connected_parts(rest))
        rows.append((*pair, len(direct), tied, "" if tied else NO_PATH))
    return pd.DataFrame(rows, columns=["agent", "comparator", "direct_trials", "can_split", "why"])


def split(
    spec: AnalysisSpec, evidence: xr.DataTree, comparison: Pair, outcome: str | None = None
) -> AnalysisSpec:
    """Set the direct trials of a comparison apart from the rest of the network.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    comparison
        Two agents, one of which may be the reference; the first has its curve split.
    outcome
        One of its outcomes; may be left out where there is one.

    Returns
    -------
    AnalysisSpec
        With that outcome alone, ``split = [...]``; `inconsistency` reads its fit.

    Raises
    ------
    SpecError
        If there is no direct or no indirect evidence of the comparison.
    """
    listed = node_splits(spec, evidence, outcome)
    agent, comparator = comparison[::-1] if comparison[0] == spec.reference else comparison
    known = zip(listed["agent"], listed["comparator"], strict=True)
    mine = listed[[{agent, comparator} == set(pair) for pair in known]]
    if mine.empty or not mine["can_split"].all():
        able = listed[listed["can_split"]]
        words = [f"{a}{VERSUS}{c}" for a, c in zip(able["agent"], able["comparator"], strict=True)]
        why = "no trial compares the two" if mine.empty else NO_PATH
        raise SpecError(
            [
                Fault(
                    f"{agent}{VERSUS}{comparator} cannot be split: {why}",
                    f"There can be: {', '.join(words) or 'none'}.",
                    column="split",
                )
            ]
        )
    return _alone(spec, outcome, {"effects": "consistent", "split": (agent, comparator)})


def _alone(
    spec: AnalysisSpec,
    outcome: str | None,
    changes: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> AnalysisSpec:
    """Keep one outcome of a spec, changed."""
    if outcome is None and not spec.alone:
        mend = f"Pass outcome=..., one of: {', '.join(spec.outcomes)}."
        raise SpecError([Fault("the spec has several outcomes: name one", mend)])
    name = outcome or next(iter(spec.outcomes))
    if name not in spec.outcomes:
        mend = nearest(name, list(spec.outcomes))
        raise SpecError([Fault(f"the spec has no outcome '{name}'", mend)])
    content = spec.model_dump()
    content["outcomes"] = {name: {**content["outcomes"][name], **changes}}
    content |= {"window": None, "correlations": {}, **(more or {})}
    crossover = content["designs"]["crossover"]
    if crossover is not None:
        crossover["as_parallel"] = [one for one in crossover["as_parallel"] if one == name]
    return AnalysisSpec.from_dict(content)


def inconsistency(
    fit: xr.DataTree, dose: NamedDose = None, condition: str | None = None
) -> xr.Dataset:
    """Set the direct evidence of a split comparison against the indirect, at a named dose.

    Parameters
    ----------
    fit
        The fit of a spec that `split` made.
    dose
        A number on the exposure axis, or a mapping from each of the two agents to its own.
    condition
        May be left out where the model gives all conditions one effect.

    Returns
    -------
    xr.Dataset
        ``direct``, ``indirect`` and their ``difference`` on the scale of the linear predictor, dims
        chain and draw; ``p_value``, twice the smaller posterior tail of the difference beyond 0
        (Marshall and Spiegelhalter 2007).

    Raises
    ------
    SpecError
        If the fit's spec splits nothing.
    """
    spec = spec_of(fit)
    (name,) = (n for n, part in spec.outcomes.items() if part.split) if spec.alone else ("",)
    pair = spec.outcomes[name].split if name else None
    if pair is None:
        mend = "Fit the spec that split(spec, evidence, comparison) gives."
        raise SpecError([Fault("the fit splits no comparison", mend)])
    agent, comparator = pair[::-1] if pair[0] == spec.reference else pair
    if isinstance(dose, Mapping):
        dose = {**dose, agent + DIRECT: dose[agent]} if agent in dose else dose
        dose = {a: x for a, x in dose.items() if a != spec.reference}
    effects = effects_at(fit, name, dose, condition)
    sides = {a: effects.sel({AGENT: a}, drop=True).reset_coords(drop=True)
             for a in (agent + DIRECT, agent, comparator)}  # fmt: skip
    direct, indirect = (sides[a] - sides[comparator] for a in (agent + DIRECT, agent))
    difference = direct - indirect
    tail = min(float((difference > 0).mean()), float((difference < 0).mean()))
    found = xr.Dataset({"direct": direct, "indirect": indirect, "difference": difference})
    found["p_value"] = min(2 * tail, 1.0)
    found.attrs = {**effects.attrs, "comparison": f"{agent}{VERSUS}{comparator}", "outcome": name}
    return found


def node_splitting(
    spec: AnalysisSpec,
    evidence: xr.DataTree,
    dose: NamedDose = None,
    condition: str | None = None,
    outcome: str | None = None,
) -> xr.Dataset:
    """Split every comparison that can be split, one fit each, and the consistent model once.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    dose
        As `inconsistency` takes it; a mapping names every agent.
    condition
        May be left out where the model gives all conditions one effect.
    outcome
        One of its outcomes; may be left out where there is one.

    Returns
    -------
    xr.Dataset
        Dim comparison: ``lower``, ``median``, ``upper`` by `SOURCE` (direct, indirect, all), those
        of the difference as ``difference_lower`` ..., ``p_value`` and ``direct_trials``.

    Raises
    ------
    SpecError
        If no comparison can be split.
    """
    listed = node_splits(spec, evidence, outcome)
    able = listed[listed["can_split"]]
    if able.empty:
        mend = "There is no loop of trials: consistency is assumed and cannot be tested."
        raise SpecError([Fault("no comparison has both direct and indirect evidence", mend)])
    whole = _alone(spec, outcome, {"effects": "consistent", "split": None})
    (name,) = whole.outcomes
    consistent = inference.fit(whole, evidence)
    together = effects_at(consistent, name, dose, condition)
    rows = []
    for agent, comparator, trials in able[["agent", "comparator", "direct_trials"]].itertuples(
        index=False
    ):
        pair = (str(agent), str(comparator))
        apart = inference.fit(split(spec, evidence, pair, name), evidence)
        found = inconsistency(apart, dose, condition)
        every = together.sel({AGENT: pair[0]}) - together.sel({AGENT: pair[1]})
        of = [found["direct"], found["indirect"], every.reset_coords(drop=True)]
        ends = [interval(one) for one in of]
        row = xr.concat(ends, dim=xr.Variable(SOURCE, list(SOURCES)), combine_attrs="drop")
        for part, value in interval(found["difference"]).items():
            row[f"difference_{part}"] = value
        row["p_value"], row["direct_trials"] = found["p_value"], int(trials)
        rows.append(row)
    labels = [f"{a}{VERSUS}{c}" for a, c in zip(able["agent"], able["comparator"], strict=True)]
    joined = xr.concat(rows, dim=xr.Variable(COMPARISON, labels), combine_attrs="drop")
    part = whole.outcomes[name]
    scale = link_of(whole, name).effect or part.unit or "difference"
    joined.attrs = {**together.attrs, "title": part.label or name, "scale_text": scale}
    return joined
