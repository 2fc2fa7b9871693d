"""RevMan's tables: the data rows of RevMan Web and the Cochrane Library, and RevMan 5's export.

The Library's ``...-data-rows.csv`` has ``Analysis group``, ``Analysis number``, ``Study``,
``Experimental cases``, ``Experimental N``, ... one row a trial in an analysis, and does not name
the groups. RevMan 5 (File, Export, Data and analyses) has ``Comparison Number``, ``Outcome
Number``, ``Subgroup Number``, ``Name``, ``Events 1``, ``Total 1``, ...; its headings are rows too,
which carry the outcome's name, measure and group labels (columns as in R's ``meta::read.rm5``).
"""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence.readers.arms import CONTROL, EXPERIMENTAL
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Reading
from nmda_bayes.evidence.readers.revman_rows import Analyses, revman_reading

NUMBERS = {
    "events1": "Events 1|Experimental cases|Experimental events",
    "n1": "Total 1|Experimental N|Experimental total",
    "mean1": "Mean 1|Experimental mean",
    "sd1": "SD 1|Std Dev 1|Experimental SD",
    "events2": "Events 2|Control cases|Control events",
    "n2": "Total 2|Control N|Control total",
    "mean2": "Mean 2|Control mean",
    "sd2": "SD 2|Std Dev 2|Control SD",
    "o_e": "O-E",
    "variance": "Variance",
}
LABELS = {
    "group1": "Group Label 1|Experimental group label|Experimental intervention|Experimental",
    "group2": "Group Label 2|Control group label|Control intervention|Comparator",
    "ci_low": "CI start",
    "ci_high": "CI end",
    "year": "Study year|Year of study",
}
COUNTED = {role: NUMBERS[role] for role in ("n1", "n2")}
OTHERS = {role: names for role, names in NUMBERS.items() if role not in COUNTED}


@reader(
    "revman/data_rows",
    "RevMan Web or Cochrane Library: one row a trial in an analysis (data-rows.csv)",
    needed={"study": "Study|Study or Subgroup", **COUNTED},
    optional={
        **OTHERS,
        **LABELS,
        "comparison": "Analysis group|Comparison Number",
        "number": "Analysis number|Outcome Number",
        "name": "Analysis name|Outcome",
        "subgroup": "Subgroup",
        "effect": "Mean|Effect estimate",
        "giv": "GIV Mean",
        "giv_se": "GIV SE",
        "kind": "Effect measure",
    },
)
def data_rows(table: Foreign) -> Reading:
    """Read one row a trial."""
    parts = [table.text("comparison"), table.text("number"), table.text("name")]
    numbered = (parts[0] + "." + parts[1]).str.strip(".")
    outcome = (numbered + " " + parts[2]).str.strip()
    analyses = Analyses(
        rows=table.every,
        study=table.text("study"),
        outcome=outcome,
        subgroup=table.text("subgroup"),
        kind=pd.Series("", index=outcome.index, dtype="str"),
        measure=table.text("kind"),
        names=_names(table, parts[0]),
        estimate="giv",
        se="giv_se",
        natural="effect",
    )
    return revman_reading(table, analyses)


@reader(
    "revman/export",
    "RevMan 5: one row a heading or a trial in an analysis (exported data and analyses)",
    needed={
        "comparison": "Comparison Number",
        "number": "Outcome Number",
        "subgroup": "Subgroup Number",
        "study": "Name",
        "kind": "Data Type",
        **COUNTED,
    },
    optional={
        **OTHERS, **LABELS, "measure": "Effect Measure", "effect": "Effect Estimate", "se": "SE",
    },
)  # fmt: skip
def export(table: Foreign) -> Reading:
    """Read RevMan 5's export, whose headings are rows."""
    number, kind = table.text("number"), table.text("kind")
    title = number.isin(["", "0"])
    heading = ~title & (kind != "") & table.text("subgroup").isin(["", "0"])
    subheading = ~title & (kind != "") & ~heading
    analysis = table.text("comparison") + "." + number

    def of_heading(role: str) -> pd.Series:
        """Give every row what the heading of its analysis says."""
        said = table.text(role)[heading].groupby(analysis[heading]).first()
        return analysis.map(said).fillna("").astype("str")

    rows = ~(title | heading | subheading)
    lost = rows & ~analysis.isin(analysis[heading])
    table.fault(
        lost,
        "number",
        "no heading row names this analysis",
        "Export the analysis again with its heading, whose 'Data Type' says what the rows are.",
    )
    labels = tuple(
        of_heading(role).where(lambda x: x != "", word)  # noqa: B023
        for role, word in (("group1", EXPERIMENTAL), ("group2", CONTROL))
    )
    sub = analysis + "." + table.text("subgroup")
    analyses = Analyses(
        rows=rows,
        study=table.text("study"),
        outcome=(analysis + " " + of_heading("study")).str.strip(),
        subgroup=sub.where(~table.text("subgroup").isin(["", "0"]), ""),
        kind=of_heading("kind"),
        measure=of_heading("measure"),
        names=_said(table, labels[0], labels[1]),
        estimate="effect",
        se="se",
        natural="effect",
    )
    return revman_reading(table, analyses)


def _names(table: Foreign, comparison: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Name the groups: in the table's words, the user's, or apart for each comparison."""
    several = len(set(comparison) - {""}) > 1 and not table.groups
    suffix = (" of comparison " + comparison).where((comparison != "") & several, "")
    words = []
    for role, word in (("group1", EXPERIMENTAL), ("group2", CONTROL)):
        said = table.text(role)
        words.append(said.where(said != "", word + suffix))
    if not table.has("group1", "group2") and not table.groups:
        table.note(
            f"The table does not name its groups: they are called '{EXPERIMENTAL}' and"
            f" '{CONTROL}'{', apart for each comparison' if several else ''}. Name them with"
            " --say groups=FIRST,SECOND."
        )
    return _said(table, words[0], words[1])


def _said(table: Foreign, one: pd.Series, two: pd.Series) -> tuple[pd.Series, pd.Series]:
    if table.groups:
        table.note(f"The groups are '{table.groups[0]}' and '{table.groups[1]}', as you say.")
        one, two = (pd.Series(word, index=one.index, dtype="str") for word in table.groups)
    one, two = (
        table.one_placebo(names, table.columns.get(role, "group label"))
        for role, names in (("group1", one), ("group2", two))
    )
    return one, two
