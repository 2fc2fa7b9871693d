"""What is said and drawn of one cell of a sensitivity analysis, on its own page and in a report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.figures import (
    plot_left_out,
    plot_specification_curve,
    plot_tornado,
    plot_two_choices,
)
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Text
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.words import number, probability
from nmda_bayes.sensitivity import one_cell
from nmda_bayes.sensitivity.results import CHOICE, VARIANT

LEFT_OUT, MULTIVERSE = "leave_one_out", "multiverse"


def main_cells(found: xr.Dataset, each: int) -> Iterator[xr.Dataset]:
    """Choose the cells that are drawn: of each outcome those with most trials in the base.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.
    each
        How many of each outcome.

    Yields
    ------
    xr.Dataset
        As `one_cell` gives it.
    """
    cells = list(tried_cells(found))
    for outcome in found[OUTCOME].to_numpy():
        mine = [one for one in cells if one[OUTCOME] == outcome]
        for one in mine[:each]:
            yield one_cell(found, **one)


def tried_cells(found: xr.Dataset) -> Iterator[dict[str, str]]:
    """Name the cells that have a trial in the base, those with most first.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.

    Yields
    ------
    dict[str, str]
        Outcome, agent and condition.
    """
    dims = (OUTCOME, AGENT, CONDITION)
    trials = found["trials"].isel({VARIANT: 0}, drop=True).transpose(*dims)
    counts = trials.to_numpy()
    places = np.argwhere(counts > 0)
    for place in places[np.argsort(-counts[counts > 0], kind="stable")]:
        yield {d: str(trials[d].to_numpy()[i]) for d, i in zip(dims, place, strict=True)}


def spread_of(cell: xr.Dataset) -> Text:
    """Say over which range the variants' answers lie.

    Parameters
    ----------
    cell
        As `one_cell` gives it.

    Returns
    -------
    Text
        Of medians, and of the probability of an effect above 0.
    """
    medians, above = (cell["effect"].sel(statistic=s).to_numpy() for s in ("median", "above_zero"))
    told = np.isfinite(medians)
    return Text(
        f"{cell.attrs['axis']}. In the base the median is {number(medians[0])}; over all variants"
        f" it runs from {number(medians[told].min())} to {number(medians[told].max())}. The"
        f" posterior probability of an effect above 0 is {probability(above[0])} in the base, and"
        f" from {probability(above[told].min())} to {probability(above[told].max())} over the"
        " variants."
    )


def pictures_of(cell: xr.Dataset, gallery: Gallery) -> list[object]:
    """Draw a cell in every way that its variants allow.

    Parameters
    ----------
    cell
        As `one_cell` gives it.
    gallery
        Numbers the figures.

    Returns
    -------
    list[object]
        Specification curve; tornado, leave-one-out forest and heat map of the window where there
        are such variants.
    """
    kinds = set(cell["kind"].to_numpy()[cell["effect"].sel(statistic="median").notnull()])
    where = f"{cell.attrs['title']}, {cell.attrs['axis']}"
    curve = plot_specification_curve(cell)
    drawn: list[object] = [
        gallery.picture(curve, f"Specification curve: {where}. {INTERVAL_TEXT}s.")
    ]
    if kinds - {"base", MULTIVERSE}:
        caption = f"Tornado: medians over the settings of each choice alone. {where}."
        drawn.append(gallery.picture(plot_tornado(cell), caption))
    if LEFT_OUT in kinds:
        caption = f"Leave-one-out: {where}. {INTERVAL_TEXT}s."
        drawn.append(gallery.picture(plot_left_out(cell), caption))
    pair = _most_combined(cell)
    if pair is not None and "p_window" in cell:
        caption = (
            f"The window over two choices: {cell.attrs['title']}. A probability has no interval."
        )
        drawn.append(gallery.picture(plot_two_choices(cell, pair), caption))
    return drawn


def _most_combined(cell: xr.Dataset) -> tuple[str, str] | None:
    """Find the two choices that most variants turn together and alone."""
    moved = (cell["setting"] != cell["setting"].isel({VARIANT: 0})).to_numpy()
    pairs = [tuple(np.flatnonzero(row)) for row in moved if row.sum() == 2]
    if not pairs:
        return None
    first, second = max(dict.fromkeys(pairs), key=pairs.count)
    names = cell[CHOICE].to_numpy()
    return str(names[first]), str(names[second])
