"""The correlation of errors between outcomes, where the evidence gives one for each study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pandas as pd

from nmda_bayes.design.choose import Chosen
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec import AnalysisSpec, ErrorCorrelation

#: Its column in a design, and its name in the graph.
ERROR_CORRELATION = "error_correlation"


def add_error_correlation(
    chosen: Mapping[str, Chosen], spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame]
) -> list[Fault]:
    """Give each arm the correlation of its study, where the spec names a column of them.

    Parameters
    ----------
    chosen
        What enters for each outcome; its arms get `ERROR_CORRELATION`.
    spec
        The analysis.
    tables
        ``results`` and ``contrasts``, joined to studies.

    Returns
    -------
    list[Fault]
        Studies of several outcomes whose correlation is not given, or is none.
    """
    given = spec.correlations.errors
    if given is None or not given.column:
        return []
    rows = [tables[name] for name in ("results", "contrasts")]
    columns = {str(c) for one in rows for c in one}
    if given.column not in columns:
        mend = nearest(given.column, sorted(columns))
        message = f"the evidence has no column '{given.column}'"
        return [Fault(message, mend, column="correlations.errors.column")]
    known = pd.concat(
        pd.DataFrame({"study": one["study"], "rho": pd.to_numeric(one[given.column], "coerce")})
        for one in rows
        if given.column in one
    )
    known = known.dropna().drop_duplicates()
    of_study = known.drop_duplicates("study").set_index("study")["rho"]
    for one in chosen.values():
        # A study of one outcome has nothing to be correlated with: 0 stands for that.
        rho = one.arms["study"].map(of_study).fillna(0.0).astype(float)
        one.arms = one.arms.assign(**{ERROR_CORRELATION: rho})
    return list(_faults([chosen[name].arms for name in given.of], given, known))


def _faults(
    arms: list[pd.DataFrame], given: ErrorCorrelation, known: pd.DataFrame
) -> Iterator[Fault]:
    """Find studies of several outcomes that do not give one correlation."""
    times = Counter(study for one in arms for study in set(one["study"]))
    least = 0.0 if len(arms) > 2 else -1.0
    for study in sorted(study for study, count in times.items() if count > 1):
        values = sorted(known.loc[known["study"] == study, "rho"])
        sound = len(values) == 1 and -1 < values[0] < 1 and values[0] >= least
        if not sound:
            said = ", ".join(f"{value:g}" for value in values) or "nothing"
            yield Fault(
                f"study '{study}' reports several outcomes, and its {given.column} is {said}",
                f"Give one number of the study between {least:g} and 1, or declare"
                " correlations.errors.correlation for all.",
                column="correlations.errors.column",
            )
