"""Generators: rules that write many variants of one kind.

Each is a frozen class under one `@generator` line; its fields are what a file says of it, and
`drafts` writes partial specs. None supplies a prior that nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nmda_bayes.components.curves import CURVES
from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.evidence.judgements import JUDGEMENT, NOT_JUDGED, worst_judgements
from nmda_bayes.published_priors import LIBRARIES
from nmda_bayes.sensitivity.catalogue import GENERATORS, Generator, Ground, generator
from nmda_bayes.sensitivity.places import PriorPlace, prior_places
from nmda_bayes.sensitivity.variants import Draft
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.parts import Words
from nmda_bayes.spec.rules import natural

__all__ = ["GENERATORS"]

#: The choice that everything which leaves trials out turns.
TRIALS = "trials"
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


@generator("The scale of priors, by factors.")
class PriorScale(Generator):
    """``of`` names priors as outcome.parameter.slot (``*`` stands for any part); ``by`` factors."""

    of: Words
    by: tuple[Positive, ...]

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a prior and factor."""
        for place in prior_places(ground.spec, self.of):
            for factor in self.by:
                name = f"{place.text}: scale × {factor:g}"
                yield _of_prior(self, name, place, place.scaled(factor), f"scale × {factor:g}")


@generator("The location of priors, by shifts.")
class PriorLocation(Generator):
    """``of`` as in prior_scale; ``by`` is added to the prior's mu."""

    of: Words
    by: tuple[float, ...]

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a prior and shift."""
        for place in prior_places(ground.spec, self.of):
            for shift in self.by:
                turned = f"location {shift:+g}".replace("-", "−")
                yield _of_prior(self, f"{place.text}: {turned}", place, place.moved(shift), turned)


@generator("Priors replaced whole: other families, or published ones.")
class PriorChoice(Generator):
    """``among`` lists whole priors, or ``library`` takes all that a library has published."""

    of: Words
    among: tuple[dict[str, Any], ...] = ()
    library: str = ""

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a place and prior."""
        if self.library and self.library not in LIBRARIES:
            mend = nearest(self.library, list(LIBRARIES))
            fault = Fault(f"unknown prior library '{self.library}'", mend, column="library")
            raise SpecError([fault])
        published = LIBRARIES[self.library].priors if self.library else {}
        listed = [
            {"library": self.library, "outcome": outcome, "comparison": comparison}
            for outcome, comparison in published
        ]
        for place in prior_places(ground.spec, self.of):
            for prior in (*self.among, *listed):
                named = _prior_name(prior)
                yield _of_prior(self, f"{place.text}: {named}", place, prior, named)


@generator("One study, agent, condition or level of risk of bias left out at a time.")
class LeaveOneOut(Generator):
    """``by`` names one or more of study, agent, condition, risk_of_bias."""

    by: tuple[Literal["study", "agent", "condition", "risk_of_bias"], ...]

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a study, agent, condition or level that the base sees."""
        for by in self.by:
            for label, column, words in _left_out(ground, by):
                name = f"without {by.replace('_', ' ')} {label}"
                yield self.draft(name, {"exclude": {column: words}}, {TRIALS: name})


@generator("Other curves of an outcome; the priors of their parameters are the file's.")
class Curves(Generator):
    """``among`` names curves, all if left out; ``parameters`` holds what the base does not."""

    outcome: str
    among: Words = ()
    parameters: dict[str, dict[str, Any]] = {}
    options: dict[str, dict[str, Any]] = {}

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a curve; a prior that nobody gave is a fault of that variant."""
        outcome = _outcome(ground.spec, self.outcome)
        for name in self.among or tuple(CURVES):
            if name == outcome.curve:
                continue
            options = self.options.get(name, {})
            wanted = _parameters_of(name, options)
            given = {n: p for n, p in self.parameters.items() if n in wanted}
            part = {"curve": name, "curve_options": options, "parameters": given}
            yield self.draft(
                f"{self.outcome}: {name}",
                {"outcomes": {self.outcome: part}},
                {f"curve of {self.outcome}": name},
            )


@generator("The correlation within people of a crossover trial's arms.")
class WithinPersonCorrelation(Generator):
    """Beta priors with ``means`` and one ``sd``: small, they fix the correlation."""

    means: tuple[Share, ...]
    sd: Positive

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a mean."""
        for mean in self.means:
            prior = {"dist": "Beta", "kwargs": {"mu": mean, "sigma": self.sd}, "why": self.why}
            partial = {"designs": {"crossover": {"within_person_correlation": prior}}}
            name = f"within-person correlation {mean:g}"
            yield self.draft(name, partial, {"within-person correlation": f"{mean:g}"})


@generator("Any key of the spec, set to each of several values.")
class Choice(Generator):
    """Imputation, time points, dose conversions, bias models: ``key`` is dotted."""

    key: str
    among: tuple[Any, ...]

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a value that the base does not have."""
        content = ground.spec.model_dump(mode="json", exclude_none=True)
        before = _at(content, self.key)
        for value in self.among:
            if value == before:
                continue
            said = str(value.get("name", "changed")) if isinstance(value, dict) else str(value)
            yield self.draft(f"{self.key} = {said}", _nested(self.key, value), {self.key: said})


@generator("Keys of the spec left out one at a time: bias models, correlations, other sources.")
class Without(Generator):
    """``keys`` are dotted."""

    keys: Words

    def drafts(self, ground: Ground) -> Iterator[Draft]:
        """Write one variant a key."""
        for key in self.keys:
            name = f"without {key}"
            yield Draft(name, {}, self.why, self.kind, {key: "left out"}, (key,), generated=True)


def _of_prior(
    rule: Generator, name: str, place: PriorPlace, prior: Mapping[str, Any], turned: str
) -> Draft:
    why = f"{prior.get('why', '')} {rule.why}".strip()
    partial = place.partial({**prior, "why": why})
    return rule.draft(name, partial, {f"prior of {place.text}": turned})


def _prior_name(prior: Mapping[str, Any]) -> str:
    if prior.get("library"):
        parts = (prior["library"], prior.get("outcome", ""), prior.get("comparison", ""))
        return " ".join(str(part).replace("_", " ") for part in parts if part)
    kwargs = prior.get("kwargs", {})
    numbers = ", ".join(f"{key} = {value}" for key, value in kwargs.items())
    return f"{prior.get('dist', 'a prior')}({numbers})"


def _parameters_of(name: str, options: Mapping[str, Any]) -> set[str]:
    """Name a curve's parameters in every form that a spec may write."""
    curve = CURVES.get(name)
    if curve is None:
        return set()
    sound = not any(curve.option_faults(options))
    names = {*curve.parameters, curve.numbered} - {""}
    names |= set(curve.given(options).parameters) if sound else set()
    return names | {natural(one) for one in names}


def _outcome(spec: AnalysisSpec, name: str) -> Any:
    if name not in spec.outcomes:
        mend = nearest(name, list(spec.outcomes))
        raise SpecError([Fault(f"no outcome is called '{name}'", mend, column="outcome")])
    return spec.outcomes[name]


def _left_out(ground: Ground, by: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name what is left out, the column that it stands in, and the words of that column."""
    arms = ground.design["arms"].to_dataset()
    if by == "study":
        for study in dict.fromkeys(map(str, arms["study"].to_numpy())):
            yield study, "study", [study]
    elif by == CONDITION:
        for condition in ground.design["labels"][CONDITION].to_numpy():
            yield str(condition), "condition_group", [str(condition)]
    elif by == AGENT:
        for agent in map(str, ground.design["labels"][AGENT].to_numpy()):
            renamed = [old for old, new in ground.spec.agents.items() if new == agent]
            yield agent, AGENT, [agent, *renamed]
    else:
        judged = worst_judgements(ground.evidence)
        studies = dict.fromkeys(map(str, arms["study"].to_numpy()))
        known = {} if judged is None else judged.to_dict()
        for level in dict.fromkeys(known.get(study, NOT_JUDGED) for study in studies):
            yield str(level).replace("_", " "), JUDGEMENT, [str(level)]


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return None
        content = content[part]
    return content


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value) if rest else value}
