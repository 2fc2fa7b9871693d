"""One effect per row: metafor's yi with vi or sei, effects under other names, and correlations.

Sources: metafor's ``escalc`` (effects yi with variances vi; correlations ri of ni pairs).
A correlation becomes Fisher's z = atanh(r) with variance 1 / (n - 3) (Fisher RA (1921), Metron
1:3), metafor's ZCOR.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.importers.base import (
    LOG_MEASURES,
    PASSTHROUGH_COLUMNS,
    ImportResult,
    RoleColumns,
    SourceTable,
    TableFormat,
    matched_format,
    register_format,
)
from nmda_bayes.evidence.importers.crosscheck import check_ratio, check_standard_errors
from nmda_bayes.evidence.importers.effect_columns import (
    RATIOS,
    effect_columns,
    interval_level,
    measure_of_heading,
)
from nmda_bayes.evidence.importers.headings import parse_heading
from nmda_bayes.evidence.importers.reshape import (
    Columns,
    copies_text,
    group_names,
    rows_with_results,
    separate_rows,
    trial_names,
    two_group_contrast,
)
from nmda_bayes.evidence.importers.vocabulary import (
    column_of,
    is_numeric,
    number_values,
    user_columns,
)
from nmda_bayes.evidence.table_io import RawTable

#: Measures of a single group.
ONE_GROUP_MEASURES = "PR|PLN|PLO|PAS|PFT|IR|IRLN|IRS|IRFT|MN|MNLN|SDLN"
#: The sides of a correlation, which compares no groups.
CORRELATION, NO_CORRELATION = "correlation", "no correlation"
#: Fisher's z of a correlation.
FISHER_Z = "ZCOR"


def read_effects(table: SourceTable) -> ImportResult:
    """The contrast of each row."""
    complete = rows_with_results(table, "estimate")
    measure, estimate = table.text("measure"), table.column("estimate")
    hint = "Enter the counts or means of both groups."
    single = measure.str.fullmatch(ONE_GROUP_MEASURES)
    table.issue("E211", "measure", single, "a measure of a single group", hint)
    heading = measure_of_heading(estimate)
    if heading:
        measure = measure.where(measure != "", heading)
    else:
        ratio = measure.isin(RATIOS) & ~_is_symmetric(table)
        measure = measure.where(ratio, measure.replace(LOG_MEASURES))
    values: Columns = {"estimate": (table.numbers("estimate"), estimate), **_errors(table)}
    if (measure != "").any():
        values["measure"] = measure, table.column("measure") or estimate
    for role, flat in (("n1", "n_treat"), ("n2", "n_control")):
        if table.has(role):
            values[flat] = table.text(role), table.column(role)
    if heading in RATIOS:
        table.note(f"'{estimate}' holds ratios ({heading}), which are log-transformed.")
    else:
        table.note(f"'{estimate}' is read on the scale of the analysis (ratios as logarithms).")
        check_ratio(table, "ratio", "estimate")
    return _contrasts(table, complete, values, group_names(table))


def _errors(table: SourceTable) -> Columns:
    """The standard error of each effect, of its column, its variance or its interval."""
    if table.has("variance"):
        check_standard_errors(table)
        variance, column = table.numbers("variance"), table.column("variance")
        hint = "Leave an unknown one empty."
        table.issue("E123", "variance", variance <= 0, "a variance must be above 0", hint)
        table.note(f"The standard error is the square root of '{column}'.")
        return {"se": (np.sqrt(variance.where(variance > 0)), column)}
    if table.has("se"):
        return {"se": (table.text("se"), table.column("se"))}
    low, high = table.column("ci_low"), table.column("ci_high")
    level = interval_level([low, high]) or table.ci_level
    stated = table.text("ci_level") if table.has("ci_level") else table.constant("")
    if level is not None and not table.has("ci_level"):
        stated = table.constant(f"{level}")
    return {
        "ci_low": (table.text("ci_low"), low),
        "ci_high": (table.text("ci_high"), high),
        "ci_level": (stated, ""),
    }


def _contrasts(
    table: SourceTable, rows: pd.Series, values: Columns, groups: tuple[pd.Series, pd.Series]
) -> ImportResult:
    """Contrasts of trials, of which several of one trial need a distinction."""
    outcome = _outcome(table)
    if outcome is not None:
        values = {**values, "outcome": outcome}
    keys = [*groups, *(table.passthrough(name) for name in sorted(PASSTHROUGH_COLUMNS))]
    keys += [outcome[0]] if outcome else []
    # An id of a row may be that of an effect: it names trials only where nothing else does.
    named = table.column("study").casefold().rstrip("s") == "author"
    study = trial_names(table, keys, ("id",) if named else ("sample",))
    table.set_reference(*groups)
    repeated = pd.concat([study["study"][0], *keys], axis=1)[rows].duplicated()
    if repeated.any():
        repeated = repeated.reindex(rows.index, fill_value=False)
        _ask_about_repeated(table, repeated)
        study = {"study": (separate_rows(study["study"][0], repeated), study["study"][1])}
    _ask_about_arms(table, study["study"][0], groups, rows)
    table.used |= {table.column(role) for role in ("se", "ratio") if table.has(role)}
    return table.assemble([two_group_contrast(table, rows, groups, {**study, **values})])


def _outcome(table: SourceTable) -> tuple[pd.Series, str] | None:
    """Outcomes of a column of the user, or the pairs of variables that are correlated."""
    if table.has("outcome"):
        return table.text("outcome"), table.column("outcome")
    if table.has("variable1", "variable2"):
        names = table.text("variable1") + " and " + table.text("variable2")
        columns = f"'{table.column('variable1')}' and '{table.column('variable2')}'"
        table.note(f"Each pair of {columns} is an outcome.")
        return names, table.column("variable1")
    return None


def _ask_about_repeated(table: SourceTable, repeated: pd.Series) -> None:
    """Ask about several effects of a trial that nothing tells apart; until then each is a trial."""
    study = table.text("study")
    copies = copies_text(table, repeated)
    if table.repeated is not None:
        table.note(
            f"{repeated.sum()} further effects of a trial{copies} are analysed as trials of their"
            " own (set by you); their dependence is ignored."
        )
        return
    other = [c for c in user_columns(table.raw) if c not in table.columns.values()]
    distinct = [
        column
        for column in other
        if not pd.concat([study, table.raw.cells[column]], axis=1).duplicated().any()
    ]
    named = f"name them with {set_text('column.outcome', distinct[0])}" if distinct else (
        "name them in a column outcome"
    )  # fmt: skip
    table.ask(
        "E223",
        "study",
        f"{repeated.sum()} row(s) are further effects of a trial ('{study[repeated].iloc[0]}' the"
        f" first), with the same groups and outcome{copies}",
        "--set repeated=separate analyses each row as a trial of its own and ignores their"
        f" dependence. If they are different outcomes, {named}.",
        int(table.lines[repeated].iloc[0]),
    )


def _ask_about_arms(
    table: SourceTable, study: pd.Series, groups: tuple[pd.Series, pd.Series], rows: pd.Series
) -> None:
    """Ask what several treatments of one trial without a comparator are compared with."""
    if not table.has("agent1") or table.has("agent2"):
        return
    several = groups[0][rows].groupby(study[rows]).transform("nunique") > 1
    if several.any():
        table.ask(
            "E225",
            "agent1",
            f"trials have several rows that differ in '{table.column('agent1')}', and no column"
            " names the comparator",
            "If each row is the result of one arm, --format arms; if it is an effect, add the"
            " columns comparator and comparator_se.",
            int(table.lines[rows][several].iloc[0]),
        )


def _is_symmetric(table: SourceTable) -> pd.Series:
    """Mark the rows whose interval is symmetric about the effect, as of a logarithm."""
    if not table.has("ci_low", "ci_high"):
        return table.rows(table.column("estimate").casefold() in ("yi", "te"))
    low, high = table.numbers("ci_low"), table.numbers("ci_high")
    middle = table.numbers("estimate")
    return ((low + high) / 2 - middle).abs() < 0.05 * (high - low)


def read_correlations(table: SourceTable) -> ImportResult:
    """Fisher's z of the correlation of each row."""
    complete = rows_with_results(table, "r", "n")
    r, n, column = table.numbers("r"), table.numbers("n"), table.column("r")
    for role, broken, message, hint in (
        ("r", complete & (r.abs() >= 1), "a correlation is between -1 and 1", "Check the number."),
        ("n", complete & (n <= 3), "Fisher's z needs more than 3 pairs", "Delete the row."),
    ):
        table.issue("E224", role, broken, message, hint)
    values: Columns = {
        "estimate": (pd.Series(np.arctanh(r.where(r.abs() < 1)), index=r.index), column),
        "se": ((n - 3).where(n > 3) ** -0.5, table.column("n")),
        "measure": (table.constant(FISHER_Z), column),
        "n_treat": (table.text("n"), table.column("n")),
    }
    table.note(
        f"'{column}' is read as correlations: Fisher's z = atanh(r) with standard error"
        f" 1/sqrt({table.column('n')} - 3). tanh of a result is a correlation."
    )
    groups = table.constant(CORRELATION), table.constant(NO_CORRELATION)
    result = _contrasts(table, complete, values, groups)
    result.reference = NO_CORRELATION
    return result


@register_format(
    "effects/peto",
    "one row per trial: observed minus expected events (O-E) with their variance V",
    required={"study": "study|trial|id", "o_e": "O-E|OmE", "variance": "V"},
    optional={"outcome": "outcome"},
)
def read_peto(table: SourceTable) -> ImportResult:
    """Peto's log ratio of each row, (O - E) / V with standard error 1 / sqrt(V)."""
    complete = rows_with_results(table, "o_e", "variance")
    variance, column = table.numbers("variance"), table.column("variance")
    message = "the variance must be above 0"
    table.issue("E123", "variance", complete & ~(variance > 0), message, "Check the number.")
    variance = variance.where(variance > 0)
    values: Columns = {
        "estimate": (table.numbers("o_e") / variance, table.column("o_e")),
        "se": (variance**-0.5, column),
        "measure": (table.constant("log ratio"), column),
    }
    table.note(
        f"'{table.column('o_e')}' and '{column}' are read as Peto's log ratio (O-E)/V with standard"
        " error 1/sqrt(V)."
    )
    return _contrasts(table, complete, values, group_names(table))


EFFECT_COLUMNS = {
    "study": "slab|study|studlab|author|trial",
}
EFFECT_OPTIONAL = {
    "agent1": "group1|treat1|treatment|trt|agent|intervention",
    "agent2": "group2|treat2|control|comparator",
    "year": "year",
    "id": "id",
    "sample": "sampleid|sample|cohort|experiment",
    "measure": "measure",
    "n1": "n1i",
    "n2": "n2i",
    "ratio": "or|rr|hr",
}


def _register(name: str, about: str, required: RoleColumns, optional: RoleColumns) -> None:
    register_format(
        name,
        about,
        required={**EFFECT_COLUMNS, **required},
        optional={**EFFECT_OPTIONAL, **optional},
    )(read_effects)


_register(
    "escalc/variances",
    "metafor: one row per contrast, effect yi with variance vi",
    {"estimate": "yi", "variance": "vi"},
    {"se": "sei"},
)
_register(
    "escalc/errors",
    "metafor: one row per contrast, effect yi with standard error sei",
    {"estimate": "yi", "se": "sei"},
    {},
)
_register(
    "effects/errors",
    "one row per contrast: an effect under its usual heading (lnOR, logHR, SMD) with selnOR, se",
    {"estimate": "lnOR", "se": "selnOR"},
    {},
)
_register(
    "effects/variances",
    "one row per contrast: an effect under its usual heading with its variance",
    {"estimate": "logOR", "variance": "varlogOR"},
    {},
)
_register(
    "effects/intervals",
    "one row per contrast: an effect or ratio (OR, RR, HR) with its interval, lower to upper",
    {"estimate": "OR", "ci_low": "lower", "ci_high": "upper"},
    {},
)
register_format(
    "effects/correlations",
    "metafor: one row per correlation ri of ni pairs",
    required={**EFFECT_COLUMNS, "r": "ri", "n": "ni"},
    optional={
        "year": "year",
        "sample": "sampleid",
        "outcome": "outcome",
        "variable1": "var1",
        "variable2": "var2",
    },
)(read_correlations)


def _common_columns(table: RawTable, columns: list[str]) -> dict[str, str]:
    names = {role: column_of(columns, role) for role in ("study", "year", "author", "outcome")}
    others = [c for c in columns if c != names["study"]]
    names["id"] = column_of(others, "id")
    names["sample"] = column_of(others, "", "sampleid sample cohort experiment")
    pair = [column_of(columns, "", f"{stem}1 {stem}i") for stem in ("var", "variable")]
    other = [column_of(columns, "", f"{stem}2 {stem}j") for stem in ("var", "variable")]
    for first, second in zip(pair, other, strict=True):
        if first and second and not is_numeric(table, first):
            names |= {"variable1": first, "variable2": second}
    return names


def _detect_peto(table: RawTable, columns: list[str]) -> TableFormat | None:
    """Observed minus expected events with their variance."""
    study = column_of(columns, "", "study studlab trial id author")
    difference = column_of(columns, "", "oe ome ominuse oei")
    variance = column_of(columns, "", "v vi variance var")
    if not (study and difference and variance):
        return None
    roles = {"study": study, "o_e": difference, "variance": variance}
    return matched_format("effects/peto", roles, outcome=column_of(columns, "outcome"))


def detect_effects(table: RawTable) -> TableFormat | None:
    """Find an effect with its error, or a correlation of n pairs, in the headings of a table."""
    columns = user_columns(table)
    common = _common_columns(table, columns)
    study = common.pop("study")
    if not study:
        return None
    peto = _detect_peto(table, columns)
    if peto is not None:
        return peto
    correlation = _detect_correlation(table, columns, study, common)
    if correlation is not None:
        return correlation
    matched = effect_columns(table, [column for column in columns if column != study])
    if not matched:
        return None
    layout = next(
        name
        for name, role in (("variances", "variance"), ("errors", "se"), ("intervals", "ci_low"))
        if role in matched
    )
    roles = {
        "variances": ("estimate", "variance"),
        "errors": ("estimate", "se"),
        "intervals": ("estimate", "ci_low", "ci_high"),
    }[layout]
    others = {role: name for role, name in matched.items() if role not in roles}
    agents = {
        "agent1": column_of(
            columns, "agent", "treat1 treatment1 agent1 group1 agent treatment trt"
        ),
        "agent2": column_of(
            columns, "comparator", "treat2 treatment2 agent2 group2 comparator control reference"
        ),
    }
    free = [column for column in columns if column not in (study, *matched.values())]
    for side, role in (("agent1", "agent"), ("agent2", "comparator")):
        agents[side] = agents[side] or _column_of_text(table, free, role)
    sizes = {"n1": column_of(columns, "", "n1i n1"), "n2": column_of(columns, "", "n2i n2")}
    if agents["agent1"] and agents["agent2"] and layout == "errors":
        # All pairs of a trial with several arms are reduced, as those of netmeta.
        return matched_format(
            "netmeta/contrasts",
            {"study": study, **agents, **{role: matched[role] for role in roles}},
            measure=column_of(columns, "", "measure sm"),
            comparator_se=column_of(columns, "", "comparatorse"),
            dose1=column_of(columns, "", "dose1 dose"),
            dose2=column_of(columns, "", "dose2 comparatordose"),
        )
    extra = {"measure": column_of(columns, "", "measure sm"), "ci_level": _level_column(columns)}
    return matched_format(
        f"effects/{layout}",
        {"study": study, **{role: matched[role] for role in roles}},
        **{**common, **others, **agents, **sizes, **extra},
    )


def _column_of_text(table: RawTable, columns: list[str], role: str) -> str:
    """The column of text whose heading has a role; empty where there is none."""
    headings = [parse_heading(column) for column in columns if not is_numeric(table, column)]
    roles = ("agent", "arm") if role == "agent" else (role,)
    named = [heading for heading in headings if heading.role in roles and not heading.label]
    return min(named, key=lambda heading: heading.tier).column if named else ""


def _level_column(columns: list[str]) -> str:
    return column_of(columns, "", "cilevel level conflevel")


def _detect_correlation(
    table: RawTable, columns: list[str], study: str, common: dict[str, str]
) -> TableFormat | None:
    """A column of correlations: not whole numbers, all from -1 to 1, with a number of pairs."""
    r = column_of(columns, "", "ri r cor corr correlation")
    n = column_of(columns, "n", "ni n npairs samplesize total size")
    if not (r and n and is_numeric(table, r) and is_numeric(table, n)):
        return None
    values = number_values(table, r).dropna()
    whole = bool((np.mod(values, 1) == 0).all())
    if whole or (values.abs() > 1).any():
        return None
    return matched_format("effects/correlations", {"study": study, "r": r, "n": n}, **common)
