"""Names of dims, of variables that belong to one of several outcomes, and names as words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

AGENT: Final = "agent"
AGENT_CLASS: Final = "agent_class"
CONDITION: Final = "condition"
STUDY: Final = "study"
STRATUM: Final = "stratum"
#: Groups that trials are nested in, and the treatments of each.
CLUSTER: Final = "cluster"
CLUSTER_ARM: Final = "cluster_arm"
ARM: Final = "arm"
CONTRAST: Final = "contrast"
#: Positions of the arms of one study.
ARM_SLOT: Final = "arm_slot"
COURSE_SLOT: Final = "course_slot"
OUTCOME: Final = "outcome"
OUTCOME_PAIR: Final = "outcome_pair"
#: Curve parameters of outcomes whose agents' effects are correlated, and pairs of them.
AGENT_PARAMETER: Final = "agent_parameter"
PARAMETER_PAIR: Final = "parameter_pair"
DOSE: Final = "dose"
#: Fits of one question under several specs.
VARIANT: Final = "variant"
#: Hours after the end of treatment, negative before.
HOUR: Final = "hour"
CHAIN: Final = "chain"
DRAW: Final = "draw"
SAMPLE: Final = (CHAIN, DRAW)

SEPARATOR: Final = "::"
#: The condition of a table without conditions, which no text needs to name.
UNNAMED_CONDITION: Final = "all"


def scoped_name(outcome: str, name: str, *, single_outcome: bool) -> str:
    """Name a variable or dim of one outcome."""
    return name if single_outcome else f"{outcome}{SEPARATOR}{name}"


def study_of(dim: str) -> str:
    """Name the coordinate that gives the study of each label of a dim."""
    return f"{dim}.{STUDY}"


def positions_in(coordinates: Sequence[Any] | np.ndarray, labels: Any) -> np.ndarray:
    """Find labels among the coordinates of a dim: their positions, -1 for a label not in it."""
    return pd.Index(coordinates, dtype=object).get_indexer(pd.Index(labels, dtype=object))


def words_of(name: str) -> str:
    """Write a name of the evidence as words: ``s_ketamine`` as "S-ketamine"."""
    for separator in ("_", " "):
        if name[:2].lower() in (f"s{separator}", f"r{separator}"):
            name = f"{name[0].upper()}-{name[2:]}"
    return name.replace("_", " ")
