"""Dosing regimens: responses, the therapeutic window of infusions, responses at a concentration.

For fits whose exposures are concentrations. A regimen is placed on an outcome's exposure axis by
the agent's pharmacokinetic model, in each draw if its parameters have priors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import (
    CONCENTRATION_AT_OUTCOME,
    EXPOSURES,
    PEAK_CONCENTRATION,
    Exposure,
)
from nmda_bayes.design import original_agent
from nmda_bayes.design.pk_exposure import PUBLISHED_UNCERTAINTY, PKModels, pk_models_of_design
from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DRAW, OUTCOME, SAMPLE, SEPARATOR
from nmda_bayes.errors import InputError, Issue, SpecError
from nmda_bayes.estimands.fit_access import (
    baseline_for_risks,
    curve_parameters,
    labels_of,
    link_of,
    spec_error,
    spec_of,
    stated_baseline,
    typical,
    unknown_label,
    window_of,
)
from nmda_bayes.estimands.response import (
    RISK,
    outcome_coords,
    to_natural_scale,
    window_probabilities,
)
from nmda_bayes.estimands.tested_doses import TOLERANCE, dose_range, is_extrapolated
from nmda_bayes.intervals import INTERVAL_TEXT, credible_interval
from nmda_bayes.pk import PKModel
from nmda_bayes.pk.exposures import ArmBatch, ArmSchedule
from nmda_bayes.pk.structure import SITE_HALF_LIFE, salt_factor
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec import AnalysisSpec

REGIMEN, CONCENTRATION, RATE, HOURS = "regimen", "concentration", "rate", "hours"


def regimen_response(
    fit: xr.DataTree,
    regimens: Sequence[str],
    *,
    agent: str,
    condition: str | None = None,
    route: str = "iv",
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Evaluate the responses to regimens of one agent, in the same posterior draws.

    Parameters
    ----------
    fit
        As `fit` returns it; its outcomes have exposures in concentrations.
    regimens
        In the notation of `parse_regimen`: ``0.5 mg/kg over 40 min``.
    agent
        One of the fit's agents.
    condition
        One of the fit's conditions; may be omitted if there is one.
    route
        Route of administration.
    baseline_risk
        Risk without the agent; by default ``window.baseline_risk`` of the spec.

    Returns
    -------
    xr.Dataset
        ``response`` (outcome, regimen, chain, draw) on each outcome's natural scale, and
        ``exposure`` (outcome, regimen; with chain, draw if pharmacokinetic parameters have priors).
        Coordinates over outcome: ``label``, ``unit``, ``scale``, ``better``, ``axis``, ``trials``,
        ``tested_from``, ``tested_to``; ``extrapolated``, above the tested exposures, and ``below``,
        below the lowest. Attribute ``pk_assumptions`` describes the pharmacokinetic model.

    Raises
    ------
    InputError
        If a regimen cannot be parsed, or has no length where one is needed (E840).
    SpecError
        If an outcome's exposure is a dose (E841), the agent has no pharmacokinetic model (E842),
        agent or condition is not in the fit (E800), or the condition is missing (E807).

    Examples
    --------
    >>> regimens = ["0.5 mg/kg over 40 min", "0.5 mg/kg over 4 h"]
    >>> answer = nb.regimen_response(pk_fit, regimens, agent="ketamine", condition="crps")
    >>> answer["response"].dims
    ('outcome', 'regimen', 'chain', 'draw')
    >>> float(answer["exposure"].sel(outcome="analgesia", regimen="0.5 mg/kg over 40 min"))
    1.0
    """
    query = RegimenQuery.of(fit, agent, condition, route)
    for text in regimens:
        parse_regimen(text)
    exposures = {name: query.axis(name).place(regimens) for name in query.spec.outcomes}
    return query.respond(exposures, baseline_for_risks(fit, baseline_risk))


# The query, and the exposure axis on which it places regimens.


@dataclass(frozen=True)
class RegimenQuery:
    """A validated question about regimens of one agent; make it with `of`."""

    fit: xr.DataTree
    spec: AnalysisSpec
    kinetics: PKModels
    agent: str
    condition: str
    route: str

    @classmethod
    def of(cls, fit: xr.DataTree, agent: str, condition: str | None, route: str) -> RegimenQuery:
        """Check that a fit can answer the question."""
        spec = spec_of(fit)
        agents, conditions = labels_of(fit, AGENT), labels_of(fit, CONDITION)
        issues = [
            Issue(
                "E841",
                f"outcome '{name}' has a dose as exposure, which does not distinguish regimens",
                "Use a concentration as exposure, as in models/concentration.toml.",
                column=f"outcomes.{name}.exposure",
            )
            for name, part in spec.outcomes.items()
            if not EXPOSURES[part.exposure].metric and part.shape.needs_dose
        ]
        if agent not in agents:
            issues.append(unknown_label("agent", agent, agents))
        if condition is None and len(conditions) > 1:
            hint = f"Pass condition=..., one of: {', '.join(conditions)}."
            issues.append(Issue("E807", "the fit has several conditions", hint, column="condition"))
        elif condition is not None and condition not in conditions:
            issues.append(unknown_label("condition", condition, conditions))
        kinetics = pk_models_of_design(spec, fit["design"])
        if kinetics is not None and agent in agents and not kinetics.model(agent, route):
            routes = kinetics.spec.model.get(agent, {})
            hint = f"Routes: {', '.join(routes)}." if routes else "Add one to the spec and refit."
            message = f"the fit has no pharmacokinetic model of '{agent}' ({route})"
            issues.append(Issue("E842", message, hint, column="route"))
        if kinetics is None and not issues:
            message = (
                "no outcome has a concentration as exposure, and regimens differ in nothing else"
            )
            hint = "Use one, as in models/concentration.toml."
            issues.append(Issue("E841", message, hint, column="exposure"))
        if issues or kinetics is None:
            raise SpecError(issues)
        return cls(fit, spec, kinetics, agent, condition or conditions[0], route)

    @property
    def model(self) -> PKModel:
        """The agent's pharmacokinetic model."""
        model = self.kinetics.model(self.agent, self.route)
        assert model is not None  # checked in `of`
        return model

    def axis(self, outcome: str) -> RegimenAxis:
        """Return the exposure axis of an outcome."""
        exposure = EXPOSURES[self.spec.outcomes[outcome].exposure]
        kinetics, posterior = self.kinetics.for_outcome(outcome), self.fit["posterior"].to_dataset()
        return RegimenAxis(posterior, kinetics, exposure, self.agent, self.route)

    def linear_response(self, outcome: str, exposure: xr.DataArray) -> xr.DataArray:
        """Evaluate an outcome's curve on the linear predictor."""
        curve = self.spec.outcomes[outcome].shape.of(original_agent(self.agent))
        theta = {
            name: self.select(value)
            for name, value in curve_parameters(self.fit, outcome, curve.parameters).items()
        }
        response: xr.DataArray = curve.response(exposure, theta, np)
        return response

    def natural_response(
        self, outcome: str, linear: xr.DataArray, baseline: float | None
    ) -> xr.DataArray:
        """Convert an effect on the linear predictor to the outcome's natural scale."""
        return to_natural_scale(linear, link_of(self.spec, outcome), baseline)

    def select(self, values: xr.DataArray) -> xr.DataArray:
        """Select the agent and condition from an array that may have either dim."""
        labels = {AGENT: self.agent, CONDITION: self.condition}
        return values.sel({d: x for d, x in labels.items() if d in values.dims}, drop=True)

    def respond(
        self,
        exposures: Mapping[str, xr.DataArray],
        baseline: float | None,
        shares: Mapping[str, xr.DataArray] | None = None,
    ) -> xr.Dataset:
        """Evaluate outcomes at their exposures, with coordinates over outcome and metadata.

        ``shares`` are those of the effect that are present, by a time course.
        """
        responses = []
        for name, exposure in exposures.items():
            share = 1.0 if shares is None else shares[name]
            linear = self.linear_response(name, exposure) * share
            responses.append(self.natural_response(name, linear, baseline))
        outcomes = xr.Variable(OUTCOME, list(exposures))
        response, exposure = (xr.concat(x, outcomes) for x in (responses, [*exposures.values()]))
        dims = [d for d in exposure.dims if d not in SAMPLE]
        draws = SAMPLE if DRAW in exposure.dims else ()
        answer = xr.Dataset(
            {
                "response": response.transpose(*dims, *SAMPLE),
                "exposure": exposure.transpose(*dims, *draws),
            }
        )
        return self.annotate(answer, baseline)

    def annotate(self, result: xr.Dataset, baseline: float | None) -> xr.Dataset:
        """Add coordinates over outcome, the tested range, and metadata."""
        tested, exposure = self.dose_range(), typical(result["exposure"])
        axes = [EXPOSURES[part.exposure].axis for part in self.spec.outcomes.values()]
        result = result.assign_coords(tested.data_vars).assign_coords(
            outcome_coords(self.spec)
            | {
                "axis": (OUTCOME, axes),
                "extrapolated": is_extrapolated(exposure, tested["tested_to"]),
                "below": exposure < tested["tested_from"] * (1 - TOLERANCE),
            }
        )
        risk = {} if baseline is None else {"baseline_risk": baseline}
        return result.assign_attrs({**self.metadata(), **risk})

    def dose_range(self) -> xr.Dataset:
        """Find the agent's tested exposures, and count its trials in the condition."""
        return dose_range(self.fit).sel({AGENT: self.agent, CONDITION: self.condition}, drop=True)

    def metadata(self) -> dict[str, str]:
        """Return agent, condition, route and the pharmacokinetic assumptions."""
        labels = self.fit["design/labels"].to_dataset()
        labels = labels.sel({AGENT: self.agent, CONDITION: self.condition})
        return {
            "agent": self.agent,
            "agent_label": str(labels["agent_label"].item()),
            "condition": self.condition,
            "condition_label": str(labels["condition_label"].item()),
            "route": self.route,
            "pk_assumptions": pk_assumptions(self),
        }


@dataclass(frozen=True)
class RegimenAxis:
    """The exposure axis of one outcome, on which regimens of one agent are placed."""

    posterior: xr.Dataset
    kinetics: PKModels
    exposure: Exposure
    agent: str
    route: str

    def place(self, regimens: Sequence[str]) -> xr.DataArray:
        """Compute the exposures of whole regimens; dim regimen, and chain, draw with priors."""
        hours = [np.nan] * len(regimens)
        if self.exposure.metric == CONCENTRATION_AT_OUTCOME:
            hours = self.treatment_ends(regimens)
        schedules = [
            ArmSchedule(self.agent, text, hour) for text, hour in zip(regimens, hours, strict=True)
        ]
        values = self._over_reference(self._values(schedules, self.route))
        self._require_values(values, regimens)
        return values.assign_coords({REGIMEN: list(regimens)})

    def exposure_up_to(self, regimen: str, hours: np.ndarray, dim: str) -> xr.DataArray:
        """Compute the exposure of one regimen up to each of some hours, along a dim."""
        schedules = [ArmSchedule(self.agent, regimen, float(hour)) for hour in hours]
        values = self._over_reference(self._values(schedules, self.route))
        self._require_values(values.isel({REGIMEN: slice(0, 1)}), [regimen])
        return values.rename({REGIMEN: dim}).assign_coords({dim: hours})

    def treatment_ends(self, regimens: Sequence[str]) -> list[float]:
        """Find the hour at which each treatment ends."""
        schedules = [ArmSchedule(self.agent, text, np.nan) for text in regimens]
        return [float(end) for end in self._batch(schedules, self.route).treatment_ends[:, 0]]

    def reference_value(self) -> float:
        """Find the exposure that is 1 on the axis, at published parameters; 1 if not relative."""
        if not self.exposure.relative:
            return 1.0
        return self.kinetics.reference_value(self.agent, self.exposure.metric)

    def _batch(self, schedules: list[ArmSchedule], route: str) -> ArmBatch:
        model = self.kinetics.model(self.agent, route)
        assert model is not None  # checked in `RegimenQuery.of`
        weight, peaks = self.kinetics.body_weight_kg, self.exposure.metric == PEAK_CONCENTRATION
        return ArmBatch.of(schedules, model, route=route, weight=weight, peaks=peaks)

    def _over_reference(self, values: xr.DataArray) -> xr.DataArray:
        if not self.exposure.relative:
            return values
        route, _ = self.kinetics.reference(self.agent)
        reference = self.kinetics.reference_reading(self.agent, self.exposure.metric)
        return values / self._values([reference], route).isel({REGIMEN: 0}, drop=True)

    def _values(self, schedules: list[ArmSchedule], route: str) -> xr.DataArray:
        batch = self._batch(schedules, route)
        names = {s: self.kinetics.variable(batch.model, s) for s in batch.symbols}
        draws = {
            symbol: self.posterior[name].transpose(*SAMPLE).to_numpy().reshape(-1, 1, 1, 1)
            for symbol, name in names.items()
            if name in self.posterior
        }
        if not draws:
            return xr.DataArray(batch.value(self.exposure.metric), dims=REGIMEN)
        shape = (*(self.posterior.sizes[dim] for dim in SAMPLE), len(schedules))
        values = np.reshape(batch.value(self.exposure.metric, draws), shape)
        coords = {dim: self.posterior[dim] for dim in SAMPLE}
        return xr.DataArray(values, dims=(*SAMPLE, REGIMEN), coords=coords)

    def _require_values(self, values: xr.DataArray, regimens: Sequence[str]) -> None:
        missing = np.isnan(values.isel({d: 0 for d in SAMPLE if d in values.dims}).to_numpy())
        quantity = self.exposure.metric.replace("_", " ")
        issues = [
            Issue(
                "E840",
                f"'{text}' has no {quantity}: an instantaneous dose has no length",
                "Add its length: '0.3 mg/kg over 4 min'.",
                column=REGIMEN,
            )
            for text, lost in zip(regimens, missing, strict=True)
            if lost
        ]
        if issues:
            raise InputError(issues)


def pk_assumptions(query: RegimenQuery) -> str:
    """Describe the model, body weight and uncertainty behind the concentrations."""
    kinetics, model = query.kinetics, query.model
    has_draws = any(
        str(name).startswith(f"{model.name}{SEPARATOR}") for name in query.fit["posterior"]
    )
    if kinetics.spec.uncertainty != PUBLISHED_UNCERTAINTY:
        uncertainty = "parameters fixed at their published values"
    elif has_draws:
        uncertainty = "parameters with their published standard errors as priors"
    else:
        uncertainty = "parameters fixed, as no standard errors are published"
    share = salt_factor(query.agent, model)
    fraction = f" ({share:.3g} of the dose)" if share != 1 else ""
    reference, schedule = kinetics.reference(query.agent)
    unit = f" 1 on a relative axis is {schedule} ({reference})." if schedule else ""
    text = (
        f"Concentrations of {model.agent.replace('_', ' ')}{fraction} by {model.name}"
        f" ({model.population}; {model.specimen or 'specimen not reported'}), in a"
        f" {kinetics.body_weight_kg:g} kg adult; {uncertainty}. They are those of a typical person,"
        f" without variation between people.{unit}"
    )
    return " ".join([text, *_effect_site_texts(query)])


def _effect_site_texts(query: RegimenQuery) -> Iterator[str]:
    posterior = query.fit["posterior"].to_dataset()
    for name, part in query.spec.outcomes.items():
        kinetics = query.kinetics.for_outcome(name)
        model = kinetics.model(query.agent, query.route)
        if not kinetics.outcome or model is None:
            continue
        hours = model.parameters[model.analyte, SITE_HALF_LIFE].value
        text, variable = f"{60 * hours:.3g} min", kinetics.variable(model, SITE_HALF_LIFE)
        if variable in posterior:
            interval = 60 * credible_interval(posterior[variable])
            low, mid, high = (float(interval[k]) for k in ("lower", "median", "upper"))
            text = f"{mid:.3g} min ({low:.3g} to {high:.3g}, {INTERVAL_TEXT})"
        label = part.label or name
        yield f"{label} follows the effect site, with an equilibration half-life of {text}."


# Results as a table and as text.


def regimen_table(answer: xr.Dataset) -> pd.DataFrame:
    """Tabulate responses to regimens.

    Parameters
    ----------
    answer
        As `regimen_response` returns it.

    Returns
    -------
    pd.DataFrame
        A row per outcome and regimen: exposure, median and 95% CrI of the response and of its
        difference from the first regimen, the probability of being better than the first, whether
        it is extrapolated or below the tested exposures, and the number of trials.
    """
    ends = ("median", "lower", "upper")
    exposure = typical(answer["exposure"])
    rows = []
    for name in answer[OUTCOME].to_numpy():
        part = answer.sel({OUTCOME: name})
        difference = part["response"] - part["response"].isel({REGIMEN: 0}, drop=True)
        is_better = (difference < 0) if part["better"].item() == "lower" else (difference > 0)
        response, change = (credible_interval(x) for x in (part["response"], difference))
        p_better = is_better.mean(SAMPLE)
        for i, regimen in enumerate(part[REGIMEN].to_numpy()):
            at = {REGIMEN: i}
            row = {
                "outcome": str(part["label"].item()),
                "regimen": str(regimen),
                "exposure": float(exposure.sel({OUTCOME: name}).isel(at)),
            }
            row |= {k: float(response[k][i]) for k in ends}
            row |= {f"difference_{k}".removesuffix("_median"): float(change[k][i]) for k in ends}
            row |= {
                "p_better": float(p_better[i]) if i else np.nan,
                "unit": str(part["unit"].item()),
                "extrapolated": bool(part["extrapolated"].isel(at)),
                "below": bool(part["below"].isel(at)),
                "trials": int(part["trials"]),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def describe_regimens(answer: xr.Dataset) -> str:
    """Describe responses to regimens in plain text, with the assumptions behind them.

    Parameters
    ----------
    answer
        As `regimen_response` returns it.

    Returns
    -------
    str
        A paragraph per outcome, then the pharmacokinetic assumptions.

    Examples
    --------
    >>> regimens = ["0.5 mg/kg over 40 min"]
    >>> answer = nb.regimen_response(pk_fit, regimens, agent="ketamine", condition="crps")
    >>> print(nb.describe_regimens(answer).splitlines()[0])
    Ketamine (iv) in Complex regional pain syndrome: median (95% CrI).
    """
    table = regimen_table(answer)
    lines = [
        f"{answer.attrs['agent_label']} ({answer.attrs['route']}) in"
        f" {answer.attrs['condition_label']}: median ({INTERVAL_TEXT})."
    ]
    for name in answer[OUTCOME].to_numpy():
        part = answer.sel({OUTCOME: name})
        label = str(part["label"].item())
        if str(part["scale"].item()) == RISK:
            scale = f"risk, assuming {answer.attrs['baseline_risk']:.3g} without treatment"
        else:
            scale = f"{part['unit'].item() or 'difference'}, vs no dose"
        lines.append(f"\n{label} ({scale}):")
        lines += [f"  {_row_text(row)}" for row in table[table["outcome"] == label].itertuples()]
        lines.append(f"  {_tested_text(part)}")
    return "\n".join([*lines, "", str(answer.attrs["pk_assumptions"])])


def _row_text(row: Any) -> str:
    text = (
        f"{row.regimen}: {row.median:.3g} ({row.lower:.3g} to {row.upper:.3g}),"
        f" exposure {row.exposure:.3g}"
    )
    if row.extrapolated:
        text += ", EXTRAPOLATED above the tested exposures"
    elif row.below:
        text += ", below the tested exposures"
    if np.isfinite(row.p_better):
        text += (
            f"; vs the first {row.difference:+.3g} ({row.difference_lower:+.3g} to"
            f" {row.difference_upper:+.3g}), Pr(better than the first) {row.p_better:.2f}"
        )
    return text


def _tested_text(part: xr.Dataset) -> str:
    trials, low, high = int(part["trials"]), float(part["tested_from"]), float(part["tested_to"])
    text = f"{trials} trial{'' if trials == 1 else 's'} in this condition"
    if not trials:
        text = "no trial in this condition: predicted from other conditions and the prior"
    if not np.isfinite(low):
        return f"{text}; no tested dose."
    return f"{text}; tested range {low:.3g}-{high:.3g} ({part['axis'].item()})."


# Responses at a concentration.


def response_at_concentration(
    fit: xr.DataTree,
    concentrations: Sequence[float] | np.ndarray,
    *,
    agent: str,
    condition: str | None = None,
    route: str = "iv",
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Evaluate each outcome at concentrations, whatever regimen they come from.

    Parameters
    ----------
    fit
        As `fit` returns it; its outcomes have exposures in concentrations, not areas.
    concentrations
        ng/mL, >= 0, of the analyte of the agent's pharmacokinetic model.
    agent
        One of the fit's agents.
    condition
        One of the fit's conditions; may be omitted if there is one.
    route
        Route of administration, which selects the pharmacokinetic model.
    baseline_risk
        Risk without the agent; by default ``window.baseline_risk`` of the spec.

    Returns
    -------
    xr.Dataset
        ``response`` (outcome, concentration, chain, draw) with the coordinates of
        `regimen_response`; attribute ``analyte``. A relative axis is converted by the reference
        regimen at the published parameters.

    Raises
    ------
    SpecError
        As `regimen_response`; and if an outcome's exposure is an area (E843), or a concentration is
        negative or not finite (E805).

    Examples
    --------
    >>> answer = nb.response_at_concentration(
    ...     pk_fit, [0, 50, 100], agent="ketamine", condition="crps"
    ... )
    >>> answer["response"].dims, answer.attrs["analyte"]
    (('outcome', 'concentration', 'chain', 'draw'), 's_ketamine')
    """
    query = RegimenQuery.of(fit, agent, condition, route)
    grid = np.asarray(concentrations, dtype=float)
    issues = [
        Issue(
            "E843",
            f"outcome '{name}' has an area as exposure, not a concentration",
            "Use regimen_response.",
            column=f"outcomes.{name}.exposure",
        )
        for name, part in query.spec.outcomes.items()
        if EXPOSURES[part.exposure].metric == "area"
    ]
    if not (grid.ndim == 1 and np.isfinite(grid).all() and (grid >= 0).all()):
        message = "a concentration is negative or not finite"
        issues.append(Issue("E805", message, "Pass ng/mL >= 0.", column="concentrations"))
    if issues:
        raise SpecError(issues)
    values = xr.DataArray(grid, dims=CONCENTRATION, coords={CONCENTRATION: grid})
    exposures = {name: values / query.axis(name).reference_value() for name in query.spec.outcomes}
    answer = query.respond(exposures, baseline_for_risks(fit, baseline_risk))
    return answer.assign_attrs(analyte=query.model.analyte)


# The therapeutic window of infusions.

#: Rates and durations of the default grid.
RATES, DURATIONS = 49, 25
#: Posterior draws used: the Monte Carlo error of a probability is then at most 0.02.
DRAWS = 600


def regimen_window(
    fit: xr.DataTree,
    *,
    agent: str,
    condition: str | None = None,
    rates: Sequence[float] | None = None,
    hours: Sequence[float] | None = None,
) -> xr.Dataset:
    """Compute the probability that infusions have enough benefit and acceptable harm.

    Parameters
    ----------
    fit
        As `fit` returns it; exposures in concentrations, and a spec with a ``[window]``.
    agent
        One of the fit's agents.
    condition
        One of the fit's conditions; may be omitted if there is one.
    rates
        mg/kg/h; by default 1/20 to 10 times the rate of the agent's reference regimen.
    hours
        Durations; by default from five minutes to a day.

    Returns
    -------
    xr.Dataset
        ``p_benefit``, ``p_risk``, ``p_both`` and medians ``gain`` and ``added_risk`` (hours, rate);
        ``extrapolated``, where either exposure exceeds the tested ones; ``total``, mg/kg; over
        hours ``ridge``, the rate with the highest ``p_both``, and ``p_ridge``, that probability.

    Raises
    ------
    SpecError
        As `regimen_response`; and if the spec has no window (E803), there is no reference rate
        (E844), or a rate or duration is not above 0 (E805).

    Examples
    --------
    >>> window = nb.regimen_window(
    ...     pk_fit, agent="ketamine", condition="crps", rates=[0.1, 0.5], hours=[1, 2]
    ... )
    >>> window["p_both"].dims
    ('hours', 'rate')
    >>> float(window["total"].sel(hours=2, rate=0.5))
    1.0
    """
    query = RegimenQuery.of(fit, agent, condition, "iv")
    window = window_of(query.spec)
    rate, duration = _infusion_grid(query, rates, hours)
    query = RegimenQuery.of(_thin(fit), agent, condition, "iv")
    # The pharmacokinetics are linear, so that exposures are proportional to the rate.
    texts = [f"1 mg/kg/h for {float(h)!r} h" for h in duration.to_numpy()]
    exposures = {
        name: query.axis(name).place(texts).rename({REGIMEN: HOURS}).assign_coords(duration.coords)
        * rate
        for name in (window.benefit, window.harm)
    }
    baseline = stated_baseline(fit, None)
    benefit, harm = (
        query.natural_response(name, query.linear_response(name, exposure), baseline)
        for name, exposure in exposures.items()
    )
    result = window_probabilities(query.spec, benefit, harm, baseline)
    medians = {name: result[name].median(SAMPLE) for name in ("gain", "added_risk")}
    result = result.assign(medians).drop_vars(SAMPLE)
    tested = query.dose_range()
    tested_to, trials = (tested[k].to_series() for k in ("tested_to", "trials"))
    beyond = [is_extrapolated(typical(x), tested_to[name]) for name, x in exposures.items()]
    result = result.transpose(HOURS, RATE).assign(
        extrapolated=(beyond[0] | beyond[1]).transpose(HOURS, RATE),
        total=duration * rate,
        ridge=rate.isel({RATE: result["p_both"].argmax(RATE)}).drop_vars(RATE),
        p_ridge=result["p_both"].max(RATE),
    )
    return result.assign_attrs(
        query.metadata(),
        trials_benefit=int(trials[window.benefit]),
        trials_harm=int(trials[window.harm]),
        reference=query.kinetics.reference(agent)[1],
    )


def _infusion_grid(
    query: RegimenQuery, rates: Sequence[float] | None, hours: Sequence[float] | None
) -> tuple[xr.DataArray, xr.DataArray]:
    if rates is None:
        _, schedule = query.kinetics.reference(query.agent)
        reference = parse_regimen(schedule).peak_rate("mg/kg/h") if schedule else np.nan
        if not np.isfinite(reference):
            message = "the reference regimen has no rate for a default grid"
            raise spec_error("E844", message, "Pass rates=..., in mg/kg/h.", "rates")
        rates = list(reference * np.geomspace(1 / 20, 10, RATES))
    hours = list(np.geomspace(1 / 12, 24, DURATIONS)) if hours is None else hours
    rate, duration = (
        xr.DataArray(np.asarray(values, dtype=float), dims=dim).assign_coords({dim: values})
        for dim, values in ((RATE, rates), (HOURS, hours))
    )
    for name, values in (("rates", rate), ("hours", duration)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise spec_error("E805", f"{name} must be above 0", column=name)
    return rate, duration


def _thin(fit: xr.DataTree) -> xr.DataTree:
    """Keep at most about `DRAWS` draws, evenly spaced."""
    posterior = fit["posterior"].to_dataset()
    step = max(1, int(np.ceil(posterior.sizes[CHAIN] * posterior.sizes[DRAW] / DRAWS)))
    thin = xr.DataTree.from_dict({"posterior": posterior.isel({DRAW: slice(None, None, step)})})
    for name, group in fit["design"].children.items():
        thin[f"design/{name}"] = group.copy()
    thin.attrs = fit.attrs
    return thin
