"""From prior to posterior under power-scaling: the posterior with its priors half as strong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.dims import CHAIN, DRAW
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.prior_posterior import Scalar, scalars, smooth_density
from nmda_bayes.figures.style import AFTER, BLACK, GREY, ORANGE, Look, drawing
from nmda_bayes.figures.text import legend, words, wrapped

COMPONENT, POWER = "component", "power"
#: Above it weights are not to be relied on.
K_AT_MOST = 0.7
LOOKS = (Look(ORANGE, (0, (4, 2)), "s"), AFTER, Look(BLACK, (0, (1, 1.2)), "^"))


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
        Draws over chain, draw and each variable's own dims.
    posterior
        The same variables.
    scaled
        As `nmda_bayes.checks.power_scaling` gives it, of up to three powers: ``weight`` (component,
        power, chain, draw) and ``k_hat`` (component, power).
    variables
        Which to draw; all that both have if None.
    panels
        How many scalars to draw at most, the first ones.

    Returns
    -------
    Figure
        One row a scalar: to the left the priors are raised, to the right the likelihood.

    Raises
    ------
    ValueError
        If a variable or dim is missing.
    """
    names = list(variables) if variables is not None else [v for v in posterior if v in prior]
    for dataset, which in ((prior, "prior"), (posterior, "posterior")):
        need_dims(dataset, (CHAIN, DRAW), f"plot_power_scaling, {which},")
        need_variables(dataset, tuple(map(str, names)), f"plot_power_scaling, {which},")
    need_variables(scaled, ("weight", "k_hat"), "plot_power_scaling")
    chosen = [s for name in names for s in scalars(str(name), prior, posterior)][:panels]
    components = [str(one) for one in scaled[COMPONENT].to_numpy()]
    with drawing(6.4, 0.5 + 1.15 * len(chosen)) as figure:
        grid = figure.subplots(len(chosen), len(components), squeeze=False, sharex="row")
        for line, one in zip(grid, chosen, strict=True):
            for axes, component in zip(line, components, strict=True):
                _panel(axes, one, scaled.sel({COMPONENT: component}))
            outcome, _, own = one.variable.rpartition("::")
            head = ": ".join(words(part, 72) for part in (outcome, own, one.place) if part)
            line[0].set_ylabel(wrapped(head, 22), rotation=0, ha="right", va="center")
        for axes, component in zip(grid[0], components, strict=True):
            raised = "priors" if component == "prior" else component
            axes.set_title(f"{raised} raised to a power{_untold(scaled, component)}", fontsize=7.5)
        legend(figure, _legend(scaled), columns=4)
        figure.set_label(_alt(chosen, scaled))
    return figure


def _panel(axes: Axes, one: Scalar, scaled: xr.Dataset) -> None:
    x, density = smooth_density(one.prior)
    axes.plot(x, density, color=GREY, linewidth=0.9, label="_prior")
    for power, look in zip(scaled[POWER].to_numpy(), LOOKS, strict=False):
        weight = scaled["weight"].sel({POWER: power}).transpose(CHAIN, DRAW).to_numpy().ravel()
        x, density = smooth_density(one.posterior, weight)
        axes.plot(
            x, density, color=look.color, linestyle=look.linestyle, linewidth=1.3,
            label=f"_{power:g}",
        )  # fmt: skip
    low, high = np.quantile(one.posterior, [0.001, 0.999])
    room = 0.25 * (high - low)
    axes.set_xlim(max(low - room, 0.0) if one.posterior.min() >= 0 else low - room, high + room)
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)


def _untold(scaled: xr.Dataset, component: str) -> str:
    """Say at which powers the weights are not to be relied on."""
    k_hat = scaled["k_hat"].sel({COMPONENT: component})
    failed = [f"{p:g}" for p, k in zip(scaled[POWER].values, k_hat.values, strict=True)
              if not k <= K_AT_MOST]  # fmt: skip
    return f"\n(power {', '.join(failed)} not to be relied on)" if failed else ""


def _legend(scaled: xr.Dataset) -> list[Line2D]:
    lines = [Line2D([], [], color=GREY, linewidth=0.9, label="prior")]
    for power, look in zip(scaled[POWER].to_numpy(), LOOKS, strict=False):
        said = "posterior" if power == 1 else f"power {power:g}"
        lines.append(Line2D([], [], color=look.color, linestyle=look.linestyle, label=said))
    return lines


def _alt(chosen: list[Scalar], scaled: xr.Dataset) -> str:
    """Say which scalar moves most when its priors are halved or doubled."""
    moved = {}
    for one in chosen:
        weights = scaled["weight"].transpose(COMPONENT, POWER, CHAIN, DRAW).to_numpy()
        means = weights.reshape(*weights.shape[:2], -1) @ one.posterior
        name = " ".join(part for part in (words(one.variable, 60), one.place) if part)
        moved[name] = float(np.ptp(means[0]) / one.posterior.std())
    most = max(moved, key=moved.__getitem__)
    return (
        f"Posteriors of {len(chosen)} parameters with priors, and likelihood, raised to powers"
        f" {', '.join(f'{p:g}' for p in scaled[POWER].values)}. With the priors the mean of {most}"
        f" moves most, by {moved[most]:.2f} posterior SDs."
    )
