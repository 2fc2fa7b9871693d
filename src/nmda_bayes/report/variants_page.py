"""A sensitivity analysis as a page of its own, and as the table that a journal would take."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Items, Section, Text, as_table, folded
from nmda_bayes.report.foretelling import foretelling
from nmda_bayes.report.page import as_page, free_for_a_page, write_page
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.variant_cells import main_cells, pictures_of, spread_of, tried_cells
from nmda_bayes.report.words import count, listed, number
from nmda_bayes.sensitivity import compare, one_cell
from nmda_bayes.sensitivity.results import VARIANT
from nmda_bayes.sensitivity.variants import SAME_ROWS

#: Cells of an outcome that have a section of their own: those with most trials.
CELLS = 3
NAMED = "named"
#: How answers are got, for a reader who asks whether the cheap ones may be believed.
WAYS = (
    "Reweighted: the base's own draws, weighed for the variant, where the weights' tail (k-hat at"
    " most 0.7) and at least 400 effective draws allow it. Moment matched: those draws moved to the"
    " variant's mean and spread and weighed again, under the same conditions. Refitted: drawn anew"
    " by a model that was compiled already; fitted: by one of its own. Both draw half as often as"
    " the base, 1,000 a chain at least, and as many chains again where the diagnostics would refuse"
    " the half. Exact: integrated."
    " Monte Carlo errors of the means stand in sensitivity.csv."
)


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
    told = foretelling(found)
    sections = [
        _what(found),
        *([Section("foretold", "What is foretold of trials", tuple(told))] if told else []),
        *(_cell(one, gallery) for one in main_cells(found, CELLS)),
        _every(found),
    ]
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
    for one in tried_cells(found):
        frame = compare(found, **one)
        for place, (dim, label) in enumerate(one.items()):
            frame.insert(place, dim, label)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


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
    blocks: list[object] = [Text(intro, "lead"), Text(WAYS)]
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
    alike = [name for name, remark in zip(names, remarks, strict=True) if remark == SAME_ROWS]
    if alike:
        blocks.append(Text(f"{listed(alike)}: {SAME_ROWS}."))
    refused = np.flatnonzero(~_believed(found))
    if len(refused):
        said = [f"{names[i]}: {remarks[i]}." for i in refused]
        text = (
            f"The diagnostics refused {count(len(refused), 'variant')}; draw no conclusion there:"
        )
        blocks += [Text(text, "refused"), Items(tuple(said))]
    return Section("what", "What was varied", tuple(blocks))


def _cell(cell: xr.Dataset, gallery: Gallery) -> Section:
    key = "-".join(str(cell.attrs[dim]) for dim in (OUTCOME, AGENT, CONDITION))
    outcome = str(cell.attrs["axis"]).partition(":")[0]
    blocks = (spread_of(cell), *pictures_of(cell, gallery))
    return Section(f"cell-{key}", f"{outcome}: {cell.attrs['title']}", blocks)


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
