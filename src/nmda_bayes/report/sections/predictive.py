"""Whether the model could have made these trials."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nmda_bayes.design import AS_CONTRAST, AS_RESPONDERS, Form
from nmda_bayes.figures import plot_predictive_check
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL
from nmda_bayes.report.blocks import Heading, Section, Text, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import effect, listed, probability

#: Said of rows that are not arms' own numbers.
OF = {AS_RESPONDERS: ", trials that count responders", AS_CONTRAST: ", contrasts"}
#: Outside these, replicates seldom reach what was observed.
FAR = (0.025, 0.975)


def predictive(view: View, gallery: Gallery) -> Section:
    """Hold what was reported against what the model would report.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section
        Statistics of each outcome under prior and posterior, and the rows one by one.
    """
    frame = view.checks.predictive
    low, high = FAR
    odd = frame[(frame["posterior_p"] < low) | (frame["posterior_p"] > high)]
    wild = frame[(frame["prior_p"] < low) | (frame["prior_p"] > high)]
    said = "The posterior makes data like these in every statistic looked at."
    if not odd.empty:
        named = listed(
            f"{statistic} of {view.label(outcome)}"
            for outcome, statistic in zip(odd["outcome"], odd["statistic"], strict=True)
        )
        said = f"The posterior seldom makes data like these in: {named}."
    said += (
        " The prior alone makes them too, before seeing any."
        if wild.empty
        else " The prior alone seldom does in: "
        + listed(
            f"{statistic} of {view.label(outcome)}"
            for outcome, statistic in zip(wild["outcome"], wild["statistic"], strict=True)
        )
        + "."
    )
    table = as_table(
        frame.assign(outcome=[view.label(o) for o in frame["outcome"]]),
        "Share of replicated data sets at least as large as what was reported (ties count half):"
        " near 0 or 1, the model does not make data like these.",
        {
            "outcome": ("outcome", None),
            "statistic": ("statistic", None),
            "observed": ("reported", effect),
            "prior_p": ("under the prior", probability),
            "posterior_p": ("under the posterior", probability),
        },
        ["hole" if p < low or p > high else "" for p in frame["posterior_p"]],
    )
    blocks: list[object] = [Text(said), table]
    for kind in ("prior", "posterior"):
        blocks.append(Heading(f"Row by row, from the {kind}"))
        for outcome in view.outcomes:
            for form in view.forms(outcome):
                blocks.append(_rows(view, gallery, outcome, form, kind))
    return Section("predictive", "Predictive checks", tuple(blocks))


def _rows(
    view: View, gallery: Gallery, outcome: str, form: Form, kind: Literal["prior", "posterior"]
) -> object:
    people = form.design["n"].to_numpy() if form.at_risk == "n" else None
    replicated = view.fit[f"{kind}_predictive"].to_dataset()[form.variable]
    observed = view.fit["observed_data"].to_dataset()[form.variable]
    unit = view.outcomes[outcome].unit
    if form.at_risk == "person_time":
        unit = "events"
    axis = "" if people is not None else f"{view.label(outcome)}{f' ({unit})' if unit else ''}"
    figure = plot_predictive_check(observed, replicated, None, kind, n=people, axis=axis)
    values = observed.to_numpy().astype(float)
    tail = (1 - LEVEL) / 2
    ends = replicated.quantile([tail, 1 - tail], dim=("chain", "draw")).to_numpy()
    outside = int(np.sum((values < ends[0]) | (values > ends[1])))
    caption = (
        f"{view.title(outcome)}{OF.get(form.report, '')}: each row as reported, over the"
        f" {INTERVAL_TEXT} of its replicates from the {kind}. {outside} of {values.size} lie"
        " outside."
    )
    return gallery.picture(figure, caption)
