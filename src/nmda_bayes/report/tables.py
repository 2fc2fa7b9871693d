"""Results as data frames: effects, added risks, comparisons, effective doses, and `summary.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks import PRIOR_ONLY
from nmda_bayes.checks.diagnostics import coordinate_labels, scalar_diagnostics
from nmda_bayes.components.links import risk_at_effect
from nmda_bayes.dims import AGENT, CONDITION, DOSE, SAMPLE, SEPARATOR
from nmda_bayes.estimands import compare_agents, effective_dose, number_needed
from nmda_bayes.estimands.clinical import COMPARATOR
from nmda_bayes.model import OFFSET
from nmda_bayes.report.context import ALL_CONDITIONS, ReportContext
from nmda_bayes.report.format import (
    CRI,
    TAIL,
    THIN_SPACE,
    format_draws,
    format_exact_percent,
    format_interval,
    format_number,
    format_percent,
    format_probability,
    quantile_interval,
)

EXTRAPOLATED: Final = "above the tested doses (extrapolated)"
BELOW: Final = "below the tested doses (model-based)"
NO_TRIAL: Final = "no trial: predicted from other trials and the prior"
PRIOR_ONLY_NOTE: Final = "prior only: the data are uninformative"
#: Log ratios are exponentiated up to here.
MAX_LOG: Final = 700.0


def ratio_draws(log_ratios: np.ndarray) -> np.ndarray:
    """Exponentiate draws of a log ratio."""
    return np.exp(np.minimum(log_ratios, MAX_LOG))


def effect_table(report: ReportContext, outcome: str) -> pd.DataFrame:
    """An outcome's effect in every cell at its displayed doses, against the reference."""
    link, better = report.link(outcome), report.outcomes[outcome].better
    effect = f"{link.ratio or 'difference'} ({CRI})"
    rows = []
    for cell in report.cells(outcome):
        for dose in report.display_doses[cell.agent] if report.has_dose(outcome) else [1.0]:
            draws = report.effect_draws(outcome, cell.agent, cell.condition, dose)
            remarks = [f"no trial against {report.reference} here"] if not cell.controlled else []
            if report.above_tested(outcome, cell.agent, dose):
                remarks.append(EXTRAPOLATED)
            if report.below_tested(outcome, cell.agent, dose):
                remarks.append(BELOW)
            row = {
                "main": dose == report.main_dose(cell.agent) or not report.has_dose(outcome),
                "agent": report.agent(cell.agent),
                "condition": cell.where,
                "trials": cell.trials,
                "dose": report.dose_text(dose, in_table=True),
                effect: format_draws(ratio_draws(draws) if link.ratio else draws),
            }
            if link.probability:
                risk = risk_at_effect(report.baseline(outcome)[0], draws, link)
                row[f"risk ({CRI})"] = format_draws(risk, format_percent)
            share = float(np.mean(draws < 0 if better == "lower" else draws > 0))
            row["Pr(better)" if better else "Pr(above reference)"] = format_probability(share)
            row["remark"] = "; ".join(remarks) if cell.trials else NO_TRIAL
            rows.append(row)
    table = pd.DataFrame(rows)
    return table if report.has_dose(outcome) else table.drop(columns="dose")


def added_risk_table(report: ReportContext, outcome: str) -> pd.DataFrame:
    """Added risk and number needed to treat or harm, at the main dose of every tested cell."""
    rows, needed = [], {}
    baseline, better = report.baseline(outcome)[0], report.outcomes[outcome].better
    for cell in report.tested_cells(outcome):
        dose = report.main_dose(cell.agent)
        if dose not in needed:
            needed[dose] = number_needed(report.fit, outcome, dose, baseline)
        risk = needed[dose].sel({AGENT: cell.agent, CONDITION: cell.condition})
        low, middle, high = (float(risk[end]) for end in ("lower", "median", "upper"))
        above = report.above_tested(outcome, cell.agent, dose)
        rows.append(
            {
                "agent": report.agent(cell.agent),
                "condition": cell.where,
                "dose": report.dose_text(dose, in_table=True),
                f"added risk ({CRI})": format_interval(low, middle, high, format_percent),
                "number needed": _number_needed_text(low, middle, high, better),
                "remark": EXTRAPOLATED if above else "",
            }
        )
    table = pd.DataFrame(rows)
    return table if table.empty or report.has_dose(outcome) else table.drop(columns="dose")


def _number_needed_text(low: float, middle: float, high: float, better: str) -> str:
    """Write a number needed through infinity where the sign is uncertain (Altman 1998)."""
    more, fewer = ("NNT", "NNH") if better == "higher" else ("NNH", "NNT")
    if better == "":
        more, fewer = "one more in", "one fewer in"

    def signed(risk: float) -> str:
        return f"{more if risk > 0 else fewer} {_persons(risk)}"

    if low < 0 < high:
        return f"{signed(middle)} ({signed(high)} to ∞ to {signed(low)})"
    fewest, most = sorted((low, high), key=abs, reverse=True)
    return f"{signed(middle)} ({_persons(fewest)} to {_persons(most)})"


def _persons(risk: float) -> str:
    if risk == 0:
        return "∞"
    return f"{math.ceil(abs(1 / risk) - 1e-9):,}".replace(",", THIN_SPACE)


def contrast_table(report: ReportContext, outcome: str) -> pd.DataFrame:
    """Pairwise comparisons of the agents that have trials, at one dose."""
    by_condition: dict[str, list[int]] = {}
    cells = report.tested_cells(outcome)
    for i, cell in enumerate(cells):
        by_condition.setdefault(cell.where, []).append(i)
    comparable = not report.has_dose(outcome) or report.relative
    if len(report.agents) < 2 or not report.varies(outcome, AGENT) or not comparable:
        return pd.DataFrame()
    draws_by_pair = compare_agents(report.fit, outcome, 1.0)
    ratio = report.link(outcome).ratio
    measure = "ratio" if ratio else "difference"
    rows = []
    for where, members in by_condition.items():
        for first, second in combinations((cells[i] for i in members), 2):
            pair = {AGENT: first.agent, COMPARATOR: second.agent, CONDITION: first.condition}
            draws = draws_by_pair.sel(pair).to_numpy()
            row = {
                "agents": f"{report.agent(first.agent)} vs {report.agent(second.agent)}",
                "condition": where,
                "dose": report.dose_text(1.0, in_table=True) if report.has_dose(outcome) else "",
                f"{measure} ({CRI})": format_draws(np.exp(draws) if ratio else draws),
                "Pr(first lower than second)": format_probability(float(np.mean(draws < 0))),
            }
            rows.append(row)
    return pd.DataFrame(rows)


class BestDose(NamedTuple):
    """The tested dose with the highest probability of benefit with acceptable harm."""

    dose: float
    probability: float
    is_largest: bool


def best_dose(report: ReportContext, agent: str, condition: str) -> BestDose | None:
    """Find the best tested dose of a cell; None without a window or a tested dose."""
    if report.window is None:
        return None
    cell = report.window["p_both"].sel({AGENT: agent, CONDITION: condition})
    tested = np.flatnonzero(~cell["extrapolated"].to_numpy().astype(bool))
    if tested.size == 0:
        return None
    probability = cell.to_numpy()[tested]
    best = int(probability.argmax())
    dose = float(cell[DOSE].to_numpy()[tested[best]])
    return BestDose(dose, float(probability[best]), best == tested.size - 1)


# --- Effective doses -----------------------------------------------------------------------------


def effective_dose_table(report: ReportContext) -> pd.DataFrame:
    """Doses that reach the effects of the window, and ED50s."""
    rows: list[dict[str, object]] = []
    for outcome, target, effect in _targets(report):
        if not report.has_dose(outcome):
            continue
        doses = effective_dose(report.thinned_fit, outcome, target)
        for cell in report.tested_cells(outcome):
            draws = doses.sel({AGENT: cell.agent, CONDITION: cell.condition}).to_numpy()
            median = quantile_interval(draws)[1]
            above = not math.isnan(median) and report.above_tested(outcome, cell.agent, median)
            rows.append(
                {
                    "effect": effect,
                    "agent": report.agent(cell.agent),
                    "condition": cell.where,
                    "Pr(reached)": format_probability(float(np.mean(~np.isnan(draws)))),
                    f"dose ({CRI})": _dose_interval(draws),
                    "remark": EXTRAPOLATED if above else "",
                }
            )
    rows += _ed50_rows(report)
    # A parameter shared by several cells is one row.
    return pd.DataFrame(rows).drop_duplicates(ignore_index=True)


def _dose_interval(draws: np.ndarray) -> str:
    if np.isnan(draws).all():
        return "not reached"
    return format_draws(draws, lambda dose: format_number(dose, 2))


def _targets(report: ReportContext) -> Iterator[tuple[str, float, str]]:
    """The effects of the spec's window: outcome, value on the outcome's scale, description."""
    window = report.spec.window
    if window is None:
        return
    benefit, harm = window.benefit, window.harm
    sign = -1 if report.outcomes[benefit].better == "lower" else 1
    start = window.baseline_risk if report.is_risk(benefit) else 0.0
    text = f"{report.label(benefit)}: benefit of {report.benefit_target()}"
    yield benefit, start + sign * window.benefit_at_least, text
    target = window.baseline_risk + window.risk_at_most
    if target < 1:
        added = format_exact_percent(window.risk_at_most)
        yield harm, target, f"{report.label(harm)}: added risk of {added}"


def _ed50_rows(report: ReportContext) -> Iterator[dict[str, object]]:
    posterior = report.fit["posterior"].to_dataset()
    for outcome in report.dose_outcomes:
        name = report.variable(outcome, "ed50")
        if name not in posterior:
            continue
        ed50 = posterior[name]
        for cell in report.tested_cells(outcome):
            labels = {AGENT: cell.agent, CONDITION: cell.condition}
            labels = {dim: label for dim, label in labels.items() if dim in ed50.dims}
            draws = ed50.sel(labels).to_numpy()
            above = report.above_tested(outcome, cell.agent, quantile_interval(draws)[1])
            prior_only = _is_prior_only(report, outcome, labels)
            yield {
                "effect": f"{report.label(outcome)}: half of the maximum effect (ED50)",
                "agent": report.agent(cell.agent) if AGENT in labels else "all agents",
                "condition": cell.where if CONDITION in labels else ALL_CONDITIONS,
                "Pr(reached)": format_probability(1.0),
                f"dose ({CRI})": _dose_interval(draws),
                "remark": PRIOR_ONLY_NOTE if prior_only else EXTRAPOLATED if above else "",
            }


def _is_prior_only(report: ReportContext, outcome: str, labels: dict[str, str]) -> bool:
    table = report.checks.identifiability
    names = [report.variable(outcome, name) for name in ("log_ed50", "ed50")]
    at = ", ".join(f"{dim}={label}" for dim, label in labels.items())
    rows = table["variable"].isin(names) & (table["at"] == at)
    return PRIOR_ONLY in set(table.loc[rows, "conclusion"])


# --- summary.csv ---------------------------------------------------------------------------------

STATISTICS: Final = ("mean", "sd", "q2.5", "q50", "q97.5", "r_hat", "ess_bulk", "ess_tail")


def summary_table(fit: xr.DataTree, diagnosed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Summarise every scalar of a posterior, one row each.

    `diagnosed` is the result of `scalar_diagnostics`, computed if None.
    """
    posterior = fit["posterior"].to_dataset()
    posterior = posterior.drop_vars([n for n in posterior.data_vars if str(n).endswith(OFFSET)])
    quantiles = posterior.quantile([TAIL, 0.5, 1 - TAIL], dim=SAMPLE)
    statistics = {
        "mean": posterior.mean(SAMPLE),
        "sd": posterior.std(SAMPLE, ddof=1),
        **{name: quantiles.isel(quantile=i, drop=True) for i, name in enumerate(STATISTICS[2:5])},
    }
    frames = [_scalars(str(name), posterior[name], statistics) for name in posterior.data_vars]
    checked = scalar_diagnostics(fit) if diagnosed is None else diagnosed
    table = pd.concat(frames, ignore_index=True).merge(checked, how="left", on=["variable", "at"])
    dims = [str(c) for c in table.columns if c not in ("variable", "at", *STATISTICS)]
    table[dims] = table[dims].astype(object).where(table[dims].notna(), "")
    return table[["variable", *dims, *STATISTICS]]


def _scalars(name: str, array: xr.DataArray, statistics: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """The rows of one variable; outcomes share the columns of their dims."""
    dims = [str(dim) for dim in array.dims if dim not in SAMPLE]
    values = {
        key: np.atleast_1d(statistic[name].transpose(*dims).to_numpy()).ravel()
        for key, statistic in statistics.items()
    }
    if not dims:
        return pd.DataFrame({"variable": [name], "at": "", **values})
    labels = pd.MultiIndex.from_product([array[dim].to_numpy() for dim in dims])
    columns = {
        dim.rpartition(SEPARATOR)[2]: labels.get_level_values(i) for i, dim in enumerate(dims)
    }
    return pd.DataFrame({"variable": name, "at": coordinate_labels(array), **columns, **values})
