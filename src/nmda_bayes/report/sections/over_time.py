"""How long an effect lasts, where an outcome has a time course."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.components.time import AFTER, SINCE
from nmda_bayes.dims import AGENT, CONDITION, DOSE, HOUR, OUTCOME
from nmda_bayes.estimands.over_time import effect_over_time, hours_of_relief, share_left
from nmda_bayes.estimands.reading import exposure_axis
from nmda_bayes.estimands.response import absolute_risk
from nmda_bayes.figures import plot_dose_and_time, plot_over_time
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.answers import dose_text
from nmda_bayes.report.blocks import Section, Table, Text, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import draws_of, exact, exact_percent, listed, number, spread

#: Points of a curve over time: smooth at print size.
GRID = 60
#: Doses of a map over dose and time.
DOSES = 30
#: Hours of the table; those beyond twice the last reading are left out.
ASKED = (1.0, 4.0, 24.0, 72.0, 168.0, 672.0)


def over_time(view: View, gallery: Gallery) -> Section | None:
    """Say how much of an effect is left after some hours.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        None where no outcome has a time course.
    """
    blocks: list[object] = []
    for outcome, part in view.outcomes.items():
        agents = [a for a in view.agents if view.trials(outcome, a)]
        if part.over_time.parameters and agents:
            blocks += _blocks(view, gallery, outcome, agents)
    return Section("over-time", "Over time", tuple(blocks)) if blocks else None


def _blocks(view: View, gallery: Gallery, outcome: str, agents: list[str]) -> list[object]:
    design, course = view.design(outcome), view.outcomes[outcome].over_time
    after = design[AFTER].to_numpy().astype(float)
    last = max(float(after.max()), 1.0)
    lasted = design[SINCE].to_numpy().astype(float) - after
    typical = float(np.median(lasted)) if SINCE in course.clocks else None
    read = after[after >= 0]
    grid = np.unique([-1.0, -0.5, 0.0, *read, *np.geomspace(last / 1000, 1.25 * last, GRID)])
    effects = _effects(view, outcome, agents, grid, typical)
    active = design["exposure"].to_numpy() > 0
    read_at = {a: after[active & (design["agent"].to_numpy() == a)] for a in agents}
    said = f"{view.title(outcome)}: the effect of a dose times how much of it is there at an hour."
    prior = [q for q in view.told("prior only") if "half_life" in q or "share" in q]
    if prior:
        said += f" The trials say nothing of {listed(prior)}: what follows is the prior's there."
    if typical is not None:
        said += f" Treatment is taken to last {number(typical)} h, the median of these arms."
    caption = (
        f"{view.title(outcome)} over time, each agent at {_dose(view, agents)} and in the condition"
        f" with most of its trials. Medians and {INTERVAL_TEXT}s."
    )
    scale = view.link(outcome).effect or view.outcomes[outcome].unit or "difference"
    axis = f"{view.label(outcome)}, {scale}"
    picture = plot_over_time(effects, axis=axis, read_at=read_at)
    blocks: list[object] = [
        Text(said),
        gallery.picture(picture, caption),
        _table(view, outcome, agents, effects, last, typical),
    ]
    if view.has_dose(outcome):
        blocks.append(gallery.picture(*_map(view, outcome, agents, grid, typical, axis)))
    return blocks


def _map(
    view: View,
    outcome: str,
    agents: list[str],
    grid: np.ndarray,
    typical: float | None,
    axis: str,
) -> tuple[Figure, str]:
    """The effect over dose and time, each agent up to the largest dose that was tried of it."""
    tried = view.tested.sel({OUTCOME: outcome, AGENT: agents})
    top = float(tried["tested_to"].max())
    doses = np.geomspace(float(tried["tested_from"].min()), top, DOSES)
    effects = _effects(view, outcome, agents, grid[grid >= 0], typical, doses)
    reach = tried["tested_to"].reset_coords(drop=True)
    effects = effects.assign_coords(
        extrapolated=effects["extrapolated"] | (effects[DOSE] > reach * (1 + 1e-6))
    )
    # Dark is much of an effect: of a loss much is low, of a risk much is high.
    lower, counted = view.outcomes[outcome].better == "lower", ""
    if view.is_risk(outcome):
        share, whence = view.baseline(outcome)
        effects = 100 * absolute_risk(effects, share, view.link(outcome))
        axis, lower = f"{view.label(outcome)}, risk in %", False
        counted = (
            f" Risks are counted from {exact_percent(share)} ({whence}), at every hour the same."
        )
    drawn = plot_dose_and_time(effects, axis=axis, dose_axis=exposure_axis(view.spec), lower=lower)
    caption = (
        f"{view.title(outcome)} over dose and time: medians.{counted} Hatched where no trial of the"
        " agent gave such a dose or read at such an hour."
    )
    return drawn, caption


def _dose(view: View, agents: list[str]) -> str:
    doses = {view.main_mark(agent) for agent in agents}
    return dose_text(view, doses.pop()) if len(doses) == 1 else "a dose that was tried"


def _condition(view: View, outcome: str, agent: str) -> str:
    return max(view.conditions, key=lambda condition: view.trials(outcome, agent, condition))


def _effects(
    view: View,
    outcome: str,
    agents: list[str],
    grid: np.ndarray,
    typical: float | None,
    doses: np.ndarray | None = None,
) -> xr.DataArray:
    """Each agent's effect over the hours at its main dose, or at others, where its trials are."""
    found = []
    for agent in agents:
        dose = [view.main_mark(agent)] if doses is None else doses
        effect = effect_over_time(view.thinned, outcome, grid, dose, typical)
        at = {AGENT: agent, CONDITION: _condition(view, outcome, agent)}
        one = effect.sel(at).reset_coords(CONDITION, drop=True)
        if doses is None:
            one = one.isel({DOSE: 0}).reset_coords(DOSE, drop=True)
        found.append(one.assign_coords(agent_label=view.agent(agent)))
    return xr.concat(found, dim=AGENT, coords="different", compat="equals")


def _table(
    view: View,
    outcome: str,
    agents: list[str],
    effects: xr.DataArray,
    last: float,
    typical: float | None,
) -> Table:
    hours = [hour for hour in ASKED if hour <= 2 * last] or [1.0]
    part, asked = view.outcomes[outcome], view.spec.window
    size = asked.benefit_at_least if asked and asked.benefit == outcome else None
    rows = []
    for agent in agents:
        left = share_left(view.thinned, outcome, hours, typical)
        left = left.sel({AGENT: agent}) if AGENT in left.dims else left
        if CONDITION in left.dims:
            left = left.sel({CONDITION: _condition(view, outcome, agent)})
        row = {"agent": view.agent(agent)}
        row |= {f"left_{h:g}": _spread(100 * left.sel({HOUR: h}), _share) for h in hours}
        if size is not None and part.better:
            effect = effects.sel({AGENT: agent})
            row["relief"] = _spread(hours_of_relief(effect, size, part.better), number)
        rows.append(row)
    frame = pd.DataFrame(rows)
    columns = {"agent": ("agent", None)}
    columns |= {f"left_{h:g}": (f"% left after {exact(h)} h", None) for h in hours}
    if "relief" in frame:
        columns["relief"] = (f"hours with at least {exact(size or 0)}{view.unit(outcome)}", None)
    caption = (
        f"{view.title(outcome)}: how much of the effect is left, in percent of it; medians and"
        f" {INTERVAL_TEXT}s."
    )
    if "relief" in frame:
        caption += (
            " Hours of relief count from the end of treatment, 0 where the effect is never that"
            " large, and end with the figure."
        )
    return as_table(frame, caption, columns)


def _share(percent: float) -> str:
    if percent >= 99.5:
        return "100"
    return number(percent, 2) if abs(percent) >= 0.1 else "0.0"


def _spread(draws: xr.DataArray, write: Callable[[float], str]) -> str:
    low, middle, high = spread(draws_of(draws))
    return f"{write(middle)} ({write(low)} to {write(high)})"
