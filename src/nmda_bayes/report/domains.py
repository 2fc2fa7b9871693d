"""The domains of certainty, as the trials that entered tell of them without the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, OUTCOME
from nmda_bayes.evidence.certainty import DOMAIN, cells_of_effects
from nmda_bayes.evidence.trial_effects import EFFECT_COLUMNS
from nmda_bayes.report.blocks import Heading, Table, Text, as_table, folded
from nmda_bayes.report.view import View
from nmda_bayes.report.words import opened

SHOWN = {
    "inconsistency": "inconsistency",
    "imprecision": "imprecision",
    "publication_bias": "publication bias",
}


def domains(view: View) -> list[object]:
    """Say what can be computed of each domain, and which remain judgements.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    list[object]
        A heading, a note, and a table an outcome; nothing where no trial compares with the
        reference.
    """
    tables = [table for outcome in view.outcomes if (table := _table(view, outcome)) is not None]
    if not tables:
        return []
    return [
        Heading("Domains of certainty"),
        Text(
            "Computed from the trials alone, by a plain random-effects pool (DerSimonian and Laird)"
            " of each agent against the reference at all its doses: no curve, no prior, and so not"
            " the numbers of this page. Doses of one trial are averaged, and their variances too,"
            " which is on the safe side. Intervals here are 95 % confidence intervals. Risk of"
            " bias and indirectness are judgements, and no level of certainty is given: neither is"
            " made here."
        ),
        *(folded(table, table.caption) for table in tables),
    ]


def _table(view: View, outcome: str) -> Table | None:
    effects = _trials(view, outcome)
    if effects.empty:
        return None
    agents = [agent for agent in view.agents if agent in set(effects["agent"])]
    frame = xr.DataArray(
        np.zeros((len(agents), 1)),
        dims=(AGENT, OUTCOME),
        coords={AGENT: np.array(agents, object), OUTCOME: np.array([outcome], object)},
    )
    window = view.spec.window
    least = {outcome: window.benefit_at_least} if window and window.benefit == outcome else {}
    scale = (str(view.effects[outcome].attrs["scale"]), "md")
    cells = cells_of_effects(effects, frame, None, least, scale).isel({OUTCOME: 0})
    rows = {
        " agent": [opened(view.agent(agent)) for agent in agents],
        " trials": cells["trials"].to_numpy(),
        **{name: cells["words"].sel({DOMAIN: name}).to_numpy() for name in SHOWN},
    }
    columns = {" agent": ("agent", None), " trials": ("trials", str)} | {
        name: (title, None) for name, title in SHOWN.items()
    }
    caption = f"{view.title(outcome)}: what the trials tell of certainty."
    return as_table(pd.DataFrame(rows), caption, columns)


def _trials(view: View, outcome: str) -> pd.DataFrame:
    """One effect a trial and agent against the reference, in the form of trial effects."""
    effects, design = view.effects[outcome], view.design(outcome)
    at_zero = design["exposure"].to_numpy() == 0
    references = {
        *zip(design["study"].to_numpy()[at_zero], design["agent"].to_numpy()[at_zero], strict=True)
    }
    columns = ("study", "agent", "comparator", "raw", "raw_se")
    rows = pd.DataFrame({column: effects[column].to_numpy() for column in columns})
    pairs = zip(rows["study"], rows["comparator"], strict=True)
    rows = rows[np.array([pair in references for pair in pairs], dtype=bool)]
    rows = rows[rows["agent"].isin(view.agents)].assign(v=rows["raw_se"] ** 2)
    one = rows.groupby(["study", "agent"], as_index=False)[["raw", "v"]].mean()
    return one.rename(columns={"raw": "md", "v": "md: v"}).assign(
        outcome=outcome, kind="continuous", people=0, crossover=False, note=""
    ).reindex(columns=EFFECT_COLUMNS)  # fmt: skip
