"""Which published pharmacokinetic models turn the doses of an analysis into concentrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.errors import InputError, Issue
from nmda_bayes.pk.table import STRUCTURES
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec.outcome import PositiveNumber, PriorSpec, Section, Words
from nmda_bayes.spec.rules import issue_at, prior_rules

if TYPE_CHECKING:
    from nmda_bayes.spec.analysis import AnalysisSpec

#: The key of a model that serves every route of its agent.
ANY_ROUTE = "any"
PK_KEY = "pharmacokinetics"
PK_EXAMPLE = (
    'model = { ketamine = "Simons2022" }, uncertainty = "published", body_weight_kg = 70 and'
    ' reference = { ketamine = { iv = "0.5 mg/kg over 40 min" } }'
)


def effect_site_example(drug: str = "s_ketamine") -> str:
    """Show in TOML how the half-life of an effect site is written."""
    prior = '{ dist = "LogNormal", kwargs = { mu = -2.3, sigma = 0.7 }, why = "..." }'
    return f"{drug} = {prior}, or a number of hours"


def _by_route(value: Any) -> Any:
    """Read a single model as the model of every route."""
    if not isinstance(value, Mapping):
        return value
    return {k: {ANY_ROUTE: v} if isinstance(v, str) else v for k, v in value.items()}


ModelByRoute = Annotated[dict[str, dict[str, str]], BeforeValidator(_by_route)]


class PharmacokineticsSpec(Section):
    """Which published model each agent has, and how its parameters' uncertainty is used."""

    # By agent as the evidence names it, and by route; a single name serves every route.
    model: ModelByRoute
    # published: parameters have log-normal priors with their published standard errors;
    # fixed: they are held at their published values.
    uncertainty: Literal["published", "fixed"]
    body_weight_kg: PositiveNumber
    # The regimen that is 1 on a relative axis, by agent as the analysis names it, and its route.
    reference: dict[str, dict[str, str]] = {}
    # Half-life in hours of the equilibration between blood and effect site, by outcome and by
    # the drug of the model: a log-normal prior, or a fixed number.
    effect_site: dict[str, dict[str, PriorSpec | PositiveNumber]] = {}
    # Agents whose arms use their relative dose where no concentration can be computed.
    relative_dose: Words = ()
    # Amounts of "a dosing day" in an unknown number of doses: left out, or taken as one dose.
    dosing_day: Literal["leave_out", "at_once"] = "leave_out"
    why: str = ""

    @property
    def model_names(self) -> list[str]:
        """The models of all agents and routes, each once."""
        names = (name for by_route in self.model.values() for name in by_route.values())
        return list(dict.fromkeys(names))

    def model_name(self, agent: str, route: str) -> str:
        """Name the model of an agent (as the evidence names it) by a route; empty if none."""
        models = self.model.get(agent, {})
        return models.get(route, models.get(ANY_ROUTE, ""))


def pk_spec_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    """Find where exposures and pharmacokinetics of a spec contradict each other."""
    used = {
        name: EXPOSURES[outcome.exposure]
        for name, outcome in spec.outcomes.items()
        if outcome.exposure in EXPOSURES and EXPOSURES[outcome.exposure].metric
    }
    kinetics = spec.pharmacokinetics
    if kinetics is None:
        if used:
            name, exposure = next(iter(used.items()))
            message = f"exposure '{exposure.name}' of outcome '{name}' needs published models"
            hint = f"Write [{PK_KEY}] with {PK_EXAMPLE}. Models: {', '.join(STRUCTURES)}."
            yield issue_at("E390", PK_KEY, message, hint)
        return
    relative = [name for name, exposure in used.items() if exposure.relative]
    yield from _reference_issues(kinetics, relative)
    at_site = [name for name, exposure in used.items() if exposure.at_effect_site]
    yield from _site_issues(kinetics, at_site, list(spec.outcomes))


def _reference_issues(kinetics: PharmacokineticsSpec, relative: list[str]) -> Iterator[Issue]:
    if relative and not kinetics.reference:
        message = f"outcome '{relative[0]}' is relative to a reference regimen, which is missing"
        hint = f"Write [{PK_KEY}.reference] with the route and schedule of each agent: "
        hint += 'ketamine = { iv = "0.5 mg/kg over 40 min" }.'
        yield issue_at("E391", f"{PK_KEY}.reference", message, hint)
    for agent, by_route in kinetics.reference.items():
        at = f"{PK_KEY}.reference.{agent}"
        if len(by_route) != 1:
            message = f"the reference regimen of '{agent}' has {len(by_route)} routes"
            yield issue_at("E392", at, message, 'Name one: { iv = "0.5 mg/kg over 40 min" }.')
        for route, text in by_route.items():
            try:
                parse_regimen(text)
            except InputError as error:
                for issue in error.issues:
                    yield issue_at("E393", f"{at}.{route}", issue.message, issue.hint)


def _site_issues(
    kinetics: PharmacokineticsSpec, at_site: list[str], outcomes: list[str]
) -> Iterator[Issue]:
    sites, key = kinetics.effect_site, f"{PK_KEY}.effect_site"
    for name in at_site:
        if not sites.get(name):
            message = f"the half-life of equilibration with the effect site of '{name}' is missing"
            hint = f"Write [{key}.{name}] with hours for each drug: {effect_site_example()}."
            yield issue_at("E394", f"{key}.{name}", message, hint)
    for name, drugs in sites.items():
        if name not in at_site:
            reason = "has another exposure" if name in outcomes else "is not in the spec"
            message = f"effect site of outcome '{name}', which {reason}"
            hint = "Remove it, or use exposure peak_effect_site_concentration, for instance."
            yield issue_at("E395", f"{key}.{name}", message, hint)
        for drug, prior in drugs.items():
            if not isinstance(prior, PriorSpec):
                continue
            at = f"{key}.{name}.{drug}"
            yield from prior_rules(at, prior, False)
            if prior.dist != "LogNormal":
                message = f"an effect site's half-life has a log-normal prior, not {prior.dist}"
                yield issue_at("E396", at, message, f"Write for instance {effect_site_example()}.")
