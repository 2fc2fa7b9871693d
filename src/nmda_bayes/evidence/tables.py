"""The tables of an evidence base, column by column: what may stand in each cell, and what it means.

This is the one place where a column is described. The pandera schemas that check a folder of
tables are made from it, and so is the data dictionary in ``data/README.md``.
"""

from __future__ import annotations

from nmda_bayes.evidence.columns import Column, Table
from nmda_bayes.evidence.doses import BODY_WEIGHT, DOSE_COLUMNS, FACTORS
from nmda_bayes.evidence.side_tables import (
    CONCENTRATIONS,
    LEDGER,
    PHARMACOKINETICS,
    RISK_OF_BIAS,
)


def _text(name: str, doc: str, *choices: str, needed: bool = False) -> Column:
    return Column(name, doc, needed=needed, choices=choices)


def _number(name: str, doc: str, at_least: float | None = None) -> Column:
    return Column(name, doc, kind="number", at_least=at_least)


_SOURCE = _text(
    "source",
    "where the row was read: keys of sources.bib (a study id is the key of its report), `doi:`,"
    " `pmid:` or an address; several are parted by `; `",
    needed=True,
)
_FOLDER = _text("folder", "the extraction that the row came from")
_UNUSABLE = _text("unusable", "empty for a row that can be used; otherwise the reason, see below")
_SCALE = (
    _number("scale_min", "lower end of the instrument (not of a change on it)"),
    _number("scale_max", "upper end of the instrument"),
)

STUDIES = Table(
    "studies",
    "a trial, or a part of one that its report analyses apart",
    (
        _text("study", "name of the trial, the key of every other table", needed=True),
        _text("citation", "the report, as far as it was seen"),
        _text("doi", "DOI of the report"),
        _text("pmid", "PubMed number of the report"),
        _text(
            "design",
            "how people were compared",
            *("parallel", "crossover", "mixed", "single_arm", "dose_escalation"),
            *("observational", "animal", "not_found"),
        ),
        _text("design_note", "finer wording of the design"),
        _number(
            "washout_days",
            "days between the periods of a crossover trial; empty where the report does not say",
            at_least=0,
        ),
        _text("condition", "what the people had, in the trial's words"),
        _text("condition_group", "the condition, in the words of vocabulary.csv"),
        Column("n_randomised", "people randomised", kind="count", at_least=1),
        _text("blinding", "who was blind, as far as it was read"),
        _text("risk_of_bias", "a judgement that somebody printed, with its author"),
        _text(
            "in_cochrane_2025", "whether the 2025 Cochrane review used it", "yes", "no", "unknown"
        ),
        _text("cochrane_condition", "condition in the review's subgroup analysis"),
        _text("cochrane_duration", "length of treatment in the review's subgroup analysis"),
        _text("cochrane_dose_class", "dose class in the review's subgroup analysis"),
        _FOLDER,
        _text("merged_from", "a second extraction of the same trial, merged into this row"),
        _SOURCE,
        _text("notes", "anything else that a reader must know"),
    ),
    key=("study",),
    required=True,
)

ARMS = Table(
    "arms",
    "a group of people treated alike (in a crossover trial: a treatment)",
    (
        _text("study", "the trial", needed=True),
        _text("arm_id", "name of the arm within its trial", needed=True),
        _text("agent", "what was given, in the words of vocabulary.csv", needed=True),
        _text("agent_reported", "what was given, in the word of the source"),
        _text("route", "how it was given, in the words of vocabulary.csv"),
        _text("regimen", "dose, rate and schedule in words"),
        _text(
            "schedule",
            "the regimen in the notation of the section Doses, from which every dose is worked"
            " out; empty where the report does not say enough, and where no drug was given",
        ),
        _number("dose_value", "the dose as the trial names it, in dose_unit", at_least=0),
        _text("dose_unit", "unit of dose_value"),
        _number("infusion_hours", "length of one infusion, hours", at_least=0),
        Column(
            "n_administrations",
            "doses given over the course; empty for continuing treatment",
            kind="count",
            at_least=0,
        ),
        _number("treatment_days", "length of the course, days", at_least=0),
        Column("n_randomised", "people given this arm", kind="count", at_least=1),
        _text(
            "overlaps",
            "empty, or why the arm repeats people of other arms: `pools a; b` or `stratum of a`;"
            " such an arm may serve an outcome that the arms it repeats do not report",
        ),
        _FOLDER,
        _text("merged_from", "the same arm in a second extraction"),
        _SOURCE,
        _text("notes", "anything else that a reader must know"),
    ),
    key=("study", "arm_id"),
    required=True,
)

RESULTS = Table(
    "results",
    "what one arm showed for one outcome at one time, in one source",
    (
        _text("study", "the trial", needed=True),
        _text("arm_id", "the arm", needed=True),
        _text("outcome", "what was measured, in the words of vocabulary.csv", needed=True),
        _text("outcome_reported", "what was measured, in the word of the extraction"),
        _text(
            "kind", "binary: events of n; continuous: a mean", "binary", "continuous", needed=True
        ),
        _number("time_hours", "hours since treatment began (after surgery: since its end)"),
        _text("time_label", "the time in words"),
        _text(
            "time_window",
            "the review's window where it names one: immediate (48 h to 1 week), short (to 3"
            " months), medium (later)",
            *("immediate", "short", "medium"),
        ),
        _text(
            "period",
            "crossover trials only: `first` period alone, which is a parallel comparison of"
            " different people, or `all` periods, where each person is in every arm",
            *("first", "all"),
        ),
        _number("mean", "mean (a median only where unusable says so)"),
        _number("sd", "standard deviation between people", at_least=0),
        _number("se", "standard error of the mean", at_least=0),
        Column("n", "people analysed", kind="count", at_least=1),
        Column("events", "people with the event", kind="count", at_least=0),
        *_SCALE,
        _text("unit", "unit of a mean that is not on a rating scale"),
        Column(
            "is_change_score",
            "1: after minus before, so a fall is negative; 0: a level",
            kind="count",
            at_least=0,
        ),
        _text("provenance", "how the number was come by", needed=True),
        _SOURCE,
        _text("source_note", "where in the source, and what was assumed"),
        _FOLDER,
        _UNUSABLE,
    ),
    required=True,
)

CONTRASTS = Table(
    "contrasts",
    "a difference between two arms as a source prints it",
    (
        _text("study", "the trial", needed=True),
        _text("outcome", "what was measured, in the words of vocabulary.csv", needed=True),
        _text("outcome_reported", "what was measured, in the word of the extraction"),
        _text(
            "measure",
            "MD, SMD, RD; RR, OR, IRR and HR stand here as printed and are loaded as logarithms",
            *("MD", "SMD", "RD", "RR", "OR", "IRR", "HR", "median_difference"),
        ),
        _text("arm_id", "the arm; empty where it is none of arms.csv"),
        _text("comparator_arm_id", "the arm compared with"),
        _text("agent", "what was given", needed=True),
        _text("agent_reported", "the arm in the word of the source"),
        _text("comparator", "what it was compared with", needed=True),
        _text("comparator_reported", "the comparator in the word of the source"),
        _number("estimate", "agent minus comparator, or their ratio"),
        _number("se", "standard error, where printed", at_least=0),
        _number("ci_low", "lower end of the printed 95 % interval"),
        _number("ci_high", "upper end of the printed 95 % interval"),
        Column("n_treat", "people in the arm", kind="count", at_least=1),
        Column("n_control", "people in the comparator", kind="count", at_least=1),
        _number("time_hours", "hours since treatment began"),
        _text("time_label", "the time in words"),
        *_SCALE,
        _text("provenance", "how the number was come by", needed=True),
        _SOURCE,
        _text("source_note", "where in the source, and what was assumed"),
        _FOLDER,
        _UNUSABLE,
    ),
)

REFERENCE_DOSES = Table(
    "reference_doses",
    "the dose of an agent by a route that counts as 1 on the common dose axis",
    (
        _text("agent", "the agent", needed=True),
        _text("route", "the route", needed=True),
        _text(
            "dose_column",
            "the dose of an arm, worked out from its schedule, that is divided by it",
            *DOSE_COLUMNS,
            needed=True,
        ),
        Column("reference_dose", "the dose", kind="number", needed=True, above=0),
        _text("unit", "its unit", needed=True),
        _SOURCE,
        _text("why", "why this dose", needed=True),
    ),
    key=("agent", "route"),
)

CONVERSIONS = Table(
    "conversions",
    "an assumption that turns a dose into another measure; what it made is flagged",
    (
        _text(
            "name",
            "`body_weight` parts mg from mg/kg; the others multiply a total of their agent",
            *(BODY_WEIGHT, *FACTORS),
            needed=True,
        ),
        Column("value", "the number; empty: none may be assumed there", kind="number", above=0),
        _text("unit", "its unit", needed=True),
        _text("applies_to", "`adults`, a study, or an agent", needed=True),
        _SOURCE,
        _text("why", "why this number", needed=True),
    ),
    key=("name", "applies_to"),
)

PUBLISHED = Table(
    "published",
    "a pooled result that a review printed: for comparison, never for pooling",
    (
        _text("analysis", "the review's own number, or a name", needed=True),
        _text("review", "the review", needed=True),
        _text("agent", "what was given"),
        _text("agent_reported", "what was given, in the review's word"),
        _text("route", "how it was given"),
        _text("comparator", "what it was compared with"),
        _text("population", "in whom"),
        _text("outcome", "what was measured, in the words of vocabulary.csv", needed=True),
        _text("outcome_reported", "what was measured, in the review's word"),
        _text("time", "the time in words"),
        _text("time_window", "the Cochrane review's window", "immediate", "short", "medium"),
        _text("measure", "the effect measure, as printed", needed=True),
        _number("estimate", "the pooled estimate"),
        _number("ci_low", "lower end of its 95 % interval"),
        _number("ci_high", "upper end of its 95 % interval"),
        *_SCALE,
        Column("n_studies", "trials pooled (or in the whole review)", kind="count", at_least=1),
        Column("n_participants", "people in them", kind="count", at_least=1),
        _text("heterogeneity", "as printed"),
        _text("certainty", "as the review judged it"),
        _text("computable", "whether comparisons.csv holds its trials", "yes", "no"),
        _text("provenance", "how the number was come by"),
        _SOURCE,
        _text("source_note", "where in the source, and what was assumed"),
        _FOLDER,
        _UNUSABLE,
    ),
)

COMPARISONS = Table(
    "comparisons",
    "a trial in an analysis of the Cochrane review, with what the review printed for it",
    (
        _text("analysis", "the review's number: group.analysis", needed=True),
        _text("study", "the trial as the review names it", needed=True),
        _text("study_id", "the trial in studies.csv", needed=True),
        _text("year", "year as the review gives it"),
        _text("agent", "the review's agent (S-ketamine is under ketamine here)"),
        _text("route", "the review's route"),
        _text("comparator", "the review's comparator (an active placebo is under placebo here)"),
        _text("outcome", "what was measured, in the review's word"),
        _text("instrument", "the scale, where named"),
        _text("time_window", "the review's window", "immediate", "short", "medium"),
        _text("kind", "binary or continuous", "binary", "continuous", needed=True),
        _number("mean", "mean of the agent's arm; a change score in NCT00961194 and Lynch 2005"),
        _number("sd", "its standard deviation", at_least=0),
        Column("events", "people with the event", kind="count", at_least=0),
        Column("n", "people analysed", kind="count", needed=True, at_least=1),
        _number("comparator_mean", "mean of the other arm"),
        _number("comparator_sd", "its standard deviation", at_least=0),
        Column("comparator_events", "people with the event", kind="count", at_least=0),
        Column("comparator_n", "people analysed", kind="count", needed=True, at_least=1),
        _number("published_estimate", "the row's effect as printed: MD or SMD, RR"),
        _number("published_ci_low", "lower end of its 95 % interval"),
        _number("published_ci_high", "upper end of its 95 % interval"),
        _number("published_weight_percent", "its weight in the review's pool", at_least=0),
        _text("rob_randomisation", "risk of bias, randomisation domain alone"),
        _text("footnote", "how the review came by the numbers"),
        _SOURCE,
        _FOLDER,
    ),
)

VOCABULARY = Table(
    "vocabulary",
    "a word of the base (synonym empty), or another word that is read as it",
    (
        _text(
            "kind",
            "what the word names",
            *("agent", "route", "condition_group", "outcome", "time_point", "analyte", "blinding"),
            needed=True,
        ),
        _text("term", "the word used in the tables", needed=True),
        _text("synonym", "another word that is read as the term"),
        _text("label", "the name that reports print", needed=True),
        _text("within", "the wider class of the term"),
        _text("note", "what a reader must know"),
    ),
    key=("kind", "term", "synonym"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        STUDIES,
        ARMS,
        RESULTS,
        CONTRASTS,
        REFERENCE_DOSES,
        CONVERSIONS,
        PUBLISHED,
        COMPARISONS,
        PHARMACOKINETICS,
        CONCENTRATIONS,
        RISK_OF_BIAS,
        VOCABULARY,
    )
}

#: Described like the rest, but no evidence: what became of each row of the extractions.
LEDGERS: dict[str, Table] = {LEDGER.name: LEDGER}
