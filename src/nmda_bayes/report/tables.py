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
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE, SEPARATOR
from nmda_bayes.estimands import effective_dose, number_needed
from nmda_bayes.estimands.response import to_natural_scale, window_probabilities
from nmda_bayes.estimands.tested_doses import TOLERANCE, dose_interval_words
from nmda_bayes.model import OFFSET
from nmda_bayes.report.context import ALL_CONDITIONS, ModelCell, ReportContext
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

NO_TRIAL: Final = "no trial: predicted from other trials and the prior"
PRIOR_ONLY_NOTE: Final = "prior only: the data are uninformative"
#: At least this probability makes a dose likely to meet both targets.
LIKELY: Final = 0.5


def effect_table(report: ReportContext, outcome: str) -> pd.DataFrame:
    """An outcome's effect in every cell at its tested doses, against the reference."""
    link, better = report.link(outcome), report.outcomes[outcome].better
    effect = f"{report.effect_name(outcome)} ({CRI})"
    rows = []
    for cell in report.cells(outcome):
        main = report.main_dose(outcome, cell.agent, cell.tested_in)
        for dose in report.reported_doses(outcome, cell.agent, cell.tested_in):
            draws = report.effect_draws(outcome, cell.agent, cell.condition, dose)
            remarks = [f"no trial against {report.reference} here"] if not cell.controlled else []
            row = {
                "main": dose == main,
                "agent": report.agent(cell.agent),
                "condition": cell.where,
                "trials": cell.trials,
                "dose": report.dose_text(outcome, cell.agent, dose),
                effect: format_draws(report.natural_effect(outcome, draws)),
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
    """Added risk and number needed to treat or harm, at the commonest dose of every tested cell."""
    rows, needed = [], {}
    baseline, better = report.baseline(outcome)[0], report.outcomes[outcome].better
    for cell in report.tested_cells(outcome):
        dose = report.main_dose(outcome, cell.agent, cell.tested_in)
        if dose not in needed:
            needed[dose] = number_needed(report.fit, outcome, dose, baseline)
        risk = needed[dose].sel({AGENT: cell.agent, CONDITION: cell.condition})
        low, middle, high = (float(risk[end]) for end in ("lower", "median", "upper"))
        rows.append(
            {
                "agent": report.agent(cell.agent),
                "condition": cell.where,
                "dose": report.dose_text(outcome, cell.agent, dose),
                f"added risk ({CRI})": format_interval(low, middle, high, format_percent),
                "number needed": _number_needed_text(low, middle, high, better),
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
    """Pairwise comparisons of the agents that have trials, at the doses that the table states."""
    by_condition: dict[str, list[ModelCell]] = {}
    for cell in report.tested_cells(outcome):
        by_condition.setdefault(cell.where, []).append(cell)
    if len(report.agents) < 2 or not report.varies(outcome, AGENT):
        return pd.DataFrame()
    measure = "ratio" if report.link(outcome).ratio else "difference"
    rows = []
    for where, cells in by_condition.items():
        agents = [cell.agent for cell in cells]
        doses = report.comparison_doses(outcome, agents, cells[0].tested_in)
        for pair in combinations(cells, 2):
            first, second = (
                report.effect_draws(outcome, c.agent, c.condition, doses[c.agent]) for c in pair
            )
            names = [report.agent(cell.agent) for cell in pair]
            remarks = [
                remark
                for cell in pair
                if (remark := _comparison_remark(report, outcome, cell, doses[cell.agent]))
            ]
            texts = (report.dose_text(outcome, c.agent, doses[c.agent]) for c in pair)
            draws = first - second
            row = {
                "agents": " vs ".join(names),
                "condition": where,
                "doses": " vs ".join(texts) if report.has_dose(outcome) else "",
                f"{measure} ({CRI})": format_draws(report.natural_effect(outcome, draws)),
                "Pr(first lower than second)": format_probability(float(np.mean(draws < 0))),
                "remark": "; ".join(remarks),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def _comparison_remark(report: ReportContext, outcome: str, cell: ModelCell, dose: float) -> str:
    """Say that the dose of an agent in a comparison was not tested."""
    if not report.has_dose(outcome) or report.is_tested(outcome, cell.agent, dose, cell.tested_in):
        return ""
    remark = report.dose_remark(outcome, cell.agent, dose, cell.tested_in)
    return f"{report.agent(cell.agent)}: {remark or 'not a tested dose'}"


class BestDose(NamedTuple):
    """The tested dose with the highest probability of benefit with acceptable harm."""

    dose: float
    probability: float
    is_largest: bool

    @property
    def is_likely(self) -> bool:
        """Whether the dose is at least as likely as not to meet both targets."""
        return self.probability >= LIKELY


def best_dose(report: ReportContext, agent: str, condition: str) -> BestDose | None:
    """Find the best of a cell's tested doses; None without one, or trials of both outcomes.

    Tested for the benefit or for the harm, and not above the doses tested for either of them.
    """
    window = report.spec.window
    if window is None or report.window is None:
        return None
    sides = (window.benefit, window.harm)
    if not all(report.n_trials(outcome, agent) for outcome in sides):
        return None
    highest = [report.tested_range(outcome, agent, condition)[1] for outcome in sides]
    rows = report.tested_doses
    rows = rows[rows[OUTCOME].isin(sides) & (rows[AGENT] == agent) & (rows[CONDITION] == condition)]
    limit = np.nanmin([*highest, np.inf]) * (1 + TOLERANCE)
    tested = np.unique(rows[DOSE].to_numpy(float))
    tested = tested[tested <= limit]
    if not tested.size:
        return None
    met = [_meets_targets(report, agent, condition, float(dose)) for dose in tested]
    best = int(np.argmax(met))
    return BestDose(float(tested[best]), met[best], best == tested.size - 1)


def _meets_targets(report: ReportContext, agent: str, condition: str, dose: float) -> float:
    """The probability that a dose meets both targets of the window."""
    window = report.spec.window
    assert window is not None
    benefit, harm = (
        to_natural_scale(
            xr.DataArray(report.effect_draws(outcome, agent, condition, dose)[None], dims=SAMPLE),
            report.link(outcome),
            window.baseline_risk,
        )
        for outcome in (window.benefit, window.harm)
    )
    met = window_probabilities(report.spec, benefit, harm, window.baseline_risk)
    return float(met["p_both"])


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
            remark = report.dose_remark(outcome, cell.agent, median, cell.tested_in)
            rows.append(
                {
                    "effect": effect,
                    "agent": report.agent(cell.agent),
                    "condition": cell.where,
                    "Pr(reached)": format_probability(float(np.mean(~np.isnan(draws)))),
                    f"dose ({CRI})": _dose_interval(report, outcome, cell.agent, draws),
                    "remark": "" if math.isnan(median) else remark,
                }
            )
    rows += _ed50_rows(report)
    # A parameter shared by several cells is one row.
    return pd.DataFrame(rows).drop_duplicates(ignore_index=True)


def _dose_interval(report: ReportContext, outcome: str, agent: str, draws: np.ndarray) -> str:
    """Write an estimated dose with its interval, in the unit of the agent's doses."""
    if np.isnan(draws).all():
        return "not reached"
    low, middle, high = quantile_interval(draws)
    if not agent:  # shared by agents, whose units may differ
        text = format_draws(draws, lambda dose: format_number(dose, 2))
        return f"{text} {'× reference' if report.relative else '(on the dose axis of each agent)'}"
    return dose_interval_words(report.fit, outcome, agent, (low, middle, high))


def _targets(report: ReportContext) -> Iterator[tuple[str, float, str]]:
    """The effects of the spec's window: outcome, value on the outcome's scale, description."""
    window = report.spec.window
    if window is None:
        return
    benefit, harm = window.benefit, window.harm
    sign = -1 if report.outcomes[benefit].better == "lower" else 1
    start = window.baseline_risk if report.is_risk(benefit) else 0.0
    text = f"{report.label(benefit)}: benefit of {report.benefit_target()}"
    effect = start + sign * window.benefit_at_least
    if not report.is_risk(benefit):
        # Targets of ratios and correlations are on the scale of the linear predictor.
        effect = float(report.natural_effect(benefit, np.array(effect)))
    yield benefit, effect, text
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
            median = quantile_interval(draws)[1]
            tested_in = cell.tested_in if CONDITION in labels else None
            remark = report.dose_remark(outcome, cell.agent, median, tested_in)
            shared = AGENT not in labels and len(report.agents) > 1
            prior_only = _is_prior_only(report, outcome, labels)
            yield {
                "effect": f"{report.label(outcome)}: half of the maximum effect (ED50)",
                "agent": report.agent(cell.agent) if AGENT in labels else "all agents",
                "condition": (
                    cell.where
                    if CONDITION in labels or len(report.conditions) == 1
                    else ALL_CONDITIONS
                ),
                "Pr(reached)": format_probability(1.0),
                f"dose ({CRI})": _dose_interval(
                    report, outcome, "" if shared else cell.agent, draws
                ),
                "remark": PRIOR_ONLY_NOTE if prior_only else "" if shared else remark,
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
    """Summarise every scalar of a posterior, one row each; by quadrature where the fit has it.

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
    exact = fit.children.get("exact")
    if exact is not None:
        for name, part in statistics.items():
            integrated = exact.to_dataset().sel(statistic=name, drop=True)
            known = [v for v in integrated.data_vars if v in part]
            statistics[name] = part.assign({v: integrated[v] for v in known})
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
