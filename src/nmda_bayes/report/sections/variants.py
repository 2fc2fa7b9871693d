"""What other analysts would have answered: the sensitivity analysis that stands beside a fit."""

from __future__ import annotations

import json

import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.figures import plot_specification_curve, plot_tornado
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Heading, Section, Text, as_table
from nmda_bayes.report.foretelling import foretelling
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.variant_cells import MULTIVERSE, main_cells, spread_of
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, number, probability
from nmda_bayes.sensitivity import compare
from nmda_bayes.sensitivity.results import VARIANT

NAMED = "named"


def variants(view: View, gallery: Gallery) -> Section | None:
    """Say how far the answers move over the variants of the analysis.

    Parameters
    ----------
    view
        The fit, with the sensitivity analysis that was found beside it.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        Of each outcome the cell with most trials; None where no sensitivity analysis is there.
    """
    found = view.variants
    if found is None:
        return None
    answered = int((found["how"] != "").sum()) - 1
    blocks: list[object] = [
        Text(
            f"{count(answered, 'variant')} of this analysis, with other priors, trials, curves and"
            " choices, were answered beside it. All of them, with how each was got, stand in the"
            " sensitivity analysis' own page. No variant is more right than the base."
        )
    ]
    if json.loads(found.attrs["spec"]) != json.loads(view.spec.to_json()):
        said = "Their base is not quite this analysis: the two specs differ. Read both."
        blocks.append(Text(said, "refused"))
    blocks += foretelling(found)
    for cell in main_cells(found, 1):
        where = f"{cell.attrs['title']}, {cell.attrs['axis']}"
        blocks += [Heading(str(cell.attrs["title"])), spread_of(cell)]
        caption = f"Specification curve: {where}. {INTERVAL_TEXT}s."
        blocks.append(gallery.picture(plot_specification_curve(cell), caption))
        if set(cell["kind"].to_numpy()) - {"base", MULTIVERSE}:
            caption = f"Tornado: medians over the settings of each choice alone. {where}."
            blocks.append(gallery.picture(plot_tornado(cell), caption))
        blocks += _written(found, cell)
    return Section("variants", "Sensitivity to choices", tuple(blocks))


def _written(found: xr.Dataset, cell: xr.Dataset) -> list[object]:
    """List the variants that were written by name."""
    shown = compare(found, *(str(cell.attrs[dim]) for dim in (OUTCOME, AGENT, CONDITION)))
    rows = shown[shown["kind"].isin([NAMED, "base"]) & shown["median"].notna()]
    if len(rows) < 2:
        return []
    columns = {
        "variant": ("variant", None),
        "median": ("median", number),
        "lower": ("2.5 %", number),
        "upper": ("97.5 %", number),
        "above_zero": ("above 0", probability),
        "trials": ("trials", str),
    }
    caption = (
        f"The variants that were written by name: {cell.attrs['title']}, {cell.attrs['axis']};"
        f" {INTERVAL_TEXT}s."
    )
    words = rows.assign(variant=rows[VARIANT].str.replace("_", " "))
    return [as_table(words, caption, columns, ["" if ok else "hole" for ok in rows["passed"]])]
