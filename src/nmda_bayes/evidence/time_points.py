"""When something was measured, as one word, from the words of the reports.

One report says "day 28", another "4 weeks", a third "1 month". The vocabulary (kind
``time_point``) says that these are one time. The word is derived at loading and typed nowhere:
``time_label`` keeps what was read.
"""

from __future__ import annotations

import pandas as pd


def time_points(labels: pd.Series, vocabulary: pd.DataFrame) -> pd.Series:
    """Give the time point of each row.

    Parameters
    ----------
    labels
        The times in the words of the reports; empty where there are none.
    vocabulary
        With columns kind, term and synonym.

    Returns
    -------
    pd.Series
        Terms of the vocabulary; empty where the label is.

    Examples
    --------
    >>> import pandas as pd
    >>> from nmda_bayes.evidence.time_points import time_points
    >>> words = pd.DataFrame(
    ...     {
    ...         "kind": "time_point",
    ...         "term": ["week_4", "week_4", "baseline"],
    ...         "synonym": ["", "day 28", ""],
    ...     }
    ... )
    >>> time_points(pd.Series(["day 28", "baseline", ""]), words).tolist()
    ['week_4', 'baseline', '']
    """
    mine = vocabulary[vocabulary["kind"] == "time_point"]
    said = mine[mine["synonym"] != ""].set_index("synonym")["term"].to_dict()
    return labels.replace(said)
