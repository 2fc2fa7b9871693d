"""What an analysis is and what it will see, as plain text, before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.designs import BETWEEN_OUTCOMES
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import TEXT as RESPONDERS
from nmda_bayes.components.time import CLOCKS
from nmda_bayes.design import (
    LABELS,
    LEFT_OUT,
    OUTCOMES,
    build_design,
    coefficient,
    silent_trials,
)
from nmda_bayes.design.readings import has_readings
from nmda_bayes.model import model_of
from nmda_bayes.priors import prior_text
from nmda_bayes.report.bias_lines import bias_lines, shifts
from nmda_bayes.report.kinetic_lines import kinetic_lines
from nmda_bayes.spec import AnalysisSpec, ErrorCorrelation, OutcomeSpec

NO_REASON = "no reason given"
#: Said of trials whose total is taken as known.
SILENT = "says nothing, since nobody or everybody in it had the event"


def show_text(spec: AnalysisSpec, evidence: xr.DataTree) -> str:
    """Write the generative model, its priors, and the arms and network that it will see.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.

    Returns
    -------
    str
        Lines of plain text.

    Raises
    ------
    SpecError, EvidenceError
        If the spec and the evidence do not fit each other.
    """
    design = build_design(spec, evidence)
    lines = [spec.title, "=" * len(spec.title), spec.question.strip(), ""]
    for name, outcome in spec.outcomes.items():
        reported = design[f"{OUTCOMES}/{name}"].to_dataset()
        lines += [*_model_lines(name, outcome), "", *_seen_lines(outcome, reported), ""]
        lines += [*_advice_lines(outcome, reported), ""]
    lines += [*kinetic_lines(spec, design), *_tied_lines(spec.correlations.errors)]
    lines += [*_class_lines(design[LABELS].to_dataset())]
    lines += [*_left_out_lines(design[LEFT_OUT].to_dataset()), ""]
    model = model_of(spec, design)
    lines += ["The graph", "---------", model.str_repr(), ""]
    dims = model.named_vars_to_dims.items()
    lines += [f"  {name}: dims {', '.join(map(str, of)) or 'none'}" for name, of in dims]
    return "\n".join(lines)


def _model_lines(name: str, outcome: OutcomeSpec) -> Iterator[str]:
    likelihood = LIKELIHOODS[outcome.likelihood]
    title = f"Outcome {name}" + (f": {outcome.label}" if outcome.label else "")
    yield from (title, "-" * len(title))
    level = "baseline[study, hour]" if has_readings(outcome) else "baseline[study]"
    baseline = f"{level} + " if likelihood.has_baseline else ""
    course = outcome.over_time
    yield f"  {likelihood.text}"
    for option, value in outcome.likelihood_options.items():
        yield f"    {option} = {value:g}, declared"
    if outcome.contrasts is not None:
        yield f"  {LIKELIHOODS['normal_contrast'].text}   where a trial prints a difference alone"
    if outcome.responders is not None:
        yield f"  {RESPONDERS}   where a trial counts responders alone"
    fading = " · g(hour)" if course.clocks else ""
    shifted = " + bias[arm]" if shifts(outcome) else ""
    yield f"  eta[arm] = {baseline}f(x[arm]){fading} + delta[arm]{shifted}"
    for text, symbols, whose in outcome.shape.lines():
        yield f"  f(x) = {text} for x > 0, else 0{whose and f'   of {whose}'}"
        if symbols:
            yield f"    {symbols}"
    if outcome.shape.shared:
        shared = ", ".join(outcome.shape.shared)
        yield f"    the curves share by name: {shared}; the rest only its own curve's agents inform"
    if course.clocks:
        yield f"  g(hour) = {course.text}"
        yield f"    {CLOCKS}"
    yield f"  delta = {HETEROGENEITIES[outcome.heterogeneity].text}"
    for text, note in bias_lines(outcome):
        yield f"  {text}   # {note or NO_REASON}"
    yield f"  x = {EXPOSURES[outcome.exposure].axis}"
    for parameter, part in outcome.parameters.items():
        by = f", strata: {part.by}" if part.by else ""
        yield f"  {parameter} = {POOLINGS[part.pooling].text}   ({part.pooling}{by})"
        if part.nu is not None:
            yield f"    g ~ Gamma(nu / 2, nu / 2), nu = {part.nu:g}, declared"
        for covariate, regressed in part.covariates.items():
            slope, written = regressed.prior, coefficient(parameter, covariate)
            yield f"    + {written} · {regressed.text(covariate)}   in each study"
            text = prior_text(slope.dist, slope.kwargs)
            yield f"    {written} ~ {text}   # {slope.why or NO_REASON}"
        for slot, prior in part.priors.items():
            text = prior_text(prior.dist, prior.kwargs)
            yield f"    {slot} ~ {text}   # {prior.why or NO_REASON}"


def _seen_lines(outcome: OutcomeSpec, reported: xr.Dataset) -> Iterator[str]:
    names = ["study", "agent", "condition", "exposure"]
    arms = pd.DataFrame({name: reported[name].to_numpy() for name in names})
    active = arms[arms["exposure"] > 0]
    yield f"  sees {len(arms)} arms of {arms['study'].nunique()} studies:"
    for agent, mine in active.groupby("agent"):
        low, high = np.min(mine["exposure"]), np.max(mine["exposure"])
        where = ", ".join(sorted(set(mine["condition"])))
        count = mine["study"].nunique()
        plural = "study" if count == 1 else "studies"
        yield f"    {agent}: {count} {plural}, exposure {low:g} to {high:g}, in {where}"
    silent = silent_trials(outcome, reported)
    if silent:
        yield f"    {SILENT}: {', '.join(silent)}"


def _tied_lines(errors: ErrorCorrelation | None) -> Iterator[str]:
    """Say how errors go together between outcomes."""
    if errors is None:
        return
    yield f"Errors of {' and '.join(errors.of)}"
    yield f"  {BETWEEN_OUTCOMES}"
    if errors.prior is not None:
        yield f"  r ~ {prior_text(errors.prior.dist, errors.prior.kwargs)}"
    elif errors.column:
        yield f"  r = {errors.column} of each study"
    else:
        yield f"  r = {errors.correlation:g}, declared"
    yield from (f"    # {errors.why or NO_REASON}", "")


def _class_lines(labels: xr.Dataset) -> Iterator[str]:
    """List the classes, and say what a class of one agent cannot tell."""
    if "class_of_agent" not in labels:
        return
    yield "Classes of agents"
    frame = labels[["class_of_agent"]].to_dataframe().reset_index()
    for name, mine in frame.groupby("class_of_agent"):
        alone = "   one agent: what is the class's and what the agent's own, the prior says"
        yield f"  {name}: {', '.join(mine['agent'])}{alone if len(mine) == 1 else ''}"
    yield ""


def _advice_lines(outcome: OutcomeSpec, reported: xr.Dataset) -> Iterator[str]:
    """Hold the curve's options and the usual priors against the doses that were tried."""
    exposure = reported["exposure"].to_numpy()
    doses = sorted({float(dose) for dose in exposure[exposure > 0]})
    if not doses or not outcome.shape.needs_dose:
        return
    for note in outcome.shape.notes(doses):
        yield f"  Note: {note}."
    yield "  Advice on the curve's priors from these doses (compare; nothing is filled in):"
    for parameter, advice in outcome.shape.advice(doses).items():
        yield f"    {parameter} ~ {advice}" if advice.prior else f"    {parameter}: {advice}"


def _left_out_lines(left_out: xr.Dataset) -> Iterator[str]:
    frame = left_out.to_dataframe()
    yield f"Left out: {len(frame)} rows"
    counts = frame.groupby(["outcome", "reason"]).size()
    for place, count in counts.items():
        outcome, reason = place if isinstance(place, tuple) else (place, "")
        yield f"  {outcome}: {count} x {reason}"
