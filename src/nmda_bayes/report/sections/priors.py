"""Every prior with its reason, and what the data could tell."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from nmda_bayes.checks import parameters_of
from nmda_bayes.dims import SAMPLE
from nmda_bayes.figures import plot_prior_posterior
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.priors import prior_text
from nmda_bayes.report.blocks import Heading, Section, Text, as_table, folded
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, effect, listed, opened, probability
from nmda_bayes.spec import ParameterSpec
from nmda_bayes.spec.prior import PriorSpec

NO_REASON = "no reason given"
#: Panels of the figure at most; the table has every scalar.
PANELS = 24


def priors(view: View, gallery: Gallery) -> Section:
    """List the priors, and hold them against the posterior.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figure.

    Returns
    -------
    Section
        Priors with reasons, prior against posterior, and identifiability in words.
    """
    frame = prior_frame(view)
    table = as_table(
        frame,
        "Every prior of the analysis, as the spec writes it. Nothing was filled in by default.",
        {
            "outcome": ("outcome", None),
            "parameter": ("parameter", None),
            "pooling": ("shared", None),
            "slot": ("of its", None),
            "prior": ("prior", None),
            "why": ("reason", None),
        },
        ["hole" if why == NO_REASON else "" for why in frame["why"]],
    )
    blocks: list[object] = [table]
    missing = int((frame["why"] == NO_REASON).sum())
    if missing:
        said = count(missing, "prior stands", "priors stand").capitalize()
        blocks.append(Text(f"{said} without a reason in the spec.", "note"))
    blocks += [Heading("What the data could tell"), *_identifiability(view, gallery)]
    return Section("priors", "Priors, and what the data could tell", tuple(blocks))


def prior_frame(view: View) -> pd.DataFrame:
    """List every prior of the spec.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    pd.DataFrame
        ``outcome, parameter, pooling, slot, prior, why``.
    """
    rows = [
        (
            view.label(outcome),
            parameter,
            spec.pooling.replace("_", " "),
            slot.replace("_", " "),
            prior_text(prior.dist, prior.kwargs),
            prior.why or NO_REASON,
        )
        for outcome, part in view.outcomes.items()
        for parameter, spec in part.parameters.items()
        for slot, prior in _slots(spec)
    ]
    rows += [
        (view.label(outcome), name, "", "bias", prior_text(prior.dist, prior.kwargs), prior.why)
        for outcome, part in view.outcomes.items()
        for name, prior in part.bias.priors.items()
    ]
    correlations = view.spec.correlations
    for between, name, shared in (
        ("between outcomes", "heterogeneity_correlation", correlations.heterogeneity),
        ("between agents", "agent_correlation", correlations.agent),
    ):
        if shared is not None:
            text = prior_text(shared.dist, {str(k): v for k, v in shared.kwargs.items()})
            rows.append((between, name, "", "matrix", text, shared.why or NO_REASON))
    return pd.DataFrame(rows, columns=["outcome", "parameter", "pooling", "slot", "prior", "why"])


def _slots(spec: ParameterSpec) -> Iterator[tuple[str, PriorSpec]]:
    """List the priors of a parameter and of its coefficients."""
    yield from spec.priors.items()
    for name, covariate in spec.covariates.items():
        yield f"change per {covariate.step:g} of {name}", covariate.prior


def _identifiability(view: View, gallery: Gallery) -> list[object]:
    found = view.checks.identifiability
    said = [
        f"{opened(verdict)}: {listed(view.told(verdict))}"
        for verdict in map(str, dict.fromkeys(found["verdict"]))
    ]
    intro = (
        "Overlap of prior and posterior, per quantity: 1 where the data changed nothing, 0 where"
        " they moved it wholly. A quantity that is 'prior only' is printed in this report as the"
        f" prior made it. {'. '.join(said)}."
    )
    table = as_table(
        found,
        "How far the data moved each quantity. SD: half of the central 68 % interval of the draws.",
        {
            "variable": ("quantity", None),
            "at": ("where", None),
            "prior_sd": ("prior SD", effect),
            "posterior_sd": ("posterior SD", effect),
            "overlap": ("overlap", probability),
            "verdict": ("what the data said", None),
        },
        ["hole" if v.startswith(("prior", "no trial")) else "" for v in found["verdict"]],
    )
    shown = _panels(view)
    blocks: list[object] = [Text(intro)]
    if shown:
        figure = plot_prior_posterior(
            view.fit["prior"].to_dataset(), view.fit["posterior"].to_dataset(), shown, found
        )
        caption = (
            "Prior (broken line) and posterior (full line) densities. Where they coincide the data"
            f" were silent. Bar: {INTERVAL_TEXT} of the posterior."
        )
        blocks.append(gallery.picture(figure, caption))
    blocks.append(
        folded(table, f"{count(len(found), 'quantity', 'quantities')}, one by one", printed=False)
    )
    return blocks


def _panels(view: View) -> list[str]:
    """Variables for the figure: those without dims first, others while there is room."""
    posterior, prior = view.fit["posterior"].to_dataset(), view.fit["prior"].to_dataset()
    sizes = {}
    for variable in parameters_of(view.fit):
        if variable in prior:
            dims = [d for d in posterior[variable].dims if d not in SAMPLE]
            size = 1
            for dim in dims:
                size *= posterior.sizes[dim]
            sizes[variable] = size
    shown, room = [], PANELS
    for variable in sorted(sizes, key=lambda v: sizes[v]):
        if sizes[variable] <= room:
            shown.append(variable)
            room -= sizes[variable]
    return shown
