"""The evidence map: agents by conditions by outcomes (by time), the holes drawn as holes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.figures.labelled import need_dims
from nmda_bayes.figures.style import BLACK, FULL_WIDTH, GREY, PALE, drawing
from nmda_bayes.figures.text import legend, named, note, words, wrapped

#: Light to dark: the number of studies stands in the cell as well.
SHADES = ((1, "#D6E6F2"), (2, "#9CC4E0"), (4, "#4F97C7"), (8, "#0072B2"), (16, "#00466E"))
AT_MOST = {AGENT: 10, CONDITION: 15, OUTCOME: 6}
#: With a fourth dim, whose labels are the rows of panels, a page holds less of the others.
AT_MOST_BY_ROWS = {AGENT: 10, CONDITION: 7, OUTCOME: 3}
CELL = 0.17


def plot_evidence_map(
    evidence_map: xr.Dataset | xr.DataArray,
    *,
    agents: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
) -> Figure:
    """Draw how many studies reported each outcome of each agent in each condition.

    Parameters
    ----------
    evidence_map
        Number of studies with usable results (``results`` of a dataset), dims agent, condition,
        outcome, and one more if wanted, such as time, whose labels become rows of panels; printed
        names as the coordinates ``<dim>_label``.
    agents
        Which to draw, in this order; if None, those with the most studies, as many as can be read.
    conditions
        Which to draw; as for agents.
    outcomes
        Which to draw; as for agents. One that nobody reported is drawn as an empty panel.

    Returns
    -------
    Figure
        One panel an outcome, or an outcome and time; a cell without a study is a hatched frame
        with a 0. What is not shown is counted at the foot.

    Raises
    ------
    ValueError
        If a dim is missing, or there are more than four.
    """
    results = evidence_map["results"] if isinstance(evidence_map, xr.Dataset) else evidence_map
    need_dims(results, (AGENT, CONDITION, OUTCOME), "plot_evidence_map")
    dims = (OUTCOME, CONDITION, AGENT)
    by = [str(dim) for dim in results.dims if dim not in dims]
    if len(by) > 1:
        raise ValueError(f"plot_evidence_map draws four dims; take one of {', '.join(by)}")
    chosen = {AGENT: agents, CONDITION: conditions, OUTCOME: outcomes}
    shown, left = results, []
    for dim, wanted in chosen.items():
        shown, dropped = _choose(shown, dim, wanted, (AT_MOST_BY_ROWS if by else AT_MOST)[dim])
        if dropped:
            left.append(f"{dropped} {words(dim)}{'' if dropped == 1 else 's'}")
    shown = shown.transpose(*by, *dims)
    panels = [
        (shown.isel({OUTCOME: column} | dict.fromkeys(by, line)), line)
        for line in range(shown.sizes[by[0]] if by else 1)
        for column in range(shown.sizes[OUTCOME])
    ]
    columns, rows = shown.sizes[AGENT], shown.sizes[CONDITION]
    fit = max(1, int((FULL_WIDTH - 1.4) // (CELL * columns + 0.15)))
    across = shown.sizes[OUTCOME] if by else min(len(panels), fit)
    lines = -(-len(panels) // across)
    width = min(FULL_WIDTH, 1.8 + across * (CELL * columns + 0.15))
    height = 1.5 + lines * (CELL * rows + 0.35)
    with drawing(max(width, 3.4), height) as figure:
        grid = figure.subplots(lines, across, sharex=True, sharey=True, squeeze=False)
        for axes, (panel, line) in zip(grid.flat, panels, strict=False):
            _panel(axes, panel, titled=line == 0)
            if by and axes in grid[:, 0]:
                text = wrapped(named(panel, by[0], 60), 15)
                axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes in grid[0]:
            axes.tick_params(axis="x", labeltop=True)
        legend(figure, _legend(), 6)
        if left:
            note(figure, f"Not shown, with fewer studies: {', '.join(left)}.")
        figure.set_label(_alt(shown))
    return figure


def _choose(
    results: xr.DataArray, dim: str, wanted: Sequence[str] | None, most: int
) -> tuple[xr.DataArray, int]:
    """Keep what was asked for, or what has the most studies; say how many went."""
    if wanted is not None:
        known = set(results[dim].values)
        found = results.reindex({dim: list(wanted)}, fill_value=0)
        if f"{dim}_label" in found.coords:
            pairs = zip(wanted, found[f"{dim}_label"].values, strict=True)
            labels = [label if name in known else words(name) for name, label in pairs]
            found = found.assign_coords({f"{dim}_label": (dim, labels)})
        return found, 0
    others = [d for d in results.dims if d != dim]
    order = np.argsort(-results.sum(others).values, kind="stable")
    return results.isel({dim: order[:most]}), max(0, len(order) - most)


def _panel(axes: Axes, panel: xr.DataArray, *, titled: bool) -> None:
    counts = panel.values.astype(int)
    size = 0.86
    boxes = {
        (x, y): Rectangle((x - size / 2, y - size / 2), size, size)
        for y, x in np.ndindex(counts.shape)
    }
    empty = [box for (x, y), box in boxes.items() if counts[y, x] == 0]
    full = [(counts[y, x], box) for (x, y), box in boxes.items() if counts[y, x] > 0]
    axes.add_collection(
        PatchCollection(
            empty, facecolor="none", edgecolor=PALE, hatch="////", linewidth=0.5,
            linestyle=(0, (2, 1.5)), label="_no study",
        )
    )  # fmt: skip
    axes.add_collection(
        PatchCollection(
            [box for _, box in full], facecolors=[_shade(int(number)) for number, _ in full],
            edgecolors=GREY, linewidth=0.4, label="_studies",
        )
    )  # fmt: skip
    for (x, y), _box in boxes.items():
        many = counts[y, x]
        number = axes.text(
            x, y, str(many), ha="center", va="center_baseline", fontsize=6 if many else 5,
            color="white" if many >= 4 else BLACK if many else GREY,
        )  # fmt: skip
        # It stays inside its cell: measuring each would take the layout most of its time.
        number.set_in_layout(False)
    cleared = [Rectangle((x - 0.17, y - 0.2), 0.34, 0.4) for x, y in boxes if counts[y, x] == 0]
    axes.add_collection(PatchCollection(cleared, facecolor="white", linewidth=0, label="_zeros"))
    axes.set_xlim(-0.5, counts.shape[1] - 0.5)
    axes.set_ylim(counts.shape[0] - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(counts.shape[1]), _names(panel, AGENT), rotation=90)
    axes.set_yticks(range(counts.shape[0]), _names(panel, CONDITION))
    axes.tick_params(length=0, labelsize=6.5, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    width = max(16, int(2.4 * counts.shape[1]))
    lines = [wrapped(named(panel, OUTCOME, 60), width)] if titled else []
    axes.set_title("\n".join([*lines, *([] if counts.any() else ["(no study)"])]), fontsize=7)


def _names(panel: xr.DataArray, dim: str) -> list[str]:
    return [named(panel.isel({dim: i}), dim) for i in range(panel.sizes[dim])]


def _shade(number: int) -> str:
    return [color for least, color in SHADES if number >= least][-1]


def _legend() -> list[Patch]:
    ends = [
        f"–{nxt - 1}" if nxt - 1 > least else ""
        for (least, _), (nxt, _) in zip(SHADES, SHADES[1:], strict=False)
    ]
    texts = [f"{least}{end}" for (least, _), end in zip(SHADES, [*ends, " or more"], strict=True)]
    texts[0] += " study"
    none = Patch(facecolor="none", edgecolor=GREY, hatch="////", linestyle="--", label="no study")
    return [
        none,
        *(
            Patch(facecolor=c, edgecolor=GREY, label=t)
            for (_, c), t in zip(SHADES, texts, strict=True)
        ),
    ]


def _alt(shown: xr.DataArray) -> str:
    empty = int((shown == 0).sum())
    each = [shown.isel({OUTCOME: i}) for i in range(shown.sizes[OUTCOME])]
    silent = [named(one, OUTCOME) for one in each if not bool(one.any())]
    text = (
        f"Map of {shown.sizes[AGENT]} agents, {shown.sizes[CONDITION]} conditions and"
        f" {shown.sizes[OUTCOME]} outcomes: {empty} of {shown.size} cells have no study."
    )
    return f"{text} No study at all: {', '.join(silent)}." if silent else text
