"""The league table as a picture: effects below the diagonal, what stands behind them above it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from nmda_bayes.dims import AGENT
from nmda_bayes.figures.axes import decimals
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import NO_TRIAL_HATCH, PALE, drawing
from nmda_bayes.figures.text import legend, note, number, plain, wrapped
from nmda_bayes.intervals import INTERVAL_TEXT

COMPARATOR = "comparator"
#: Agents on one page: a cell must hold an interval in print.
AT_MOST = 9
#: Tints that black text can be read on, and that differ in lightness.
BETTER, WORSE, NAMED = "#A9D3EE", "#FBE3B4", "#EDEDED"
PRIOR_ONLY = "prior only"
HELD = ("evidence", "trials")
#: After a number at an extrapolated dose.
DAGGER = "\N{DAGGER}"


def plot_league(league: xr.Dataset) -> Figure:
    """Draw every agent against every other at a named dose.

    Parameters
    ----------
    league
        As `nmda_bayes.estimands.league_table` gives it: ``lower``, ``median``, ``upper``,
        ``evidence``, ``trials`` and ``extrapolated`` over agent and comparator.

    Returns
    -------
    Figure
        Below the diagonal the row's agent against the column's; above it the trials that hold
        both, and whether others connect them.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    need_dims(league, (AGENT, COMPARATOR), "plot_league")
    parts = ("lower", "median", "upper", "evidence", "trials", "extrapolated", "label", "dose")
    need_variables(league, parts, "plot_league")
    shown, left_out = _chosen(league)
    size = shown.sizes[AGENT]
    with drawing(7.2, 0.42 * size + 0.75) as figure:
        axes = figure.subplots()
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.set_axis_off()
        digits = _digits(shown)
        for i in range(size):
            _name(axes, shown, i)
            for j in range(i):
                _cell(axes, shown, (i, j), digits)
        handles = _legend(shown)
        if handles:
            legend(figure, handles)
        note(figure, _note(shown, left_out))
        figure.set_label(_alt(shown, left_out))
    return figure


def _chosen(league: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Keep as many agents as a page holds, those first that trials tie to the first one."""
    if league.sizes[AGENT] <= AT_MOST:
        return league, ""
    loose = league["evidence"].values[:, 0] == PRIOR_ONLY
    trials = league["trials"].values.sum(axis=1)
    order = np.lexsort((-trials, loose))
    kept = sorted([0, *[i for i in order if i != 0][: AT_MOST - 1]])
    gone = [str(league["label"].values[i]) for i in range(len(loose)) if i not in kept]
    where = {AGENT: kept, COMPARATOR: kept}
    return league.isel(where), f"Not drawn, with fewer trials: {', '.join(gone)}."


def _digits(league: xr.Dataset) -> int:
    if league.attrs.get("null") == 1:
        return 2
    where = np.tril_indices(league.sizes[AGENT], -1)
    span = (league["upper"] - league["lower"]).values[where]
    return min(decimals(float(np.median(span))), 2)


def _name(axes: Axes, league: xr.Dataset, place: int) -> None:
    axes.add_patch(
        Rectangle((place, place), 1, 1, facecolor=NAMED, edgecolor="white", linewidth=1.2)
    )
    label = plain(league["label"].values[place], 40)
    longest = max(map(len, label.split()))
    # Points for one letter of the longest word, of which a bold one is 0.7 times as wide as high.
    letter = 7.0 / league.sizes[AGENT] * 72 / (longest + 1)
    size = min(6.8, letter / 0.7)
    text = wrapped(label, max(longest, int(7.0 / league.sizes[AGENT] * 72 / (0.7 * size))))
    dose = float(league["dose"].values[place])
    if "own dose" in str(league.attrs.get("dose", "")) and dose > 0:
        text += f"\n(dose {dose:g})"
    style: dict[str, Any] = {"ha": "center", "va": "center", "linespacing": 0.95}
    axes.text(place + 0.5, place + 0.5, text, fontsize=size, fontweight="bold", **style)


def _cell(axes: Axes, league: xr.Dataset, place: tuple[int, int], digits: int) -> None:
    i, j = place
    one = league.isel({AGENT: i, COMPARATOR: j})
    low, middle, high = (_number(float(one[k]), digits) for k in ("lower", "median", "upper"))
    evidence, trials = str(one["evidence"].item()), int(one["trials"])
    untied = _untied(evidence, trials)
    dagger = DAGGER if bool(one["extrapolated"]) else ""
    verdict = _verdict(one, league.attrs)
    colour = {"better": BETTER, "worse": WORSE}.get(verdict, "white")
    axes.add_patch(
        Rectangle(
            (j, i), 1, 1, facecolor=colour, edgecolor=PALE, linewidth=0.6,
            hatch=NO_TRIAL_HATCH if untied else None,
        )
    )  # fmt: skip
    style: dict[str, Any] = {"ha": "center", "va": "center"}
    if untied:
        style["bbox"] = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
    weight = "bold" if verdict else "normal"
    text = f"{middle}{dagger}\n{low} to {high}"
    axes.text(j + 0.5, i + 0.5, text, fontsize=6.2, fontweight=weight, linespacing=1.15, **style)
    said = wrapped(evidence, 14)
    if trials:
        said = f"{trials} trial{'s' if trials > 1 else ''}" + (
            "\n+ indirect" if "indirect" in evidence else ""
        )
    axes.text(i + 0.5, j + 0.5, said, ha="center", va="center", fontsize=5.8, color="#444444")


def _number(value: float, digits: int) -> str:
    """Print a number: large ratios with fewer decimals, and no wider than a cell."""
    if abs(value) >= 1000:
        return f"{value:.0e}".replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
    return number(value, 0 if abs(value) >= 100 else min(digits, 1) if abs(value) >= 10 else digits)


def _verdict(one: xr.Dataset, attrs: dict[str, Any]) -> str:
    """Say on which side of no difference the whole interval lies."""
    null, better = float(attrs.get("null", 0.0)), attrs.get("better", "")
    low, high = float(one["lower"]), float(one["upper"])
    if low <= null <= high:
        return ""
    below = high < null
    if not better:
        return "apart"
    return "better" if below == (better == "lower") else "worse"


def _legend(league: xr.Dataset) -> list[Patch]:
    edge: dict[str, Any] = {"edgecolor": PALE, "linewidth": 0.6}
    ends = f"\ninterval excludes {league.attrs.get('null', 0.0):g}"
    found = []
    if league.attrs.get("better"):
        found = [
            Patch(facecolor=BETTER, label=f"row better than column:{ends}", **edge),
            Patch(facecolor=WORSE, label=f"row worse than column:{ends}", **edge),
        ]
    below = np.tril_indices(league.sizes[AGENT], -1)
    if any(
        _untied(str(e), int(n))
        for e, n in zip(*(league[k].values[below] for k in HELD), strict=True)
    ):
        rests = "no trials connect the two:\nan assumption, or the prior"
        found.append(Patch(facecolor="white", hatch=NO_TRIAL_HATCH, label=rests, **edge))
    return found


def _untied(evidence: str, trials: int) -> bool:
    return trials == 0 and evidence != "indirect"


def _note(league: xr.Dataset, left_out: str) -> str:
    attrs = league.attrs
    where = f", {plain(attrs['condition'], 60)}" if attrs.get("condition") else ""
    text = (
        f"{plain(attrs.get('title', ''), 60)}, {attrs.get('dose', '')}{where}. Below the diagonal:"
        f" the row's agent against the column's, {attrs.get('scale_text', 'effect')}, median and"
        f" {INTERVAL_TEXT}. Above it: trials that hold both, and whether other trials connect them."
    )
    if bool(league["extrapolated"].any()):
        text += f" {DAGGER}: a dose beyond those tried of the agent."
    return f"{text} {left_out}".strip()


def _alt(league: xr.Dataset, left_out: str) -> str:
    size = league.sizes[AGENT]
    null = float(league.attrs.get("null", 0.0))
    below = np.tril(np.ones((size, size), bool), -1)
    apart = ((league["lower"] > null) | (league["upper"] < null)).values & below
    loose = (league["evidence"].values == PRIOR_ONLY) & below
    return (
        f"League table of {size} agents, {plain(league.attrs.get('title', ''), 60)},"
        f" {league.attrs.get('scale_text', 'effect')} {league.attrs.get('dose', '')}: of"
        f" {int(below.sum())} pairs, {int(apart.sum())} have a {INTERVAL_TEXT} that excludes"
        f" {null:g}, {int(loose.sum())} rest on the prior only. {left_out}"
    ).strip()
