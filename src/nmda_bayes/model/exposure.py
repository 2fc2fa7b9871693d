"""Exposures in the graph: concentrations as functions of uncertain pharmacokinetic parameters.

    pharmacokinetic parameter ~ LogNormal(published value, standard error)     (per model)
    effect-site half-life     ~ LogNormal, as the spec says                    (per drug and
    outcome) exposure[arm]             = closed form of the published model             (per
    outcome)

Results of arms are about their mean participant, so that the published variation between persons
does not enter, only the standard errors. Parameters without a published standard error are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pymc.dims as pmd
import pytensor.tensor as pt
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES, Exposure
from nmda_bayes.design.node_split import original_agent
from nmda_bayes.design.pk_exposure import PKModels, pk_models_of_design
from nmda_bayes.model.outcome import Outcome, standard_normal
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.pk import PKModel
from nmda_bayes.pk.exposures import ArmBatch, ArmSchedule
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec import AnalysisSpec


def graph_exposure(outcome: Outcome) -> Any:
    """Exposure of each arm: numbers of the design, or functions of pharmacokinetic parameters.

    Arms of reported contrasts keep the numbers, computed with the published values, because their
    rows lack the schedule; `show` and the report count them.
    """
    numbers = outcome.over_arms(outcome.reported["exposure"].to_numpy(), "exposure")
    kind = EXPOSURES[outcome.spec.exposure]
    if outcome.pk_parameters is None or not kind.metric or "kinetic_model" not in outcome.reported:
        return numbers
    parameters = outcome.pk_parameters.for_outcome(outcome.label)
    arms = _modelled_arms(outcome, parameters.pk_models, kind)
    order, batches = _batches(arms, parameters.pk_models)
    if not any(map(parameters.any_random, batches)):
        return numbers
    values = [
        batch.value(kind.metric, parameters.of(batch.model, batch.symbols), pt)
        if parameters.any_random(batch)
        else pt.as_tensor(batch.value(kind.metric))
        for batch in batches
    ]
    in_order = pt.concatenate(values)[np.argsort(order)]
    value = in_order[: len(arms.rows)]
    if kind.relative:
        value = value / in_order[arms.reference]
    value = pt.set_subtensor(numbers.values[arms.rows], value)
    exposure = pmd.as_xtensor(value, dims=(outcome.arm,))
    return pmd.Deterministic(outcome.name("exposure"), exposure, dims=(outcome.arm,))


@dataclass(frozen=True)
class _ModelledArms:
    """Schedules whose exposure a model gives: those of ``rows``, then agents' reference regimens.

    ``models`` holds the model and route of each schedule, ``reference`` the position of the
    reference regimen of each row's agent.
    """

    rows: np.ndarray
    schedules: list[ArmSchedule]
    models: list[tuple[str, str]]
    reference: np.ndarray


def _modelled_arms(outcome: Outcome, kinetics: PKModels, kind: Exposure) -> _ModelledArms:
    columns = ("agent", "agent_given", "route", "schedule", "kinetic_model", "read_at")
    arms = list(zip(*(outcome.reported[c].to_numpy() for c in columns), strict=True))
    # The target concentration of a pump is a number and needs no model.
    rows = [
        i
        for i, (_, _, _, schedule, model, _) in enumerate(arms)
        if isinstance(model, str) and model and parse_regimen(schedule).basis != "ng/mL"
    ]
    schedules = [ArmSchedule(arms[i][1], arms[i][3], float(arms[i][5])) for i in rows]
    models = [(arms[i][4], arms[i][2]) for i in rows]
    agents = [original_agent(str(arms[i][0])) for i in rows]
    position: dict[str, int] = {}
    for agent in dict.fromkeys(agents) if kind.relative else ():
        position[agent] = len(schedules)
        schedules.append(kinetics.reference_reading(agent, kind.metric))
        route, _ = kinetics.reference(agent)
        models.append((kinetics.spec.model_name(agent, route), route))
    reference = np.array([position.get(agent, 0) for agent in agents], dtype=int)
    return _ModelledArms(np.array(rows, dtype=int), schedules, models, reference)


def _batches(arms: _ModelledArms, kinetics: PKModels) -> tuple[np.ndarray, list[ArmBatch]]:
    """Group schedules by model and route, so that each closed form is evaluated once.

    Also returns the position of each value, in the order of the batches, among the schedules.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(arms.models):
        groups.setdefault(key, []).append(i)
    batches = [
        ArmBatch.of(
            [arms.schedules[i] for i in members],
            kinetics.published[name],
            route=route,
            weight=kinetics.body_weight_kg,
        )
        for (name, route), members in groups.items()
    ]
    return np.array([i for members in groups.values() for i in members], dtype=int), batches


@dataclass(frozen=True)
class PKParameters:
    """Parameters of published models as random variables, added when first needed."""

    pk_models: PKModels
    variables: dict[str, Any] = field(default_factory=dict)

    def for_outcome(self, name: str) -> PKParameters:
        """Restrict to those of an outcome's exposures."""
        return replace(self, pk_models=self.pk_models.for_outcome(name))

    def any_random(self, batch: ArmBatch) -> bool:
        """Whether exposures depend on a parameter that has a prior."""
        return any(self.pk_models.log_sd(batch.model, symbol) for symbol in batch.symbols)

    def of(self, model: PKModel, symbols: Sequence[str]) -> dict[str, Any]:
        """The parameters of a model that have a prior, by symbol."""
        values = {}
        for symbol in symbols:
            log_sd = self.pk_models.log_sd(model, symbol)
            if not log_sd:
                continue
            name = self.pk_models.variable(model, symbol)
            if name not in self.variables:
                offset = standard_normal(name + OFFSET)
                published = model.parameters[model.analyte, symbol].value
                self.variables[name] = pmd.Deterministic(name, published * xp.exp(log_sd * offset))
            values[symbol] = self.variables[name].values
        return values


def pk_parameters(spec: AnalysisSpec, design: xr.DataTree) -> PKParameters | None:
    """The pharmacokinetic parameters of an analysis; None where all are fixed."""
    kinetics = pk_models_of_design(spec, design)
    return PKParameters(kinetics) if kinetics is not None and kinetics.has_priors else None
