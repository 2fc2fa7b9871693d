"""Arms and contrasts in the forms that several conventions share: long, wide, in pairs.

netmeta lists all k (k - 1) / 2 contrasts of a trial with k arms, of which k - 1 are independent.
The variance of a contrast is the sum of the variances of its arms, so the pairs also give the
variance of each arm: V_A = (s_AB² + s_AC² - s_BC²) / 2 for three arms, least squares for more. The
covariance of contrasts with a common comparator is the comparator's variance (Franchini et al.
2012).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from nmda_bayes.evidence.importers.base import PLACEBO, Fragment, ImportResult, SourceTable
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.table_io import LINE

#: Series by flat column, with the user's column behind each.
Columns = dict[str, tuple[pd.Series, str]]

#: The only group of each trial, where it has no name.
ALL_PEOPLE = "all"

# Trials.


def trial_names(
    table: SourceTable, keys: Sequence[pd.Series] = (), ids: Sequence[str] = ("id", "author")
) -> Columns:
    """The name of the trial of each row, with the year or id where names alone repeat.

    A trial has one year. `keys` are what may differ between the rows of a trial, `ids` the roles
    that may tell trials of one name apart.
    """
    names, column = table.text("study"), table.column("study")
    if column.casefold().rstrip("s") == "author" and table.has("year"):
        table.note(f"Studies are named by '{column}' and '{table.column('year')}'.")
        joined = (names + " " + table.text("year")).str.strip()
        names = joined.where(names != "", "")
    elif table.has("year"):
        several = table.text("year").groupby(names).transform("nunique") > 1
        names = _join_names(table, names, several & (names != ""), "year")
    for role in ids:
        if table.has(role) and table.column(role) != column:
            repeated = _repeated_names(names, keys)
            joined = names.mask(repeated, names + " " + table.text(role))
            if repeated.any() and not _repeated_names(joined, keys).any():
                names = _join_names(table, names, repeated, role)
    return {"study": (names, column)}


def _repeated_names(names: pd.Series, keys: Sequence[pd.Series]) -> pd.Series:
    """Mark the rows of the trials in which two rows are alike."""
    frame = pd.concat([names, *keys], axis=1)
    return (frame.duplicated() & (names != "")).groupby(names).transform("any")


def _join_names(table: SourceTable, names: pd.Series, rows: pd.Series, role: str) -> pd.Series:
    if not rows.any():
        return names
    listed = ", ".join(f"'{name}'" for name in list(dict.fromkeys(names[rows]))[:5])
    table.note(
        f"'{table.column(role)}' distinguishes trials of one name ({listed}): it is part of their"
        " names."
    )
    return names.mask(rows, (names + " " + table.text(role)).str.strip())


def separate_rows(study: pd.Series, rows: pd.Series) -> pd.Series:
    """The name of each trial, with a number in the rows that repeat one."""
    number = (study.groupby(study).cumcount() + 1).astype("str")
    return study.where(~rows, study + " (" + number + ")")


def copies_text(table: SourceTable, repeated: pd.Series) -> str:
    """How many repeated rows are equal to another in every column, as part of a text."""
    columns = [name for name in map(str, table.raw.cells) if name != LINE]
    copies = int((table.raw.cells[columns].duplicated() & repeated).sum())
    return f", {copies} of them equal to another row in every column" if copies else ""


def rows_with_results(table: SourceTable, *roles: str) -> pd.Series:
    """Mark the rows with every number; the others are set aside, with a note."""
    empty = table.rows(False)
    for role in roles:
        if table.has(role):
            empty |= table.is_blank(role)
    if empty.any():
        columns = ", ".join(f"'{table.column(role)}'" for role in roles if table.has(role))
        names = [f"'{shorten(name)}'" for name in dict.fromkeys(table.text("study")[empty]) if name]
        listed = f" ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})" if names else ""
        table.note(
            f"Set aside, {empty.sum()} row(s) without a number in {columns}: row"
            f" {table.lines_text(empty)}{listed}."
        )
    return ~empty


def drop_repeated_arms(table: SourceTable, result: ImportResult) -> None:
    """Read an arm that several rows of its trial repeat once, with a note."""
    key = ["study", "agent", "arm", "dose", "outcome", "time_label", *RESULT_ROLES]
    repeated = result.cells.duplicated([c for c in key if c in result.cells]).to_numpy()
    if repeated.any():
        studies = ", ".join(f"'{s}'" for s in dict.fromkeys(result.cells["study"][repeated]))
        table.note(f"An arm in several rows of its trial is read once (study {studies}).")
        result.keep(~repeated)


# Arms.

#: Columns of an arm, and of its result.
ARM_ROLES = ("dose", "arm", "time_label")
RESULT_ROLES = ("events", "n", "person_time", "mean", "sd", "se")


def arm_rows(
    table: SourceTable,
    rows: pd.Series,
    agents: pd.Series,
    side: str = "",
    shared: Columns | None = None,
    results: tuple[str, ...] = RESULT_ROLES,
) -> Fragment:
    """One arm of each row: the columns whose role ends in `side`."""
    part = table.fragment(rows, (*ARM_ROLES, *results), side)
    shared = shared or {"study": (table.text("study"), table.column("study"))}
    for name, (values, column) in shared.items():
        part.add(name, values, column)
    part.add("agent", agents, table.column(f"agent{side}"))
    return part


def long_arms(table: SourceTable) -> Fragment:
    """One arm per row."""
    if table.has("time_label"):
        table.note(
            f"'{table.column('time_label')}' has no unit in this format: it distinguishes the times"
            " of a study (time_label). Add time_hours to order them."
        )
    return arm_rows(table, table.rows(), table.agents("agent"))


def numbered_sides(table: SourceTable) -> list[str]:
    """The numbers of the arms of a wide table: ``agent1``, ``agent2``, ..."""
    matches = [re.fullmatch(r"agent(\d)", role) for role in table.columns]
    return sorted(match[1] for match in matches if match)


def wide_arms(table: SourceTable) -> list[Fragment]:
    """The arms of wide rows; an arm without a name and numbers does not exist."""
    parts, arms, without = [], {}, table.rows(False)
    for side in numbered_sides(table):
        named, filled = ~table.is_blank(f"agent{side}"), table.rows(False)
        complete = table.rows()
        for name in RESULT_ROLES:
            if table.has(name + side):
                filled |= ~table.is_blank(name + side)
                complete &= ~table.is_blank(name + side)
        hint = "Name the arm, or clear its cells."
        unnamed = filled & ~named
        table.issue("E205", f"agent{side}", unnamed, "numbers of an arm without a name", hint)
        without |= named & ~complete
        arms[side] = named & complete
    n_arms = sum(mask.astype(int) for mask in arms.values())
    single = without & (n_arms < 2)
    if without.any():
        table.note(
            f"Set aside, arms without numbers in row {table.lines_text(without)}"
            + (
                f"; their trials have no other comparison: row {table.lines_text(single)}."
                if single.any()
                else "."
            )
        )
    for side, mask in arms.items():
        parts.append(arm_rows(table, mask & ~single, table.agents(f"agent{side}"), side))
    return parts


# Rows that compare two groups.

#: The two groups of a table that does not name them.
EXPERIMENTAL, CONTROL = "experimental", "control"


def group_names(
    table: SourceTable,
    labels: tuple[pd.Series, pd.Series] | None = None,
    suffix: pd.Series | str = "",
) -> tuple[pd.Series, pd.Series]:
    """The names of the two groups of each row: of the table, the user, or else default ones.

    With `labels` the user's names take precedence and blank labels have defaults; otherwise both
    apply only where the table has no column of names.
    """
    names = []
    for position, (role, default) in enumerate((("agent1", EXPERIMENTAL), ("agent2", CONTROL))):
        name = table.text(role) if labels is None else labels[position]
        if labels is not None or not table.has(role):
            name = name.where(name != "", default + suffix)
            name = table.constant(table.groups[position]) if table.groups else name
        names.append(table.normalise_placebo(name, table.column(role) or "group label"))
    if table.groups:
        table.note(f"The groups are '{table.groups[0]}' and '{table.groups[1]}' (set by you).")
    elif not table.has("agent1", "agent2"):
        table.note(
            f"The table does not name its groups; they are called '{EXPERIMENTAL}' and '{CONTROL}'"
            f"{'' if isinstance(suffix, str) else ' (of each comparison)'}."
            " Name them with --set groups=FIRST,SECOND."
        )
    return names[0], names[1]


def two_arms(
    table: SourceTable,
    rows: pd.Series,
    groups: tuple[pd.Series, pd.Series],
    shared: Columns,
    results: tuple[str, ...] = RESULT_ROLES,
) -> list[Fragment]:
    """The two arms of each row, the second group first."""
    return [arm_rows(table, rows, groups[side - 1], str(side), shared, results) for side in (2, 1)]


def two_group_contrast(
    table: SourceTable, rows: pd.Series, groups: tuple[pd.Series, pd.Series], values: Columns
) -> Fragment:
    """The contrast of each row: the first group against the second."""
    part = Fragment(rows)
    groups_of = {"agent": (groups[0], "agent1"), "comparator": (groups[1], "agent2")}
    for name, (series, column) in values.items():
        part.add(name, series, column)
    for name, (series, role) in groups_of.items():
        part.add(name, series, table.column(role))
    return part


# Contrasts with a baseline arm that is a row with NA for the effect (multinma, gemtc).


def baseline_contrasts(table: SourceTable, effect: str) -> Fragment:
    """The contrast of each row with the row of its study that has no effect."""
    study, agent = table.text("study"), table.agents("agent")
    table.numbers(effect)
    se, baseline = table.numbers("se"), table.is_blank(effect)
    n_arms = baseline.groupby(study).transform("size")
    n_baselines = baseline.groupby(study).transform("sum")
    column, se_column = table.column(effect), table.column("se")
    table.issue(
        "E206",
        effect,
        ~study.duplicated() & (n_baselines == 0) & (study != ""),
        "the study has no baseline arm: every row has an effect",
        f"Add the arm that the others are compared with, with NA in '{column}'.",
    )
    repeated = baseline & (baseline.groupby(study).cumsum() > 1)
    message, hint = "a second baseline arm in the study", "Fill in the effect, or delete the row."
    table.issue("E207", effect, repeated, message, hint)
    single = baseline & (n_baselines == 1)
    message = "the study has only a baseline arm"
    hint = "Add its other arm, or delete the row."
    table.issue("E208", "study", single & (n_arms == 1), message, hint)
    table.issue(
        "E209",
        "se",
        single & (n_arms >= 3) & se.isna(),
        "the baseline's standard error is missing: with three or more arms the correlation of the"
        " effects is unknown",
        f"Fill in '{se_column}' of the baseline row: the standard error of its own mean.",
    )
    places = pd.Series(range(len(study)), index=study.index).where(baseline & ~repeated)
    places = places.groupby(study).transform("max").fillna(0).astype(int)

    def of_baseline(values: pd.Series) -> pd.Series:
        return values.iloc[places].set_axis(study.index)

    part = table.fragment(~baseline, ("study", "se", "dose", "time_label"))
    part.add("estimate", table.text(effect), column)
    part.add("agent", agent, table.column("agent"))
    part.add("comparator", of_baseline(agent), table.column("agent"))
    part.add("comparator_se", of_baseline(se), se_column)
    if table.has("dose"):
        part.add("comparator_dose", of_baseline(table.text("dose")), table.column("dose"))
    table.set_reference(part.cells["agent"], part.cells["comparator"])
    table.note(
        f"'{column}' is the effect against the study's row with NA; that row's '{se_column}' is the"
        " standard error of its own mean (comparator_se)."
    )
    return part


# All pairs of a multi-arm trial, reduced to independent contrasts.

#: Largest relative difference of a printed variance from the sum of its arms' variances.
VARIANCE_TOLERANCE = 0.1
#: Largest sum of the effects around a triangle, in standard errors.
EFFECT_TOLERANCE = 0.1


def independent_contrasts(table: SourceTable, rows: pd.DataFrame) -> pd.DataFrame:
    """Choose the pairs of each multi-arm trial that have one common comparator.

    Returns for each row: `keep`, `reverse` (exchange the two sides) and `comparator_se`.
    """
    reduced = rows[["comparator_se"]].assign(keep=True, reverse=False)
    complete = rows[["estimate", "se"]].notna().all(axis=1) & (rows["se"] > 0)
    for _, trial in rows.groupby(["study", "key"], sort=False):
        if len(trial) > 1 and complete[trial.index].all():
            _reduce_trial(table, trial, reduced)
    return reduced


def _reduce_trial(table: SourceTable, trial: pd.DataFrame, reduced: pd.DataFrame) -> None:
    sides = list(zip(trial["arm"], trial["other"], strict=True))
    arms = list(dict.fromkeys([*trial["arm"], *trial["other"]]))
    study, n_pairs = trial["study"].iloc[0], len(arms) * (len(arms) - 1) // 2

    def refuse(code: str, role: str, message: str, hint: str, rows: pd.Index | None = None) -> None:
        broken = reduced.index.isin(trial.index[:1] if rows is None else rows)
        table.issue(code, role, broken, f"study '{study}': {message}", hint)

    repeated = pd.Series([frozenset(side) for side in sides], index=trial.index).duplicated()
    if repeated.any():
        hint = (
            "If they are different outcomes, name them in a column 'outcome'; if different trials,"
            " give each its own name. Delete only a row that was copied."
        )
        refuse("E127", "estimate", "the same two arms twice", hint, trial.index[repeated])
        return
    if trial["comparator_se"].notna().all() and len(sides) == len(arms) - 1:
        return
    if len(sides) < n_pairs:
        message = f"{len(sides)} of the {n_pairs} contrasts of {len(arms)} arms"
        hint = (
            "Add the missing contrasts, or a column comparator_se with the standard error of the"
            " comparator arm alone, or keep one contrast of the study."
        )
        refuse("E212", "se", f"{message}: their correlation is unknown", hint)
        return
    design = np.array([[(arm in side) * 1.0 for arm in arms] for side in sides])
    printed = trial["se"].to_numpy() ** 2
    variances, *_ = np.linalg.lstsq(design, printed, rcond=None)
    difference = np.abs(design @ variances / printed - 1).max()
    if variances.min() <= 0 or difference > VARIANCE_TOLERANCE:
        message = f"its standard errors contradict each other, by {difference:.0%} of a variance"
        if variances.min() <= 0:
            arm = arms[int(variances.argmin())]
            message = f"its standard errors leave no variance for arm '{arm}'"
        hint = "Check them: se² of a contrast is the sum of the variances of its two arms."
        refuse("E213", "se", message, hint)
        return
    inconsistency = _inconsistency(trial, arms)
    if inconsistency:
        hint = "Check their signs and the order of treatments: A vs B and B vs C give A vs C."
        refuse("E214", "estimate", inconsistency, hint)
        return
    uses = trial["other"].value_counts()
    base = PLACEBO if PLACEBO in arms else max(arms, key=lambda arm: int(uses.get(arm, 0)))
    se = np.sqrt(variances[arms.index(base)])
    kept = (trial["arm"] == base) | (trial["other"] == base)
    reduced.loc[trial.index, "keep"] = kept
    reduced.loc[trial.index, "reverse"] = trial["arm"] == base
    reduced.loc[trial.index, "comparator_se"] = se
    rest = ", ".join(str(line) for line in table.lines[trial.index[~kept]])
    table.note(
        f"Study '{study}': {len(sides)} contrasts of {len(arms)} arms are reduced to {kept.sum()},"
        f" each against '{base}'; row {rest} follows from them. The standard error of '{base}'"
        f" alone, {se:.4g}, is derived from those of the pairs."
    )


def _inconsistency(trial: pd.DataFrame, arms: list[str]) -> str:
    """The first triangle around which the effects do not add up to 0."""
    effects: dict[tuple[str, str], float] = {}
    for arm, other, estimate in zip(trial["arm"], trial["other"], trial["estimate"], strict=True):
        effects[arm, other], effects[other, arm] = estimate, -estimate
    for a, b, c in combinations(arms, 3):
        gap = effects[a, b] + effects[b, c] + effects[c, a]
        if abs(gap) > EFFECT_TOLERANCE * trial["se"].min():
            return f"the effects of '{a}', '{b}' and '{c}' do not add up, by {abs(gap):.3g}"
    return ""
