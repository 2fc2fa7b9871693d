"""The keys of an outcome: measures, model, priors, times and biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Self, cast, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nmda_bayes.components.curve_set import CurveSet
from nmda_bayes.components.curves import CURVE_OPTIONS, CURVES, Curve
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS, parse_cutoff
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.time_courses import EDGES, TIME_COURSES, TimeCourse
from nmda_bayes.errors import suggest_match
from nmda_bayes.prior_library import library_issues, published_prior
from nmda_bayes.priors import FAMILIES

# Shorthand of a spec: published priors by name, and one entry for a list of parameters.

#: The keys that identify a published prior.
LIBRARY_KEYS = ("library", "outcome", "comparison")


def expand_shorthand(content: Any) -> Any:
    """Expand every shorthand of a spec's plain content."""
    if not isinstance(content, Mapping):
        return content
    content = _with_libraries(content)
    outcomes = content.get("outcomes")
    if not isinstance(outcomes, Mapping):
        return content
    expanded = {name: _with_members(outcome) for name, outcome in outcomes.items()}
    return {**content, "outcomes": expanded}


def resolve_library_prior(prior: Any) -> Any:
    """Fill in a published prior's family, arguments and citation, where its names are known."""
    if not isinstance(prior, Mapping) or "dist" in prior or "kwargs" in prior:
        return prior
    library, outcome, comparison = (prior.get(name, "") for name in LIBRARY_KEYS)
    if not all(isinstance(word, str) for word in (library, outcome, comparison)) or not library:
        return prior
    if any(library_issues(library, outcome, comparison)):
        return prior
    published = published_prior(library, outcome=outcome, comparison=comparison)
    reason = prior.get("why", "")
    citation = published["why"]
    why = f"{reason} {citation}" if isinstance(reason, str) and reason else citation
    return {**prior, **published, "why": why}


def _with_libraries(content: Mapping[str, Any]) -> dict[str, Any]:
    expanded = {
        key: _with_libraries(value) if isinstance(value, Mapping) else value
        for key, value in content.items()
    }
    return dict(resolve_library_prior(expanded)) if "library" in expanded else expanded


def _with_members(outcome: Any) -> Any:
    """Give each member of a list of parameters, a curve's or a course's, the list's entry."""
    if not isinstance(outcome, Mapping):
        return outcome
    parameters, curves = outcome.get("parameters"), outcome.get("curves")
    if not isinstance(parameters, Mapping):
        return outcome
    course = TIME_COURSES.get(str(outcome.get("course", "constant")))
    parts: list[tuple[TimeCourse | Curve | None, Any]] = [(course, outcome.get("course_options"))]
    for part in (outcome, *(curves.values() if isinstance(curves, Mapping) else ())):
        if isinstance(part, Mapping):
            parts.append((CURVES.get(str(part.get("curve"))), part.get("curve_options")))
    lists: dict[str, list[str]] = {}
    for component, written in parts:
        options = {} if written is None else written
        if component is None or not component.indexed_parameter or not isinstance(options, Mapping):
            continue
        if not any(component.option_issues(options)):
            names = component.with_options(options).parameters
            lists.setdefault(component.indexed_parameter, []).extend(names)
    for numbered, members in lists.items():
        parameters = _members(numbered, list(dict.fromkeys(members)), parameters)
    return {**outcome, "parameters": parameters}


def _members(
    numbered: str, names: Sequence[str], parameters: Mapping[str, Any]
) -> Mapping[str, Any]:
    numbers = [name.removeprefix(numbered) for name in names if name.startswith(f"{numbered}_")]
    expanded = dict(parameters)
    for short in {numbered, numbered.removeprefix("log_")}:
        if short in expanded:
            entry = expanded.pop(short)
            expanded = {short + number: entry for number in numbers} | expanded
    return expanded


#: What a study's baseline is: the mean of its arms' expected levels, or the level of an arm without
#: an effect.
MEAN_OF_ARMS, REFERENCE_ARM = "mean_of_arms", "reference_arm"
#: The time rule that keeps every time point of an arm.
ALL_TIMES = "all"
#: Prefix of the variables of biases; those of selection are numbered by their interval.
PREFIX = "bias_"
SMALL_STUDY, UNBLINDING, SPREAD = (
    f"{PREFIX}{name}" for name in ("small_study", "unblinding", "spread")
)
PUBLISHED = f"{PREFIX}published_"


def known(registry: Mapping[str, Any], noun: str) -> AfterValidator:
    """A validator: the name is in a registry."""

    def check(name: str) -> str:
        if name not in registry:
            raise PydanticCustomError(
                "unknown_part",
                "unknown {noun} '{name}'. {hint}",
                {"noun": noun, "name": name, "hint": suggest_match(name, list(registry))},
            )
        return name

    return AfterValidator(check)


def listed(registry: Mapping[str, Any]) -> Any:
    """A field whose JSON schema lists the current names of a registry."""

    def list_names(schema: dict[str, Any]) -> None:
        schema["enum"] = list(registry)

    return Field(json_schema_extra=list_names)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_words(value: Any) -> Any:
    """Read a single word as a list of one, and numbers as words."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(v) if isinstance(v, int | float) else v for v in values)


def _check_cutoff(text: str) -> str:
    if parse_cutoff(text) is None:
        message = '\'{text}\' is not a cut-off: write for instance "50 %" or "20 points"'
        raise PydanticCustomError("cutoff", message, {"text": text})
    return text


CourseName = Annotated[str, known(TIME_COURSES, "course"), listed(TIME_COURSES)]
CurveName = Annotated[str, known(CURVES, "curve"), listed(CURVES)]
ExposureName = Annotated[str, known(EXPOSURES, "exposure"), listed(EXPOSURES)]
FamilyName = Annotated[str, known(FAMILIES, "distribution"), listed(FAMILIES)]
HeterogeneityName = Annotated[str, known(HETEROGENEITIES, "heterogeneity"), listed(HETEROGENEITIES)]
LikelihoodName = Annotated[str, known(LIKELIHOODS, "likelihood"), listed(LIKELIHOODS)]
PoolingName = Annotated[str, known(POOLINGS, "pooling"), listed(POOLINGS)]
#: Outcome names prefix variables (``name::emax``) and name groups of the stored fit.
OutcomeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]
CutoffText = Annotated[str, AfterValidator(_check_cutoff)]
Probability = Annotated[float, Field(gt=0, lt=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
_VALUE = Annotated[Any, AfterValidator(_as_tuple)]
_LIST = {"type": "array", "items": {"type": "number"}}
#: Knots, powers and the like: fixed settings of a curve. The curve checks them (`spec.rules`).
CurveOptions = Annotated[
    dict[str, Annotated[_VALUE, WithJsonSchema({"anyOf": [{"type": "number"}, _LIST]})]],
    Field(json_schema_extra={"propertyNames": {"enum": list(CURVE_OPTIONS)}}),
]
CourseOptions = Annotated[
    dict[str, Annotated[_VALUE, WithJsonSchema(_LIST)]],
    Field(json_schema_extra={"propertyNames": {"enum": [EDGES]}}),
]


class Frozen(BaseModel):
    """A part of a spec, immutable and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read_partially(cls, content: Any) -> Self | None:
        """Read what can be read of invalid content; None where that is nothing."""
        return None


class Section(Frozen):
    """A part whose valid keys can be checked while another of its keys is invalid."""

    @classmethod
    def read_partially(cls, content: Any) -> Self:
        """Read the valid keys; an invalid one is empty, or has its default."""
        content = content if isinstance(content, Mapping) else {}
        values = {}
        for name, field in cls.model_fields.items():
            if name in content:
                value = _read_field(cls, name, content[name])
            elif field.is_required():
                value = _empty(field.annotation)
            else:
                continue
            if value is not None:
                values[name] = value
        return cast(Self, cls.model_construct(**values))


def _read_field(model: type[Frozen], name: str, content: Any) -> Any:
    try:
        return _adapter(model, name).validate_python(content)
    except ValidationError:
        kind = model.model_fields[name].annotation
    parts = [part for part in (kind, *get_args(kind)) if _is_part(part)]
    if not parts:
        return _empty(kind)
    if get_origin(kind) is not dict:
        return _read_part(parts[0], content)
    items = content.items() if isinstance(content, Mapping) else ()
    read = {str(key): _read_part(parts[0], value) for key, value in items}
    return {key: value for key, value in read.items() if value is not None}


def _read_part(part: Any, content: Any) -> Any:
    try:
        return part.model_validate(content)
    except ValidationError:
        return part.read_partially(content)


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Frozen)


@cache
def _adapter(model: type[Frozen], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]


def _empty(kind: Any) -> Any:
    """The empty text or mapping of a type; None, which keeps the default, for others."""
    return {str: "", dict: {}}.get(get_origin(kind) or kind)


class PriorSpec(Frozen):
    """A prior, as pymc-extras writes it, and its reason."""

    dist: FamilyName
    # Strict: "2" in quotes is a word and not a number.
    kwargs: dict[str, Annotated[float, Field(strict=True)]]
    why: str = ""
    # A published prior by name: dist and kwargs are then filled in, and why cites its source.
    library: str = ""
    outcome: str = ""
    comparison: str = ""

    @model_validator(mode="before")
    @classmethod
    def _look_up(cls, prior: Any) -> Any:
        prior = resolve_library_prior(prior)
        if isinstance(prior, Mapping) and "library" in prior and "dist" not in prior:
            issues = list(library_issues(*(str(prior.get(name, "")) for name in LIBRARY_KEYS)))
            text = "; ".join(f"{f.message}. {f.hint}" for f in issues)
            raise PydanticCustomError("library", "{text}", {"text": text or "no such prior"})
        return prior

    @classmethod
    def read_partially(cls, content: Any) -> Self:
        """A prior without a family, which no rule checks."""
        return cast(Self, cls.model_construct(dist="", kwargs={}))


class CovariateSpec(Frozen):
    """What a curve parameter is regressed on: one value per study, centred and scaled as stated."""

    prior: PriorSpec
    # One source: a column of the evidence (by default that of the covariate's name), a level of a
    # column (1 for that level, 0 for others), or the mean of a measure over the study's arms.
    column: str = ""
    level: str = ""
    measure: str = ""
    centre: float | None = None
    unit: PositiveNumber | None = None
    why: str = ""

    def text(self, name: str) -> str:
        """Write what the coefficient multiplies, for instance ``(year − 2010) / 10``."""
        if self.level:
            name = f"[{self.column or name} is {self.level}]"
        moved = f"({name} − {self.origin:g})" if self.origin else name
        return f"{moved} / {self.step:g}" if self.step != 1 else moved

    @property
    def origin(self) -> float:
        """The value at which the covariate has no effect; 0 for a level."""
        return 0.0 if self.centre is None else self.centre

    @property
    def step(self) -> float:
        """The difference in the covariate that the coefficient is per."""
        return 1.0 if self.unit is None else self.unit


class ParameterSpec(Section):
    """How one parameter is shared, and the priors that this needs."""

    pooling: PoolingName
    priors: dict[str, PriorSpec]
    covariates: dict[OutcomeName, CovariateSpec] = {}
    # Degrees of freedom of heavy tails, where they are fixed and have no prior.
    nu: PositiveNumber | None = None
    # The column of the evidence that defines the strata of a heterogeneity, or the clusters.
    strata_column: str = ""


class ContrastsSpec(Frozen):
    """Trials that report only a difference between arms, combined with those that report arms."""

    effects: Words
    measures: Words = ()
    why: str = ""


class RespondersSpec(Frozen):
    """Trials that report responders only: the cut-off of each measure, by its name."""

    measures: Annotated[dict[str, CutoffText], Field(min_length=1)]
    why: str = ""


class AgentCurve(Frozen):
    """The curve of one agent, where it differs from the others'; a word alone is its name."""

    curve: CurveName
    curve_options: CurveOptions = {}
    why: str = ""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, content: Any) -> Any:
        return {"curve": content} if isinstance(content, str) else content

    @classmethod
    def read_partially(cls, content: Any) -> Self:
        """A curve without a name, so that the outcome's parameters are unknown."""
        return cast(Self, cls.model_construct(curve=""))


class TimeSpec(Frozen):
    """Which of a study's time points enters: one for each outcome, or all of them."""

    rule: Literal["nearest_end_of_treatment", "earliest", "latest", "all"]
    at_most_hours: Annotated[float, Field(ge=0)] | None = None
    missing_time: Literal["review_window", "leave_out"] = "leave_out"
    why: str = ""


class SmallStudySpec(Frozen):
    """The shift of an active arm per unit of its contrast's standard error."""

    prior: PriorSpec
    why: str = ""


class RiskOfBiasSpec(Frozen):
    """The shift of the active arms of a trial by its risk-of-bias judgement."""

    # One source: a column with one judgement per study, or a domain of the evidence's table of
    # judgements, with the scopes that count in addition to those for every outcome.
    column: str = ""
    domain: str = ""
    scope: tuple[str, ...] = ()
    priors: Annotated[dict[str, PriorSpec], Field(min_length=1)]
    spread: PriorSpec | None = None
    why: str = ""


class SelectionSpec(Frozen):
    """Which trials are published, by steps of their one-sided p-value."""

    steps: Annotated[tuple[float, ...], Field(min_length=1)]
    # One for each interval after the first, whose probability is 1.
    priors: tuple[PriorSpec, ...]
    relative_to: Literal["first", "previous"] = "first"
    # Which of a study's contrasts with its control decided about publication.
    contrast: Literal["highest_dose", ""] = ""
    why: str = ""


class PowerSpec(Frozen):
    """How much trials count, by a column of the evidence."""

    column: str
    weights: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    why: str = ""


class UnblindingSpec(Frozen):
    """How far an arm's benefit is inflated by the harm that unblinds its participants."""

    harm: str
    prior: PriorSpec
    why: str = ""


class BiasSpec(Section):
    """The biases that an outcome allows for."""

    small_study: SmallStudySpec | None = None
    risk_of_bias: RiskOfBiasSpec | None = None
    unblinding: UnblindingSpec | None = None
    selection: SelectionSpec | None = None
    power: PowerSpec | None = None

    @property
    def given(self) -> list[str]:
        """The keys of the biases that are allowed for."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def priors(self) -> dict[str, PriorSpec]:
        """Every prior, by the name of its variable."""
        judged, selection = self.risk_of_bias, self.selection
        by_judgement = judged.priors if judged is not None else {}
        by_interval = selection.priors if selection is not None else ()
        priors = {
            SMALL_STUDY: self.small_study.prior if self.small_study is not None else None,
            **{PREFIX + judgement: prior for judgement, prior in by_judgement.items()},
            SPREAD: judged.spread if judged is not None else None,
            UNBLINDING: self.unblinding.prior if self.unblinding is not None else None,
            **{f"{PUBLISHED}{number}": p for number, p in enumerate(by_interval, start=2)},
        }
        return {name: prior for name, prior in priors.items() if prior is not None}


class OutcomeSpec(Section):
    """One outcome: its measures, its model, and the direction that is better."""

    measures: Words = ()
    likelihood: LikelihoodName
    curve: CurveName
    curve_options: CurveOptions = {}
    # By agent, where its curve differs; `curve` is that of all others.
    curves: dict[str, AgentCurve] = {}
    # Fixed values in place of priors, for parameters of the likelihood.
    likelihood_options: dict[str, Annotated[float, Field(strict=True)]] = {}
    heterogeneity: HeterogeneityName
    # What the baseline is; where it is not written, the mean of the arms unless it is pooled.
    baseline: Literal["mean_of_arms", "reference_arm"] | None = None
    exposure: ExposureName = "dose"
    parameters: dict[str, ParameterSpec]
    label: str = ""
    unit: str = ""
    better: Literal["lower", "higher", ""] = ""
    scale: tuple[float, float] | None = None
    time: TimeSpec | None = None
    course: CourseName = "constant"
    course_options: CourseOptions = {}
    contrasts: ContrastsSpec | None = None
    responders: RespondersSpec | None = None
    bias: BiasSpec = BiasSpec()
    # Consistency dropped: for every comparison, or for that of two agents (node split).
    effects: Literal["consistent", "unrelated"] = "consistent"
    split: tuple[str, str] | None = None
    why: str = ""

    @property
    def shape(self) -> CurveSet:
        """The outcome's curves, their options filled in."""
        named = {
            agent: CURVES[part.curve].with_options(part.curve_options)
            for agent, part in self.curves.items()
        }
        return CurveSet(CURVES[self.curve].with_options(self.curve_options), named)

    @property
    def baseline_pooled(self) -> bool:
        """Whether baselines are pooled over studies, so that levels of arms are compared."""
        baseline = self.parameters.get("baseline")
        return baseline is not None and baseline.pooling != "independent"

    @property
    def baseline_is_mean(self) -> bool:
        """Whether a baseline is the mean of a study's arms, not the level without an effect."""
        if self.baseline is not None:
            return self.baseline == MEAN_OF_ARMS
        return not self.baseline_pooled

    @property
    def over_time(self) -> TimeCourse:
        """The time course of its effects, its options filled in."""
        return TIME_COURSES[self.course].with_options(self.course_options)

    @property
    def has_repeated_measures(self) -> bool:
        """Whether an arm may enter at several hours."""
        return self.time is not None and self.time.rule == ALL_TIMES

    @property
    def is_time_varying(self) -> bool:
        """Whether the effect depends on the hour of a row."""
        return bool(self.over_time.clocks) or self.has_repeated_measures
