"""A prior of a spec, and what every part of a spec is: frozen, its words out of the catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from nmda_bayes.errors import nearest
from nmda_bayes.priors import FAMILIES
from nmda_bayes.published_priors import library_faults
from nmda_bayes.spec.shorthand import NAMES, with_library


def known(catalogue: Mapping[str, Any], noun: str) -> AfterValidator:
    """Ask that a word stands in a catalogue.

    Parameters
    ----------
    catalogue
        Parts by name.
    noun
        What a part of it is called.

    Returns
    -------
    AfterValidator
        Refuses any other word, and names the nearest.
    """

    def check(name: str) -> str:
        if name not in catalogue:
            raise PydanticCustomError(
                "unknown_part",
                "unknown {noun} '{name}'. {mend}",
                {"noun": noun, "name": name, "mend": nearest(name, list(catalogue))},
            )
        return name

    return AfterValidator(check)


def listed(catalogue: Mapping[str, Any]) -> Any:
    """Name a catalogue's words in the JSON schema, as they stand when the schema is asked for.

    Parameters
    ----------
    catalogue
        Parts by name.

    Returns
    -------
    Any
        A field's annotation.
    """

    def list_them(schema: dict[str, Any]) -> None:
        schema["enum"] = list(catalogue)

    return Field(json_schema_extra=list_them)


FamilyName = Annotated[str, known(FAMILIES, "distribution"), listed(FAMILIES)]


class Frozen(BaseModel):
    """A spec's part: nothing may be added to it or changed in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PriorSpec(Frozen):
    """A prior, as pymc-extras writes it, and its reason."""

    dist: FamilyName
    # Strict: the rules read the file's own content, where "2" is a word and not a number.
    kwargs: dict[str, Annotated[float, Field(strict=True)]]
    why: str = ""
    # A published prior by name: dist and kwargs are then filled in, and why says its source.
    library: str = ""
    outcome: str = ""
    comparison: str = ""

    @model_validator(mode="before")
    @classmethod
    def _look_up(cls, prior: Any) -> Any:
        found = with_library(prior)
        if isinstance(found, Mapping) and "library" in found and "dist" not in found:
            words = [str(found.get(name, "")) for name in NAMES]
            faults = list(library_faults(*words))
            text = "; ".join(f"{f.message}. {f.mend}" for f in faults)
            raise PydanticCustomError("library", "{text}", {"text": text or "no such prior"})
        return found
