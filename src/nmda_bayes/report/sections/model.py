"""The model, in equations made from its own parts."""

from __future__ import annotations

from nmda_bayes.report.blocks import Code, Fold, Formulas, Section, Text
from nmda_bayes.report.equations import equations
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View


def model(view: View, gallery: Gallery) -> Section:
    """Write the generative model.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used.

    Returns
    -------
    Section
        Equations of each outcome, and the graph as PyMC prints it.
    """
    intro = (
        "One generative model of all arms. Names are those of the tables and of summary.csv;"
        " subscripts in brackets are the dims of a quantity, as the graph has them; x is the dose"
        " axis; SE and n are taken as known. Names between outcomes are independent unless a line"
        " says otherwise."
    )
    blocks: list[object] = [Text(intro), *(Formulas(block) for block in equations(view.fit))]
    text = str(view.fit.attrs.get("model_text", ""))
    if text:
        blocks.append(Fold("The graph as PyMC prints it", (Code(text),), printed=False))
    return Section("model", "The model in equations", tuple(blocks))
