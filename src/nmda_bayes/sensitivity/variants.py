"""Variants as data: a name, a whole spec, why, and which choice of the analysis it turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import xarray as xr

from nmda_bayes.design.build import LEFT_OUT
from nmda_bayes.errors import Fault, InputError, SpecError
from nmda_bayes.sensitivity.designs import Designs
from nmda_bayes.sensitivity.merging import merged, removal_faults
from nmda_bayes.spec import AnalysisSpec

BASE, NAMED, MULTIVERSE = "base", "named", "multiverse"


SAME_ROWS: Final = "chooses the base's rows: its answer is the base's"
#: Keys of a spec that are words, or choose rows and do nothing else.
WORDS_AND_ROWS: Final = ("title", "question", "choices", "select", "exclude")
#: Keys of an outcome's time that choose which of its readings are seen.
CHOOSING_AN_HOUR: Final = ("rule", "at_most_hours", "undated", "why")


@dataclass(frozen=True)
class Draft:
    """A variant as it is written: what differs from the base.

    Attributes
    ----------
    name
        As the user calls it.
    partial
        What differs, of the spec's shape.
    why
        The reason.
    kind
        ``named``, or the generator that made it.
    choices
        Which choice it turns, and to what: the rows beneath a specification curve.
    without
        Dotted keys of the base to leave out.
    generated
        True where a rule wrote it: that it cannot be fitted is then an answer and no fault.
    """

    name: str
    partial: Mapping[str, Any]
    why: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    generated: bool = False


@dataclass(frozen=True)
class Variant:
    """One analysis of a sensitivity analysis, whole and validated.

    Attributes
    ----------
    name
        As the user calls it.
    spec
        The analysis.
    why
        The reason.
    kind
        ``base``, ``named``, ``multiverse``, or the generator that made it.
    choices
        Which choice it turns, and to what; empty for the base.
    fallen
        Keys of the base that a changed part had no use for.
    design
        The rows that it sees; None where it cannot be fitted.
    impossible
        Why it cannot be fitted; empty where it can.
    same_rows
        True where it asks for rows by another rule than the base and for nothing else, and these
        are the base's rows: its answer is then the base's.
    """

    name: str
    spec: AnalysisSpec
    why: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    fallen: tuple[str, ...] = ()
    design: xr.DataTree | None = None
    impossible: str = ""
    same_rows: bool = False

    @property
    def remark(self) -> str:
        """What is to be known of it before it is run."""
        return self.impossible or (SAME_ROWS if self.same_rows else "")


def as_variants(designs: Designs, drafts: Iterable[Draft], *, file: str = "") -> dict[str, Variant]:
    """Make variants whole, and check all of them before anything runs.

    Parameters
    ----------
    designs
        The base and its evidence.
    drafts
        What differs.
    file
        Where they are written, for messages.

    Returns
    -------
    dict[str, Variant]
        By name, the base first. Each has its design.

    Raises
    ------
    SpecError
        With every fault of every variant.
    """
    base = designs.base
    content = base.model_dump(mode="json", exclude_none=True)
    faults: list[Fault] = []
    made = {BASE: Variant(BASE, base, "As the analysis was planned.", BASE)}
    for draft in drafts:
        key = f"{draft.kind}: {draft.name}" if draft.generated else f"variants.{draft.name}"
        if draft.name in made:
            mend = "Give each a name of its own."
            faults.append(Fault("there are two of this name", mend, file, column=key))
            continue
        try:
            made[draft.name] = _whole(content, draft)
        except SpecError as error:
            faults += [_placed(fault, key, file) for fault in error.faults]
    written = {name for name, one in made.items() if one.kind in (BASE, NAMED)}
    designed, more = _designed(made, designs, written, file)
    if faults or more:
        raise SpecError([*faults, *more])
    return designed


def _whole(base: Mapping[str, Any], draft: Draft) -> Variant:
    wrong = list(removal_faults(base, draft.without))
    if wrong:
        raise SpecError(wrong)
    content, fallen = merged(base, draft.partial, draft.without)
    spec = AnalysisSpec.from_dict({**content, "title": f"{content['title']}: {draft.name}"})
    choices = draft.choices or {draft.name: "yes"}
    return Variant(draft.name, spec, draft.why, draft.kind, choices, fallen)


def _placed(fault: Fault, key: str, file: str) -> Fault:
    return replace(fault, file=file, column=f"{key}.{fault.column}" if fault.column else key)


def _can_be_computed(spec: AnalysisSpec, design: xr.DataTree) -> None:
    if spec.sampling.method == "exact":
        from nmda_bayes.inference.fitting import method_of  # PyMC takes seconds to import

        method_of(spec, design)


def _designed(
    variants: Mapping[str, Variant], designs: Designs, written: set[str], file: str
) -> tuple[dict[str, Variant], list[Fault]]:
    """Give each variant its rows, and say of each that has none why."""
    found, faults = {}, []
    for name, variant in variants.items():
        try:
            design = designs.of(variant.spec)
            _can_be_computed(variant.spec, design)
        except InputError as error:
            told = "; ".join(fault.message for fault in error.faults)
            found[name] = replace(variant, impossible=told)
            if name in written:
                faults += [_placed(fault, f"variants.{name}", file) for fault in error.faults]
        else:
            found[name] = replace(variant, design=design)
            found[name] = replace(found[name], same_rows=_chooses_alike(found[BASE], found[name]))
    return found, faults


def _chooses_alike(base: Variant, variant: Variant) -> bool:
    """Say whether a variant differs in how rows are chosen alone, and comes to the base's."""
    if variant.name == base.name or base.design is None or variant.design is None:
        return False
    if _but_for_choosing(base.spec) != _but_for_choosing(variant.spec):
        return False
    # Why a row fell out is told in the words of the rule.
    seen = [one.drop_nodes(LEFT_OUT, errors="ignore") for one in (base.design, variant.design)]
    return bool(seen[0].equals(seen[1]))


def _but_for_choosing(spec: AnalysisSpec) -> dict[str, Any]:
    content = spec.model_dump(mode="json", exclude=set(WORDS_AND_ROWS))
    for outcome in content["outcomes"].values():
        for key in CHOOSING_AN_HOUR:
            (outcome.get("time") or {}).pop(key, None)
    return content
