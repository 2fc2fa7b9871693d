"""Effects over dose, on the linear predictor and on each outcome's natural scale.

Curves are evaluated by the formulas of `nmda_bayes.components.curves` on the posterior draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.links import LOGIT, Link, risk_at_effect
from nmda_bayes.design import original_agent
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE, words_of
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.fit_access import (
    CovariateValues,
    agent_membership,
    baseline_for_risks,
    curve_parameters,
    design_of,
    labels_of,
    link_of,
    posterior_draws,
    spec_error,
    spec_of,
    unknown_label,
    window_of,
)
from nmda_bayes.estimands.tested_doses import (
    default_dose_grid,
    dose_range,
    dose_words,
    exposure_axis_label,
    is_extrapolated,
    is_tested,
)
from nmda_bayes.spec import AnalysisSpec

#: Natural scales of an effect.
DIFFERENCE, RISK, RATIO, CORRELATION = "difference", "risk", "ratio", "correlation"

Doses = Sequence[float] | np.ndarray | xr.DataArray | None
#: One number on the exposure axis for all agents, or a number for each agent.
CommonDose = float | Mapping[str, float] | None

ALL_CONDITIONS = "all conditions combined"
OWN_DOSE = "each at the dose beside its name"


def dose_response(
    fit: xr.DataTree,
    dose: Doses = None,
    baseline_risk: float | None = None,
    at: CovariateValues | None = None,
) -> xr.DataArray:
    """Evaluate every outcome's dose-response curve on its natural scale.

    Parameters
    ----------
    fit
        As `fit` returns it.
    dose
        Exposures >= 0, in the units of the spec's exposure; by default a grid from 0 to 1.5 times
        the highest tested dose.
    baseline_risk
        Risk at dose 0, for outcomes that are risks; by default ``window.baseline_risk`` of the
        spec.
    at
        Values of covariates by name; a covariate not listed is at its centre.

    Returns
    -------
    xr.DataArray
        ``response``, dims outcome, agent, condition, dose, chain, draw. Coordinates over outcome:
        ``scale`` (``difference`` from dose 0 in the outcome's units, absolute ``risk``, ``ratio``
        to dose 0, or ``correlation``), ``unit``, ``label``, ``link`` and ``better``;
        over outcome, agent and condition ``trials``, 0 where the curve is predicted from the
        others, and ``tested_from``, ``tested_to``; with dose ``tested``, whether an arm had that
        dose, and ``extrapolated``, above the doses tested there.

    Raises
    ------
    SpecError
        If an outcome is a risk and there is no baseline risk (E802), a dose is negative or not
        finite (E805), or no parameter depends on a covariate of ``at`` (E804).

    Examples
    --------
    >>> curve = nb.dose_response(fit, dose=[0, 0.5, 1], baseline_risk=0.05)
    >>> curve.dims
    ('outcome', 'agent', 'condition', 'dose', 'chain', 'draw')
    >>> [str(scale) for scale in curve["scale"].values]
    ['difference', 'risk']
    """
    spec = spec_of(fit)
    baseline = baseline_for_risks(fit, baseline_risk)
    parts = [
        to_natural_scale(linear_response(fit, name, dose, at), link_of(spec, name), baseline)
        for name in spec.outcomes
    ]
    response = xr.concat(parts, dim=xr.Variable(OUTCOME, list(spec.outcomes)))
    tested, labels = dose_range(fit), fit["design/labels"].to_dataset()
    extrapolated = is_extrapolated(response[DOSE], tested["tested_to"]).transpose(..., DOSE)
    for coords in (outcome_coords(spec), tested.data_vars, labels.data_vars):
        response = response.assign_coords(coords)
    had = is_tested(fit, response[DOSE].to_numpy())
    response = response.assign_coords(extrapolated=extrapolated, tested=had)
    response.attrs = {"exposure_axis": exposure_axis_label(fit)}
    if baseline is not None:
        response.attrs["baseline_risk"] = baseline
    return response.rename("response")


def linear_response(
    fit: xr.DataTree,
    outcome: str,
    dose: Doses = None,
    at: CovariateValues | None = None,
    cell: Mapping[str, str] | None = None,
) -> xr.DataArray:
    """Evaluate an outcome's curve on the linear predictor, in all cells or for an agent, condition.

    Dims agent, condition, dose, chain, draw.
    """
    curve = spec_of(fit).outcomes[outcome].shape
    theta = curve_parameters(fit, outcome, curve.parameters, at)
    labels = fit["design/labels"].to_dataset()
    if cell:
        selected = {dim: [label] for dim, label in cell.items()}
        labels = labels.sel(selected)
        theta = {
            name: values.sel({dim: label for dim, label in selected.items() if dim in values.dims})
            for name, values in theta.items()
        }
    zeros = xr.zeros_like(labels[AGENT], float) + xr.zeros_like(labels[CONDITION], float)
    response = curve.response(_dose_grid(fit, dose), theta, np, agent_membership(labels[AGENT]))
    return (zeros + response).transpose(AGENT, CONDITION, DOSE, *SAMPLE)


def _dose_grid(fit: xr.DataTree, dose: Doses) -> xr.DataArray:
    if dose is None:
        return default_dose_grid(fit)
    values = np.atleast_1d(np.asarray(dose, dtype=float))
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise spec_error("E805", "a dose is negative or not finite", "Pass doses >= 0.", DOSE)
    return xr.DataArray(values, dims=DOSE, coords={DOSE: values})


# Natural scales.


def to_natural_scale(response: xr.DataArray, link: Link, baseline: float | None) -> xr.DataArray:
    """Convert differences on the linear predictor to a difference, risk or ratio."""
    if link.probability and baseline is not None:
        return absolute_risk(response, baseline, link)
    if effect_scale(link) in (RATIO, CORRELATION):
        function = np.exp if link.ratio else np.tanh
        natural: xr.DataArray = xr.apply_ufunc(function, response)
        return natural
    return response


def effect_scale(link: Link) -> str:
    """Name the natural scale of a link's effects."""
    if link.probability:
        return RISK
    return RATIO if link.ratio else CORRELATION if link.correlation else DIFFERENCE


def absolute_risk(
    log_ratio: xr.DataArray, baseline_risk: float, link: Link = LOGIT
) -> xr.DataArray:
    """Convert log odds ratios or log hazard ratios to absolute risks at a baseline risk."""
    risk: xr.DataArray = risk_at_effect(baseline_risk, log_ratio, link)
    return risk


def outcome_facts(spec: AnalysisSpec) -> pd.DataFrame:
    """Tabulate label, unit, scale, link and better direction by outcome."""
    rows = {}
    for name, part in spec.outcomes.items():
        link = link_of(spec, name)
        rows[name] = {
            "label": part.label or name,
            "unit": unit_of_effects(link, part.unit),
            "scale": effect_scale(link),
            "link": link.name,
            "better": part.better,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def unit_of_effects(link: Link, unit: str) -> str:
    """Name the unit of effects on their natural scale."""
    if link.probability:
        return "probability"
    return link.ratio or (CORRELATION if link.correlation else unit)


def outcome_coords(spec: AnalysisSpec) -> dict[str, Any]:
    """Make coordinates over outcome of `outcome_facts`."""
    facts = outcome_facts(spec)
    return {str(name): (OUTCOME, facts[name].tolist()) for name in facts}


# The therapeutic window.


def window_probabilities(
    spec: AnalysisSpec,
    benefit: xr.DataArray,
    harm: xr.DataArray,
    baseline: float,
    benefit_at_least: float | None = None,
    risk_at_most: float | None = None,
) -> xr.Dataset:
    """Compute probabilities of enough benefit and acceptable harm from responses.

    Also the draws ``gain``, larger being better (a fall in pain, a rise in responders), and
    ``added_risk``. Thresholds are those of the spec by default.
    """
    window = window_of(spec)
    enough = window.benefit_at_least if benefit_at_least is None else benefit_at_least
    acceptable = window.risk_at_most if risk_at_most is None else risk_at_most
    facts = outcome_facts(spec).loc[window.benefit]
    benefit_link, unit = link_of(spec, window.benefit), facts["unit"]
    if facts["scale"] in (RATIO, CORRELATION):
        # The window's least benefit is on the scale of the linear predictor.
        unit = benefit_link.effect
        benefit = xr.apply_ufunc(np.log if benefit_link.ratio else np.arctanh, benefit)
    at_zero = baseline if facts["scale"] == RISK else 0.0
    gain = at_zero - benefit if facts["better"] == "lower" else benefit - at_zero
    added_risk = harm - baseline
    is_enough, is_safe = gain >= enough, added_risk <= acceptable
    variables = {
        "p_benefit": is_enough.mean(SAMPLE),
        "p_risk": is_safe.mean(SAMPLE),
        "p_both": (is_enough & is_safe).mean(SAMPLE),
        "gain": gain,
        "added_risk": added_risk,
    }
    return xr.Dataset(
        {name: values.reset_coords(drop=True) for name, values in variables.items()},
        attrs={
            "benefit_at_least": enough,
            "risk_at_most": acceptable,
            "baseline_risk": baseline,
            "benefit_unit": unit,
            "benefit_label": facts["label"],
            "harm_label": spec.outcomes[window.harm].label or window.harm,
        },
    )


# Effects of all agents at one dose, for league tables and ranks.


def effects_at_dose(
    fit: xr.DataTree, outcome: str, dose: CommonDose = None, condition: str | None = None
) -> xr.DataArray:
    """Evaluate every agent's effect vs the reference at one dose, on the linear predictor.

    Dims agent (the reference first), chain, draw.
    """
    design_of(fit, outcome)  # raises an error for an unknown outcome
    spec = spec_of(fit)
    doses, dose_text = _doses(fit, outcome, dose)
    selected, condition_text = _condition(fit, outcome, condition)
    parts = [
        linear_response(fit, outcome, [value], cell={AGENT: agent, CONDITION: selected})
        .squeeze([AGENT, CONDITION, DOSE])
        .reset_coords(drop=True)
        for agent, value in doses.items()
    ]
    labels = fit["design/labels"].to_dataset()["agent_label"].to_series()
    shape = spec.outcomes[outcome].shape
    flags = {agent: _dose_flags(fit, outcome, agent, x, condition) for agent, x in doses.items()}
    texts = {
        a: dose_words(fit, outcome, a, x) if shape.of(original_agent(a)).needs_dose else ""
        for a, x in doses.items()
    }
    effects = xr.concat([xr.zeros_like(parts[0]), *parts], dim=AGENT).assign_coords(
        {
            AGENT: [spec.reference, *doses],
            "dose": (AGENT, [0.0, *doses.values()]),
            "dose_text": (AGENT, ["", *texts.values()]),
            "extrapolated": (AGENT, [False, *(above for above, _ in flags.values())]),
            "tested": (AGENT, [True, *(tested for _, tested in flags.values())]),
            "label": (AGENT, [_reference_label(fit), *(labels[a] for a in doses)]),
        }
    )
    effects.attrs = {
        "dose": dose_text,
        "condition": condition_text,
        "exposure_axis": exposure_axis_label(fit) if shape.needs_dose else "",
    }
    return effects.transpose(AGENT, *SAMPLE).rename("effect")


def _dose_flags(
    fit: xr.DataTree, outcome: str, agent: str, dose: float, condition: str | None
) -> tuple[bool, bool]:
    """Whether a dose is above those tested in the condition compared, and whether it was tested."""
    if not spec_of(fit).outcomes[outcome].shape.of(original_agent(agent)).needs_dose:
        return False, True
    place = {OUTCOME: outcome, AGENT: agent}
    tested_to = dose_range(fit)["tested_to"].sel(place)
    tested = is_tested(fit, [dose]).sel(place)
    where = evidence_condition(fit, outcome, condition)
    if where is not None:
        tested_to, tested = tested_to.sel({CONDITION: where}), tested.sel({CONDITION: where})
    # An agent without a trial there has no tested dose to exceed; `evidence` reports that.
    highest = float(tested_to.max())
    above = np.isfinite(highest) and bool(is_extrapolated(dose, highest))
    return above, bool(tested.any())


def _reference_label(fit: xr.DataTree) -> str:
    """Find the label of the reference in the evidence map; the design labels only agents."""
    reference = spec_of(fit).reference
    if "evidence_map" in fit.children:
        coords = fit["evidence_map"].coords
        if "agent_label" in coords and reference in coords[AGENT]:
            return str(coords["agent_label"].sel({AGENT: reference}).item())
    return words_of(reference)


def evidence_condition(fit: xr.DataTree, outcome: str, condition: str | None) -> str | None:
    """Return the condition whose trials are evidence; None where conditions share effects."""
    return condition if _differs_by(fit, outcome, CONDITION) else None


def differs_by_agent(fit: xr.DataTree, outcome: str) -> bool:
    """Whether an outcome's effects differ between agents in the model."""
    return bool(spec_of(fit).outcomes[outcome].curves) or _differs_by(fit, outcome, AGENT)


def _differs_by(fit: xr.DataTree, outcome: str, dim: str) -> bool:
    names = spec_of(fit).outcomes[outcome].shape.parameters
    return any(dim in posterior_draws(fit, outcome, name).dims for name in names)


def _doses(fit: xr.DataTree, outcome: str, dose: CommonDose) -> tuple[dict[str, float], str]:
    """Find the dose of each agent, and a text for it."""
    part, agents = spec_of(fit).outcomes[outcome], labels_of(fit, AGENT)
    if not part.shape.needs_dose:
        compared = [a for a in agents if a in dose] if isinstance(dose, Mapping) else agents
        return dict.fromkeys(compared, 1.0), "at any dose"
    if dose is None:
        if not EXPOSURES[part.exposure].relative:
            hint = "Pass dose=..., one number for all agents or a mapping from agent to number."
            raise spec_error("E806", "the dose of the comparison is missing", hint, "dose")
        dose = 1.0
    by_agent = dose if isinstance(dose, Mapping) else dict.fromkeys(agents, dose)
    issues = [unknown_label("agent", str(a), agents) for a in by_agent if a not in agents]
    if issues:
        raise SpecError(issues)
    if not all(np.isfinite(x) and x > 0 for x in by_agent.values()):
        message = "the dose of a comparison is not a positive number"
        raise spec_error("E805", message, "Pass doses > 0.", "dose")
    doses = {str(a): float(x) for a, x in by_agent.items()}
    return doses, _dose_text(doses, part.exposure)


def _dose_text(doses: Mapping[str, float], exposure: str) -> str:
    kind, distinct = EXPOSURES[exposure], sorted(set(doses.values()))
    if len(distinct) > 1:
        return OWN_DOSE
    if not kind.relative:
        return f"at {'exposure' if kind.metric else 'dose'} {distinct[0]:g}"
    reference = "reference regimen" if kind.metric else "reference dose"
    multiple = f"{distinct[0]:g} times its" if distinct[0] != 1 else "its"
    return f"each at {multiple} {reference}"


def _condition(fit: xr.DataTree, outcome: str, condition: str | None) -> tuple[str, str]:
    """Find the condition of a comparison, and a text for it."""
    conditions = labels_of(fit, CONDITION)
    if condition is not None and condition not in conditions:
        raise SpecError([unknown_label("condition", condition, conditions)])
    if not _differs_by(fit, outcome, CONDITION):
        return conditions[0], "" if len(conditions) == 1 else ALL_CONDITIONS
    if condition is None and len(conditions) > 1:
        hint = f"Pass condition=..., one of: {', '.join(conditions)}."
        raise spec_error("E807", "effects differ between conditions", hint, "condition")
    selected = condition or conditions[0]
    labels = fit["design/labels"].to_dataset()["condition_label"].to_series()
    return selected, str(labels[selected])
