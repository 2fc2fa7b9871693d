"""Contrasts whose baseline arm is a row of its own, with NA for the effect (multinma, gemtc)."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Part, as_text


def against_baseline(table: Foreign, effect: str, se: str) -> Part:
    """Turn the rows of each study into contrasts with the study's row that has no effect.

    Parameters
    ----------
    table
        With roles ``study``, ``agent``, and the two below.
    effect
        Role of the relative effect, NA in the baseline arm.
    se
        Role of its standard error; in the baseline row that of the arm's own mean, which is needed
        where a study has three arms or more, as it is what the contrasts share.

    Returns
    -------
    Part
        One row a contrast, the baseline as comparator.
    """
    study, agent = table.text("study"), table.agents("agent")
    table.numbers(effect)
    own = table.numbers(se)
    baseline = table.blank(effect)
    arms = baseline.groupby(study).transform("size")
    baselines = baseline.groupby(study).transform("sum")
    column, first = table.columns[effect], ~study.duplicated()
    table.fault(
        first & (baselines == 0) & (study != ""),
        effect,
        "the study has no baseline arm: every row has an effect",
        f"Add the arm that the others are compared with, with NA in '{column}'.",
    )
    again = baseline & (baseline.groupby(study).cumsum() > 1)
    table.fault(
        again,
        effect,
        "the study's second row without an effect: one arm alone is the baseline",
        "Fill in the effect, or delete the row.",
    )
    table.fault(
        baseline & (baselines == 1) & (arms == 1),
        "study",
        "the study has a baseline arm and nothing that is compared with it",
        "Add its other arm, or delete the row.",
    )
    alone = baseline & (baselines == 1) & (arms >= 3) & own.isna()
    table.fault(
        alone,
        se,
        "three arms or more, and the baseline's own standard error is not given: how the effects"
        " correlate is not known",
        f"Fill in '{table.columns[se]}' of the baseline row: the standard error of its own mean.",
    )
    at = pd.Series(range(len(study)), index=study.index).where(baseline & ~again)
    place = at.groupby(study).transform("max").fillna(0).astype(int)
    rows = ~baseline
    part = table.part(rows, study="study", estimate=effect, se=se, dose="dose", time_label="time")
    base_dose = table.text("dose").iloc[place].set_axis(study.index)
    part.cells |= {
        "agent": agent[rows],
        "comparator": agent.iloc[place].set_axis(study.index)[rows],
        "comparator_se": as_text(own.iloc[place].set_axis(study.index))[rows],
    }
    part.origin |= {
        "agent": table.columns["agent"],
        "comparator": table.columns["agent"],
        "comparator_se": table.columns[se],
    }
    if table.has("dose"):
        part.cells["comparator_dose"] = base_dose[rows]
        part.origin["comparator_dose"] = table.columns["dose"]
    table.compared_with(part.cells["agent"], part.cells["comparator"])
    table.note(
        f"'{column}' is the effect against the study's row that has NA there; that row's"
        f" '{table.columns[se]}' is the standard error of its own mean (comparator_se)."
    )
    return part
