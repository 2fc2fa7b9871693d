"""Synthetic trials: small designs on which every curve is told something and nothing takes long.

Eight studies, half of two arms and half of three: three agents in two classes, two conditions,
five doses from 0.25 to 4, two risks of bias. What the trials report is drawn later; the numbers
that stand here in its place only let the table through the checks.
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
#: A number for every column that a likelihood may ask for.
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
    """One row an arm: what it was given, and what its study is."""
    rows = [
        (study, condition, bias, year, agent, dose)
        for study, condition, bias, year, active in STUDIES
        for agent, dose in (("placebo", 0.0), *active)
    ]
    names = ["study", "condition", "risk_of_bias", "year", "agent", "dose"]
    return pd.DataFrame(rows, columns=names)


def reported(likelihood: str, outcome: str = "pain") -> pd.DataFrame:
    """The same trials with the columns that a likelihood reads."""
    part = LIKELIHOODS[likelihood]
    if part.contrasts:
        return contrasts(outcome)
    table = arms().assign(outcome=outcome)
    for column in (*part.columns, *([part.also] if part.also else ())):
        table[column] = COLUMNS[column]
    if part.also:
        # One arm in five prints none.
        table[part.also] = np.where(np.arange(len(table)) % 5 == 4, "not reported", "1.0")
    if "follow_up" in table:
        table["follow_up"] = table["study"].map({"s1": 0.5, "s2": 2.0, "s3": 1.0, "s4": 3.0})
        table["follow_up"] = table["follow_up"].fillna(1.5)
    return table


def contrasts(outcome: str = "pain") -> pd.DataFrame:
    """The active arms against placebo; those of three-arm trials share its error."""
    table = arms()
    active = table[table["agent"] != "placebo"]
    return active.assign(
        outcome=outcome, comparator="placebo", comparator_dose=0.0, estimate=0.0, se=0.4,
        comparator_se=0.25,
    )  # fmt: skip
