"""The design: the rows of the evidence that a spec sees, one for each arm and outcome.

Choosing is the part of a synthesis where two analysts differ most, so every choice is a key of the
spec and every row that does not enter is listed with its reason. Nothing is imputed here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design.bias_columns import add_bias_columns
from nmda_bayes.design.choice_faults import (
    agent_faults,
    class_faults,
    crossover_faults,
    outcome_faults,
    select_faults,
)
from nmda_bayes.design.choose import Chosen, Tables, choose
from nmda_bayes.design.error_correlation import add_error_correlation
from nmda_bayes.design.kinetics_faults import kinetics_faults
from nmda_bayes.design.named_models import KINETICS, kinetics_of, kinetics_tables
from nmda_bayes.design.own_curves import curve_faults
from nmda_bayes.design.readings import whole_arms
from nmda_bayes.design.splitting import original_agent, relabelled, split_faults
from nmda_bayes.design.study_columns import column_faults
from nmda_bayes.errors import EvidenceError, Fault, SpecError
from nmda_bayes.evidence import table
from nmda_bayes.evidence.judgements import JUDGEMENT, NOT_JUDGED, worst_judgements
from nmda_bayes.evidence.tree import hours_after_treatment
from nmda_bayes.spec import AnalysisSpec

#: Groups of the design; outcomes stand below their own, by name.
ARMS, LABELS, OUTCOMES, LEFT_OUT = "arms", "labels", "outcomes", "left_out"

#: What says when an arm's treatment ends.
ENDS = ("n_administrations", "treatment_days", "infusion_hours")


def build_design(spec: AnalysisSpec, evidence: xr.DataTree) -> xr.DataTree:
    """Choose the arms and results that enter an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.

    Returns
    -------
    xr.DataTree
        ``arms`` (dim arm: study, agent, condition, route, regimen), ``labels`` (dims agent,
        condition: every agent and condition of the model, and its printed name),
        ``outcomes/<name>`` (dim arm, and dim contrast where the likelihood is of contrasts: what
        is observed and at which exposure) and ``left_out`` (dim row: study, arm, outcome, reason).

    Raises
    ------
    SpecError
        If ``select`` or ``exclude`` names a column or value that the evidence does not have.
    EvidenceError
        If nothing is left for an outcome, or what is left cannot identify it.
    """
    selected, faults = _select(spec, evidence)
    faults = faults or list(kinetics_faults(spec, selected))
    if faults:
        raise SpecError(faults)
    chosen = {name: choose(name, spec, selected) for name in spec.outcomes}
    unsaid = [f for name, one in chosen.items() for f in crossover_faults(name, one.arms, spec)]
    for name, one in chosen.items():
        unsaid += split_faults(name, one.arms, spec.outcomes[name], spec.reference)
    if unsaid:
        raise SpecError(unsaid)
    for name, one in chosen.items():
        one.arms = relabelled(one.arms, spec.outcomes[name], spec.reference)
    faults = [f for name, one in chosen.items() for f in outcome_faults(name, one, spec, evidence)]
    if faults:
        raise EvidenceError(faults)
    add_bias_columns(chosen, spec, selected, evidence)
    unclassed = [*class_faults(spec, chosen), *add_error_correlation(chosen, spec, selected)]
    if unclassed:
        raise SpecError(unclassed)
    return _as_tree(chosen, spec, evidence, selected)


def _select(
    spec: AnalysisSpec, evidence: xr.DataTree
) -> tuple[dict[str, pd.DataFrame], list[Fault]]:
    """Join rows to arm and study, rename agents, keep what ``select`` names, drop ``exclude``."""
    studies, arms = table(evidence, "studies"), table(evidence, "arms")
    arms = arms.assign(agent_given=arms["agent"])
    studies = studies.drop(columns=[c for c in ("notes",) if c in studies])
    judged = worst_judgements(evidence)
    if judged is not None and JUDGEMENT not in studies:
        studies = studies.assign(**{JUDGEMENT: studies["study"].map(judged).fillna(NOT_JUDGED)})
    joined = arms.merge(studies, on="study", suffixes=("", "_study"), validate="many_to_one")
    results = table(evidence, "results").merge(joined, on=["study", "arm"], suffixes=("", "_arm"))
    results = results.assign(same_people=_same_people(results))
    contrasts = table(evidence, "contrasts").merge(studies, on="study", suffixes=("", "_study"))
    contrasts = _timed(contrasts, arms).rename(columns={"measure": "effect"})
    frames = {"results": results, "contrasts": contrasts}
    faults = [*select_faults(spec, frames), *agent_faults(spec, arms, contrasts)]
    faults += curve_faults(spec, {*arms["agent"], *contrasts["agent"], *contrasts["comparator"]})
    for name, outcome in spec.outcomes.items():
        faults += column_faults(f"outcomes.{name}", outcome, frames)
    if not faults:
        for name, frame in frames.items():
            kept = frame
            for column, values in spec.select.items():
                if column in kept:
                    kept = kept[kept[column].astype(str).isin(values)]
            for column, values in spec.exclude.items():
                if column in kept:
                    kept = kept[~kept[column].astype(str).isin(values)]
            for column in {"agent", "comparator"} & set(kept):
                kept = kept.assign(**{column: kept[column].replace(dict(spec.agents))})
            frames[name] = kept.reset_index(drop=True)
    frames |= {"references": table(evidence, "reference_doses"), "arms": arms}
    if spec.pharmacokinetics is not None:
        frames |= kinetics_tables(evidence)
    return frames, faults


def _same_people(results: pd.DataFrame) -> pd.Series:
    """Say of each row whether its people are also in the other arms: a crossover's, all periods."""
    crossover = results["design"] == "crossover"
    return (crossover & (results["period"] != "first")).astype(float)


def _timed(contrasts: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Place contrasts on the clock of their study's treatments, as results are."""
    own = ["study", *ENDS]
    if set(ENDS) <= set(contrasts):  # a flat table: a trial that prints a difference has no arms
        stated = contrasts.loc[~contrasts["study"].isin(arms["study"]), own]
        of_ends = dict.fromkeys(ENDS, float)
        arms = pd.concat([part[own].astype(of_ends) for part in (arms, stated)])
    lasts = arms.groupby("study")[["treatment_days", "infusion_hours"]].max()
    ends = {str(c): contrasts["study"].map(lasts[c]).astype(float) for c in lasts}
    hours = hours_after_treatment(contrasts, arms)
    return contrasts.assign(hours_after_treatment=hours, **ends)


def _as_tree(
    chosen: dict[str, Chosen], spec: AnalysisSpec, evidence: xr.DataTree, selected: Tables
) -> xr.DataTree:
    columns = ["arm", "study", "agent", "condition", "route", "regimen"]
    whole = {name: whole_arms(one.arms) for name, one in chosen.items()}
    everyone = pd.concat([one.arms[columns].assign(arm=whole[n]) for n, one in chosen.items()])
    arms = everyone.drop_duplicates("arm").reset_index(drop=True)
    active = pd.concat([one.arms.loc[one.arms["exposure"] > 0, "agent"] for one in chosen.values()])
    groups = {
        ARMS: _dataset(arms, "arm"),
        LABELS: _printed_names(evidence, agent=active, condition=arms["condition"]),
    }
    if spec.classes:
        agents = groups[LABELS]["agent"].to_numpy()
        named = [spec.classes.get(original_agent(agent), "") for agent in agents]
        classes = np.array(named, dtype=object)
        groups[LABELS] = groups[LABELS].assign(class_of_agent=("agent", classes))
    for name, one in chosen.items():
        position = arms.reset_index().set_index("arm")["index"].loc[whole[name]]
        dataset = _dataset(one.arms.assign(position=position.to_numpy()), "arm")
        if one.contrasts is not None:
            dataset = dataset.merge(_dataset(one.contrasts, "contrast"))
        groups[f"{OUTCOMES}/{name}"] = dataset
    if (kinetics := kinetics_of(spec, selected)) is not None:
        groups[KINETICS] = _dataset(kinetics.used_rows(), "row")
    left_out = pd.concat([one.left_out for one in chosen.values()], ignore_index=True)
    groups[LEFT_OUT] = _dataset(left_out.rename_axis("row").reset_index(), "row")
    return xr.DataTree.from_dict(groups)


def _printed_names(evidence: xr.DataTree, **used: pd.Series) -> xr.Dataset:
    """Print agents and conditions as the vocabulary does, else in the label's own words."""
    words = pd.DataFrame({"kind": [], "term": [], "label": []}, dtype=object)
    if "vocabulary" in evidence.children:
        words = table(evidence, "vocabulary")
    found = {}
    for dim, values in used.items():
        known = words[words["kind"].isin([dim, f"{dim}_group"])].drop_duplicates("term")
        printed = known.set_index("term")["label"].to_dict()
        labels = sorted(set(values))
        names = [printed.get(label) or str(label).replace("_", " ") for label in labels]
        found[f"{dim}_label"] = xr.DataArray(
            np.array(names, dtype=object), {dim: np.array(labels, dtype=object)}, (dim,)
        )
    return xr.Dataset(found)


def _dataset(frame: pd.DataFrame, dim: str) -> xr.Dataset:
    """Hold a table as labelled arrays over one dim, text as plain objects (netCDF keeps those)."""
    plain = {
        column: frame[column].to_numpy(object if frame[column].dtype.kind in "OUT" else None)
        for column in frame
    }
    labels = plain.pop(dim)
    return xr.Dataset({k: (dim, v) for k, v in plain.items()}, coords={dim: labels})
