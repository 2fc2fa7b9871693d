"""The usable rows of an outcome: what was measured, in which agents, doses and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import MAX_TABLES, count_tables
from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.importers.options import ImportOptions, is_named
from nmda_bayes.evidence.tree import MD

#: Kinds of data.
COUNTS, RATES, MEANS, CONTRASTS = "counts", "rates", "means", "contrasts"
#: Kinds of data in words.
KIND_TEXTS: Final = {
    COUNTS: "counts of arms",
    RATES: "events over person-time",
    MEANS: "means of arms",
    CONTRASTS: "contrasts",
}
#: Fewer events than this in an arm, or fewer people without the event, are sparse: a prior for the
#: risk of each trial would then decide part of the result.
SPARSE_EVENTS: Final = 5
#: Terms of the conditional likelihood of all trials together, which a fit takes minutes for.
MAX_ALL_TABLES: Final = 2 * MAX_TABLES
#: People in a trial above which the terms are not counted, as no such trial is feasible.
MAX_PEOPLE: Final = 1_000_000
#: Measures of contrasts, besides logarithms.
STANDARDISED: Final = ("SMD", "SMDH", "d", "g", "Hedges g", "Cohen d")
CORRELATIONS: Final = ("Fisher z", "Fisher_z", "fisher_z", "ZCOR", "z")
SIDES: Final = ["study", "agent", "dose", "dose_unit", "route", "line"]


@dataclass(frozen=True)
class OutcomeData:
    """The usable rows of one outcome; `noun` names it in questions, and is empty for an only one.

    `left_out` counts the contrasts of other measures than the one that the user named.
    """

    name: str
    arms: pd.DataFrame
    contrasts: pd.DataFrame
    source: str
    left_out: int = 0

    @property
    def label(self) -> str:
        """The name in words; empty where the table has none."""
        return self.name.replace("_", " ").strip()

    @property
    def noun(self) -> str:
        """The outcome in messages."""
        return f"'{self.name}'" if self.name else "the outcome"

    @cached_property
    def sides(self) -> pd.DataFrame:
        """Study, agent, dose, route and line of every arm and of both sides of every contrast."""
        contrasts = self.contrasts.assign(route="")
        names = {"comparator": "agent", "comparator_dose": "dose"}
        comparators = contrasts.drop(columns=["agent", "dose"]).rename(columns=names)
        parts = [
            part.reindex(columns=SIDES) for part in (self.arms, contrasts, comparators) if len(part)
        ]
        return pd.concat(parts, ignore_index=True) if parts else self.arms.reindex(columns=SIDES)

    @property
    def measures(self) -> dict[str, int]:
        """How many contrasts have each measure."""
        return {str(k): int(v) for k, v in self.contrasts["measure"].value_counts().items()}

    @property
    def kinds(self) -> list[str]:
        """The kinds of data, each once."""
        arms = self.arms
        is_count = arms["kind"] == "binary"
        # A table that gives person-time in every row is one of rates.
        timed = "person_time" in arms and bool(arms["person_time"][is_count].notna().all())
        present = {
            COUNTS: is_count.any() and not timed,
            RATES: is_count.any() and timed,
            MEANS: (~is_count).any(),
            CONTRASTS: len(self.contrasts) > 0,
        }
        return [kind for kind, is_present in present.items() if is_present]

    @property
    def has_comparison(self) -> bool:
        """Whether any study has two arms, or a contrast."""
        n_arms = self.arms.groupby("study")["arm"].nunique()
        return bool(len(self.contrasts)) or bool((n_arms > 1).any())

    @cached_property
    def is_sparse(self) -> bool:
        """Whether any trial has an arm with few events, or with few people without the event."""
        events, n = self.arms["events"], self.arms["n"]
        return bool(((events < SPARSE_EVENTS) | (n - events < SPARSE_EVENTS)).any())

    @cached_property
    def has_feasible_tables(self) -> bool:
        """Whether the conditional likelihood has few enough terms."""
        total = 0
        by = self.arms.groupby(["study", "time_hours", "time_label"], dropna=False)
        for _, rows in by:
            rows = rows.drop_duplicates("arm")
            if rows["n"].sum() > MAX_PEOPLE:
                return False
            count = count_tables(rows["events"].to_numpy(float), rows["n"].to_numpy(float))
            total += count
            if count > MAX_TABLES or total > MAX_ALL_TABLES:
                return False
        return True

    @property
    def scaled_rows(self) -> pd.DataFrame:
        """The rows that are on a scale: means, and differences of means."""
        if len(self.contrasts):
            return self.contrasts[self.contrasts["measure"] == MD]
        return self.arms[self.arms["kind"] != "binary"]

    @cached_property
    def scales(self) -> list[tuple[float, float]] | None:
        """The scales of the means, each once; None where that of a row is not known."""
        pairs = self.scaled_rows[["scale_min", "scale_max"]].astype(float)
        if pairs.isna().any(axis=None):
            return None
        return [(float(low), float(high)) for low, high in pairs.drop_duplicates().to_numpy()]


def outcome_data(evidence: xr.DataTree, options: ImportOptions) -> list[OutcomeData]:
    """The usable rows of every outcome of a table."""
    results, contrasts = to_frame(evidence, "results"), to_frame(evidence, "contrasts")
    arms = to_frame(evidence, "arms").reindex(
        columns=["arm", "agent", "dose", "dose_unit", "route"]
    )
    results = results[results["unusable"] == ""]
    results = results.drop(columns=["agent", "dose", "dose_unit", "route"], errors="ignore")
    results = results.merge(arms, on="arm")
    contrasts = contrasts[contrasts["unusable"] == ""]
    source = str(evidence.attrs["source"])
    names = dict.fromkeys([*results["outcome"], *contrasts["outcome"]])
    every = [
        OutcomeData(
            str(name),
            results[results["outcome"] == name].reset_index(drop=True),
            contrasts[contrasts["outcome"] == name].reset_index(drop=True),
            source,
        )
        for name in names
    ]
    return [_of_measure(data, options.measure) for data in every]


def _of_measure(data: OutcomeData, measure: str | None) -> OutcomeData:
    """Keep the contrasts of the measure that the user names, where there are several."""
    if measure not in data.measures or len(data.measures) == 1:
        return data
    kept = data.contrasts[data.contrasts["measure"] == measure].reset_index(drop=True)
    return replace(data, contrasts=kept, left_out=len(data.contrasts) - len(kept))


def find_outcome(every: list[OutcomeData], name: str) -> OutcomeData | Issue:
    """The outcome of a name, or the error that there is none."""
    names = [data.name for data in every]
    exact = [data for data in every if data.name == name]
    matches = exact or [data for data in every if is_named(data.name, name)]
    if len(matches) == 1:
        return matches[0]
    message, hint = f"no usable row has the outcome '{name}'", suggest_match(name, names)
    source = every[0].source if every else ""
    return Issue("E451", message, hint, source, None, "outcome")


def active_doses(sides: pd.DataFrame, reference: str) -> dict[str, np.ndarray]:
    """The distinct doses above 0 of each agent, in ascending order."""
    active = sides[(sides["dose"] > 0) & ~sides["agent"].isin(["placebo", reference])]
    return {str(a): np.sort(rows.unique()) for a, rows in active.groupby("agent")["dose"]}


def dose_unit(sides: pd.DataFrame, agent: str) -> str:
    """The unit of an agent's doses, after a space; empty where none is stated, or several are."""
    units = sides.loc[sides["agent"] == agent, "dose_unit"].dropna().astype(str)
    stated = set(units[units != ""])
    return f" {stated.pop()}" if len(stated) == 1 else ""


def join_names(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    *others, last = names or [""]
    return f"{', '.join(others)} and {last}" if others else last
