"""Effects of all agents at doses that are named: what league tables and ranks compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design import original_agent
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.estimands.reading import design_of, exposure_axis, spec_of, tested, variable
from nmda_bayes.estimands.response import linear_response

#: A number on the exposure axis for all agents, or each agent's own.
NamedDose = float | Mapping[str, float] | None
EVERY_CONDITION = "all conditions alike"
OWN_DOSE = "each agent at its own dose"


def effects_at(
    fit: xr.DataTree, outcome: str, dose: NamedDose = None, condition: str | None = None
) -> xr.DataArray:
    """Give every agent's effect against the reference at a named dose.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    dose
        The exposure of every agent, or a mapping from agent to its own (agents that it does not
        name are left out). May be left out where the effect has no dose, and where exposures are
        multiples of a reference dose, which then is the dose.
    condition
        May be left out where the model gives all conditions one effect.

    Returns
    -------
    xr.DataArray
        On the scale of the linear predictor, dims agent, chain, draw; the reference comes first,
        with 0. Coordinates ``dose``, ``extrapolated`` and ``label`` by agent; attributes ``dose``
        and ``condition``, in words.

    Raises
    ------
    SpecError
        If the dose or the condition has to be named, or is not known.
    """
    design_of(fit, outcome)  # says which outcomes there are
    doses, dose_words = _doses(fit, outcome, dose)
    place, condition_words = _condition(fit, outcome, condition)
    parts = []
    for agent, value in doses.items():
        at = {AGENT: agent, CONDITION: place}
        one = linear_response(fit, outcome, [value]).sel(at).isel({DOSE: 0})
        parts.append(one.reset_coords(drop=True))
    reference = spec_of(fit).reference
    everyone = xr.concat([xr.zeros_like(parts[0]), *parts], dim=AGENT)
    labels = fit["design/labels"].to_dataset()["agent_label"].to_series()
    reach = tested(fit)["tested_to"].sel({OUTCOME: outcome}).to_series()
    shape = spec_of(fit).outcomes[outcome].shape
    dosed = {a: shape.of(original_agent(a)).needs_dose for a in doses}
    # A dose without a trial is no extrapolation from one; that there is none is said elsewhere.
    beyond = [dosed[a] and x > reach[a] * (1 + 1e-6) for a, x in doses.items()]
    found = everyone.assign_coords(
        {
            AGENT: [reference, *doses],
            "dose": (AGENT, [0.0, *doses.values()]),
            "extrapolated": (AGENT, [False, *beyond]),
            "label": (AGENT, [_printed(fit, reference), *(labels[a] for a in doses)]),
        }
    )
    found.attrs = {
        "dose": dose_words,
        "condition": condition_words,
        "exposure_axis": exposure_axis(spec_of(fit)) if shape.needs_dose else "",
    }
    return found.transpose(AGENT, *SAMPLE).rename("effect")


def _printed(fit: xr.DataTree, agent: str) -> str:
    """The reference as the evidence prints it: without a curve it has no label in the design."""
    if "evidence_map" in fit.children:
        coords = fit["evidence_map"].coords
        if "agent_label" in coords:
            names = dict(
                zip(coords[AGENT].to_numpy(), coords["agent_label"].to_numpy(), strict=True)
            )
            if agent in names:
                return str(names[agent])
    return agent.replace("_", " ")


def condition_of_evidence(fit: xr.DataTree, outcome: str, condition: str | None) -> str | None:
    """Say whose trials count as evidence: those of the condition, where effects differ by it.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    condition
        As asked for.

    Returns
    -------
    str or None
        None where the trials of every condition inform one effect.
    """
    return condition if _varies(fit, outcome, CONDITION) else None


def _varies(fit: xr.DataTree, outcome: str, dim: str) -> bool:
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    names = spec.outcomes[outcome].shape.parameters
    if dim == AGENT and spec.outcomes[outcome].curves:
        return True
    return any(dim in posterior[variable(spec, outcome, name)].dims for name in names)


def differs_by_agent(fit: xr.DataTree, outcome: str) -> bool:
    """Say whether the model tells the agents of an outcome apart.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    bool
        False where they share one curve.
    """
    return _varies(fit, outcome, AGENT)


def _doses(fit: xr.DataTree, outcome: str, dose: NamedDose) -> tuple[dict[str, float], str]:
    part = spec_of(fit).outcomes[outcome]
    agents = [str(a) for a in fit["design/labels"][AGENT].to_numpy()]
    if not part.shape.needs_dose:
        some = [a for a in agents if a in dose] if isinstance(dose, Mapping) else agents
        return dict.fromkeys(some, 1.0), "at any dose"
    if dose is None:
        if not EXPOSURES[part.exposure].relative:
            mend = "Pass dose=..., a number on the exposure axis, or each agent's own."
            raise SpecError([Fault("the dose of the comparison is not named", mend, column="dose")])
        dose = 1.0
    if isinstance(dose, Mapping):
        unknown = [a for a in dose if a not in agents]
        if unknown:
            mend = nearest(str(unknown[0]), agents)
            raise SpecError([Fault(f"the fit has no agent '{unknown[0]}'", mend, column="dose")])
        named = {str(a): _number(x) for a, x in dose.items()}
    else:
        named = dict.fromkeys(agents, _number(dose))
    values = set(named.values())
    return named, _dose_words(values.pop(), part.exposure) if len(values) == 1 else OWN_DOSE


def _dose_words(dose: float, exposure: str) -> str:
    kind = EXPOSURES[exposure]
    if not kind.relative:
        return f"at {'exposure' if kind.of else 'dose'} {dose:g}"
    one = "the reference regimen" if kind.of else "the reference dose"
    return f"at {one}" if dose == 1 else f"at {dose:g} times {one}"


def _number(dose: float) -> float:
    if not (np.isfinite(dose) and dose > 0):
        raise SpecError(
            [Fault("the dose of a comparison is not a positive number", "Mend it.", column="dose")]
        )
    return float(dose)


def _condition(fit: xr.DataTree, outcome: str, condition: str | None) -> tuple[str, str]:
    known = [str(c) for c in fit["design/labels"][CONDITION].to_numpy()]
    labels = fit["design/labels"].to_dataset()["condition_label"].to_series()
    if condition is not None and condition not in known:
        fault = Fault(f"the fit has no condition '{condition}'", nearest(condition, known))
        raise SpecError([fault])
    if not _varies(fit, outcome, CONDITION):
        return known[0], "" if len(known) == 1 else EVERY_CONDITION
    if condition is None and len(known) > 1:
        mend = f"Pass condition=..., one of: {', '.join(known)}."
        raise SpecError([Fault("effects differ between conditions: name one", mend)])
    chosen = condition or known[0]
    return chosen, str(labels[chosen])
