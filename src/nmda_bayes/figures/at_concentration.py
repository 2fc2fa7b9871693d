"""Outcomes by concentration, beside numbers of experiments that no fit has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import OUTCOME
from nmda_bayes.figures.labelled import need_variables, runs
from nmda_bayes.figures.style import (
    BEYOND_HATCH,
    BEYOND_LINE,
    BLUE,
    FULL_WIDTH,
    GREY,
    ORANGE,
    drawing,
)
from nmda_bayes.figures.text import legend, note, plain, words
from nmda_bayes.intervals import INTERVAL_TEXT, interval

#: What ranges of one panel are called.
LETTERS = "abcdef"


@dataclass(frozen=True, slots=True)
class External:
    """A range of concentrations that an experiment gives.

    Attributes
    ----------
    low, high
        ng/mL; the same where it is one number.
    text
        What it is, and whose.
    """

    low: float
    high: float
    text: str


def plot_at_concentration(answer: xr.Dataset, external: Mapping[str, Sequence[External]]) -> Figure:
    """Draw outcomes by concentration, with what experiments found.

    Parameters
    ----------
    answer
        As `nmda_bayes.response_at_concentration` gives it.
    external
        By outcome; used by no fit.

    Returns
    -------
    Figure
        Medians and intervals, hatched beyond the concentrations of the trials; external ranges as
        bands across.

    Raises
    ------
    ValueError
        If a variable is missing.
    """
    need_variables(answer, ("response", "extrapolated"), "plot_at_concentration")
    outcomes = list(answer[OUTCOME].values)
    with drawing(FULL_WIDTH, 3.1) as figure:
        grid = figure.subplots(1, len(outcomes), squeeze=False)[0]
        for axes, outcome in zip(grid, outcomes, strict=True):
            _panel(axes, answer.sel({OUTCOME: outcome}), external.get(str(outcome), ()))
            axes.set_xlabel(f"{words(answer.attrs.get('analyte', ''))}, ng/mL")
        legend(figure, _legend(), 2)
        note(figure, " ".join([_remark(answer), *_marks(answer, external)]))
        figure.set_label(_alt(answer, external))
    return figure


def _panel(axes: Axes, one: xr.Dataset, external: Sequence[External]) -> None:
    band, x = interval(one["response"]), one["concentration"].values
    for part, outside in runs(one["extrapolated"].values):
        low, middle, high = (band[k].values[part] for k in ("lower", "median", "upper"))
        color = GREY if outside else BLUE
        axes.fill_between(
            x[part], low, high, facecolor="none" if outside else color, edgecolor=color,
            alpha=0.55 if outside else 0.25, hatch=BEYOND_HATCH if outside else None,
            linewidth=0.4 if outside else 0,
        )  # fmt: skip
        axes.plot(x[part], middle, color=color, linestyle=BEYOND_LINE if outside else "-")
    for letter, mark in zip(LETTERS, external, strict=False):
        if mark.high > mark.low:
            axes.axvspan(mark.low, mark.high, color=ORANGE, alpha=0.22, linewidth=0)
        else:
            axes.axvline(mark.low, color=ORANGE, linewidth=1.6)
        axes.text(mark.high, 0.98, letter, ha="right", va="top", weight="bold",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xlim(float(x.min()), float(x.max()))
    unit = str(one["unit"].item())
    axes.set_title(plain(one["label"].item(), 60), loc="left")
    axes.set_ylabel("probability" if unit == "probability" else f"difference, {plain(unit, 40)}")
    if unit == "probability":
        axes.set_ylim(bottom=0)


def _legend() -> list[Artist]:
    return [
        Line2D([], [], color=BLUE, label="median"),
        Patch(facecolor=BLUE, alpha=0.25, label=INTERVAL_TEXT),
        Patch(facecolor="none", edgecolor=GREY, hatch=BEYOND_HATCH, label="beyond the trials"),
        Patch(facecolor=ORANGE, alpha=0.3, label="an experiment, used by no fit"),
    ]


def _remark(answer: xr.Dataset) -> str:
    about = answer.attrs
    axes = "; ".join(dict.fromkeys(plain(x, 120) for x in answer["axis"].values))
    said = f"{words(about.get('agent_label', ''))} in {words(about.get('condition_label', ''))}."
    said += f" The fit's axes: {axes}; brought back to ng/mL by the reference regimen."
    if "baseline_risk" in about:
        said += f" Risks from a baseline of {100 * about['baseline_risk']:.3g} %."
    return said


def _marks(answer: xr.Dataset, external: Mapping[str, Sequence[External]]) -> Iterator[str]:
    """Say what each letter is, panel by panel."""
    for outcome in answer[OUTCOME].values:
        label = plain(answer["label"].sel({OUTCOME: outcome}).item())
        for letter, mark in zip(LETTERS, external.get(str(outcome), ()), strict=False):
            span = f"{mark.low:g}" if mark.low == mark.high else f"{mark.low:g} to {mark.high:g}"
            yield f"{label}, {letter}: {plain(mark.text, 90)}, {span} ng/mL."


def _alt(answer: xr.Dataset, external: Mapping[str, Sequence[External]]) -> str:
    said = []
    for outcome in answer[OUTCOME].values:
        one = answer.sel({OUTCOME: outcome})
        middle = one["response"].median(("chain", "draw"))
        ends = f"{float(middle[0]):.3g} to {float(middle[-1]):.3g}"
        said.append(f"{plain(one['label'].item())}: {ends}")
    x = answer["concentration"]
    span = f"{float(x[0]):.3g} to {float(x[-1]):.3g} ng/mL"
    marks = " ".join(_marks(answer, external))
    return f"Outcomes by concentration from {span}, medians. {'. '.join(said)}. {marks}".strip()
