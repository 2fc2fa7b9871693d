"""Prior against posterior: what the data said of each parameter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.ndimage import gaussian_filter1d

from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import AFTER, BEFORE, FULL_WIDTH, drawing
from nmda_bayes.figures.text import legend, words, wrapped
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL

BINS = 256


@dataclass(frozen=True)
class Scalar:
    """One number's draws before and after, and where it stands."""

    variable: str
    at: str
    place: str
    prior: np.ndarray
    posterior: np.ndarray


def plot_prior_posterior(
    prior: xr.Dataset,
    posterior: xr.Dataset,
    variables: Sequence[str] | None = None,
    verdicts: pd.DataFrame | None = None,
) -> Figure:
    """Draw the prior and posterior density of each parameter.

    Parameters
    ----------
    prior
        Draws over chain, draw and each variable's own dims.
    posterior
        The same variables.
    variables
        Which to draw; all that both have if None.
    verdicts
        As ``check(fit).identifiability`` gives it: variable, at (``dim=label, ...``), verdict. The
        words are printed in the panel.

    Returns
    -------
    Figure
        One panel a scalar.

    Raises
    ------
    ValueError
        If a variable or dim is missing.
    """
    names = list(variables) if variables is not None else [v for v in posterior if v in prior]
    for dataset, which in ((prior, "prior"), (posterior, "posterior")):
        need_dims(dataset, (CHAIN, DRAW), f"plot_prior_posterior, {which},")
        need_variables(dataset, tuple(map(str, names)), f"plot_prior_posterior, {which},")
    each = [s for name in names for s in scalars(str(name), prior, posterior)]
    said: dict[tuple[str, str], str] = {}
    if verdicts is not None:
        told = verdicts[["variable", "at", "verdict"]].itertuples(index=False)
        said = {(str(row.variable), str(row.at)): str(row.verdict) for row in told}
    columns = max(1, min(4, len(each)))
    lines = max(1, -(-len(each) // columns))
    width = FULL_WIDTH if columns == 4 else 0.4 + 1.75 * columns
    with drawing(max(width, 3.6), 0.2 + 1.25 * lines) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for axes, scalar in zip(grid.flat, each, strict=False):
            axes.set_visible(True)
            _panel(axes, scalar, said.get((scalar.variable, scalar.at), ""))
        legend(figure, _legend())
        figure.set_label(_alt(each, said))
    return figure


def scalars(name: str, prior: xr.Dataset, posterior: xr.Dataset) -> Iterator[Scalar]:
    """Cut a variable into scalars, without constants and the mirrored half of a matrix.

    Parameters
    ----------
    name
        The variable.
    prior, posterior
        Its draws.

    Yields
    ------
    Scalar
        One number of it.
    """
    dims = [dim for dim in posterior[name].dims if dim not in SAMPLE]
    both = [
        d[name].transpose(*dims, *SAMPLE).values.reshape(-1, d.sizes[CHAIN] * d.sizes[DRAW])
        for d in (prior, posterior)
    ]
    index = pd.MultiIndex.from_product([posterior[dim].values for dim in dims]) if dims else [()]
    seen: list[np.ndarray] = []
    for labels, before, after in zip(index, *both, strict=True):
        if np.ptp(after) == 0 or any(np.array_equal(after, one) for one in seen):
            continue
        if len(dims) > 1 and len(set(labels)) <= len(labels):
            seen.append(after)
        at = ", ".join(f"{dim}={label}" for dim, label in zip(dims, labels, strict=True))
        yield Scalar(name, at, ", ".join(map(str, labels)), before, after)


def _panel(axes: Axes, scalar: Scalar, verdict: str) -> None:
    tails = [np.quantile(d, [0.005, 0.995]) for d in (scalar.prior, scalar.posterior)]
    low, high = min(t[0] for t in tails), max(t[1] for t in tails)
    if min(scalar.prior.min(), scalar.posterior.min()) >= 0 and low < 0.1 * high:
        low = 0.0
    for draws, look in ((scalar.prior, BEFORE), (scalar.posterior, AFTER)):
        x, density = smooth_density(draws)
        color, style = look.color, look.linestyle
        axes.plot(x, density, color=color, linestyle=style, linewidth=1.3, label="_density")
        if look is AFTER:
            axes.fill_between(x, density, color=color, alpha=0.2, linewidth=0)
    tail = (1 - LEVEL) / 2
    ends = np.quantile(scalar.posterior, [tail, 1 - tail])
    top = axes.get_ylim()[1]
    axes.hlines(-0.06 * top, ends[0], ends[1], colors=AFTER.color, linewidth=2.2, label="_interval")
    axes.set_xlim(low, high)
    said = wrapped(verdict, 26)
    axes.set_ylim(-0.12 * top, (1.2 + 0.25 * len(said.splitlines())) * top if said else top)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    outcome, _, parameter = scalar.variable.rpartition("::")
    head = ": ".join(words(part, 30) for part in (outcome, parameter) if part)
    parts = [head, words(scalar.place, 52)]
    axes.set_title("\n".join(wrapped(part, 27) for part in parts if part), fontsize=7)
    axes.text(
        0.5, 0.98, said, transform=axes.transAxes, ha="center", va="top",
        fontsize=6.5, fontweight="bold" if "only" in verdict or "no trial" in verdict else "normal",
    )  # fmt: skip


def smooth_density(
    draws: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth a histogram that ends where the draws end.

    A kernel would leak over the edge of a standard deviation's or correlation's support. Smoothing
    the histogram with reflection at the draws' own ends does not, and needs no bounds to be told.
    The central 99.8 % is drawn: a heavy tail would take all bins for itself.

    Parameters
    ----------
    draws
        In a row.
    weights
        Of each; equal if None.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Places and the density there.
    """
    low, high = np.quantile(draws, [0.001, 0.999])
    kept = (draws >= low) & (draws <= high)
    if draws.min() >= 0 > low - (high - low) / 50:
        low = min(low, draws.min())
        kept = draws <= high
    inside, weights = draws[kept], None if weights is None else weights[kept]
    counts, edges = np.histogram(
        inside, bins=BINS, range=(low, high), density=True, weights=weights
    )
    middle = np.quantile(inside, [0.25, 0.75])
    spread = min(inside.std(), (middle[1] - middle[0]) / 1.34 or inside.std())
    effective = len(inside) if weights is None else weights.sum() ** 2 / (weights**2).sum()
    # Silverman's bandwidth and a fifth more, in bins.
    bandwidth = 1.1 * spread * effective**-0.2 / (edges[1] - edges[0])
    smooth = gaussian_filter1d(counts, max(bandwidth, 1.0), mode="reflect")
    return (edges[:-1] + edges[1:]) / 2, smooth


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=BEFORE.color, linestyle=BEFORE.linestyle, label="prior density"),
        Patch(facecolor=AFTER.color, alpha=0.4, label="posterior density"),
        Line2D([], [], color=AFTER.color, linewidth=2.2, label=f"posterior {INTERVAL_TEXT}"),
    ]


def _alt(scalars: list[Scalar], said: dict[tuple[str, str], str]) -> str:
    text = f"Prior and posterior densities of {len(scalars)} parameters."
    counts = pd.Series([said.get((s.variable, s.at), "") for s in scalars], dtype=object)
    told = counts[counts != ""].value_counts()
    parts = [f"{number} {verdict}" for verdict, number in told.items()]
    return f"{text} Verdicts: {'; '.join(parts)}." if parts else text
