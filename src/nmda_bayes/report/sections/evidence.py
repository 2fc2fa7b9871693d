"""What was there to be seen: the arms that entered, the network, the map with its holes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design import (
    AS_ARM,
    AS_CONTRAST,
    AS_RESPONDERS,
    BORROWED,
    LEVEL,
    Form,
    levels_of,
)
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.evidence.tree import SE_FROM_SD, SE_PRINTED
from nmda_bayes.figures import plot_evidence_map, plot_network
from nmda_bayes.report.blocks import (
    Format,
    Heading,
    Items,
    Section,
    Table,
    Text,
    as_table,
    folded,
)
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, effect, exact, listed, name, opened

#: Rows of the map at most: beyond these the cells cannot be read.
OUTCOMES_SHOWN = 12
#: What patients would ask beside the question. Drawn, and said in words, even where no trial tells:
#: there above all.
BESIDE = ("depressive_symptoms", "opioid_use", "quality_of_life", "serious_adverse_event")
REGIMEN_WIDTH = 60
#: Said of rows that are not arms' own numbers.
#: What arms report, by the column that events are counted over.
REPORTED = {"": "mean (SE)", "n": "events of participants", "person_time": "events in person-time"}
OF = {AS_ARM: "", AS_RESPONDERS: " that count responders", AS_CONTRAST: ""}


def evidence(view: View, gallery: Gallery) -> Section:
    """Show what entered, and what there was.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section
        Network, arms of each outcome, rows left out, evidence map and its holes.
    """
    blocks: list[object] = [Text(_total(view))]
    network = view.fit.children["design"]
    if len(set(network["arms"]["agent"].to_numpy())) > 1:
        caption = (
            "The network: agents that entered, and how many trials compare them directly. Numbers"
            " are counts; nothing here is estimated."
        )
        drawn = plot_network(network, reference=view.spec.reference)
        blocks.append(gallery.picture(drawn, caption))
    for outcome in view.outcomes:
        blocks += [Heading(f"What entered: {view.label(outcome)}"), *_entered(view, outcome)]
    blocks += [Heading("Rows left out"), *_left_out(view)]
    blocks += _map(view, gallery)
    return Section("evidence", "Evidence and map", tuple(blocks))


def _total(view: View) -> str:
    arms = view.fit["design/arms"].to_dataset()
    studies = len(set(arms["study"].to_numpy()))
    parts = [
        f"{view.label(outcome)}: {count(len(set(one['study'].to_numpy())), 'trial')},"
        f" {count(one.sizes['arm'], 'arm')}"
        for outcome in view.outcomes
        for one in [view.design(outcome)]
    ]
    return (
        f"{count(studies, 'trial').capitalize()} with {count(arms.sizes['arm'], 'arm')} entered"
        f" ({'; '.join(parts)}). Every number keeps its source; {_worked_out(view)}."
    )


def _worked_out(view: View) -> str:
    """Say how many standard errors are not as printed, and of these which were guessed."""
    ways = Counter(way for outcome in view.outcomes for way in _ways(view.design(outcome)))
    if not ways:
        return "nothing was imputed"
    told = "; ".join(f"{number} from {way}" for way, number in sorted(ways.items()))
    return f"standard errors that no report prints were worked out: {told}"


def _ways(design: xr.Dataset) -> Iterator[str]:
    """Give the ways to each standard error that is neither printed nor an SD over a root of n."""
    for column in ("se_from", "estimate_se_from"):
        if column in design:
            for way in design[column].to_numpy():
                if isinstance(way, str) and way not in ("", SE_PRINTED, SE_FROM_SD):
                    yield way


def _entered(view: View, outcome: str) -> list[object]:
    tables = {
        AS_ARM: ("arm", _table_of_arms),
        AS_RESPONDERS: ("arm", _table_of_arms),
        AS_CONTRAST: ("contrast", _table_of_contrasts),
    }
    blocks: list[object] = []
    for form in view.forms(outcome):
        noun, made = tables[form.report]
        table = made(view, outcome, form)
        counted = count(form.design.sizes[noun], noun)
        what = f"{counted}{OF[form.report]} of {view.label(outcome)}"
        blocks.append(folded(table, what))
    return blocks


def _table_of_contrasts(view: View, outcome: str, form: Form) -> Table:
    design = form.design
    columns = ("contrast", "estimate", "estimate_se")
    frame = pd.DataFrame({c: design[c].to_numpy() for c in columns})
    frame["source"] = _texts(design, "estimate_source", frame.index)
    caption = f"{opened(view.label(outcome))}: contrasts as reported, with standard errors."
    formats: dict[str, Format] = {
        "contrast": ("contrast", None),
        "estimate": ("estimate", effect),
        "estimate_se": ("SE", effect),
        "source": ("source", None),
    }
    return as_table(frame, caption, formats)


def _table_of_arms(view: View, outcome: str, form: Form) -> Table:
    label = view.label(outcome)
    frame = _arms(view, form)
    columns: dict[str, Format] = {
        "study": ("study", None),
        "what": ("arm", None),
        "regimen": ("regimen", None),
        "exposure": ("exposure", exact),
        "reported": (REPORTED[form.at_risk], str),
        "when": ("measure, time", None),
        "source": ("source (provenance)", None),
    }
    caption = f"{opened(label)}: the arms that entered{OF[form.report]}."
    if view.has_dose(outcome):
        caption += f" Exposure: {view.axis}; 0 is the reference."
    else:
        columns.pop("exposure")
    if not form.counts:
        caption += " SE: standard error of the mean."
    return as_table(frame, caption, columns)


def _arms(view: View, form: Form) -> pd.DataFrame:
    design = form.design
    index = pd.RangeIndex(design.sizes["arm"])
    columns = ("agent", "condition", "route", "regimen", "dose_note", "measure", "time_label")
    text = {c: _texts(design, c, index) for c in (*columns, "source", "provenance", "se_from")}
    frame = pd.DataFrame({"study": _texts(design, "study", index)}, index=index)
    frame["what"] = [
        _joined(view.agent(agent), route, view.condition(condition))
        for agent, route, condition in zip(
            text["agent"], text["route"], text["condition"], strict=True
        )
    ]
    noted = zip(text["regimen"], text["dose_note"], strict=True)
    frame["regimen"] = ["; ".join(filter(None, (_short(r), note))) for r, note in noted]
    timed = zip(text["measure"], text["time_label"], strict=True)
    frame["when"] = [_joined(view.term(OUTCOME, m), time) for m, time in timed]
    traced = zip(text["source"], text["provenance"], strict=True)
    frame["source"] = [f"{s} ({name(p)})" if s and p else s or name(p) for s, p in traced]
    if not form.counts:
        frame["source"] = [
            source
            if way in ("", SE_PRINTED, SE_FROM_SD)
            else "; ".join(filter(None, (source, f"SE from {way}")))
            for source, way in zip(frame["source"], text["se_from"], strict=True)
        ]
    frame["exposure"] = design["exposure"].to_numpy().astype(float)
    if form.counts:
        pairs = zip(design["events"].to_numpy(), design[form.at_risk].to_numpy(), strict=True)
        words = "{:.0f} of {:.0f}" if form.at_risk == "n" else "{:.0f} in {:g}"
        frame["reported"] = [words.format(*pair) for pair in pairs]
        for level in range(2, levels_of(design) + 1):
            harder = design[LEVEL.format("events", level)].to_numpy().astype(float)
            measures = design[LEVEL.format("measure", level)].to_numpy()
            frame["reported"] += [
                "" if np.isnan(k) else f"; {k:.0f}: {view.term(OUTCOME, str(m))}"
                for k, m in zip(harder, measures, strict=True)
            ]
    else:
        pairs = zip(design["mean"].to_numpy(), design["se"].to_numpy(), strict=True)
        frame["reported"] = [
            f"{effect(mean)} ({BORROWED if np.isnan(se) else effect(se)})" for mean, se in pairs
        ]
    return frame


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _texts(design: xr.Dataset, column: str, index: pd.Index) -> list[str]:
    """A text column; empty where the design has none, or a row says nothing."""
    if column not in design:
        return [""] * len(index)
    return ["" if pd.isna(text) else str(text) for text in design[column].to_numpy()]


def _short(text: str) -> str:
    return text if len(text) <= REGIMEN_WIDTH else f"{text[: REGIMEN_WIDTH - 1].rstrip()}…"


def _left_out(view: View) -> list[object]:
    gone = view.fit["design/left_out"].to_dataset()
    if gone.sizes.get("row", 0) == 0:
        return [Text("None: every row of these measures and this selection entered.")]
    frame = pd.DataFrame(
        {c: gone[c].to_numpy().astype(str) for c in ("study", "outcome", "reason")}
    )
    grouped = frame.groupby(["outcome", "reason"])["study"]
    counted = grouped.agg(["size", "nunique", _some]).reset_index()
    counted = counted.sort_values(["outcome", "size"], ascending=[True, False])
    counted = counted.assign(
        outcome=[view.label(o) if o in view.outcomes else name(o) for o in counted["outcome"]],
        reason=[name(reason) for reason in counted["reason"]],
    )
    table = as_table(
        counted,
        "Rows of the asked measures that did not enter, by reason. A row is one arm at one time"
        " point, or one contrast.",
        {
            "outcome": ("outcome", None),
            "reason": ("reason", None),
            "size": ("rows", str),
            "nunique": ("trials", str),
            "_some": ("for instance", None),
        },
    )
    summary = f"{count(len(frame), 'row')} left out, by reason"
    return [folded(table, summary)]


def _some(studies: pd.Series) -> str:
    unique = list(dict.fromkeys(studies))
    return ", ".join(unique[:3]) + (", …" if len(unique) > 3 else "")


def _map(view: View, gallery: Gallery) -> list[object]:
    if "evidence_map" not in view.fit.children:
        return []
    results = results_map(view)
    agents = [a for a in view.agents if a in results[AGENT].to_numpy()]
    conditions = [c for c in view.conditions if c in results[CONDITION].to_numpy()]
    if not agents or not conditions:
        return []
    shown = results.sel({AGENT: agents})
    known = [str(o) for o in results[OUTCOME].to_numpy()]
    asked = [m for part in view.outcomes.values() for m in part.measures if m in known]
    chosen = list(dict.fromkeys([*asked, *[o for o in BESIDE if o in known]])) or known
    chosen = chosen[:OUTCOMES_SHOWN]
    figure = plot_evidence_map(
        shown,
        agents=agents,
        conditions=conditions,
        outcomes=chosen,
    )
    caption = (
        f"Evidence map: trials with usable results in {view.fit.attrs['evidence_source']}, whether"
        " or not they entered. An empty, hatched cell is a hole: no trial. Counts; nothing here is"
        " estimated."
    )
    blocks: list[object] = [Heading("Evidence map"), gallery.picture(figure, caption)]
    blocks.append(Items(tuple(_holes(view, shown, conditions, chosen))))
    return blocks


def results_map(view: View) -> xr.DataArray:
    """Read the evidence map of a fit.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    xr.DataArray
        Number of trials with usable results, dims agent, condition, outcome.
    """
    return view.fit["evidence_map"].to_dataset()["results"]


def _holes(
    view: View, shown: xr.DataArray, conditions: list[str], outcomes: list[str]
) -> list[str]:
    """Say the map's holes in words, class of conditions by class."""
    agents = [str(a) for a in shown[AGENT].to_numpy()]
    sentences = []
    for outcome in outcomes:
        cells = shown.sel({OUTCOME: outcome, CONDITION: conditions})
        nowhere, some = [], []
        for kind, members in _classes(view, cells).items():
            counts = cells.sel({CONDITION: members}).sum(CONDITION)
            given = [a for a in agents if int(counts.sel({AGENT: a})) > 0]
            if not given:
                nowhere.append(kind)
            elif len(given) < len(agents):
                some.append(f"in {kind} only of {listed(map(view.agent, given))}")
        said = [f"no trial in {listed(nowhere, 'or')}"] if nowhere else []
        if said or some:
            text = "; ".join([*said, *some])
            sentences.append(f"{opened(view.term(OUTCOME, outcome))}: {text}.")
    return sentences or ["Every outcome shown has a trial of every agent."]


def _classes(view: View, cells: xr.DataArray) -> dict[str, list[str]]:
    """Conditions by their wider class, where the evidence names one."""
    conditions = [str(c) for c in cells[CONDITION].to_numpy()]
    wider = f"{CONDITION}_within"
    kinds = cells[wider].to_numpy() if wider in cells.coords else [""] * len(conditions)
    classes: dict[str, list[str]] = {}
    for condition, kind in zip(conditions, kinds, strict=True):
        word = name(str(kind)) if kind and kind != "other" else view.condition(condition)
        word += " conditions" if word == "psychiatric" else ""
        classes.setdefault(word, []).append(condition)
    return classes
