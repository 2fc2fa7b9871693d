"""Which of a study's rows enter, for one outcome, and as what: arms, contrasts or responders.

A trial enters once, in the form that says most: the arms' own numbers, else the difference that it
prints, else its count of responders. The spec names the forms that it admits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.responders import Cutoff, cutoff_of
from nmda_bayes.design.concentrations import READ_COLUMNS, placed
from nmda_bayes.design.cutoffs import join_cutoffs
from nmda_bayes.design.readings import COLUMNS as CLOCK_COLUMNS
from nmda_bayes.design.readings import HOURS, on_a_clock, on_the_clock, together, unit_of
from nmda_bayes.design.sieve import (
    Sieve,
    keep_complete,
    keep_measure,
    keep_one_row_a_contrast,
    keep_one_row_an_arm,
    keep_time,
    sieve_of,
    stretch,
)
from nmda_bayes.design.study_columns import keep_described, study_columns
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import BASELINE

#: What an arm reports: its own numbers, a count of responders, or nothing but a contrast.
AS_ARM, AS_RESPONDERS, AS_CONTRAST = "arm", "responders", "contrast"

#: Said of an arm whose standard error the model works out from the SDs of others.
BORROWED = "no sd: borrowed"

ARM_COLUMNS = ["arm", "study", "agent", "condition", "route", "regimen", "exposure", "report"]
ROW_COLUMNS = [
    *("measure", "time_hours", "time_label", "time_window", "source", "provenance", "dose_note"),
    *("se_from", "same_people"),
]
#: Doses stand in these columns of arms beside those that reference doses name.
SIDE_COLUMNS = ("route", "dose", "schedule", "agent_given")

Tables = dict[str, pd.DataFrame]


@dataclass
class Chosen:
    """What enters for one outcome, and what does not.

    Attributes
    ----------
    arms
        One row an arm: its place in the design, and what it reports.
    contrasts
        One row a contrast, pointing at two arms by position; None where there are none.
    left_out
        study, arm, outcome, measure, reason.
    """

    arms: pd.DataFrame
    contrasts: pd.DataFrame | None
    left_out: pd.DataFrame


def choose(name: str, spec: AnalysisSpec, selected: Tables) -> Chosen:
    """Choose what enters one outcome.

    Parameters
    ----------
    name
        The outcome.
    spec
        The analysis.
    selected
        ``results`` joined to arms and studies, ``contrasts`` joined to studies, ``arms``, and
        ``references``, the reference doses.

    Returns
    -------
    Chosen
        Arms that report in one form each.
    """
    outcome = spec.outcomes[name]
    if LIKELIHOODS[outcome.likelihood].contrasts:
        return _choose_contrasts(name, spec, selected, taken=set())
    chosen = _choose_arms(name, spec, selected)
    pieces = [chosen]
    if outcome.contrasts is not None:
        pieces.append(_choose_contrasts(name, spec, selected, _studies(pieces)))
    if outcome.responders is not None:
        pieces.append(_choose_responders(name, spec, selected, _studies(pieces)))
    return _joined(pieces)


def _studies(pieces: list[Chosen]) -> set[str]:
    return {study for piece in pieces for study in piece.arms["study"]}


def _joined(pieces: list[Chosen]) -> Chosen:
    """Put the forms together; contrasts keep pointing at their own arms."""
    contrasts, before = None, 0
    for piece in pieces:
        if piece.contrasts is not None and not piece.contrasts.empty:
            moved = {
                c: piece.contrasts[c] + before for c in ("arm_position", "comparator_position")
            }
            contrasts = piece.contrasts.assign(**moved)
        before += len(piece.arms)
    filled = [piece.arms for piece in pieces if not piece.arms.empty] or [pieces[0].arms]
    left_out = pd.concat([piece.left_out for piece in pieces], ignore_index=True)
    return Chosen(pd.concat(filled, ignore_index=True), contrasts, left_out)


def _choose_arms(name: str, spec: AnalysisSpec, selected: Tables) -> Chosen:
    outcome = spec.outcomes[name]
    likelihood = LIKELIHOODS[outcome.likelihood]
    columns, borrows = likelihood.columns, bool(likelihood.also)
    measures = outcome.measures or (name,)
    sieve = sieve_of(name, measures, selected["results"], borrows=borrows)
    sieve.rows = sieve.rows.assign(se=sieve.rows["se_used"])
    sieve.rows = stretch(outcome, sieve.rows, levels="mean", spreads="se")
    keep_complete(sieve, columns)
    if borrows:
        # Whatever a standard error was come by, the SD of the arm's people follows from it.
        rows = sieve.rows
        told = rows["se_from"].where(rows["se"].notna(), BORROWED)
        sieve.rows = rows.assign(sd=rows["se"] * np.sqrt(rows["n"]), se_from=told)
        columns = (*columns, likelihood.also, "se")
    return _arms_of(sieve, spec, selected, AS_ARM, columns)


def _choose_responders(name: str, spec: AnalysisSpec, selected: Tables, taken: set[str]) -> Chosen:
    outcome = spec.outcomes[name]
    assert outcome.responders is not None
    measures = outcome.responders.measures
    sieve = sieve_of(name, tuple(measures), selected["results"])
    sieve.keep(~sieve.rows["study"].isin(taken), "the trial enters in a form that says more")
    keep_complete(sieve, ("events", "n"))
    crossover = spec.designs.crossover
    if crossover is None or name not in crossover.as_parallel:
        sieve.keep(
            sieve.rows["same_people"] == 0,
            "responders among the same people in every arm: name the outcome in"
            " designs.crossover.as_parallel to let them in",
        )
    cutoffs = [cutoff_of(measures[m]) or Cutoff(np.nan, np.nan) for m in sieve.rows["measure"]]
    sieve.rows = sieve.rows.assign(
        cutoff_share=[cutoff.share for cutoff in cutoffs],
        cutoff_points=[cutoff.points for cutoff in cutoffs],
        is_change_score=0.0,
    )
    columns = ("events", "n", "cutoff_share", "cutoff_points")
    complete = sieve.rows
    chosen = _arms_of(sieve, spec, selected, AS_RESPONDERS, columns)
    arms, left_out = join_cutoffs(chosen.arms, complete, chosen.left_out)
    return Chosen(arms, None, left_out)


def _arms_of(
    sieve: Sieve, spec: AnalysisSpec, selected: Tables, report: str, columns: tuple[str, ...]
) -> Chosen:
    """Take the rules that any row of an arm must pass."""
    outcome = spec.outcomes[sieve.outcome]
    if spec.designs.crossover is not None and spec.designs.crossover.periods == "first":
        sieve.keep(
            sieve.rows["same_people"] == 0, "a crossover trial, and not its first period alone"
        )
    sieve.rows = placed(spec, sieve.outcome, sieve.rows, selected)
    sieve.keep(sieve.rows["exposure"].notna(), sieve.rows["exposure_missing"])
    if outcome.time is not None:
        keep_time(sieve, outcome.time)
    keep_described(sieve, outcome, selected)
    keep_measure(sieve)
    keep_one_row_an_arm(sieve, unit_of(outcome, counted=report == AS_RESPONDERS))
    baseline = outcome.parameters.get(BASELINE)
    if baseline is None or baseline.pooling == "independent":
        count = sieve.rows.groupby(together(outcome))["arm"].transform("size")
        sieve.keep(count >= 2, "one arm left in its study: no difference to learn from")
    rows = on_the_clock(outcome, sieve.rows.assign(report=report))
    read = [column for column in (*READ_COLUMNS, *CLOCK_COLUMNS) if column in rows]
    kept = [*ARM_COLUMNS, *columns, *ROW_COLUMNS, *read, *study_columns(outcome)]
    arms = rows.reindex(columns=kept).reset_index(drop=True)
    return Chosen(arms, None, sieve.left_out())


def _choose_contrasts(name: str, spec: AnalysisSpec, selected: Tables, taken: set[str]) -> Chosen:
    """Choose the contrasts, and make the arms that they compare, which report nothing else."""
    outcome = spec.outcomes[name]
    asked = outcome.contrasts
    measures = (asked.measures if asked is not None else ()) or outcome.measures or (name,)
    sieve = sieve_of(name, measures, selected["contrasts"])
    sieve.keep(~sieve.rows["study"].isin(taken), "the trial enters by its arms")
    if asked is not None:
        effect = sieve.rows["effect"].replace("", "unnamed")
        sieve.keep(effect.isin(asked.effects), "an effect measure that the spec does not name")
        rows = sieve.rows.assign(is_change_score=1.0)
        sieve.rows = stretch(outcome, rows, levels="estimate", spreads="se comparator_se")
    keep_complete(sieve, ("estimate", "se"))
    for side in ("", "comparator_"):
        arms = placed(spec, name, _side(sieve.rows, selected, side), selected)
        sieve.rows = sieve.rows.assign(**{f"{side}exposure": arms["exposure"]})
        sieve.keep(sieve.rows[f"{side}exposure"].notna(), arms["exposure_missing"])
    if outcome.time is not None:
        keep_time(sieve, outcome.time)
    keep_described(sieve, outcome, selected)
    keep_one_row_a_contrast(sieve, at_one_hour=on_a_clock(outcome))
    columns = study_columns(outcome)
    hours = [HOURS, "time_hours"] if on_a_clock(outcome) else []
    arms, contrasts = _compared(sieve.rows.reset_index(drop=True), [*columns, *hours])
    arms = on_the_clock(outcome, arms).drop(columns=hours)
    return Chosen(arms, contrasts, sieve.left_out())


def _side(rows: pd.DataFrame, selected: Tables, side: str) -> pd.DataFrame:
    """Give one side of each contrast as arms: its agent, and its doses where its arm is known."""
    doses = [*SIDE_COLUMNS, *selected["references"]["dose_column"].unique()]
    arms = selected["arms"].drop_duplicates("arm").set_index("arm").reindex(columns=doses)
    known = arms.reindex(rows[f"{side}arm"]).set_axis(rows.index)
    own = {c: rows[f"{side}{c}"] for c in doses if f"{side}{c}" in rows}
    filled = {c: own[c].where(own[c].notna(), known[c]) for c in own}
    agent = rows["comparator" if side else "agent"]
    return known.assign(agent=agent, **filled, **rows[["study", "time_hours"]])


def _compared(rows: pd.DataFrame, of_studies: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the arms of contrasts, one for each agent and exposure of a study."""
    shared = {"study": rows["study"], "condition": rows["condition_group"]}
    shared |= {column: rows[column] for column in of_studies}
    sides = [
        pd.DataFrame({**shared, "agent": rows[agent], "exposure": rows[exposure]})
        for agent, exposure in (("agent", "exposure"), ("comparator", "comparator_exposure"))
    ]
    doses = [side["exposure"].map(" {:g}".format).astype("str") for side in sides]
    labels = [s["study"] + ": " + s["agent"] + d for s, d in zip(sides, doses, strict=True)]
    sides = [side.assign(arm=label) for side, label in zip(sides, labels, strict=True)]
    arms = pd.concat(sides).drop_duplicates("arm")
    arms = arms.assign(route="", regimen="", report=AS_CONTRAST, same_people=0.0)
    arms = arms.sort_values("study", kind="stable").reset_index(drop=True)
    position = pd.Series(arms.index, index=arms["arm"])
    contrasts = pd.DataFrame(
        {
            "contrast": labels[0] + " v " + labels[1].str.split(": ", n=1).str[1],
            "arm_position": position.loc[labels[0]].to_numpy(),
            "comparator_position": position.loc[labels[1]].to_numpy(),
            "estimate": rows["estimate"],
            "estimate_se": rows["se"],
            "estimate_se_from": rows["se_from"],
            "comparator_se": rows["comparator_se"],
            "estimate_source": rows["source"],
        }
    )
    return arms[[*ARM_COLUMNS, "same_people", *of_studies]], contrasts
