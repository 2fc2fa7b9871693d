"""RevMan's tables: data rows of RevMan Web and the Cochrane Library, and RevMan 5's export.

The Library's ``...-data-rows.csv`` has ``Analysis group``, ``Analysis number``, ``Study``,
``Experimental cases``, ``Experimental N``, ..., one row per trial in an analysis. RevMan 5 (File,
Export, Data and analyses) has ``Comparison Number``, ``Outcome Number``, ``Subgroup Number``,
``Name``, ``Events 1``, ``Total 1``, ...; its headings are rows too, with the outcome's name,
measure and group labels (columns as in R's ``meta::read.rm5``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmda_bayes.evidence.importers.base import Fragment, ImportResult, SourceTable, register_format
from nmda_bayes.evidence.importers.reshape import (
    CONTROL,
    EXPERIMENTAL,
    Columns,
    group_names,
    two_arms,
    two_group_contrast,
)
from nmda_bayes.evidence.schema import MISSING
from nmda_bayes.evidence.tree import NORMAL_97_5

COUNTS, MEANS, EFFECTS, PETO = "counts", "means", "effects", "O-E and variance"
#: How RevMan's data types begin.
DATA_TYPES = {
    "dic": COUNTS,
    "con": MEANS,
    "iv": EFFECTS,
    "giv": EFFECTS,
    "o": PETO,
    "p": PETO,
    "ipd": PETO,
    "exp": PETO,
}
#: How RevMan writes ratios, letters only.
REVMAN_RATIOS = {
    "or": "log_OR",
    "oddsratio": "log_OR",
    "petoor": "log_OR",
    "petooddsratio": "log_OR",
    "rr": "log_RR",
    "riskratio": "log_RR",
    "hr": "log_HR",
    "hazardratio": "log_HR",
    "rateratio": "log_IRR",
}

#: Why a trial in several subgroups of an analysis is not used.
SEVERAL_SUBGROUPS = (
    "the trial stands in several subgroups of this analysis, perhaps with the same people"
)


@dataclass
class AnalysisRows:
    """The trials of a review's analyses, each a series over the rows of the table.

    `rows` marks the rows of trials; `estimate` and `se` are the roles of generic effects, and
    `natural` that of effects on their natural scale.
    """

    rows: pd.Series
    study: pd.Series
    outcome: pd.Series
    subgroup: pd.Series
    data_type: pd.Series
    measure: pd.Series
    groups: tuple[pd.Series, pd.Series]
    estimate: str
    se: str
    natural: str

    @property
    def ratio_measure(self) -> pd.Series:
        """The logarithm of a ratio that `measure` names, else blank."""
        letters = self.measure.str.casefold().str.replace(r"[^a-z]", "", regex=True)
        return letters.map(REVMAN_RATIOS).fillna("")


def _import_analyses(table: SourceTable, analyses: AnalysisRows) -> ImportResult:
    """Convert a review's trials to flat rows."""
    for column in table.columns.values():
        cells = table.raw.cells[column]
        grouped = cells.str.fullmatch(r"\d{1,3}(,\d{3})+")
        if grouped.any():
            table.raw.cells[column] = cells.where(~grouped, cells.str.replace(",", ""))
            table.note(f"'{column}': thousands separators are removed.")
    kind = _kinds(table, analyses)
    unnamed = analyses.rows & (analyses.study == "")
    table.issue("E120", "study", unnamed, MISSING, "Name the trial.")
    empty = analyses.rows & _is_unfilled(table)
    if empty.any():
        lines = ", ".join(str(line) for line in table.lines[empty])
        table.note(f"Row {lines}: every number is 0 or missing, so the trial is not read.")
    rows = analyses.rows & ~empty
    shared = _shared(table, analyses, rows)
    parts: list[Fragment] = []
    for arms_kind, results in ((COUNTS, ("events", "n")), (MEANS, ("mean", "sd", "n"))):
        selected = rows & (kind == arms_kind)
        if selected.any():
            parts += two_arms(table, selected, analyses.groups, shared, results)
    for effects_kind, read in ((EFFECTS, _generic_effects), (PETO, _peto)):
        selected = rows & (kind == effects_kind)
        if selected.any():
            sizes = {"n_treat": table.numbers("n1"), "n_control": table.numbers("n2")}
            columns = {name: (n.where(n > 0), "") for name, n in sizes.items() if n.notna().any()}
            columns |= {**shared, **read(table, analyses, selected)}
            parts.append(two_group_contrast(table, selected, analyses.groups, columns))
    table.used |= {column for role, column in table.columns.items() if role != "year"}
    if len(set(analyses.outcome[rows])) == 1:
        table.set_reference(analyses.groups[0][rows], analyses.groups[1][rows])
    return table.assemble(parts or [table.fragment(rows, ("study",))])


def _has_number(table: SourceTable, *roles: str) -> pd.Series:
    """Mark the rows in which any of some columns has a number other than 0."""
    filled = table.rows(False)
    for role in roles:
        filled |= table.numbers(role).fillna(0.0) != 0
    return filled


def _is_unfilled(table: SourceTable) -> pd.Series:
    unfilled = ~_has_number(table, "giv_se", "se")
    for role in NUMBER_ROLES:
        unfilled &= table.is_blank(role) | (table.text(role) == "0")
    return unfilled


def _kinds(table: SourceTable, analyses: AnalysisRows) -> pd.Series:
    """What the numbers of each analysis are: by its data type, or else by what is filled in."""
    analysis = analyses.outcome.where(analyses.rows, "")

    def anywhere(rows: pd.Series) -> pd.Series:
        return (rows & analyses.rows).groupby(analysis).transform("any")

    with_counts = _has_number(table, "n1", "n2", "events1", "events2")
    generic = _has_number(table, analyses.se)
    if analyses.se != "giv_se":
        generic &= ~with_counts
    kind = table.constant(COUNTS)
    for name, rows in (
        (EFFECTS, generic),
        (PETO, _has_number(table, "variance")),
        (MEANS, _has_number(table, "sd1", "sd2")),
    ):
        kind = kind.mask(anywhere(rows), name)
    data_type = analyses.data_type.str.casefold()
    for start, name in DATA_TYPES.items():
        kind = kind.mask(data_type.str.startswith(start) & (data_type != "other"), name)
    return kind


def _shared(table: SourceTable, analyses: AnalysisRows, rows: pd.Series) -> Columns:
    """Columns of both arms; a trial in several subgroups of an analysis is marked unusable."""
    subgroups = analyses.subgroup[rows].groupby([analyses.study[rows], analyses.outcome[rows]])
    several = (subgroups.transform("nunique") > 1).reindex(rows.index, fill_value=False)
    shared = {
        "study": (analyses.study, table.column("study")),
        "outcome": (analyses.outcome, table.column("number")),
        "subgroup": (analyses.subgroup, table.column("subgroup")),
    }
    if several.any():
        shared["unusable"] = table.constant("").mask(several, SEVERAL_SUBGROUPS), ""
        shared["time_label"] = analyses.subgroup.where(several, ""), ""
        names = ", ".join(f"'{name}'" for name in dict.fromkeys(analyses.study[several]))
        table.note(
            f"{names}: in several subgroups of one analysis. RevMan's table does not show whether"
            " they are the same people, so these rows are kept and not used; if they are"
            " different people, give each stratum its own name in the column of studies."
        )
    return shared


def _generic_effects(table: SourceTable, analyses: AnalysisRows, rows: pd.Series) -> Columns:
    """Generic effects: RevMan 5 prints ratios as such, with the SE of their logarithm."""
    estimate, measure = table.numbers(analyses.estimate), analyses.ratio_measure
    column = table.columns.get(analyses.estimate, analyses.estimate)
    if analyses.estimate == analyses.natural:
        ratio = (measure != "") | _is_ratio(table, estimate)
        not_positive = rows & ratio & (estimate <= 0)
        message = "a ratio must be above 0"
        table.issue("E141", analyses.estimate, not_positive, message, "Check the number.")
        estimate = estimate.where(~ratio, np.log(estimate.where(estimate > 0)))
        if (rows & ratio).any():
            table.note(f"Ratios in '{column}' are log-transformed; their SE is on the log scale.")
    else:
        natural = table.numbers(analyses.natural)
        logs = (natural > 0) & np.isclose(np.exp(estimate.clip(-50, 50)), natural, rtol=0.02)
        logs &= ~np.isclose(estimate, natural, rtol=0.02)
        measure = measure.mask((measure == "") & logs, "log ratio")
        table.note(f"'{column}' is read on the scale of entry (ratios as logarithms).")
    se_column = table.columns.get(analyses.se, analyses.se)
    return {
        "estimate": (estimate, column),
        "se": (table.numbers(analyses.se), se_column),
        "measure": (measure.where(measure != "", analyses.measure), ""),
    }


def _is_ratio(table: SourceTable, estimate: pd.Series) -> pd.Series:
    """Mark printed intervals that are symmetric on the log scale only."""
    low, high = table.numbers("ci_low"), table.numbers("ci_high")
    positive = (low > 0) & (high > 0) & (estimate > 0)
    tolerance = 0.05 * (high - low) / (2 * NORMAL_97_5)
    log_symmetric = (np.sqrt((low * high).where(positive)) - estimate).abs() < tolerance
    symmetric = ((low + high) / 2 - estimate).abs() < tolerance
    return positive & log_symmetric & ~symmetric


def _peto(table: SourceTable, analyses: AnalysisRows, rows: pd.Series) -> Columns:
    """Observed minus expected events: log ratio (O - E) / V with SE 1 / sqrt(V)."""
    variance, message = table.numbers("variance"), "the variance must be above 0"
    table.issue("E123", "variance", rows & ~(variance > 0), message, "Enter O-E and V.")
    variance = variance.where(variance > 0)
    table.note("O-E and variance V are read as Peto's log ratio (O-E)/V with SE 1/sqrt(V).")
    return {
        "estimate": (table.numbers("o_e") / variance, table.columns.get("o_e", "o_e")),
        "se": (variance**-0.5, table.columns.get("variance", "variance")),
        "measure": (analyses.ratio_measure.replace("", "log ratio"), ""),
    }


# The two formats.

_SIZES = {
    "n1": "Total 1|Experimental N|Experimental total",
    "n2": "Total 2|Control N|Control total",
}
_NUMBERS = {
    "events1": "Events 1|Experimental cases|Experimental events",
    "mean1": "Mean 1|Experimental mean",
    "sd1": "SD 1|Std Dev 1|Experimental SD",
    "events2": "Events 2|Control cases|Control events",
    "mean2": "Mean 2|Control mean",
    "sd2": "SD 2|Std Dev 2|Control SD",
    "o_e": "O-E",
    "variance": "Variance",
}
_LABELS = {
    "agent1": "Group Label 1|Experimental group label|Experimental intervention|Experimental",
    "agent2": "Group Label 2|Control group label|Control intervention|Comparator",
    "ci_low": "CI start",
    "ci_high": "CI end",
    "year": "Study year|Year of study",
}
NUMBER_ROLES = (*_SIZES, *_NUMBERS)


@register_format(
    "revman/data_rows",
    "RevMan Web or Cochrane Library: one row per trial in an analysis (data-rows.csv)",
    required={"study": "Study|Study or Subgroup", **_SIZES},
    optional={
        **_NUMBERS,
        **_LABELS,
        "comparison": "Analysis group|Comparison Number",
        "number": "Analysis number|Outcome Number",
        "name": "Analysis name|Outcome",
        "subgroup": "Subgroup",
        "effect": "Mean|Effect estimate",
        "giv": "GIV Mean",
        "giv_se": "GIV SE",
        "measure": "Effect measure",
    },
)
def _data_rows(table: SourceTable) -> ImportResult:
    """One row per trial."""
    comparison, number = table.text("comparison"), table.text("number")
    numbered = (comparison + "." + number).str.strip(".")
    several = len(set(comparison) - {""}) > 1
    suffix = (" of comparison " + comparison).where(comparison != "", "") if several else ""
    analyses = AnalysisRows(
        rows=table.rows(),
        study=table.text("study"),
        outcome=(numbered + " " + table.text("name")).str.strip(),
        subgroup=table.text("subgroup"),
        data_type=table.constant(""),
        measure=table.text("measure"),
        groups=group_names(table, (table.text("agent1"), table.text("agent2")), suffix),
        estimate="giv",
        se="giv_se",
        natural="effect",
    )
    return _import_analyses(table, analyses)


@register_format(
    "revman/export",
    "RevMan 5: one row per heading or trial in an analysis (exported data and analyses)",
    required={
        "comparison": "Comparison Number",
        "number": "Outcome Number",
        "subgroup": "Subgroup Number",
        "study": "Name",
        "data_type": "Data Type",
        **_SIZES,
    },
    optional={
        **_NUMBERS,
        **_LABELS,
        "measure": "Effect Measure",
        "effect": "Effect Estimate",
        "se": "SE",
    },
)
def _export(table: SourceTable) -> ImportResult:
    """RevMan 5's export, whose headings are rows."""
    number, subgroup = table.text("number"), table.text("subgroup")
    title, no_subgroup = number.isin(["", "0"]), subgroup.isin(["", "0"])
    any_heading = ~title & (table.text("data_type") != "")
    heading = any_heading & no_subgroup
    analysis = table.text("comparison") + "." + number

    def of_heading(role: str, default: str = "") -> pd.Series:
        """The value of a column in the heading of each row's analysis."""
        values = table.text(role)[heading].groupby(analysis[heading]).first()
        return analysis.map(values).fillna("").astype("str").replace("", default)

    rows = ~(title | any_heading)
    table.issue(
        "E219",
        "number",
        rows & ~analysis.isin(analysis[heading]),
        "the heading row of this analysis is missing",
        "Export the analysis again with its heading, whose 'Data Type' gives the kind of data.",
    )
    labels = of_heading("agent1", EXPERIMENTAL), of_heading("agent2", CONTROL)
    analyses = AnalysisRows(
        rows=rows,
        study=table.text("study"),
        outcome=(analysis + " " + of_heading("study")).str.strip(),
        subgroup=(analysis + "." + subgroup).where(~no_subgroup, ""),
        data_type=of_heading("data_type"),
        measure=of_heading("measure"),
        groups=group_names(table, labels),
        estimate="effect",
        se="se",
        natural="effect",
    )
    return _import_analyses(table, analyses)
