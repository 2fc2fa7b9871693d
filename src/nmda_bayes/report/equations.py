"""The model in equations: statements made from the parts of the graph, and their typesetting.

`model_equations` writes each statement once; the page typesets them as HTML and `nmda-bayes show`
prints them as text. Formulas are the texts of the registered parts; dims are those of the graph.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from markupsafe import Markup, escape

from nmda_bayes.components.bias import BIASES
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import (
    CROSSOVER_TEXT,
    ERROR_CORRELATION_TEXT,
    HETEROGENEITIES,
    REPEATED_MEASURES_TEXT,
    WITHIN_ARM_CORRELATION,
    WITHIN_PERSON_CORRELATION,
)
from nmda_bayes.components.likelihoods import (
    HARDER_CUTOFF_TEXT,
    LIKELIHOODS,
    RESPONDER_SD,
    RESPONDER_TEXT,
    STARTING_LEVEL,
    Likelihood,
    normal_contrast,
)
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.time_courses import CLOCKS_TEXT
from nmda_bayes.design import (
    BORROWED_SD,
    CONTRAST_REPORT,
    EXCLUDED,
    LABELS,
    OUTCOMES,
    RESPONDER_REPORT,
    ObservedVariable,
    build_design,
    coefficient_name,
    n_cutoffs,
    observed_variables,
    uninformative_trials,
)
from nmda_bayes.design.pk_exposure import PKModels, pk_models_of_design
from nmda_bayes.dims import SAMPLE, SEPARATOR, STUDY
from nmda_bayes.estimands import spec_of
from nmda_bayes.estimands.fit_access import variable_name
from nmda_bayes.estimands.tested_doses import axis_in_units
from nmda_bayes.model import OFFSET, build_model_from_design
from nmda_bayes.pk.structure import log_sd
from nmda_bayes.report.format import MINUS, capitalise, count_noun, decapitalise, format_prior
from nmda_bayes.spec import (
    AnalysisSpec,
    ErrorCorrelation,
    OutcomeSpec,
    ParameterSpec,
    PriorSpec,
    required_parameters,
)
from nmda_bayes.spec.outcome import PUBLISHED
from nmda_bayes.spec.rules import BASELINE, NU, natural_name

FIXED: Final = "fixed"
NO_REASON: Final = "no reason given"
SHARED_ARM_NOTE: Final = (
    "se² on the diagonal; the comparator's variance between contrasts that share it"
)
#: Dims of the variables of a model by name.
Dims = Mapping[str, tuple[str, ...]]

# --- Typesetting ---------------------------------------------------------------------------------

LETTERS: Final = {"eta": "η", "delta": "δ", "theta": "θ", "rho": "ρ"}
FUNCTIONS: Final = ("exp", "log", "logit")
#: Words are prose, not symbols, where two stand side by side, after a number, or with a hyphen.
_TOKEN = re.compile(
    r"(?P<sub>\[[^\]]*\])|\^(?P<sup>\w+)"
    r"|(?P<prose>\b[A-Za-z][\w'’-]*(?: [A-Za-z][\w'’-]*)+\b(?![(\[])"
    r"|\b[A-Za-z]+-[A-Za-z]+\b|(?<=\d )[A-Za-z]+\b|\bor\b)"
    r"|(?P<argument>[a-z]+)(?==)|(?P<symbol>[A-Za-z_]\w*)|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """One line of the model.

    `note` explains it; `why` is the reason for a prior, None for other statements.
    """

    text: str
    note: str = ""
    why: str | None = None

    @property
    def plain(self) -> str:
        """The line as text, with reason and note as a comment."""
        reason = None if self.why is None else (self.why or NO_REASON).rstrip(".")
        comment = "; ".join(filter(None, (reason, self.note)))
        return f"{self.text}   # {comment}" if comment else self.text

    @property
    def left(self) -> Markup:
        """What is defined, as HTML."""
        return typeset(self._parts[0])

    @property
    def relation(self) -> str:
        """The sign between both sides; empty without one."""
        return self._parts[1].replace("~", "∼")

    @property
    def right(self) -> Markup:
        """The definition or distribution, as HTML."""
        return typeset(self._parts[2])

    @property
    def _parts(self) -> tuple[str, str, str]:
        split = re.search(r"\s([~=])\s", self.text)
        if split is None:
            return self.text, "", ""
        return self.text[: split.start()], split[1], self.text[split.end() :]


def typeset(text: str) -> Markup:
    """Set a formula in HTML: italic symbols, subscript dims, upright functions and words."""
    return Markup("").join(_typeset_token(token) for token in _TOKEN.finditer(text))


def _typeset_token(token: re.Match[str]) -> Markup:
    text, kind = token[0], token.lastgroup
    if kind == "sub":
        return Markup("<sub>{}</sub>").format(text)
    if kind == "sup":
        return Markup("<sup>{}</sup>").format(token["sup"])
    if kind == "symbol" and text not in FUNCTIONS and not text[0].isupper():
        return Markup("<var>{}</var>").format(LETTERS.get(text, text))
    return escape(text.replace("-", MINUS) if kind == "other" else text)


# --- The model -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class EquationGroup:
    """The statements of one outcome, or of what outcomes share (`outcome` is then empty)."""

    title: str
    lines: tuple[Statement, ...]
    outcome: str = ""


def equations(fit: xr.DataTree) -> list[EquationGroup]:
    """Write the model of a fit."""
    posterior = fit["posterior"].to_dataset()
    dims = {
        str(name): tuple(str(dim) for dim in variable.dims if dim not in SAMPLE)
        for name, variable in posterior.items()
    }
    return model_equations(spec_of(fit), fit.children["design"], dims)


def model_equations(spec: AnalysisSpec, design: xr.DataTree, dims: Dims) -> list[EquationGroup]:
    """Write the model of a spec for a design, with the dims of its variables."""
    groups = [
        EquationGroup(
            capitalise(part.label or name),
            tuple(
                _outcome_lines(
                    spec,
                    name,
                    design[f"{OUTCOMES}/{name}"].to_dataset(),
                    dims,
                    axis_in_units(design[LABELS].to_dataset(), part.exposure),
                )
            ),
            name,
        )
        for name, part in spec.outcomes.items()
    ]
    between = spec.correlations
    lines: tuple[Statement, ...]
    if between.agent is not None:
        lines = (
            Statement(
                "R = correlation of z[agent] between these parameters", ", ".join(between.agent.of)
            ),
            _prior("R", between.agent, "agent_correlation"),
        )
        groups.append(EquationGroup("Correlation between parameters of one agent", lines))
    if between.heterogeneity is not None:
        lines = (
            Statement("R = correlation of delta[arm] between the outcomes of one arm"),
            _prior("R", between.heterogeneity, "heterogeneity_correlation, by pair of outcomes"),
        )
        groups.append(EquationGroup("Correlation of arm effects between outcomes", lines))
    if between.errors is not None:
        lines = tuple(_error_correlation_lines(between.errors))
        groups.append(EquationGroup("Correlation of errors between outcomes", lines))
    return groups


def _prior(symbol: str, prior: Any, note: str = "") -> Statement:
    return Statement(f"{symbol} ~ {format_prior(prior)}", note, prior.why)


def _error_correlation_lines(errors: ErrorCorrelation) -> Iterator[Statement]:
    note = f"w is shared by {' and '.join(errors.of)}; w and e ~ Normal(0, 1)"
    yield Statement(ERROR_CORRELATION_TEXT, note)
    if errors.prior is not None:
        yield _prior("r", errors.prior, "error_correlation")
    elif errors.column:
        yield Statement(f"r = {errors.column}[study]", "as reported in the evidence", errors.why)
    else:
        negative = (errors.correlation or 0.0) < 0
        note = FIXED + ("; −w in the second outcome" if negative else "")
        yield Statement(f"r = {errors.correlation:g}", note, errors.why)


def _outcome_lines(
    spec: AnalysisSpec, name: str, design: xr.Dataset, dims: Dims, axis: str
) -> Iterator[Statement]:
    part = spec.outcomes[name]
    likelihood, heterogeneity = LIKELIHOODS[part.likelihood], HETEROGENEITIES[part.heterogeneity]
    curve, course = part.shape, part.over_time
    observed = observed_variables(spec, design, name)
    for form in observed:
        yield from _sampling_lines(form, likelihood, part.likelihood_options)
    if likelihood.conditional:
        uninformative = len(uninformative_trials(part, design))
        note = "known"
        if uninformative:
            trials = count_noun(uninformative, "trial")
            note += f"; no information from {trials} with no events or only events"
        yield Statement("total = events of all arms of a trial", note)
    yield from _shared_error_lines(spec, name, dims)
    shifted = bool(shifting_biases(part))
    terms = [f"{BASELINE}[{STUDY}{', hour' if part.has_repeated_measures else ''}]"]
    if not likelihood.has_baseline:
        terms.clear()
    effect = "f(x[arm]; theta[agent, condition])" if curve.parameters else "f(x[arm])"
    effect = f"{effect} · g(hour)" if course.clocks else effect
    centred = likelihood.has_baseline and part.baseline_is_mean
    if centred:
        terms.append("shift[arm] − mean shift of the study's arms")
    else:
        terms += [effect] + ["bias[arm]"] * shifted
    terms += ["delta[arm]"] * (heterogeneity.formula is not None)
    yield Statement(f"eta[arm] = {' + '.join(terms)}", _baseline_note(likelihood))
    if centred:
        note = "a study's baseline is the mean of its arms' expected levels"
        yield Statement(f"shift[arm] = {' + '.join([effect] + ['bias[arm]'] * shifted)}", note)
    if curve.needs_dose:
        yield Statement(f"x = {axis}")
    for text, symbols, agents in curve.formula_lines():
        notes = ("for x > 0; f(0) = 0", agents and f"of {agents}", symbols)
        yield Statement(f"f(x) = {text}", "; ".join(filter(None, notes)))
    if curve.shared:
        shared = ", ".join(curve.shared)
        yield Statement(f"theta = {shared}", "shared by the curves; other parameters are not")
    if course.clocks:
        yield Statement(f"g(hour) = {course.text}", CLOCKS_TEXT)
    if heterogeneity.formula is not None:
        yield Statement(f"delta ~ {heterogeneity.text}")
    yield from bias_lines(part)
    has_offsets = False
    responders = any(form.report_format == RESPONDER_REPORT for form in observed)
    for required in required_parameters(part) or ():
        if required in (RESPONDER_SD, STARTING_LEVEL) and not responders:
            continue
        written = required if required in part.parameters else natural_name(required)
        if written != required:
            yield Statement(f"{required} = log({written})")
        parameter = part.parameters[written]
        has_offsets |= "z[" in POOLINGS[parameter.pooling].text
        yield from _parameter_lines(
            written, parameter, dims.get(variable_name(spec, name, written))
        )
    if has_offsets:
        yield Statement("z ~ Normal(mu=0, sigma=1)", "independent")


def _sampling_lines(
    form: ObservedVariable, likelihood: Likelihood, options: Mapping[str, float]
) -> Iterator[Statement]:
    """How the trials of one report format are observed."""
    arms = count_noun(form.design.sizes["arm"], "arm")
    borrowing = int(np.sum(form.design.get("se_from", xr.DataArray([])).to_numpy() == BORROWED_SD))
    if borrowing:
        arms += f", {borrowing} without an SD, which is estimated from the others"
    if form.report_format == CONTRAST_REPORT:
        text = likelihood.text if likelihood.contrasts else normal_contrast.text
        yield Statement(text, count_noun(form.design.sizes["contrast"], "contrast"))
        yield Statement("S = known sampling covariance", SHARED_ARM_NOTE)
    elif form.report_format == RESPONDER_REPORT:
        yield Statement(RESPONDER_TEXT, f"{arms} of trials that report only responders")
        if n_cutoffs(form.design) > 1:
            yield Statement(HARDER_CUTOFF_TEXT, "arms that report several cut-offs")
    else:
        of_arm = rf"(?<!\w)({'|'.join(likelihood.symbols)})(?!\w)"
        for i, statement in enumerate(likelihood.text.split("; ")):
            yield Statement(re.sub(of_arm, r"\1[arm]", statement), "" if i else arms)
        for name, value in options.items():
            yield Statement(f"{name} = {value:g}", FIXED)


def _baseline_note(likelihood: Likelihood) -> str:
    if likelihood.contrasts:
        return "a study's baseline cancels in its contrasts"
    return "a study's baseline cancels given its total" if likelihood.conditional else ""


def _shared_error_lines(spec: AnalysisSpec, name: str, dims: Dims) -> Iterator[Statement]:
    """Errors that arms or readings of the same people share."""
    crossover, repeated = spec.designs.crossover, spec.designs.repeated
    prior = crossover and crossover.within_person_correlation
    if prior and variable_name(spec, name, WITHIN_PERSON_CORRELATION) in dims:
        yield Statement(CROSSOVER_TEXT, "u and e ~ Normal(0, 1): the same people in every arm")
        yield _prior("rho", prior, WITHIN_PERSON_CORRELATION)
    if repeated is None or variable_name(spec, name, "same_arm" + OFFSET) not in dims:
        return
    yield Statement(REPEATED_MEASURES_TEXT, "v and e ~ Normal(0, 1): the same people at every hour")
    correlation = repeated.within_arm_correlation
    if isinstance(correlation, PriorSpec):
        yield _prior("rho", correlation, WITHIN_ARM_CORRELATION)
    else:
        yield Statement(f"rho = {correlation:g}", f"{WITHIN_ARM_CORRELATION}, {FIXED}")


# --- Parameters and biases -----------------------------------------------------------------------


def _parameter_lines(
    name: str, spec: ParameterSpec, dims: tuple[str, ...] | None
) -> Iterator[Statement]:
    """A parameter as its pooling writes it, its priors, covariates and tails."""
    pooling = POOLINGS[spec.pooling]
    labels = ", ".join(dim.rpartition(SEPARATOR)[2] for dim in dims or ())
    index = f"[{labels}]" if labels else ""
    about = pooling.about.removesuffix(".").removesuffix(", with an optional interaction")
    note = decapitalise(about)
    if pooling.name == "independent":
        note = f"independent for each {labels}"
    if spec.strata_column:
        note += f"; strata: {spec.strata_column}"
    priors = {slot: prior for slot, prior in spec.priors.items() if slot != NU}
    if set(priors) in ({"location"}, {"each"}):
        (prior,) = priors.values()
        yield _prior(f"{name}{index}", prior, note)
    else:
        terms = re.sub(
            r"\s*\((\+ (\w+) [^)]*)\)",
            lambda optional: f" {optional[1]}" if optional[2] in spec.priors else "",
            pooling.text,
        )
        total = re.sub(rf"\b({'|'.join(spec.priors)})\b", rf"{name}_\1", terms)
        yield Statement(f"{name}{index} = {total}", note)
        for slot, prior in priors.items():
            yield _prior(f"{name}_{slot}", prior)
    if spec.covariates:
        slopes = {c: coefficient_name(name, c) for c in spec.covariates}
        summands = [name, *(f"{slopes[c]} · {v.text(c)}" for c, v in spec.covariates.items())]
        origin = ", ".join(f"{c} = {v.origin:g}" for c, v in spec.covariates.items())
        yield Statement(
            f"{name}[study] = {' + '.join(summands)}", f"effects are reported at {origin}"
        )
        for covariate, term in spec.covariates.items():
            yield _prior(slopes[covariate], term.prior)
    if spec.nu is not None or NU in spec.priors:
        yield Statement("g ~ Gamma(nu / 2, nu / 2)", "z / √g then has a t distribution")
    if spec.nu is not None:
        yield Statement(f"nu = {spec.nu:g}", FIXED)
    elif NU in spec.priors:
        yield _prior("nu", spec.priors[NU], f"{name}_{NU}")


def shifting_biases(part: OutcomeSpec) -> list[str]:
    """Name the biases of an outcome that shift its arms."""
    return [name for name in part.bias.given if BIASES[name].applies_to == "arms"]


def bias_lines(part: OutcomeSpec) -> Iterator[Statement]:
    """The terms of an outcome's bias models, and their priors."""
    sign, bias = ("" if part.better == "higher" else "−"), part.bias
    for name in shifting_biases(part):
        text = BIASES[name].text.replace("toward · ", sign)
        note = "in active arms of trials with a control"
        if name == "risk_of_bias" and bias.risk_of_bias is not None:
            if bias.risk_of_bias.spread is None:
                text = text.replace("(", "").replace(" + bias_spread · z[study])", "")
            risks = (level.replace("_", " ") for level in bias.risk_of_bias.priors)
            note = f"in active arms; risk of bias {', '.join(risks)}"
        elif name == "unblinding" and bias.unblinding is not None:
            note = f"p_harm: probability of '{bias.unblinding.harm}'"
        yield Statement(f"bias[arm] = {text}", note)
    if bias.selection is not None:
        steps = ", ".join(f"{step:g}" for step in bias.selection.steps)
        text = f"p(y | published) = p(y) · {BIASES['selection'].text}"
        yield Statement(text, f"steps of the one-sided p-value: {steps}")
        yield Statement(
            "w_1 = 1", f"other weights are relative to the {bias.selection.relative_to}"
        )
    if bias.power is not None:
        weights = ", ".join(f"{word} {w:g}" for word, w in bias.power.weights.items())
        yield Statement("log p(y[study]) · weight[study]", f"weights, {FIXED}: {weights}")
    for name, prior in bias.priors.items():
        published = name.startswith(PUBLISHED)
        yield _prior(f"w_{name.removeprefix(PUBLISHED)}" if published else name, prior)


# An analysis as plain text, before anything is fitted: model, priors, and the data it will use.


def describe_analysis(spec: AnalysisSpec, evidence: xr.DataTree) -> str:
    """Write the model, its priors, the included arms, and the rows that are excluded."""
    design = build_design(spec, evidence)
    model = build_model_from_design(spec, design)
    dims = {str(n): tuple(model.named_vars_to_dims.get(n) or ()) for n in model.named_vars}
    lines = [*_underlined(spec.title, "="), spec.question.strip(), ""]
    for group in model_equations(spec, design, dims):
        title = f"Outcome {group.outcome}: {group.title}" if group.outcome else group.title
        lines += [*_underlined(title), *(f"  {line.plain}" for line in group.lines), ""]
        if group.outcome:
            part = spec.outcomes[group.outcome]
            rows = design[f"{OUTCOMES}/{group.outcome}"].to_dataset()
            lines += [*_data_lines(part, rows), *_prior_guidance_lines(part, rows), ""]
    lines += pk_model_lines(spec, design)
    lines += _class_lines(design[LABELS].to_dataset())
    lines += [*_excluded_lines(design[EXCLUDED].to_dataset()), ""]
    lines += [*_underlined("Model graph"), model.str_repr(), ""]
    lines += [
        f"  {n}: dims {', '.join(map(str, of)) or 'none'}"
        for n, of in model.named_vars_to_dims.items()
    ]
    return "\n".join(lines)


def _underlined(title: str, line: str = "-") -> tuple[str, str]:
    return title, line * len(title)


def _data_lines(part: OutcomeSpec, rows: xr.Dataset) -> Iterator[str]:
    arms = pd.DataFrame(
        {n: rows[n].to_numpy() for n in ("study", "agent", "condition", "exposure")}
    )
    studies = count_noun(arms["study"].nunique(), "study", "studies")
    yield f"  Data: {count_noun(len(arms), 'arm')} of {studies}"
    for agent, active in arms[arms["exposure"] > 0].groupby("agent"):
        low, high = np.min(active["exposure"]), np.max(active["exposure"])
        studies = count_noun(active["study"].nunique(), "study", "studies")
        conditions = ", ".join(sorted(set(active["condition"])))
        yield f"    {agent}: {studies}, exposure {low:g} to {high:g}, in {conditions}"
    if uninformative := uninformative_trials(part, rows):
        yield f"    no information (no events, or only events): {', '.join(uninformative)}"


def _prior_guidance_lines(part: OutcomeSpec, rows: xr.Dataset) -> Iterator[str]:
    """Compare the curve's options and suggested priors with the tested doses."""
    exposure = rows["exposure"].to_numpy()
    doses = sorted({float(dose) for dose in exposure[exposure > 0]})
    if not doses or not part.shape.needs_dose:
        return
    yield from (f"  Note: {note}." for note in part.shape.option_notes(doses))
    yield "  Advice on the curve's priors from these doses (nothing is filled in):"
    for parameter, advice in part.shape.prior_suggestions(doses).items():
        yield f"    {parameter} ~ {advice}" if advice.prior else f"    {parameter}: {advice}"


def _class_lines(labels: xr.Dataset) -> Iterator[str]:
    if "class_of_agent" not in labels:
        return
    yield "Classes of agents"
    frame = labels[["class_of_agent"]].to_dataframe().reset_index()
    for name, members in frame.groupby("class_of_agent"):
        single = "   one agent: class and agent effects are separated only by the prior"
        yield f"  {name}: {', '.join(members['agent'])}{single if len(members) == 1 else ''}"
    yield ""


def _excluded_lines(excluded: xr.Dataset) -> Iterator[str]:
    frame = excluded.to_dataframe()
    yield f"Excluded: {count_noun(len(frame), 'row')}"
    counts = frame.groupby(["outcome", "reason"]).size().rename("count").reset_index()
    for row in counts.to_dict("records"):
        yield f"  {row['outcome']}: {row['count']} x {row['reason']}"


# --- Pharmacokinetics ----------------------------------------------------------------------------


def pk_model_lines(spec: AnalysisSpec, design: xr.DataTree) -> Iterator[str]:
    """Published models that turn doses into concentrations, and their assumptions."""
    outcomes = [name for name, part in spec.outcomes.items() if EXPOSURES[part.exposure].metric]
    kinetics = pk_models_of_design(spec, design)
    if kinetics is None or not outcomes:
        return
    yield from _underlined("Concentrations")
    if kinetics.spec.why:
        yield f"  # {kinetics.spec.why}"
    yield f"  a {kinetics.body_weight_kg:g} kg adult; parameters {kinetics.spec.uncertainty}"
    for agent, routes in kinetics.spec.model.items():
        reference = " by ".join(reversed(kinetics.reference(agent)))
        for route, name in routes.items():
            specimen = kinetics.published[name].specimen or "specimen not stated"
            unit = f"; 1 is {reference}" if reference.strip(" by") else ""
            yield f"  {agent} ({route} route): {name}, {specimen}{unit}"
    if kinetics.spec.uncertainty == "published":
        for name in kinetics.model_names:
            parameters = kinetics.published[name].without_metabolites().parameters
            log_sds = {symbol: log_sd(p, "typical") for (_, symbol), p in parameters.items()}
            varied = ", ".join(f"{symbol} {sd:.2g}" for symbol, sd in log_sds.items() if sd)
            yield f"  {name}: " + (
                f"log-normal, log SD {varied}"
                if varied
                else "fixed, no standard error is published"
            )
    yield from _effect_site_lines(spec, kinetics)
    for name in outcomes:
        arms = design[f"{OUTCOMES}/{name}"].to_dataset()
        notes = pd.Series(arms["dose_note"].to_numpy(), dtype=object).fillna("").astype(str)
        for note, count in notes[notes != ""].value_counts(sort=False).items():
            yield f"  {name}: {count_noun(count, 'arm')}: {note}"
        if nominal := nominal_exposure_note(kinetics, arms):
            yield f"  {name}: {nominal}"
    yield ""


def nominal_exposure_note(kinetics: PKModels, arms: xr.Dataset) -> str:
    """Count the arms whose exposure ignores the priors of kinetic parameters; empty if none."""
    half_lives = [h for site in kinetics.spec.effect_site.values() for h in site.values()]
    estimated = kinetics.spec.uncertainty == "published" or any(
        isinstance(half_life, PriorSpec) for half_life in half_lives
    )
    active = arms["exposure"].to_numpy().astype(float) > 0
    count = int((active & (arms["report"].to_numpy() == CONTRAST_REPORT)).sum())
    if not estimated or not count:
        return ""
    return (
        f"{count_noun(count, 'contrast arm')} at the published exposure, without its uncertainty"
        " (only contrasts are reported)"
    )


def _effect_site_lines(spec: AnalysisSpec, kinetics: PKModels) -> Iterator[str]:
    for name, site in kinetics.spec.effect_site.items():
        for drug, half_life in site.items():
            start = f"  effect site of {spec.outcomes[name].label or name}, {drug}: half-life"
            if not isinstance(half_life, PriorSpec):
                yield f"{start} {half_life:g} h, fixed"
                continue
            median, sd = math.exp(half_life.kwargs["mu"]), half_life.kwargs["sigma"]
            why = f"  # {half_life.why}" if half_life.why else ""
            yield f"{start} log-normal, median {median:.3g} h, log SD {sd:.2g}{why}"
