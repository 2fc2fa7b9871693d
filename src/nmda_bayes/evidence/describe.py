"""Summaries of evidence as tables and as text: what ``check`` and ``show --evidence`` print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import Issue
from nmda_bayes.evidence.derive import IMPUTED
from nmda_bayes.evidence.doses import (
    arm_sizes,
    assign_dose,
    dose_coverage,
    dose_nodes,
    dose_texts,
    reference_agents,
)
from nmda_bayes.evidence.network import TIME, evidence_map, evidence_network
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.tree import (
    SE_FROM_SD,
    SE_PRINTED,
    UNKNOWN_TIME,
    WASHOUT_NOT_REPORTED,
    WINDOW_LABELS,
    to_frame,
)

#: Characters per line: a terminal of the usual width.
WIDTH = 100
INDENT = "  "
#: Unread columns that are named.
MAX_UNREAD = 20
#: Rows of a section that is truncated.
MAX_ROWS = 12
TRUNCATED_HINT = "--all prints them, --out FOLDER writes them"
#: Judgements of bias in printing order.
JUDGEMENT_ORDER = ("low", "some_concerns", "high", "unclear")
_SHORT_WINDOWS = {
    "during": "during",
    "to_24_hours": "24 h",
    "to_1_week": "week",
    "to_3_months": "3 mo",
    "later": "later",
    UNKNOWN_TIME: "unknown",
}


def study_characteristics(evidence: xr.DataTree) -> pd.DataFrame:
    """Describe each trial in one row.

    Parameters
    ----------
    evidence
        From `load_evidence`.

    Returns
    -------
    pd.DataFrame
        Columns study, design, blinding, condition_group, condition, n_randomised, arms, outcomes
        (with people), rows, unusable (rows), unusable_reasons, risk_of_bias (published judgements)
        and source.

    Examples
    --------
    >>> trials = nb.study_characteristics(evidence)
    >>> bool((trials["unusable"] <= trials["rows"]).all())
    True
    """
    studies = to_frame(evidence, "studies").set_index("study")
    rows = _outcome_rows(evidence)
    usable, unusable = rows[rows["unusable"] == ""], rows[rows["unusable"] != ""]
    n_randomised = studies["n_randomised"].fillna(_people_by_study(evidence).reindex(studies.index))
    texts = {
        "arms": _arm_texts(evidence),
        "outcomes": _outcome_texts(usable, studies["design"]),
        "unusable_reasons": unusable.groupby("study")["unusable"].agg(_count_values),
        "risk_of_bias": _judgement_texts(evidence),
    }
    counts = {"rows": rows, "unusable": unusable}
    out = studies.assign(
        n_randomised=n_randomised,
        **{c: v.reindex(studies.index).astype(object).fillna("") for c, v in texts.items()},
        **{
            column: counted.groupby("study").size().reindex(studies.index, fill_value=0)
            for column, counted in counts.items()
        },
    )
    reported = ["design", "blinding", "condition_group", "condition", "n_randomised"]
    derived = ["arms", "outcomes", "rows", "unusable", "unusable_reasons", "risk_of_bias"]
    return out[[*reported, *derived, "source"]].reset_index()


def _outcome_rows(tree: xr.DataTree) -> pd.DataFrame:
    """Return every row of an outcome, of an arm or of a contrast."""
    results, contrasts = to_frame(tree, "results"), to_frame(tree, "contrasts")
    contrasts = contrasts.assign(
        n=contrasts["n_treat"] + contrasts["n_control"],
        arm=contrasts["arm"] + "|" + contrasts["comparator_arm"],
    )
    columns = ["study", "outcome", "arm", "n", "unusable"]
    both = [rows[columns] for rows in (results, contrasts) if len(rows)]
    return pd.concat(both, ignore_index=True) if both else results[columns]


def _arm_texts(tree: xr.DataTree) -> pd.Series:
    """Return the arms of each study: agent, dose or regimen, route and people."""
    arms = assign_dose(to_frame(tree, "arms"), to_frame(tree, "reference_doses"))
    regimen = ("(" + arms["regimen"] + ")").where(arms["regimen"] != "", "")
    active = arms["dose"] != 0
    amount = dose_texts(arms).where(arms["dose"] > 0, regimen).where(active, "")
    names = zip(arms["agent"], amount, arms["route"].where(active, ""), strict=True)
    people = arm_sizes(tree).reindex(arms["arm"]).to_numpy(float)
    texts = [
        " ".join(filter(None, name)) + ("" if np.isnan(n) else f", n {n:.0f}")
        for name, n in zip(names, people, strict=True)
    ]
    contrasts = to_frame(tree, "contrasts")
    without_arms = (contrasts["arm"] == "") | (contrasts["comparator_arm"] == "")
    pairs = contrasts[without_arms & ~contrasts["study"].isin(arms["study"])]
    pair_texts = (pairs["agent"] + " against " + pairs["comparator"]).set_axis(pairs["study"])
    both = pd.concat([pd.Series(texts, arms["study"], dtype="str"), pair_texts.astype("str")])
    return both.groupby(level=0).agg(_join_unique)


def _outcome_texts(usable: pd.DataFrame, design: pd.Series) -> pd.Series:
    """Return the outcomes of each study with their people."""
    by_arm = usable.groupby(["study", "outcome", "arm"])["n"].max().reset_index()
    n = by_arm.groupby(["study", "outcome"])["n"].agg(["sum", "max"]).reset_index()
    # The arms of a crossover trial share their people.
    people = n["max"].where(n["study"].map(design) == "crossover", n["sum"])
    size = people.map(lambda x: f" (n {x:.0f})" if x > 0 else "")
    texts = n["outcome"].where(n["outcome"] != "", "one outcome") + size
    return texts.groupby(n["study"]).agg("; ".join)


def _people_by_study(tree: xr.DataTree) -> pd.Series:
    arms = to_frame(tree, "arms")
    people = pd.Series(arm_sizes(tree).reindex(arms["arm"]).to_numpy(float), index=arms.index)
    whole = arms["overlaps"] == ""
    by_study = people[whole].groupby(arms["study"][whole])
    design = to_frame(tree, "studies").set_index("study")["design"]
    total, largest = by_study.sum(min_count=1), by_study.max()
    return total.where(design.reindex(total.index) != "crossover", largest)


def _judgement_texts(tree: xr.DataTree) -> pd.Series:
    """Return the judgements of each study: by domain if there is a table, else as reported."""
    reported = to_frame(tree, "studies").set_index("study")["risk_of_bias"]
    reported = reported[reported != ""]
    if "risk_of_bias" not in tree.children:
        return reported
    rows = to_frame(tree, "risk_of_bias")
    texts = (rows["domain"] + " " + rows["judgement"]).str.replace("_", " ")
    judged = texts.groupby(rows["study"]).agg(_join_unique)
    return pd.concat([judged, reported[~reported.index.isin(judged.index)]])


def _join_unique(texts: pd.Series) -> str:
    return "; ".join(dict.fromkeys(texts))


def _count_values(values: pd.Series) -> str:
    return "; ".join(f"{n} {value}" for value, n in values.value_counts().items())


def trials_by_time(tree: xr.DataTree, reference: str = "placebo") -> pd.DataFrame:
    """Count the trials with a usable row by outcome, agent, condition and time window."""
    windows = evidence_map(tree, (AGENT, CONDITION, OUTCOME, TIME)).reset_coords(drop=True)
    total = evidence_map(tree).reset_coords(drop=True)
    cells = windows.to_dataset(dim=TIME).assign(trials=total).to_dataframe()
    cells = cells[cells["trials"] > 0].reset_index()
    cells = cells[~cells[AGENT].isin([reference, *reference_agents(tree)])]
    cells = cells.sort_values("trials", ascending=False, kind="stable", ignore_index=True)
    return cells[[OUTCOME, AGENT, CONDITION, "trials", *WINDOW_LABELS]]


def doses_by_trial(tree: xr.DataTree, reference: str = "placebo") -> pd.DataFrame:
    """List the agents of each trial by route, with the doses that it tried."""
    arms = dose_coverage(tree, reference=reference)
    arms = arms[arms["usable"] & arms["dose"].notna() & (arms["overlaps"] == "")]
    arms = arms.sort_values("dose", kind="stable")
    tried = dose_nodes(arms).str.replace(r"^.*@", "", regex=True)
    by = arms.assign(tried=tried).groupby(["study", "agent", "route"], sort=False)["tried"]
    out = by.agg(doses="nunique", tried=lambda doses: ", ".join(doses.unique())).reset_index()
    return out.sort_values(["doses", "study"], ascending=[False, True], ignore_index=True)


def arm_counts_by_dose(arms: pd.DataFrame) -> pd.DataFrame:
    """Count arms and people at each dose."""
    keys = ["agent", "route", "unit", "dose"]
    arms = arms.assign(
        dose=arms["dose"].map(lambda dose: float(f"{dose:.3g}")),
        people=arms["people"].where(arms["overlaps"] == "", 0.0),
        total=arms.groupby(["agent", "route"])["arm"].transform("size"),
    )
    out = arms.groupby(["total", *keys], dropna=False, as_index=False).agg(
        multiple=("multiple", "first"),
        arms=("arm", "size"),
        usable=("usable", "sum"),
        people=("people", "sum"),
    )
    out = out.sort_values(["total", *keys], ascending=[False, *[True] * 4], ignore_index=True)
    return out[["agent", "route", "dose", "unit", "multiple", "arms", "usable", "people"]]


def unusable_row_counts(tree: xr.DataTree) -> pd.DataFrame:
    """Count the unusable rows by table and reason."""
    parts = []
    for name in ("results", "contrasts"):
        rows = to_frame(tree, name)
        by_reason = rows[rows["unusable"] != ""].groupby("unusable")["study"]
        counts = by_reason.agg(rows="size", trials="nunique").rename_axis("reason").reset_index()
        counts = counts.sort_values("rows", ascending=False, kind="stable")
        parts.append(counts.assign(table=name)[["table", "reason", "rows", "trials"]])
    return pd.concat(parts, ignore_index=True)


class EvidenceSummary(NamedTuple):
    """A summary as text and as a table."""

    text: str
    counts: pd.DataFrame


def summarise_evidence(tree: xr.DataTree, reference: str = "placebo") -> EvidenceSummary:
    """Count rows, usable rows, doses and trials, and describe the network."""
    net = evidence_network(tree, reference=reference)
    tables = ("studies", "arms", "results", "contrasts", "published", "comparisons")
    sizes = {name: len(to_frame(tree, name)) for name in tables if name in tree.children}
    usable = to_frame(tree, "results")
    usable = usable[(usable["unusable"] == "") & (usable["outcome"] != "")]
    by_outcome = usable.groupby("outcome")["study"].nunique().sort_values(ascending=False)
    parts: dict[str, dict[Any, int]] = {
        "rows of each table": {name: size for name, size in sizes.items() if size},
        "results": _usability_counts(to_frame(tree, "results")),
        "contrasts": _usability_counts(to_frame(tree, "contrasts")),
        "arms with a usable result, by dose": _dose_axis_counts(tree),
        "trials of each agent": net["studies"].to_series().to_dict(),
        "trials of each outcome": by_outcome.to_dict(),
    }
    rows = [(part, item, n) for part, items in parts.items() for item, n in items.items()]
    lines = [
        f"Evidence: {_source_text(tree)}",
        *(
            f"{part}: " + ", ".join(f"{item} {n}" for item, n in items.items())
            for part, items in parts.items()
            if items
        ),
        f"network: {net.attrs['n_components']} part(s). {net.attrs['identified']}.",
    ]
    return EvidenceSummary("\n".join(lines), pd.DataFrame(rows, columns=["part", "item", "count"]))


def _source_text(tree: xr.DataTree) -> str:
    return f"{tree.attrs['source']} (sha256 {str(tree.attrs['evidence_hash'])[:12]})"


def _usability_counts(rows: pd.DataFrame) -> dict[Any, int]:
    counts = rows["unusable"].value_counts().to_dict()
    return {"usable": counts.pop("", 0), **counts} if len(rows) else {}


def _dose_axis_counts(tree: xr.DataTree) -> dict[str, int]:
    """Count the active arms with a dose in the unit of the reference dose, and those without."""
    references = to_frame(tree, "reference_doses")
    arms, results = to_frame(tree, "arms"), to_frame(tree, "results")
    usable = arms["arm"].isin(results.loc[results["unusable"] == "", "arm"])
    active = arms[usable & arms["agent"].isin(references["agent"])]
    if active.empty:
        return {}
    joined = active.merge(references, on=["agent", "route"], how="left", suffixes=("", "_of"))
    column = joined["dose_column"].fillna("")
    on_axis = pd.Series(False, index=joined.index)
    for name in set(column) - {""}:
        on_axis |= (column == name) & joined[str(name)].notna()
    without_reference = column == ""
    return {
        "on the dose axis": int(on_axis.sum()),
        "no reference dose for the agent by that route": int(without_reference.sum()),
        "no dose in the reference dose's unit": int((~without_reference & ~on_axis).sum()),
    }


def describe_import(tree: xr.DataTree) -> Iterator[str]:
    """Describe how a user's table was read: format, columns and conversions."""
    if tree.attrs["kind"] != "flat" or "format" not in tree.attrs:
        return
    columns = tree.attrs["columns"]
    yield f"format: {tree.attrs['format']}" + (f" ({columns})" if columns else "")
    for note in tree.attrs["notes"]:
        yield f"conversion: {note}"
    unread = [f"'{shorten(name)}'" for name in tree.attrs["unread"]]
    if unread:
        more = f" and {len(unread) - MAX_UNREAD} more" if len(unread) > MAX_UNREAD else ""
        yield f"columns that the analysis does not use: {', '.join(unread[:MAX_UNREAD])}{more}."


def infer_reference(tree: xr.DataTree, outcomes: Sequence[str] | None = None) -> tuple[str, str]:
    """Return the agent that the others of a table are compared with, and why; empty if unclear.

    Only a placebo, or the agent that is the comparator of every row, is known without asking.
    """
    results, contrasts = to_frame(tree, "results"), to_frame(tree, "contrasts")
    arms = to_frame(tree, "arms").set_index("arm")["agent"]
    results, contrasts = (
        rows[(rows["unusable"] == "") & (outcomes is None or rows["outcome"].isin(outcomes or []))]
        for rows in (results, contrasts)
    )
    of_arms = set(results["arm"].map(arms))
    agents = of_arms | {*contrasts["agent"], *contrasts["comparator"]}
    if "placebo" in agents:
        return "placebo", "'placebo'."
    comparators = set(contrasts["comparator"])
    stated = str(tree.attrs.get("comparator", ""))
    if not of_arms and len(comparators) == 1 and not comparators & set(contrasts["agent"]):
        stated = str(next(iter(comparators)))
    if stated in agents:
        return stated, f"'{stated}', the second group of every row."
    return "", ""


def count_imputed(tree: xr.DataTree) -> int:
    """Count the usable rows whose standard error is imputed."""
    tables = [to_frame(tree, name) for name in ("results", "contrasts")]
    return sum(
        int(((rows["unusable"] == "") & rows["se_from"].str.startswith(IMPUTED)).sum())
        for rows in tables
    )


def evidence_notes(tree: xr.DataTree) -> Iterator[Issue]:
    """Report what is not an error but matters: derived and imputed numbers, unknown times."""
    source = str(tree.attrs["source"])
    for name in ("results", "contrasts"):
        rows = to_frame(tree, name)
        derived = (rows["unusable"] == "") & ~rows["se_from"].isin(["", SE_PRINTED, SE_FROM_SD])
        for method, derived_rows in rows[derived].groupby("se_from", sort=True):
            imputed = str(method).startswith(IMPUTED)
            yield Issue(
                "E731" if imputed else "E730",
                f"{len(derived_rows)} standard errors of {name}: {method}",
                "They are imputed assuming a normal outcome." if imputed else "",
                source,
                int(derived_rows["line"].min()),
                "se",
            )
    carry_over = to_frame(tree, "studies")["carry_over"]
    not_reported = int((carry_over == WASHOUT_NOT_REPORTED).sum())
    if not_reported:
        message = (
            f"{not_reported} of {int((carry_over != '').sum())} crossover trials:"
            f" {WASHOUT_NOT_REPORTED}, so that carry-over between periods cannot be assessed"
        )
        yield Issue("E733", message, "", source, None, "washout_days")
    results = to_frame(tree, "results")
    timed = results["time_hours"].notna() & results["hours_after_treatment"].isna()
    if tree.attrs["kind"] == "flat" and timed.any():
        yield Issue(
            "E732",
            f"{int(timed.sum())} rows have time_hours, but their study has no end of treatment:"
            " a spec with a time rule excludes them",
            "Give treatment_days, or n_administrations = 1 and infusion_hours.",
            source,
            int(results.loc[timed, "line"].min()),
            "time_hours",
        )


def describe_evidence(tree: xr.DataTree, reference: str = "placebo", *, full: bool = False) -> str:
    """Describe evidence on a few pages: network, map, doses, trials, bias, unusable rows."""
    limit = None if full else MAX_ROWS
    lines = [f"Evidence: {_source_text(tree)}", *_size_lines(tree)]
    for title, section in (
        ("Network by agent (usable rows)", _agent_network_lines(tree, reference, limit)),
        ("Network by dose (usable rows)", _dose_network_lines(tree, reference, limit)),
        ("Trials by outcome, agent, condition and time (usable rows)", _map_lines(tree, limit)),
        ("Tested doses", _dose_lines(tree, reference, limit)),
        ("Trials", _trial_lines(tree, limit)),
        ("Risk of bias", _risk_of_bias_lines(tree)),
        ("Unusable rows", _unusable_lines(tree)),
    ):
        lines += ["", title, "-" * len(title), *section]
    return "\n".join(lines)


def _size_lines(tree: xr.DataTree) -> list[str]:
    trials = study_characteristics(tree)
    people = float(trials["n_randomised"].sum())
    rows, unusable = int(trials["rows"].sum()), int(trials["unusable"].sum())
    usable_trials = int((trials["rows"] > trials["unusable"]).sum())
    return _wrap(
        f"{_count(len(trials), 'trial')}, {_count(len(to_frame(tree, 'arms')), 'arm')}"
        + (f", {people:,.0f} people where reported" if people > 0 else "")
        + f"; {_count(rows, 'result')}, of which {rows - unusable:,} are usable, from"
        f" {_count(usable_trials, 'trial')}."
    )


def _agent_network_lines(tree: xr.DataTree, reference: str, limit: int | None) -> Iterator[str]:
    net = evidence_network(tree, reference=reference)
    nodes = net[["studies", "participants"]].to_dataframe().reset_index()
    yield from _count_lines(nodes, "agent", limit, "agents")
    yield ""
    yield from _edge_lines(net, limit)
    yield from _wrap(f"{net.attrs['identified']}.")


def _edge_lines(net: xr.Dataset, limit: int | None) -> Iterator[str]:
    edges = pd.DataFrame(
        {
            "compared": net["edge_agent"].to_series() + " : " + net["edge_comparator"].to_series(),
            "studies": net["edge_studies"].to_numpy(),
            "participants": net["edge_participants"].to_numpy(),
        }
    )
    yield from _count_lines(edges, "compared", limit, "comparisons")


def _count_lines(frame: pd.DataFrame, label: str, limit: int | None, noun: str) -> Iterator[str]:
    """Print trials and people of nodes or edges, those with the most trials first."""
    frame = frame.rename(columns={"studies": "trials", "participants": "people"})
    frame["people"] = frame["people"].where(frame["people"] > 0)
    frame = frame.sort_values("trials", ascending=False, kind="stable")
    yield from _truncated_table(frame[[label, "trials", "people"]], limit, noun)


def _dose_network_lines(tree: xr.DataTree, reference: str, limit: int | None) -> Iterator[str]:
    net = evidence_network(tree, reference=reference, by="dose")
    doses = doses_by_trial(tree)
    several = doses[doses["doses"] > 1]
    yield from _wrap(
        f"{net.sizes['agent']} nodes (agent and route @ dose), {net.sizes['edge']} comparisons,"
        f" {_count(net.attrs['n_components'], 'connected part')}."
        f" {_count(several['study'].nunique(), 'trial')} compared doses of one agent, the only"
        " within-trial evidence of a dose-response."
    )
    if len(several):
        columns = ["study", "agent", "route", "tried"]
        yield from _truncated_table(several[columns], limit, "such trials")
        yield ""
    yield from _edge_lines(net, limit)


def _map_lines(tree: xr.DataTree, limit: int | None) -> Iterator[str]:
    """Print the map outcome by outcome; if truncated, those with the most cells."""
    counts = trials_by_time(tree)
    if counts.empty:
        yield f"{INDENT}No usable row."
        return
    outcomes = counts["outcome"].value_counts().index
    shown = outcomes if limit is None else outcomes[: limit // 3]
    for outcome in shown:
        cells = counts[counts["outcome"] == outcome].drop(columns="outcome")
        head = cells if limit is None else cells.head(limit - 4)
        if len(head) < len(cells):
            rest = cells.iloc[len(head) :].sum(numeric_only=True).to_frame().T
            rest = rest.assign(agent=f"({len(cells) - len(head)} more pairs)", condition="")
            head = pd.concat([head, rest.astype(head.dtypes)])
        if outcome:
            yield f"{INDENT}{outcome}:"
        yield from format_table(head.rename(columns=_SHORT_WINDOWS))
        yield ""
    if len(shown) < len(outcomes):
        yield from _wrap(f"... and {len(outcomes) - len(shown)} more outcomes ({TRUNCATED_HINT}).")
    yield from _wrap(
        "`trials` counts each trial once; the columns count it in each window of time since the end"
        " of treatment in which it reported. Pairs that are not listed have no trial. Placebos are"
        " left out."
    )


def _dose_lines(tree: xr.DataTree, reference: str, limit: int | None) -> Iterator[str]:
    arms = dose_coverage(tree, reference=reference)
    if arms.empty:
        yield f"{INDENT}No arm received anything but the reference."
        return
    rows = [_dose_row(group) for _, group in arms.groupby(["agent", "route"], sort=False)]
    frame = pd.DataFrame(rows).sort_values("arms", ascending=False, kind="stable")
    yield from _truncated_table(frame, limit, "pairs of agent and route")
    reasons = arms.loc[arms["missing_reason"] != "", "missing_reason"].value_counts()
    with_multiple = int(arms["multiple"].notna().sum())
    multiple_text = (
        f", {with_multiple} with a multiple of a reference dose" if with_multiple else ""
    )
    reason_text = "".join(f"; {n} with {reason}" for reason, n in reasons.items())
    yield from _wrap(f"{_count(len(arms), 'active arm')}{multiple_text}{reason_text}.")
    assumed = int((arms["note"] != "").sum())
    if assumed:
        yield from _wrap(f"{assumed} doses depend on an assumption, see dose_note of arms.")
    if arms["dose"].notna().any():
        yield ""
        yield from _dose_count_lines(arms[arms["dose"].notna()], limit)


def _dose_row(arms: pd.DataFrame) -> dict[str, object]:
    """Summarise the doses of an agent by a route."""
    known = arms[arms["dose"].notna()]
    ranges = [f"{_range(rows['dose'])} {u}" for u, rows in known.groupby("unit", sort=False)]
    return {
        "agent": arms["agent"].iloc[0],
        "route": arms["route"].iloc[0],
        "arms": len(arms),
        "usable": int(arms["usable"].sum()),
        "people": arms.loc[arms["overlaps"] == "", "people"].sum(),
        "no dose": len(arms) - len(known),
        "doses": "; ".join(ranges).strip(),
        "x reference": _range(arms["multiple"]),
    }


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if np.isnan(low):
        return ""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _dose_count_lines(arms: pd.DataFrame, limit: int | None) -> Iterator[str]:
    """Print arms and people by dose; if truncated, those with the most arms."""
    doses = arm_counts_by_dose(arms)
    if limit is not None:
        doses = doses.sort_values("arms", ascending=False, kind="stable")
    doses["dose"] = dose_texts(doses)
    doses = doses.rename(columns={"multiple": "x reference"}).drop(columns="unit")
    yield from _truncated_table(doses.dropna(axis="columns", how="all"), limit, "doses")


def _trial_lines(tree: xr.DataTree, limit: int | None) -> Iterator[str]:
    trials = study_characteristics(tree)
    if limit is not None:
        usable = trials["rows"] - trials["unusable"]
        trials = trials.loc[usable.sort_values(ascending=False, kind="stable").index]
    frame = pd.DataFrame(
        {
            "trial": trials["study"].str.slice(0, 20),
            "design": trials["design"].str.slice(0, 9),
            "blind": trials["blinding"].str.replace("double-blind", "double").str.slice(0, 10),
            "condition": trials["condition_group"].str.slice(0, 13),
            "n": trials["n_randomised"],
            "arms": trials["arms"] if limit is not None else "",
            "outcomes": trials["outcomes"].map(lambda text: len(text.split("; ")) if text else 0),
        }
    )
    if limit is not None:
        noun = "trials, those with the most usable rows first"
        yield from _truncated_table(frame, limit, noun)
        return
    header, *lines = _truncated_table(frame, None, "trials")
    yield header
    for line, arms, outcomes in zip(lines, trials["arms"], trials["outcomes"], strict=True):
        yield line
        for label, text in (("arms", arms), ("outcomes", outcomes)):
            if text:
                yield from _wrap(f"{label}: {text}", INDENT * 3)


def _risk_of_bias_lines(tree: xr.DataTree) -> Iterator[str]:
    trials = study_characteristics(tree)
    judged = int((trials["risk_of_bias"] != "").sum())
    yield f"{INDENT}Published judgements: {judged} of {_count(len(trials), 'trial')}."
    if "risk_of_bias" not in tree.children:
        return
    rows = to_frame(tree, "risk_of_bias")
    counts = pd.crosstab(rows["domain"].str.replace("_", " "), rows["judgement"])
    order = [j for j in JUDGEMENT_ORDER if j in counts]
    counts = counts[[*order, *counts.columns.difference(order)]].reset_index()
    yield from format_table(counts.rename(columns=lambda name: name.replace("_", " ")))


def _unusable_lines(tree: xr.DataTree) -> Iterator[str]:
    rows = unusable_row_counts(tree)
    if rows.empty:
        yield f"{INDENT}All rows are usable."
    else:
        yield from format_table(rows)


def _truncated_table(frame: pd.DataFrame, limit: int | None, noun: str) -> Iterator[str]:
    """Print a table without its empty columns, or its first rows and how many more there are."""
    frame = frame[[name for name in frame if not (frame[name].astype(str) == "").all()]]
    # A line that reports two more rows is hardly shorter than the rows.
    shown = frame if limit is None or len(frame) <= limit + 2 else frame.head(limit)
    yield from format_table(shown)
    if len(shown) < len(frame):
        yield from _wrap(f"... and {len(frame) - len(shown)} more {noun} ({TRUNCATED_HINT}).")


def format_table(frame: pd.DataFrame, width: int = WIDTH) -> Iterator[str]:
    """Lay out a table, one line per row, cells cut so that lines fit the width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in frame:
        number = frame[name].dtype.kind in "iuf"
        # rich narrows the widest columns that may wrap; their cells are cut instead.
        table.add_column(str(name), justify="right" if number else "left", no_wrap=number)
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell_text(v), no_wrap=True, overflow="ellipsis") for v in row))
    console = Console(width=width - len(INDENT), color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        yield (INDENT + line).rstrip()


def _cell_text(value: object) -> str:
    if isinstance(value, float):
        if np.isnan(value):
            return ""
        return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _wrap(text: str, indent: str = INDENT) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
