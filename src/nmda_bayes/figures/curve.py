"""The curves of the catalogue over dose: for values, for draws, and as their advised priors."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmda_bayes.components.curves import CURVES, Curve
from nmda_bayes.dims import DOSE
from nmda_bayes.errors import nearest
from nmda_bayes.figures.style import BLACK, BLUE, FULL_WIDTH, GREY, drawing
from nmda_bayes.figures.text import note
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL

#: Points of the dose axis, single draws that are shown, and panels abreast.
POINTS, SHOWN, COLUMNS = 121, 30, 3
SAMPLE_OF = "draw_of_parameters"
#: What the gallery takes for tried, in multiples of a reference dose: each curve's example has it.
TRIED = (0.25, 1.0, 4.0)
#: Draws from each advised prior: enough for a band.
ADVISED = 400


def plot_curve(
    curve: str,
    parameters: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    dose: Sequence[float] | np.ndarray | None = None,
) -> Figure:
    """Draw a curve over doses, its formula below it.

    Parameters
    ----------
    curve
        Its name in the catalogue.
    parameters
        By name: one value each, or draws of each, as an array or as they stand in a fit's prior or
        posterior (all of one length; curves are drawn for them together).
    options
        Its options, as a spec has them in ``curve_options``.
    dose
        Exposures >= 0; 0 to 4 if None.

    Returns
    -------
    Figure
        One line for single values; for draws their median and 95 % equal-tailed band, with some of
        the curves behind it.

    Raises
    ------
    ValueError
        If there is no such curve, an option is at fault, or a parameter is missing, not the
        curve's, or of another length.
    """
    given = _known(curve).given(options or {})
    values = _aligned(given, parameters)
    grid = np.linspace(0, 4, POINTS) if dose is None else np.asarray(dose, dtype=float)
    with drawing(3.6, 2.9) as figure:
        axes = figure.subplots()
        effect = _draw(axes, given, values, grid)
        axes.set_xlabel("dose")
        axes.set_ylabel("effect, less that at dose 0")
        how = f" Line: median; band: {INTERVAL_TEXT}." if effect.shape[0] > 1 else ""
        note(figure, f"{_formula(given)}.{how}")
        figure.set_label(_alt(given, effect, grid))
    return figure


def plot_curves(names: Sequence[str] | None = None, *, largest_effect: float = 1.0) -> Figure:
    """Draw the catalogue: each curve as the priors that are advised for it.

    Parameters
    ----------
    names
        Curves of the catalogue; all of them if None.
    largest_effect
        The largest effect that the reader would believe, in the outcome's unit: advised priors
        depend on it.

    Returns
    -------
    Figure
        One panel a curve, for trials at a quarter, once and four times a dose; its formula below.

    Raises
    ------
    ValueError
        If there is no such curve.
    """
    chosen = [_known(name).given(_known(name).example) for name in names or CURVES]
    rows = -(-len(chosen) // COLUMNS)
    grid = np.linspace(0, max(TRIED) * 1.25, POINTS)
    rng = np.random.default_rng(1)
    with drawing(FULL_WIDTH, 0.4 + 1.75 * rows) as figure:
        every = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in every.flat[len(chosen) :]:
            axes.set_visible(False)
        for axes, curve in zip(every.flat, chosen, strict=False):
            _draw(axes, curve, _advised(curve, largest_effect, rng), grid)
            axes.set_title(curve.name, loc="left", fontweight="bold")
            lines = textwrap.wrap(curve.text, 44)[:3]
            axes.set_xlabel("\n".join(lines), fontsize=6)
            for tried in TRIED:
                axes.axvline(tried, color=GREY, linewidth=0.4, zorder=0)
        every.flat[0].set_ylim(-1.6 * largest_effect, 1.6 * largest_effect)
        for axes in every[:, 0]:
            axes.set_ylabel("effect")
        text = (
            f"Curves drawn from the priors that are advised where {largest_effect:g} is the largest"
            f" effect that one would believe and the doses at the grey lines were tried. Line:"
            f" median; band: {INTERVAL_TEXT}; advice is never a default."
        )
        note(figure, text)
        figure.set_label(f"{len(chosen)} curves: {', '.join(c.name for c in chosen)}. {text}")
    return figure


def _known(name: str) -> Curve:
    if name not in CURVES:
        raise ValueError(f"there is no curve '{name}'. {nearest(name, list(CURVES))}")
    return CURVES[name]


def _aligned(curve: Curve, parameters: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """Draws of every parameter of a curve, over one dim, all as long."""
    missing = [name for name in curve.parameters if name not in parameters]
    unknown = [name for name in parameters if name not in curve.parameters]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has no parameter {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"the curve '{curve.name}' {'; '.join(parts)}")
    flat = {
        name: np.atleast_1d(np.asarray(v, dtype=float)).ravel() for name, v in parameters.items()
    }
    lengths = {len(values) for values in flat.values()}
    if len(lengths - {1}) > 1:
        told = ", ".join(f"{name} {len(values)}" for name, values in flat.items())
        raise ValueError(f"draws of the parameters differ in number: {told}")
    longest = max(lengths)
    return {
        name: xr.DataArray(np.broadcast_to(values, longest), dims=SAMPLE_OF)
        for name, values in flat.items()
    }


def _advised(curve: Curve, largest: float, rng: np.random.Generator) -> dict[str, xr.DataArray]:
    found = {}
    for name, advice in curve.advice(TRIED).items():
        kwargs = advice.written(largest)["kwargs"]
        found[name] = xr.DataArray(
            rng.normal(kwargs["mu"], kwargs["sigma"], ADVISED), dims=SAMPLE_OF
        )
    return found


def _draw(
    axes: Axes, curve: Curve, values: Mapping[str, xr.DataArray], dose: np.ndarray
) -> np.ndarray:
    """Draw a curve for its draws; give its effects, dims draw and dose."""
    grid = xr.DataArray(dose, dims=DOSE)
    found = curve.response(grid, values, np).transpose(SAMPLE_OF, DOSE)
    effect = np.asarray(found.to_numpy(), dtype=float)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    if len(effect) == 1:
        axes.plot(dose, effect[0], color=BLUE, linewidth=1.6)
        return effect
    tail = (1 - LEVEL) / 2
    low, middle, high = np.quantile(effect, [tail, 0.5, 1 - tail], axis=0)
    axes.fill_between(dose, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(dose, effect[:SHOWN].T, color=BLUE, linewidth=0.4, alpha=0.5)
    axes.plot(dose, middle, color=BLACK, linewidth=1.4)
    return effect


def _formula(curve: Curve) -> str:
    where = f", where {curve.symbols}" if curve.symbols else ""
    return f"{curve.name}: f(x) = {curve.text} for x > 0, else 0{where}"


def _alt(curve: Curve, effect: np.ndarray, dose: np.ndarray) -> str:
    last = np.median(effect[:, -1])
    draws = f", the median of {len(effect)} draws" if len(effect) > 1 else ""
    return (
        f"The curve {_formula(curve)}, over doses {dose.min():g} to {dose.max():g}: an effect of"
        f" {last:.3g} at the last{draws}."
    )
