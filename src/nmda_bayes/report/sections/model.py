"""The model in equations, priors and posteriors, predictive checks, and how to reproduce it all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import tomli_w

from nmda_bayes.checks import reported_parameters
from nmda_bayes.design import CONTRAST_REPORT, RESPONDER_REPORT, ObservedVariable
from nmda_bayes.dims import SAMPLE
from nmda_bayes.figures import plot_predictive_check, plot_prior_posterior
from nmda_bayes.report.blocks import (
    Block,
    Code,
    Definitions,
    Fold,
    Formulas,
    Heading,
    Items,
    Picture,
    Text,
    build_table,
    fold_table,
    section,
)
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.equations import NO_REASON, equations
from nmda_bayes.report.format import (
    CRI,
    TAIL,
    capitalise,
    count_noun,
    format_effect,
    format_prior,
    format_probability,
    join_words,
)
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.templates import run_command

#: Panels of the figure of priors and posteriors, at most; the table has every scalar.
MAX_PANELS: Final = 24
REPORT_NOTES: Final = {RESPONDER_REPORT: ", responders", CONTRAST_REPORT: ", contrasts"}


@section("model", "Model", 50)
def model_section(report: ReportContext) -> Iterator[Block]:
    """The generative model in equations."""
    yield Text(
        "One generative model of all arms. Subscripts in brackets are dimensions, as in"
        " summary.csv; x is the dose axis; reported SEs and n are taken as known. Outcomes share no"
        " parameters unless a line says so."
    )
    yield from (Formulas(group) for group in equations(report.fit))
    text = str(report.fit.attrs.get("model_text", ""))
    if text:
        yield Fold("The model graph as PyMC prints it", (Code(text),), printed=False)


# --- Priors and posteriors -----------------------------------------------------------------------


@section("priors", "Priors and posteriors", 60)
def prior_section(report: ReportContext) -> Iterator[Block]:
    """All priors with their reasons, and how far the data moved each quantity."""
    frame = prior_table(report)
    missing = frame["reason"] == NO_REASON
    yield build_table(
        frame,
        "All priors of the analysis, as written in the spec. None is a default.",
        flagged=missing,
    )
    if missing.any():
        priors = capitalise(count_noun(int(missing.sum()), "prior has", "priors have"))
        yield Text(f"{priors} no reason in the spec.", "note")
    yield Heading("Prior and posterior compared")
    table = report.checks.identifiability
    conclusions = (
        f"{capitalise(conclusion)}: {join_words(report.parameters_with(conclusion))}"
        for conclusion in map(str, dict.fromkeys(table["conclusion"]))
    )
    yield Text(
        "Overlap of prior and posterior: 1 where the data changed nothing, 0 where they moved the"
        f" quantity entirely. {'. '.join(conclusions)}."
    )
    yield from _prior_posterior_figure(report)
    by_quantity = build_table(
        table,
        "Prior and posterior of each quantity. SD: half of the central 68% interval of the draws.",
        {
            "variable": "quantity",
            "at": "where",
            "prior_sd": ("prior SD", format_effect),
            "posterior_sd": ("posterior SD", format_effect),
            "overlap": ("overlap", format_probability),
            "conclusion": "conclusion",
        },
        table["conclusion"].str.startswith(("prior", "no trial")),
    )
    summary = f"All {count_noun(len(table), 'quantity', 'quantities')}"
    yield fold_table(by_quantity, summary, printed=False)


def prior_table(report: ReportContext) -> pd.DataFrame:
    """Every prior of the spec with its reason."""
    rows: list[tuple[str, str, str, str, Any]] = []
    for outcome, part in report.outcomes.items():
        for parameter, spec in part.parameters.items():
            priors = dict(spec.priors) | {
                f"change per {term.step:g} of {name}": term.prior
                for name, term in spec.covariates.items()
            }
            rows += [
                (report.label(outcome), parameter, spec.pooling, slot, prior)
                for slot, prior in priors.items()
            ]
        bias = part.bias.priors.items()
        rows += [(report.label(outcome), name, "", "bias", prior) for name, prior in bias]
    correlations = report.spec.correlations
    for between, name, prior in (
        ("between outcomes", "heterogeneity_correlation", correlations.heterogeneity),
        ("between agents", "agent_correlation", correlations.agent),
    ):
        if prior is not None:
            rows.append((between, name, "", "matrix", prior))
    return pd.DataFrame(
        [
            {
                "outcome": outcome,
                "parameter": parameter,
                "pooling": pooling.replace("_", " "),
                "component": slot.replace("_", " "),
                "prior": format_prior(prior),
                "reason": prior.why or NO_REASON,
            }
            for outcome, parameter, pooling, slot, prior in rows
        ]
    )


def _prior_posterior_figure(report: ReportContext) -> Iterator[Picture]:
    """Densities of the variables with fewest elements, as far as the panels go."""
    if "prior" not in report.fit.children:
        return
    prior, posterior = (report.fit[group].to_dataset() for group in ("prior", "posterior"))
    sizes = {
        variable: prod(posterior.sizes[d] for d in posterior[variable].dims if d not in SAMPLE)
        for variable in reported_parameters(report.fit)
        if variable in prior
    }
    shown, room = [], MAX_PANELS
    for variable in sorted(sizes, key=lambda v: sizes[v]):
        if sizes[variable] <= room:
            shown.append(variable)
            room -= sizes[variable]
    if shown:
        figure = plot_prior_posterior(prior, posterior, shown, report.checks.identifiability)
        caption = (
            "Prior (dashed line) and posterior (solid line) densities; where they coincide the data"
            f" were uninformative. Bar: {CRI}."
        )
        yield report.figures.add(figure, caption)


# --- Predictive checks ---------------------------------------------------------------------------


@section("predictive", "Predictive checks", 140)
def predictive_section(report: ReportContext) -> Iterator[Block]:
    """Reported data compared with replicates from the prior and the posterior."""
    kinds: tuple[Literal["prior", "posterior"], ...] = ("prior", "posterior")
    frame = report.checks.predictive
    frame = frame.assign(outcome=[report.label(outcome) for outcome in frame["outcome"]])
    misses = {
        kind: frame[(frame[f"{kind}_p"] < TAIL) | (frame[f"{kind}_p"] > 1 - TAIL)] for kind in kinds
    }
    named = {
        kind: join_words(
            f"{row['statistic']} of {row['outcome']}" for row in rows.to_dict("records")
        )
        for kind, rows in misses.items()
    }
    computed = [kind for kind in kinds if f"{kind}_predictive" in report.fit.children]
    text = "All posterior predictive checks passed."
    if "posterior" not in computed:
        text = "There are no posterior predictive checks."
    elif named["posterior"]:
        text = f"The posterior predictive distribution misses: {named['posterior']}."
    if "prior" not in computed:
        text += " There are no prior predictive checks."
    elif named["prior"]:
        text += f" The prior predictive distribution misses: {named['prior']}."
    else:
        text += " The prior predictive distribution covers the data."
    yield Text(text)
    if report.checks.remarks:
        yield Text("Draws that could not be made, or only in a range:")
        yield Items(report.checks.remarks)
    yield build_table(
        frame,
        "Probability that replicated data are at least as large as the reported data (ties count"
        " half); near 0 or 1 the model does not reproduce the data.",
        {
            "outcome": "outcome",
            "statistic": "statistic",
            "observed": ("reported", format_effect),
            "prior_p": ("Pr, prior", format_probability),
            "posterior_p": ("Pr, posterior", format_probability),
        },
        frame.index.isin(misses["posterior"].index),
    )
    for kind in computed:
        yield Heading(f"{kind.capitalize()} predictive distribution by row")
        for outcome in report.outcomes:
            for form in report.observed(outcome):
                yield _predictive_figure(report, outcome, form, kind)


def _predictive_figure(
    report: ReportContext,
    outcome: str,
    form: ObservedVariable,
    kind: Literal["prior", "posterior"],
) -> Picture:
    people = form.design["n"].to_numpy() if form.at_risk == "n" else None
    replicated = report.fit[f"{kind}_predictive"].to_dataset()[form.variable]
    observed = report.fit["observed_data"].to_dataset()[form.variable]
    unit = "events" if form.at_risk == "person_time" else report.outcomes[outcome].unit
    axis = "" if people is not None else f"{report.label(outcome)}{f' ({unit})' if unit else ''}"
    figure = plot_predictive_check(observed, replicated, None, kind, n=people, axis=axis)
    values = observed.to_numpy().astype(float)
    low, high = replicated.quantile([TAIL, 1 - TAIL], dim=SAMPLE).to_numpy()
    outside = int(np.sum((values < low) | (values > high)))
    caption = (
        f"{report.title(outcome)}{REPORT_NOTES.get(form.report_format, '')}: each reported result"
        f" and the central 95% of its {kind} predictive distribution. {outside} of {values.size}"
        " lie outside."
    )
    return report.figures.add(figure, caption)


# --- Provenance ----------------------------------------------------------------------------------


@section("provenance", "To reproduce this report", 160)
def provenance_section(report: ReportContext) -> Iterator[Block]:
    """Data, sampler, seed and versions, with the command and the spec."""
    attrs, sampling = report.fit.attrs, report.spec.sampling
    sizes = report.fit["posterior"].sizes
    versions = json.loads(str(attrs.get("versions", "{}")))
    source = str(attrs.get("evidence_source", ""))
    yield Definitions(
        (
            ("Evidence", source),
            ("Evidence hash (SHA-256)", str(attrs.get("evidence_hash", ""))),
            (
                "Sampling",
                f"{sampling.method}, {sizes['chain']} chains of {sizes['draw']} draws after"
                f" {sampling.tune} tuning steps, target acceptance {sampling.target_accept:g}"
                + (f"; {note}" if (note := attrs.get("method_note")) else ""),
            ),
            ("Seed", str(attrs.get("seed", sampling.seed))),
            ("Versions", ", ".join(f"{package} {number}" for package, number in versions.items())),
        )
    )
    yield Text(
        "Save the spec below as spec.toml and run this command. The same seed, versions and"
        " evidence give the same draws; a different evidence hash means different data."
    )
    file = {"nmda": "", "data frame": "YOUR_TABLE.csv"}.get(source, source)
    yield Code(run_command(report.spec.settings, file, "spec.toml"))
    yield Fold("The complete spec (TOML)", (Code(spec_toml(report.spec)),))


def spec_toml(spec: AnalysisSpec) -> str:
    """Write a spec as TOML."""
    content = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return tomli_w.dumps(content)
