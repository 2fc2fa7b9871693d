"""Effects: over dose, trial by trial, between agents, and as numbers that a clinician asks for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.heterogeneity import (
    HETEROGENEITIES,
    OUTLYING_RATIO,
    OUTLYING_SHARE,
)
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME, PAIR, PARAMETER_PAIR, STRATUM
from nmda_bayes.figures import plot_dose_response, plot_forest
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.answers import (
    EVERY,
    added_risks,
    agent_contrasts,
    effects_at_marks,
)
from nmda_bayes.report.blocks import Fold, Heading, Section, Table, Text, as_table, folded
from nmda_bayes.report.doses import doses_for_effects
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.outlying import outlying
from nmda_bayes.report.sections.pooled import borrowed
from nmda_bayes.report.sections.published import side_by_side
from nmda_bayes.report.view import View
from nmda_bayes.report.words import (
    count,
    effect,
    exact_percent,
    listed,
    opened,
    probability,
    spread,
)

#: Panels that one figure of curves holds and still reads.
CELLS = 8

#: What trials of two kinds have beside an SD, and in what it is counted.
OF_TWO_KINDS = {OUTLYING_RATIO: "times heterogeneity_sd", OUTLYING_SHARE: "of trials"}


def results(view: View, gallery: Gallery) -> Section:
    """State the effects.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section
        Curves, tables at marked doses, forests, contrasts, doses for effects, heterogeneity.
    """
    blocks: list[object] = []
    if view.dosed:
        blocks += [Heading("Over dose"), *_curves(view, gallery)]
    for outcome in view.outcomes:
        blocks += _outcome(view, gallery, outcome)
    doses = doses_for_effects(view)
    if not doses.empty:
        blocks += [Heading("Doses for an effect"), _doses_table(view, doses)]
    blocks += [*_heterogeneity(view), *outlying(view)]
    blocks += borrowed(view)
    blocks += side_by_side(view, gallery)
    return Section("results", "Results", tuple(blocks))


def _curves(view: View, gallery: Gallery) -> list[object]:
    caption = (
        f"Medians and {INTERVAL_TEXT}s of the curves; one dose axis: {view.axis}. Rings are the"
        " trials' arms against their own reference arm. Hatched: beyond the doses tried. Grey: no"
        " trial in the cell, so the curve rests on the other cells and the prior."
    )
    if view.curve_baseline is not None:
        share, whence = view.curve_baseline
        caption += f" Risks are counted from a baseline of {exact_percent(share)} ({whence})."
    pictures: list[object] = []
    for title, response, observed in _panels(view):
        figure = plot_dose_response(response, observed)
        pictures.append(gallery.picture(figure, f"Dose-response{title}. {caption}"))
        caption = f"As the figure before; {INTERVAL_TEXT}s."
    return pictures


Panels = tuple[str, xr.DataArray, dict[str, xr.Dataset]]


def _panels(view: View) -> list[Panels]:
    """Cut the curves into figures that can be read."""
    response, observed = view.response, dict(view.effects)
    if not any(view.varies(outcome, CONDITION) for outcome in view.outcomes):
        response, observed = _one_condition(response, observed)
    trials = response["trials"].sum(OUTCOME)
    agents = response[AGENT].to_numpy()[(trials.sum(CONDITION) > 0).to_numpy()]
    conditions = response[CONDITION].to_numpy()[(trials.sum(AGENT) > 0).to_numpy()]
    whole = response.sel({AGENT: agents, CONDITION: conditions})
    holes = int((trials.sel({AGENT: agents, CONDITION: conditions}) == 0).sum())
    if (len(agents) * len(conditions) <= CELLS and holes <= 2) or len(conditions) == 1:
        return [("", whole, observed)]
    # Agents tried in the same conditions share a figure.
    alike: dict[tuple[str, ...], list[str]] = {}
    for agent in sorted(agents, key=lambda a: -int(trials.sel({AGENT: a}).sum())):
        mine = (trials.sel({AGENT: agent, CONDITION: conditions}) > 0).to_numpy()
        alike.setdefault(tuple(conditions[mine]), []).append(str(agent))
    return [
        (
            f": {listed(map(view.agent, members))}",
            whole.sel({AGENT: members, CONDITION: list(where)}),
            observed,
        )
        for where, members in alike.items()
    ]


def _one_condition(
    response: xr.DataArray, observed: dict[str, xr.Dataset]
) -> tuple[xr.DataArray, dict[str, xr.Dataset]]:
    """Fold the conditions into one where the model gives all the same curve."""
    trials = response["trials"].sum(CONDITION).expand_dims({CONDITION: [EVERY]}, axis=-1)
    one = response.isel({CONDITION: [0]}).drop_vars("trials")
    one = one.assign_coords({CONDITION: [EVERY]}).assign_coords(trials=trials)
    effects = {
        outcome: found.assign_coords(condition=("arm", np.full(found.sizes["arm"], EVERY, object)))
        for outcome, found in observed.items()
    }
    return one, effects


def _outcome(view: View, gallery: Gallery, outcome: str) -> list[object]:
    label = view.label(outcome)
    blocks: list[object] = [Heading(opened(label)), *_effects(view, outcome)]
    if view.is_risk(outcome):
        added = added_risks(view, outcome)
        if not added.empty:
            blocks.append(_added_table(view, outcome, added))
    pairs = agent_contrasts(view, outcome)
    if not pairs.empty:
        blocks.append(_contrast_table(view, outcome, pairs))
    effects = view.effects[outcome]
    if effects.sizes["arm"]:
        zero = int((effects["raw_note"] != "").sum())
        caption = (
            f"{opened(label)}, trial by trial, arm minus comparator ({effects.attrs['scale']}): as"
            " reported with its 95 % confidence interval (raw), as the model sees the same trial"
            " (shrunk), and in a new trial of that agent, condition and dose (predicted);"
            f" {INTERVAL_TEXT}s."
        )
        if zero:
            caption += f" {count(zero, 'arm').capitalize()} without a raw estimate: see the rows."
        blocks.append(gallery.picture(plot_forest(effects), caption))
    return blocks


def _effects(view: View, outcome: str) -> list[object]:
    frame = effects_at_marks(view, outcome)
    risk = view.is_risk(outcome)
    better = view.outcomes[outcome].better
    ratio = view.link(outcome).ratio
    what = f"{ratio.capitalize()}s" if ratio else f"Differences{_in_unit(view, outcome)}"
    caption = (
        f"{view.title(outcome)}: {what.lower()} v {view.reference}, median and {INTERVAL_TEXT}."
    )
    if risk:
        share, whence = view.baseline(outcome)
        caption += f" Risk: from a baseline of {exact_percent(share)} ({whence})."
    columns = {
        "agent": ("agent", None),
        "where": ("condition", None),
        "trials": ("trials", str),
        "dose": ("dose", None),
        "median": (ratio or "difference", str),
        "interval": (INTERVAL_TEXT, str),
        "risk": ("risk", str),
        "p_better": ("P(better)" if better else "P(above reference)", probability),
        "remark": ("remark", None),
    }
    if not risk:
        columns.pop("risk")
    if not view.has_dose(outcome):
        columns.pop("dose")
    tried = frame["trials"] > 0
    blocks: list[object] = []
    for rows, fold in (
        (tried & frame["main"], ""),
        (tried, "at every marked dose"),
        (~tried & frame["main"], "without a trial: the model's guess"),
    ):
        part = frame[rows]
        if part.empty or (rows.equals(tried) and len(blocks) and part["main"].all()):
            continue
        marks = ["hole" if remark else "" for remark in part["remark"]]
        table = as_table(part, caption, columns, marks)
        cells = count(part[["agent", "where"]].drop_duplicates().shape[0], "cell")
        blocks.append(
            Fold(f"{cells} {fold}", (table,), printed=False) if fold else folded(table, cells)
        )
    return blocks


def _in_unit(view: View, outcome: str) -> str:
    unit = view.outcomes[outcome].unit
    return f" in {unit}" if unit else ""


def _added_table(view: View, outcome: str, frame: pd.DataFrame) -> Table | Fold:
    caption = (
        f"{view.title(outcome)}: added risk v {view.reference}, median and"
        f" {INTERVAL_TEXT}, and the number of persons for one event more (NNH of a harm, NNT of a"
        " benefit). Where the interval includes no difference, the number runs through infinity to"
        " the other sign (Altman 1998)."
    )
    columns = {
        "agent": ("agent", None),
        "where": ("condition", None),
        "dose": ("dose", None),
        "added": ("added risk", str),
        "needed": ("number needed", str),
        "remark": ("remark", None),
    }
    if not view.has_dose(outcome):
        columns.pop("dose")
    marks = ["hole" if remark else "" for remark in frame["remark"]]
    table = as_table(frame, caption, columns, marks)
    return folded(table, f"Added risk and numbers needed in {len(frame)} cells")


def _contrast_table(view: View, outcome: str, frame: pd.DataFrame) -> Table | Fold:
    ratio = view.link(outcome).ratio
    caption = (
        f"{view.title(outcome)}: agents against each other,"
        f" {f'ratio of {ratio}s' if ratio else f'difference{_in_unit(view, outcome)}'}, median"
        f" and {INTERVAL_TEXT}. Pairs with a trial of each; direct and indirect evidence together."
    )
    columns = {
        "pair": ("agents", None),
        "where": ("condition", None),
        "dose": ("dose", None),
        "median": ("ratio" if ratio else "difference", str),
        "interval": (INTERVAL_TEXT, str),
        "p_less": ("P(first is lower)", probability),
    }
    return folded(as_table(frame, caption, columns), f"{count(len(frame), 'pair')} of agents")


def _doses_table(view: View, frame: pd.DataFrame) -> Table | Fold:
    caption = (
        f"Doses for an effect ({view.axis}): median and {INTERVAL_TEXT} among the draws that reach"
        " the effect within half as much again as the largest dose tried of any agent, and the"
        " probability that it is reached there at all."
    )
    columns = {
        "what": ("effect", None),
        "agent": ("agent", None),
        "where": ("condition", None),
        "reached": ("P(reached)", probability),
        "dose": ("dose", str),
        "remark": ("remark", None),
    }
    marks = ["hole" if remark else "" for remark in frame["remark"]]
    return folded(as_table(frame, caption, columns, marks), f"{len(frame)} doses for effects")


def _heterogeneity(view: View) -> list[object]:
    posterior = view.fit["posterior"].to_dataset()
    rows: list[tuple[str, ...]] = []
    for outcome, part in view.outcomes.items():
        for parameter in HETEROGENEITIES[part.heterogeneity].parameters:
            stands = posterior[view.variable(outcome, parameter)]
            units = view.link(outcome).effect or part.unit or "outcome's units"
            scale = OF_TWO_KINDS.get(parameter, units)
            for stratum, values in _strata(view, outcome, stands):
                low, middle, high = spread(values.to_numpy())
                ends = f"{effect(low)} to {effect(high)}"
                rows.append(
                    (view.label(outcome), f"{parameter}{stratum}", scale, effect(middle), ends)
                )
    if "heterogeneity_correlation" in posterior:
        rows += _correlations(view, posterior["heterogeneity_correlation"])
    if "agent_correlation" in posterior:
        rows += _between_agents(posterior["agent_correlation"])
    if not rows:
        text = "The spec takes all trials of one agent and dose to share one effect exactly."
        return [Heading("Heterogeneity between trials"), Text(text)]
    frame = pd.DataFrame(rows, columns=["what", "parameter", "scale", "median", "interval"])
    caption = (
        "Heterogeneity: the SD of contrasts between trials of one agent, condition and dose"
        " (between ordinary trials, where there are outlying ones), and"
        f" the correlation of arm effects between outcomes; median and {INTERVAL_TEXT}."
    )
    columns = {
        "what": ("outcome", None),
        "parameter": ("quantity", None),
        "scale": ("scale", None),
        "median": ("median", str),
        "interval": (INTERVAL_TEXT, str),
    }
    return [Heading("Heterogeneity between trials"), as_table(frame, caption, columns)]


def _strata(view: View, outcome: str, values: xr.DataArray) -> Iterator[tuple[str, xr.DataArray]]:
    """Give a heterogeneity stratum by stratum, where it differs by them."""
    dim = view.variable(outcome, STRATUM)
    if dim not in values.dims:
        yield "", values
        return
    for stratum in values[dim].to_numpy():
        yield f" ({stratum})", values.sel({dim: stratum})


def _between_agents(pairs: xr.DataArray) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for pair in pairs[PARAMETER_PAIR].to_numpy():
        low, middle, high = spread(pairs.sel({PARAMETER_PAIR: pair}).to_numpy())
        ends = f"{effect(low)} to {effect(high)}"
        names = listed(str(pair).split(", "), "with")
        rows.append((names, "agent_correlation", "correlation", effect(middle), ends))
    return rows


def _correlations(view: View, pairs: xr.DataArray) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for pair in pairs[PAIR].to_numpy():
        low, middle, high = spread(pairs.sel({PAIR: pair}).to_numpy())
        names = listed((view.label(o) for o in str(pair).split(", ")), "with")
        ends = f"{effect(low)} to {effect(high)}"
        rows.append((names, "heterogeneity_correlation", "correlation", effect(middle), ends))
    return rows
