"""A sensitivity analysis as a page of its own, and as the table that a journal would take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.figures import (
    plot_left_out,
    plot_specification_curve,
    plot_tornado,
    plot_two_choices,
)
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Items, Section, Text, as_table, folded
from nmda_bayes.report.page import as_page, free_for_a_page, write_page
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.words import count, listed, number, percent
from nmda_bayes.sensitivity import compare, one_cell
from nmda_bayes.sensitivity.results import CHOICE, VARIANT

#: Cells of an outcome that have a section of their own: those with most trials.
CELLS = 3
NAMED, LEFT_OUT, MULTIVERSE = "named", "leave_one_out", "multiverse"


def write_variants_page(path: str | os.PathLike[str], found: xr.Dataset) -> Path:
    """Write a sensitivity analysis as one self-contained page.

    Parameters
    ----------
    path
        The HTML file.
    found
        As `nmda_bayes.fit_variants` gives it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If nothing may be written there.
    """
    return write_page(free_for_a_page(path), render_variants(found))


def render_variants(found: xr.Dataset) -> str:
    """Write a sensitivity analysis as a page.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.

    Returns
    -------
    str
        HTML; every text from the file and the evidence is escaped.
    """
    gallery = Gallery()
    sections = [_what(found), *(_cell(one, gallery) for one in main_cells(found)), _every(found)]
    return as_page(str(found.attrs["title"]), sections, passed=bool(_believed(found).all()))


def variants_table(found: xr.Dataset) -> pd.DataFrame:
    """Put every variant's effect of every cell that has a trial into one table.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.

    Returns
    -------
    pd.DataFrame
        One row a cell and variant: outcome, agent, condition, then the columns of `compare`; the
        ends are those of a 95 % equal-tailed interval.
    """
    frames = []
    for one in _cells(found):
        frame = compare(found, **one)
        for place, (dim, label) in enumerate(one.items()):
            frame.insert(place, dim, label)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def main_cells(found: xr.Dataset) -> Iterator[xr.Dataset]:
    """Choose the cells that the page draws: of each outcome those with most trials in the base.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.

    Yields
    ------
    xr.Dataset
        As `one_cell` gives it.
    """
    cells = list(_cells(found))
    for outcome in found[OUTCOME].to_numpy():
        mine = [one for one in cells if one["outcome"] == outcome]
        for one in mine[:CELLS]:
            yield one_cell(found, **one)


def _cells(found: xr.Dataset) -> Iterator[dict[str, str]]:
    dims = (OUTCOME, AGENT, CONDITION)
    trials = found["trials"].isel({VARIANT: 0}, drop=True).transpose(*dims)
    counts = trials.to_numpy()
    places = np.argwhere(counts > 0)
    for place in places[np.argsort(-counts[counts > 0], kind="stable")]:
        yield {d: str(trials[d].to_numpy()[i]) for d, i in zip(dims, place, strict=True)}


def _believed(found: xr.Dataset) -> np.ndarray:
    """True where a variant has an answer that its checks let pass, or cannot be fitted at all."""
    fitted = found["how"].to_numpy() != ""
    return found["passed"].to_numpy() | ~fitted


def _what(found: xr.Dataset) -> Section:
    how = pd.Series(found["how"].to_numpy())
    ways = [f"{number_of} {way}" for way, number_of in how[how != ""].value_counts().items()]
    base = str(found["how"].isel({VARIANT: 0}).item())
    intro = (
        f"{count(found.sizes[VARIANT], 'analysis', 'analyses')}: the base ({base}) and what differs"
        f" from it. How they were got: {listed(ways)}. Effects are compared at exposure"
        f" {found.attrs['dose']:g}, on the scale of the linear predictor, as medians with"
        f" {INTERVAL_TEXT}s. No variant is more right than the base; together they say what rests"
        " on a choice."
    )
    blocks: list[object] = [Text(intro, "lead")]
    names, remarks = ([str(w) for w in found[key].to_numpy()] for key in (VARIANT, "remark"))
    named = [i for i, kind in enumerate(found["kind"].to_numpy()) if kind == NAMED]
    if named:
        pairs = [(names[i], str(found["why"].to_numpy()[i])) for i in named]
        items = tuple(f"{name.replace('_', ' ')}: {why}" for name, why in pairs)
        blocks += [Text("The variants that were written by name, and why:"), Items(items)]
    untold = [i for i, way in enumerate(found["how"].to_numpy()) if not way]
    if untold:
        said = [f"{names[i]}: {remarks[i]}." for i in untold]
        blocks += [Text(f"{count(len(untold), 'variant')} without an answer:"), Items(tuple(said))]
    refused = np.flatnonzero(~_believed(found))
    if len(refused):
        said = [f"{names[i]}: {remarks[i]}." for i in refused]
        text = (
            f"The diagnostics refused {count(len(refused), 'variant')}; draw no conclusion there:"
        )
        blocks += [Text(text, "refused"), Items(tuple(said))]
    return Section("what", "What was varied", tuple(blocks))


def _cell(cell: xr.Dataset, gallery: Gallery) -> Section:
    spans = cell["effect"].sel(statistic="median").to_numpy()
    sides = cell["effect"].sel(statistic="above_zero").to_numpy()
    told = np.isfinite(spans)
    text = (
        f"{cell.attrs['axis']}. In the base the median is {number(spans[0])}; over all variants it"
        f" runs from {number(spans[told].min())} to {number(spans[told].max())}. The posterior"
        f" probability of an effect above 0 is {percent(sides[0])} in the base, and from"
        f" {percent(sides[told].min())} to {percent(sides[told].max())} over the variants."
    )
    blocks: list[object] = [Text(text)]
    kinds = set(cell["kind"].to_numpy()[told])
    where = f"{cell.attrs['title']}, {cell.attrs['axis']}"
    curve = plot_specification_curve(cell)
    blocks.append(gallery.picture(curve, f"Specification curve: {where}. {INTERVAL_TEXT}s."))
    if kinds - {"base", MULTIVERSE}:
        caption = f"Tornado: medians over the settings of each choice alone. {where}."
        blocks.append(gallery.picture(plot_tornado(cell), caption))
    if LEFT_OUT in kinds:
        caption = f"Leave-one-out: {where}. {INTERVAL_TEXT}s."
        blocks.append(gallery.picture(plot_left_out(cell), caption))
    pair = _most_combined(cell)
    if pair is not None and "p_window" in cell:
        caption = (
            f"The window over two choices: {cell.attrs['title']}. A probability has no interval."
        )
        blocks.append(gallery.picture(plot_two_choices(cell, pair), caption))
    key = "-".join(str(cell.attrs[dim]) for dim in (OUTCOME, AGENT, CONDITION))
    outcome = str(cell.attrs["axis"]).partition(":")[0]
    return Section(f"cell-{key}", f"{outcome}: {cell.attrs['title']}", tuple(blocks))


def _most_combined(cell: xr.Dataset) -> tuple[str, str] | None:
    """Find the two choices that most variants turn together and alone."""
    moved = (cell["setting"] != cell["setting"].isel({VARIANT: 0})).to_numpy()
    pairs = [tuple(np.flatnonzero(row)) for row in moved if row.sum() == 2]
    if not pairs:
        return None
    first, second = max(dict.fromkeys(pairs), key=pairs.count)
    names = cell[CHOICE].to_numpy()
    return str(names[first]), str(names[second])


def _every(found: xr.Dataset) -> Section:
    frame = variants_table(found)
    first = frame.drop_duplicates(["outcome", "agent", "condition"]).head(1)
    cell = {dim: str(first[dim].iloc[0]) for dim in ("outcome", "agent", "condition")}
    shown = compare(found, **cell)
    words = one_cell(found, **cell).attrs
    columns = {
        "variant": ("variant", None),
        "median": ("median", number),
        "lower": ("2.5 %", number),
        "upper": ("97.5 %", number),
        "shift": ("moved, SDs of the base", number),
        "trials": ("trials", str),
        "how": ("how", None),
        "remark": ("remark", None),
    }
    marks = ["" if ok else "hole" for ok in shown["passed"]]
    table = as_table(shown, f"{words['title']}: {words['axis']}; {INTERVAL_TEXT}s.", columns, marks)
    text = (
        "Every variant, of the cell with most trials. All cells stand in sensitivity.csv beside"
        " this page, and all numbers in sensitivity.nc."
    )
    return Section("every", "Every variant", (Text(text), folded(table, "every variant")))
