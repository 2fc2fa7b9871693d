"""Conversions of arms that a table or its settings ask for.

People of cluster trials are divided by the design effect; means of arms become standardised
differences or log ratios.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.effect_sizes import (
    Means,
    log_ratio_of_means,
    shared_comparator_variance,
    standardised_mean_difference,
)
from nmda_bayes.evidence.importers.base import PLACEBO, normalise_name, number_cells
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.validate import parse_numbers

Converted = tuple[RawTable, list[str]]


def convert_rows(
    table: RawTable, options: ImportOptions, questions: list[Issue], reference: str = ""
) -> Converted:
    """Apply every conversion to flat rows; returns the rows and the notes."""
    table, notes = _design_effect(table, options, questions)
    table, texts = _effects_of_means(table, options, questions, reference)
    return table, notes + texts


def _column(table: RawTable, *names: str) -> str:
    """The first column of a table with one of some names, without case and punctuation."""
    headings = {normalise_name(str(column)): str(column) for column in reversed([*table.cells])}
    return next((headings[name] for name in names if name in headings), "")


# Cluster trials.

_ICC = ("icc", "intraclasscorrelation", "intraclustercorrelation", "rho")
_N_CLUSTERS = ("clusters", "nclusters", "numberofclusters", "nclust")
_CLUSTER_SIZE = ("clustersize", "meanclustersize", "averageclustersize", "avgclustersize", "m")
_CLUSTER_SIZE_NAMES = _CLUSTER_SIZE[:-1]


def cluster_columns(table: RawTable) -> set[str]:
    """The columns that the design effect is made of, or asks about."""
    icc, count = _column(table, *_ICC), _column(table, *_N_CLUSTERS)
    size = _column(table, *_CLUSTER_SIZE_NAMES)
    if (count or size) and "n" in table.cells:
        return {icc, count, size} - {""}
    return {icc} - {""}


def _design_effect(table: RawTable, options: ImportOptions, questions: list[Issue]) -> Converted:
    """Divide people and events of cluster trials by 1 + (m - 1) icc, m people in a cluster.

    Donner A, Klar N (2000), Design and Analysis of Cluster Randomization Trials; Cochrane Handbook
    6.5, section 23.1.4. Numbers are rounded to whole people.
    """
    icc_column = _column(table, *_ICC)
    count_column, size_column = _column(table, *_N_CLUSTERS), _column(table, *_CLUSTER_SIZE_NAMES)
    ignored = {normalise_name(name) for name in (*options.ignore, *options.read)}
    if (not count_column and not size_column) or "n" not in table.cells:
        return table, _unused_icc(table, options, questions, icc_column, ignored)
    if {normalise_name(count_column), normalise_name(size_column)} & ignored:
        return table, []
    n, _ = parse_numbers(table, "n")
    if size_column:
        size = parse_numbers(table, size_column)[0]
    else:
        clusters = parse_numbers(table, count_column)[0]
        size = n / clusters.where(clusters > 0)
    clustered = size.notna() & (size > 1) & n.notna()
    if not clustered.any():
        return table, []
    icc = pd.Series(np.nan, index=n.index)
    if icc_column:
        icc = parse_numbers(table, icc_column)[0]
    if options.icc is not None:
        icc = icc.fillna(options.icc)
    invalid = clustered & ((icc < 0) | (icc > 1))
    table.issues += [
        table.issue(
            "E232",
            f"an intraclass correlation is from 0 to 1: {icc[row]:g}",
            "Check the number.",
            int(table.cells[LINE][row]),
            icc_column,
        )
        for row in n.index[invalid]
    ]
    unknown = clustered & icc.isna()
    if unknown.any():
        first = n.index[unknown][0]
        questions.append(
            table.issue(
                "E233",
                f"{unknown.sum()} row(s) are of cluster trials ('{size_column or count_column}')"
                " and have no intraclass correlation",
                "Set it with --set icc=0.05, or give a column icc; if the numbers are adjusted"
                f" already, --set ignore={size_column or count_column}.",
                int(table.cells[LINE][first]),
                size_column or count_column,
            )
        )
    effect = (1 + (size - 1) * icc).where(clustered & icc.notna() & ~invalid)
    adjusted = effect.notna() & (effect > 1)
    if not adjusted.any():
        return table, []
    cells = table.cells.copy()
    for name in ("n", "events"):
        if name in cells:
            values, _ = parse_numbers(table, name)
            effective = (values / effect).round()
            if name == "n":
                effective = effective.clip(lower=1)
            texts = effective.map(lambda value: "" if np.isnan(value) else f"{value:.0f}")
            cells[name] = texts.where(adjusted & values.notna(), cells[name])
    if "se" in cells:
        values, _ = parse_numbers(table, "se")
        wider = number_cells(values * np.sqrt(effect))
        cells["se"] = wider.where(adjusted & values.notna(), cells["se"])
    rows = "; ".join(
        f"row {line}: {factor:.4g}"
        for line, factor in zip(table.cells[LINE][adjusted], effect[adjusted], strict=True)
    )
    note = (
        "Cluster trials: people and events are divided by the design effect 1 + (m - 1) icc, m"
        f" people in a cluster, and rounded to whole people ({rows})."
    )
    return replace(table, cells=cells), [note]


def _unused_icc(
    table: RawTable,
    options: ImportOptions,
    questions: list[Issue],
    icc_column: str,
    ignored: set[str],
) -> list[str]:
    """Ask for the size of clusters where there is a correlation only."""
    if not icc_column or normalise_name(icc_column) in ignored:
        return []
    icc, wrong = parse_numbers(table, icc_column)
    if icc.notna().any() and not wrong.any():
        first = icc.index[icc.notna()][0]
        questions.append(
            table.issue(
                "E234",
                f"'{icc_column}' is an intraclass correlation, and the size of clusters is missing",
                "Add a column clusters (their number in the arm) or cluster_size; if the numbers"
                f" are adjusted already, --set ignore={icc_column}.",
                int(table.cells[LINE][first]),
                icc_column,
            )
        )
    return []


# Standardised differences and log ratios of means.

SMD, LOG_ROM = "SMD", "log_ROM"
MEAN_MEASURES = {"SMD": SMD, "ROM": LOG_ROM, "log_ROM": LOG_ROM}


def _effects_of_means(
    table: RawTable, options: ImportOptions, questions: list[Issue], reference: str
) -> Converted:
    """Make contrasts of the means of arms, where the user sets the measure SMD or ROM."""
    measure = MEAN_MEASURES.get(options.measure or "")
    names = set(map(str, table.cells))
    if measure is None or "comparator" in names or not {"mean", "n"} <= names:
        return table, []
    numbers = pd.DataFrame(
        {
            name: parse_numbers(table, name)[0] if name in names else np.nan
            for name in ("mean", "sd", "se", "n")
        },
        index=table.cells.index,
    )
    numbers["sd"] = numbers["sd"].fillna(numbers["se"] * np.sqrt(numbers["n"]))
    usable = numbers[["mean", "sd", "n"]].notna().all(axis=1)
    usable &= (numbers["n"] > 1) & (numbers["sd"] > 0)
    agents = set(table.cells["agent"][usable])
    chosen = options.reference or reference or (PLACEBO if PLACEBO in agents else "")
    if chosen not in agents:
        questions.append(
            table.issue(
                "E235",
                f"{options.measure} needs the arm that the others are compared with",
                "Set it with --set reference=AGENT: " + ", ".join(sorted(agents)) + ".",
                None,
                "agent",
            )
        )
        return table, []
    keys = [name for name in ("study", *_MEASUREMENT) if name in names]
    rows = []
    left_out: list[str] = []
    for _, arms in table.cells[usable].groupby(keys, sort=False):
        base = arms.index[arms["agent"] == chosen]
        others = arms.index[arms["agent"] != chosen]
        if len(base) != 1 or not len(others):
            left_out += [str(line) for line in arms[LINE]]
            continue
        rows.append(_trial_contrasts(table, numbers, base[0], others, measure))
    left_out += [str(line) for line in table.cells[LINE][~usable]]
    if not rows:
        return table, []
    cells = pd.concat(rows).sort_index(kind="stable")
    used = ["mean", "sd", "se", "n", "scale_min", "scale_max", "is_change_score"]
    cells = cells.drop(columns=[c for c in used if c in cells and c != "se"])
    notes = [
        f"Means of arms are read as {options.measure} against '{chosen}' (set by you): "
        + (
            "Hedges' g with its exact variance"
            if measure == SMD
            else "log ratios of means with variance sum of sd^2 / (n mean^2)"
        )
        + "; contrasts of one trial share the variance of its comparator."
    ]
    if left_out:
        notes.append(
            f"Not in a {options.measure} (no arm of '{chosen}', or no mean, SD and n): row"
            f" {', '.join(left_out)}."
        )
    return replace(table, cells=cells.reset_index(drop=True)), notes


#: What distinguishes two results of an arm.
_MEASUREMENT = ("outcome", "time_hours", "time_label", "is_change_score")


def _trial_contrasts(
    table: RawTable, numbers: pd.DataFrame, base: int, others: pd.Index, measure: str
) -> pd.DataFrame:
    """The contrasts of one trial with its comparator."""
    arm = Means(*(numbers.loc[others, name].to_numpy() for name in ("mean", "sd", "n")))
    comparator = Means(*(numbers.loc[[base], name].to_numpy() for name in ("mean", "sd", "n")))
    if measure == SMD:
        effect = standardised_mean_difference(arm, comparator, exact=True)
    else:
        effect = log_ratio_of_means(arm, comparator)
    shared = shared_comparator_variance(arm, comparator, effect, standardised=measure == SMD)
    rows = table.cells.loc[others].copy()
    comparator_cells = table.cells.loc[base].astype(str)
    rows["comparator"] = comparator_cells["agent"]
    if "dose" in rows:
        rows["comparator_dose"] = comparator_cells["dose"]
    index = rows.index
    rows["estimate"] = number_cells(pd.Series(effect.estimate, index=index))
    rows["se"] = number_cells(pd.Series(effect.se, index=index))
    several = np.sqrt(shared) if len(others) > 1 else np.full(len(others), np.nan)
    rows["comparator_se"] = number_cells(pd.Series(several, index=index))
    return rows.assign(
        measure=measure,
        n_treat=table.cells.loc[others, "n"],
        n_control=comparator_cells["n"],
    )
