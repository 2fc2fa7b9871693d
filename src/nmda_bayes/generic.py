"""Generic analyses: which shipped spec fits a table of one's own, and what it must be told of it.

The specs ``own_*`` have priors that hold for nearly any clinical outcome and know nothing of this
one; each says so. Here they are told what a file for any table cannot hold: the outcome's name, the
reference agent, the reference doses. What is chosen here, and why, is written into the spec, which
is a spec like any other.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault, nearest
from nmda_bayes.evidence import shipped_folder, table
from nmda_bayes.evidence.readers.own import MD, MD_ON_100
from nmda_bayes.evidence.readers.said import Said
from nmda_bayes.evidence.telling import reference_found
from nmda_bayes.evidence.tree import evidence_tree
from nmda_bayes.spec import AnalysisSpec

OWN = "own_"
COUNTS, DOSES, MEANS = "own_counts", "own_dose_response", "own_means"
CONTRASTS, DIFFERENCES = "own_contrasts", "own_differences"
#: Measures of contrasts that own_contrasts is made for, besides logarithms.
STANDARDISED = ("SMD", "SMDH", "d", "g", "Hedges g", "Cohen d")


@dataclass(frozen=True)
class Generic:
    """A generic spec told of a table.

    Attributes
    ----------
    name
        Of the shipped spec.
    spec
        Complete.
    evidence
        The table, with reference doses where the spec needs them.
    """

    name: str
    spec: AnalysisSpec
    evidence: xr.DataTree


@dataclass(frozen=True)
class _Rows:
    """The usable rows of one outcome."""

    outcome: str
    arms: pd.DataFrame
    contrasts: pd.DataFrame
    source: str

    def agents(self) -> list[str]:
        named = {*self.arms["agent"], *self.contrasts["agent"], *self.contrasts["comparator"]}
        return sorted(named)

    def fault(self, message: str, mend: str, column: str = "") -> EvidenceError:
        return EvidenceError([Fault(message, mend, self.source, None, column)])


def generic_spec(evidence: xr.DataTree, said: Said, name: str | None = None) -> Generic:
    """Choose a generic spec by what a table holds, or take the one named, and tell it of the table.

    Parameters
    ----------
    evidence
        A table of one's own, as `load_evidence` gives it.
    said
        What the user says of it: outcome, reference, reference doses, which way is better.
    name
        One of the shipped specs ``own_*``; None to choose.

    Returns
    -------
    Generic
        The spec, with every choice among its ``choices``.

    Raises
    ------
    EvidenceError
        Where the table leaves open what must not be guessed.
    """
    if evidence.attrs["kind"] != "flat":
        mend = "Name a spec, such as benefit_risk."
        source = str(evidence.attrs["source"])
        raise EvidenceError([Fault("generic specs are for a table of one's own", mend, source)])
    rows = _rows_of(evidence, said)
    chosen, why = (name, "as you say") if name else _choose(rows)
    _refuse_unfit(chosen, rows)
    content = tomllib.loads((shipped_folder("models") / f"{chosen}.toml").read_text("utf-8"))
    (key, outcome), *_ = content["outcomes"].items()
    choices = {"spec": f"{chosen}: {why}. Its priors are generic.", **content["choices"]}
    outcome["measures"] = [rows.outcome or key]
    outcome["label"] = rows.outcome.replace("_", " ") or outcome["label"]
    measures = set(rows.contrasts["measure"])
    if chosen == CONTRASTS and len(measures) == 1 and measures != {""}:
        outcome["unit"] = str(measures.pop()).replace("_", " ")
    if said.better:
        outcome["better"] = said.better
    content["reference"], choices["reference"] = _reference(rows, evidence, said)
    if chosen == DOSES:
        evidence, choices["reference_doses"] = _with_reference_doses(evidence, rows, said, content)
    content |= {"choices": choices | told(evidence), "evidence": str(evidence.attrs["source"])}
    return Generic(chosen, AnalysisSpec.from_dict(content, file=f"{chosen}.toml"), evidence)


def told(evidence: xr.DataTree) -> dict[str, str]:
    """Say how a table was understood, as choices of a spec.

    Parameters
    ----------
    evidence
        As `load_evidence` gives it.

    Returns
    -------
    dict[str, str]
        Empty where nothing was done to it.
    """
    notes, columns = evidence.attrs.get("notes", ()), evidence.attrs.get("columns", "")
    if not notes and not columns:
        return {}
    read = f"Read as {evidence.attrs['format']}" + (f": {columns}." if columns else ".")
    return {"table": " ".join([read, *notes])}


def own_name(spec: str) -> str | None:
    """Say which generic spec a word names.

    Parameters
    ----------
    spec
        As the user wrote it.

    Returns
    -------
    str or None
        None for any other spec, and for a file of the user's.
    """
    name = Path(spec).name.removesuffix(".toml")
    known = name in (COUNTS, DOSES, MEANS, CONTRASTS, DIFFERENCES)
    return name if known and not Path(spec).exists() else None


def _rows_of(evidence: xr.DataTree, said: Said) -> _Rows:
    """Take the rows of the one outcome that is meant."""
    results, contrasts = table(evidence, "results"), table(evidence, "contrasts")
    arms = table(evidence, "arms")[["arm", "agent", "dose", "route"]]
    results = results[results["unusable"] == ""].merge(arms, on="arm", suffixes=("_result", ""))
    contrasts = contrasts[contrasts["unusable"] == ""]
    outcomes = list(dict.fromkeys([*results["outcome"], *contrasts["outcome"]]))
    source = str(evidence.attrs["source"])
    chosen = outcomes[0] if len(outcomes) == 1 else ""
    if said.outcome is not None:
        numbered = [o for o in outcomes if o.split(" ")[0] == said.outcome]
        found = [o for o in outcomes if o == said.outcome] or numbered
        if not found:
            mend = nearest(said.outcome, outcomes)
            message = f"no usable row has the outcome '{said.outcome}'"
            raise EvidenceError([Fault(message, mend, source, None, "outcome")])
        chosen = found[0]
    elif len(outcomes) != 1:
        names = ", ".join(f"'{outcome}'" for outcome in outcomes)
        raise EvidenceError(
            [
                Fault(
                    f"the table has {len(outcomes)} outcomes, and one is analysed at a time",
                    f"Say which with --say outcome=...: {names or 'none has a usable row'}.",
                    source,
                    None,
                    "outcome",
                )
            ]
        )
    mine = contrasts["outcome"] == chosen
    return _Rows(chosen, results[results["outcome"] == chosen], contrasts[mine], source)


def _choose(rows: _Rows) -> tuple[str, str]:
    """Choose by what the rows hold."""
    if len(rows.arms) and len(rows.contrasts):
        raise rows.fault(
            "the outcome has rows that are arms and rows that are contrasts",
            "Name a spec: own_counts or own_means for the arms, own_contrasts for the contrasts.",
        )
    if len(rows.contrasts):
        measures = set(rows.contrasts["measure"])
        if measures <= {MD, MD_ON_100}:
            return DIFFERENCES, "the table holds differences of means"
        if all(m.startswith("log") or m in STANDARDISED for m in measures):
            return CONTRASTS, f"the table holds contrasts ({', '.join(sorted(measures))})"
        raise rows.fault(
            "nothing here says what the contrasts measure, and a prior depends on it"
            if measures == {""}
            else f"no generic spec is made for contrasts of measure {', '.join(sorted(measures))}",
            "Say it with --say measure=log_OR (log_RR, log_HR, log_IRR), --say measure=SMD, or"
            " --say measure=MD with --say scale=0,10 for the ends of the scale.",
            "measure",
        )
    kinds = set(rows.arms["kind"])
    if len(kinds) > 1:
        raise rows.fault(
            "the outcome has rows with counts and rows with means",
            "Give them two names in the column outcome, and say which with --say outcome=...",
            "outcome",
        )
    if kinds == {"continuous"}:
        return MEANS, "the table holds means of arms"
    active = rows.arms[~(rows.arms["dose"] == 0) & (rows.arms["agent"] != "placebo")]
    several = active.groupby("agent")["dose"].nunique().max() > 1 if len(active) else False
    if several and active["dose"].notna().all():
        return DOSES, "the table holds counts, and an agent at several doses"
    return COUNTS, "the table holds counts, and no agent at several doses"


def _refuse_unfit(name: str, rows: _Rows) -> None:
    """Refuse a spec that cannot speak of these rows, with what would let it."""
    needs = {COUNTS: "binary", DOSES: "binary", MEANS: "continuous"}.get(name)
    if needs and not (rows.arms["kind"] == needs).any():
        what = {"binary": "counts", "continuous": "means"}[needs]
        raise rows.fault(f"{name} needs {what} of arms, and the outcome has none", _choice_mend())
    if needs is None and rows.contrasts.empty:
        raise rows.fault(f"{name} needs contrasts, and the outcome has none", _choice_mend())
    if name == MEANS and rows.arms[["scale_min", "scale_max"]].isna().any(axis=None):
        raise rows.fault(
            "the means have no scale, and a prior for means needs one",
            "Say where it begins and ends: --say scale=0,10, or columns scale_min and scale_max."
            " For a quantity without ends give the range in which patients lie, or copy"
            " own_means.toml and write priors in your own unit.",
            "scale_min",
        )
    if name == DIFFERENCES and not set(rows.contrasts["measure"]) <= {MD_ON_100}:
        raise rows.fault(
            "the differences have no scale, and a prior for them needs one",
            "Say where it begins and ends: --say measure=MD --say scale=0,10.",
            "measure",
        )


def _choice_mend() -> str:
    return f"Name another of {', '.join((COUNTS, DOSES, MEANS, CONTRASTS, DIFFERENCES))}, or none."


def _reference(rows: _Rows, evidence: xr.DataTree, said: Said) -> tuple[str, str]:
    """Find the agent that the others are compared with, and say how it was found."""
    agents = rows.agents()
    if said.reference is not None:
        if said.reference not in agents:
            raise rows.fault(
                f"no arm is '{said.reference}'", nearest(said.reference, agents), "reference"
            )
        return said.reference, f"'{said.reference}', as you say."
    found, how = reference_found(evidence, rows.outcome)
    if found:
        return found, how
    raise rows.fault(
        "nothing here says which agent is the reference",
        f"Say it with --say reference=...; there are: {', '.join(agents)}.",
        "reference",
    )


def _with_reference_doses(
    evidence: xr.DataTree, rows: _Rows, said: Said, content: dict[str, Any]
) -> tuple[xr.DataTree, str]:
    """Give each agent the dose that its doses are multiples of."""
    active = rows.arms[(rows.arms["dose"] > 0) & (rows.arms["agent"] != content["reference"])]
    agents = sorted(set(active["agent"]))
    unknown = [agent for agent in said.reference_doses if agent not in agents]
    if unknown:
        raise rows.fault(
            f"no arm has '{unknown[0]}' at a dose", nearest(unknown[0], agents), "dose"
        )
    doses = {
        agent: said.reference_doses.get(
            agent, _middle(active.loc[active["agent"] == agent, "dose"])
        )
        for agent in agents
    }
    pairs = active[["agent", "route"]].drop_duplicates()
    tables = {name: table(evidence, name) for name in evidence.children}
    reference = pairs.assign(
        dose_column="dose", reference_dose=pairs["agent"].map(doses).astype(float)
    )
    tables["reference_doses"] = _filled(tables["reference_doses"], reference)
    tables = {name: _without_row(frame) for name, frame in tables.items()}
    made = evidence_tree(tables, source=rows.source, kind="flat")
    made.attrs |= {k: v for k, v in evidence.attrs.items() if k not in made.attrs}
    given = "as you say" if set(doses) <= set(said.reference_doses) else "the middle of those tried"
    listed = ", ".join(f"{agent} {dose:g}" for agent, dose in doses.items())
    return made, f"{listed} ({given}, in the table's unit)."


def _middle(doses: Iterable[float]) -> float:
    """Take the middle of the doses tried, each counted once, a tested one where there are two."""
    tried = sorted(set(doses))
    return tried[(len(tried) - 1) // 2]


def _filled(empty: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    columns = {
        str(name): rows[name]
        if name in rows
        else pd.Series(float("nan") if empty[name].dtype.kind in "iuf" else "", index=rows.index)
        for name in empty
    }
    return pd.DataFrame(columns)


def _without_row(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="row") if "row" in frame else frame
