"""What a folder of tables must obey beyond the type of each cell: words, links, rows, sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence.reading import LINE
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tree import arm_label

#: What a source may be besides a key of sources.bib.
ADDRESS = re.compile(r"doi:10\.\d{4,9}/\S+|pmid:\d+|https?://[^\s.]+\.\S+")

#: Which columns speak which part of the vocabulary.
SPOKEN = {
    "studies": {"condition_group": "condition_group"},
    "arms": {"agent": "agent", "route": "route"},
    "results": {"outcome": "outcome"},
    "contrasts": {"agent": "agent", "comparator": "agent", "outcome": "outcome"},
    "reference_doses": {"agent": "agent", "route": "route"},
    "published": {"agent": "agent", "outcome": "outcome"},
    "pharmacokinetics": {"agent": "agent", "analyte": "analyte"},
    "concentrations": {"agent": "agent", "analyte": "analyte", "route": "route"},
}

#: Columns whose words stay as they were read, while a column derived from them speaks the
#: vocabulary.
QUOTED = {
    "studies": {"blinding": "blinding"},
    "results": {"time_label": "time_point"},
    "contrasts": {"time_label": "time_point"},
}

Frames = dict[str, pd.DataFrame]


def folder_faults(frames: Frames, folder: Path) -> list[Fault]:
    """Check typed tables against the vocabulary, each other, and the bibliography.

    Parameters
    ----------
    frames
        Typed tables by name, all of them, empty where a folder has none.
    folder
        Where sources.bib lies, if there is one.

    Returns
    -------
    list of Fault
        What is wrong.
    """
    return [
        *_misplaced_faults(frames),
        *_vocabulary_faults(frames),
        *_reference_faults(frames),
        *_result_faults(frames["results"]),
        *_contrast_faults(frames["contrasts"]),
        *_parameter_faults(frames["pharmacokinetics"]),
        *_source_faults(frames, folder),
    ]


def bibliography_keys(folder: Path) -> set[str] | None:
    """Give the keys of a folder's bibliography.

    Parameters
    ----------
    folder
        The evidence folder.

    Returns
    -------
    set of str or None
        None where it has no sources.bib.
    """
    path = folder / "sources.bib"
    if not path.is_file():
        return None
    return set(re.findall(r"^@\w+\{\s*([^,\s]+)\s*,", path.read_text("utf-8"), re.MULTILINE))


def unresolved(source: str, keys: set[str]) -> list[str]:
    """Say which parts of a source lead nowhere.

    Parameters
    ----------
    source
        Parts separated by ``; ``.
    keys
        Keys of the bibliography.

    Returns
    -------
    list of str
        The parts that are neither a key nor a DOI, PubMed number or address.
    """
    parts = [part.strip() for part in source.split("; ")]
    return [part for part in parts if part not in keys and not ADDRESS.fullmatch(part)]


def _misplaced_faults(frames: Frames) -> Iterator[Fault]:
    """Refuse a column that another table holds: joined to it, one would be taken for the other."""
    owner = {c: name for name in ("studies", "arms") for c in TABLES[name].names} | {"dose": "arms"}
    for name in ("arms", "results", "contrasts"):
        for column in map(str, frames[name]):
            home = owner.get(column, name)
            if column not in TABLES[name].names and home != name:
                yield Fault(
                    f"the column '{column}' belongs to {home}.csv",
                    "Move it there, or give it another name.",
                    f"{name}.csv",
                    1,
                    column,
                )


def _vocabulary_faults(frames: Frames) -> Iterator[Fault]:
    vocabulary = frames["vocabulary"]
    for name, columns in (*SPOKEN.items(), *QUOTED.items()):
        frame = frames[name]
        for column, kind in columns.items():
            mine = vocabulary[vocabulary["kind"] == kind]
            known = sorted({*mine["term"], *mine["synonym"]} - {""})
            strange = ~frame[column].isin([*known, ""])
            for row in frame[strange].itertuples():
                word = str(getattr(row, column))
                yield Fault(
                    f"'{word}' is no {kind} of the vocabulary",
                    f"{_near(word, known)} A new one needs a row in vocabulary.csv.",
                    f"{name}.csv",
                    int(getattr(row, LINE)),
                    column,
                )


def _near(word: str, known: list[str]) -> str:
    hint = nearest(word, known)
    return hint if hint.startswith("Did") else ""


def _reference_faults(frames: Frames) -> Iterator[Fault]:
    """Say which rows point at a study or an arm that is not there."""
    arms = frames["arms"]
    if arms.empty or frames["studies"].empty:
        return  # unreadable, which is said already: every link would be lost
    known = {"study": set(frames["studies"]["study"]), "arm": set(_arm_keys(arms, "arm_id"))}
    for name in ("arms", "results", "contrasts", "risk_of_bias"):
        frame = frames[name]
        lost = ~frame["study"].isin(known["study"])
        yield from _lost(frame[lost], name, "study", sorted(known["study"]), "studies.csv")
        if name in ("arms", "risk_of_bias"):
            continue
        for column in ("arm_id", "comparator_arm_id"):
            if column in frame:
                there = _arm_keys(frame, column).isin(known["arm"]) | (frame[column] == "")
                homes = frame.assign(**{column: _arm_keys(frame, column)})[~there & ~lost]
                yield from _lost(homes, name, column, sorted(known["arm"]), "arms.csv")


def _arm_keys(frame: pd.DataFrame, column: str) -> pd.Series:
    return arm_label(frame["study"], frame[column])


def _lost(
    rows: pd.DataFrame, name: str, column: str, known: list[str], home: str
) -> Iterator[Fault]:
    for row in rows.itertuples():
        word = str(getattr(row, column))
        yield Fault(
            f"'{word}' is not in {home}",
            _near(word, known) or f"Add it to {home}.",
            f"{name}.csv",
            int(getattr(row, LINE)),
            column,
        )


def _result_faults(results: pd.DataFrame) -> Iterator[Fault]:
    """Check cells against each other, row by row."""
    usable = results["unusable"] == ""
    binary = results["kind"] == "binary"
    too_many = results["events"] > results["n"]
    dispersed = results["se"].notna() | (results["sd"].notna() & results["n"].notna())
    aside = "Fill it in, or say in `unusable` why the row is kept aside."
    rules = [
        ("events", too_many, "more events than people", "Check events and n."),
        ("n", usable & binary & results["n"].isna(), "a count without its n", aside),
        ("events", usable & binary & results["events"].isna(), "no events", aside),
        ("mean", usable & ~binary & results["mean"].isna(), "no mean", aside),
        ("se", usable & ~binary & ~dispersed, "neither se, nor sd with n", aside),
        ("se", results["se"] == 0, "a standard error of 0", "Leave an unknown one empty."),
        (
            "scale_max",
            results["scale_max"] <= results["scale_min"],
            "the scale ends below its beginning",
            "Check scale_min and scale_max.",
        ),
    ]
    for column, broken, message, mend in rules:
        for line in results.loc[broken, LINE]:
            yield Fault(message, mend, "results.csv", int(line), column)
    same = ["study", "arm_id", "outcome", "time_hours", "time_label"]
    for line in results.loc[usable & results[usable].duplicated(same).reindex(usable.index), LINE]:
        yield Fault(
            "another usable row has the same arm, outcome and time",
            "Choose one, and say in the other's `unusable` that it is superseded.",
            "results.csv",
            int(line),
            "outcome",
        )


def _contrast_faults(contrasts: pd.DataFrame) -> Iterator[Fault]:
    usable = contrasts["unusable"] == ""
    low, high = contrasts["ci_low"], contrasts["ci_high"]
    spread = contrasts["se"].notna() | (low.notna() & high.notna())
    rules = [
        ("estimate", usable & contrasts["estimate"].isna(), "no estimate"),
        ("measure", usable & (contrasts["measure"] == ""), "no measure"),
        ("se", usable & ~spread, "neither se nor an interval"),
        ("ci_high", high < low, "the interval ends below its beginning"),
    ]
    for column, broken, message in rules:
        for line in contrasts.loc[broken, LINE]:
            mend = "Mend it, or say in `unusable` why the row is kept aside."
            yield Fault(message, mend, "contrasts.csv", int(line), column)


def _parameter_faults(parameters: pd.DataFrame) -> Iterator[Fault]:
    bare = (parameters["unusable"] == "") & parameters["value"].isna()
    backwards = parameters["value_high"] < parameters["value_low"]
    rules = [
        ("value", bare, "no value", "Say in `unusable` why the row is kept aside."),
        ("value_high", backwards, "the range ends below its beginning", "Turn it round."),
    ]
    for column, broken, message, mend in rules:
        for line in parameters.loc[broken, LINE]:
            yield Fault(message, mend, "pharmacokinetics.csv", int(line), column)


def _source_faults(frames: Frames, folder: Path) -> Iterator[Fault]:
    keys = bibliography_keys(folder)
    if keys is None:
        return
    for name, frame in frames.items():
        if "source" not in frame:
            continue
        leads = {source: unresolved(source, keys) for source in frame["source"].unique() if source}
        lost = frame[frame["source"].isin([source for source, parts in leads.items() if parts])]
        for row in lost.itertuples():
            yield Fault(
                f"the source '{leads[str(row.source)][0]}' leads nowhere",
                "Give a key of sources.bib, doi:..., pmid:..., or an address.",
                f"{name}.csv",
                int(getattr(row, LINE)),
                "source",
            )
