"""Prior sensitivity by power-scaling, and the sensitivity analysis of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks import power_scaling
from nmda_bayes.checks.prior_influence import POWERS
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME, SAMPLE
from nmda_bayes.estimands import spec_of
from nmda_bayes.figures import (
    plot_leave_one_out,
    plot_multiverse_grid,
    plot_power_scaling,
    plot_specification_curve,
    plot_tornado,
)
from nmda_bayes.report.blocks import (
    Block,
    Columns,
    FigureNumbering,
    Heading,
    Picture,
    Table,
    Text,
    build_table,
    fold_table,
    section,
)
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.format import (
    CRI,
    count_noun,
    display_name,
    format_effect,
    format_interval,
    format_number,
    format_probability,
    format_range,
    join_words,
    list_some,
)
from nmda_bayes.sensitivity import compare_variants, elpd_table, select_cell
from nmda_bayes.sensitivity.results import CHOICE, REPORTS, VARIANT
from nmda_bayes.sensitivity.variants import BASE, MULTIVERSE, NAMED

LEAVE_ONE_OUT: Final = "leave_one_out"

# --- Prior sensitivity ---------------------------------------------------------------------------

NO_CONFLICT: Final = "✓"
MAX_NAMES: Final = 8
#: Quantities in the figure: the most sensitive to their priors.
MAX_DRAWN: Final = 6


@section("prior-sensitivity", "Prior sensitivity", 120)
def prior_sensitivity_section(report: ReportContext) -> Iterator[Block]:
    """How results change when priors or likelihood are raised to a power near 1."""
    frame = report.checks.prior_sensitivity
    flagged = ~frame["diagnosis"].astype(str).isin([NO_CONFLICT, "", "-"])
    yield Text(
        "Power-scaling (Kallioinen et al. 2024): priors, or the likelihood, are raised to powers"
        " near 1 and the draws reweighted, without a refit. Prior sensitivity above 0.05 means that"
        " a slightly wider or narrower prior changes the result. Priors of baselines are scaled"
        " apart from the others: they should not matter to an effect. Other prior families, models"
        " or data are not covered."
    )
    if flagged.any():
        by_diagnosis = frame[flagged].groupby("diagnosis", sort=False)["variable"]
        sentences = (
            f"{str(diagnosis).capitalize()}:"
            f" {list_some((report.quantity(str(name)) for name in names), MAX_NAMES)}."
            for diagnosis, names in by_diagnosis
        )
        yield Text(" ".join(sentences))
    else:
        yield Text("No quantity is flagged.")
    yield from _power_scaling_figure(report, frame)
    table = build_table(
        frame.assign(diagnosis=frame["diagnosis"].replace({NO_CONFLICT: "no conflict"})),
        "Sensitivity of each quantity to the strength of its prior and of the likelihood.",
        {
            "variable": "quantity",
            "prior": ("to the prior", format_number),
            "baseline": ("to the baselines' prior", format_number),
            "likelihood": ("to the likelihood", format_number),
            "diagnosis": "diagnosis",
        },
        flagged,
    )
    summary = f"All {count_noun(len(frame), 'quantity', 'quantities')}"
    yield fold_table(table, summary, printed=False)


def _power_scaling_figure(report: ReportContext, frame: pd.DataFrame) -> Iterator[Picture]:
    most = frame.dropna(subset=["prior"]).sort_values("prior", ascending=False, kind="stable")
    names = [str(name) for name in most["variable"].head(MAX_DRAWN)]
    if not names or "prior" not in report.fit.children:
        return
    prior, posterior = (
        xr.Dataset({report.quantity(n): _scalar(report.fit[group].to_dataset(), n) for n in names})
        for group in ("prior", "posterior")
    )
    figure = plot_power_scaling(prior, posterior, power_scaling(report.fit))
    powers = join_words(f"{power:g}" for power in POWERS if power != 1)
    caption = (
        f"The {count_noun(len(names), 'quantity', 'quantities')} most sensitive to the strength of"
        " their priors, with priors, priors of baselines, or likelihood raised to the powers"
        f" {powers}:"
        " weaker below 1, stronger above."
    )
    yield report.figures.add(figure, caption)


def _scalar(draws: xr.Dataset, name: str) -> xr.DataArray:
    """Select one scalar by its name, ``variable[labels]``."""
    variable, _, labels = name.removesuffix("]").partition("[")
    array = draws[variable]
    dims = [dim for dim in array.dims if dim not in SAMPLE]
    # A label may itself hold the separator: a pair of outcomes, an agent with a comma in its name.
    members = product(*(array[dim].to_numpy() for dim in dims))
    member = next((m for m in members if labels and ", ".join(map(str, m)) == labels), ())
    selection = dict(zip(dims, member, strict=bool(labels)))
    return array.sel(selection).reset_coords(drop=True)


# --- Sensitivity analysis ------------------------------------------------------------------------


@section("sensitivity", "Sensitivity analysis", 130)
def variant_section(report: ReportContext) -> Iterator[Block]:
    """How results change over the variants of the analysis."""
    results = report.variants
    if results is None:
        return
    computed = int((results["how"] != "").sum()) - 1
    yield Text(
        f"{count_noun(computed, 'variant')} of this analysis, with other priors, trials, curves and"
        " decisions. The page of the sensitivity analysis has all of them and how each was"
        " computed. The base case has no privilege over the others."
    )
    if spec_of(results) != report.spec:
        text = "The base case of the sensitivity analysis is not this analysis: compare the specs."
        yield Text(text, "failed")
    yield from elpd_blocks(results)
    for cell in main_cells(results, 1):
        yield Heading(str(cell.attrs["title"]))
        yield estimate_range(cell)
        yield from variant_figures(cell, report.figures, all_kinds=False)
        yield from _named_variants(results, cell)


def elpd_blocks(results: xr.Dataset) -> Iterator[Block]:
    """Predictive density and heterogeneity by variant, if they were computed."""
    if REPORTS not in results:
        return
    yield Text(
        "Expected log predictive density (elpd) of whole trials by leave-one-study-out"
        " cross-validation, smoothed importance sampling. Higher is better. Differences are from"
        " the base case where both use the same data; differences within two standard errors (SE,"
        " over trials) are inconclusive. Trials with k-hat above 0.7 are unreliable."
    )
    rows = elpd_table(results).to_dict("records")
    outcomes = [str(name) for name in results[OUTCOME].to_numpy()]
    frame = pd.DataFrame(
        {
            "variant": display_name(str(row[VARIANT])),
            "elpd": format_number(row["elpd"], 4) if np.isfinite(row["elpd"]) else "not available",
            "difference from base case (SE)": _difference(row) if i else "",
            "unreliable trials": (
                f"{row['unreliable']} of {row['studies']}" if np.isfinite(row["elpd"]) else ""
            ),
        }
        | {f"heterogeneity SD, {display_name(o)} ({CRI})": _heterogeneity(row, o) for o in outcomes}
        for i, row in enumerate(rows)
    )
    caption = (
        f"Predictive performance of {count_noun(len(rows), 'analysis', 'analyses')}, and the"
        " heterogeneity SD between trials (for binary outcomes: of log odds ratios)."
    )
    yield build_table(frame, caption)


def _difference(row: dict[Any, Any]) -> str:
    if not row["same"]:
        return "different data"
    if not np.isfinite(row["difference"]):
        return "not available"
    sign = "+" if row["difference"] > 0 else ""
    return f"{sign}{format_effect(row['difference'])} ({format_number(row['se'], 2)})"


def _heterogeneity(row: dict[Any, Any], outcome: str) -> str:
    low, middle, high = (float(row[f"{outcome}:{end}"]) for end in ("lower", "median", "upper"))
    return format_interval(low, middle, high) if np.isfinite(middle) else "none, or several strata"


def main_cells(results: xr.Dataset, per_outcome: int) -> Iterator[xr.Dataset]:
    """The cells of each outcome that the question is about.

    With a window, those with most trials of both benefit and harm; then those with most trials.
    """
    cells = list(tested_cells(results))
    if "p_window" in results:
        trials = results["trials"].isel({VARIANT: 0}, drop=True)
        window = spec_of(results).window
        sides = [window.benefit, window.harm] if window else []
        of_both = trials.sel({OUTCOME: sides}).min(OUTCOME)
        cells.sort(key=lambda c: -int(of_both.sel({d: c[d] for d in (AGENT, CONDITION)})))
    for outcome in results[OUTCOME].to_numpy():
        of_outcome = [cell for cell in cells if cell[OUTCOME] == outcome]
        yield from (select_cell(results, **cell) for cell in of_outcome[:per_outcome])


def tested_cells(results: xr.Dataset) -> Iterator[dict[str, str]]:
    """The cells that have a trial in the base case, those with most trials first."""
    dims = (OUTCOME, AGENT, CONDITION)
    trials = results["trials"].isel({VARIANT: 0}, drop=True).transpose(*dims)
    counts = trials.to_numpy()
    indices = np.argwhere(counts > 0)
    for index in indices[np.argsort(-counts[counts > 0], kind="stable")]:
        yield {d: str(trials[d].to_numpy()[i]) for d, i in zip(dims, index, strict=True)}


def estimate_range(cell: xr.Dataset) -> Text:
    """The range of estimates over the variants."""
    medians, above = (cell["effect"].sel(statistic=s).to_numpy() for s in ("median", "above_zero"))
    known = np.isfinite(medians)
    estimates = format_range(medians[known].min(), medians[known].max(), format_number)
    probabilities = format_range(above[known].min(), above[known].max(), format_probability)
    text = (
        f"{cell.attrs['axis']}. Median {format_number(medians[0])} in the base case, {estimates}"
        f" over all variants. Pr(effect above 0) {format_probability(above[0])} in the base case,"
        f" {probabilities} over all variants."
    )
    window = cell["p_window"].to_numpy().astype(float) if "p_window" in cell else np.array([])
    met = window[np.isfinite(window)]
    if met.size and np.isfinite(window[0]):
        text += (
            f" Pr(both targets met) {format_probability(window[0])} in the base case,"
            f" {format_range(met.min(), met.max(), format_probability)} over all variants."
        )
    return Text(text)


def variant_figures(
    cell: xr.Dataset, figures: FigureNumbering, *, all_kinds: bool = True
) -> Iterator[Picture]:
    """Specification curve and tornado of a cell, and with `all_kinds` the other figures."""
    kinds = set(cell["kind"].to_numpy()[np.isfinite(cell["effect"].sel(statistic="median"))])
    where = f"{cell.attrs['title']}, {cell.attrs['axis']}"
    curve = plot_specification_curve(cell)
    yield figures.add(curve, f"Specification curve: {where}. Medians and {CRI}s.")
    if kinds - {BASE, MULTIVERSE}:
        caption = f"Tornado plot: range of medians by decision, changed one at a time. {where}."
        yield figures.add(plot_tornado(cell), caption)
    if not all_kinds:
        return
    if LEAVE_ONE_OUT in kinds:
        caption = f"Leave-one-out: {where}. Medians and {CRI}s."
        yield figures.add(plot_leave_one_out(cell), caption)
    pair = _most_combined(cell)
    if pair is not None and "p_window" in cell:
        caption = f"Probability of meeting both targets, by two decisions: {cell.attrs['title']}."
        yield figures.add(plot_multiverse_grid(cell, pair), caption)


def _most_combined(cell: xr.Dataset) -> tuple[str, str] | None:
    """The two decisions that most variants change together, and no others."""
    changed = (cell["setting"] != cell["setting"].isel({VARIANT: 0})).to_numpy()
    pairs = [tuple(np.flatnonzero(row)) for row in changed if row.sum() == 2]
    if not pairs:
        return None
    first, second = max(dict.fromkeys(pairs), key=pairs.count)
    names = cell[CHOICE].to_numpy()
    return str(names[first]), str(names[second])


def _named_variants(results: xr.Dataset, cell: xr.Dataset) -> Iterator[Table]:
    labels = (str(cell.attrs[dim]) for dim in (OUTCOME, AGENT, CONDITION))
    frame = compare_variants(results, *labels)
    rows = frame[frame["kind"].isin([NAMED, BASE]) & frame["median"].notna()]
    if len(rows) > 1:
        caption = f"Named variants: {cell.attrs['title']}, {cell.attrs['axis']}."
        yield variant_table(rows, caption)


def variant_table(rows: pd.DataFrame, caption: str) -> Table:
    """Variants of one cell, as `compare_variants` returns them."""
    ends = zip(rows["lower"], rows["median"], rows["upper"], strict=True)
    shown = rows.assign(
        variant=rows[VARIANT].map(display_name),
        estimate=[format_interval(*end, format_number) for end in ends],
    )
    columns: Columns = {
        "variant": "variant",
        "estimate": (f"median ({CRI})", str),
        "shift": ("shift (posterior SDs)", format_number),
        "above_zero": ("Pr(above 0)", format_probability),
        "p_window": ("Pr(both targets met)", format_probability),
        "trials": ("trials", str),
        "how": "method",
        "remark": "remark",
    }
    return build_table(shown, caption, columns, ~rows["passed"].astype(bool))
