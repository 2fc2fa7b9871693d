"""The plan of a sensitivity analysis: its file, the base, variants, generators and multiverse."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any, Final

import xarray as xr
from pydantic import ValidationError

from nmda_bayes.errors import InputError, Issue, SpecError, suggest_match
from nmda_bayes.sensitivity.generators import GENERATORS, Generator, GeneratorContext
from nmda_bayes.sensitivity.variants import (
    BASE,
    EXCLUDE,
    MULTIVERSE,
    NAMED,
    DesignCache,
    Variant,
    VariantDraft,
    complete_variants,
    merge_content,
    written_keys,
)
from nmda_bayes.spec import AnalysisSpec, read_toml

KEYS: Final = ("title", "base", "dose", "elpd", "variants", "generate", "multiverse")
MULTIVERSE_KEYS: Final = ("of", "why")
#: Keys of a named variant that are not part of its partial spec.
VARIANT_KEYS: Final = ("why", "without")
#: Exposures in multiples of the reference dose have it at 1.
REFERENCE_DOSE, RELATIVE = 1.0, "relative_to_reference"


@dataclass(frozen=True)
class Plan:
    """All variants by name, the base first, each complete and checked.

    Effects are compared at `dose` on the exposure axis; `elpd` requests leave-one-study-out
    predictive densities.
    """

    title: str
    variants: dict[str, Variant]
    dose: float = 1.0
    elpd: bool = False

    @property
    def base(self) -> Variant:
        """The variant that the others are compared with."""
        return self.variants[BASE]

    def only(self, patterns: tuple[str, ...]) -> Plan:
        """Keep the base and the variants whose names match a pattern (``*`` for anything)."""
        known = list(self.variants)
        unknown = [p for p in patterns if not any(fnmatchcase(name, p) for name in known)]
        if unknown:
            raise SpecError(
                Issue("E614", f"unknown variant '{p}'", suggest_match(p, known), column="--only")
                for p in unknown
            )
        kept = {
            name: variant
            for name, variant in self.variants.items()
            if name == BASE or any(fnmatchcase(name, pattern) for pattern in patterns)
        }
        return replace(self, variants=kept)


def read_plan(path: str | PathLike[str], evidence: xr.DataTree, base: AnalysisSpec) -> Plan:
    """Read a sensitivity analysis from a TOML file; `SpecError` has the errors of all variants."""
    return build_plan(read_content(path), DesignCache(base, evidence), file=str(path))


def base_path(path: str | PathLike[str], shipped: Path) -> Path:
    """Find the file of the base spec: in the folder of the file, or among the shipped specs."""
    name = read_content(path).get("base")
    folder = Path(path).parent
    if not isinstance(name, str) or not name:
        fix = 'Write base = "benefit_risk", or the path of a spec.'
        raise SpecError([Issue("E605", "'base' is missing", fix, str(path), column="base")])
    for candidate in (folder / name, folder / f"{name}.toml", shipped / f"{name}.toml"):
        if candidate.is_file():
            return candidate
    fix = suggest_match(name, sorted(p.stem for p in shipped.glob("*.toml")))
    message = f"there is no spec '{name}'"
    raise SpecError([Issue("E607", message, fix, str(path), column="base")])


def read_content(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the plain content of a TOML file."""
    hint = "Check the path. A shipped example is models/sensitivity.toml."
    return read_toml(path, hint, ("E600", "E601", "E601"))


def build_plan(content: Mapping[str, Any], designs: DesignCache, *, file: str = "") -> Plan:
    """Make a plan of plain content, as TOML gives it; `SpecError` has the errors of all variants.

    `file` is where the content is written, for messages.
    """
    base = designs.base
    issues = [*content_issues(content), *_dose_issues(content, base)]
    named = _named_drafts(content, issues)
    context = GeneratorContext(base, designs.build(base), designs.evidence)
    generated = _generated_drafts(content, context, issues)
    single = [*named.values(), *(draft for drafts in generated.values() for draft in drafts)]
    combined = _combined_drafts(content, named, generated, issues)
    issues = [replace(issue, file=file) for issue in issues]
    variants: dict[str, Variant] = {}
    try:
        variants = complete_variants(designs, [*single, *combined], file=file)
    except SpecError as error:
        issues += error.issues
    if issues:
        raise SpecError(issues)
    title = str(content.get("title", f"Sensitivity analysis: {base.title}"))
    dose = float(content.get("dose", REFERENCE_DOSE))
    return Plan(title, variants, dose, bool(content.get("elpd", False)))


def content_issues(content: Mapping[str, Any]) -> Iterator[Issue]:
    """Check the outermost keys of the file."""
    for key in content:
        if key not in KEYS:
            yield _unknown_key(key, KEYS, key)
    for key in ("variants", "generate", "multiverse"):
        if not isinstance(content.get(key, {}), Mapping):
            yield Issue("E603", "is not a table", f"Write [{key}...].", column=key)
    dose = content.get("dose")
    is_number = isinstance(dose, int | float) and not isinstance(dose, bool)
    if dose is not None and not (is_number and 0 < dose <= sys.float_info.max):
        message, fix = "is not a positive number", "Write an exposure above 0."
        yield Issue("E604", message, fix, column="dose")
    if not isinstance(content.get("elpd", False), bool):
        message = "is neither true nor false"
        yield Issue("E604", message, "Write elpd = true.", column="elpd")
    if not content.get("variants") and not content.get("generate"):
        fix = 'Write [variants.NAME] with why = "..." and what differs, or [generate.KIND].'
        yield Issue("E606", "no variant is defined", fix, column="variants")


def _unknown_key(key: str, known: Sequence[str], column: str) -> Issue:
    return Issue("E602", f"unknown key '{key}'", suggest_match(key, known), column=column)


def _not_a_list(column: str) -> Issue:
    return Issue("E682", "is not a list", 'Write ["...", "..."].', column=column)


def _dose_issues(content: Mapping[str, Any], base: AnalysisSpec) -> Iterator[Issue]:
    """Require a dose where exposures are not in multiples of the reference dose."""
    dosed = [outcome for outcome in base.outcomes.values() if outcome.shape.needs_dose]
    if "dose" not in content and any(RELATIVE not in outcome.exposure for outcome in dosed):
        message = "'dose' is required: exposures are not multiples of the reference dose"
        fix = "Write dose = ..., the exposure at which effects are compared."
        yield Issue("E605", message, fix, column="dose")


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _named_drafts(content: Mapping[str, Any], issues: list[Issue]) -> dict[str, VariantDraft]:
    drafts = {}
    for name, part in _table(content, "variants").items():
        key = f"variants.{name}"
        if not isinstance(part, Mapping):
            issues.append(Issue("E603", "is not a table", f"Write [{key}].", column=key))
            continue
        why, without = part.get("why", ""), part.get("without", [])
        if not isinstance(why, str) or not why.strip():
            message, fix = "the variant has no reason", 'Write why = "...".'
            issues.append(Issue("E610", message, fix, column=f"{key}.why"))
        if isinstance(without, str):
            without = [without]
        if not isinstance(without, list):
            issues.append(_not_a_list(f"{key}.without"))
            without = []
        partial = {k: v for k, v in part.items() if k not in VARIANT_KEYS}
        if not partial and not without:
            message, fix = "does not differ from the base", "Write what differs."
            issues.append(Issue("E611", message, fix, column=key))
        label = str(name).replace("_", " ")
        drafts[str(name)] = VariantDraft(
            str(name), partial, str(why), NAMED, {label: "yes"}, tuple(map(str, without))
        )
    return drafts


def _generated_drafts(
    content: Mapping[str, Any], context: GeneratorContext, issues: list[Issue]
) -> dict[str, list[VariantDraft]]:
    """Run each generator; drafts by its key in the file."""
    drafts: dict[str, list[VariantDraft]] = {}
    for kind, value in _table(content, "generate").items():
        cls = GENERATORS.get(kind)
        if cls is None:
            unknown = GENERATORS.unknown(str(kind), f"generate.{kind}")
            issues.append(replace(unknown, code="E620"))
            continue
        rules = value if isinstance(value, list) else [value]
        for index, rule in enumerate(rules):
            key = f"generate.{kind}" + (f"[{index}]" if isinstance(value, list) else "")
            try:
                drafts.setdefault(str(kind), []).extend(cls.model_validate(rule).drafts(context))
            except ValidationError as error:
                issues += _field_issues(error, cls, key)
            except InputError as error:
                issues += [replace(f, column=f"{key}.{f.column}") for f in error.issues]
    return drafts


def _field_issues(error: ValidationError, cls: type[Generator], key: str) -> Iterator[Issue]:
    for problem in error.errors():
        column = ".".join([key, *(str(part) for part in problem["loc"])])
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden":
            yield _unknown_key(name, list(cls.model_fields), column)
        elif problem["type"] == "missing":
            fix = f"Write {name} = ... {cls.about}"
            yield Issue("E605", f"'{name}' is missing", fix, column=column)
        else:
            yield Issue("E621", str(problem["msg"]), cls.about, column=column)


def _combined_drafts(
    content: Mapping[str, Any],
    named: Mapping[str, VariantDraft],
    generated: Mapping[str, list[VariantDraft]],
    issues: list[Issue],
) -> list[VariantDraft]:
    """Combine the decisions that the multiverse lists."""
    options = _table(content, "multiverse")
    if not options:
        return []
    for key in options:
        if key not in MULTIVERSE_KEYS:
            issues.append(_unknown_key(str(key), MULTIVERSE_KEYS, f"multiverse.{key}"))
    if not isinstance(options.get("why"), str):
        fix = "Write why = ..."
        issues.append(Issue("E605", "'why' is missing", fix, column="multiverse.why"))
    decisions: list[list[VariantDraft]] = []
    entries = options.get("of", [])
    if not isinstance(entries, list):
        issues.append(_not_a_list("multiverse.of"))
        entries = []
    for entry in entries:
        decision: list[VariantDraft] = []
        for name in entry if isinstance(entry, list) else [entry]:
            if name in generated:
                decision += generated[name]
            elif name in named:
                decision.append(named[name])
            else:
                message = f"'{name}' is neither a variant nor a generator of this file"
                fix = suggest_match(str(name), [*named, *generated])
                issues.append(Issue("E630", message, fix, column="multiverse.of"))
        decisions.append(decision)
    if len(decisions) < 2:
        fix = 'Write, for example, of = ["prior_scale", ["no_crossover", "log_linear"]].'
        message = "a multiverse needs at least two decisions"
        issues.append(Issue("E631", message, fix, column="multiverse.of"))
    drafts, conflicts = multiverse(decisions, str(options.get("why", "")))
    issues += conflicts
    return drafts


def multiverse(
    decisions: Sequence[Sequence[VariantDraft]], why: str
) -> tuple[list[VariantDraft], list[Issue]]:
    """Combine decisions, each with the base's setting or one of its drafts.

    Returns the combinations of two or more drafts (exclusions add up), and an error where two
    decisions write the same key.
    """
    issues: list[Issue] = []
    combinations: list[tuple[VariantDraft, ...]] = [()]
    written: set[str] = set()
    for drafts in decisions:
        keys = {key for draft in drafts for key in written_keys(draft.partial)}
        conflicts = sorted(k for k in keys & written if not k.startswith(f"{EXCLUDE}."))
        if conflicts:
            message = f"two decisions write {conflicts[0]}, so their combination is ambiguous"
            fix = "Combine decisions about different keys."
            issues.append(Issue("E632", message, fix, column="multiverse.of"))
        written |= keys
        combinations += [(*chosen, draft) for chosen in combinations for draft in drafts]
    return [_combined(chosen, why) for chosen in combinations if len(chosen) > 1], issues


def _combined(drafts: Sequence[VariantDraft], why: str) -> VariantDraft:
    partial: dict[str, Any] = {}
    choices: dict[str, str] = {}
    for draft in drafts:
        partial = merge_content(partial, draft.partial)
        choices |= draft.choices or {draft.name: "yes"}
    without = tuple(key for draft in drafts for key in draft.without)
    name = " + ".join(draft.name for draft in drafts)
    return VariantDraft(name, partial, why, MULTIVERSE, choices, without, generated=True)
