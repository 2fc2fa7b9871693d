"""The design: the rows of the evidence that a spec sees, one for each arm and outcome.

Choosing is the part of a synthesis where two analysts differ most, so every choice is a key of the
spec and every row that does not enter is listed with its reason. Nothing is imputed here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design.bias_columns import add_bias_columns
from nmda_bayes.design.choose import AS_ARM, Chosen, Tables, choose
from nmda_bayes.design.error_correlation import add_error_correlation
from nmda_bayes.design.kinetics import KINETICS, kinetics_of, kinetics_tables
from nmda_bayes.design.kinetics_faults import kinetics_faults
from nmda_bayes.design.margins import margin_faults
from nmda_bayes.design.own_curves import curve_faults
from nmda_bayes.design.readings import whole_arms
from nmda_bayes.design.splitting import nodes, original_agent, relabelled, split_faults
from nmda_bayes.design.study_columns import column_faults, uneven_faults
from nmda_bayes.errors import EvidenceError, Fault, SpecError, nearest
from nmda_bayes.evidence import connected_parts, table
from nmda_bayes.evidence.judgements import JUDGEMENT, NOT_JUDGED, worst_judgements
from nmda_bayes.evidence.tree import hours_after_treatment
from nmda_bayes.spec import AnalysisSpec, ParameterSpec
from nmda_bayes.spec.mixing_rules import EXAMPLE as CORRELATION_EXAMPLE

#: Groups of the design; outcomes stand below their own, by name.
ARMS, LABELS, OUTCOMES, LEFT_OUT = "arms", "labels", "outcomes", "left_out"


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
    unsaid = [f for name, one in chosen.items() for f in _crossover_faults(name, one.arms, spec)]
    for name, one in chosen.items():
        unsaid += split_faults(name, one.arms, spec.outcomes[name], spec.reference)
    if unsaid:
        raise SpecError(unsaid)
    for name, one in chosen.items():
        one.arms = relabelled(one.arms, spec.outcomes[name], spec.reference)
    faults = [f for name, one in chosen.items() for f in _faults_of(name, one, spec, evidence)]
    if faults:
        raise EvidenceError(faults)
    add_bias_columns(chosen, spec, selected, evidence)
    unclassed = [*_class_faults(spec, chosen), *add_error_correlation(chosen, spec, selected)]
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
    faults = [*_select_faults(spec, frames), *_agent_faults(spec, arms, contrasts)]
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
    lasts = arms.groupby("study")[["treatment_days", "infusion_hours"]].max()
    ends = {str(c): contrasts["study"].map(lasts[c]).astype(float) for c in lasts}
    hours = hours_after_treatment(contrasts, arms)
    return contrasts.assign(hours_after_treatment=hours, **ends)


def _crossover_faults(name: str, arms: pd.DataFrame, spec: AnalysisSpec) -> Iterator[Fault]:
    """Ask how trials enter that put the same people in every arm: nothing is assumed of them."""
    crossover, likelihood = spec.designs.crossover, LIKELIHOODS[spec.outcomes[name].likelihood]
    same = arms.loc[(arms["report"] == AS_ARM) & (arms["same_people"] == 1), "study"].unique()
    if crossover is not None:
        correlated = crossover.within_person_correlation is not None and likelihood.splits_error
        if correlated or name in crossover.as_parallel:
            return
    if not len(same):
        return
    mend = f'periods = "first", or periods = "all" with as_parallel = ["{name}"]'
    if likelihood.splits_error:
        mend += f" or within_person_correlation = {CORRELATION_EXAMPLE}"
    yield Fault(
        f"outcome '{name}': {len(same)} crossover trial(s) put the same people in every arm"
        f" ({', '.join(same[:3])}{', ...' if len(same) > 3 else ''}), and the spec does not say"
        " how they enter",
        f"Write [designs.crossover] with {mend}.",
        column="designs.crossover",
    )


def _select_faults(spec: AnalysisSpec, frames: dict[str, pd.DataFrame]) -> Iterator[Fault]:
    rows = pd.concat(frames.values(), ignore_index=True)
    asked = [("select", *pair) for pair in spec.select.items()]
    asked += [("exclude", *pair) for pair in spec.exclude.items()]
    for key, column, values in asked:
        if column not in rows:
            yield Fault(
                f"the evidence has no column '{column}'",
                nearest(column, [str(c) for c in rows]),
                column=f"{key}.{column}",
            )
            continue
        known = sorted(set(rows[column].dropna().astype(str)) - {""})
        for value in values:
            if value not in known:
                yield Fault(
                    f"no row of the evidence has {column} = '{value}'",
                    nearest(value, known),
                    column=f"{key}.{column}",
                )


def _agent_faults(
    spec: AnalysisSpec, arms: pd.DataFrame, contrasts: pd.DataFrame
) -> Iterator[Fault]:
    known = sorted({*arms["agent"], *contrasts["agent"], *contrasts["comparator"]} - {""})
    for agent in spec.agents:
        if agent not in known:
            yield Fault(
                f"no arm has agent '{agent}'", nearest(agent, known), column=f"agents.{agent}"
            )
    known = sorted({*known, *spec.agents.values()})
    for agent in spec.classes:
        if agent not in known:
            yield Fault(
                f"no arm has agent '{agent}'", nearest(agent, known), column=f"classes.{agent}"
            )
    # Trials of single arms need no reference; but a name that was written is meant.
    written = spec.reference != AnalysisSpec.model_fields["reference"].default
    if written and spec.reference not in known:
        yield Fault(
            f"no arm has the reference agent '{spec.reference}'",
            nearest(spec.reference, known),
            column="reference",
        )


def _faults_of(
    name: str, chosen: Chosen, spec: AnalysisSpec, evidence: xr.DataTree
) -> Iterator[Fault]:
    """Say why an outcome cannot be analysed: nothing left, or not connected."""
    source = str(evidence.attrs.get("source", ""))
    if chosen.arms.empty:
        reasons = chosen.left_out["reason"].value_counts()
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        why = why or "no row has these measures under this selection"
        yield Fault(
            f"no row is left for outcome '{name}' ({why})",
            "Widen measures, select or time, or check the columns that the likelihood needs.",
            file=source,
            column=f"outcomes.{name}",
        )
        return
    if chosen.contrasts is not None:
        yield from _shared_arm_faults(chosen.arms, chosen.contrasts, source)
    outcome = spec.outcomes[name]
    yield from margin_faults(name, outcome, chosen.arms, source)
    yield from uneven_faults(name, outcome, chosen.arms)
    baseline = outcome.parameters.get("baseline")
    shared = baseline is not None and baseline.pooling != "independent"
    if shared or spec.disconnected == "allow":
        return
    node = nodes(chosen.arms, spec.reference)
    parts = connected_parts(zip(chosen.arms["study"], node, strict=True))
    loose = [part for part in parts if spec.reference not in part]
    if loose:
        islands = "; ".join(", ".join(sorted(map(str, part))) for part in loose)
        yield Fault(
            f"outcome '{name}': no trial connects {islands} to the reference '{spec.reference}',"
            " so only differences within each such group are identified",
            f"Name the reference agent of this evidence (reference = ...; now '{spec.reference}'),"
            " select connected agents, pool the baselines,"
            ' or write disconnected = "allow" to rest on the priors.',
            file=source,
            column="agent",
        )


def _shared_arm_faults(arms: pd.DataFrame, contrasts: pd.DataFrame, source: str) -> Iterator[Fault]:
    """Ask for the variance that contrasts of one arm share: without it they count double."""
    sides = ["arm_position", "comparator_position"]
    uses = contrasts[sides].melt()["value"].value_counts()
    shared = contrasts[sides].isin(uses.index[uses > 1]).any(axis=1)
    unknown = contrasts[shared & contrasts["comparator_se"].isna()]
    for position in unknown["comparator_position"].unique():
        arm = arms.iloc[position]
        yield Fault(
            f"study '{arm['study']}' compares several arms with one ('{arm['agent']}') whose own"
            " standard error is not given, so how these contrasts correlate is not known",
            "Fill in comparator_se, or keep one contrast of the study.",
            file=source,
            column="comparator_se",
        )
    if unknown.empty and shared.any():
        yield from _circle_faults(arms, contrasts[shared], source)


def _circle_faults(arms: pd.DataFrame, contrasts: pd.DataFrame, source: str) -> Iterator[Fault]:
    """Refuse contrasts of a study that follow from its others, or whose errors contradict them."""
    study = arms["study"].iloc[contrasts["arm_position"]].to_numpy()
    for name in dict.fromkeys(study):
        mine = contrasts[study == name]
        spread = np.linalg.eigvalsh(contrast_covariance(xr.Dataset.from_dataframe(mine)))
        if spread.min() <= 1e-9 * spread.max():
            yield Fault(
                f"the contrasts of study '{name}' cannot all hold: one follows from the others, or"
                " a comparator's standard error is larger than its contrast's",
                "Keep one contrast fewer than the study has arms, and check comparator_se.",
                file=source,
                column="comparator_se",
            )


def _class_faults(spec: AnalysisSpec, chosen: dict[str, Chosen]) -> Iterator[Fault]:
    """Ask for a class of every agent where classes are used: none is guessed."""
    if not any(POOLINGS[p.pooling].of_classes for p in _parameters(spec)):
        return
    active = [one.arms.loc[one.arms["exposure"] > 0, "agent"] for one in chosen.values()]
    for agent in sorted(set(pd.concat(active).map(original_agent)) - set(spec.classes)):
        known = sorted(set(spec.classes.values()))
        yield Fault(
            f"agent '{agent}' has no class, and a parameter is shared within classes",
            f'Write {agent} = "..." under [classes]; a class of its own is one too. Classes so'
            f" far: {', '.join(known)}.",
            column=f"classes.{agent}",
        )


def _parameters(spec: AnalysisSpec) -> Iterator[ParameterSpec]:
    for outcome in spec.outcomes.values():
        yield from outcome.parameters.values()


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
