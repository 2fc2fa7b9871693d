"""Why a table of no known layout cannot be read: what it lacks, or what it holds instead."""

from __future__ import annotations

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.importers.base import normalise_name
from nmda_bayes.evidence.importers.effect_columns import MEASURES
from nmda_bayes.evidence.importers.vocabulary import column_of, is_numeric, user_columns
from nmda_bayes.evidence.table_io import RawTable

#: Headings that tell what a table holds, and why it is not an effect of a treatment.
_OTHER_CONTENT = (
    ({"tp", "fp", "fn", "tn"}, "diagnostic accuracy (tp, fp, fn, tn), which compares no groups"),
    ({"tp", "np", "tn", "nn"}, "diagnostic accuracy (tp, np, tn, nn), which compares no groups"),
    ({"alpha", "items"}, "reliabilities (alpha), which have no model in this package"),
)
_T_STATISTICS = "t tval tvalue tstat tstatistic ti"


def other_content(table: RawTable) -> Issue | None:
    """The reason why a table cannot be read, where it holds no effects at all."""
    names = {normalise_name(column) for column in user_columns(table)}
    for words, content in _OTHER_CONTENT:
        if words <= names:
            hint = "Compute an effect and its standard error for each study (estimate, se)."
            return table.issue("E236", f"the table holds {content}", hint, 1)
    return None


def unsupported_content(table: RawTable) -> Issue | None:
    """The reason why a table cannot be read, where its headings show it."""
    columns = user_columns(table)
    content = other_content(table)
    if content is not None:
        return content
    study = column_of(columns, "study")
    numeric = [column for column in columns if is_numeric(table, column)]
    effect = next((c for c in numeric if normalise_name(c) in MEASURES), "")
    statistic = column_of(numeric, "", _T_STATISTICS)
    if study and effect:
        message = f"'{effect}' has no standard error, variance or interval"
        hint = "Add a column se, or ci_low and ci_high, or the numbers of both groups."
        return table.issue("E236", message, hint, 1, effect)
    if study and statistic:
        message = f"'{statistic}' is a test statistic without the effect that it tests"
        return table.issue("E236", message, "Add the effects (estimate).", 1, statistic)
    agent = column_of(columns, "agent")
    others = [c for c in numeric if c not in (study, agent)]
    if study and agent and len(others) == 1:
        rows = table.cells[[study, agent]]
        if rows.duplicated().mean() > 0.5:
            message = f"the rows look like participants ('{others[0]}' without a number of people)"
            hint = (
                "Number the participants in a column person, and name the others study, agent and"
                " value (or event)."
            )
            return table.issue("E236", message, hint, 1, others[0])
    return None
