"""Arms on the dose axis: doses, or concentrations from the published models that a spec names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import CONCENTRATION_AT_OUTCOME, EXPOSURES, PEAK_CONCENTRATION
from nmda_bayes.dims import SEPARATOR, scoped_name
from nmda_bayes.errors import InputError, Issue, suggest_match
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.pk import PKModel, arm_exposures, published_models
from nmda_bayes.pk.exposures import ArmBatch, ArmSchedule
from nmda_bayes.pk.structure import SITE_HALF_LIFE, log_sd, salt_factor
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.kinetics import ANY_ROUTE, PK_KEY, PharmacokineticsSpec, effect_site_example
from nmda_bayes.spec.outcome import PriorSpec
from nmda_bayes.spec.rules import issue_at

#: Group of the design with the parameters of the models that the spec names.
PK_NODE: Final = "pharmacokinetics"
#: `uncertainty` of a spec whose published parameters have priors.
PUBLISHED_UNCERTAINTY = "published"
#: Columns of an arm from which its exposure is computed again for each draw.
PK_COLUMNS = ("agent_given", "schedule", "kinetic_model", "read_at")
RELATIVE_DOSE_NOTE = "relative dose used in place of a relative concentration"
WHOLE_REGIMEN_NOTE = "time of measurement unknown: whole regimen used"
SINGLE_DOSE_NOTE = "the day's amount taken as one dose"
DOSING_DAY = " a dosing day"
#: Share of the peak below which a concentration counts as zero: rounding leaves more than 0 of a
#: bolus at the moment of injection.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class PKModels:
    """The pharmacokinetic models of an analysis, by agent and route."""

    spec: PharmacokineticsSpec
    published: Mapping[str, PKModel]
    rows: pd.DataFrame
    single_outcome: bool = False
    outcome: str = ""
    _reference_values: dict[tuple[str, str], float] = field(default_factory=dict, compare=False)

    def for_outcome(self, name: str) -> PKModels:
        """The models of an outcome: of blood, or of its effect site."""
        sites = self.spec.effect_site.get(name)
        if not sites:
            return self
        at_site = {
            report: _with_effect_site(model, sites[model.agent])
            for report, model in self.published.items()
            if model.agent in sites
        }
        return replace(self, published=at_site, outcome=name, _reference_values={})

    def variable(self, model: PKModel, symbol: str) -> str:
        """Name a kinetic parameter in the graph."""
        if symbol != SITE_HALF_LIFE:
            return f"{model.name}{SEPARATOR}{symbol}"
        name = f"{symbol}_{model.agent}"
        return scoped_name(self.outcome, name, single_outcome=self.single_outcome)

    def log_sd(self, model: PKModel, symbol: str) -> float:
        """SD of the log-normal prior of a kinetic parameter; 0 where it is fixed."""
        if symbol != SITE_HALF_LIFE and self.spec.uncertainty != PUBLISHED_UNCERTAINTY:
            return 0.0
        return log_sd(model.parameters[model.analyte, symbol], "typical")

    @property
    def has_priors(self) -> bool:
        """Whether any kinetic parameter has a prior."""
        half_lives = [value for site in self.spec.effect_site.values() for value in site.values()]
        fixed = not any(isinstance(value, PriorSpec) for value in half_lives)
        return self.spec.uncertainty == PUBLISHED_UNCERTAINTY or not fixed

    def model(self, agent: str, route: str) -> PKModel | None:
        """The model of an agent by a route."""
        return self.published.get(self.spec.model_name(agent, route))

    @property
    def model_names(self) -> list[str]:
        """Names of the models that the spec uses, each once."""
        return [name for name in self.spec.model_names if name in self.published]

    def source_rows(self) -> pd.DataFrame:
        """The rows of the published table that the models are made of."""
        rows = self.rows
        return rows[rows["report"].isin(self.model_names) & (rows["whole_model"] == "yes")]

    def reference(self, agent: str) -> tuple[str, str]:
        """Route and schedule of the regimen that is 1 on an agent's relative axis."""
        return next(iter(self.spec.reference.get(agent, {}).items()), ("", ""))

    @property
    def body_weight_kg(self) -> float:
        """Body weight of the spec, kg."""
        return self.spec.body_weight_kg

    def reference_value(self, agent: str, metric: str) -> float:
        """Exposure of an agent's reference regimen at the published parameters."""
        if not self.model(agent, self.reference(agent)[0]):
            return math.nan
        if (agent, metric) not in self._reference_values:
            batch = self.readings(self.reference_reading(agent, metric))
            self._reference_values[agent, metric] = float(batch.value(metric)[0])
        return self._reference_values[agent, metric]

    def reference_reading(self, agent: str, metric: str) -> ArmSchedule:
        """An agent's reference regimen, and the hour at which its exposure is taken."""
        _, schedule = self.reference(agent)
        whole = ArmSchedule(agent, schedule, math.nan)
        if metric != CONCENTRATION_AT_OUTCOME:
            return whole
        return ArmSchedule(agent, schedule, float(self.readings(whole).treatment_ends[0, 0]))

    def readings(self, schedule: ArmSchedule) -> ArmBatch:
        """Prepare the exposures of an agent's reference regimen."""
        route, _ = self.reference(schedule.agent)
        model = self.published[self.spec.model_name(schedule.agent, route)]
        return ArmBatch.of([schedule], model, route=route, weight=self.body_weight_kg)

    def models_of(self, agent: str, route: str = "") -> list[str]:
        """Names of the published models that describe an agent, by a route if one is given."""
        return [
            name
            for name, model in self.published.items()
            if (not route or route in model.routes) and _describes(model, agent)
        ]


def _with_effect_site(model: PKModel, half_life: PriorSpec | float) -> PKModel:
    if isinstance(half_life, PriorSpec):
        mu, sigma = half_life.kwargs["mu"], half_life.kwargs["sigma"]
        return model.with_effect_site(math.exp(mu), sigma, half_life.why)
    return model.with_effect_site(half_life)


def _describes(model: PKModel, agent: str) -> bool:
    try:
        salt_factor(agent, model)
    except InputError:
        return False
    return True


def pk_models(
    spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame], *, every: bool = False
) -> PKModels | None:
    """Read the models that an analysis names, or every published one."""
    if spec.pharmacokinetics is None:
        return None
    rows = tables[PK_NODE]
    if not every:
        rows = rows[rows["report"].isin(spec.pharmacokinetics.model_names)]
    return PKModels(spec.pharmacokinetics, published_models(rows), rows, spec.single_outcome)


def pk_models_of_design(spec: AnalysisSpec, design: xr.DataTree | xr.DataArray) -> PKModels | None:
    """Read the models of an analysis from its design."""
    if spec.pharmacokinetics is None or not isinstance(design, xr.DataTree):
        return None
    return pk_models(spec, {PK_NODE: to_frame(design, PK_NODE)})


def pk_tables(evidence: xr.DataTree) -> dict[str, pd.DataFrame]:
    """The tables that concentrations are computed from, the shipped ones where there are none."""
    source = evidence if PK_NODE in evidence.children else load_evidence()
    tables = {PK_NODE: to_frame(source, PK_NODE)}
    if "conversions" in evidence.children:
        tables["conversions"] = to_frame(evidence, "conversions")
    return tables


def assign_exposure(
    spec: AnalysisSpec, name: str, rows: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Add the exposure of an outcome's arms; NaN with a reason in `exposure_missing`."""
    outcome, references = spec.outcomes[name], tables["references"]
    kind, kinetics = EXPOSURES[outcome.exposure], pk_models(spec, tables)
    missing: str | pd.Series = kind.missing_reason
    if kind.metric and kinetics is not None:
        rows = _assign_concentration(spec, rows, kinetics.for_outcome(name), outcome, tables)
        missing = rows["exposure_missing"].mask(rows["exposure_missing"] == "", kind.missing_reason)
    exposure = kind.formula(rows, references)
    needs_dose = [outcome.shape.of(str(agent)).needs_dose for agent in rows["agent"]]
    exposure = np.where(np.isnan(exposure) & ~np.array(needs_dose, bool), 1.0, exposure)
    exposure = np.where(rows["agent"] == spec.reference, 0.0, exposure)
    return rows.assign(exposure=exposure, exposure_missing=missing)


def _assign_concentration(
    spec: AnalysisSpec,
    rows: pd.DataFrame,
    kinetics: PKModels,
    outcome: OutcomeSpec,
    tables: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Add the concentration of each row, its note, or the reason why it has none."""
    kind = EXPOSURES[outcome.exposure]
    rows = _fill_missing_columns(rows)
    computed = _concentrations(spec, rows, kinetics, tables.get("conversions"), kind.metric)
    values, note = computed[kind.metric].to_numpy(float), computed["note"]
    missing = computed[f"{kind.metric}_missing"]
    is_reference = rows["agent"] == spec.reference
    model = computed["model"].mask(is_reference, "")
    if kind.relative:
        at_reference = [kinetics.reference_value(agent, kind.metric) for agent in rows["agent"]]
        values = np.where(is_reference, 0.0, values / np.array(at_reference, float))
        doses = EXPOSURES["dose_relative_to_reference"].formula(rows, tables["references"])
        listed = rows["agent"].isin(kinetics.spec.relative_dose)
        by_dose = listed & np.isnan(values) & ~np.isnan(doses)
        values = np.where(by_dose, doses, values)
        note = note.mask(by_dose, RELATIVE_DOSE_NOTE + " (" + missing + ")")
        model = model.mask(by_dose, "")
    return rows.assign(
        **{kind.metric + ("_relative" if kind.relative else ""): values},
        exposure_missing=missing,
        dose_note=note,
        schedule=computed["schedule"],
        kinetic_model=model,
        read_at=rows["time_hours"],
    )


def _fill_missing_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that a flat table lacks: it has no schedules."""
    texts = {c: rows[c].fillna("") if c in rows else "" for c in ("schedule", "route", "study")}
    drug = rows["agent_given"] if "agent_given" in rows else rows["agent"]
    drug = drug.where(drug.notna() & (drug != ""), rows["agent"])
    hours = rows.get("time_hours", math.nan)
    return rows.assign(**texts, agent_given=drug, time_hours=hours)


def _concentrations(
    spec: AnalysisSpec,
    rows: pd.DataFrame,
    kinetics: PKModels,
    conversions: pd.DataFrame | None,
    metric: str,
) -> pd.DataFrame:
    """Concentrations of every row; equal rows are computed once."""
    keys = rows[["agent_given", "route", "schedule", "time_hours", "agent"]]
    weight = _body_weights(rows["study"], kinetics.body_weight_kg, conversions)
    keys = keys.assign(weight=weight, written=keys["schedule"])
    if kinetics.spec.dosing_day == "at_once" and metric == PEAK_CONCENTRATION:
        keys = keys.assign(schedule=keys["schedule"].map(_as_single_dose))
    unique = keys.drop_duplicates()
    parts = []
    for (agent, route), group in unique.groupby(["agent_given", "route"], sort=False):
        model = kinetics.model(str(agent), str(route))
        arms = group.assign(agent=group["agent"].where(group["agent"] == spec.reference, agent))
        parts.append(
            arm_exposures(
                arms,
                {} if model is None else {str(agent): model},
                weight=group["weight"],
                hours_at_outcome=group["time_hours"],
                reference=spec.reference,
            )
        )
    computed = pd.concat(parts).reindex(unique.index) if parts else pd.DataFrame(index=unique.index)
    notes = {
        SINGLE_DOSE_NOTE: unique["written"] != unique["schedule"],
        WHOLE_REGIMEN_NOTE: unique["time_hours"].isna() & (computed["model"] != ""),
    }
    texts = [computed["note"], *(np.where(applies, note, "") for note, applies in notes.items())]
    joined = ["; ".join(filter(None, parts)) for parts in zip(*texts, strict=True)]
    described = unique.join(computed.assign(note=joined))
    merged = keys.merge(described, on=list(keys.columns), how="left", validate="many_to_one")
    return merged.set_index(rows.index)


def _body_weights(study: pd.Series, kg: float, conversions: pd.DataFrame | None) -> pd.Series:
    """Body weight of each study, kg; NaN where the evidence says that it cannot be assumed."""
    weights = pd.Series(kg, index=study.index)
    if conversions is None:
        return weights
    rows = conversions[conversions["name"] == "body_weight"]
    of_study = rows.set_index("applies_to")["value"]
    return weights.where(~study.isin(of_study.index), study.map(of_study).astype(float))


def _as_single_dose(text: str) -> str:
    """Take the amount of a dosing day as one dose, whose peak needs no number of days."""
    if DOSING_DAY not in text or ";" in text:
        return text
    return str(parse_regimen(text).courses[0].phases[0])


# Errors of a spec's models, given the agents and routes of the evidence


def pk_design_issues(spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame]) -> Iterator[Issue]:
    """Find models, reference regimens and effect sites that are missing or do not fit."""
    kinetics = pk_models(spec, tables, every=True)
    if kinetics is None:
        return
    results = tables["results"]
    measures = {
        name: {*(outcome.measures or (name,)), ""}
        for name, outcome in spec.outcomes.items()
        if EXPOSURES[outcome.exposure].metric
    }
    for agent, routes in kinetics.spec.model.items():
        for route, name in routes.items():
            yield from _model_issues(kinetics, agent, route, name)
    relative = {
        name: EXPOSURES[outcome.exposure].metric
        for name, outcome in sorted(spec.outcomes.items())
        if EXPOSURES[outcome.exposure].relative and EXPOSURES[outcome.exposure].metric
    }
    for agent in kinetics.spec.reference:
        yield from _reference_issues(kinetics, agent, relative)
    rows = results[results["outcome"].isin(set().union(*measures.values()))]
    yield from _agent_issues(kinetics, spec, rows[rows["agent"] != spec.reference])
    for name in kinetics.spec.effect_site:
        of_outcome = results["outcome"].isin(measures.get(name, set()))
        agents = set(results.loc[of_outcome, "agent_given"])
        yield from _effect_site_issues(kinetics, name, agents)


def _agent_issues(kinetics: PKModels, spec: AnalysisSpec, rows: pd.DataFrame) -> Iterator[Issue]:
    """Find agents without a model, and modelled agents without a reference regimen."""
    pairs = sorted(set(zip(rows["agent_given"], rows["route"], strict=True)))
    modelled = {pair for pair in pairs if kinetics.spec.model_name(*pair)}
    for agent, route in pairs:
        if (agent, route) in modelled or agent in kinetics.spec.relative_dose:
            continue
        if possible := kinetics.models_of(agent, route):
            yield issue_at(
                "E430",
                f"{PK_KEY}.model.{agent}.{route}",
                f"no pharmacokinetic model is chosen for '{agent}' by route '{route}'",
                f'Write {agent} = {{ {route} = "..." }} under {PK_KEY}.model, one of:'
                f" {', '.join(possible)}; or list the agent in relative_dose.",
            )
    if not any(EXPOSURES[outcome.exposure].relative for outcome in spec.outcomes.values()):
        return
    columns = (rows["agent"], rows["agent_given"], rows["route"])
    agents = {agent for agent, *pair in zip(*columns, strict=True) if tuple(pair) in modelled}
    for agent in sorted(agents - set(kinetics.spec.reference)):
        yield issue_at(
            "E431",
            f"{PK_KEY}.reference.{agent}",
            f"agent '{agent}' has no reference regimen, which its relative exposure needs",
            f'Write {agent} = {{ iv = "..." }} under [{PK_KEY}.reference].',
        )


def _effect_site_issues(kinetics: PKModels, outcome: str, agents: set[str]) -> Iterator[Issue]:
    site, key = kinetics.spec.effect_site[outcome], f"{PK_KEY}.effect_site.{outcome}"
    drugs_of = {
        agent: {kinetics.published[n].agent for n in routes.values() if n in kinetics.published}
        for agent, routes in kinetics.spec.model.items()
    }
    drugs = sorted(set().union(*drugs_of.values()))
    needed = {drug for agent in agents for drug in drugs_of.get(agent, ())}
    for drug in sorted(needed - set(site)):
        message = f"the half-life of equilibration of '{drug}' with the effect site is missing"
        yield issue_at("E432", f"{key}.{drug}", message, f"Write {effect_site_example(drug)}.")
    for drug in site:
        if drug not in drugs:
            message = f"no model of the spec describes '{drug}'"
            yield issue_at("E433", f"{key}.{drug}", message, suggest_match(drug, drugs))


def _model_issues(kinetics: PKModels, agent: str, route: str, name: str) -> Iterator[Issue]:
    key = f"{PK_KEY}.model.{agent}" + ("" if route == ANY_ROUTE else f".{route}")
    model = kinetics.published.get(name)
    if model is None:
        hint = suggest_match(name, list(kinetics.published))
        yield issue_at("E434", key, f"no published model is called '{name}'", hint)
    elif not _describes(model, agent):
        message = f"model '{name}' describes {model.agent}, not {agent}"
        yield issue_at("E435", key, message, _possible(kinetics.models_of(agent)))
    elif route not in (ANY_ROUTE, *model.routes):
        message = f"model '{name}' has no absorption for route '{route}'"
        yield issue_at("E436", key, message, _possible(kinetics.models_of(agent, route)))


def _possible(models: list[str]) -> str:
    return f"Possible models: {', '.join(models)}." if models else "No published model fits."


def _reference_issues(
    kinetics: PKModels, agent: str, relative: Mapping[str, str]
) -> Iterator[Issue]:
    """Find reference regimens without a model, or without an exposure above 0."""
    route, _ = kinetics.reference(agent)
    key = f"{PK_KEY}.reference.{agent}.{route}"
    if kinetics.model(agent, route) is None:
        if not kinetics.spec.model_name(agent, route):
            message = f"the reference regimen of '{agent}' has no model"
            hint = f"Write {agent} under {PK_KEY}.model, for this route."
            yield issue_at("E437", key, message, hint)
        return
    try:
        kinetics.readings(kinetics.reference_reading(agent, "area"))
    except InputError as error:
        for issue in error.issues:
            yield issue_at("E438", key, issue.message, issue.hint)
        return
    for name, metric in relative.items():
        models = kinetics.for_outcome(name)
        if not models.model(agent, route):
            continue
        least = NEGLIGIBLE * models.reference_value(agent, PEAK_CONCENTRATION)
        if not models.reference_value(agent, metric) > least:
            yield issue_at(
                "E439",
                key,
                f"the {metric.replace('_', ' ')} of the reference regimen of '{agent}' is 0, and"
                f" outcome '{name}' is relative to it",
                "State the duration ('0.5 mg/kg over 40 min'), or use another exposure.",
            )
