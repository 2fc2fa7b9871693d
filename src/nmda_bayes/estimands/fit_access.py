"""Read access to a fit: its spec, designs, labels and parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.links import Link, link_of_unit
from nmda_bayes.design import agent_mask, outcome_covariates
from nmda_bayes.dims import DRAW, SAMPLE, scoped_name
from nmda_bayes.errors import Issue, SpecError, suggest_match
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.analysis import WindowSpec
from nmda_bayes.spec.rules import BASELINE

CovariateValues = Mapping[str, float]


def spec_of(fit: xr.DataTree | xr.Dataset) -> AnalysisSpec:
    """Read the spec stored with a result; each stored text is parsed and validated once."""
    return _parse_spec(fit.attrs["spec"])


@lru_cache(maxsize=64)
def _parse_spec(text: str) -> AnalysisSpec:
    return AnalysisSpec.from_dict(json.loads(text), file="the fit's spec")


def spec_error(code: str, message: str, hint: str = "", column: str = "") -> SpecError:
    """Make an error of one issue."""
    return SpecError([Issue(code, message, hint, column=column)])


def design_of(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Read the arms to which an outcome was fitted."""
    outcomes = fit["design/outcomes"].children
    if outcome not in outcomes:
        raise SpecError([unknown_label("outcome", outcome, [*outcomes])])
    return outcomes[outcome].to_dataset()


def labels_of(fit: xr.DataTree, dim: str) -> list[str]:
    """List the agents, or the conditions, of a fit."""
    return [str(label) for label in fit["design/labels"][dim].to_numpy()]


def unknown_label(kind: str, name: str, known: Sequence[str]) -> Issue:
    """Report that a fit has no outcome, agent or condition of this name."""
    message = f"the fit has no {kind} '{name}'"
    return Issue("E800", message, suggest_match(name, known), column=kind)


def variable_name(spec: AnalysisSpec, outcome: str, name: str) -> str:
    """Name an outcome's variable in the fit."""
    return scoped_name(outcome, name, single_outcome=spec.single_outcome)


def posterior_draws(fit: xr.DataTree, outcome: str, name: str) -> xr.DataArray:
    """Read the posterior draws of an outcome's variable."""
    return fit["posterior"].to_dataset()[variable_name(spec_of(fit), outcome, name)]


def link_of(spec: AnalysisSpec, outcome: str) -> Link:
    """Look up the link of an outcome's likelihood; of contrasts, that of their measure."""
    part = spec.outcomes[outcome]
    return link_of_unit(LIKELIHOODS[part.likelihood].link, part.unit)


def is_risk(spec: AnalysisSpec, outcome: str) -> bool:
    """Whether an outcome is a probability."""
    return link_of(spec, outcome).probability


def agent_membership(agents: xr.DataArray) -> Callable[[Sequence[str]], xr.DataArray]:
    """Make a function from some agents to their indicator (1 or 0) among ``agents``."""
    return lambda members: agents.copy(data=agent_mask(agents.to_numpy(), members))


# Doses and baselines.


def pools_baselines(spec: AnalysisSpec, outcome: str) -> bool:
    """Whether baselines are pooled over trials, so that arms of different trials are compared."""
    baseline = spec.outcomes[outcome].parameters.get(BASELINE)
    return baseline is not None and baseline.pooling != "independent"


def typical(exposure: xr.DataArray) -> xr.DataArray:
    """Take the posterior median of an exposure that has draws."""
    return exposure.median(SAMPLE) if DRAW in exposure.dims else exposure


def shares_dose_axis(spec: AnalysisSpec) -> bool:
    """Whether a number on the dose axis means the same dose for every outcome."""
    exposures = {o.exposure for o in spec.outcomes.values() if o.shape.needs_dose}
    return len(exposures) <= 1 or all(EXPOSURES[name].relative for name in exposures)


# Baseline risk and the therapeutic window.


def stated_baseline(fit: xr.DataTree, baseline_risk: float | None) -> float:
    """Return the baseline risk that is passed, else that of the spec's window."""
    window = spec_of(fit).window
    risk = window.baseline_risk if baseline_risk is None and window else baseline_risk
    if risk is None or not 0 < risk < 1:
        message = "an absolute risk needs a baseline risk between 0 and 1"
        hint = "Pass baseline_risk=..., or set window.baseline_risk in the spec."
        raise spec_error("E802", message, hint, "window.baseline_risk")
    return risk


def baseline_for_risks(fit: xr.DataTree, baseline_risk: float | None) -> float | None:
    """Return the baseline risk if any outcome of the fit is a risk."""
    spec = spec_of(fit)
    any_risk = any(is_risk(spec, name) for name in spec.outcomes)
    return stated_baseline(fit, baseline_risk) if any_risk else None


def window_of(spec: AnalysisSpec) -> WindowSpec:
    """Return the therapeutic window of a spec, which must have one."""
    if spec.window is None:
        hint = "Add [window] with benefit, harm, benefit_at_least, risk_at_most, baseline_risk."
        raise spec_error("E803", "the spec has no window", hint, "window")
    return spec.window


# Curve parameters, at values of their covariates.


def curve_parameters(
    fit: xr.DataTree, outcome: str, names: Iterable[str], at: CovariateValues | None = None
) -> dict[str, xr.DataArray]:
    """Read curve parameters at values of covariates; a covariate not named is at its centre."""
    spec = spec_of(fit)
    covariates = outcome_covariates(spec.outcomes[outcome])
    names_of = (outcome_covariates(part).values() for part in spec.outcomes.values())
    known = sorted({name for covariate in names_of for _, name, _ in covariate})
    issues = [
        Issue("E804", f"no parameter depends on '{name}'", suggest_match(name, known), column="at")
        for name in at or ()
        if name not in known
    ]
    if issues:
        raise SpecError(issues)
    theta = {name: posterior_draws(fit, outcome, name) for name in names}
    columns = {c: at[name] for c, (_, name, _) in covariates.items() if at and name in at}
    return _add_slopes(fit, outcome, theta, columns)


def parameters_at_trials(
    fit: xr.DataTree, outcome: str, theta: Mapping[str, xr.DataArray]
) -> dict[str, xr.DataArray]:
    """Move curve parameters, given by arm, to each trial's covariates."""
    design, covariates = design_of(fit, outcome), outcome_covariates(spec_of(fit).outcomes[outcome])
    return _add_slopes(fit, outcome, theta, {c: design[c].drop_vars("arm") for c in covariates})


def _add_slopes(
    fit: xr.DataTree,
    outcome: str,
    theta: Mapping[str, xr.DataArray],
    columns: Mapping[str, Any],
) -> dict[str, xr.DataArray]:
    moved, covariates = dict(theta), outcome_covariates(spec_of(fit).outcomes[outcome])
    for column, x in columns.items():
        parameter, _, covariate = covariates[column]
        slope = posterior_draws(fit, outcome, column)
        moved[parameter] = moved[parameter] + slope * ((x - covariate.origin) / covariate.step)
    return moved
