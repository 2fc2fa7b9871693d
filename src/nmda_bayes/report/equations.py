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
from markupsafe import Markup, escape

from nmda_bayes.components.designs import TEXT as CROSSOVER
from nmda_bayes.components.designs import WITHIN_PERSON
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.components.pooling import POOLINGS, Pooling
from nmda_bayes.components.responders import HARDER, RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.components.responders import TEXT as RESPONDERS
from nmda_bayes.design import (
    AS_CONTRAST,
    AS_RESPONDERS,
    BORROWED,
    Form,
    coefficient,
    forms_of,
    levels_of,
    silent_trials,
)
from nmda_bayes.dims import SAMPLE, SEPARATOR, STUDY
from nmda_bayes.estimands import design_of, spec_of
from nmda_bayes.estimands.reading import variable
from nmda_bayes.priors import prior_text
from nmda_bayes.report.words import MINUS, count, opened
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec, ParameterSpec, needed_parameters
from nmda_bayes.spec.pooling_rules import NU
from nmda_bayes.spec.rules import BASELINE, natural

#: Letters for the words that every statistician writes as letters.
LETTERS = {"eta": "η", "delta": "δ", "theta": "θ", "rho": "ρ"}
PLAIN = frozenset(
    (
        "for",
        "each",
        "arm",
        "mu",
        "sigma",
        "correlation",
        "of",
        "between",
        "the",
        "outcomes",
        "one",
        "known",
        "sampling",
        "covariance",
        "in",
        "crossover",
        "trials",
        "cut",
        "off",
        "is",
        "these",
        "parameters",
    )
)
SHARED_ARM = "se² on the diagonal; the comparator's variance between contrasts that share it"
FUNCTIONS = ("exp", "log", "logit", "Normal", "Gamma", "Binomial", "MvNormal", "Phi")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|\[[^\]]*\]|\^[A-Za-z0-9]+|.", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line of the model.

    Attributes
    ----------
    left
        What is defined, as HTML.
    relation
        ``=`` or ``∼``.
    right
        Its definition, as HTML.
    note
        A remark in words.
    """

    left: Markup
    relation: str
    right: Markup
    note: str = ""


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
            _line("R = correlation of z[agent] between these parameters", note=named),
            _line(f"R ~ {prior}", note="agent_correlation"),
        )
        blocks.append(Block("Between agents", lines))
    if correlation is not None:
        prior = prior_text(correlation.dist, {str(k): v for k, v in correlation.kwargs.items()})
        note = "their correlations are heterogeneity_correlation, over pairs of outcomes"
        lines = (
            _line("R = correlation of delta[arm] between the outcomes of one arm", note=note),
            _line(f"R ~ {prior}"),
        )
        blocks.append(Block("Between outcomes", lines))
    return blocks


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
        yield _line("total = events of all arms of a trial", note=f"taken as known{told}")
    prior = spec.designs.crossover and spec.designs.crossover.within_person_correlation
    if prior and variable(spec, name, WITHIN_PERSON) in fit["posterior"].to_dataset():
        yield _line(CROSSOVER, note="u and e ~ Normal(0, 1): the same people are in every arm")
        yield _line(f"rho ~ {prior_text(prior.dist, prior.kwargs)}", note=WITHIN_PERSON)
    terms = [f"{BASELINE}[{STUDY}]"] if likelihood.has_baseline else []
    terms.append("f(x[arm]; θ[agent, condition])" if curve.parameters else "f(x[arm])")
    if heterogeneity.formula is not None:
        terms.append("delta[arm]")
    yield _line(f"eta[arm] = {' + '.join(terms)}", note=_baseline_note(likelihood))
    yield _line(
        f"f(x) = {curve.text}", note="; ".join(filter(None, ("for x > 0; f(0) = 0", curve.symbols)))
    )
    if heterogeneity.formula is not None:
        yield _line(f"delta ~ {heterogeneity.text}")
    z_used = False
    responders = any(form.report == AS_RESPONDERS for form in forms)
    for needed in needed_parameters(part.model_dump()) or ():
        if needed in (RESPONDER_SD, STARTING_LEVEL) and not responders:
            continue
        given = needed if needed in part.parameters else natural(needed)
        if given != needed:
            yield _line(f"{needed} = log({given})")
        parameter = part.parameters[given]
        z_used = z_used or "z[" in POOLINGS[parameter.pooling].text
        yield from _parameter_lines(fit, variable(spec, name, given), given, parameter)
        yield from _covariate_lines(given, parameter)
        yield from _tail_lines(given, parameter)
    if z_used:
        yield _line("z ~ Normal(mu=0, sigma=1)", note="each z on its own")


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
        yield _line(text, note=count(form.design.sizes["contrast"], "contrast"))
        yield _line("S = known sampling covariance", note=SHARED_ARM)
    elif form.report == AS_RESPONDERS:
        yield _line(RESPONDERS, note=f"{arms} of trials that count responders alone")
        if levels_of(form.design) > 1:
            yield _line(HARDER, note="of the arms that print several cut-offs")
    else:
        of_arm = rf"(?<!\w)({'|'.join(likelihood.symbols)})(?!\w)"
        for statement in likelihood.text.split("; "):
            yield _line(re.sub(of_arm, r"\1[arm]", statement), note=arms)
            arms = ""
        for name, value in options.items():
            yield _line(f"{name} = {value:g}", note="declared, not learned")


def _baseline_note(likelihood: Likelihood) -> str:
    if likelihood.contrasts:
        return "a study's baseline cancels in its contrasts"
    return "a study's baseline cancels given its total" if likelihood.conditional else ""


def _parameter_lines(
    fit: xr.DataTree, in_fit: str, name: str, spec: ParameterSpec
) -> Iterator[Line]:
    """A parameter as its pooling writes it, and the priors that the sum needs."""
    pooling = POOLINGS[spec.pooling]
    dims = _dims(fit, in_fit)
    priors = {slot: prior for slot, prior in spec.priors.items() if slot != NU}
    if set(priors) == {"location"} or set(priors) == {"each"}:
        (prior,) = priors.values()
        yield _line(
            f"{name}{dims} ~ {prior_text(prior.dist, prior.kwargs)}", note=_about(pooling, dims)
        )
        return
    kept = re.sub(
        r"\s*\((\+ (\w+) [^)]*)\)",
        lambda found: f" {found[1]}" if found[2] in spec.priors else "",
        pooling.text,
    )
    total = re.sub(rf"\b({'|'.join(spec.priors)})\b", rf"{name}_\1", kept)
    yield _line(f"{name}{dims} = {total}", note=_about(pooling, dims))
    for slot, prior in priors.items():
        yield _line(f"{name}_{slot} ~ {prior_text(prior.dist, prior.kwargs)}")


def _covariate_lines(name: str, spec: ParameterSpec) -> Iterator[Line]:
    """What a parameter is in each study, and where the answers stand."""
    if not spec.covariates:
        return
    terms = [f"{coefficient(name, c)} · {one.text(c)}" for c, one in spec.covariates.items()]
    centres = ", ".join(f"{c} = {one.origin:g}" for c, one in spec.covariates.items())
    yield _line(
        f"{name}[study] = {' + '.join([name, *terms])}", note=f"answers are given at {centres}"
    )
    for covariate, one in spec.covariates.items():
        prior = prior_text(one.prior.dist, one.prior.kwargs)
        yield _line(f"{coefficient(name, covariate)} ~ {prior}")


def _tail_lines(name: str, spec: ParameterSpec) -> Iterator[Line]:
    """What an offset is divided by to have the tails of a t distribution."""
    if spec.nu is None and NU not in spec.priors:
        return
    yield _line("g ~ Gamma(nu / 2, nu / 2)", note="so that z / √g has the tails of a t")
    if spec.nu is not None:
        yield _line(f"nu = {spec.nu:g}", note="declared, not learned")
    else:
        prior = spec.priors[NU]
        yield _line(f"nu ~ {prior_text(prior.dist, prior.kwargs)}", note=f"{name}_{NU}")


def _about(pooling: Pooling, dims: str) -> str:
    """Say how a parameter is shared; what the formula shows is not said again."""
    if pooling.name == "independent":
        return f"a value for each {dims.strip('[]')}, nothing shared"
    return pooling.about.removesuffix(".").removesuffix(", with an optional interaction")


def _dims(fit: xr.DataTree, name: str) -> str:
    """Write a variable's dims as subscripts, as the graph has them."""
    posterior = fit["posterior"].to_dataset()
    if name not in posterior:
        return ""
    dims = [str(d).rpartition(SEPARATOR)[2] for d in posterior[name].dims if d not in SAMPLE]
    return f"[{', '.join(dims)}]" if dims else ""


def _line(text: str, note: str = "") -> Line:
    """Split a statement at its relation and set both sides."""
    found = re.search(r"\s(~|=)\s", text)
    if found is None:
        return Line(typeset(text), "", Markup(), note)
    relation = "∼" if found[1] == "~" else "="
    return Line(typeset(text[: found.start()]), relation, typeset(text[found.end() :]), note)


def typeset(text: str) -> Markup:
    """Set a formula in HTML: variables in italics, dims as subscripts, functions upright.

    Parameters
    ----------
    text
        A formula as the catalogues write it.

    Returns
    -------
    Markup
        Escaped, marked up with ``var``, ``sub`` and ``sup``.
    """
    return Markup("").join(_set_token(token) for token in _TOKEN.findall(text))


def _set_token(token: str) -> Markup:
    if token.startswith("["):
        return Markup("<sub>{}</sub>").format(token)
    if token.startswith("^"):
        return Markup("<sup>{}</sup>").format(token[1:])
    if token in LETTERS:
        return Markup("<var>{}</var>").format(LETTERS[token])
    plain = token in FUNCTIONS or token[0].isupper() or not (token[0].isalpha() or token[0] == "_")
    if plain or token in PLAIN:
        return escape(token.replace("-", MINUS))
    return Markup("<var>{}</var>").format(token)
