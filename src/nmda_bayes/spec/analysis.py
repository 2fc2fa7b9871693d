"""A whole analysis as data: its outcomes, designs, correlations, window and sampler settings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from nmda_bayes.errors import CODES, Issue, SpecError, suggest_match
from nmda_bayes.registry import shipped_analyses
from nmda_bayes.spec.kinetics import PharmacokineticsSpec, pk_spec_issues
from nmda_bayes.spec.outcome import (
    Frozen,
    OutcomeName,
    OutcomeSpec,
    PositiveNumber,
    PriorSpec,
    Probability,
    Section,
    Words,
    expand_shorthand,
)
from nmda_bayes.spec.rules import spec_issues

#: pydantic's kinds of error that have a code of their own.
CODES_OF = {
    "extra_forbidden": "E301",
    "missing": "E302",
    "unknown_part": "E304",
    "library": "E307",
}


#: A spec is nested less deeply, and smaller; reading and checking much deeper content would fail.
MAX_DEPTH = 40
#: The dots before a value in a line; an ellipsis of a text may have a few.
MAX_DOTS = 200
MAX_BYTES = 2_000_000


def read_toml(
    path: str | PathLike[str], hint: str, codes: tuple[str, str, str] = ("E300", "E305", "E306")
) -> dict[str, Any]:
    """Read the plain content of a TOML file.

    ``hint`` is for a file that cannot be read; ``codes`` are those of a file that cannot be read,
    is not text, is not TOML.
    """
    file = str(path)
    unread, not_text, invalid = codes
    try:
        raw = Path(path).read_bytes() if Path(path).stat().st_size <= MAX_BYTES else None
        text = None if raw is None else raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            issue = Issue(not_text, "is not UTF-8 text", "Save it as UTF-8.", file=file)
        else:
            reason = getattr(error, "strerror", None) or error
            issue = Issue(unread, f"cannot be read: {reason}", hint, file=file)
        raise SpecError([issue]) from None
    if text is None:
        message, hint = f"is larger than {MAX_BYTES // 1_000_000} MB", "Give the file of a spec."
        raise SpecError([Issue(invalid, message, hint, file=file)])
    lines = text.splitlines() or [""]
    longest = 1 + max(range(len(lines)), key=lambda k: len(lines[k]))
    row: int | None = longest
    try:
        # The parser takes seconds for a key of thousands of parts.
        if any(line.partition("=")[0].count(".") > MAX_DOTS for line in lines):
            raise RecursionError
        content = tomllib.loads(text)
        if _depth(content) <= MAX_DEPTH:
            return content
        reason = f"its tables or lists are nested more than {MAX_DEPTH} deep"
    except tomllib.TOMLDecodeError as error:
        reason, row = str(error), None
    except RecursionError:
        reason = "its tables or lists are nested too deeply"
    except ValueError as error:
        reason = str(error).partition(";")[0]
    hint = "Correct the TOML at that position."
    raise SpecError([Issue(invalid, f"is not valid TOML: {reason}", hint, file=file, row=row)])


def _depth(content: Any) -> int:
    """How deeply plain content is nested, without recursion."""
    depth, level = 0, [content]
    while level and depth <= MAX_DEPTH:
        inner = [part.values() if isinstance(part, dict) else part for part in level]
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        depth += 1
    return depth


class CrossoverSpec(Frozen):
    """How crossover trials enter, in which the same people are in every arm."""

    periods: Literal["all", "first"]
    within_person_correlation: PriorSpec | None = None
    as_parallel: Words = ()
    why: str = ""


class RepeatedSpec(Frozen):
    """How repeated measures of an arm enter, which are of the same people."""

    # A prior, or a fixed number from 0 to below 1.
    within_arm_correlation: PriorSpec | Annotated[float, Field(ge=0, lt=1)] | None = None
    as_independent: tuple[str, ...] = ()
    why: str = ""


class DesignsSpec(Section):
    """How designs other than parallel arms enter."""

    crossover: CrossoverSpec | None = None
    repeated: RepeatedSpec | None = None


class CorrelationPrior(Frozen):
    """An LKJ prior of correlations."""

    dist: Literal["LKJCorr"]
    kwargs: dict[Literal["eta"], PositiveNumber]
    why: str = ""


class AgentCorrelation(CorrelationPrior):
    """The correlation of agents' deviations between several parameters."""

    # Each as outcome.parameter.
    of: Words


class ErrorCorrelation(Frozen):
    """The correlation of sampling errors between outcomes measured in the same people."""

    of: Words
    # One of: a number, a prior on (0, 1), a column of the evidence with a number for each study.
    correlation: Annotated[float, Field(gt=-1, lt=1, strict=True)] | None = None
    prior: PriorSpec | None = None
    column: str = ""
    why: str = ""


class CorrelationsSpec(Section):
    """What may be correlated: effects of arms and errors between outcomes, agents' effects."""

    heterogeneity: CorrelationPrior | None = None
    agent: AgentCorrelation | None = None
    errors: ErrorCorrelation | None = None


class WindowSpec(Section):
    """The therapeutic window that the report asks for."""

    benefit: str
    harm: str
    benefit_at_least: PositiveNumber
    risk_at_most: Probability
    baseline_risk: Probability
    why: str = ""


#: The seed of the draws of an exact answer, where none is written.
UNASKED_SEED = 1


class SamplingSpec(Frozen):
    """How the posterior is computed."""

    method: Literal["nuts", "exact", "auto"] = "nuts"
    draws: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    tune: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    chains: Annotated[int, Field(ge=1, le=1000)] = 4
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    target_accept: Probability = 0.95

    @model_validator(mode="before")
    @classmethod
    def _add_seed(cls, content: Any) -> Any:
        """Ask for no seed where the answer is exact: only its draws depend on it."""
        sampled = not isinstance(content, Mapping) or content.get("method", "nuts") == "nuts"
        return content if sampled else {"seed": UNASKED_SEED, **content}


class AnalysisSpec(Section):
    """A whole analysis: outcomes with their models and priors, designs, correlations, sampler.

    Its keys are those of the TOML file (docs/spec.md). It is immutable; a changed copy is made by
    `from_dict` of a changed `model_dump()`, so that it is validated again.

    Attributes
    ----------
    title, question
        Texts for the report.
    evidence
        The evidence: "nmda" for the shipped one, or a path.
    reference
        The agent whose exposure is 0.
    disconnected
        "allow" for networks without a path from every agent to the reference.
    select, exclude
        Values of columns of the evidence that are included or excluded.
    agents, classes
        The name and the class of each agent, where they differ from the evidence's.
    decisions
        Decisions of the analyst, in words.
    settings
        Settings with which the table of the evidence is read (``--set``), and its format.
    outcomes
        The model of each outcome.
    designs
        How crossover trials and repeated measures enter.
    correlations
        Correlations between outcomes and between parameters.
    pharmacokinetics
        Models for exposures that are concentrations.
    window
        The therapeutic window of the report.
    sampling
        Method, seed and settings of the sampler.

    Examples
    --------
    >>> spec.single_outcome
    False
    >>> list(spec.outcomes)
    ['analgesia', 'psychotomimetic']
    """

    title: str
    question: str = ""
    evidence: str = "nmda"
    reference: str = "placebo"
    disconnected: Literal["refuse", "allow"] = "refuse"
    select: dict[str, Words] = {}
    exclude: dict[str, Words] = {}
    agents: dict[str, str] = {}
    classes: dict[str, str] = {}
    decisions: dict[str, str] = {}
    settings: dict[str, str] = {}
    outcomes: Annotated[dict[OutcomeName, OutcomeSpec], Field(min_length=1)]
    designs: DesignsSpec = DesignsSpec()
    correlations: CorrelationsSpec = CorrelationsSpec()
    pharmacokinetics: PharmacokineticsSpec | None = None
    window: WindowSpec | None = None
    sampling: SamplingSpec

    @property
    def single_outcome(self) -> bool:
        """Whether there is a single outcome, whose variables need no prefix."""
        return len(self.outcomes) == 1

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Columns of the evidence that the analysis reads: selections, covariates and the like."""
        errors = self.correlations.errors
        columns = [*self.select, *self.exclude, errors.column if errors is not None else ""]
        for outcome in self.outcomes.values():
            bias = outcome.bias
            columns += [part.column for part in (bias.risk_of_bias, bias.power) if part is not None]
            for parameter in outcome.parameters.values():
                columns.append(parameter.strata_column)
                columns += [part.column or name for name, part in parameter.covariates.items()]
        return tuple(dict.fromkeys(filter(None, columns)))

    @model_validator(mode="before")
    @classmethod
    def _write_out(cls, content: Any) -> Any:
        return expand_shorthand(content)

    @model_validator(mode="after")
    def _check_rules(self) -> AnalysisSpec:
        issues = list(_rule_issues(self))
        if issues:
            text = "\n".join(map(str, issues))
            raise PydanticCustomError("rules", "{text}", {"text": text, "issues": issues})
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
            With all errors: code, file, key and hint.

        Examples
        --------
        >>> nb.AnalysisSpec.from_toml("models/benefit_risk.toml").reference
        'placebo'
        """
        hint = suggest_match(Path(path).stem, shipped_analyses())
        return cls.from_dict(read_toml(path, hint), file=str(path))

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
            With all errors: code, key and hint.

        Examples
        --------
        >>> copy = nb.AnalysisSpec.from_dict(spec.model_dump() | {"title": "A copy"})
        >>> copy.title
        'A copy'
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            issues = _all_issues(cls, content, error)
            raise SpecError(replace(issue, file=file) for issue in issues) from None

    def to_json(self) -> str:
        """Write the spec as JSON, from which `from_dict` makes it again.

        Returns
        -------
        str
            The spec's content.

        Examples
        --------
        >>> import json
        >>> nb.AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
        True
        """
        return self.model_dump_json(exclude_defaults=False)


def _all_issues(
    model: type[AnalysisSpec], content: Mapping[str, Any], error: ValidationError
) -> Iterator[Issue]:
    """List the errors of pydantic, and of the rules for what pydantic could read."""
    errors = error.errors()
    if errors[0]["type"] == "rules":
        yield from errors[0]["ctx"]["issues"]
        return
    located = [_issue(model, e) for e in errors]
    yield from located
    for issue in _rule_issues(model.read_partially(expand_shorthand(content))):
        if not any(_overlap(issue.column, other) for other in located):
            yield issue


def _rule_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    yield from spec_issues(spec)
    yield from pk_spec_issues(spec)


def _overlap(key: str, invalid: Issue) -> bool:
    """Whether a rule's key is part of an invalid one, or contains it."""
    within = f"{key}.".startswith(f"{invalid.column}.") and CODES[invalid.code] != "missing-key"
    return within or f"{invalid.column}.".startswith(f"{key}.")


def _issue(model: type[BaseModel], error: Any) -> Issue:
    """Convert an error of pydantic."""
    key = ".".join(str(part) for part in error["loc"])
    kind, name = error["type"], str(error["loc"][-1]) if error["loc"] else ""
    message, hint = str(error["msg"]), ""
    if kind == "extra_forbidden":
        message = f"unknown key '{name}'"
        hint = suggest_match(name, _fields_at(model, error["loc"][:-1]))
    elif kind == "missing":
        message, hint = f"'{name}' is missing", f"Write {name} = ..."
    return Issue(CODES_OF.get(kind, "E303"), message, hint, column=key)


def _fields_at(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """List the valid keys of a section, following annotations."""
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
        inner = [a for a in get_args(model) if isinstance(a, type) and issubclass(a, BaseModel)]
        if inner:
            model = inner[-1]
    return list(getattr(model, "model_fields", {}))
