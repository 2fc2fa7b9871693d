"""Whether another prior would have said something else."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from nmda_bayes.checks import power_scaling
from nmda_bayes.checks.powers import POWERS
from nmda_bayes.dims import SAMPLE
from nmda_bayes.figures import plot_power_scaling
from nmda_bayes.report.blocks import Section, Text, as_table, folded
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, listed, number

FINE = "✓"
IN_SIGHT = 8
#: Quantities that are drawn: those that owe most to their priors.
DRAWN = 6


def sensitivity(view: View, gallery: Gallery) -> Section:
    """Say what moves when priors or likelihood are scaled by a power near 1.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figure.

    Returns
    -------
    Section
        Power-scaling, in words, as a figure and as a table.
    """
    frame = view.checks.prior_sensitivity
    flagged = frame[~frame["diagnosis"].astype(str).isin([FINE, "", "-"])]
    intro = (
        "Power-scaling (Kallioinen et al. 2024): priors, and the likelihood, are raised to powers"
        " near 1 and the draws reweighted, without a refit. A sensitivity above 0.05 to the prior"
        " means that a slightly wider or narrower prior would have said something else. Baselines'"
        " priors are left as they are. It sees changes of strength around these priors, not other"
        " models or rows."
    )
    if flagged.empty:
        said = "No quantity is flagged."
    else:
        by_word = flagged.groupby("diagnosis", sort=False)["variable"]
        said = " ".join(
            f"{str(word).capitalize()}: {_some(view, list(names))}." for word, names in by_word
        )
    table = as_table(
        frame.assign(diagnosis=frame["diagnosis"].replace({FINE: "no conflict seen"})),
        "Sensitivity of each quantity to the strength of its prior and of the likelihood.",
        {
            "variable": ("quantity", None),
            "prior": ("to the prior", number),
            "likelihood": ("to the likelihood", number),
            "diagnosis": ("diagnosis", None),
        },
        ["hole" if v in set(flagged["variable"]) else "" for v in frame["variable"]],
    )
    summary = f"{count(len(frame), 'quantity', 'quantities')}, one by one"
    return Section(
        "sensitivity",
        "Sensitivity to the prior",
        (
            Text(intro),
            Text(said),
            *_figure(view, gallery, frame),
            folded(table, summary, printed=False),
        ),
    )


def _figure(view: View, gallery: Gallery, frame: pd.DataFrame) -> list[object]:
    """Draw what owes most to its prior, with the priors weaker and stronger."""
    most = frame.dropna(subset=["prior"]).sort_values("prior", ascending=False, kind="stable")
    names = [str(name) for name in most["variable"].head(DRAWN)]
    if not names:
        return []
    prior, posterior = (
        xr.Dataset({view.quantity(n): _scalar(view.fit[group].to_dataset(), n) for n in names})
        for group in ("prior", "posterior")
    )
    figure = plot_power_scaling(prior, posterior, power_scaling(view.fit))
    caption = (
        f"From prior to posterior: the {count(len(names), 'quantity', 'quantities')} that"
        f" owe most to the strength of their priors, with all priors (left) and the likelihood"
        f" (right) raised to the powers {listed([f'{p:g}' for p in POWERS if p != 1])}, below 1"
        " weaker and above 1 stronger. Densities have no interval."
    )
    return [gallery.picture(figure, caption)]


def _scalar(draws: xr.Dataset, name: str) -> xr.DataArray:
    """Take one number, by its variable and the labels in brackets."""
    variable, _, labels = name.removesuffix("]").partition("[")
    one = draws[variable]
    dims = [dim for dim in one.dims if dim not in SAMPLE]
    at = dict(zip(dims, labels.split(", "), strict=True)) if labels else {}
    return one.sel(at).reset_coords(drop=True)


def _some(view: View, names: list[str]) -> str:
    words = [view.quantity(n) for n in names]
    more = len(words) - IN_SIGHT
    return listed(words) if more <= 0 else f"{', '.join(words[:IN_SIGHT])} and {more} more"
