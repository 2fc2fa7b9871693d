"""Which trials are outlying, where an outcome's trials are of two kinds."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.components.heterogeneity import HETEROGENEITIES, OUTLYING_SHARE
from nmda_bayes.dims import SAMPLE, STUDY
from nmda_bayes.estimands import outlying_trials
from nmda_bayes.report.blocks import Heading, Table, as_table
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, probability


def outlying(view: View) -> list[object]:
    """Tabulate how probable it is of each trial that it is of the outlying kind.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    list[object]
        A heading and a table for each outcome with two kinds of trial; empty where none has.
    """
    of_two = [n for n, p in view.outcomes.items() if HETEROGENEITIES[p.heterogeneity].of_offsets]
    tables = [_table(view, outcome) for outcome in of_two]
    return [Heading("Ordinary and outlying trials"), *tables] if tables else []


def _table(view: View, outcome: str) -> Table:
    after = outlying_trials(view.fit, outcome).mean(SAMPLE)
    before = float(view.fit["prior"][view.variable(outcome, OUTLYING_SHARE)].mean())
    rows = [(str(name), float(after.sel({STUDY: name}))) for name in after[STUDY].to_numpy()]
    rows.sort(key=lambda row: -row[1])
    frame = pd.DataFrame(rows, columns=["study", "after"]).assign(before=before)
    caption = (
        f"{view.title(outcome)}: the probability that a trial is of the outlying kind, whose"
        " effects scatter outlying_ratio times as widely about the same mean. It rests on how far"
        " the trial lies from what the others say of it, on its own standard error, and on the"
        " priors of the share of such trials and of the ratio: before its report every trial had"
        f" the prior's mean share. Among {count(len(rows), 'trial')} a probability that is near"
        " the one before says that nothing was learned of it. Means over the posterior."
    )
    columns = {
        "study": ("trial", None),
        "before": ("P(outlying), prior", probability),
        "after": ("P(outlying), posterior", probability),
    }
    return as_table(frame, caption, columns)
