"""What regimens do hour by hour: one panel an outcome, one line a regimen."""

from __future__ import annotations

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.dims import HOUR, OUTCOME
from nmda_bayes.figures.concentration import LOOKS
from nmda_bayes.figures.labelled import need_variables
from nmda_bayes.figures.style import FULL_WIDTH, GREY, drawing
from nmda_bayes.figures.text import legend, note, plain, words
from nmda_bayes.intervals import INTERVAL_TEXT, interval

REGIMEN = "regimen"
#: Linestyle and note of what lies beyond the exposures that were tried.
BEYOND = (0, (1, 1))


def plot_regimens_over_time(answer: xr.Dataset) -> Figure:
    """Draw relief and risk over the hours after the first dose.

    Parameters
    ----------
    answer
        As `nmda_bayes.regimen_over_time` gives it.

    Returns
    -------
    Figure
        Medians with intervals as bands; dotted beyond the exposures tried; the end of each
        treatment marked at the foot.

    Raises
    ------
    ValueError
        If a variable is missing, or there are more regimens than can be told apart.
    """
    need_variables(answer, ("response", "extrapolated"), "plot_regimens_over_time")
    regimens, outcomes = list(answer[REGIMEN].values), list(answer[OUTCOME].values)
    if len(regimens) > len(LOOKS):
        raise ValueError(f"{len(regimens)} regimens cannot be told apart: {len(LOOKS)} at most")
    with drawing(FULL_WIDTH, 3.0) as figure:
        grid = figure.subplots(1, len(outcomes), squeeze=False)[0]
        for axes, outcome in zip(grid, outcomes, strict=True):
            _panel(axes, answer.sel({OUTCOME: outcome}))
        for axes in grid:
            axes.set_xlabel("hours since the first administration")
        legend(figure, _legend(regimens, answer), 2)
        note(figure, _remark(answer))
        figure.set_label(_alt(answer))
    return figure


def _panel(axes: Axes, one: xr.Dataset) -> None:
    band, hours = interval(one["response"]), one[HOUR].values
    for regimen, look in zip(one[REGIMEN].values, LOOKS, strict=False):
        at = {REGIMEN: regimen}
        low, middle, high = (band[k].sel(at).values for k in ("lower", "median", "upper"))
        axes.fill_between(hours, low, high, color=look.color, alpha=0.16, linewidth=0)
        beyond = one["extrapolated"].sel(at).values
        axes.plot(hours, middle, color=look.color, linestyle=look.linestyle)
        if beyond.any():
            axes.plot(hours[beyond], middle[beyond], color=GREY, linestyle=BEYOND, linewidth=2.4)
        end = float(one["ends"].sel(at))
        if end <= hours.max():
            axes.plot([end], [0.02], marker="^", ms=5, color=look.color, linestyle="none",
                      transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
    axes.set_xlim(0, float(hours.max()))
    unit = str(one["unit"].item())
    axes.set_title(plain(one["label"].item(), 60), loc="left")
    axes.set_ylabel("probability" if unit == "probability" else f"difference, {plain(unit, 40)}")
    if unit == "probability":
        axes.set_ylim(bottom=0)


def _legend(regimens: list[str], answer: xr.Dataset) -> list[Artist]:
    found: list[Artist] = [
        Line2D([], [], color=look.color, linestyle=look.linestyle, label=plain(text, 60))
        for text, look in zip(regimens, LOOKS, strict=False)
    ]
    found.append(Line2D([], [], marker="^", color=GREY, linestyle="none", label="treatment ends"))
    if bool(answer["extrapolated"].any()):
        found.append(Line2D([], [], color=GREY, linestyle=BEYOND, linewidth=2.4,
                            label="beyond the exposures tried"))  # fmt: skip
    return found


def _remark(answer: xr.Dataset) -> str:
    about = answer.attrs
    lasting = [str(one["label"].item()) for _, one in answer.groupby(OUTCOME, squeeze=False)
               if not bool(one["fades"].item())]  # fmt: skip
    said = (
        f"{words(about.get('agent_label', ''))} in {words(about.get('condition_label', ''))}."
        f" Lines: medians; bands: {INTERVAL_TEXT}s."
    )
    if "baseline_risk" in about:
        said += f" Risks are counted from a baseline of {about['baseline_risk']:.0%}."
    if lasting:
        said += (
            f" {' and '.join(plain(x, 60) for x in lasting)}: what has come by the hour; the fit"
            " has no time course, so that nothing in it can fade."
        )
    return said.replace("%.", " %.")


def _alt(answer: xr.Dataset) -> str:
    middle = answer["response"].median(("chain", "draw"))
    said = []
    for outcome in answer[OUTCOME].values:
        for regimen in answer[REGIMEN].values:
            line = middle.sel({OUTCOME: outcome, REGIMEN: regimen})
            first, last = (float(line.isel({HOUR: at})) for at in (0, -1))
            label = plain(answer["label"].sel({OUTCOME: outcome}).item())
            said.append(f"{label}, {plain(regimen)}: {first:.3g} to {last:.3g}")
    hours = f"{float(answer[HOUR][0]):.3g} to {float(answer[HOUR][-1]):.3g} hours"
    return f"Outcomes of regimens from {hours} after the first dose, medians. {'; '.join(said)}."
