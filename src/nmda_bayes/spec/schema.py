"""What an analysis is: frozen, complete, and with every prior written down.

The catalogues of parts name the choices here, so that a new part is at once a legal word of the
spec and an entry of its JSON schema.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.priors import FAMILIES
from nmda_bayes.spec.rules import spec_faults


def _known(catalogue: Mapping[str, Any], noun: str) -> AfterValidator:
    """Ask that a word stands in a catalogue."""

    def check(name: str) -> str:
        if name not in catalogue:
            raise PydanticCustomError(
                "unknown_part",
                "unknown {noun} '{name}'. {mend}",
                {"noun": noun, "name": name, "mend": nearest(name, list(catalogue))},
            )
        return name

    return AfterValidator(check)


def _listed(catalogue: Mapping[str, Any]) -> Any:
    """Name a catalogue's words in the JSON schema, as they stand when the schema is asked for."""

    def list_them(schema: dict[str, Any]) -> None:
        schema["enum"] = list(catalogue)

    return Field(json_schema_extra=list_them)


CurveName = Annotated[str, _known(CURVES, "curve"), _listed(CURVES)]
ExposureName = Annotated[str, _known(EXPOSURES, "exposure"), _listed(EXPOSURES)]
FamilyName = Annotated[str, _known(FAMILIES, "distribution"), _listed(FAMILIES)]
HeterogeneityName = Annotated[
    str, _known(HETEROGENEITIES, "heterogeneity"), _listed(HETEROGENEITIES)
]
LikelihoodName = Annotated[str, _known(LIKELIHOODS, "likelihood"), _listed(LIKELIHOODS)]
PoolingName = Annotated[str, _known(POOLINGS, "pooling"), _listed(POOLINGS)]
Probability = Annotated[float, Field(gt=0, lt=1)]


def _as_words(value: Any) -> Any:
    """Take one word for a list of one, and numbers as they are written."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(v) if isinstance(v, int | float) else v for v in values)


#: Outcome names prefix variables (``name::emax``) and name groups of the stored fit.
OutcomeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]


class Frozen(BaseModel):
    """A spec's part: nothing may be added to it or changed in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PriorSpec(Frozen):
    """A prior, as pymc-extras writes it, and its reason."""

    dist: FamilyName
    # Strict: the rules read the file's own content, where "2" is a word and not a number.
    kwargs: dict[str, Annotated[float, Field(strict=True)]]
    why: str = ""


class ParameterSpec(Frozen):
    """How one parameter is shared, and the priors that this needs."""

    pooling: PoolingName
    priors: dict[str, PriorSpec]


class TimeSpec(Frozen):
    """Which of a study's time points enters: one for each outcome."""

    rule: Literal["nearest_end_of_treatment", "earliest", "latest"]
    at_most_hours: Annotated[float, Field(ge=0)] | None = None
    undated: Literal["window_of_the_end", "leave_out"] = "leave_out"
    why: str = ""


class OutcomeSpec(Frozen):
    """One outcome of the arms: what is read, how it is modelled, which way is better."""

    measures: Words = ()
    likelihood: LikelihoodName
    curve: CurveName
    heterogeneity: HeterogeneityName
    exposure: ExposureName = "dose"
    parameters: dict[str, ParameterSpec]
    label: str = ""
    unit: str = ""
    better: Literal["lower", "higher", ""] = ""
    scale: tuple[float, float] | None = None
    time: TimeSpec | None = None
    why: str = ""


class CorrelationPrior(Frozen):
    """The LKJ prior of a correlation between outcomes."""

    dist: Literal["LKJCorr"]
    kwargs: dict[Literal["eta"], Annotated[float, Field(gt=0)]]
    why: str = ""


class CorrelationsSpec(Frozen):
    """What may be correlated between outcomes."""

    heterogeneity: CorrelationPrior | None = None


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

    method: Literal["nuts"] = "nuts"
    draws: Annotated[int, Field(ge=1)] = 1000
    tune: Annotated[int, Field(ge=1)] = 1000
    chains: Annotated[int, Field(ge=1)] = 4
    seed: Annotated[int, Field(ge=0)]
    target_accept: Probability = 0.95


class AnalysisSpec(Frozen):
    """A whole analysis. Read one with `from_toml`, which reports every fault at once."""

    title: str
    question: str = ""
    evidence: str = "nmda"
    reference: str = "placebo"
    disconnected: Literal["refuse", "allow"] = "refuse"
    select: dict[str, Words] = {}
    agents: dict[str, str] = {}
    choices: dict[str, str] = {}
    outcomes: Annotated[dict[OutcomeName, OutcomeSpec], Field(min_length=1)]
    correlations: CorrelationsSpec = CorrelationsSpec()
    window: WindowSpec | None = None
    sampling: SamplingSpec

    @property
    def alone(self) -> bool:
        """True where there is a single outcome, whose variables need no prefix."""
        return len(self.outcomes) == 1

    @model_validator(mode="after")
    def _parts_agree(self) -> AnalysisSpec:
        faults = list(spec_faults(self.model_dump()))
        if faults:
            text = "\n".join(map(str, faults))
            raise PydanticCustomError("rules", "{text}", {"text": text})
        return self

    @classmethod
    def from_toml(cls, path: str | PathLike[str]) -> AnalysisSpec:
        """Read a spec from a TOML file.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        AnalysisSpec
            The validated spec.

        Raises
        ------
        SpecError
            With every fault found: file, key and mend.
        """
        file = str(path)
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except OSError as error:
            mend = "Check the path; the shipped specs stand in models/."
            reason = error.strerror or error
            raise SpecError([Fault(f"cannot be read: {reason}", mend, file=file)]) from None
        except UnicodeDecodeError:
            raise SpecError([Fault("is not UTF-8 text", "Save it as UTF-8.", file=file)]) from None
        except tomllib.TOMLDecodeError as error:
            mend = "Mend the TOML there."
            raise SpecError([Fault(f"is not TOML: {error}", mend, file=file)]) from None
        return cls.from_dict(content, file=file)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, file: str = "") -> AnalysisSpec:
        """Make a spec from plain values, as TOML gives them.

        Parameters
        ----------
        content
            Nested mappings of plain values.
        file
            Where they came from, for messages.

        Returns
        -------
        AnalysisSpec
            The validated spec.

        Raises
        ------
        SpecError
            With every fault found: key and mend.
        """
        try:
            spec = cls.model_validate(content)
        except ValidationError as error:
            located = (_fault(cls, e) for e in error.errors() if e["type"] != "rules")
            faults = [*located, *spec_faults(content)]
            raise SpecError(replace(fault, file=file) for fault in faults) from None
        return spec

    def to_json(self) -> str:
        """Write the spec as JSON, complete enough to make it again with `from_dict`.

        Returns
        -------
        str
            The spec's content.
        """
        return self.model_dump_json(exclude_defaults=False)


def _fault(model: type[BaseModel], error: Any) -> Fault:
    """Turn one of pydantic's errors into a located fault."""
    key = ".".join(str(part) for part in error["loc"])
    kind, name = error["type"], str(error["loc"][-1]) if error["loc"] else ""
    if kind == "extra_forbidden":
        fields = _fields_at(model, error["loc"][:-1])
        return Fault(f"unknown key '{name}'", nearest(name, fields), column=key)
    if kind == "missing":
        return Fault(f"'{name}' is missing", f"Write {name} = ...", column=key)
    return Fault(str(error["msg"]), column=key)


def _fields_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """Name the keys that a place of the spec knows, following annotations down."""
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
        inner = [a for a in get_args(model) if isinstance(a, type) and issubclass(a, BaseModel)]
        if inner:
            model = inner[-1]
    return list(getattr(model, "model_fields", {}))
