"""Biases that were allowed for: what is known of them, and the effects with and without."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import xarray as xr

from nmda_bayes.components.bias import BIASES
from nmda_bayes.dims import AGENT, ARM
from nmda_bayes.estimands.biases import effects_with_bias
from nmda_bayes.estimands.reading import variable
from nmda_bayes.figures import plot_bias
from nmda_bayes.intervals import INTERVAL_TEXT, interval
from nmda_bayes.priors import prior_text
from nmda_bayes.report.blocks import Heading, Items, Section, Table, Text, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, effect, listed, opened, probability
from nmda_bayes.report.words import name as words_of

ENDS = {"": "median", "_low": "lower", "_high": "upper"}


def bias(view: View, gallery: Gallery) -> Section | None:
    """Say which biases were allowed for, outcome by outcome.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        None where no outcome allows for a bias.
    """
    given = [outcome for outcome, part in view.outcomes.items() if part.bias.given]
    if not given:
        return None
    blocks: list[object] = [
        Text(
            "A bias enters what the arms of a trial show, and never the curve: every effect on this"
            " page is given with the bias taken out, as far as it could be learnt. What would stand"
            " here without any allowance is another analysis: remove [outcomes.X.bias]"
            " from the spec."
        )
    ]
    for outcome in given:
        blocks += [Heading(opened(view.label(outcome))), *_outcome(view, gallery, outcome)]
    return Section("bias", "Bias", tuple(blocks))


def _outcome(view: View, gallery: Gallery, outcome: str) -> Iterator[object]:
    yield Items(tuple(_allowed(view, outcome)))
    part = view.outcomes[outcome].bias
    if part.priors:
        yield _learnt(view, outcome)
    if part.given == ["power"]:
        return
    found = effects_with_bias(view.fit, outcome)
    frame = pd.DataFrame({"label": [view.agent(str(a)) for a in found[AGENT].to_numpy()]})
    for name in ("apparent", "without", "bias"):
        summary = interval(found[name])
        for end, column in ENDS.items():
            frame[name + end] = summary[column].to_numpy()
    scale = view.link(outcome).effect or view.outcomes[outcome].unit or "difference"
    caption = (
        f"{view.title(outcome)}, {scale}: each agent against {view.reference}, averaged over the"
        " arms that were run, each at its own dose. Hollow squares: the effect as trials like these"
        " show it. Filled circles: with the bias taken out. Medians and"
        f" {INTERVAL_TEXT}s."
    )
    yield gallery.picture(plot_bias(frame, axis=f"{view.label(outcome)}, {scale}"), caption)
    yield _table(view, outcome, frame, found)


def _allowed(view: View, outcome: str) -> Iterator[str]:
    """One sentence a bias, and what the evidence says of it."""
    part = view.outcomes[outcome].bias
    for name in part.given:
        said = [BIASES[name].about, *SAID[name](view, outcome)]
        why = getattr(part, name).why
        yield " ".join([*said, why] if why else said)


def _judged(view: View, outcome: str) -> Iterator[str]:
    counts = _by_study(view, outcome, "judgement").value_counts()
    shares = (f"{words_of(str(word))} {number}" for word, number in counts.items())
    yield f"Trials by judgement: {listed(shares)}."


def _weighed(view: View, outcome: str) -> Iterator[str]:
    counts = _by_study(view, outcome, "weight").value_counts()
    shares = (f"{count(int(number), 'trial')} at {weight:g}" for weight, number in counts.items())
    yield f"Weights, declared: {listed(shares)}."


def _by_study(view: View, outcome: str, column: str) -> pd.Series:
    design = view.design(outcome)
    study = design["study"].to_numpy()
    return pd.Series(design[column].to_numpy(), index=study).groupby(level=0).first()


def _told(view: View, outcome: str) -> Iterator[str]:
    design, part = view.design(outcome), view.outcomes[outcome].bias.unblinding
    assert part is not None
    counted = set(view.design(part.harm)[ARM].to_numpy())
    without = sum(label not in counted for label in design[ARM].to_numpy())
    yield (
        f"The harm is {view.label(part.harm)}, by its latent probability: {without} of"
        f" {count(design.sizes[ARM], 'arm')} do not count it and have it from its curve at their"
        " exposure, with the uncertainty of a trial that was not seen."
    )


def _selected(view: View, outcome: str) -> Iterator[str]:
    design, part = view.design(outcome), view.outcomes[outcome].bias.selection
    assert part is not None
    yield f"Steps of the one-sided p-value: {listed(f'{step:g}' for step in part.steps)}."
    study, exposure = design["study"].to_numpy(), design["exposure"].to_numpy()
    rest = len(set(study)) - len(set(study[exposure == 0]))
    if rest:
        be, they = ("is", "it shows") if rest == 1 else ("are", "they show")
        yield (
            f"{count(rest, 'trial')} without an arm at dose 0 {be} taken as published whatever"
            f" {they}."
        )


def _sized(view: View, outcome: str) -> Iterator[str]:
    errors = view.design(outcome)["contrast_se"].to_numpy()
    errors = errors[errors > 0]
    if len(errors):
        yield (
            f"Standard errors from {effect(float(errors.min()))} to"
            f" {effect(float(errors.max()))}; the effect without the bias is that of a trial"
            " without sampling error, which lies beyond all of them."
        )


#: What the evidence says of each bias.
SAID = {
    "small_study": _sized,
    "risk_of_bias": _judged,
    "unblinding": _told,
    "selection": _selected,
    "power": _weighed,
}


def _learnt(view: View, outcome: str) -> Table:
    """Prior against posterior of every parameter of the biases."""
    told = view.checks.identifiability.set_index("variable")
    rows = []
    for name, prior in view.outcomes[outcome].bias.priors.items():
        own = variable(view.spec, outcome, name)
        one = interval(view.fit["posterior"].to_dataset()[own])
        low, middle, high = (float(one[end]) for end in ("lower", "median", "upper"))
        overlap, verdict = told["overlap"][own], str(told["verdict"][own])
        rows.append(
            {
                "parameter": name,
                "prior": prior_text(prior.dist, prior.kwargs),
                "posterior": f"{effect(middle)} ({effect(low)} to {effect(high)})",
                "overlap": float(overlap),
                "verdict": verdict,
            }
        )
    caption = (
        f"{view.title(outcome)}: what the data could tell of the bias. Posterior: median and"
        f" {INTERVAL_TEXT}; overlap 1 where the data changed nothing. Where it is 'prior only', how"
        " much bias is taken out is what the prior said."
    )
    columns = {
        "parameter": ("parameter", None),
        "prior": ("prior", None),
        "posterior": ("posterior", None),
        "overlap": ("overlap", probability),
        "verdict": ("what the data said", None),
    }
    frame = pd.DataFrame(rows)
    marks = ["hole" if verdict.startswith("prior") else "" for verdict in frame["verdict"]]
    return as_table(frame, caption, columns, marks)


def _table(view: View, outcome: str, frame: pd.DataFrame, found: xr.Dataset) -> Table:
    shown = pd.DataFrame(
        {
            "agent": frame["label"],
            "trials": found["trials"].to_numpy(),
            "arms": found["arms"].to_numpy(),
        }
    )
    for name in ("apparent", "bias", "without"):
        ends = zip(*(frame[name + end] for end in ENDS), strict=True)
        shown[name] = [f"{effect(m)} ({effect(low)} to {effect(high)})" for m, low, high in ends]
    caption = (
        f"{view.title(outcome)}: effects with and without the bias, medians and {INTERVAL_TEXT}s."
        " The medians of a difference are not the difference of the medians."
    )
    columns = {
        "agent": ("agent", None),
        "trials": ("trials", str),
        "arms": ("arms", str),
        "apparent": ("as trials show it", None),
        "bias": ("bias", None),
        "without": ("bias taken out", None),
    }
    return as_table(shown, caption, columns)
