"""Whether another prior would have said something else."""

from __future__ import annotations

from nmda_bayes.report.blocks import Section, Text, as_table, folded
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, listed, number

FINE = "✓"
IN_SIGHT = 8


def sensitivity(view: View, gallery: Gallery) -> Section:
    """Say what moves when priors or likelihood are scaled by a power near 1.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used.

    Returns
    -------
    Section
        Power-scaling, in words and as a table.
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
        (Text(intro), Text(said), folded(table, summary, printed=False)),
    )


def _some(view: View, names: list[str]) -> str:
    words = [view.quantity(n) for n in names]
    more = len(words) - IN_SIGHT
    return listed(words) if more <= 0 else f"{', '.join(words[:IN_SIGHT])} and {more} more"
