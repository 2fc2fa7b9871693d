"""What cells borrowed: how far the model pulled each, from whom, and for how much."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from nmda_bayes.design import READING
from nmda_bayes.estimands.borrowing import CELL, FROM, REPORTED, compares, lender_of, pooling_report
from nmda_bayes.report.blocks import Fold, Heading, Table, as_table, folded
from nmda_bayes.report.view import View
from nmda_bayes.report.words import MINUS, count, effect

COLUMNS = {
    "cell": ("cell", None),
    "studies": ("trials", str),
    "own": ("own trials", str),
    "pooled": ("model", effect),
    "weight": ("weight of own", str),
    "others": ("of other cells", str),
    "lender": ("most from", None),
    "rest": ("of the rest", str),
    "effective": ("worth trials", str),
}


def borrowed(view: View) -> list[object]:
    """Tabulate what each cell that was tried borrowed.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    list[object]
        A heading and a table for each outcome whose cells share something; empty where none does.
    """
    tables = [_table(view, outcome) for outcome in view.outcomes if _shares(view, outcome)]
    tables = [table for table in tables if table is not None]
    return [Heading("What cells borrow"), *tables] if tables else []


def _shares(view: View, outcome: str) -> bool:
    part = view.outcomes[outcome]
    given = [part.parameters[n].pooling for n in part.shape.parameters if n in part.parameters]
    design = view.design(outcome)
    able = part.likelihood in REPORTED and READING not in design and compares(design)
    return able and any(one != "independent" for one in given)


def _table(view: View, outcome: str) -> Table | Fold | None:
    report = pooling_report(view.fit, outcome)
    if report.sizes[CELL] < 2:
        return None
    cells = [report.isel({CELL: k}) for k in range(report.sizes[CELL])]
    named = {
        str(one[CELL].item()): f"{view.agent(one['agent'].item())},"
        f" {view.condition(one['condition'].item())}"
        for one in cells
    }
    frame = pd.DataFrame([_row(one, named) for one in cells])
    caption = (
        f"{view.title(outcome)}: what each cell's own trials say by their inverse-variance mean,"
        " what the model says at the same doses, and how far the model's answer moves for each unit"
        " by which its own trials, or those of all other cells, would move. The rest holds to"
        f" {report.attrs['rest']}. The answer is as precise as so many trials like the cell's own"
        " would make it (ratio of variances): fewer than it has where an uncertain heterogeneity or"
        " curve costs more than is borrowed. Monte Carlo errors of the weights: at most"
        f" {float(report['rest_error'].max()):.2g}."
    )
    return folded(as_table(frame, caption, COLUMNS), f"What {count(len(frame), 'cell')} borrowed")


def _row(one: xr.Dataset, named: dict[str, str]) -> dict[str, object]:
    own_estimate, own = float(one["own"]), float(one["weight"].sel({FROM: one[CELL].item()}))
    return {
        "cell": named[str(one[CELL].item())],
        "studies": int(one["studies"]),
        "own": "a zero cell" if own_estimate != own_estimate else effect(own_estimate),
        "pooled": float(one["pooled"]),
        "weight": _share(own),
        "others": _share(float(one["weight"].sum()) - own),
        "lender": named[lender_of(one)],
        "rest": _share(float(one["rest"])),
        "effective": f"{float(one['effective_studies']):.1f}",
    }


def _share(weight: float) -> str:
    """Write a weight; it may be below 0 or above 1, as a derivative may."""
    return f"{weight:.2f}".replace("-", MINUS)
