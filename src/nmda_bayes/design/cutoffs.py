"""Several cut-offs of one arm: people who gained 30 %, and of them those who gained 50 %.

The counts of one arm are nested: whoever passes the harder cut-off has passed the easier one. An
arm that prints both enters once, with the easier count of all and each harder count of the easier.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nmda_bayes.design.readings import WHOLE_ARM

#: What a column of the second, third, ... cut-off of an arm is called.
LEVEL = "{}_{}"
COLUMNS = ("measure", "events", "cutoff_share", "cutoff_points")
NOT_NESTED = "more responders than at an easier cut-off of the same arm"
PREFERRED = "the study reports a preferred measure"


def join_cutoffs(
    arms: pd.DataFrame, rows: pd.DataFrame, left_out: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each arm its other cut-offs of the same people at the same time.

    Parameters
    ----------
    arms
        The arms that enter, each with one count.
    rows
        Every complete row of a count of responders.
    left_out
        What fell out, and why.

    Returns
    -------
    pandas.DataFrame
        The arms; where one has several counts, ``events`` is that of its easiest cut-off, and
        ``events_2``, ``cutoff_share_2``, ``cutoff_points_2``, ``measure_2`` (``_3``, ...) are those
        of the harder ones.
    pandas.DataFrame
        What fell out, less what has come in.
    """
    made, entered, refused = [], set(), set()
    for arm in arms.to_dict("records"):
        levels = _same_people(arm, rows)
        nested = levels[levels["events"] <= levels["events"].cummin()]
        if len(nested) < len(levels):
            refused |= {(_whole(arm), m) for m in levels["measure"]}
        if arm["measure"] not in set(nested["measure"]) or len(nested) == 1:
            made.append(arm)
            continue
        entered |= {(_whole(arm), m) for m in nested["measure"]}
        for place, row in enumerate(nested.to_dict("records"), start=1):
            names = {c: c if place == 1 else LEVEL.format(c, place) for c in COLUMNS}
            arm |= {names[c]: row[c] for c in COLUMNS}
        made.append(arm)
    waiting = left_out["reason"] == PREFERRED
    pairs = pd.Series(
        list(zip(left_out["arm"], left_out["measure"], strict=True)),
        index=left_out.index,
        dtype=object,
    )
    reason = left_out["reason"].mask(waiting & pairs.isin(list(refused)), NOT_NESTED)
    left_out = left_out.assign(reason=reason)
    return pd.DataFrame(made, columns=_columns(arms, made)), left_out[
        ~(waiting & pairs.isin(list(entered)))
    ]


def _whole(arm: dict[Any, Any]) -> Any:
    """Name the arm that a row is of, without an hour."""
    return arm.get(WHOLE_ARM, arm["arm"])


def _columns(arms: pd.DataFrame, made: list[dict[Any, Any]]) -> list[str]:
    return list(dict.fromkeys([*arms.columns, *(str(c) for row in made for c in row)]))


def _same_people(arm: dict[Any, Any], rows: pd.DataFrame) -> pd.DataFrame:
    """Find an arm's counts of the same people at the same time, the easiest cut-off first."""
    mine = rows[(rows["arm"] == _whole(arm)) & (rows["n"] == arm["n"])]
    hours, label = arm["time_hours"], arm["time_label"]
    at = mine["time_hours"].isna() if pd.isna(hours) else mine["time_hours"] == hours
    mine = mine[at & (mine["time_label"] == label)]
    # A share and a number of points have no order before the starting level is known.
    by_share = bool(arm["cutoff_share"])
    mine = mine[(mine["cutoff_share"] > 0) == by_share]
    order = "cutoff_share" if by_share else "cutoff_points"
    # Of two measures with one cut-off the arm's own counts.
    mine = mine.assign(other=np.where(mine["measure"] == arm["measure"], 0, 1))
    mine = mine.sort_values([order, "other"], kind="stable")
    return mine.drop_duplicates(order)


def levels_of(reported: Any) -> int:
    """Count the cut-offs that an arm may have.

    Parameters
    ----------
    reported
        Anything that holds the design's columns: a dataset or a table.

    Returns
    -------
    int
        1 where no arm has a second.
    """
    level = 1
    while LEVEL.format("events", level + 1) in reported:
        level += 1
    return level
