"""What stands behind a comparison: trials, a path of trials, an assumption, or the prior.

Two agents are tied directly where a trial holds both, and indirectly where the other trials connect
them (van Valkenhoef et al. 2016). Without either a number can still be had, and then rests on an
assumption, which is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design.splitting import nodes
from nmda_bayes.dims import AGENT
from nmda_bayes.estimands.reading import design_of, spec_of
from nmda_bayes.evidence import connected_parts
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import BASELINE

COMPARATOR = "comparator"
DIRECT, INDIRECT, BOTH = "direct", "indirect", "direct and indirect"
#: No trial connects the two: what a number then rests on.
BY_CURVE, BY_BASELINES, PRIOR_ONLY = "curve's shape", "shared baselines", "prior only"
UNTIED = (BY_CURVE, BY_BASELINES, PRIOR_ONLY)
MEANINGS = {
    BY_CURVE: "trials compare doses of an agent with each other, and the curve leads from these"
    " to the effect at dose 0",
    BY_BASELINES: "the arms are compared across trials, whose baselines are taken to be alike",
    PRIOR_ONLY: "no trial connects the two: the prior, and whatever agents share by pooling",
}


def memberships(fit: xr.DataTree, outcome: str, condition: str | None = None) -> pd.DataFrame:
    """List which nodes each trial of an outcome holds.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    condition
        Trials in this condition alone; all if None.

    Returns
    -------
    pd.DataFrame
        ``study, node, exposure``, one row an arm; dose 0 is the reference.
    """
    design = design_of(fit, outcome)
    columns = ["study", "agent", "condition", "exposure"]
    arms = pd.DataFrame({c: design[c].to_numpy() for c in columns})
    if condition is not None:
        arms = arms[arms["condition"] == condition]
    arms = arms.assign(node=nodes(arms, spec_of(fit).reference))
    return arms[["study", "node", "exposure"]].reset_index(drop=True)


def shares_baselines(spec: AnalysisSpec, outcome: str) -> bool:
    """Say whether an outcome's trials are taken to have baselines that are alike.

    Parameters
    ----------
    spec
        The analysis.
    outcome
        One of its outcomes.

    Returns
    -------
    bool
        False where each trial has a baseline of its own, or none is needed.
    """
    given = spec.outcomes[outcome].parameters.get(BASELINE)
    return given is not None and given.pooling != "independent"


def evidence_between(
    arms: pd.DataFrame, agents: Sequence[str], reference: str, *, baselines_shared: bool
) -> xr.Dataset:
    """Say what stands behind the comparison of each agent with each other.

    Parameters
    ----------
    arms
        As `memberships` gives them.
    agents
        What is compared, the reference included.
    reference
        The agent at dose 0.
    baselines_shared
        Whether baselines are pooled over trials.

    Returns
    -------
    xr.Dataset
        ``evidence`` (`DIRECT`, `INDIRECT`, `BOTH`, `BY_CURVE`, `BY_BASELINES`, `PRIOR_ONLY`; empty
        on the diagonal) and ``trials`` of the two, dims agent and comparator.
    """
    held = {str(s): set(one) for s, one in arms.groupby("study")["node"]}
    bent = {(study, reference) for study, _ in _dose_comparisons(arms)}
    size = len(agents)
    evidence, trials = np.full((size, size), "", dtype=object), np.zeros((size, size), dtype=int)
    for i, one in enumerate(agents):
        for j, other in enumerate(agents[:i]):
            both = {study for study, members in held.items() if {one, other} <= members}
            pairs = [(study, node) for study, members in held.items() for node in members]
            rest = [(study, node) for study, node in pairs if study not in both]
            kind = {(1, 1): BOTH, (1, 0): DIRECT, (0, 1): INDIRECT}.get(
                (int(bool(both)), int(_tied(rest, one, other))), ""
            )
            known = {one, other} <= {node for _, node in pairs}
            if not kind:
                bridged = _tied([*pairs, *bent], one, other)
                kind = BY_CURVE if bridged else BY_BASELINES if known and baselines_shared else ""
            evidence[i, j] = evidence[j, i] = kind or PRIOR_ONLY
            trials[i, j] = trials[j, i] = len(both)
    found = {"evidence": ((AGENT, COMPARATOR), evidence), "trials": ((AGENT, COMPARATOR), trials)}
    return xr.Dataset(found, coords={AGENT: list(agents), COMPARATOR: list(agents)})


def _dose_comparisons(arms: pd.DataFrame) -> set[tuple[str, str]]:
    """Pairs of trial and agent where the trial compares doses of the agent with each other."""
    doses = arms.drop_duplicates(["study", "node", "exposure"])
    several = doses[doses.duplicated(["study", "node"])]
    return {(str(s), str(n)) for s, n in zip(several["study"], several["node"], strict=True)}


def _tied(pairs: Sequence[tuple[str, str]], one: str, other: str) -> bool:
    return any({one, other} <= part for part in connected_parts(pairs))


def network_parts(fit: xr.DataTree, outcome: str) -> pd.DataFrame:
    """Say what an outcome's trials identify, part by part, and what the rest assumes.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    pd.DataFrame
        ``part`` (1 holds the reference, if any does), ``agents`` (a tuple), ``trials``,
        ``identified`` and ``assumption``, in words; one row a part that no trial connects with
        another, and a last one for agents without any trial of this outcome.
    """
    spec, arms = spec_of(fit), memberships(fit, outcome)
    reference, shared = spec.reference, shares_baselines(spec, outcome)
    parts = connected_parts(zip(arms["study"], arms["node"], strict=True))
    parts.sort(key=lambda part: reference not in part)
    bent = {node for _, node in _dose_comparisons(arms)}
    rows = []
    for number, part in enumerate(parts, start=1):
        members = tuple(sorted(str(node) for node in part if node != reference))
        count = arms.loc[arms["node"].isin(part), "study"].nunique()
        if reference in part:
            said, assumed = f"each against {reference} and against each other", ""
            members = (reference, *members)
        else:
            said = (
                "differences between these agents"
                if len(members) > 1
                else "differences between doses"
                if bent & set(members)
                else "nothing but the level of its arms"
            )
            assumed = _assumption(bool(bent & set(members)), shared, reference)
        rows.append((number, members, count, said, assumed))
    labels = [str(a) for a in fit["design/labels"][AGENT].to_numpy()]
    absent = tuple(a for a in labels if a not in set(arms["node"]))
    if absent:
        words = f"everything: {MEANINGS[PRIOR_ONLY].split(': ')[1]}"
        rows.append((len(parts) + 1, absent, 0, "nothing", words))
    return pd.DataFrame(rows, columns=["part", "agents", "trials", "identified", "assumption"])


def _assumption(bent: bool, shared: bool, reference: str) -> str:
    """What a number against the reference rests on, in a part that does not hold it."""
    if shared:
        return (
            f"against {reference}: {MEANINGS[BY_BASELINES]}, and differences between trials in"
            " anything but the agents are taken to be random"
        )
    if bent:
        return f"against {reference}: {MEANINGS[BY_CURVE]}"
    return f"against {reference}: {MEANINGS[PRIOR_ONLY].split(': ')[1]}"
