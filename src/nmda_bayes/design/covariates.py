"""What is known of a study besides its arms: stratum, cluster, covariates.

One value per study; rows of studies without it are excluded with the reason. Nothing is imputed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design.filters import RowFilter, Tables, rescale
from nmda_bayes.dims import CLUSTER, STRATUM
from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.spec import CovariateSpec, OutcomeSpec
from nmda_bayes.spec.rules import CLUSTER_SD, HETEROGENEITY_SD, issue_at

#: The columns of a design that a `strata_column` fills, with the parameter that has it.
STRATA_OF = {STRATUM: HETEROGENEITY_SD, CLUSTER: CLUSTER_SD}


def coefficient_name(parameter: str, covariate: str) -> str:
    """Name a coefficient, and the column of the design that it multiplies."""
    return f"{parameter}_per_{covariate}"


def outcome_covariates(outcome: OutcomeSpec) -> dict[str, tuple[str, str, CovariateSpec]]:
    """List the parameter, name and spec of an outcome's covariates, by coefficient."""
    return {
        coefficient_name(parameter, name): (parameter, name, covariate)
        for parameter, part in outcome.parameters.items()
        for name, covariate in part.covariates.items()
    }


def study_level_columns(outcome: OutcomeSpec) -> list[str]:
    """Name the columns of a design that hold one value per study."""
    return [*_strata_columns(outcome), *outcome_covariates(outcome)]


def cluster_arm_labels(reported: xr.Dataset) -> np.ndarray:
    """Label the treatment of each arm within its cluster: an agent at an exposure."""
    columns = (reported[name].to_numpy() for name in (CLUSTER, "agent", "exposure"))
    labels = [f"{cluster}: {agent} {x:g}" for cluster, agent, x in zip(*columns, strict=True)]
    return np.array(labels, dtype=object)


def study_information(selection: RowFilter) -> None:
    """Add the columns of strata, clusters and covariates; exclude rows without a value."""
    outcome = selection.outcome
    for column, source in _strata_columns(outcome).items():
        values = _texts(selection.rows, source)
        selection.rows = selection.rows.assign(**{column: values})
        selection.keep(values != "", f"{source} is missing, which defines the {column}")
    for column, (_, name, covariate) in outcome_covariates(outcome).items():
        numbers = _numbers(selection.rows, name, covariate, outcome, selection.tables["results"])
        selection.rows = selection.rows.assign(**{column: numbers})
        selection.keep(numbers.notna(), f"covariate {name} is missing")


def study_column_issues(key: str, outcome: OutcomeSpec, tables: Tables) -> Iterator[Issue]:
    """Find strata, clusters and covariates that the evidence does not have."""
    rows = pd.concat([tables["results"], tables["contrasts"]], ignore_index=True)
    columns = [str(column) for column in rows]
    at = f"{key}.parameters"
    for column, source in _strata_columns(outcome).items():
        if source not in columns:
            yield missing_column(f"{at}.{STRATA_OF[column]}.strata_column", source, columns)
    for parameter, name, covariate in outcome_covariates(outcome).values():
        path, source = f"{at}.{parameter}.covariates.{name}", covariate.column or name
        if covariate.measure:
            measures = sorted(set(tables["results"]["outcome"]))
            if covariate.measure not in measures:
                message = f"the evidence has no measure '{covariate.measure}'"
                hint = suggest_match(covariate.measure, measures)
                yield issue_at("E404", f"{path}.measure", message, hint)
        elif source not in columns:
            yield missing_column(f"{path}.column", source, columns)
        elif covariate.level and covariate.level not in (levels := set(_texts(rows, source))):
            yield missing_value(f"{path}.level", source, covariate.level, sorted(levels - {""}))


def missing_column(key: str, column: str, columns: list[str]) -> Issue:
    """The error for a column that the evidence does not have."""
    message = f"the evidence has no column '{column}'"
    return issue_at("E401", key, message, suggest_match(column, columns))


def missing_value(key: str, column: str, value: str, known: list[str]) -> Issue:
    """The error for a value that no row of a column has."""
    message = f"no row of the evidence has {column} = '{value}'"
    return issue_at("E402", key, message, suggest_match(value, known))


def varying_within_study_issues(
    name: str, outcome: OutcomeSpec, arms: pd.DataFrame
) -> Iterator[Issue]:
    """Find studies whose arms differ in what should be one value per study."""
    sources = _strata_columns(outcome)
    sources |= {column: part[1] for column, part in outcome_covariates(outcome).items()}
    for column, source in sources.items():
        n_values = arms.groupby("study")[column].nunique()
        studies = n_values.index[n_values > 1]
        if len(studies):
            message = f"outcome '{name}': {source} differs between the arms of {names(studies)}"
            hint = "Use a column with one value per study."
            yield issue_at("E406", source, message, hint)


def names(studies: pd.Series | pd.Index, at_most: int = 5) -> str:
    """List studies for a message: the first ones, and how many more there are."""
    distinct = list(dict.fromkeys(map(str, studies)))
    more = f" and {len(distinct) - at_most} more" if len(distinct) > at_most else ""
    return ", ".join(distinct[:at_most]) + more


def _strata_columns(outcome: OutcomeSpec) -> dict[str, str]:
    """Map the columns of strata and clusters that an outcome uses to those of the evidence."""
    parameters = outcome.parameters
    return {
        column: parameters[sd].strata_column
        for column, sd in STRATA_OF.items()
        if sd in parameters and parameters[sd].strata_column
    }


def _texts(rows: pd.DataFrame, column: str) -> pd.Series:
    if column not in rows:
        return pd.Series("", index=rows.index, dtype="str")
    return rows[column].astype(object).where(rows[column].notna(), "").astype(str)


def _numbers(
    rows: pd.DataFrame,
    name: str,
    covariate: CovariateSpec,
    outcome: OutcomeSpec,
    results: pd.DataFrame,
) -> pd.Series:
    if covariate.measure:
        means = _study_means(covariate.measure, outcome, results)
        return rows["study"].map(means).astype(float)
    texts = _texts(rows, covariate.column or name)
    if covariate.level:
        return (texts == covariate.level).astype(float).where(texts != "")
    return pd.to_numeric(texts, errors="coerce").astype(float)


def _study_means(measure: str, outcome: OutcomeSpec, results: pd.DataFrame) -> pd.Series:
    """Mean of a measure over the patients of each study's arms, on the outcome's scale."""
    rows = results[(results["outcome"] == measure) & (results["unusable"] == "")]
    rows = rows.assign(is_change_score=0.0)
    rows = rescale(outcome, rows, level_column="mean", sd_columns=["se"])
    rows = rows[rows["mean"].notna() & rows["n"].notna()]
    totals = rows.assign(total=rows["mean"] * rows["n"]).groupby("study")[["total", "n"]].sum()
    return totals["total"] / totals["n"].replace(0, np.nan)
