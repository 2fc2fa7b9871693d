"""Agents against each other: what trials identify, the league table, ranks, and consistency."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import (
    inconsistency,
    league_frame,
    league_table,
    network_parts,
    ranks,
    residual_deviance,
)
from nmda_bayes.estimands.network_evidence import shares_baselines
from nmda_bayes.figures import plot_league, plot_ranks
from nmda_bayes.intervals import INTERVAL_TEXT, interval
from nmda_bayes.report.blocks import Fold, Heading, Items, Section, Text, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, effect, listed, opened, probability

#: With fewer, the reference included, there is one comparison, which the results state.
AGENTS = 3


def networks(view: View, gallery: Gallery) -> Section | None:
    """Compare agents with each other, outcome by outcome.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        None where no outcome has two agents and all its trials are connected.
    """
    blocks: list[object] = []
    for outcome in view.outcomes:
        found = [*_identified(view, outcome), *_consistency(view, outcome)]
        found += _compared(view, gallery, outcome)
        if found:
            blocks += [Heading(opened(view.label(outcome))), *found]
    return Section("networks", "Agents against each other", tuple(blocks)) if blocks else None


def _identified(view: View, outcome: str) -> list[object]:
    """Say part by part what the trials identify, where it is not simply everything."""
    parts = network_parts(view.fit, outcome)
    shared = shares_baselines(view.spec, outcome)
    tried = parts[parts["trials"] > 0]
    if len(tried) < 2 and not shared:
        return []
    items = []
    for row in tried.to_dict("records"):
        names = listed(view.agent(str(a)) for a in row["agents"])
        text = (
            f"{opened(names)} ({count(row['trials'], 'trial')}). Identified: {row['identified']}."
        )
        items.append(f"{text} Assumed {row['assumption']}." if row["assumption"] else text)
    lead = (
        f"No trial connects the {len(tried)} parts of this network; what stands between them is an"
        " assumption."
        if len(tried) > 1
        else "All trials are connected."
    )
    if shared:
        lead += (
            " Baselines are pooled over trials, so that arms also count where no arm of their own"
            " trial stands against them: this takes trials to differ at random."
        )
    return [Text(lead, "warning" if len(tried) > 1 else "note"), Items(tuple(items))]


def _consistency(view: View, outcome: str) -> list[object]:
    """Say how well direct and indirect evidence agree, as far as this fit can tell."""
    part = view.outcomes[outcome]
    blocks: list[object] = []
    if part.effects == "unrelated":
        blocks.append(
            Text(
                "Effects are unrelated: each pair of agents that trials compare has an effect of"
                " its own, and no indirect evidence enters. This model is for setting its fit"
                " beside the consistent one, not for answers."
            )
        )
    if part.split is not None and view.spec.alone and not view.has_dose(outcome):
        found = inconsistency(view.fit)
        ends = {k: interval(found[k]) for k in ("direct", "indirect", "difference")}
        said = [
            f"{name} {effect(float(one['median']))} ({effect(float(one['lower']))} to"
            f" {effect(float(one['upper']))})"
            for name, one in ends.items()
        ]
        blocks.append(
            Text(
                f"{opened(found.attrs['comparison'])}, split: {listed(said)}, median and"
                f" {INTERVAL_TEXT}; p = {float(found['p_value']):.3f}, twice the smaller tail of"
                " the difference beyond 0."
            )
        )
    try:
        fit = residual_deviance(view.fit, outcome).attrs
    except SpecError:
        return blocks  # a likelihood without one
    if len(view.agents) > 1:
        blocks.append(
            Text(
                f"Total residual deviance {fit['total']:.1f} on"
                f" {count(fit['data_points'], 'data point')} (a model that fits has about as many);"
                f" pD {fit['pD']:.1f}, DIC {fit['DIC']:.1f}.",
                "note",
            )
        )
    return blocks


def _compared(view: View, gallery: Gallery, outcome: str) -> list[object]:
    condition = _condition(view, outcome)
    agents = [a for a in view.agents if view.trials(outcome, a, condition or "")]
    if len(agents) + 1 < AGENTS or not view.varies(outcome, AGENT):
        return []
    doses = {a: view.main_mark(a) for a in agents}
    league = league_table(view.fit, outcome, doses, condition)
    words = league.attrs["dose"] + (f", {view.condition(condition)}" if condition else "")
    caption = (
        f"{view.title(outcome)}: league table, {words}; median and {INTERVAL_TEXT}. Agents without"
        " a trial here are left out."
    )
    blocks: list[object] = [gallery.picture(plot_league(league), caption)]
    blocks.append(_table(view, league_frame(league), f"{caption} {league.attrs['scale_text']}."))
    if view.outcomes[outcome].better:
        found = ranks(view.fit, outcome, doses, condition)
        said = f"{view.title(outcome)}: cumulative ranks, {words}. {found.attrs['caution']}"
        blocks.append(gallery.picture(plot_ranks(found), said))
    return blocks


def _condition(view: View, outcome: str) -> str | None:
    """The condition in which most agents were tried; None where all have one effect."""
    if not view.varies(outcome, CONDITION):
        return None
    tried = {c: [view.trials(outcome, a, c) for a in view.agents] for c in view.conditions}
    return max(tried, key=lambda c: (sum(n > 0 for n in tried[c]), sum(tried[c])))


def _table(view: View, frame: pd.DataFrame, caption: str) -> Fold:
    ends = zip(frame["lower"], frame["upper"], strict=True)
    frame = frame.assign(
        pair=[f"{a} v {c}" for a, c in zip(frame["agent"], frame["comparator"], strict=True)],
        interval=[f"{effect(low)} to {effect(high)}" for low, high in ends],
    )
    columns = {
        "pair": ("agents", None),
        "median": ("median", effect),
        "interval": (INTERVAL_TEXT, str),
        "p_better": ("P(first is better)", probability),
        "trials": ("trials of both", str),
        "evidence": ("evidence", None),
        "remark": ("remark", None),
    }
    known = {name: form for name, form in columns.items() if name in frame}
    marks = ["hole" if remark else "" for remark in frame["remark"]]
    table = as_table(frame, caption, known, marks)
    return Fold(f"The league table as {count(len(frame), 'row')}", (table,), printed=False)
