"""The therapeutic window: enough benefit, acceptable harm, both."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.estimands.response import DIFFERENCE, RISK
from nmda_bayes.figures import plot_benefit_risk, plot_window
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.answers import best_dose
from nmda_bayes.report.blocks import Section, Text, as_table, folded
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import (
    count,
    exact,
    exact_percent,
    listed,
    number,
    probability,
)

#: Panels of one figure at most; the table has every cell with trials.
CELLS = 12


def window(view: View, gallery: Gallery) -> Section | None:
    """Say at which dose there is enough benefit for an acceptable harm.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        None where the spec has no window.
    """
    asked, found = view.spec.window, view.window
    if asked is None or found is None:
        return None
    unit = "" if view.is_risk(asked.benefit) else view.unit(asked.benefit)
    size = (
        exact_percent(asked.benefit_at_least)
        if view.is_risk(asked.benefit)
        else f"{exact(asked.benefit_at_least)}{unit}"
    )
    text = (
        f"Probability that the mean benefit ({view.label(asked.benefit)}) is at least {size}, that"
        f" the added risk ({view.label(asked.harm)}) is at most {exact_percent(asked.risk_at_most)}"
        f" from a baseline of {exact_percent(asked.baseline_risk)}, and of both, in the same"
        " draws. It is a probability about means of a population, not about one person. Both limits"
        f" are keys of the spec. {asked.why}"
    )
    frame = _frame(view)
    if frame.empty:
        none = "No cell has a trial of the benefit and an agent with a trial of the harm."
        return Section("window", "Therapeutic window", (Text(text.strip()), Text(none)))
    blocks: list[object] = [Text(text.strip())]
    for agents, conditions in _figures(view, frame):
        at = {AGENT: agents, CONDITION: conditions}
        title = "" if len(agents) > 1 else f" {view.agent(agents[0])}."
        caption = (
            f"Therapeutic window.{title} Posterior probabilities by dose ({view.axis}); hatched or"
            " thin beyond the doses tried. A probability has no interval."
        )
        blocks.append(gallery.picture(plot_window(found.sel(at)), caption))
        if view.has_dose(asked.benefit) or view.has_dose(asked.harm):
            caption = (
                f"Benefit against added risk along the dose.{title} Medians, and"
                f" {INTERVAL_TEXT}s at the marked doses."
            )
            blocks.append(gallery.picture(_plane(view, at), caption))
    blocks.append(_table(view, frame))
    return Section("window", "Therapeutic window", tuple(blocks))


def _plane(view: View, at: dict[str, list[str]]) -> Figure:
    asked = view.spec.window
    assert asked is not None
    response: xr.DataArray = view.response.sel(at)
    scales = response["scale"].to_series()
    if scales[asked.benefit] not in (DIFFERENCE, RISK):
        raise ValueError(f"unknown scale {scales[asked.benefit]}")
    return plot_benefit_risk(
        response,
        benefit=asked.benefit,
        harm=asked.harm,
        benefit_at_least=asked.benefit_at_least,
        risk_at_most=asked.risk_at_most,
    )


def _frame(view: View) -> pd.DataFrame:
    asked = view.spec.window
    assert asked is not None
    rows = []
    for agent in view.agents:
        for condition in view.conditions:
            n_benefit = view.trials(asked.benefit, agent, condition)
            n_harm = view.trials(asked.harm, agent, condition)
            best = best_dose(view, agent, condition)
            if not (n_benefit or n_harm) or best is None:
                continue
            dose, both, at_zero, at_the_edge = best
            remarks = [
                *(["no trial of the benefit here"] if not n_benefit else []),
                *(["no trial of the harm here"] if not n_harm else []),
                *(["the largest dose tried: more may be better"] if at_the_edge else []),
            ]
            rows.append((agent, condition, n_benefit, n_harm, dose, both, at_zero, listed(remarks)))
    columns = ["agent", "condition", "n_benefit", "n_harm", "dose", "both", "at_zero", "remark"]
    return pd.DataFrame(rows, columns=columns)


def _figures(view: View, frame: pd.DataFrame) -> list[tuple[list[str], list[str]]]:
    """Cut the cells into figures that can be read."""
    agents = list(dict.fromkeys(frame["agent"]))
    conditions = list(dict.fromkeys(frame["condition"]))
    if len(agents) * len(conditions) <= min(CELLS, len(frame) + 2):
        return [(agents, conditions)]
    by_agent = frame.groupby("agent", sort=False)["condition"].agg(list)
    return [([str(agent)], cells[:CELLS]) for agent, cells in by_agent.items()]


def _table(view: View, frame: pd.DataFrame) -> object:
    caption = (
        f"The best dose of those tried ({view.axis}), by the probability of enough benefit and"
        " acceptable harm together. An optimum over a grid: neighbours are about as good."
    )
    shown = frame.assign(
        agent=[view.agent(a) for a in frame["agent"]],
        condition=[view.condition(c) for c in frame["condition"]],
    )
    columns = {
        "agent": ("agent", None),
        "condition": ("condition", None),
        "n_benefit": ("trials of benefit", str),
        "n_harm": ("trials of harm", str),
        "dose": ("best dose", lambda x: number(x, 2)),
        "both": ("P(both)", probability),
        "remark": ("remark", None),
    }
    marks = ["hole" if "no trial" in remark else "" for remark in frame["remark"]]
    return folded(as_table(shown, caption, columns, marks), f"{count(len(frame), 'cell')}")
