"""Which contrast of a study its publication is taken to have hung on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from nmda_bayes.design.choose import AS_ARM


def paired_studies(arms: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Pair each active arm that reports its own numbers with its study's first arm at dose 0.

    Parameters
    ----------
    arms
        Arms of an outcome, numbered from 0.

    Yields
    ------
    tuple[int, int]
        Positions of the arm and of its control; nothing for a study without one.
    """
    own = arms[arms["report"] == AS_ARM]
    for _, mine in own.groupby("study", sort=False):
        control = mine.index[mine["exposure"] == 0]
        if len(control):
            for here in mine.index[mine["exposure"] > 0]:
                yield int(here), int(control[0])


def decisive_contrasts(arms: pd.DataFrame, contrasts: pd.DataFrame | None) -> pd.DataFrame:
    """Find each study's contrast of its highest dose with its control.

    Parameters
    ----------
    arms
        Arms of an outcome, numbered from 0.
    contrasts
        Contrasts that point at them, if any.

    Returns
    -------
    pd.DataFrame
        One row a study: ``study``, ``arm`` and ``comparator`` (positions of the active side and of
        the control), ``contrast`` (position of the printed contrast, -1 where the arms report their
        own numbers), ``sign`` (-1 where the contrast is printed the other way round) and
        ``candidates``, how many contrasts with a control the study has. Of equal doses the first.
        A study without an arm at dose 0 has no row: neither side is the one that it should favour.
    """
    exposure = arms["exposure"].to_numpy(float)
    rows = [(here, there, -1, 1.0) for here, there in paired_studies(arms)]
    if contrasts is not None:
        sides = contrasts[["arm_position", "comparator_position"]].to_numpy(int)
        for place, (a, b) in enumerate(sides):
            if exposure[a] > 0 and exposure[b] == 0:
                rows.append((int(a), int(b), place, 1.0))
            elif exposure[b] > 0 and exposure[a] == 0:
                rows.append((int(b), int(a), place, -1.0))
    found = pd.DataFrame(rows, columns=["arm", "comparator", "contrast", "sign"])
    study = arms["study"].to_numpy()[found["arm"].to_numpy(int)] if len(found) else np.array([])
    found = found.assign(study=study, dose=exposure[found["arm"].to_numpy(int)])
    found["candidates"] = found.groupby("study")["arm"].transform("size")
    found = found.sort_values("dose", ascending=False, kind="stable").drop_duplicates("study")
    return found.sort_index().drop(columns="dose").reset_index(drop=True)
