"""What a spec says of the biases of an outcome's trials, each with its priors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmda_bayes.spec.prior import Frozen, PriorSpec

#: Every variable of a bias begins so; those of selection are numbered by their interval.
PREFIX = "bias_"
SMALL_STUDY, UNBLINDING, SPREAD = (
    f"{PREFIX}{name}" for name in ("small_study", "unblinding", "spread")
)
PUBLISHED = f"{PREFIX}published_"


class SmallStudySpec(Frozen):
    """The shift of an active arm per unit of its contrast's standard error."""

    prior: PriorSpec
    why: str = ""


class RiskOfBiasSpec(Frozen):
    """The shift of the active arms of a trial by how its risk of bias was judged."""

    # One source: a column that says one word of each study, or a domain of the evidence's own table
    # of judgements, with the scopes that count beside those for every outcome.
    column: str = ""
    domain: str = ""
    scope: tuple[str, ...] = ()
    priors: Annotated[dict[str, PriorSpec], Field(min_length=1)]
    spread: PriorSpec | None = None
    why: str = ""


class SelectionSpec(Frozen):
    """Which trials are published, by steps of their one-sided p-value."""

    steps: Annotated[tuple[float, ...], Field(min_length=1)]
    # One for each interval past the first, whose probability is 1.
    priors: tuple[PriorSpec, ...]
    relative_to: Literal["first", "previous"] = "first"
    # Which of a study's contrasts with its control decided.
    of_several: Literal["highest_dose", ""] = ""
    why: str = ""


class PowerSpec(Frozen):
    """How much trials count by a word that the evidence says of them."""

    column: str
    weights: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)]
    why: str = ""


class UnblindingSpec(Frozen):
    """How far an arm's benefit is inflated by the harm that betrays what it was given."""

    harm: str
    prior: PriorSpec
    why: str = ""


class BiasSpec(Frozen):
    """The biases that an outcome allows for."""

    small_study: SmallStudySpec | None = None
    risk_of_bias: RiskOfBiasSpec | None = None
    unblinding: UnblindingSpec | None = None
    selection: SelectionSpec | None = None
    power: PowerSpec | None = None

    @property
    def given(self) -> list[str]:
        """The biases that are allowed for, as the catalogue names them."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def priors(self) -> dict[str, PriorSpec]:
        """Every prior, by the name of its variable."""
        return dict(self._priors())

    def _priors(self) -> Iterator[tuple[str, PriorSpec]]:
        if self.small_study is not None:
            yield SMALL_STUDY, self.small_study.prior
        if self.risk_of_bias is not None:
            for judgement, prior in self.risk_of_bias.priors.items():
                yield PREFIX + judgement, prior
            if self.risk_of_bias.spread is not None:
                yield SPREAD, self.risk_of_bias.spread
        if self.unblinding is not None:
            yield UNBLINDING, self.unblinding.prior
        if self.selection is not None:
            for interval, prior in enumerate(self.selection.priors, start=2):
                yield f"{PUBLISHED}{interval}", prior
