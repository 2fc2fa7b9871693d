"""Checks of a fit: predictive checks, prior against posterior, power scaling, stacking weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, VARIANT
from nmda_bayes.figures.layout import panel_grid, percent_axis, require_dims, require_variables
from nmda_bayes.figures.row_chart import Column, RowSeries, row_chart, stack_estimates
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    ORANGE,
    POSTERIOR_STYLE,
    PRIOR_STYLE,
    VERMILLION,
    SeriesStyle,
    display_name,
    line_key,
    one_line,
    patch_key,
    styled_figure,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_LEVEL, INTERVAL_TEXT, credible_interval

TAIL = (1 - INTERVAL_LEVEL) / 2


# Predictive checks.


def plot_predictive_check(
    observed: xr.DataArray,
    predictive: xr.DataArray,
    labels: Sequence[str] | xr.DataArray | None = None,
    kind: Literal["prior", "posterior"] = "posterior",
    *,
    n: xr.DataArray | np.ndarray | None = None,
    axis: str = "",
) -> Figure:
    """Draw each reported number over the interval of its replicates.

    Parameters
    ----------
    observed
        Reported numbers, over one dim (an arm or a contrast).
    predictive
        Replicates: chain, draw and that dim.
    labels
        A name for each row; the labels of the dim if None.
    kind
        Which predictive distribution it is.
    n
        Participants of each row where events were counted: both are then drawn as proportions.
    axis
        Name and unit of the reported numbers.

    Returns
    -------
    Figure
        One row each; numbers outside their interval are marked.

    Raises
    ------
    ValueError
        If a dim is missing, or the number of labels is wrong.

    Examples
    --------
    >>> observed = xr.DataArray([5.0, 50.0], dims="arm", coords={"arm": ["A", "B"]})
    >>> draws = xr.DataArray(np.arange(20.0).reshape(1, 10, 2), dims=("chain", "draw", "arm"))
    >>> nb.plot_predictive_check(observed, draws).get_label()[:61]
    'Posterior predictive check of the reported numbers: 1 of 2 li'
    """
    if observed.ndim != 1:
        raise ValueError(f"plot_predictive_check needs one dim of rows, not {observed.dims}")
    dim = str(observed.dims[0])
    require_dims(predictive, (CHAIN, DRAW, dim), "plot_predictive_check")
    names = [one_line(v) for v in np.asarray(observed[dim] if labels is None else labels)]
    if len(names) != observed.size:
        raise ValueError(f"plot_predictive_check: {len(names)} labels for {observed.size} rows")
    replicated = stack_estimates(
        credible_interval(predictive.reset_coords(drop=True).astype(float))
    )
    scale = np.ones(len(names)) if n is None else np.asarray(n, dtype=float)
    reported, replicated = observed.values / scale, replicated / scale[:, None]
    outside = (reported < replicated[:, 1]) | (reported > replicated[:, 2])
    n_inside = len(names) - int(outside.sum())
    points = np.stack([reported] * 3, axis=-1)
    bar = SeriesStyle(BLUE, marker="|")
    inside_label = f"reported ({n_inside} of {len(names)} inside)"
    label = f"{kind} predictive (median, {INTERVAL_TEXT})"
    series = [RowSeries(label, replicated, bar, width=3.2, alpha=0.35)]
    for label, selected, style in (
        (inside_label, ~outside, SeriesStyle(BLACK, hollow=True)),
        ("reported, outside its interval", outside, SeriesStyle(VERMILLION, marker="D")),
    ):
        estimates = np.where(selected[:, None], points, np.nan)
        series.append(RowSeries(label, estimates, style, width=0))
    xlabel = axis or ("" if n is None else "proportion with the event")
    left, y = [Column("", names)], range(len(names))
    chart = row_chart(len(names), series, left=left, xlabel=xlabel, height=0.15, null=None)
    with chart as (figure, axes):
        rows = axes.get_yaxis_transform()
        axes.hlines(y, 0, 1, transform=rows, colors=GREY, lw=0.2, zorder=0)
        if n is not None:
            percent_axis(axes.xaxis)
        figure.set_alt_text(
            f"{kind.capitalize()} predictive check of {one_line(axis) or 'the reported numbers'}:"
            f" {n_inside} of {len(names)} lie inside their {INTERVAL_TEXT}."
        )
    return figure


# Prior and posterior densities.

HISTOGRAM_BINS = 256


@dataclass(frozen=True)
class ScalarDraws:
    """Prior and posterior draws of one element of a parameter."""

    variable: str
    at: str  # "dim=label, ..."
    labels: str
    prior: np.ndarray
    posterior: np.ndarray

    def title(self, width: int) -> str:
        """Write its outcome and parameter."""
        outcome, _, parameter = self.variable.rpartition("::")
        return ": ".join(display_name(part, width) for part in (outcome, parameter) if part)


def plot_prior_posterior(
    prior: xr.Dataset,
    posterior: xr.Dataset,
    variables: Sequence[str] | None = None,
    identifiability: pd.DataFrame | None = None,
) -> Figure:
    """Draw the prior and posterior density of each parameter.

    Parameters
    ----------
    prior
        Draws over chain, draw and each variable's dims.
    posterior
        The same variables.
    variables
        Which to draw; all that both have if None.
    identifiability
        The table of `nmda_bayes.diagnose`: variable, at (``dim=label, ...``) and conclusion,
        which is printed in the panel.

    Returns
    -------
    Figure
        One panel an element of a parameter.

    Raises
    ------
    ValueError
        If a variable or dim is missing.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> draws = xr.Dataset({"emax": (("chain", "draw"), rng.normal(size=(2, 100)))})
    >>> nb.plot_prior_posterior(3 * draws, draws).get_label()
    'Prior and posterior densities of 1 parameters.'
    """
    scalars = list(_split_parameters(prior, posterior, variables, "plot_prior_posterior"))
    conclusions: dict[tuple[str, str], str] = {}
    if identifiability is not None:
        table = identifiability[["variable", "at", "conclusion"]].astype(str)
        conclusions = {(variable, at): v for variable, at, v in table.itertuples(index=False)}
    printed = [conclusions.get((scalar.variable, scalar.at), "") for scalar in scalars]
    columns = max(1, min(4, len(scalars)))
    width = FULL_WIDTH if columns == 4 else max(0.4 + 1.75 * columns, 3.6)
    with styled_figure(width, 0.2 + 1.25 * max(1, -(-len(scalars) // columns))) as figure:
        grid = panel_grid(figure, max(1, len(scalars)), columns, sharex=False, sharey=False)
        for axes, scalar, conclusion in zip(grid.flat, scalars, printed, strict=False):
            _draw_densities(axes, scalar, conclusion)
        look = PRIOR_STYLE
        figure.add_legend(
            line_key("prior density", look.color, ls=look.linestyle),
            patch_key("posterior density", POSTERIOR_STYLE.color, alpha=0.4),
            line_key(f"posterior {INTERVAL_TEXT}", POSTERIOR_STYLE.color, lw=2.2),
        )
        counts = pd.Series([text for text in printed if text], dtype=object).value_counts()
        summary = "; ".join(f"{count} {conclusion}" for conclusion, count in counts.items())
        figure.set_alt_text(
            f"Prior and posterior densities of {len(scalars)} parameters.",
            summary and f"Identifiability: {summary}.",
        )
    return figure


def _split_parameters(
    prior: xr.Dataset, posterior: xr.Dataset, variables: Sequence[str] | None, figure: str
) -> Iterator[ScalarDraws]:
    """Split variables, all if None, into scalars."""
    names = list(variables or (str(name) for name in posterior if name in prior))
    for dataset, kind in ((prior, "prior"), (posterior, "posterior")):
        require_dims(dataset, SAMPLE, f"{figure}, {kind},")
        require_variables(dataset, names, f"{figure}, {kind},")
    for name in names:
        yield from _split_variable(name, prior, posterior)


def _split_variable(name: str, prior: xr.Dataset, posterior: xr.Dataset) -> Iterator[ScalarDraws]:
    """Split a variable into scalars, without constants and the mirrored half of a matrix."""
    dims = [dim for dim in posterior[name].dims if dim not in SAMPLE]
    draws = []
    for dataset in (prior, posterior):
        values = dataset[name].transpose(*dims, *SAMPLE).values
        draws.append(values.reshape(-1, values.shape[-2] * values.shape[-1]))
    index: Iterable[Any] = [()]
    if dims:
        index = pd.MultiIndex.from_product([posterior[dim].values for dim in dims])
    drawn: list[np.ndarray] = []
    for labels, before, after in zip(index, *draws, strict=True):
        if np.ptp(after) == 0 or any(np.array_equal(after, other) for other in drawn):
            continue
        if len(dims) > 1:
            drawn.append(after)
        at = ", ".join(f"{dim}={label}" for dim, label in zip(dims, labels, strict=True))
        yield ScalarDraws(name, at, ", ".join(map(str, labels)), before, after)


def _draw_densities(axes: Axes, scalar: ScalarDraws, conclusion: str) -> None:
    ends = [np.quantile(draws, [0.005, 0.995]) for draws in (scalar.prior, scalar.posterior)]
    low, high = np.min(ends), np.max(ends)
    if min(scalar.prior.min(), scalar.posterior.min()) >= 0 and low < 0.1 * high:
        low = 0.0
    for draws, look in ((scalar.prior, PRIOR_STYLE), (scalar.posterior, POSTERIOR_STYLE)):
        x, density = _smooth_density(draws)
        axes.plot(x, density, color=look.color, ls=look.linestyle, lw=1.3, label="_density")
        if look is POSTERIOR_STYLE:
            axes.fill_between(x, density, color=look.color, alpha=0.2, lw=0)
    top = axes.get_ylim()[1]
    low_end, high_end = np.quantile(scalar.posterior, [TAIL, 1 - TAIL])
    axes.hlines(-0.06 * top, low_end, high_end, colors=BLUE, lw=2.2, label="_interval")
    axes.set_xlim(low, high)
    text = wrap_text(conclusion, 26)
    axes.set_ylim(-0.12 * top, (1.2 + 0.25 * len(text.splitlines())) * top if text else top)
    _hide_density_axis(axes, 4)
    parts = filter(None, (scalar.title(30), display_name(scalar.labels, 52)))
    axes.set_title(wrap_text("\n".join(parts), 27), fontsize=7)
    weight = "bold" if "only" in conclusion or "no trial" in conclusion else "normal"
    style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 6.5, "fontweight": weight}
    axes.text(0.5, 0.98, text, transform=axes.transAxes, **style)


def _hide_density_axis(axes: Axes, n_ticks: int) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=n_ticks)


def _smooth_density(
    draws: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate a density by a smoothed histogram that ends where the draws end.

    A kernel would leak over the edge of a standard deviation's or correlation's support; smoothing
    the histogram with reflection at its ends does not. The central 99.8% are drawn, as a heavy tail
    would take all bins.
    """
    low, high = np.quantile(draws, [0.001, 0.999])
    kept = (draws >= low) & (draws <= high)
    if draws.min() >= 0 > low - (high - low) / 50:
        low = min(low, draws.min())
        kept = draws <= high
    inside, weights = draws[kept], None if weights is None else weights[kept]
    if weights is not None:
        if not weights.max() > 0:  # every draw of weight lies outside
            return np.array([low, high]), np.zeros(2)
        weights = weights / weights.max()
    density, edges = np.histogram(
        inside, bins=HISTOGRAM_BINS, range=(low, high), density=True, weights=weights
    )
    quartiles = np.quantile(inside, [0.25, 0.75])
    spread = min(inside.std(), np.ptp(quartiles) / 1.34 or inside.std())
    effective = len(inside) if weights is None else weights.sum() ** 2 / (weights**2).sum()
    # Silverman's bandwidth and a fifth more, in bins.
    bandwidth = 1.1 * spread * effective**-0.2 / (edges[1] - edges[0])
    smooth = gaussian_filter1d(density, max(bandwidth, 1.0), mode="reflect")
    return (edges[:-1] + edges[1:]) / 2, smooth


# Power scaling.

COMPONENT, POWER = "component", "power"
SCALED_TITLES = {"prior": "priors", "baseline": "priors of baselines"}
#: Above this Pareto k importance weights are unreliable.
MAX_PARETO_K = 0.7
POWER_STYLES = (
    SeriesStyle(ORANGE, (0, (4, 2)), "s"),
    POSTERIOR_STYLE,
    SeriesStyle(BLACK, (0, (1, 1.2)), "^"),
)


def plot_power_scaling(
    prior: xr.Dataset,
    posterior: xr.Dataset,
    scaled: xr.Dataset,
    variables: Sequence[str] | None = None,
    panels: int = 6,
) -> Figure:
    """Draw each parameter's prior, and its posterior with prior or likelihood raised to powers.

    Parameters
    ----------
    prior
        Draws over chain, draw and each variable's dims.
    posterior
        The same variables.
    scaled
        From `nmda_bayes.power_scaling`, with up to three powers: ``weight`` (component, power,
        chain, draw) and ``k_hat`` (component, power).
    variables
        Which to draw; all that both have if None.
    panels
        How many scalars to draw at most, the first ones.

    Returns
    -------
    Figure
        One row a scalar, one column a component: priors, those of baselines, and likelihood.

    Raises
    ------
    ValueError
        If a variable or dim is missing.

    Examples
    --------
    >>> names = ["analgesia::heterogeneity_sd"]
    >>> prior, posterior = fit["prior"].to_dataset(), fit["posterior"].to_dataset()
    >>> figure = nb.plot_power_scaling(prior, posterior, nb.power_scaling(fit), names)
    >>> len(figure.axes)
    3
    """
    require_variables(scaled, ("weight", "k_hat"), "plot_power_scaling")
    scalars = list(_split_parameters(prior, posterior, variables, "plot_power_scaling"))[:panels]
    components = [str(name) for name in scaled[COMPONENT].to_numpy()]
    powers = scaled[POWER].to_numpy()
    with styled_figure(6.4, 0.5 + 1.15 * len(scalars)) as figure:
        count = len(scalars) * len(components)
        grid = panel_grid(figure, count, len(components), sharex="row", sharey=False)
        for row, scalar in zip(grid, scalars, strict=True):
            for axes, component in zip(row, components, strict=True):
                _draw_powers(axes, scalar, scaled["weight"].sel({COMPONENT: component}))
            label = ": ".join(filter(None, (scalar.title(72), display_name(scalar.labels, 72))))
            row[0].set_ylabel(wrap_text(label, 22), rotation=0, ha="right", va="center")
        for axes, component in zip(grid[0], components, strict=True):
            k_hat = scaled["k_hat"].sel({COMPONENT: component}).to_numpy()
            unreliable = ", ".join(f"{p:g}" for p in powers[~(k_hat <= MAX_PARETO_K)])
            title = f"{SCALED_TITLES.get(component, component)} raised to a power"
            title += f"\n(power {unreliable}: unreliable)" if unreliable else ""
            axes.set_title(title, fontsize=7.5)
        keys = [
            line_key("posterior" if p == 1 else f"power {p:g}", look.color, ls=look.linestyle)
            for p, look in zip(powers, POWER_STYLES, strict=False)
        ]
        figure.add_legend(line_key("prior", GREY, lw=0.9), *keys, columns=4)
        means = scaled["weight"].transpose(COMPONENT, POWER, CHAIN, DRAW).to_numpy()[0]
        shifts = [
            float(np.ptp(means.reshape(len(powers), -1) @ s.posterior) / s.posterior.std())
            for s in scalars
        ]
        most = int(np.argmax(shifts))
        name = f"{display_name(scalars[most].variable, 60)} {scalars[most].labels}".strip()
        figure.set_alt_text(
            f"Posteriors of {len(scalars)} parameters with priors, and likelihood, raised to powers"
            f" {', '.join(f'{p:g}' for p in powers)}. With the priors the mean of {name} shifts"
            f" most, by {shifts[most]:.2f} posterior SDs."
        )
    return figure


def _draw_powers(axes: Axes, scalar: ScalarDraws, weights: xr.DataArray) -> None:
    """Draw a prior, and the posterior with each power's weights (power, chain, draw)."""
    axes.plot(*_smooth_density(scalar.prior), color=GREY, lw=0.9, label="_prior")
    for power, look in zip(weights[POWER].to_numpy(), POWER_STYLES, strict=False):
        weight = weights.sel({POWER: power}).transpose(CHAIN, DRAW).to_numpy().ravel()
        style: dict[str, Any] = {"color": look.color, "ls": look.linestyle, "lw": 1.3}
        axes.plot(*_smooth_density(scalar.posterior, weight), label=f"_{power:g}", **style)
    low, high = np.quantile(scalar.posterior, [0.001, 0.999])
    margin = 0.25 * (high - low)
    left = low - margin
    axes.set_xlim(max(left, 0.0) if scalar.posterior.min() >= 0 else left, high + margin)
    axes.set_ylim(bottom=0)
    _hide_density_axis(axes, 5)


# Stacking weights.


def plot_stacking_weights(stacked: xr.Dataset) -> Figure:
    """Draw the stacking weight of each model, and how well each predicts studies left out.

    Parameters
    ----------
    stacked
        From `nmda_bayes.stacking_weights`: ``weight``, ``lower``, ``upper``, ``elpd_difference``
        and ``elpd_difference_se`` (variant).

    Returns
    -------
    Figure
        One row a model, the largest weight on top.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> numbers = {"weight": [0.2, 0.8], "lower": [0.0, 0.3], "upper": [0.7, 1.0]}
    >>> numbers |= {"elpd_difference": [-2.0, 0.0], "elpd_difference_se": [1.5, 0.0]}
    >>> stacked = pd.DataFrame(numbers, pd.Index(["linear", "emax"], name="variant")).to_xarray()
    >>> nb.plot_stacking_weights(stacked).get_label()[:39]
    'Stacking weights of 2 models: emax has '
    """
    require_dims(stacked, (VARIANT,), "plot_stacking_weights")
    needed = ("weight", "lower", "upper", "elpd_difference", "elpd_difference_se")
    require_variables(stacked, needed, "plot_stacking_weights")
    rows = stacked.isel({VARIANT: np.argsort(-stacked["weight"].values, kind="stable")})
    names = [one_line(name, 40) for name in rows[VARIANT].values]
    weight, lower, upper, difference, se = (rows[name].values for name in needed)
    y = np.arange(len(names))
    with styled_figure(FULL_WIDTH, 1.3 + 0.3 * len(names)) as figure:
        weights, scores = figure.subplots(1, 2, sharey=True)
        weights.hlines(y, lower, upper, colors=BLUE, lw=1.3)
        weights.scatter(weight, y, s=18, color=BLUE, zorder=3)
        weights.set_xlim(-0.03, 1.03)
        percent_axis(weights.xaxis)
        weights.set_xlabel("stacking weight")
        scores.hlines(y, difference - se, difference + se, colors=GREY, lw=1.3)
        scores.scatter(difference, y, s=16, marker="s", color=GREY, zorder=3)
        scores.axvline(0, color=GREY, lw=0.7, zorder=0)
        scores.set_xlabel("difference in elpd from the best model (± 1 SE)")
        weights.set_yticks(y, names)
        weights.set_ylim(len(names) - 0.5, -0.5)
        for axes in (weights, scores):
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        summary = str(stacked.attrs.get("summary", ""))
        figure.add_note(f"Bars: {INTERVAL_TEXT} over resampled studies.", summary)
        figure.set_alt_text(
            f"Stacking weights of {len(names)} models: {names[0]} has {weight[0]:.0%}, with a"
            f" {INTERVAL_TEXT} over resampled studies from {lower[0]:.0%} to {upper[0]:.0%}.",
            summary,
        )
    return figure
