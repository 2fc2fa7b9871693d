"""What a trial is, beside its arms: its stratum, the cluster that it is in, its covariates.

One value a study. A study that does not say falls out with the reason; nothing is imputed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design.sieve import Sieve, stretch
from nmda_bayes.dims import CLUSTER, STRATUM
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec import CovariateSpec, OutcomeSpec
from nmda_bayes.spec.pooling_rules import CLUSTER_SD, HETEROGENEITY_SD

#: What the column of each parameter's ``by`` is called in a design, and what falls out without it.
NAMED = {
    STRATUM: (HETEROGENEITY_SD, "the heterogeneity differs by it"),
    CLUSTER: (CLUSTER_SD, "trials are nested in it"),
}


def coefficient(parameter: str, covariate: str) -> str:
    """Name a coefficient, and the column of the design that it multiplies.

    Parameters
    ----------
    parameter
        The curve parameter.
    covariate
        The covariate.

    Returns
    -------
    str
        For instance ``emax_per_year``.
    """
    return f"{parameter}_per_{covariate}"


def covariates_of(outcome: OutcomeSpec) -> dict[str, tuple[str, str, CovariateSpec]]:
    """List the covariates of an outcome.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    dict[str, tuple[str, str, CovariateSpec]]
        Parameter, covariate and what the spec says of it, by the coefficient's name.
    """
    return {
        coefficient(parameter, name): (parameter, name, covariate)
        for parameter, part in outcome.parameters.items()
        for name, covariate in part.covariates.items()
    }


def study_columns(outcome: OutcomeSpec) -> list[str]:
    """Name the columns of a design that hold one value a study.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    list[str]
        Stratum and cluster, where the spec names a column of them, and one for each coefficient.
    """
    return [*_named(outcome), *covariates_of(outcome)]


def cluster_arms(reported: xr.Dataset) -> np.ndarray:
    """Name the treatment of each arm in its cluster: an agent at an exposure.

    Parameters
    ----------
    reported
        An outcome's design, with clusters.

    Returns
    -------
    np.ndarray
        One an arm; trials of a cluster that gave the same share it.
    """
    columns = (reported[name].to_numpy() for name in (CLUSTER, "agent", "exposure"))
    named = [f"{cluster}: {agent} {x:g}" for cluster, agent, x in zip(*columns, strict=True)]
    return np.array(named, dtype=object)


def keep_described(sieve: Sieve, outcome: OutcomeSpec, tables: Mapping[str, pd.DataFrame]) -> None:
    """Keep the rows of studies that say what they are, and say it in columns of their own.

    Parameters
    ----------
    sieve
        The rows.
    outcome
        Names stratum, cluster and covariates.
    tables
        ``results`` has the measures that a covariate may be the mean of.
    """
    for column, by in _named(outcome).items():
        words = _words(sieve.rows, by)
        sieve.rows = sieve.rows.assign(**{column: words})
        sieve.keep(words != "", f"no {by} is given, and {NAMED[column][1]}")
    for column, (_, name, covariate) in covariates_of(outcome).items():
        values = _values(sieve.rows, name, covariate, outcome, tables["results"])
        sieve.rows = sieve.rows.assign(**{column: values})
        sieve.keep(
            sieve.rows[column].notna(), f"{name} is not known, and the effect is regressed on it"
        )


def column_faults(
    key: str, outcome: OutcomeSpec, tables: Mapping[str, pd.DataFrame]
) -> Iterator[Fault]:
    """Find strata, clusters and covariates that the evidence does not have.

    Parameters
    ----------
    key
        The outcome's dotted key.
    outcome
        Names them.
    tables
        ``results`` and ``contrasts``, joined to studies.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    rows = pd.concat([tables["results"], tables["contrasts"]], ignore_index=True)
    columns = [str(c) for c in rows]
    at = f"{key}.parameters"
    for column, by in _named(outcome).items():
        if by not in columns:
            yield Fault(
                f"the evidence has no column '{by}'",
                nearest(by, columns),
                column=f"{at}.{NAMED[column][0]}.by",
            )
    for parameter, name, covariate in covariates_of(outcome).values():
        place = f"{at}.{parameter}.covariates.{name}"
        source = covariate.column or name
        if covariate.measure:
            known = sorted(set(tables["results"]["outcome"]))
            if covariate.measure not in known:
                yield Fault(
                    f"the evidence has no measure '{covariate.measure}'",
                    nearest(covariate.measure, known),
                    column=f"{place}.measure",
                )
        elif source not in columns:
            yield Fault(
                f"the evidence has no column '{source}'",
                nearest(source, columns),
                column=f"{place}.column",
            )
        elif covariate.level and covariate.level not in set(_words(rows, source)):
            yield Fault(
                f"no row of the evidence has {source} = '{covariate.level}'",
                nearest(covariate.level, sorted(set(_words(rows, source)) - {""})),
                column=f"{place}.level",
            )


def uneven_faults(name: str, outcome: OutcomeSpec, arms: pd.DataFrame) -> Iterator[Fault]:
    """Find studies whose arms differ in what should be one value a study.

    Parameters
    ----------
    name
        The outcome.
    outcome
        Names strata, clusters and covariates.
    arms
        The chosen arms.

    Yields
    ------
    Fault
        One a column.
    """
    for column in study_columns(outcome):
        several = arms.groupby("study")[column].nunique()
        studies = list(several.index[several > 1])
        if studies:
            named = _named(outcome)
            what = named[column] if column in named else covariates_of(outcome)[column][1]
            yield Fault(
                f"outcome '{name}': {what} differs between the arms of {', '.join(studies[:3])}"
                f"{', ...' if len(studies) > 3 else ''}, and it must be one for a study",
                "Use a column that says one thing of each study.",
                column=str(what),
            )


def _named(outcome: OutcomeSpec) -> dict[str, str]:
    """Columns of the evidence that say a study's stratum and its cluster, where they are asked."""
    given = outcome.parameters
    named = {column: given[sd].by for column, (sd, _) in NAMED.items() if sd in given}
    return {column: by for column, by in named.items() if by}


def _words(rows: pd.DataFrame, column: str) -> pd.Series:
    if column not in rows:
        return pd.Series("", index=rows.index, dtype="str")
    return rows[column].astype(object).where(rows[column].notna(), "").astype(str)


def _values(
    rows: pd.DataFrame,
    name: str,
    covariate: CovariateSpec,
    outcome: OutcomeSpec,
    results: pd.DataFrame,
) -> pd.Series:
    source = covariate.column or name
    if covariate.measure:
        return rows["study"].map(_means(covariate.measure, outcome, results)).astype(float)
    words = _words(rows, source)
    if covariate.level:
        return (words == covariate.level).astype(float).where(words != "")
    return pd.to_numeric(words, errors="coerce").astype(float)


def _means(measure: str, outcome: OutcomeSpec, results: pd.DataFrame) -> pd.Series:
    """Mean of a measure over the persons of each study's arms, on the outcome's scale."""
    mine = results[(results["outcome"] == measure) & (results["unusable"] == "")]
    mine = stretch(outcome, mine.assign(is_change_score=0.0), levels="mean", spreads="se")
    mine = mine[mine["mean"].notna() & mine["n"].notna()]
    total = (mine["mean"] * mine["n"]).groupby(mine["study"]).sum()
    return total / mine["n"].groupby(mine["study"]).sum().replace(0, np.nan)
