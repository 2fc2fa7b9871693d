"""Variants: a name, a complete spec, a reason, and the decisions in which it differs from the base.

A partial spec is merged into the base key by key. A prior is replaced whole, and exclusions add up.
Where a variant changes a part (curve, likelihood, heterogeneity, pooling), the base's keys that
the new part does not use are dropped and listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import OUTCOMES, WEIGHT, build_design
from nmda_bayes.design.build import EXCLUDED
from nmda_bayes.design.node_split import arm_nodes
from nmda_bayes.dims import ARM
from nmda_bayes.errors import EvidenceError, InputError, Issue, SpecError, suggest_match
from nmda_bayes.evidence import connected_components, to_frame
from nmda_bayes.evidence.grade import NOT_JUDGED, RISK_OF_BIAS_COLUMN, overall_risk_of_bias
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec, required_parameters
from nmda_bayes.spec.outcome import expand_shorthand
from nmda_bayes.spec.rules import BASELINE, natural_name

# The rows that variants see, built once for all variants that select the same rows.

#: Keys of a spec, and of its outcomes, that do not affect which rows are selected.
NOT_SELECTING = ("title", "question", "decisions", "correlations", "window", "sampling")
NOT_SELECTING_IN_OUTCOME = (
    *("curve", "curve_options", "likelihood_options", "heterogeneity"),
    *("label", "unit", "better", "why"),
)
#: Columns that depend on which other rows a design holds.
RELATIVE_COLUMNS = ("position",)


class DesignCache:
    """Designs of a base spec and its variants on one evidence base."""

    def __init__(self, base: AnalysisSpec, evidence: xr.DataTree) -> None:
        self.base, self.evidence = base, evidence
        self._built: dict[str, xr.DataTree | InputError] = {}
        self._study_values = _study_values(evidence)

    def build(self, spec: AnalysisSpec) -> xr.DataTree:
        """Return the design of a spec; rows excluded beyond the base's have weight 0.

        Raises `InputError` where spec and evidence do not fit each other.
        """
        exclusions = _extra_exclusions(self.base, spec)
        if not exclusions:
            return self._unweighted(spec)
        without_extra = spec.model_copy(update={"exclude": self.base.exclude})
        studies = self._excluded_studies(exclusions)
        if studies is not None:
            return drop_studies(spec, self._unweighted(without_extra), studies)
        rebuilt = self._unweighted(spec)
        if any(LIKELIHOODS[part.likelihood].conditional for part in spec.outcomes.values()):
            return rebuilt  # the arms of a trial have one joint density
        return zero_weight_outside(self._unweighted(without_extra), rebuilt) or rebuilt

    def _excluded_studies(self, exclusions: Mapping[str, set[str]]) -> set[str] | None:
        """Name the excluded studies; None where part of a study or an unknown value is excluded."""
        excluded: set[str] = set()
        for column, values in exclusions.items():
            by_study = self._study_values.get(column, {})
            if not values <= set(by_study.values()):
                return None
            excluded |= {study for study, value in by_study.items() if value in values}
        return excluded

    def _unweighted(self, spec: AnalysisSpec) -> xr.DataTree:
        key = row_selection_key(spec)
        if key not in self._built:
            try:
                self._built[key] = build_design(spec, self.evidence)
            except InputError as error:
                self._built[key] = error
        result = self._built[key]
        if isinstance(result, InputError):
            raise result
        return result


def drop_studies(spec: AnalysisSpec, design: xr.DataTree, studies: set[str]) -> xr.DataTree:
    """Give whole studies weight 0; raises `EvidenceError` if an outcome is no longer identified."""
    weighted, issues = design.copy(), []
    for name in spec.outcomes:
        rows = design[f"{OUTCOMES}/{name}"].to_dataset()
        keep = np.array([str(study) not in studies for study in rows["study"].to_numpy()])
        rows = _reweighted(rows, keep)
        weighted[f"{OUTCOMES}/{name}"] = xr.DataTree(rows)
        kept = rows.isel({ARM: np.flatnonzero(rows[WEIGHT].to_numpy())})
        issue = _identification_issue(spec, name, kept)
        issues += [issue] if issue is not None else []
    if issues:
        raise EvidenceError(issues)
    return weighted


def zero_weight_outside(design: xr.DataTree, part: xr.DataTree) -> xr.DataTree | None:
    """Give weight 0 to the rows of a design that are not in `part`; None if `part` has others.

    A three-arm trial that loses an agent keeps its other arms. Only a rebuilt design shows which
    these are and what they report; where it is a part of the base's, one graph serves both.
    """
    if set(part.children) != set(design.children):
        return None
    weighted = design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows, part_rows = node.to_dataset(), part[f"{OUTCOMES}/{name}"].to_dataset()
        keep = np.isin(rows[ARM].to_numpy(), part_rows[ARM].to_numpy())
        if set(rows.dims) != {ARM} or keep.sum() != part_rows.sizes[ARM]:
            return None
        columns = [column for column in part_rows if column not in RELATIVE_COLUMNS]
        if set(part_rows) != set(rows):
            return None
        if not rows.isel({ARM: np.flatnonzero(keep)})[columns].equals(part_rows[columns]):
            return None
        weighted[f"{OUTCOMES}/{name}"] = xr.DataTree(_reweighted(rows, keep))
    return weighted


def included_rows(design: xr.DataTree) -> xr.DataTree:
    """Keep the rows of a design whose weight is above 0; labels stay."""
    included = design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows = node.to_dataset()
        if WEIGHT in rows:
            kept = rows.isel({ARM: np.flatnonzero(rows[WEIGHT].to_numpy())})
            kept = kept.drop_vars(WEIGHT) if bool((kept[WEIGHT] == 1).all()) else kept
            included[f"{OUTCOMES}/{name}"] = xr.DataTree(kept)
    return included


def row_selection_key(spec: AnalysisSpec) -> str:
    """Write the part of a spec that selects rows of the evidence.

    It is equal for specs that differ only in priors, curves, sampling, window or text.
    """
    content = spec.model_dump(mode="json", exclude=set(NOT_SELECTING))
    for name, outcome in content["outcomes"].items():
        for key in NOT_SELECTING_IN_OUTCOME:
            outcome.pop(key, None)
        outcome["needs_dose"] = spec.outcomes[name].shape.needs_dose
        for parameter in outcome["parameters"].values():
            parameter.pop("priors", None)
        parameters = spec.outcomes[name].parameters
        outcome["parameters"] = {
            key: value
            for key, value in outcome["parameters"].items()
            if key == BASELINE or parameters[key].covariates or parameters[key].strata_column
        }
    return json.dumps(content, sort_keys=True)


def _reweighted(rows: xr.Dataset, keep: np.ndarray) -> xr.Dataset:
    before = rows[WEIGHT].to_numpy() if WEIGHT in rows else np.ones(len(keep))
    return rows.assign({WEIGHT: (ARM, np.where(keep, before, 0.0))})


def _identification_issue(spec: AnalysisSpec, name: str, rows: xr.Dataset) -> Issue | None:
    """Return why an outcome cannot be fitted to the rows that are left."""
    column = f"outcomes.{name}"
    if not rows.sizes[ARM] or not bool((rows["exposure"] > 0).any()):
        return Issue("E640", f"outcome '{name}' has no trials left", column=column)
    baseline = spec.outcomes[name].parameters.get(BASELINE)
    shared_baseline = baseline is not None and baseline.pooling != "independent"
    if shared_baseline or spec.disconnected == "allow":
        return None
    frame = rows[["study", "agent", "exposure"]].to_dataframe().reset_index(drop=True)
    parts = connected_components(zip(frame["study"], arm_nodes(frame, spec.reference), strict=True))
    loose = ["; ".join(sorted(map(str, part))) for part in parts if spec.reference not in part]
    if not loose:
        return None
    message = (
        f"outcome '{name}': no trial is left that connects {', '.join(loose)} to the reference"
    )
    return Issue("E641", message, column=column)


def _extra_exclusions(base: AnalysisSpec, spec: AnalysisSpec) -> dict[str, set[str]]:
    extra = {
        column: set(values) - set(base.exclude.get(column, ()))
        for column, values in spec.exclude.items()
    }
    return {column: values for column, values in extra.items() if values}


def _study_values(evidence: xr.DataTree) -> dict[str, dict[str, str]]:
    """Values of the study-level columns, by column and study."""
    studies = to_frame(evidence, "studies").set_index("study")
    arm_level = {c for name in ("arms", "results", "contrasts") for c in to_frame(evidence, name)}
    values = {
        str(column): {str(s): str(value) for s, value in studies[column].items()}
        for column in studies
        if column not in arm_level
    }
    judged = overall_risk_of_bias(evidence)
    if judged is not None and RISK_OF_BIAS_COLUMN not in values:
        values[RISK_OF_BIAS_COLUMN] = {
            str(s): str(judged.get(s, NOT_JUDGED)) for s in studies.index
        }
    return values | {"study": {str(s): str(s) for s in studies.index}}


BASE, NAMED, MULTIVERSE = "base", "named", "multiverse"
SAME_ROWS_NOTE: Final = "selects the same rows as the base case: same results"
#: Keys of a spec that are text or only select rows, and of an outcome's time likewise.
TEXT_AND_ROWS: Final = ("title", "question", "decisions", "select", "exclude")
SELECTING_TIME: Final = ("rule", "at_most_hours", "missing_time", "why")
#: A mapping with one of these keys is a prior.
PRIOR_KEYS: Final = ("dist", "library")
#: Options belong to the part that they configure.
OPTIONS_OF: Final = {"curve": "curve_options", "likelihood": "likelihood_options"}
PARTS: Final = ("curve", "curve_options", "likelihood", "likelihood_options", "heterogeneity")
EXCLUDE: Final = "exclude"


@dataclass(frozen=True)
class VariantDraft:
    """A variant as written: what differs from the base.

    `choices` maps each decision to its setting (the rows under a specification curve); `without`
    lists dotted keys of the base to remove. A `generated` draft that cannot be fitted is a result,
    a named one an error.
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
    """One complete, validated analysis.

    `kind` is ``base``, ``named``, ``multiverse`` or a generator; `dropped_keys` are the base's keys
    that a changed part does not use; `design` is None where `impossible` says why the variant
    cannot be fitted; `same_rows` marks another selection rule that selects the base's rows.
    """

    name: str
    spec: AnalysisSpec
    why: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    dropped_keys: tuple[str, ...] = ()
    design: xr.DataTree | None = None
    impossible: str = ""
    same_rows: bool = False

    @property
    def note(self) -> str:
        """What is known of the variant before it is run."""
        return self.impossible or (SAME_ROWS_NOTE if self.same_rows else "")


def complete_variants(
    designs: DesignCache, drafts: Iterable[VariantDraft], *, file: str = ""
) -> dict[str, Variant]:
    """Merge drafts into the base and check all of them, the base first.

    Raises `SpecError` with the errors of all variants; `file` is where they are written.
    """
    content = designs.base.model_dump(mode="json", exclude_none=True)
    issues: list[Issue] = []
    variants = {BASE: Variant(BASE, designs.base, "The analysis as planned.", BASE)}
    for draft in drafts:
        key = f"{draft.kind}: {draft.name}" if draft.generated else f"variants.{draft.name}"
        if draft.name in variants:
            message = "two variants have this name"
            issues.append(Issue("E612", message, "Rename one of them.", file, column=key))
            continue
        try:
            variants[draft.name] = _complete(content, draft)
        except SpecError as error:
            issues += [_located(issue, key, file) for issue in error.issues]
    checked = {name: _with_design(variant, designs) for name, variant in variants.items()}
    for name, (variant, design_issues) in checked.items():
        if variant.kind in (BASE, NAMED):
            issues += [_located(issue, f"variants.{name}", file) for issue in design_issues]
    if issues:
        raise SpecError(issues)
    base = checked[BASE][0]
    return {
        name: replace(variant, same_rows=_selects_same_rows(base, variant))
        for name, (variant, _) in checked.items()
    }


def _complete(base: Mapping[str, Any], draft: VariantDraft) -> Variant:
    issues = list(removal_issues(base, draft.without))
    if issues:
        raise SpecError(issues)
    content, dropped = merge_spec(base, draft.partial, draft.without)
    spec = AnalysisSpec.from_dict({**content, "title": f"{content['title']}: {draft.name}"})
    choices = draft.choices or {draft.name: "yes"}
    return Variant(draft.name, spec, draft.why, draft.kind, choices, dropped)


def _located(issue: Issue, key: str, file: str) -> Issue:
    return replace(issue, file=file, column=f"{key}.{issue.column}" if issue.column else key)


def _with_design(variant: Variant, designs: DesignCache) -> tuple[Variant, Sequence[Issue]]:
    """Add the design, or the reason why there is none."""
    try:
        design = designs.build(variant.spec)
        if variant.spec.sampling.method == "exact":
            from nmda_bayes.inference.fitting import sampling_method  # PyMC takes seconds to import

            sampling_method(variant.spec, design)
    except InputError as error:
        reasons = "; ".join(issue.message for issue in error.issues)
        return replace(variant, impossible=reasons), error.issues
    return replace(variant, design=design), ()


def _selects_same_rows(base: Variant, variant: Variant) -> bool:
    """Whether a variant differs from the base only in how rows are selected, with the same rows."""
    if variant.name == base.name or base.design is None or variant.design is None:
        return False
    if _without_selection(base.spec) != _without_selection(variant.spec):
        return False
    # The reasons for excluding a row quote the selection rule, and so differ.
    first, second = (d.drop_nodes(EXCLUDED, errors="ignore") for d in (base.design, variant.design))
    return bool(first.equals(second))


def _without_selection(spec: AnalysisSpec) -> dict[str, Any]:
    content = spec.model_dump(mode="json", exclude=set(TEXT_AND_ROWS))
    for outcome in content["outcomes"].values():
        for key in SELECTING_TIME:
            (outcome.get("time") or {}).pop(key, None)
    return content


def merge_spec(
    base: Mapping[str, Any], partial: Mapping[str, Any], without: Sequence[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Merge a partial spec into a whole one; return it, not validated, and the dropped keys."""
    pruned = _pruned(base, without)
    content = expand_shorthand(merge_content(pruned, partial))
    outcomes, changed = content.get("outcomes"), partial.get("outcomes")
    if not isinstance(outcomes, Mapping) or not isinstance(changed, Mapping):
        return content, ()
    dropped: list[str] = []
    kept = dict(outcomes)
    for name in set(changed) & set(pruned.get("outcomes", {})):
        if isinstance(changed[name], Mapping) and isinstance(kept[name], Mapping):
            before = pruned["outcomes"][name]
            kept[name], unused = _drop_unused(kept[name], before, changed[name])
            dropped += [f"outcomes.{name}.{key}" for key in unused]
    return {**content, "outcomes": kept}, tuple(sorted(dropped))


def removal_issues(base: Mapping[str, Any], without: Sequence[str]) -> Iterator[Issue]:
    """Find dotted keys to remove that the base does not have."""
    for key in without:
        node: Any = base
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                known = list(node) if isinstance(node, Mapping) else []
                fix = suggest_match(part, known) if known else ""
                yield Issue("E613", f"the base has no key '{key}'", fix, column="without")
                break
            node = node[part]


def written_keys(partial: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Name the dotted keys of the values and whole priors that a partial spec writes."""
    for key, value in partial.items():
        dotted = f"{above}.{key}" if above else key
        if _is_section(value):
            yield from written_keys(value, dotted)
        else:
            yield dotted


def merge_content(
    base: Mapping[str, Any], partial: Mapping[str, Any], parent: str = ""
) -> dict[str, Any]:
    """Merge one content into another, key by key; unused keys of changed parts are still there."""
    merged = dict(base)
    for key, value in partial.items():
        before = merged.get(key)
        if parent == EXCLUDE and before is not None:
            merged[key] = list(dict.fromkeys([*_as_list(before), *_as_list(value)]))
        elif _is_section(before) and _is_section(value):
            merged[key] = merge_content(merged[key], value, key)
        else:
            merged[key] = value
    for part, options in OPTIONS_OF.items():
        if part in partial and partial[part] != base.get(part) and options not in partial:
            merged.pop(options, None)
    return merged


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(key in value for key in PRIOR_KEYS)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _pruned(base: Mapping[str, Any], without: Sequence[str]) -> dict[str, Any]:
    pruned = dict(base)
    for key in without:
        head, _, rest = key.partition(".")
        if not rest:
            pruned.pop(head, None)
        elif isinstance(pruned.get(head), Mapping):
            pruned[head] = _pruned(pruned[head], [rest])
    return pruned


def _drop_unused(
    outcome: Mapping[str, Any], before: Mapping[str, Any], changed: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Drop the base's parameters and priors that the replaced parts of an outcome do not use."""
    merged = outcome.get("parameters")
    if not isinstance(merged, Mapping):
        return dict(outcome), []
    written = changed.get("parameters")
    written = written if isinstance(written, Mapping) else {}
    parameters, dropped = dict(merged), []
    if any(outcome.get(part) != before.get(part) for part in PARTS):
        needed = required_parameters(OutcomeSpec.read_partially(outcome))
        used = {n for name in needed or () for n in (name, natural_name(name))}
        for name in [] if needed is None else list(parameters):
            if name not in used and name not in written:
                del parameters[name]
                dropped.append(f"parameters.{name}")
        if needed is not None and BASELINE not in needed and BASELINE not in changed:
            if outcome.get(BASELINE) is not None:
                dropped.append(BASELINE)
            outcome = {key: value for key, value in outcome.items() if key != BASELINE}
    for name, change in written.items():
        if isinstance(change, Mapping) and name in parameters and "pooling" in change:
            parameters[name], unused = _drop_unused_priors(parameters[name], change)
            dropped += [f"parameters.{name}.{key}" for key in unused]
    return {**outcome, "parameters": parameters}, dropped


def _drop_unused_priors(
    parameter: Mapping[str, Any], change: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    pooling, priors = POOLINGS.get(str(parameter.get("pooling"))), parameter.get("priors")
    if pooling is None or not isinstance(priors, Mapping):
        return dict(parameter), []
    written = change.get("priors")
    used = {*pooling.priors, *pooling.optional, *(written if isinstance(written, Mapping) else ())}
    kept = {**parameter, "priors": {slot: p for slot, p in priors.items() if slot in used}}
    if not pooling.heavy_tailed and "nu" not in change:
        kept.pop("nu", None)
    return kept, [f"priors.{slot}" for slot in priors if slot not in used]
