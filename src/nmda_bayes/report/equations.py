"""The model in equations, made from the parts that made the graph.

Nothing is written twice: the sampling statement, the curve, the pooling and the heterogeneity are
the catalogues' own texts; dims and their sizes are read off the variables of the fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmda_bayes.components.designs import BETWEEN_OUTCOMES, READINGS, WITHIN_ARM, WITHIN_PERSON
from nmda_bayes.components.designs import TEXT as CROSSOVER
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import HARDER, RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.components.responders import TEXT as RESPONDERS
from nmda_bayes.components.time import CLOCKS
from nmda_bayes.design import (
    AS_CONTRAST,
    AS_RESPONDERS,
    BORROWED,
    Form,
    forms_of,
    levels_of,
    silent_trials,
)
from nmda_bayes.design.readings import has_readings
from nmda_bayes.dims import STUDY
from nmda_bayes.estimands import design_of, spec_of
from nmda_bayes.estimands.reading import variable
from nmda_bayes.model import OFFSET
from nmda_bayes.priors import prior_text
from nmda_bayes.report.bias_lines import bias_lines, shifts
from nmda_bayes.report.parameter_lines import covariate_lines, parameter_lines, tail_lines
from nmda_bayes.report.typeset import Line, set_line
from nmda_bayes.report.words import count, opened
from nmda_bayes.spec import (
    AnalysisSpec,
    ErrorCorrelation,
    OutcomeSpec,
    PriorSpec,
    needed_parameters,
)
from nmda_bayes.spec.rules import BASELINE, natural

SHARED_ARM = "se² on the diagonal; the comparator's variance between contrasts that share it"


@dataclass(frozen=True)
class Block:
    """The lines of one outcome, or of what outcomes share.

    Attributes
    ----------
    title
        The outcome's label.
    lines
        Its equations.
    """

    title: str
    lines: tuple[Line, ...]


def equations(fit: xr.DataTree) -> list[Block]:
    """Write the model of a fit in equations.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.

    Returns
    -------
    list[Block]
        One for each outcome, and one for what is correlated between them.
    """
    spec = spec_of(fit)
    blocks = [
        Block(opened(part.label or name), tuple(_outcome_lines(fit, spec, name, part)))
        for name, part in spec.outcomes.items()
    ]
    correlation = spec.correlations.heterogeneity
    agents = spec.correlations.agent
    if agents is not None:
        prior = prior_text(agents.dist, {str(k): v for k, v in agents.kwargs.items()})
        named = ", ".join(agents.of)
        lines = (
            set_line("R = correlation of z[agent] between these parameters", note=named),
            set_line(f"R ~ {prior}", note="agent_correlation"),
        )
        blocks.append(Block("Between agents", lines))
    if correlation is not None:
        prior = prior_text(correlation.dist, {str(k): v for k, v in correlation.kwargs.items()})
        note = "their correlations are heterogeneity_correlation, over pairs of outcomes"
        lines = (
            set_line("R = correlation of delta[arm] between the outcomes of one arm", note=note),
            set_line(f"R ~ {prior}"),
        )
        blocks.append(Block("Between outcomes", lines))
    if spec.correlations.errors is not None:
        blocks.append(Block("Between errors", tuple(_tied_error_lines(spec.correlations.errors))))
    return blocks


def _tied_error_lines(errors: ErrorCorrelation) -> Iterator[Line]:
    """Write how the errors of one arm go together between outcomes."""
    named = " and ".join(errors.of)
    yield set_line(BETWEEN_OUTCOMES, note=f"w, one for {named}, and e ~ Normal(0, 1)")
    if errors.prior is not None:
        prior = prior_text(errors.prior.dist, errors.prior.kwargs)
        yield set_line(f"r ~ {prior}", note="error_correlation")
    elif errors.column:
        yield set_line(f"r = {errors.column}[study]", note="of each study, as the evidence has it")
    else:
        turned = (errors.correlation or 0.0) < 0
        note = "declared, not learned" + ("; −w in the second outcome" if turned else "")
        yield set_line(f"r = {errors.correlation:g}", note=note)


def _outcome_lines(
    fit: xr.DataTree, spec: AnalysisSpec, name: str, part: OutcomeSpec
) -> Iterator[Line]:
    curve, likelihood = part.shape, LIKELIHOODS[part.likelihood]
    heterogeneity = HETEROGENEITIES[part.heterogeneity]
    forms = forms_of(spec, design_of(fit, name), name)
    for form in forms:
        yield from _sampling_lines(form, likelihood, part.likelihood_options)
    if likelihood.conditional:
        silent = len(silent_trials(part, design_of(fit, name)))
        told = f"; {count(silent, 'trial')} of nobody or everybody say nothing" if silent else ""
        yield set_line("total = events of all arms of a trial", note=f"taken as known{told}")
    yield from _shared_error_lines(fit, spec, name)
    course, hourly = part.over_time, has_readings(part)
    level = f"{BASELINE}[{STUDY}, hour]" if hourly else f"{BASELINE}[{STUDY}]"
    terms = [level] if likelihood.has_baseline else []
    effect = "f(x[arm]; θ[agent, condition])" if curve.parameters else "f(x[arm])"
    terms.append(f"{effect} · g(hour)" if course.clocks else effect)
    if heterogeneity.formula is not None:
        terms.append("delta[arm]")
    if shifts(part):
        terms.append("bias[arm]")
    yield set_line(f"eta[arm] = {' + '.join(terms)}", note=_baseline_note(likelihood))
    for text, symbols, whose in curve.lines():
        said = ("for x > 0; f(0) = 0", whose and f"of {whose}", symbols)
        yield set_line(f"f(x) = {text}", note="; ".join(filter(None, said)))
    if course.clocks:
        yield set_line(f"g(hour) = {course.text}", note=CLOCKS)
    if heterogeneity.formula is not None:
        yield set_line(f"delta ~ {heterogeneity.text}")
    for statement, remark in bias_lines(part):
        yield set_line(statement, note="" if " ~ " in statement else remark)
    z_used = False
    responders = any(form.report == AS_RESPONDERS for form in forms)
    for needed in needed_parameters(part.model_dump()) or ():
        if needed in (RESPONDER_SD, STARTING_LEVEL) and not responders:
            continue
        given = needed if needed in part.parameters else natural(needed)
        if given != needed:
            yield set_line(f"{needed} = log({given})")
        parameter = part.parameters[given]
        z_used = z_used or "z[" in POOLINGS[parameter.pooling].text
        yield from parameter_lines(fit, variable(spec, name, given), given, parameter)
        yield from covariate_lines(given, parameter)
        yield from tail_lines(given, parameter)
    if z_used:
        yield set_line("z ~ Normal(mu=0, sigma=1)", note="each z on its own")


def _shared_error_lines(fit: xr.DataTree, spec: AnalysisSpec, name: str) -> Iterator[Line]:
    """Write what rows share whose people are the same, where the fit has it."""
    crossover, repeated = spec.designs.crossover, spec.designs.repeated
    found = fit["posterior"].to_dataset()
    prior = crossover and crossover.within_person_correlation
    if prior and variable(spec, name, WITHIN_PERSON) in found:
        yield set_line(CROSSOVER, note="u and e ~ Normal(0, 1): the same people are in every arm")
        yield set_line(f"rho ~ {prior_text(prior.dist, prior.kwargs)}", note=WITHIN_PERSON)
    if repeated is None or variable(spec, name, "same_arm" + OFFSET) not in found:
        return
    yield set_line(READINGS, note="v and e ~ Normal(0, 1): one arm, one set of people")
    given = repeated.within_arm_correlation
    if isinstance(given, PriorSpec):
        yield set_line(f"rho ~ {prior_text(given.dist, given.kwargs)}", note=WITHIN_ARM)
    else:
        yield set_line(f"rho = {given:g}", note=f"{WITHIN_ARM}, declared, not learned")


def _sampling_lines(
    form: Form, likelihood: Likelihood, options: Mapping[str, float]
) -> Iterator[Line]:
    """Write how the trials of one form report."""
    arms = count(form.design.sizes["arm"], "arm")
    borrowing = int(np.sum(form.design.get("se_from", xr.DataArray([])).to_numpy() == BORROWED))
    if borrowing:
        arms += f", {borrowing} of them without an SD, which they borrow from the others"
    if form.report == AS_CONTRAST:
        text = likelihood.text if likelihood.contrasts else LIKELIHOODS["normal_contrast"].text
        yield set_line(text, note=count(form.design.sizes["contrast"], "contrast"))
        yield set_line("S = known sampling covariance", note=SHARED_ARM)
    elif form.report == AS_RESPONDERS:
        yield set_line(RESPONDERS, note=f"{arms} of trials that count responders alone")
        if levels_of(form.design) > 1:
            yield set_line(HARDER, note="of the arms that print several cut-offs")
    else:
        of_arm = rf"(?<!\w)({'|'.join(likelihood.symbols)})(?!\w)"
        for statement in likelihood.text.split("; "):
            yield set_line(re.sub(of_arm, r"\1[arm]", statement), note=arms)
            arms = ""
        for name, value in options.items():
            yield set_line(f"{name} = {value:g}", note="declared, not learned")


def _baseline_note(likelihood: Likelihood) -> str:
    if likelihood.contrasts:
        return "a study's baseline cancels in its contrasts"
    return "a study's baseline cancels given its total" if likelihood.conditional else ""
