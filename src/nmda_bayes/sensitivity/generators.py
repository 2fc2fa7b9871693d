"""Generators: rules that write many variants of one kind, and the priors that they vary.

Each generator is a frozen class under a `@generator` line; its fields are the keys of the file, and
`drafts` writes partial specs. No generator supplies a prior that nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Final, Literal

import xarray as xr
from pydantic import Field

from nmda_bayes.components.curves import CURVES
from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.errors import Issue, SpecError, suggest_match
from nmda_bayes.evidence.grade import NOT_JUDGED, RISK_OF_BIAS_COLUMN, overall_risk_of_bias
from nmda_bayes.prior_library import PRIOR_LIBRARIES
from nmda_bayes.registry import Registry
from nmda_bayes.sensitivity.variants import VariantDraft
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.outcome import Frozen, Words
from nmda_bayes.spec.rules import natural_name

#: The decision that every variant which leaves trials out changes.
TRIALS: Final = "trials"
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]

#: The argument that sets a family's scale, and its power of the scale. Families without one (Beta,
#: Gamma by shape) can be widened in more than one way, and none is preferred.
LOCATED: Final = ("Normal", "StudentT", "TruncatedNormal", "LogNormal", "LogStudentT")
SCALE_OF: Final = {
    **{(family, "sigma"): 1 for family in (*LOCATED, "HalfNormal", "HalfStudentT")},
    **{("Cauchy", "beta"): 1, ("HalfCauchy", "beta"): 1, ("Laplace", "b"): 1},
    **{("Normal", "tau"): -2, ("Exponential", "lam"): -1, ("Exponential", "scale"): 1},
}
LOCATION_OF: Final = {**dict.fromkeys((*LOCATED, "Laplace"), "mu"), "Cauchy": "alpha"}


@dataclass(frozen=True)
class PriorPath:
    """One prior of a spec: where it is, and its content."""

    outcome: str
    parameter: str
    slot: str
    prior: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The dotted path, ``outcome.parameter.slot``."""
        return f"{self.outcome}.{self.parameter}.{self.slot}"

    def partial(self, prior: Mapping[str, Any]) -> dict[str, Any]:
        """Write a partial spec that replaces this prior."""
        parameter = {"priors": {self.slot: dict(prior)}}
        return {"outcomes": {self.outcome: {"parameters": {self.parameter: parameter}}}}

    def scaled(self, factor: float) -> dict[str, Any]:
        """Multiply the prior's scale by a factor."""
        dist, kwargs = str(self.prior["dist"]), dict(self.prior["kwargs"])
        for name in kwargs:
            power = SCALE_OF.get((dist, name))
            if power is not None:
                kwargs[name] = kwargs[name] * factor**power
                return {"dist": dist, "kwargs": kwargs, "why": f"Scale × {factor:g}."}
        raise SpecError([self._issue("has no single scale parameter", "E624")])

    def shifted(self, shift: float) -> dict[str, Any]:
        """Add a shift to the prior's location."""
        dist, kwargs = str(self.prior["dist"]), dict(self.prior["kwargs"])
        name = LOCATION_OF.get(dist)
        if name not in kwargs:
            raise SpecError([self._issue("has no location parameter", "E625")])
        kwargs[name] += shift
        return {"dist": dist, "kwargs": kwargs, "why": f"Location {shift:+g}."}

    def _issue(self, problem: str, code: str) -> Issue:
        message = f"the prior of {self.text}, {self.prior['dist']}, {problem}"
        fix = "List complete priors under prior_choice, or remove this prior from 'of'."
        return Issue(code, message, fix, column="of")


def prior_paths(spec: AnalysisSpec, patterns: Sequence[str]) -> Iterator[PriorPath]:
    """Find the priors that patterns name (``outcome.parameter.slot``, ``*`` for any part)."""
    content = spec.model_dump(mode="json", exclude_none=True)
    paths = [
        PriorPath(outcome, name, slot, prior)
        for outcome, part in content["outcomes"].items()
        for name, parameter in part["parameters"].items()
        for slot, prior in parameter["priors"].items()
    ]
    known = [path.text for path in paths]
    unknown = [p for p in patterns if not any(fnmatchcase(text, p) for text in known)]
    if unknown:
        message, column = "the base has no prior '{}'", "of"
        raise SpecError(
            Issue("E623", message.format(p), suggest_match(p, known), column=column)
            for p in unknown
        )
    for path in paths:
        if any(fnmatchcase(path.text, pattern) for pattern in patterns):
            yield path


@dataclass(frozen=True)
class GeneratorContext:
    """What variants are made from: the base spec, its design and all evidence."""

    spec: AnalysisSpec
    design: xr.DataTree
    evidence: xr.DataTree


class Generator(Frozen):
    """The keys of a rule in the file; every rule has a reason."""

    kind: ClassVar[str] = ""
    about: ClassVar[str] = ""
    why: str

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write the variants."""
        raise NotImplementedError

    def draft(
        self,
        name: str,
        partial: Mapping[str, Any],
        choices: Mapping[str, str],
        without: tuple[str, ...] = (),
    ) -> VariantDraft:
        """Write one variant of this rule."""
        return VariantDraft(name, partial, self.why, self.kind, choices, without, generated=True)

    def prior_draft(self, path: PriorPath, prior: Mapping[str, Any], label: str) -> VariantDraft:
        """Write the variant that replaces one prior."""
        why = f"{prior.get('why', '')} {self.why}".strip()
        partial = path.partial({**prior, "why": why})
        return self.draft(f"{path.text}: {label}", partial, {f"prior of {path.text}": label})


def _registered(cls: type[Generator], about: str) -> type[Generator]:
    """Name a generator by its class in snake case; `about` is one sentence."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")
    cls.kind, cls.about = name, about
    return cls


GENERATORS = Registry("generator", _registered, name="kind", code="E620")
generator = GENERATORS.entry


@generator("The scale of priors, by factors.")
class PriorScale(Generator):
    """``of`` names priors as outcome.parameter.slot (``*`` for any part); ``by`` lists factors."""

    of: Words
    by: tuple[Positive, ...]

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per prior and factor."""
        for path in prior_paths(context.spec, self.of):
            for factor in self.by:
                yield self.prior_draft(path, path.scaled(factor), f"scale × {factor:g}")


@generator("The location of priors, by shifts.")
class PriorLocation(Generator):
    """``of`` as in prior_scale; ``by`` lists what is added to the prior's location."""

    of: Words
    by: tuple[float, ...]

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per prior and shift."""
        for path in prior_paths(context.spec, self.of):
            for shift in self.by:
                label = f"location {shift:+g}".replace("-", "−")
                yield self.prior_draft(path, path.shifted(shift), label)


@generator("Priors replaced whole: other families, or published ones.")
class PriorChoice(Generator):
    """``among`` lists whole priors; ``library`` adds all priors of a published library."""

    of: Words
    among: tuple[dict[str, Any], ...] = ()
    library: str = ""

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per path and prior."""
        if self.library and self.library not in PRIOR_LIBRARIES:
            fix = suggest_match(self.library, list(PRIOR_LIBRARIES))
            message = f"unknown prior library '{self.library}'"
            raise SpecError([Issue("E622", message, fix, column="library")])
        published = PRIOR_LIBRARIES[self.library].priors if self.library else {}
        from_library = [
            {"library": self.library, "outcome": outcome, "comparison": comparison}
            for outcome, comparison in published
        ]
        for path in prior_paths(context.spec, self.of):
            for prior in (*self.among, *from_library):
                yield self.prior_draft(path, prior, _prior_label(prior))


@generator("One study, agent, condition or level of risk of bias left out at a time.")
class LeaveOneOut(Generator):
    """``by`` names one or more of study, agent, condition, risk_of_bias."""

    by: tuple[Literal["study", "agent", "condition", "risk_of_bias"], ...]

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per study, agent, condition or level among the base's rows."""
        for by in self.by:
            for label, column, values in _exclusions(context, by):
                name = f"without {by.replace('_', ' ')} {label}"
                yield self.draft(name, {"exclude": {column: values}}, {TRIALS: name})


@generator("Other curves of an outcome; the priors of their parameters are the file's.")
class Curves(Generator):
    """``among`` names curves (default: all); ``parameters`` holds those that the base lacks."""

    outcome: str
    among: Words = ()
    parameters: dict[str, dict[str, Any]] = {}
    options: dict[str, dict[str, Any]] = {}

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per curve; a missing prior is an error of that variant."""
        outcomes = context.spec.outcomes
        if self.outcome not in outcomes:
            fix = suggest_match(self.outcome, [*outcomes])
            message = f"unknown outcome '{self.outcome}'"
            raise SpecError([Issue("E626", message, fix, column="outcome")])
        for name in self.among or tuple(CURVES):
            if name == outcomes[self.outcome].curve:
                continue
            options = self.options.get(name, {})
            used = _parameter_names(name, options)
            parameters = {n: p for n, p in self.parameters.items() if n in used}
            part = {"curve": name, "curve_options": options, "parameters": parameters}
            yield self.draft(
                f"{self.outcome}: {name}",
                {"outcomes": {self.outcome: part}},
                {f"curve of {self.outcome}": name},
            )


@generator("The correlation within people of a crossover trial's arms.")
class WithinPersonCorrelation(Generator):
    """Beta priors with ``means`` and one ``sd``; a small one fixes the correlation."""

    means: tuple[Share, ...]
    sd: Positive

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per mean."""
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

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per value that differs from the base's."""
        content = context.spec.model_dump(mode="json", exclude_none=True)
        before = _value_at(content, self.key)
        for value in self.among:
            if value == before:
                continue
            label = str(value.get("name", "changed")) if isinstance(value, dict) else str(value)
            yield self.draft(f"{self.key} = {label}", _nested(self.key, value), {self.key: label})


@generator("Keys of the spec left out one at a time: bias models, correlations, other sources.")
class Without(Generator):
    """``keys`` are dotted."""

    keys: Words

    def drafts(self, context: GeneratorContext) -> Iterator[VariantDraft]:
        """Write one variant per key."""
        for key in self.keys:
            yield self.draft(f"without {key}", {}, {key: "left out"}, (key,))


def _prior_label(prior: Mapping[str, Any]) -> str:
    if prior.get("library"):
        parts = (prior["library"], prior.get("outcome", ""), prior.get("comparison", ""))
        return " ".join(str(part).replace("_", " ") for part in parts if part)
    arguments = ", ".join(f"{key} = {value}" for key, value in prior.get("kwargs", {}).items())
    return f"{prior.get('dist', 'a prior')}({arguments})"


def _parameter_names(curve_name: str, options: Mapping[str, Any]) -> set[str]:
    """Name a curve's parameters in every form that a spec may write."""
    curve = CURVES.get(curve_name)
    if curve is None:
        return set()
    names = {*curve.parameters, curve.indexed_parameter} - {""}
    if not any(curve.option_issues(options)):
        names |= set(curve.with_options(options).parameters)
    return names | {natural_name(name) for name in names}


def _exclusions(context: GeneratorContext, by: str) -> Iterator[tuple[str, str, list[str]]]:
    """Give the label, column and values of everything that can be left out."""
    labels = context.design["labels"]
    studies = dict.fromkeys(map(str, context.design["arms"].to_dataset()["study"].to_numpy()))
    if by == "study":
        for study in studies:
            yield study, "study", [study]
    elif by == CONDITION:
        for condition in map(str, labels[CONDITION].to_numpy()):
            yield condition, "condition_group", [condition]
    elif by == AGENT:
        for agent in map(str, labels[AGENT].to_numpy()):
            renamed = [old for old, new in context.spec.agents.items() if new == agent]
            yield agent, AGENT, [agent, *renamed]
    else:
        judged = overall_risk_of_bias(context.evidence)
        levels = {} if judged is None else judged.to_dict()
        for level in dict.fromkeys(levels.get(study, NOT_JUDGED) for study in studies):
            yield str(level).replace("_", " "), RISK_OF_BIAS_COLUMN, [str(level)]


def _value_at(content: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return None
        content = content[part]
    return content


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    return {head: _nested(rest, value) if rest else value}
