"""What an analysis is: frozen, complete, and with every prior written down."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.spec.kinetics import PharmacokineticsSpec
from nmda_bayes.spec.parts import (
    CorrelationsSpec,
    DesignsSpec,
    OutcomeName,
    OutcomeSpec,
    SamplingSpec,
    WindowSpec,
    Words,
)
from nmda_bayes.spec.prior import Frozen
from nmda_bayes.spec.rules import spec_faults
from nmda_bayes.spec.shorthand import written_out


class AnalysisSpec(Frozen):
    """A whole analysis. Read one with `from_toml`, which reports every fault at once."""

    title: str
    question: str = ""
    evidence: str = "nmda"
    reference: str = "placebo"
    disconnected: Literal["refuse", "allow"] = "refuse"
    select: dict[str, Words] = {}
    exclude: dict[str, Words] = {}
    agents: dict[str, str] = {}
    classes: dict[str, str] = {}
    choices: dict[str, str] = {}
    outcomes: Annotated[dict[OutcomeName, OutcomeSpec], Field(min_length=1)]
    designs: DesignsSpec = DesignsSpec()
    correlations: CorrelationsSpec = CorrelationsSpec()
    pharmacokinetics: PharmacokineticsSpec | None = None
    window: WindowSpec | None = None
    sampling: SamplingSpec

    @property
    def alone(self) -> bool:
        """True where there is a single outcome, whose variables need no prefix."""
        return len(self.outcomes) == 1

    @model_validator(mode="before")
    @classmethod
    def _write_out(cls, content: Any) -> Any:
        return written_out(content)

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
            faults = [*located, *spec_faults(written_out(content))]
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
