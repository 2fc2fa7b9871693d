"""What is wrong with a spec and the rows that it chose: said before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design.choose import AS_ARM, Chosen
from nmda_bayes.design.margins import margin_faults
from nmda_bayes.design.splitting import nodes, original_agent
from nmda_bayes.design.study_columns import uneven_faults
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence import connected_parts
from nmda_bayes.spec import AnalysisSpec, ParameterSpec
from nmda_bayes.spec.mixing_rules import EXAMPLE as CORRELATION_EXAMPLE


def crossover_faults(name: str, arms: pd.DataFrame, spec: AnalysisSpec) -> Iterator[Fault]:
    """Ask how trials enter that put the same people in every arm: nothing is assumed of them.

    Parameters
    ----------
    name
        The outcome.
    arms
        What enters of it.
    spec
        The analysis.

    Yields
    ------
    Fault
        Each with its mend.
    """
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


def select_faults(spec: AnalysisSpec, frames: dict[str, pd.DataFrame]) -> Iterator[Fault]:
    """Find words of ``select`` and ``exclude`` that the evidence does not have.

    Parameters
    ----------
    spec
        The analysis.
    frames
        Results and contrasts, joined to arms and studies.

    Yields
    ------
    Fault
        Each with its mend.
    """
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


def agent_faults(
    spec: AnalysisSpec, arms: pd.DataFrame, contrasts: pd.DataFrame
) -> Iterator[Fault]:
    """Find agents of the spec that no arm has.

    Parameters
    ----------
    spec
        The analysis.
    arms, contrasts
        Their tables.

    Yields
    ------
    Fault
        Each with its mend.
    """
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


def outcome_faults(
    name: str, chosen: Chosen, spec: AnalysisSpec, evidence: xr.DataTree
) -> Iterator[Fault]:
    """Say why an outcome cannot be analysed: nothing left, or not connected.

    Parameters
    ----------
    name
        The outcome.
    chosen
        What enters of it.
    spec
        The analysis.
    evidence
        Where it was chosen from.

    Yields
    ------
    Fault
        Each with its mend.
    """
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


def class_faults(spec: AnalysisSpec, chosen: dict[str, Chosen]) -> Iterator[Fault]:
    """Ask for a class of every agent where classes are used: none is guessed.

    Parameters
    ----------
    spec
        The analysis.
    chosen
        What enters, by outcome.

    Yields
    ------
    Fault
        Each with its mend.
    """
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
