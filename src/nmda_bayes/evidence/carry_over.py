"""Whether a crossover trial's later periods may still feel the earlier ones, as far as is known.

What wears off in days is not gone after a short break, and then the arms of a crossover trial look
more alike than they are. The flag says in words what the report says of the break between periods;
it is derived at loading and typed nowhere.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

CROSSOVER = "crossover"
NOT_REPORTED = "washout not reported"


def carry_over(studies: pd.DataFrame) -> pd.Series:
    """Say of each study what is known of carry-over between its periods.

    Parameters
    ----------
    studies
        With columns design and washout_days.

    Returns
    -------
    pd.Series
        Empty for a study that is no crossover; else ``washout 28 days`` or `NOT_REPORTED`.

    Examples
    --------
    >>> import pandas as pd
    >>> from nmda_bayes.evidence.carry_over import carry_over
    >>> frame = pd.DataFrame(
    ...     {"design": ["parallel", "crossover", "crossover"], "washout_days": [None, 28.0, None]}
    ... )
    >>> carry_over(frame).tolist()
    ['', 'washout 28 days', 'washout not reported']
    """
    known = studies["washout_days"].map(lambda days: f"washout {days:g} days", na_action="ignore")
    told = known.astype(object).where(studies["washout_days"].notna(), NOT_REPORTED)
    return pd.Series(
        np.where(studies["design"] == CROSSOVER, told, ""), index=studies.index, dtype="str"
    )
