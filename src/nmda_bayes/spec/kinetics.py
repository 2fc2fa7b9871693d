"""By which published models the doses of an analysis become concentrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.errors import Fault, InputError
from nmda_bayes.pharmacokinetics.published import STRUCTURES
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec.parts import Words
from nmda_bayes.spec.pooling_rules import prior_rules
from nmda_bayes.spec.prior import Frozen, PriorSpec

#: The key of a model that serves every route of its agent.
ANY_ROUTE = "any"
KEY = "pharmacokinetics"
EXAMPLE = (
    'model = { ketamine = "Simons2022" }, uncertainty = "published", body_weight_kg = 70 and'
    ' reference = { ketamine = { iv = "0.5 mg/kg over 40 min" } }'
)


def site_example(drug: str = "s_ketamine") -> str:
    """Show what to write where an effect site has no half-life.

    Parameters
    ----------
    drug
        What the model is of.

    Returns
    -------
    str
        A line of TOML, and its alternative.
    """
    prior = '{ dist = "LogNormal", kwargs = { mu = -2.3, sigma = 0.7 }, why = "..." }'
    return f"{drug} = {prior}, or a number of hours"


def _by_route(value: Any) -> Any:
    """Take one model for the model of every route."""
    if not isinstance(value, Mapping):
        return value
    return {k: {ANY_ROUTE: v} if isinstance(v, str) else v for k, v in value.items()}


ModelByRoute = Annotated[dict[str, dict[str, str]], BeforeValidator(_by_route)]


class PharmacokineticsSpec(Frozen):
    """Which published model each agent is computed by, and what is done with its errors."""

    # By agent as the evidence names it, and by route; one name alone serves every route.
    model: ModelByRoute
    # published: parameters have priors, log-normal with their published standard errors;
    # fixed: they are held at their published values.
    uncertainty: Literal["published", "fixed"]
    body_weight_kg: Annotated[float, Field(gt=0)]
    # The regimen that is 1 on a relative axis, by agent as the analysis names it, and its route.
    reference: dict[str, dict[str, str]] = {}
    # Hours in which half of the difference between blood and effect site is gone, by outcome and by
    # the drug that its models are of: a log-normal prior, or a number that is held.
    effect_site: dict[str, dict[str, PriorSpec | Annotated[float, Field(gt=0)]]] = {}
    # Agents whose arms take their relative dose where no concentration can be worked out.
    relative_dose: Words = ()
    # Amounts of "a dosing day" in doses whose number is not said: left out, or given at once.
    dosing_day: Literal["leave_out", "at_once"] = "leave_out"
    why: str = ""

    def model_name(self, agent: str, route: str) -> str:
        """Name the model of an agent by a route.

        Parameters
        ----------
        agent
            As the evidence names it.
        route
            Of its doses.

        Returns
        -------
        str
            Name of the report; empty where the spec names none.
        """
        mine = self.model.get(agent, {})
        return mine.get(route, mine.get(ANY_ROUTE, ""))


def kinetics_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where exposures and pharmacokinetics of a spec contradict each other.

    Parameters
    ----------
    content
        The spec as plain content.

    Yields
    ------
    Fault
        A concentration without models, a relative one without a reference, a regimen that cannot
        be read.
    """
    outcomes = content.get("outcomes")
    parts = outcomes if isinstance(outcomes, Mapping) else {}
    used = {
        str(name): EXPOSURES[str(part.get("exposure"))]
        for name, part in parts.items()
        if isinstance(part, Mapping) and str(part.get("exposure")) in EXPOSURES
    }
    asking = {name: exposure for name, exposure in used.items() if exposure.of}
    kinetics = content.get(KEY)
    if asking and kinetics is None:
        name, exposure = next(iter(asking.items()))
        yield Fault(
            f"exposure '{exposure.name}' of outcome '{name}' needs pharmacokinetic models, and the"
            " spec names none",
            f"Write [{KEY}] with {EXAMPLE}. Published models: {', '.join(STRUCTURES)}.",
            column=KEY,
        )
    if not isinstance(kinetics, Mapping):
        return
    relative = [name for name, exposure in asking.items() if exposure.relative]
    yield from _reference_faults(kinetics, relative)
    at_site = [name for name, exposure in asking.items() if exposure.at_site]
    yield from _site_faults(kinetics.get("effect_site", {}), at_site, list(parts))


def _reference_faults(kinetics: Mapping[str, Any], relative: list[str]) -> Iterator[Fault]:
    references, models = kinetics.get("reference", {}), kinetics.get("model")
    if not isinstance(references, Mapping) or not isinstance(models, Mapping):
        return
    if relative and not references:
        yield Fault(
            f"the exposure of outcome '{relative[0]}' is relative, and no reference regimen is"
            " named",
            f"Write [{KEY}.reference], for each agent its route and schedule: ketamine = {{ iv ="
            ' "0.5 mg/kg over 40 min" }.',
            column=f"{KEY}.reference",
        )
    for agent, by_route in references.items():
        at = f"{KEY}.reference.{agent}"
        if not isinstance(by_route, Mapping):
            continue
        if len(by_route) != 1:
            yield Fault(
                f"the reference regimen of '{agent}' has {len(by_route)} routes",
                'Name one: { iv = "0.5 mg/kg over 40 min" }.',
                column=at,
            )
        for route, text in by_route.items():
            try:
                parse_regimen(str(text))
            except InputError as wrong:
                yield from (Fault(f.message, f.mend, column=f"{at}.{route}") for f in wrong.faults)


def _site_faults(sites: Any, at_site: list[str], outcomes: list[str]) -> Iterator[Fault]:
    """Find outcomes without a site, sites without an outcome, and priors of another kind."""
    if not isinstance(sites, Mapping):
        return
    for name in at_site:
        if not sites.get(name):
            yield Fault(
                f"the exposure of outcome '{name}' is at the effect site, and nothing says how fast"
                " that follows blood",
                f"Write [{KEY}.effect_site.{name}] with the half-life of equilibration in hours, by"
                f" the drug of the model: {site_example()}.",
                column=f"{KEY}.effect_site.{name}",
            )
    for name, drugs in sites.items():
        if name not in at_site:
            wrong = "is not at an effect site" if name in outcomes else "is none of the spec"
            yield Fault(
                f"effect site of outcome '{name}', which {wrong}",
                "Remove it, or take an exposure at the effect site, such as"
                " peak_effect_site_concentration.",
                column=f"{KEY}.effect_site.{name}",
            )
        for drug, one in drugs.items() if isinstance(drugs, Mapping) else ():
            if not isinstance(one, Mapping):
                continue
            at = f"{KEY}.effect_site.{name}.{drug}"
            yield from prior_rules(at, one, must_be_positive=False)
            if one.get("dist") not in (None, "LogNormal"):
                yield Fault(
                    f"the half-life of an effect site has a log-normal prior, not {one['dist']}",
                    f"Write for instance {site_example()}.",
                    column=at,
                )
