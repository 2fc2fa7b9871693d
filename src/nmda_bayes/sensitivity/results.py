"""Many variants as one dataset: a dim ``variant``, and how each result was computed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import OUTCOMES
from nmda_bayes.dims import AGENT, CONDITION, CONTRAST, OUTCOME, STUDY, study_of
from nmda_bayes.errors import InputError, Issue
from nmda_bayes.estimands.fit_access import spec_of
from nmda_bayes.intervals import INTERVAL_LEVEL
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.variants import BASE

VARIANT: Final = "variant"
CHOICE: Final = "choice"
AS_IN_BASE: Final = "as in the base"


def combine(
    plan: Plan, summaries: Mapping[str, xr.Dataset], failures: Mapping[str, Issue]
) -> xr.Dataset:
    """Combine the summaries of all variants, the base first.

    Adds to `nmda_bayes.sensitivity.summaries.posterior_summaries` a dim variant, with coordinates
    ``why``, ``kind``, ``how``, ``passed``, ``remark`` (why there is no result, failed checks, or
    that the rows are the base's), ``seconds`` and ``k_hat``, and ``setting`` (variant, choice).
    """
    if BASE not in summaries:
        failure = failures.get(BASE)
        reason = failure.message if failure else "it was not run"
        message = f"the base could not be fitted: {reason}"
        raise InputError([Issue("E657", message, "All variants are compared with it.")])
    names = list(plan.variants)
    base = summaries[BASE]
    computed = [name for name in names if name in summaries]
    parts = [summaries[name].drop_attrs(deep=False) for name in computed]
    dim = xr.Variable(VARIANT, _texts(computed))
    joined = xr.concat(parts, dim=dim, join="outer", coords="minimal", compat="override")
    results = joined.reindex({VARIANT: names})
    results = results.reindex({d: base[d] for d in (OUTCOME, AGENT, CONDITION) if d in base.dims})
    results = results.assign_coords({n: base[n] for n in base.coords if str(n).endswith("_label")})
    results["trials"] = results["trials"].fillna(0).astype(int)
    results = results.assign_coords(_coordinates(plan, summaries, failures))
    results.attrs = {"title": plan.title, "dose": plan.dose, "spec": plan.base.spec.to_json()}
    return results


def _coordinates(
    plan: Plan, summaries: Mapping[str, xr.Dataset], failures: Mapping[str, Issue]
) -> dict[str, Any]:
    variants = list(plan.variants.values())
    attributes = [summaries[v.name].attrs if v.name in summaries else {} for v in variants]
    choices = list(dict.fromkeys(choice for variant in variants for choice in variant.choices))
    setting = [[v.choices.get(choice, AS_IN_BASE) for choice in choices] for v in variants]
    remarks = []
    for variant, attrs in zip(variants, attributes, strict=True):
        failure = failures.get(variant.name)
        checks = "; ".join(json.loads(str(attrs.get("failed_checks", "[]"))))
        remarks.append((failure.message if failure else checks) or variant.note)
    return {
        "why": (VARIANT, _texts([variant.why for variant in variants])),
        "kind": (VARIANT, _texts([variant.kind for variant in variants])),
        "how": (VARIANT, _texts([attrs.get("how", "") for attrs in attributes])),
        "passed": (VARIANT, [bool(attrs.get("passed", 0)) for attrs in attributes]),
        "remark": (VARIANT, _texts(remarks)),
        "seconds": (VARIANT, [attrs.get("seconds", np.nan) for attrs in attributes]),
        "k_hat": (VARIANT, [attrs.get("k_hat", np.nan) for attrs in attributes]),
        "setting": ((VARIANT, CHOICE), np.array(setting, dtype=object).reshape(len(variants), -1)),
        CHOICE: _texts(choices),
    }


def _texts(texts: list[str]) -> np.ndarray:
    return np.array(texts, dtype=object)


def compare_variants(
    results: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> pd.DataFrame:
    """Compare the variants' effects with the base case.

    Parameters
    ----------
    results
        As `nmda_bayes.fit_variants` returns it.
    outcome, agent, condition
        The effect to compare; by default the one with most trials in the base case.

    Returns
    -------
    pd.DataFrame
        One row per variant, the base first: ``variant``, ``median``, ``lower`` and ``upper`` (95%
        CrI, linear predictor), ``interval``, ``shift`` from the base in its posterior SDs,
        ``above_zero`` (posterior probability), ``trials``, ``p_window`` with a window, ``mcse``,
        ``k_hat``, ``kind``, ``how``, ``passed``, ``remark`` and ``why``.

    Raises
    ------
    InputError
        If a label is not in the results (E673).

    Examples
    --------
    >>> table = nb.compare_variants(results, agent="ketamine")  # doctest: +SKIP
    >>> table.loc[0, ["variant", "shift"]].tolist()  # doctest: +SKIP
    ['base', 0.0]
    """
    cell = main_cell(results, outcome, agent, condition)
    of_cell = results.sel(cell)
    effect = of_cell["effect"]
    columns = {name: effect.sel(statistic=name) for name in ("median", "lower", "upper")}
    base = effect.sel({VARIANT: BASE})
    shift = columns["median"] - base.sel(statistic="median")
    columns["shift"] = shift / base.sel(statistic="sd")
    columns["above_zero"] = effect.sel(statistic="above_zero")
    columns["trials"] = of_cell["trials"]
    if "p_window" in of_cell:
        columns["p_window"] = of_cell["p_window"]
    columns |= {"mcse": effect.sel(statistic="mcse"), "k_hat": of_cell["k_hat"]}
    frame = pd.DataFrame({name: values.to_numpy() for name, values in columns.items()})
    frame.insert(0, VARIANT, of_cell[VARIANT].to_numpy())
    # As a column too: a CSV file has no attributes.
    position = list(frame.columns).index("upper") + 1
    frame.insert(position, "interval", f"{INTERVAL_LEVEL:.0%} CrI")
    for name in ("kind", "how", "passed", "remark", "why"):
        frame[name] = of_cell[name].to_numpy()
    frame.attrs = {**{str(k): v for k, v in cell.items()}, "interval": frame["interval"].iloc[0]}
    return frame


def main_cell(
    results: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> dict[str, str]:
    """Complete a cell (outcome, agent, condition) by the one with most trials in the base."""
    labels = {OUTCOME: outcome, AGENT: agent, CONDITION: condition}
    trials = results["trials"].sel({VARIANT: BASE})
    for dim, label in labels.items():
        known = [str(name) for name in results[dim].to_numpy()]
        if label is None:
            continue
        if label not in known:
            message, fix = f"unknown {dim} '{label}'", f"Known: {', '.join(known)}"
            raise InputError([Issue("E673", message, fix, column=dim)])
        trials = trials.sel({dim: [label]})
    if outcome is None:
        trials = trials.isel({OUTCOME: [0]})
    most = trials.argmax(list(labels))
    return {dim: str(trials[dim].to_numpy()[int(most[dim])]) for dim in labels}


def select_cell(
    results: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> xr.Dataset:
    """Select one outcome, agent and condition of a sensitivity analysis.

    Parameters
    ----------
    results
        As `nmda_bayes.fit_variants` returns it.
    outcome, agent, condition
        Labels; by default those with most trials in the base case.

    Returns
    -------
    xr.Dataset
        `results` without the dims outcome, agent and condition; attributes are their labels, and
        ``title`` and ``axis`` for figures.

    Raises
    ------
    InputError
        If a label is not in the results (E673).

    Examples
    --------
    >>> cell = nb.select_cell(results, agent="ketamine")  # doctest: +SKIP
    >>> nb.plot_specification_curve(cell)  # doctest: +SKIP
    """
    cell = main_cell(results, outcome, agent, condition)
    of_cell = results.sel(cell)
    spec = spec_of(results)
    part = spec.outcomes[cell[OUTCOME]]
    names = [
        str(of_cell[f"{dim}_label"].item()) if f"{dim}_label" in of_cell.coords else cell[dim]
        for dim in (AGENT, CONDITION)
    ]
    label = part.label or cell[OUTCOME].replace("_", " ")
    unit = LIKELIHOODS[part.likelihood].link.effect or part.unit or "difference"
    dose = f" at exposure {results.attrs['dose']:g}" if part.shape.needs_dose else ""
    text = {"title": f"{names[0]}, {names[1]}", "axis": f"{label}: {unit}, against dose 0{dose}"}
    return of_cell.assign_attrs(**cell, **text)


# Variants by their leave-one-study-out predictive densities (elpd), and by their heterogeneity.

#: Variables by study that a worker adds to the summaries.
ELPD: Final = "elpd"
STUDY_RELIABLE: Final = "study_reliable"
REPORTS: Final = "study_rows"
#: Draws that densities are computed from: half of the default of `study_density`.
DENSITY_DRAWS: Final = 500
CONTRAST_COLUMNS: Final = ("estimate", "estimate_se")


def elpd_table(results: xr.Dataset) -> pd.DataFrame:
    """Compare variants by predictive density of whole trials and by heterogeneity.

    Parameters
    ----------
    results
        As `nmda_bayes.fit_variants` returns it, of a file with ``elpd = true``.

    Returns
    -------
    pd.DataFrame
        One row per variant with a result: ``variant``, ``elpd`` (sum over its studies; NaN where
        the likelihood does not factorise by study), ``difference`` from the base and its standard
        error ``se`` (from the spread over studies; NaN where the reports differ from the base's),
        ``studies``, ``unreliable`` (studies with k-hat above 0.7), ``same`` (same reports as the
        base), and ``median``, ``lower`` and ``upper`` (95% CrI) of the heterogeneity SD of
        each outcome, as ``<outcome>:median``.

    Raises
    ------
    ValueError
        If the file did not request it.

    Examples
    --------
    >>> nb.elpd_table(results)[["variant", "elpd", "difference", "se"]]  # doctest: +SKIP
    """
    if REPORTS not in results:
        raise ValueError("the sensitivity file has no elpd = true")
    base = results.isel({VARIANT: 0})
    computed = np.flatnonzero(results["how"].to_numpy() != "")
    return pd.DataFrame([_row(results.isel({VARIANT: i}), base) for i in computed])


def _row(variant: xr.Dataset, base: xr.Dataset) -> dict[str, object]:
    reports = variant[REPORTS].to_numpy()
    included = np.isfinite(reports)
    same = bool(np.array_equal(reports, base[REPORTS].to_numpy(), equal_nan=True))
    row: dict[str, object] = {VARIANT: str(variant[VARIANT].item()), "studies": int(included.sum())}
    row |= {"elpd": np.nan, "difference": np.nan, "se": np.nan, "unreliable": 0, "same": same}
    if ELPD in variant and np.isfinite(variant[ELPD].to_numpy()[included]).all():
        elpd = variant[ELPD].to_numpy()[included]
        row["elpd"] = float(elpd.sum())
        row["unreliable"] = int((variant[STUDY_RELIABLE].to_numpy()[included] == 0).sum())
        if same:
            difference = elpd - base[ELPD].to_numpy()[included]
            row["difference"] = float(difference.sum())
            row["se"] = float(np.sqrt(len(difference)) * difference.std(ddof=1))
    for outcome in variant[OUTCOME].to_numpy():
        for statistic in ("median", "lower", "upper"):
            sd = variant["heterogeneity_sd"].sel({OUTCOME: outcome, "statistic": statistic})
            row[f"{outcome}:{statistic}"] = float(sd)
    return row


def study_predictions(fit: xr.DataTree) -> xr.Dataset:
    """Compute the leave-one-out predictive density of each study of a fit.

    Dim study: ``elpd``, ``study_reliable`` (1, or 0 where k-hat is above 0.7) and ``study_rows``
    (see `report_numbers`); the last alone where the likelihood does not factorise by study.
    """
    from nmda_bayes.checks import study_density, study_elpd  # PyMC takes seconds to import

    numbers = report_numbers(fit)
    predictions = xr.Dataset({REPORTS: (STUDY, [*numbers.values()])}, coords={STUDY: [*numbers]})
    try:
        elpd = study_elpd(study_density(fit, draws=DENSITY_DRAWS))
    except InputError:
        return predictions
    return predictions.assign({ELPD: elpd["elpd"], STUDY_RELIABLE: elpd["reliable"].astype(float)})


def report_numbers(fit: xr.DataTree) -> dict[str, float]:
    """Number the reports of each study: equal numbers are equal reports, whatever the exposures."""
    from nmda_bayes.components.likelihoods import arm_columns

    texts: dict[str, list[str]] = {}
    for name, node in fit[f"design/{OUTCOMES}"].children.items():
        rows = node.to_dataset()
        studies = {c: rows[c].to_numpy() for c in (STUDY, study_of(CONTRAST)) if c in rows}
        rows = rows.reset_coords(drop=True)
        columns = ("report", *arm_columns())  # not what the arms were exposed to
        arms = rows[[column for column in columns if column in rows]].to_dataframe()
        for study, reports in arms.groupby(studies[STUDY]):
            reports = reports.reset_index(drop=True).sort_values(list(map(str, reports.columns)))
            texts.setdefault(str(study), []).append(f"{name} {reports.to_csv(index=False)}")
        if CONTRAST in rows.dims:
            contrasts = rows[list(CONTRAST_COLUMNS)].to_dataframe()
            for study, reports in contrasts.groupby(studies[study_of(CONTRAST)]):
                texts.setdefault(str(study), []).append(reports.to_csv(index=False))
    return {study: float(zlib.crc32("".join(parts).encode())) for study, parts in texts.items()}
