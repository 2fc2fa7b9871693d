"""The tables that stand beside the trials, column by column.

What a drug does in the body, how well a trial guards against bias, and what became of each row
that was extracted. No fit reads them, so none of them enters the evidence's fingerprint.
"""

from __future__ import annotations

from nmda_bayes.evidence.columns import Column, Table

_SOURCE = Column(
    "source",
    "where the row was read: keys of sources.bib, `doi:`, `pmid:` or an address; several are"
    " parted by `; `",
    needed=True,
)
_SOURCE_NOTE = Column("source_note", "the source as the extraction words it")
_FOLDER = Column("folder", "the extraction that the row came from")
_UNUSABLE = Column("unusable", "empty for a row that can be used; otherwise the reason, see below")
_REPORT = Column("report", "name of the model or report; its rows belong together", needed=True)
_POPULATION = Column("population", "in whom, in the words of the source")
_AGENT = Column("agent", "the drug given, in the words of vocabulary.csv", needed=True)
_ANALYTE = Column("analyte", "what was measured, in the words of vocabulary.csv", needed=True)
_ANALYTE_REPORTED = Column("analyte_reported", "what was measured, in the word of the source")
_NOTE = Column("note", "anything else that a reader must know")


def _number(name: str, doc: str, at_least: float | None = None) -> Column:
    return Column(name, doc, kind="number", at_least=at_least)


PHARMACOKINETICS = Table(
    "pharmacokinetics",
    "a parameter of a pharmacokinetic or concentration-effect model, as a report gives it",
    (
        _REPORT,
        _POPULATION,
        _AGENT,
        _ANALYTE,
        _ANALYTE_REPORTED,
        Column("model", "the model, in the words of the extraction"),
        Column(
            "structure",
            "the model, in one word",
            choices=(
                "one_compartment",
                "two_compartments",
                "three_compartments",
                "recirculatory",
                "three_exponentials",
                "population_not_described",
                "noncompartmental",
                "concentration_effect",
                "binding",
                "quoted",
            ),
            needed=True,
        ),
        Column(
            "whole_model",
            "`yes`: together with the other such rows of its report it is a model that can be"
            " simulated as it stands",
            choices=("yes",),
        ),
        Column("parameter", "the parameter, as the extraction names it", needed=True),
        Column(
            "symbol",
            "in a whole model, the parameter under one name: `V1` central and `V2`, `V3` peripheral"
            " volumes, `CL` clearance, `Q2`, `Q3` flows between them, `k10`, `k12`, ... rate"
            " constants; other parameters keep theirs",
        ),
        _number("value", "the number; empty where the source gives a range or words"),
        _number("value_low", "lower end of a range"),
        _number("value_high", "upper end of a range"),
        Column("value_reported", "the value as the extraction has it", needed=True),
        Column("unit", "its unit, in words that pint reads; empty beside words"),
        Column("unit_reported", "its unit, in the word of the source"),
        Column(
            "per_body",
            "the size of the person that the value is for, where the unit names one; pint reads it",
            choices=("70 kg", "85 kg", "1.73 m**2"),
        ),
        _number("between_subject_cv_percent", "spread between people, as percent", at_least=0),
        _number("se_percent", "standard error, as percent of the value", at_least=0),
        _NOTE,
        _SOURCE,
        _SOURCE_NOTE,
        _FOLDER,
        _UNUSABLE,
    ),
)

CONCENTRATIONS = Table(
    "concentrations",
    "a concentration in blood after a dose, as a report gives it",
    (
        _REPORT,
        _POPULATION,
        _AGENT,
        _ANALYTE,
        _ANALYTE_REPORTED,
        Column("route", "how it was given, in the words of vocabulary.csv"),
        Column("regimen", "dose, rate and schedule in words"),
        Column(
            "schedule", "the same in the notation of arms.csv; empty where words say too little"
        ),
        _number("dose_mg_per_kg", "the dose, where the source gives it by weight", at_least=0),
        _number("infusion_hours", "length of the infusion, hours", at_least=0),
        _number("time_hours", "hours since the dose began; of a peak, the time of the peak"),
        Column(
            "statistic",
            "what the number is",
            choices=("mean", "mean_peak", "geometric_mean_peak", "model_curve"),
            needed=True,
        ),
        Column("concentration", "the concentration", kind="number", needed=True, at_least=0),
        _number("sd", "standard deviation between people", at_least=0),
        _number("se", "standard error of the mean", at_least=0),
        Column("n", "people measured", kind="count", at_least=1),
        Column("unit", "its unit, in words that pint reads", needed=True),
        Column("specimen", "what was drawn"),
        Column("provenance", "how the number was come by", needed=True),
        _NOTE,
        _SOURCE,
        _SOURCE_NOTE,
        _FOLDER,
        _UNUSABLE,
    ),
)

RISK_OF_BIAS = Table(
    "risk_of_bias",
    "a judgement on the risk of bias of a trial, in one domain, by one judge",
    (
        Column("study", "the trial", needed=True),
        Column(
            "tool",
            "what it was judged with: Cochrane's second tool, its first, the PEDro scale, a"
            " review's own grading, or a remark of a reader",
            choices=("rob_2", "rob_1", "pedro", "graded", "remark"),
            needed=True,
        ),
        Column(
            "domain",
            "RoB 2: randomisation, deviations, missing_outcomes, measurement, selective_reporting,"
            " overall. The first tool: sequence_generation, allocation_concealment, blinding,"
            " blinding_of_outcome, incomplete_outcomes, selective_reporting, sample_size, overall."
            " A remark: design",
            choices=(
                "randomisation",
                "deviations",
                "missing_outcomes",
                "measurement",
                "selective_reporting",
                "sequence_generation",
                "allocation_concealment",
                "blinding",
                "blinding_of_outcome",
                "incomplete_outcomes",
                "sample_size",
                "design",
                "overall",
            ),
            needed=True,
        ),
        Column("scope", "the outcomes that it is about; empty for all"),
        Column(
            "judgement",
            "`not_judged`: a remark that names no judgement",
            choices=("low", "some_concerns", "high", "unclear", "not_judged"),
            needed=True,
        ),
        Column("judged_by", "who judged", needed=True),
        Column("reported", "the words that were read", needed=True),
        _SOURCE,
        _FOLDER,
    ),
    key=("study", "tool", "domain", "scope", "judged_by"),
)

LEDGER = Table(
    "ledger",
    "a row of an extraction, and what became of it",
    (
        Column("folder", "the extraction", needed=True),
        Column("table", "its file, without .csv", needed=True),
        Column("source_row", "the line in it; the header is line 1", kind="count", needed=True),
        Column("key", "the row in short", needed=True),
        Column("value", "its numbers as they stand there, as `column=text` parted by `; `"),
        Column(
            "conversion",
            "how they were changed on the way; empty where they were not. `not_carried`: some have"
            " no place there, being words, a p value, a test statistic, the 0 of a drug in an arm"
            " that was given another, or a count that the row it was merged with leaves open;"
            " `another_reading`: that row has another number",
            choices=("sign_turned", "percent_to_proportion", "not_carried", "another_reading"),
        ),
        Column(
            "fate",
            "`used`, `kept_aside` with its reason in the table it went to, or `merged` with a row"
            " that says the same",
            choices=("used", "kept_aside", "merged"),
            needed=True,
        ),
        Column("reason", "why it is kept aside, or what it was merged with"),
        Column("data_table", "the table it went to", needed=True),
        Column("data_key", "the row there, by the key columns named above", needed=True),
    ),
    key=("folder", "table", "source_row"),
)
