"""What the digits of a printed number say: its rounding, and the level of an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nmda_bayes.evidence.arm_statistics import FloatArray
from nmda_bayes.evidence.reading import Sheet


def shares(level: FloatArray) -> FloatArray:
    """Read the level of an interval: 95 and 0.95 are the same.

    Parameters
    ----------
    level
        As the table has it.

    Returns
    -------
    FloatArray
        0.5 to 1; NaN for what is no level.
    """
    share = np.where(level >= 50, level / 100, level)
    return np.where((share >= 0.5) & (share < 1), share, np.nan)


def half_units(sheet: Sheet, columns: list[str]) -> pd.DataFrame:
    """Give half a unit of the last digit that each number was printed with.

    Parameters
    ----------
    sheet
        The table as text.
    columns
        Which of its columns; one that it has not gives 0.

    Returns
    -------
    pd.DataFrame
        0.005 for 1.20, 0.5 for 12, and 0 for what is written with an exponent.
    """
    made = {}
    for name in columns:
        if name not in sheet.cells:
            made[name] = pd.Series(0.0, index=sheet.cells.index)
            continue
        text = sheet.cells[name]
        decimals = text.str.extract(r"^[-+]?\d*[.,]?(\d*)$", expand=False).str.len()
        whole = text.str.fullmatch(r"[-+]?\d+").fillna(False).astype(bool)
        places = decimals.where(~whole, 0).astype(float)
        made[name] = (0.5 * 10.0 ** (-places)).fillna(0.0)
    return pd.DataFrame(made, index=sheet.cells.index)
