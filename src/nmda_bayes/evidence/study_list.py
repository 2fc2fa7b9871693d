"""The table of trials, one row a trial: what was compared, in whom, what was reported, how well."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.evidence.tested_doses import amount_text, people_of_arms, placed
from nmda_bayes.evidence.tree import table

#: Judgements on bias, in the order in which they are printed.
JUDGEMENTS = ("low", "some_concerns", "high", "unclear")


def study_table(tree: xr.DataTree) -> pd.DataFrame:
    """Describe each trial in one row.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Returns
    -------
    pd.DataFrame
        Sorted as the evidence is; columns study, design, blinding, condition_group, condition,
        n_randomised (of the trial, or of its arms added up), arms (agent, dose or else the regimen
        in words, route and people, parted by ``; ``), outcomes (with a usable row, and the people
        they were read in), rows and unusable (how many), why (they cannot be used), risk_of_bias
        (empty where nobody judged it), source. Empty where the evidence does not say.
    """
    studies = table(tree, "studies").set_index("study")
    told = _told(tree)
    columns = {
        "arms": _arms(tree),
        "outcomes": _outcomes(told[told["unusable"] == ""], studies["design"]),
        "rows": told.groupby("study").size(),
        "unusable": told[told["unusable"] != ""].groupby("study").size(),
        "why": told[told["unusable"] != ""].groupby("study")["unusable"].agg(_counted),
        "risk_of_bias": _risk_of_bias(tree),
    }
    given = ["design", "blinding", "condition_group", "condition", "n_randomised", "source"]
    out = studies[given].assign(**{k: v.reindex(studies.index) for k, v in columns.items()})
    out["n_randomised"] = out["n_randomised"].fillna(_people(tree).reindex(out.index))
    counts, words = ["rows", "unusable"], ["arms", "outcomes", "why", "risk_of_bias"]
    out[counts] = out[counts].fillna(0).astype(int)
    out[words] = out[words].astype(object).fillna("")
    order = [*given[:-1], "arms", "outcomes", *counts, "why", "risk_of_bias", "source"]
    return out[order].reset_index()


def _told(tree: xr.DataTree) -> pd.DataFrame:
    """Every row that tells of an outcome, of an arm or of a contrast."""
    results, contrasts = table(tree, "results"), table(tree, "contrasts")
    pair = contrasts["arm"] + "|" + contrasts["comparator_arm"]
    of_two = contrasts.assign(n=contrasts["n_treat"] + contrasts["n_control"], arm=pair)
    columns = ["study", "outcome", "arm", "n", "unusable"]
    both = [rows[columns] for rows in (results, of_two) if len(rows)]
    return pd.concat(both, ignore_index=True) if both else results[columns]


def _arms(tree: xr.DataTree) -> pd.Series:
    arms = placed(table(tree, "arms"), table(tree, "reference_doses"))
    people = people_of_arms(tree).reindex(arms["arm"]).to_numpy(float)
    rows = zip(
        arms["agent"], arms["dose"], arms["unit"], arms["regimen"], arms["route"], people,
        strict=True,
    )  # fmt: skip
    texts = pd.Series([_arm(*row) for row in rows], index=arms["study"], dtype="str")
    contrasts = table(tree, "contrasts")
    loose = contrasts[(contrasts["arm"] == "") | (contrasts["comparator_arm"] == "")]
    loose = loose[~loose["study"].isin(arms["study"])]
    against = (loose["agent"] + " against " + loose["comparator"]).set_axis(loose["study"])
    every = pd.concat([texts, against.astype("str")])
    return every.groupby(level=0).agg(lambda these: "; ".join(dict.fromkeys(these)))


def _arm(agent: str, dose: float, unit: str, regimen: str, route: str, people: float) -> str:
    amount = f"{amount_text(dose)} {unit}".strip() if dose > 0 else ""
    what = amount or ("" if dose == 0 else f"({regimen})" if regimen else "")
    size = "" if np.isnan(people) else f"n {people:.0f}"
    name = " ".join(part for part in (agent, what, route if dose != 0 else "") if part)
    return ", ".join(part for part in (name, size) if part)


def _outcomes(usable: pd.DataFrame, design: pd.Series) -> pd.Series:
    """Name the outcomes of each trial, with the people that they were read in."""
    largest = usable.groupby(["study", "outcome", "arm"])["n"].max().reset_index()
    n = largest.groupby(["study", "outcome"])["n"].agg(["sum", "max"]).reset_index()
    # In a crossover trial the people of one arm are those of the next.
    again = n["study"].map(design) == "crossover"
    people = n["max"].where(again, n["sum"])
    size = people.map(lambda x: f" (n {x:.0f})" if x > 0 else "")
    texts = (n["outcome"] + size).where(n["outcome"] != "", "one outcome" + size)
    return texts.groupby(n["study"]).agg("; ".join)


def _people(tree: xr.DataTree) -> pd.Series:
    arms = table(tree, "arms")
    arms = arms.assign(people=people_of_arms(tree).reindex(arms["arm"]).to_numpy(float))
    arms = arms[arms["overlaps"] == ""]
    studies = table(tree, "studies").set_index("study")
    again = arms["study"].map(studies["design"]) == "crossover"
    by = arms.groupby("study")["people"]
    return by.sum(min_count=1).where(~again.groupby(arms["study"]).any(), by.max())


def _risk_of_bias(tree: xr.DataTree) -> pd.Series:
    """Join what was judged: by domain where a table has it, else as the trial's row says."""
    said = table(tree, "studies").set_index("study")["risk_of_bias"]
    said = said[said != ""]
    if "risk_of_bias" not in tree.children:
        return said
    rows = table(tree, "risk_of_bias")
    texts = (rows["domain"] + " " + rows["judgement"]).str.replace("_", " ")
    judged = texts.groupby(rows["study"]).agg(lambda these: "; ".join(dict.fromkeys(these)))
    return pd.concat([judged, said[~said.index.isin(judged.index)]])


def _counted(reasons: pd.Series) -> str:
    return "; ".join(f"{n} {why}" for why, n in reasons.value_counts().items())
