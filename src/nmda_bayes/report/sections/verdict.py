"""May these numbers be read at all? The first lines of the page."""

from __future__ import annotations

from nmda_bayes.report.blocks import Fold, Section, Text, as_table
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, listed, number


def verdict(view: View, gallery: Gallery) -> Section:
    """Say whether the fit passed its gate, and if not, what failed and where.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used: no figure goes before the verdict.

    Returns
    -------
    Section
        Verdict and gate.
    """
    gate = view.checks.gate
    failed = gate[~gate["passed"].astype(bool)]
    table = as_table(
        gate.assign(
            word=["passed" if ok else "FAILED" for ok in gate["passed"]],
            limit=[_limit(*pair) for pair in zip(gate["check"], gate["threshold"], strict=True)],
        ),
        "The gate: the worst value of each check over all quantities of the model. Limits: R-hat"
        " and effective sample size after Vehtari et al. 2021, E-BFMI after Betancourt 2016.",
        {
            "check": ("check", None),
            "value": ("worst value", lambda value: number(value, 4)),
            "limit": ("limit", None),
            "word": ("verdict", None),
            "where": ("where", None),
        },
        ["" if ok else "fail" for ok in gate["passed"]],
    )
    if failed.empty:
        text = (
            f"PASSED. The sampler did its work: all {len(gate)} checks of the gate hold. That says"
            " the numbers below are the model's; whether the model is right for the evidence is"
            " asked under predictive checks, sensitivity and certainty."
        )
        blocks = (*_made_up(view), Text(text, "passed"), Fold("The checks of the gate", (table,)))
        return Section("verdict", "Verdict of the checks", blocks)
    reasons = listed(
        f"{check} is {number(value, 4)} (limit: {_limit(check, threshold)}) at {where}"
        for check, value, threshold, where in failed[
            ["check", "value", "threshold", "where"]
        ].itertuples(index=False, name=None)
    )
    text = (
        f"REFUSED. {count(len(failed), 'check').capitalize()} of {len(gate)} failed: {reasons}. The"
        " draws do not represent the posterior well enough. Everything below is shown so that the"
        " cause can be found; none of it should be quoted."
    )
    mend = (
        "What usually helps: more warm-up and draws (sampling.tune, sampling.draws), a higher"
        " sampling.target_accept against divergences, or a narrower prior where a parameter is"
        " marked 'prior only' below."
    )
    return Section(
        "verdict",
        "Verdict of the checks",
        (*_made_up(view), Text(text, "refused"), Text(mend), table),
    )


def _limit(check: str, threshold: float) -> str:
    word = "at most" if check in ("R-hat", "divergences") else "at least"
    return f"{word} {number(threshold)}"


def _made_up(view: View) -> list[Text]:
    """Warn of simulated evidence before anything else is read."""
    if not view.synthetic:
        return []
    text = "SYNTHETIC EVIDENCE. These trials were simulated; nothing here is about patients."
    return [Text(text, "warning")]
