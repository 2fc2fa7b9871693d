"""Synthetic trials: small designs that are informative for every curve.

Eight studies, half with two arms and half with three: three agents in two classes, two conditions,
five doses from 0.25 to 4, two levels of risk of bias. Data are simulated later; the numbers here
only make the table valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nmda_bayes.components.likelihoods import LIKELIHOODS

DOSES = (0.25, 0.5, 1.0, 2.0, 4.0)
AGENTS = {"a": "one", "b": "one", "c": "two"}
#: Study, condition, risk of bias, year, and its active arms.
STUDIES = (
    ("s1", "x", "low", 2000, (("a", 1.0), ("a", 4.0))),
    ("s2", "y", "low", 2004, (("b", 0.5), ("b", 2.0))),
    ("s3", "x", "high", 2008, (("c", 0.25), ("c", 1.0))),
    ("s4", "y", "high", 2012, (("a", 0.5), ("b", 1.0))),
    ("s5", "x", "low", 2016, (("b", 4.0),)),
    ("s6", "y", "high", 2020, (("c", 4.0),)),
    ("s7", "x", "low", 2006, (("a", 2.0),)),
    ("s8", "y", "high", 2010, (("c", 2.0),)),
)
#: A value for every column that a likelihood may need.
COLUMNS: Mapping[str, Any] = {
    "mean": 0.0,
    "se": 0.3,
    "sd": "1.0",
    "n": 40,
    "events": 12,
    "person_time": 30.0,
    "follow_up": 1.0,
}


def arms() -> pd.DataFrame:
    """One row per arm: treatment and study."""
    rows = [
        (study, condition, bias, year, agent, dose)
        for study, condition, bias, year, active in STUDIES
        for agent, dose in (("placebo", 0.0), *active)
    ]
    names = ["study", "condition", "risk_of_bias", "year", "agent", "dose"]
    return pd.DataFrame(rows, columns=names)


def reported(likelihood: str, outcome: str = "pain") -> pd.DataFrame:
    """The same trials with the columns of a likelihood."""
    part = LIKELIHOODS[likelihood]
    if part.contrasts:
        return contrasts(outcome)
    table = arms().assign(outcome=outcome)
    for column in (*part.columns, *([part.second_observed] if part.second_observed else ())):
        table[column] = COLUMNS[column]
    if part.second_observed:
        # One arm in five reports none.
        table[part.second_observed] = np.where(
            np.arange(len(table)) % 5 == 4, "not reported", "1.0"
        )
    if "follow_up" in table:
        table["follow_up"] = table["study"].map({"s1": 0.5, "s2": 2.0, "s3": 1.0, "s4": 3.0})
        table["follow_up"] = table["follow_up"].fillna(1.5)
    return table


def contrasts(outcome: str = "pain") -> pd.DataFrame:
    """The active arms vs placebo, with correlated errors in three-arm trials."""
    table = arms()
    active = table[table["agent"] != "placebo"]
    return active.assign(
        outcome=outcome,
        comparator="placebo",
        comparator_dose=0.0,
        estimate=0.0,
        se=0.4,
        comparator_se=0.25,
    )
