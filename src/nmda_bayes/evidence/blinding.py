"""Who was blind, as one word, from the words of the reports.

A report says "double-blind, double-dummy" or "quadruple masking"; the vocabulary (kind
``blinding``) says which of five levels that is. The level is derived at loading and typed nowhere,
so that the words that were read stay the record.
"""

from __future__ import annotations

import pandas as pd

#: The level of a study whose report was read without a word on blinding.
NOT_STATED = "not_stated"


def blinding_levels(blinding: pd.Series, vocabulary: pd.DataFrame) -> pd.Series:
    """Give the level of blinding of each study.

    Parameters
    ----------
    blinding
        The words of the reports; empty where there are none.
    vocabulary
        With columns kind, term and synonym.

    Returns
    -------
    pd.Series
        ``open``, ``single``, ``double``, ``blinded_unspecified`` or ``not_stated``.

    Examples
    --------
    >>> import pandas as pd
    >>> from nmda_bayes.evidence.blinding import blinding_levels
    >>> words = pd.DataFrame(
    ...     {"kind": "blinding", "term": ["open", "open"], "synonym": ["", "open-label"]}
    ... )
    >>> blinding_levels(pd.Series(["open-label", "open", ""]), words).tolist()
    ['open', 'open', 'not_stated']
    """
    mine = vocabulary[vocabulary["kind"] == "blinding"]
    said = mine[mine["synonym"] != ""].set_index("synonym")["term"].to_dict()
    return blinding.replace(said).where(blinding != "", NOT_STATED)
