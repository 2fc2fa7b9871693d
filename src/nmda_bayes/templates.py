"""Templates: shipped specs for any table of trials, completed from the user's table and options.

The specs `template_*` have generic weakly informative priors. The outcome's name, the reference
agent and the reference doses come from the table or from `--set`; each decision is written into
the spec.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Issue, suggest_match
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.describe import infer_reference
from nmda_bayes.evidence.importers.user_table import MD, MD_ON_100, ImportOptions
from nmda_bayes.evidence.tree import evidence_tree
from nmda_bayes.registry import shipped_folder
from nmda_bayes.spec import AnalysisSpec

COUNTS, DOSES, MEANS = "template_counts", "template_dose_response", "template_means"
CONTRASTS, DIFFERENCES = "template_contrasts", "template_differences"
#: The data that each template analyses.
DATA_OF: Final = {
    COUNTS: "counts of arms",
    DOSES: "counts of arms",
    MEANS: "means of arms",
    CONTRASTS: "contrasts",
    DIFFERENCES: "contrasts",
}
#: Measures of contrasts, besides logarithms, that suit `CONTRASTS`.
STANDARDISED = ("SMD", "SMDH", "d", "g", "Hedges g", "Cohen d")
SET_BY_USER = "set by you"


@dataclass(frozen=True)
class FilledTemplate:
    """A template completed for a table; the evidence has its reference doses."""

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

    @property
    def agents(self) -> list[str]:
        contrasts = self.contrasts
        return sorted({*self.arms["agent"], *contrasts["agent"], *contrasts["comparator"]})

    @property
    def measures(self) -> set[str]:
        return set(self.contrasts["measure"])

    @property
    def data(self) -> set[str]:
        """The kinds of data, in the words of `DATA_OF`."""
        kinds = {"binary": "counts of arms", "continuous": "means of arms"}
        arms = {kinds.get(kind, kind) for kind in self.arms["kind"]}
        return arms | ({"contrasts"} if len(self.contrasts) else set())

    def error(self, code: str, message: str, hint: str, column: str = "") -> EvidenceError:
        return EvidenceError([Issue(code, message, hint, self.source, None, column)])


def fill_template(
    evidence: xr.DataTree, options: ImportOptions, name: str | None = None
) -> FilledTemplate:
    """Complete the named template, or the one that suits a table."""
    source = str(evidence.attrs["source"])
    if evidence.attrs["kind"] != "flat":
        message, hint = "a template needs a single table", "Name an analysis, such as benefit_risk."
        raise EvidenceError([Issue("E450", message, hint, source)])
    rows = _outcome_rows(evidence, options)
    name, why = (name, SET_BY_USER) if name else _choose_template(rows)
    _check_data(name, rows)
    content = tomllib.loads((shipped_folder("models") / f"{name}.toml").read_text("utf-8"))
    decisions = {"spec": f"{name}: {why}. Its priors are generic.", **content["decisions"]}
    (key, outcome), *_ = content["outcomes"].items()
    outcome["measures"] = [rows.outcome or key]
    outcome["label"] = rows.outcome.replace("_", " ") or outcome["label"]
    if name == CONTRASTS and len(rows.measures) == 1 and rows.measures != {""}:
        outcome["unit"] = rows.measures.pop().replace("_", " ")
    if options.better:
        outcome["better"] = options.better
    content["reference"], decisions["reference"] = _reference(rows, evidence, options)
    if name == DOSES:
        doses, decisions["reference_doses"] = _reference_doses(rows, options, content["reference"])
        evidence = _with_reference_doses(evidence, doses)
    content |= {"decisions": decisions | import_decisions(evidence), "evidence": source}
    spec = AnalysisSpec.from_dict(content, file=f"{name}.toml")
    return FilledTemplate(name, spec, evidence)


def import_decisions(evidence: xr.DataTree) -> dict[str, str]:
    """Describe how a table was read, as a decision of a spec."""
    notes, columns = evidence.attrs.get("notes", ()), evidence.attrs.get("columns", "")
    if not notes and not columns:
        return {}
    text = f"Read as {evidence.attrs['format']}" + (f": {columns}." if columns else ".")
    return {"table": " ".join([text, *notes])}


def template_name(spec: str) -> str | None:
    """The name of a shipped template; None for any other spec."""
    name = Path(spec).name.removesuffix(".toml")
    return name if name in DATA_OF and not Path(spec).exists() else None


def _outcome_rows(evidence: xr.DataTree, options: ImportOptions) -> _Rows:
    """The usable rows of the only outcome, or of the one that the user names."""
    results, contrasts = to_frame(evidence, "results"), to_frame(evidence, "contrasts")
    arms = to_frame(evidence, "arms")[["arm", "agent", "dose", "route"]]
    results = results[results["unusable"] == ""].merge(arms, on="arm", suffixes=("_result", ""))
    contrasts = contrasts[contrasts["unusable"] == ""]
    outcomes = list(dict.fromkeys([*results["outcome"], *contrasts["outcome"]]))
    source, name = str(evidence.attrs["source"]), options.outcome
    if name is not None:
        # An analysis of a review may be named by its number alone.
        numbered = [outcome for outcome in outcomes if outcome.split(" ")[0] == name]
        matches = [name] if name in outcomes else numbered
        message, hint = f"no usable row has the outcome '{name}'", suggest_match(name, outcomes)
        code = "E451"
    else:
        matches = outcomes if len(outcomes) == 1 else []
        listed = ", ".join(f"'{outcome}'" for outcome in outcomes)
        message = f"the table has {len(outcomes)} outcomes, and a template analyses one"
        hint = f"Choose it with --set outcome=...: {listed or 'none has a usable row'}."
        code = "E452"
    if not matches:
        raise EvidenceError([Issue(code, message, hint, source, None, "outcome")])
    outcome = matches[0]
    arms = results[results["outcome"] == outcome]
    return _Rows(outcome, arms, contrasts[contrasts["outcome"] == outcome], source)


def _choose_template(rows: _Rows) -> tuple[str, str]:
    """Choose a template by the data of an outcome."""
    if rows.data == {"contrasts"}:
        if rows.measures <= {MD, MD_ON_100}:
            return DIFFERENCES, "the table holds differences of means"
        if all(m.startswith("log") or m in STANDARDISED for m in rows.measures):
            return CONTRASTS, f"the table holds contrasts ({', '.join(sorted(rows.measures))})"
        hint = (
            "Set it with --set measure=log_OR (log_RR, log_HR, log_IRR), --set measure=SMD, or"
            " --set measure=MD with --set scale=0,10 for the ends of the scale."
        )
        if rows.measures == {""}:
            message = "what the contrasts measure is missing, and their prior depends on it"
            raise rows.error("E454", message, hint, "measure")
        message = f"no template suits contrasts of measure {', '.join(sorted(rows.measures))}"
        raise rows.error("E455", message, hint, "measure")
    if "contrasts" in rows.data:
        raise rows.error(
            "E453",
            "the outcome has arm-level rows and contrasts",
            f"Name a template: {COUNTS} or {MEANS} for the arms, {CONTRASTS} for the contrasts.",
        )
    if len(rows.data) > 1:
        raise rows.error(
            "E456",
            "the outcome has rows with counts and rows with means",
            "Give them two names in the column outcome, and choose with --set outcome=...",
            "outcome",
        )
    if rows.data == {DATA_OF[MEANS]}:
        return MEANS, "the table holds means of arms"
    active = rows.arms[~(rows.arms["dose"] == 0) & (rows.arms["agent"] != "placebo")]
    n_doses = active.groupby("agent")["dose"].nunique()
    if active["dose"].notna().all() and (n_doses > 1).any():
        return DOSES, "the table holds counts, and an agent at several doses"
    return COUNTS, "the table holds counts, and no agent at several doses"


def _check_data(name: str, rows: _Rows) -> None:
    """Raise an error if a template cannot analyse the data of an outcome."""
    if DATA_OF[name] not in rows.data:
        message = f"{name} needs {DATA_OF[name]}, and the outcome has none"
        raise rows.error("E457", message, f"Name another of {', '.join(DATA_OF)}, or none.")
    set_scale = "Set its ends with --set scale=0,10"
    if name == MEANS and rows.arms[["scale_min", "scale_max"]].isna().any(axis=None):
        raise rows.error(
            "E458",
            "the means have no scale, which their prior needs",
            f"{set_scale}, or in columns scale_min and scale_max. For a quantity without ends give"
            f" the range of patients, or copy {MEANS}.toml and write priors in your unit.",
            "scale_min",
        )
    if name == DIFFERENCES and not rows.measures <= {MD_ON_100}:
        message = "the differences have no scale, which their prior needs"
        raise rows.error("E458", message, f"{set_scale} and --set measure=MD.", "measure")


def _reference(rows: _Rows, evidence: xr.DataTree, options: ImportOptions) -> tuple[str, str]:
    """The agent that others are compared with, and how it was determined."""
    if options.reference is None:
        reference, why = infer_reference(evidence, rows.outcome)
        if reference:
            return reference, why
        hint = f"Set it with --set reference=...; agents: {', '.join(rows.agents)}."
        raise rows.error("E460", "the reference agent is missing", hint, "reference")
    if options.reference not in rows.agents:
        hint = suggest_match(options.reference, rows.agents)
        raise rows.error("E459", f"no arm has agent '{options.reference}'", hint, "reference")
    return options.reference, f"'{options.reference}', {SET_BY_USER}."


def _reference_doses(
    rows: _Rows, options: ImportOptions, reference: str
) -> tuple[pd.DataFrame, str]:
    """The dose of each agent that its doses are multiples of: set by the user, or the median.

    The median is over distinct doses, and the lower of two middle ones.
    """
    active = rows.arms[(rows.arms["dose"] > 0) & (rows.arms["agent"] != reference)]
    tested = active.groupby("agent")["dose"].unique()
    doses = {
        str(agent): float(np.sort(values)[(len(values) - 1) // 2])
        for agent, values in tested.items()
    }
    for agent in options.reference_doses:
        if agent not in doses:
            hint = suggest_match(agent, list(doses))
            raise rows.error("E461", f"no arm has '{agent}' at a dose", hint, "dose")
    why = SET_BY_USER if set(doses) <= set(options.reference_doses) else "the median dose tested"
    doses |= options.reference_doses
    pairs = active[["agent", "route"]].drop_duplicates()
    table = pairs.assign(dose_column="dose", reference_dose=pairs["agent"].map(doses).astype(float))
    listed = ", ".join(f"{agent} {dose:g}" for agent, dose in sorted(doses.items()))
    return table, f"{listed} ({why}, in the table's unit)."


def _with_reference_doses(evidence: xr.DataTree, doses: pd.DataFrame) -> xr.DataTree:
    tables = {
        name: to_frame(evidence, name).drop(columns="row", errors="ignore")
        for name in evidence.children
    }
    empty = tables["reference_doses"]
    missing = {
        str(column): np.nan if empty[column].dtype.kind in "iuf" else ""
        for column in empty.columns.difference(doses.columns)
    }
    tables["reference_doses"] = doses.assign(**missing)[empty.columns]
    filled = evidence_tree(tables, source=str(evidence.attrs["source"]), kind="flat")
    filled.attrs |= {k: v for k, v in evidence.attrs.items() if k not in filled.attrs}
    return filled
