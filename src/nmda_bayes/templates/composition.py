"""From decisions to a spec: an outcome's block from one template, its curve from another."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.tree import evidence_tree
from nmda_bayes.registry import shipped_folder
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.templates.decisions import (
    SET_BY_USER,
    TEMPLATE_CONTRASTS,
    TEMPLATE_CORRELATIONS,
    TEMPLATE_COUNTS,
    TEMPLATE_DIFFERENCES,
    TEMPLATE_EMAX,
    TEMPLATE_MEANS,
    TEMPLATE_RATES,
    TEMPLATE_SPARSE,
    DosePlan,
    check_pair,
    choose_conditions,
    choose_crossover,
    choose_doses,
    choose_outcomes,
    choose_reference,
    choose_scale,
    choose_template,
    window_of_pair,
)
from nmda_bayes.templates.outcome_data import (
    COUNTS,
    RATES,
    OutcomeData,
    active_doses,
    dose_unit,
    join_names,
    outcome_data,
)
from nmda_bayes.templates.settings import settings_of

#: What the effects of each template change, in words.
QUANTITIES: Final = {
    TEMPLATE_COUNTS: "odds",
    TEMPLATE_SPARSE: "odds",
    TEMPLATE_RATES: "rate",
    TEMPLATE_MEANS: "mean",
    TEMPLATE_DIFFERENCES: "mean",
}
#: Parameters that hold the size of an effect, and their value at an effect of 1 at dose 1.
SIZE_PARAMETERS: Final = {"effect": 1.0, "emax": 1.0, "slope": 1 / math.log(2)}
SIZE_TEXTS: Final = {
    "emax": "At the ceiling: ",
    "slope": "At the reference dose, 0.69 times this: ",
}
NOT_OF_CURVES: Final = ("baseline", "heterogeneity_sd")
#: The width of the scale on which priors of means are written.
TEMPLATE_WIDTH: Final = 100.0
BETWEEN_CONDITIONS: Final = (
    "Conditions are partially pooled: the SD between their effects has a half-normal prior, of a"
    " quarter of the scale of the effect's prior."
)
CORRELATION_WHY: Final = (
    "Arms that benefit more than their dose explains may also be harmed more; mildly sceptical of"
    " extreme correlations."
)


@dataclass(frozen=True)
class FilledTemplate:
    """A template completed for a table; the evidence has its reference doses."""

    name: str
    spec: AnalysisSpec
    evidence: xr.DataTree


def fill_template(
    evidence: xr.DataTree, options: ImportOptions, name: str | None = None
) -> FilledTemplate:
    """Complete the named template, or the one that suits a table; questions are raised."""
    questions: list[Issue] = []
    filled = propose_analysis(evidence, options, name, questions)
    if questions or filled is None:
        raise EvidenceError(questions)
    return filled


def propose_analysis(
    evidence: xr.DataTree, options: ImportOptions, name: str | None, questions: list[Issue]
) -> FilledTemplate | None:
    """Complete a template; what only the owner of the table can decide is added to `questions`."""
    source = str(evidence.attrs["source"])
    if evidence.attrs["kind"] != "flat":
        message, hint = "a template needs a single table", "Name an analysis, such as benefit_risk."
        questions.append(Issue("E450", message, hint, source))
        return None
    n_before = len(questions)
    chosen = choose_outcomes(outcome_data(evidence, options), source, options, questions)
    if not chosen.outcomes:
        return None
    outcomes = chosen.outcomes
    several = len(outcomes) > 1
    templates = [
        None if data.kinds == [] else choose_template(data, name, options, questions)
        for data in outcomes
    ]
    better = None
    if chosen.is_joint and len(outcomes) == 2:
        better = check_pair(chosen, options, questions)
    scales = [
        choose_scale(data, several, options, questions)
        if template is not None and template[0] in (TEMPLATE_MEANS, TEMPLATE_DIFFERENCES)
        else None
        for data, template in zip(outcomes, templates, strict=True)
    ]
    separate, conditions = choose_conditions(evidence, outcomes, options, questions)
    crossover, crossover_text = choose_crossover(evidence, outcomes, options, questions)
    known, _ = choose_reference(evidence, outcomes, None, options, questions)
    sides = pd.concat([data.sides for data in outcomes], ignore_index=True)
    plan = choose_doses(sides, known, name, source, options, questions)
    reference, why = choose_reference(evidence, outcomes, plan, options, questions)
    if len(questions) > n_before or not chosen.is_decided or None in templates:
        return None
    parts = [
        _OutcomePlan(data, *template, scale[0] if scale else None)
        for data, template, scale in zip(outcomes, templates, scales, strict=True)
        if template is not None
    ]
    content = _content(parts, plan, reference, separate, options)
    decisions: dict[str, str] = {}
    if plan.curve:
        doses, text = _reference_doses(sides, reference, options, questions)
        if len(questions) > n_before:
            return None
        decisions["reference_doses"] = text
        evidence = apply_reference_doses(evidence, doses)
    if chosen.is_joint:
        window, text = window_of_pair(chosen, reference, parts[0].scale, options)
        names = list(content["outcomes"])
        keys = ("benefit_at_least", "risk_at_most", "baseline_risk")
        content["window"] = {"benefit": names[0], "harm": names[1], "why": text}
        content["window"] |= dict(zip(keys, window, strict=True))
        content["outcomes"][names[0]]["better"] = better
        content["outcomes"][names[1]]["better"] = "lower"
        decisions["window"] = text
    decisions["doses"] = plan.why
    if conditions:
        decisions["conditions"] = conditions
    if crossover:
        decisions["crossover"] = crossover_text
        content["designs"] = {"crossover": _crossover_block(crossover, content["outcomes"])}
    decisions["reference"] = why
    for part, scale in zip(parts, scales, strict=True):
        if scale is not None:
            decisions[f"scale_{part.key}" if several else "scale"] = scale[1]
        if part.data.left_out:
            text = f"{part.data.left_out} contrasts of other measures are left out ({SET_BY_USER})."
            decisions["measure"] = text
    first = _first_line(parts, plan, conditions, reference, content.get("window"))
    content["decisions"] = {"spec": first, **content["decisions"], **decisions}
    content["decisions"] |= import_decisions(evidence)
    settings = settings_of(options)
    if plan.curve:
        settings |= {
            f"dose.{agent}": repr(dose).removesuffix(".0") for agent, dose in doses.items()
        }
    content |= {"evidence": source, "settings": settings}
    spec = AnalysisSpec.from_dict(content, file=f"{parts[0].template}.toml")
    return FilledTemplate(parts[0].template, spec, evidence)


def import_decisions(evidence: xr.DataTree) -> dict[str, str]:
    """Describe how a table was read, as a decision of a spec."""
    notes, columns = evidence.attrs.get("notes", ()), evidence.attrs.get("columns", "")
    if not notes and not columns:
        return {}
    text = f"Read as {evidence.attrs['format']}" + (f": {columns}." if columns else ".")
    return {"table": " ".join([text, *notes])}


@dataclass(frozen=True)
class _OutcomePlan:
    """An outcome with its template and its scale."""

    data: OutcomeData
    template: str
    why: str
    scale: tuple[float, float] | None

    @property
    def key(self) -> str:
        """The outcome's name in the spec."""
        words = re.sub(r"\W+", "_", self.data.name, flags=re.ASCII).strip("_")
        return words if re.match(r"[A-Za-z]", words) else f"outcome_{words}".rstrip("_")


def _read_template(name: str) -> dict[str, Any]:
    return tomllib.loads((shipped_folder("models") / f"{name}.toml").read_text("utf-8"))


def _content(
    parts: Sequence[_OutcomePlan],
    plan: DosePlan,
    reference: str,
    separate: bool,
    options: ImportOptions,
) -> dict[str, Any]:
    """The content of a spec, without its decisions about the table."""
    contents = [_read_template(part.template) for part in parts]
    content = contents[0]
    curve = _read_template(plan.curve) if plan.curve else None
    sides = pd.concat([part.data.sides for part in parts])
    active = sorted(set(sides["agent"]) - {reference, "placebo", ""})
    outcomes: dict[str, Any] = {}
    for part, own in zip(parts, contents, strict=True):
        (key, block), *_ = own["outcomes"].items()
        if len(parts) > 1:
            key = part.key if part.key not in outcomes else f"{part.key}_{len(outcomes) + 1}"
        block["measures"] = [part.data.name or key]
        block["label"] = _sentence(part.data.label) or block["label"]
        if part.template in (TEMPLATE_CONTRASTS, TEMPLATE_CORRELATIONS):
            (measure,) = part.data.measures
            block["unit"] = measure.replace("_", " ")
            if part.template == TEMPLATE_CORRELATIONS:
                block["unit"] = "Fisher z"
        if part.scale is not None:
            _set_scale(block, part.scale)
        if curve is not None:
            _set_curve(block, curve, plan.undosed, len(active))
        if separate:
            _separate_conditions(block, len(active))
        if better := options.better_for(part.data.name):
            block["better"] = better
        if part.data.left_out:
            content["select"] = {"effect": list(part.data.measures)}
        outcomes[key] = block
    decisions = dict(curve["decisions"] if curve else content["decisions"])
    decisions.pop("doses", None)
    if separate:
        decisions["priors"] += f" {BETWEEN_CONDITIONS}"
    if len(parts) > 1:
        lkj = {"dist": "LKJCorr", "kwargs": {"eta": 2}, "why": CORRELATION_WHY}
        content["correlations"] = {"heterogeneity": lkj}
    title, question = _title(parts, plan, active, reference)
    content |= {"title": title, "question": question, "reference": reference}
    return content | {"outcomes": outcomes, "decisions": decisions}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _title(
    parts: Sequence[_OutcomePlan], plan: DosePlan, active: list[str], reference: str
) -> tuple[str, str]:
    """Title and question of the report, which name outcomes and agents."""
    labels = [part.data.label for part in parts]
    more = [f"{len(active) - 4} more"] if len(active) > 4 else []
    agents = join_names([*active[:4], *more])
    cause = f"the dose of {agents}" if plan.curve else agents
    if len(parts) > 1:
        title = f"{_sentence(labels[0])} and {labels[1]}"
        question = (
            f"What is the effect of {cause} on {labels[0]} and on the risk of {labels[1]}, and"
        )
        question += f" is there {'a dose' if plan.curve else 'an agent'} with enough benefit at an"
        question += " acceptable risk?"
    elif parts[0].template == TEMPLATE_CORRELATIONS:
        title = _sentence(labels[0]) or "Correlations"
        question = "How strong is the correlation, and does it differ between trials?"
    else:
        quantity = QUANTITIES.get(parts[0].template, "")
        unnamed = "the event" if parts[0].data.kinds[0] in (COUNTS, RATES) else "the outcome"
        measured = labels[0] or unnamed
        measured = f"the {quantity} of {measured}" if quantity else measured
        title = _sentence(labels[0]) or "The effect of each agent"
        question = f"What is the effect of {cause} on {measured}, against {reference}?"
    title += " over dose" if plan.curve else ""
    return f"{title}: {agents} against {reference}", question


# Scales, curves and conditions of a block.


def _set_scale(block: dict[str, Any], scale: tuple[float, float]) -> None:
    """Rewrite priors from points of 100 to a scale."""
    low, high = scale
    factor = (high - low) / TEMPLATE_WIDTH
    block["scale"] = [low, high]
    block["unit"] = f"points on {low:g}-{high:g}" if low >= 0 else f"points on {low:g} to {high:g}"
    for name, parameter in block["parameters"].items():
        for prior in parameter["priors"].values():
            shift = low if name == "baseline" else 0.0
            for argument, value in prior["kwargs"].items():
                moved = shift if argument == "mu" else 0.0
                prior["kwargs"][argument] = _short(moved + factor * value)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _set_curve(
    block: dict[str, Any], template: dict[str, Any], undosed: Sequence[str], n_agents: int
) -> None:
    """Replace a constant effect by the curve of a template; the prior of its size is kept."""
    (curve, *_) = template["outcomes"].values()
    effect = block["parameters"].pop("effect")
    parameters: dict[str, Any] = {}
    for name, parameter in curve["parameters"].items():
        if name in NOT_OF_CURVES:
            continue
        if name in SIZE_PARAMETERS:
            prior = effect["priors"]["each"]
            arguments = {k: _short(v * SIZE_PARAMETERS[name]) for k, v in prior["kwargs"].items()}
            why = SIZE_TEXTS[name] + prior["why"][:1].lower() + prior["why"][1:]
            parameter["priors"] = {"each": prior | {"kwargs": arguments, "why": why}}
        elif n_agents == 1 and "location" in parameter["priors"]:
            # The SD between agents is not informed by a single one.
            parameter = {
                "pooling": "common",
                "priors": {"location": parameter["priors"]["location"]},
            }
        parameters[name] = parameter
    if undosed:
        parameters["effect"] = effect
        block["curves"] = dict.fromkeys(undosed, "constant")
    block["parameters"] = parameters | block["parameters"]
    block |= {"curve": curve["curve"], "exposure": curve["exposure"]}


def _separate_conditions(block: dict[str, Any], n_agents: int) -> None:
    """Let the size of effects differ between conditions, partially pooled."""
    for name in SIZE_PARAMETERS:
        if name not in block["parameters"]:
            continue
        prior = block["parameters"][name]["priors"]["each"]
        sigma = prior["kwargs"]["sigma"]

        def spread(share: float, why: str, sigma: float = sigma) -> dict[str, Any]:
            return {"dist": "HalfNormal", "kwargs": {"sigma": _short(share * sigma)}, "why": why}

        conditions = spread(0.25, "Conditions differ less than the effect may be large: a quarter.")
        pooling, priors = "condition", {"location": prior, "between_condition": conditions}
        if n_agents > 1:
            pooling = "agent_and_condition"
            priors["between_agent"] = spread(0.5, "Agents may differ by half of the effect's size.")
            priors["between_cells"] = spread(0.25, "As between conditions, for each agent.")
        block["parameters"][name] = {"pooling": pooling, "priors": priors}


def _crossover_block(choice: str, outcomes: Mapping[str, Any]) -> dict[str, Any]:
    """How crossover trials enter each outcome, as a spec writes it."""
    paired = [
        name
        for name, block in outcomes.items()
        if choice == "paired" and LIKELIHOODS[block["likelihood"]].allows_shared_error
    ]
    block: dict[str, Any] = {"periods": "first" if choice == "first" else "all"}
    if paired:
        block["within_person_correlation"] = {
            "dist": "Beta",
            "kwargs": {"alpha": 5, "beta": 5},
            "why": "Tables rarely give it; 95% from 0.21 to 0.79.",
        }
    parallel = [name for name in outcomes if name not in paired]
    return block | ({"as_parallel": parallel} if parallel and choice != "first" else {})


def _first_line(
    parts: Sequence[_OutcomePlan],
    plan: DosePlan,
    conditions: str,
    reference: str,
    window: dict[str, Any] | None,
) -> str:
    """What is fitted, in one line: likelihoods, doses, conditions, reference, window."""
    texts = [
        part.template + (f" for {part.data.label}" if part.data.label else "") + f" ({part.why})"
        for part in parts
    ]
    shape = "Emax" if plan.curve == TEMPLATE_EMAX else "log-linear"
    doses = f"dose-response ({shape}, {plan.curve})" if plan.curve else "no dose-response"
    if not plan.curve and plan.why.startswith("All doses"):
        doses = "doses pooled"
    texts.append(doses)
    if conditions:
        texts.append("conditions pooled" if "pooled, one" in conditions else "conditions separate")
    texts.append(f"against {reference}")
    if window:
        texts.append(
            f"window: benefit {window['benefit_at_least']:g}, added risk"
            f" {window['risk_at_most']:g}, risk without treatment {window['baseline_risk']:g}"
            + (" (proposed)" if window["why"].startswith("Proposed") else "")
        )
    return "; ".join(texts) + ". Its priors are generic."


# Reference doses.


def _reference_doses(
    sides: pd.DataFrame, reference: str, options: ImportOptions, questions: list[Issue]
) -> tuple[dict[str, float], str]:
    """The dose of each agent that its doses are multiples of: set by the user, or the median.

    The median is over distinct doses, and the lower of two middle ones.
    """
    tested = active_doses(sides, reference)
    doses = {agent: float(values[(len(values) - 1) // 2]) for agent, values in tested.items()}
    for agent in options.reference_doses:
        if agent not in doses:
            message, hint = f"no arm has '{agent}' at a dose", f"Agents: {', '.join(doses)}."
            questions.append(Issue("E461", message, hint, "--set", None, "dose"))
    why = SET_BY_USER if set(doses) <= set(options.reference_doses) else "the median dose tested"
    doses |= options.reference_doses
    listed = ", ".join(
        f"{agent} {dose:g}{dose_unit(sides, agent)}" for agent, dose in sorted(doses.items())
    )
    has_units = all(dose_unit(sides, agent) for agent in doses)
    return doses, f"{listed} ({why}{'' if has_units else '; unit not stated'})."


def apply_reference_doses(evidence: xr.DataTree, doses: Mapping[str, float]) -> xr.DataTree:
    """The evidence with a reference dose of each agent, by each of its routes."""
    sides = pd.concat([data.sides for data in outcome_data(evidence, ImportOptions())])
    pairs = sides.loc[sides["agent"].isin(list(doses)), ["agent", "route"]].drop_duplicates()
    values = pairs["agent"].map(doses).astype(float)
    table = pairs.assign(dose_column="dose", reference_dose=values).reset_index(drop=True)
    tables = {
        name: to_frame(evidence, name).drop(columns="row", errors="ignore")
        for name in evidence.children
    }
    empty = tables["reference_doses"]
    missing = {
        str(column): np.nan if empty[column].dtype.kind in "iuf" else ""
        for column in empty.columns.difference(table.columns)
    }
    tables["reference_doses"] = table.assign(**missing)[empty.columns]
    filled = evidence_tree(tables, source=str(evidence.attrs["source"]), kind="flat")
    filled.attrs |= {k: v for k, v in evidence.attrs.items() if k not in filled.attrs}
    return filled
