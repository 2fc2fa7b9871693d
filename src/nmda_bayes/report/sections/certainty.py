"""What cannot be told: cells without trials, doses beyond, an axis that misleads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from nmda_bayes.checks.identifiability import NO_TRIAL, PRIOR_ONLY
from nmda_bayes.dims import AGENT, OUTCOME
from nmda_bayes.report.blocks import Heading, Items, Section, Table, Text, as_table, folded
from nmda_bayes.report.domains import domains
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, exact, listed, name, opened

#: An exposure this many times its agent's median stands alone on the dose axis.
FAR_BEYOND = 5.0
#: Exposures within this ratio of each other are one dose to the model.
SAME_DOSE = 1.1
FAST = re.compile(r"\b(?:push|bolus|injection|injected|rapid)\b", re.IGNORECASE)
SLOW = re.compile(r"\b(?:infusion|infused|over \d+|hours?|days?|continuous)\b", re.IGNORECASE)
NAMED = 6


def certainty(view: View, gallery: Gallery) -> Section:
    """Say what the page cannot tell, computed from the evidence itself.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used.

    Returns
    -------
    Section
        Caveats, trials by cell, and the domains of certainty by agent.
    """
    blocks: list[object] = [
        Text(
            "Each of these follows from the rows that entered; none is a general caution. A curve"
            " or number that rests on one of them carries a remark where it stands."
        ),
        Items(tuple(_caveats(view))),
        Heading("Trials of each agent in each condition"),
        *_cells(view),
        *domains(view),
    ]
    return Section("certainty", "Certainty and holes", tuple(blocks))


def _caveats(view: View) -> list[str]:
    return [
        *_gate(view),
        *_empty_cells(view),
        *_uncontrolled(view),
        *_ranges(view),
        *_axis(view),
        *_silent(view),
        *_thin(view),
        *_sources(view),
    ]


def _gate(view: View) -> Iterator[str]:
    if not view.checks.passed:
        yield "REFUSED by the checks (first section): nothing on this page should be quoted."


def _empty_cells(view: View) -> Iterator[str]:
    total = len(view.agents) * len(view.conditions)
    for outcome in view.outcomes:
        trials = view.tested["trials"].sel({OUTCOME: outcome})
        empty = int((trials == 0).sum())
        none = [a for a in view.agents if view.trials(outcome, a) == 0]
        if empty and total > 1:
            yield (
                f"{view.title(outcome)}: {empty} of {total} cells (agent by condition) have no"
                " trial; what is said of them comes from the other cells and the prior."
            )
        if none:
            yield (
                f"{view.title(outcome)}: no trial at all of {listed(map(view.agent, none), 'or')};"
                " a curve of it is the population's and the prior's."
            )


def _uncontrolled(view: View) -> Iterator[str]:
    for outcome in view.outcomes:
        named = [
            f"{view.agent(a)} ({view.condition(c)})"
            for a in view.agents
            for c in view.conditions
            if view.trials(outcome, a, c) and not view.controlled(outcome, a, c)
        ]
        if named:
            yield (
                f"{view.title(outcome)}: no trial against {view.reference} of"
                f" {listed(named)}; trials there compare doses, ways of giving, or agents, and tell"
                " of the effect itself only through the curve."
            )


def _ranges(view: View) -> Iterator[str]:
    for outcome in view.dosed:
        said = []
        for agent in view.agents:
            at = {OUTCOME: outcome, AGENT: agent}
            low = float(view.tested["tested_from"].sel(at))
            high = float(view.tested["tested_to"].sel(at))
            if np.isnan(low):
                continue
            where = exact(low) if low == high else f"{exact(low)} to {exact(high)}"
            one = ", a single dose" if low == high else ""
            said.append(f"{view.agent(agent)} {where}{one}")
        if said:
            yield (
                f"{view.title(outcome)} was tried at ({view.axis}): {'; '.join(said)}. Above that"
                " the curve is extrapolated."
            )


def _arms(view: View, outcome: str) -> pd.DataFrame:
    design = view.design(outcome)
    columns = ("study", "arm", "agent", "condition", "route", "regimen", "exposure")
    frame = pd.DataFrame({c: design[c].to_numpy() for c in columns})
    return frame[frame["exposure"] > 0]


def _axis(view: View) -> Iterator[str]:
    """Where one number a dose hides what patients got."""
    frames = [_arms(view, outcome) for outcome in view.dosed]
    if not frames:
        return
    arms = pd.concat(frames).drop_duplicates("arm")
    for agent, mine in arms.groupby("agent"):
        median = float(mine["exposure"].median())
        far = mine[mine["exposure"] > FAR_BEYOND * median].sort_values("exposure", ascending=False)
        if not far.empty:
            named = [
                f"{arm} ({exact(float(exposure))})"
                for arm, exposure in zip(far["arm"], far["exposure"], strict=True)
            ][:NAMED]
            more = len(far) - NAMED
            yield (
                f"Dose axis, {view.agent(str(agent))}: {count(len(far), 'arm lies', 'arms lie')}"
                f" more than {FAR_BEYOND:g} times beyond the agent's median of {exact(median)}"
                f" ({'; '.join(named)}{f' and {more} more' if more > 0 else ''}). Totals over days"
                " stand on one axis with single doses, and pull the curve's far end."
            )
        pairs = _push_and_infusion(mine)
        if pairs:
            yield (
                f"Dose axis, {view.agent(str(agent))}: arms of one dose were given fast in some"
                f" trials and slowly in others ({'; '.join(pairs[:3])}). The axis cannot tell them"
                " apart, though peak concentrations differ."
            )


def _push_and_infusion(arms: pd.DataFrame) -> list[str]:
    regimen = arms["regimen"].fillna("").astype(str)
    slow = regimen.str.contains(SLOW)
    fast = regimen.str.contains(FAST) & ~slow
    found = []
    columns = arms.loc[fast, ["arm", "exposure"]]
    for arm, exposure in zip(columns["arm"], columns["exposure"].astype(float), strict=True):
        ratio = arms["exposure"].astype(float) / exposure
        same = arms[slow & (ratio < SAME_DOSE) & (ratio > 1 / SAME_DOSE)]
        if not same.empty:
            found.append(f"{arm} and {same['arm'].iloc[0]} at {exact(exposure)}")
    return found


def _silent(view: View) -> Iterator[str]:
    for verdict, said in (
        (PRIOR_ONLY, "Prior only, the data being silent"),
        (NO_TRIAL, "Without a trial, from the other agents and the prior"),
    ):
        names = view.told(verdict)
        if names:
            yield f"{said}: {listed(names)}."


def _thin(view: View) -> Iterator[str]:
    for outcome in view.outcomes:
        design = view.design(outcome)
        label = view.label(outcome)
        if any(form.counts for form in view.forms(outcome)):
            events = design["events"].to_numpy()
            none = int(np.sum(events == 0))
            if events.sum() == 0:
                yield (
                    f"{opened(label)}: no event in any arm. The data bound the risk from above"
                    " only; every ratio is the prior's."
                )
            elif none:
                yield (
                    f"{opened(label)}: {none} of {count(events.size, 'arm')} had no event. They"
                    " enter as they are, without a correction, and say little of ratios."
                )
        single = [
            f"{view.agent(a)} ({view.condition(c)})"
            for a in view.agents
            for c in view.conditions
            if view.trials(outcome, a, c) == 1
        ]
        if single:
            more = len(single) - NAMED
            text = f"{'; '.join(single[:NAMED])}{f' and {more} more' if more > 0 else ''}"
            yield f"{opened(label)}: a single trial carries {text}."


def _sources(view: View) -> Iterator[str]:
    for outcome in view.outcomes:
        design = view.design(outcome)
        if "provenance" not in design:
            continue
        given = pd.Series(design["provenance"].to_numpy()).fillna("").astype(str)
        counted = given[given != ""].value_counts()
        if len(counted) > 1:
            said = listed(f"{n} {name(str(word))}" for word, n in counted.items())
            yield f"{view.title(outcome)}: where the arms' numbers come from: {said}."
        if "dose_note" in design:
            notes = pd.Series(design["dose_note"].to_numpy()).fillna("").astype(str)
            noted = int((notes != "").sum())
            if noted:
                yield (
                    f"{view.title(outcome)}: {count(noted, 'dose carries', 'doses carry')} a note"
                    " on how it was derived (see the table of what entered)."
                )


def _cells(view: View) -> list[object]:
    blocks: list[object] = []
    for outcome in view.outcomes:
        table = _cell_table(view, outcome)
        blocks.append(folded(table, f"{view.title(outcome)}: {len(table.rows)} conditions"))
    return blocks


def _cell_table(view: View, outcome: str) -> Table:
    rows = {
        condition: [view.trials(outcome, agent, condition) for agent in view.agents]
        for condition in view.conditions
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=view.agents)
    frame.insert(0, " condition", [view.condition(c) for c in frame.index])
    columns = {" condition": ("condition", None)} | {
        agent: (view.agent(agent), lambda n: str(n) if n else "none") for agent in view.agents
    }
    caption = f"{view.title(outcome)}: number of trials. 'none' is a hole."
    return as_table(frame, caption, columns)
