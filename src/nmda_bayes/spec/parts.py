"""The parts of a spec: frozen, and with every prior written down.

The catalogues name the choices here, so that a new part is at once a legal word of the spec and an
entry of its JSON schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nmda_bayes.components.curves import CURVES, Shapes
from nmda_bayes.components.curves.options import OPTIONS
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import cutoff_of
from nmda_bayes.components.time import COURSES, Course
from nmda_bayes.spec.bias import BiasSpec
from nmda_bayes.spec.prior import Frozen, PriorSpec, known, listed
from nmda_bayes.spec.time import CourseName, CourseOptions, RepeatedSpec, TimeSpec


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


CurveName = Annotated[str, known(CURVES, "curve"), listed(CURVES)]
ExposureName = Annotated[str, known(EXPOSURES, "exposure"), listed(EXPOSURES)]
HeterogeneityName = Annotated[str, known(HETEROGENEITIES, "heterogeneity"), listed(HETEROGENEITIES)]
LikelihoodName = Annotated[str, known(LIKELIHOODS, "likelihood"), listed(LIKELIHOODS)]
PoolingName = Annotated[str, known(POOLINGS, "pooling"), listed(POOLINGS)]
_NUMBERS = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
#: Knots, powers and the like: what a curve asks for that is known beforehand and has no prior. The
#: curve knows what is sound (`part_rules`); a second opinion here would name each fault twice.
CurveOptions = Annotated[
    dict[str, Annotated[Any, AfterValidator(_frozen), WithJsonSchema(_NUMBERS)]],
    Field(json_schema_extra={"propertyNames": {"enum": list(OPTIONS)}}),
]
Probability = Annotated[float, Field(gt=0, lt=1)]


def _as_words(value: Any) -> Any:
    """Take one word for a list of one, and numbers as they are written."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(v) if isinstance(v, int | float) else v for v in values)


#: Outcome names prefix variables (``name::emax``) and name groups of the stored fit.
OutcomeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]


def _a_cutoff(text: str) -> str:
    if cutoff_of(text) is None:
        message = '\'{text}\' is no cut-off: write for instance "50 %" or "20 points"'
        raise PydanticCustomError("cutoff", message, {"text": text})
    return text


CutoffText = Annotated[str, AfterValidator(_a_cutoff)]


class CovariateSpec(Frozen):
    """What a curve parameter is regressed on, one value a study; where it stands is stated."""

    prior: PriorSpec
    # One source: a column of the evidence (by default of the covariate's own name), one word of a
    # column, which is then 1 and all others 0, or the mean of a measure over the study's arms.
    column: str = ""
    level: str = ""
    measure: str = ""
    centre: float | None = None
    unit: Annotated[float, Field(gt=0)] | None = None
    why: str = ""

    def text(self, name: str) -> str:
        """Write what the coefficient multiplies.

        Parameters
        ----------
        name
            The covariate's name.

        Returns
        -------
        str
            For instance ``(year − 2010) / 10``.
        """
        if self.level:
            name = f"[{self.column or name} is {self.level}]"
        moved = f"({name} − {self.origin:g})" if self.origin else name
        return f"{moved} / {self.step:g}" if self.step != 1 else moved

    @property
    def origin(self) -> float:
        """Where the parameter is what the fit says; 0, the other words, for a level."""
        return 0.0 if self.centre is None else self.centre

    @property
    def step(self) -> float:
        """What the coefficient is per."""
        return 1.0 if self.unit is None else self.unit


class ParameterSpec(Frozen):
    """How one parameter is shared, and the priors that this needs."""

    pooling: PoolingName
    priors: dict[str, PriorSpec]
    covariates: dict[OutcomeName, CovariateSpec] = {}
    # Degrees of freedom of heavy tails, where they are declared and have no prior.
    nu: Annotated[float, Field(gt=0)] | None = None
    # The column of the evidence whose values are the strata of a heterogeneity.
    by: str = ""


class ContrastsSpec(Frozen):
    """Trials that print only a difference between arms, beside those that report the arms."""

    effects: Words
    measures: Words = ()
    why: str = ""


class RespondersSpec(Frozen):
    """Trials that count responders only: what counts as one, by the measure's name."""

    measures: Annotated[dict[str, CutoffText], Field(min_length=1)]
    why: str = ""


class AgentCurve(Frozen):
    """The curve of one agent, where it is not the others'; a word alone is its name."""

    curve: CurveName
    curve_options: CurveOptions = {}
    why: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, content: Any) -> Any:
        return {"curve": content} if isinstance(content, str) else content


class OutcomeSpec(Frozen):
    """One outcome of the arms: what is read, how it is modelled, which way is better."""

    measures: Words = ()
    likelihood: LikelihoodName
    curve: CurveName
    curve_options: CurveOptions = {}
    # By agent, where its curve is another; `curve` is that of the rest.
    curves: dict[str, AgentCurve] = {}
    # Numbers in place of priors, for parameters of the likelihood that are declared, not learned.
    likelihood_options: dict[str, Annotated[float, Field(strict=True)]] = {}
    heterogeneity: HeterogeneityName
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
    # Consistency dropped, for every comparison or for the one of two agents (design/splitting.py).
    effects: Literal["consistent", "unrelated"] = "consistent"
    split: tuple[str, str] | None = None
    why: str = ""

    @property
    def shape(self) -> Shapes:
        """The outcome's curves, their options filled in."""
        named = {a: CURVES[one.curve].given(one.curve_options) for a, one in self.curves.items()}
        return Shapes(CURVES[self.curve].given(self.curve_options), named)

    @property
    def over_time(self) -> Course:
        """The time course of its effects, its options filled in."""
        return COURSES[self.course].given(self.course_options)


class CrossoverSpec(Frozen):
    """How trials enter that put the same people in every arm."""

    periods: Literal["all", "first"]
    within_person_correlation: PriorSpec | None = None
    as_parallel: Words = ()
    why: str = ""


class DesignsSpec(Frozen):
    """How designs other than parallel arms enter."""

    crossover: CrossoverSpec | None = None
    repeated: RepeatedSpec | None = None


class CorrelationPrior(Frozen):
    """An LKJ prior of correlations."""

    dist: Literal["LKJCorr"]
    kwargs: dict[Literal["eta"], Annotated[float, Field(gt=0)]]
    why: str = ""


class AgentCorrelation(CorrelationPrior):
    """How what sets an agent apart in one parameter goes with what does in others."""

    # Each as outcome.parameter.
    of: Words


class ErrorCorrelation(Frozen):
    """How sampling errors go together between outcomes that are measured in the same people."""

    of: Words
    # One of: a number, a prior on (0, 1), a column of the evidence with a number for each study.
    correlation: Annotated[float, Field(gt=-1, lt=1, strict=True)] | None = None
    prior: PriorSpec | None = None
    column: str = ""
    why: str = ""


class CorrelationsSpec(Frozen):
    """What may be correlated: effects of arms and errors between outcomes, agents' effects."""

    heterogeneity: CorrelationPrior | None = None
    agent: AgentCorrelation | None = None
    errors: ErrorCorrelation | None = None


class WindowSpec(Frozen):
    """The therapeutic window that the report asks for."""

    benefit: str
    harm: str
    benefit_at_least: Annotated[float, Field(gt=0)]
    risk_at_most: Probability
    baseline_risk: Probability
    why: str = ""


class SamplingSpec(Frozen):
    """How the posterior is computed."""

    method: Literal["nuts", "exact", "auto"] = "nuts"
    draws: Annotated[int, Field(ge=1)] = 1000
    tune: Annotated[int, Field(ge=1)] = 1000
    chains: Annotated[int, Field(ge=1)] = 4
    seed: Annotated[int, Field(ge=0)]
    target_accept: Probability = 0.95
