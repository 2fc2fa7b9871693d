"""Our numbers beside published ones, where the evidence holds published pools of these rows."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.estimands import beside_published
from nmda_bayes.figures import plot_side_by_side
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Heading, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import effect, percent

RATIO = "RR"
MEASURES = {"MD": "mean difference", RATIO: "risk ratio"}


def side_by_side(view: View, gallery: Gallery) -> list[object]:
    """Hold published pooled results beside ours.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    list
        A heading, and a figure and a table for each measure; nothing where none was published.
    """
    found = beside_published(view.fit)
    blocks: list[object] = []
    for measure, frame in found.groupby("measure", sort=False):
        blocks += _of_measure(gallery, str(measure), frame.reset_index(drop=True))
    return [Heading("Beside published results"), *blocks] if blocks else []


def _of_measure(gallery: Gallery, measure: str, frame: pd.DataFrame) -> list[object]:
    what = MEASURES.get(measure, measure)
    caption = (
        f"Published pools ({what}, 95 % confidence interval) and this fit of the same rows (median,"
        f" {INTERVAL_TEXT}). They differ in how heterogeneity is taken and, for counts, in the"
        " likelihood; neither is the truth."
    )
    if measure == RATIO:
        caption += (
            " The fit's odds ratio is turned into a risk ratio at the pooled risk of the reference"
            " arms."
        )
    figure = plot_side_by_side(frame, axis=what, log=measure == RATIO)
    shown = frame.assign(
        theirs=_texts(frame, "published"),
        mine=_texts(frame, "ours"),
        risk=["" if pd.isna(risk) else percent(risk) for risk in frame["at_risk"]],
    )
    columns = {
        "label": ("analysis and outcome", None),
        "theirs": ("published", str),
        "mine": ("this fit", str),
        "risk": ("reference risk", str),
    }
    title = f"The same numbers: {what}, 95 % confidence interval and {INTERVAL_TEXT}."
    return [gallery.picture(figure, caption), as_table(shown, title, columns)]


def _texts(frame: pd.DataFrame, whose: str) -> list[str]:
    numbers = frame[[whose, f"{whose}_low", f"{whose}_high"]].to_numpy(float)
    return [f"{effect(m)} ({effect(low)} to {effect(high)})" for m, low, high in numbers]
