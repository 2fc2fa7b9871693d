"""What is no fault of evidence, and yet decides what can be made of it: said by ``check``."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.carry_over import NOT_REPORTED
from nmda_bayes.evidence.implied import IMPUTED
from nmda_bayes.evidence.tree import SE_FROM_SD, SE_PRINTED, table


def evidence_notes(tree: xr.DataTree) -> Iterator[Fault]:
    """Say which numbers were worked out or guessed, and which times no rule can place.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Yields
    ------
    Fault
        Located at the first row that it is about.
    """
    source = str(tree.attrs["source"])
    for name in ("results", "contrasts"):
        rows = table(tree, name)
        rows = rows[rows["unusable"] == ""]
        made = rows[~rows["se_from"].isin(["", SE_PRINTED, SE_FROM_SD])]
        for way, some in made.groupby("se_from", sort=True):
            guess = str(way).startswith(IMPUTED)
            yield Fault(
                f"{len(some)} standard errors of {name}: {way}",
                "These are guesses, and take the outcome to be normal." if guess else "",
                source,
                int(some["line"].min()),
                "se",
            )
    yield from _carry_over(tree, source)
    results = table(tree, "results")
    timed = results["time_hours"].notna() & results["hours_after_treatment"].isna()
    if tree.attrs["kind"] == "flat" and timed.any():
        yield Fault(
            f"{int(timed.sum())} rows have time_hours, and their study no end of treatment, so that"
            " a spec with a rule for time leaves them out",
            "Give treatment_days, or n_administrations = 1 and infusion_hours.",
            source,
            int(results.loc[timed, "line"].min()),
            "time_hours",
        )


def _carry_over(tree: xr.DataTree, source: str) -> Iterator[Fault]:
    """Say of how many crossover trials nothing is known of the break between periods."""
    studies = table(tree, "studies")
    crossover = studies[studies["carry_over"] != ""]
    silent = int((crossover["carry_over"] == NOT_REPORTED).sum())
    if silent:
        yield Fault(
            f"{silent} of {len(crossover)} crossover trials: {NOT_REPORTED}, so that carry-over"
            " between periods cannot be judged",
            "",
            source,
            None,
            "washout_days",
        )
