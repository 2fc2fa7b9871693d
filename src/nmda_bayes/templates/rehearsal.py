"""Everything that `run` would ask and do, without sampling: what `check` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from nmda_bayes.design import build_design, uninformative_trials
from nmda_bayes.errors import EvidenceError, InputError, Issue
from nmda_bayes.evidence import network_issues
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.describe import evidence_notes, infer_reference, unusable_row_counts
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.table_io import Frame
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.templates.composition import FilledTemplate, propose_analysis
from nmda_bayes.templates.settings import run_command, settings_of

#: Excluded trials that are named.
MAX_NAMED = 6


@dataclass(frozen=True)
class Rehearsal:
    """What a run would ask, and what it would fit if nothing is left to ask.

    `issues` are questions and errors; `lines` describe the analysis; `spec` is None with issues.
    """

    evidence: xr.DataTree
    reference: str
    issues: tuple[Issue, ...]
    lines: tuple[str, ...]
    spec: AnalysisSpec | None = None
    command: str = ""


def rehearse(
    source: str | Path | Frame, options: ImportOptions, template: str | None = None
) -> Rehearsal:
    """Load a table, complete a template and select the rows, collecting every question."""
    questions: list[Issue] = []
    try:
        evidence = load_with_options(source, options, questions)
    except EvidenceError as error:
        more = _later_questions(error.issues, source, options, template)
        raise EvidenceError([*error.issues, *more]) from None
    filled = propose_analysis(evidence, options, template, questions)
    if filled is None or questions:
        reference = options.reference or infer_reference(evidence)[0] or "placebo"
        issues = [*questions, *_disconnected(evidence, reference, options)]
        return Rehearsal(evidence, reference, tuple(issues), tuple(_row_lines(evidence)))
    spec = filled.spec
    try:
        design = build_design(spec, filled.evidence)
    except InputError as error:
        return Rehearsal(evidence, spec.reference, tuple(error.issues), tuple(_row_lines(evidence)))
    lines = (*_decision_lines(filled), *_design_lines(spec, design), *_row_lines(evidence))
    command = run_command(settings_of(options), str(source), template or "")
    return Rehearsal(filled.evidence, spec.reference, (), lines, spec, command)


def _later_questions(
    issues: Sequence[Issue],
    source: str | Path | Frame,
    options: ImportOptions,
    template: str | None,
) -> list[Issue]:
    """The questions that would follow if the rows with errors were corrected: those of the rest."""
    rows = {issue.row for issue in issues if issue.row is not None}
    if not rows or 1 in rows or any("--set" not in x.hint and x.row is None for x in issues):
        return []
    questions: list[Issue] = []
    try:
        evidence = load_with_options(source, options, questions, rows)
        propose_analysis(evidence, options, template, questions)
    except InputError:
        return []
    known = {(issue.code, issue.column) for issue in issues}
    return [x for x in questions if "--set" in x.hint and (x.code, x.column) not in known]


def _disconnected(evidence: xr.DataTree, reference: str, options: ImportOptions) -> list[Issue]:
    """Networks in several parts, of the outcomes that the user chose."""
    if evidence.attrs["kind"] != "flat":
        return []
    named = [options.outcome, options.benefit, options.harm]
    outcomes = [name for name in named if name is not None]
    over_dose = options.doses != "pooled"
    issues = network_issues(evidence, reference, outcomes or None, over_dose=over_dose)
    return [issue for issue in issues if issue.code == "E722"]


def _decision_lines(filled: FilledTemplate) -> Iterator[str]:
    """The decisions of a spec, in its order; how the table was read is described elsewhere."""
    for key, text in filled.spec.decisions.items():
        if key not in ("table", "priors", "agents"):
            yield f"{key.replace('_', ' ')}: {text}"


def _design_lines(spec: AnalysisSpec, design: xr.DataTree) -> Iterator[str]:
    """Trials that enter, those that say nothing, and rows that do not enter, with the reasons."""
    for name, outcome in spec.outcomes.items():
        reported = design[f"outcomes/{name}"].to_dataset()
        prefix = f"{outcome.label or name}: "
        studies = dict.fromkeys(reported["study"].to_numpy())
        n_contrasts = reported.sizes.get("contrast", 0)
        rows = f"{n_contrasts} contrasts" if n_contrasts else f"{reported.sizes['arm']} arms"
        yield f"{prefix}{outcome.likelihood} likelihood, {rows} of {len(studies)} trials enter."
        silent = uninformative_trials(outcome, reported)
        if silent:
            verb = "says" if len(silent) == 1 else "say"
            text = f"{_named(silent)} {verb} nothing about the effect: no events, or all."
            yield prefix + text
        if silent and len(silent) == len(studies):
            yield f"{prefix}no trial is informative: the result is the prior."
    excluded = design["excluded"].to_dataset()
    names, reasons, left_out = (excluded[c].to_numpy() for c in ("outcome", "reason", "study"))
    for name, reason in dict.fromkeys(zip(names, reasons, strict=True)):
        trials = left_out[(names == name) & (reasons == reason)]
        label = spec.outcomes[name].label or name
        yield f"{label}: {len(trials)} rows of {_named([*trials])} are left out: {reason}."


def _named(rows: list[str]) -> str:
    studies = list(dict.fromkeys(rows))
    listed = ", ".join(f"'{study}'" for study in studies[:MAX_NAMED])
    more = f" and {len(studies) - MAX_NAMED} more" if len(studies) > MAX_NAMED else ""
    return f"{len(studies)} trials ({listed}{more})" if len(studies) > 1 else f"trial {listed}"


def _row_lines(evidence: xr.DataTree) -> Iterator[str]:
    """Rows that cannot be used, and numbers that were derived or imputed."""
    for row in unusable_row_counts(evidence).itertuples():
        yield f"note: {row.rows} rows of {row.trials} trials cannot be used: {row.reason}."
    for note in evidence_notes(evidence):
        yield f"note: {note}"
