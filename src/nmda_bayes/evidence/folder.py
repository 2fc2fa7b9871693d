"""A folder of tables: the shipped evidence base, or another one laid out alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault, nearest
from nmda_bayes.evidence.faults import few_of_a_kind, typed
from nmda_bayes.evidence.reading import LINE, read_sheet
from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tree import (
    arm_label,
    contrasts_as_modelled,
    course_totals,
    evidence_tree,
    hours_after_treatment,
    standard_errors,
)

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
}

Frames = dict[str, pd.DataFrame]


def load_folder(folder: Path, source: str) -> xr.DataTree:
    """Load and check a folder of tables.

    Parameters
    ----------
    folder
        Holds studies.csv, arms.csv and results.csv, and any of the other tables.
    source
        How the user named it.

    Returns
    -------
    xr.DataTree
        The evidence.

    Raises
    ------
    EvidenceError
        With every fault of every table.
    """
    absent = [t.name for t in TABLES.values() if t.required and not _file(folder, t.name).is_file()]
    if absent:
        files = ", ".join(f"{name}.csv" for name in absent)
        raise EvidenceError(
            [Fault(f"the folder holds no {files}", "Give a folder with these tables.", str(folder))]
        )
    frames, faults = _read(folder)
    frames = _in_our_words(frames)
    faults += [
        *_vocabulary_faults(frames),
        *_reference_faults(frames),
        *_result_faults(frames["results"]),
        *_contrast_faults(frames["contrasts"]),
        *_source_faults(frames, folder),
    ]
    if faults:
        raise EvidenceError(few_of_a_kind(faults))
    return evidence_tree(_derive(frames), source=source, kind="base")


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


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.csv"


def _read(folder: Path) -> tuple[Frames, list[Fault]]:
    frames, faults = {}, []
    for name, table in TABLES.items():
        path = _file(folder, name)
        if name == "vocabulary" and not path.is_file():
            path = _file(shipped_folder("data"), name)
        if not path.is_file():
            empty = {c.name: pd.Series(dtype=float if c.numeric else "str") for c in table.columns}
            frames[name] = pd.DataFrame({**empty, LINE: pd.Series(dtype=int)})
            continue
        frames[name], found = typed(read_sheet(path), table)
        faults += found
    return frames, faults


def _in_our_words(frames: Frames) -> Frames:
    """Put the term in the place of its synonyms; the word of the source stays in *_reported."""
    vocabulary = frames["vocabulary"]
    said = vocabulary[vocabulary["synonym"] != ""]
    out = dict(frames)
    for name, columns in SPOKEN.items():
        frame = out[name]
        for column, kind in columns.items():
            words = said[said["kind"] == kind].set_index("synonym")["term"].to_dict()
            reported = f"{column}_reported"
            if reported in frame:
                blank = frame[reported] == ""
                frame = frame.assign(**{reported: frame[reported].where(~blank, frame[column])})
            frame = frame.assign(**{column: frame[column].replace(words)})
        out[name] = frame
    return out


def _vocabulary_faults(frames: Frames) -> Iterator[Fault]:
    vocabulary = frames["vocabulary"]
    for name, columns in SPOKEN.items():
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
    known = {"study": set(frames["studies"]["study"]), "arm": set(_arm_keys(arms, "arm_id"))}
    for name in ("arms", "results", "contrasts"):
        frame = frames[name]
        lost = ~frame["study"].isin(known["study"])
        yield from _lost(frame[lost], name, "study", sorted(known["study"]), "studies.csv")
        if name == "arms":
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


def _derive(frames: Frames) -> Frames:
    studies, arms = frames["studies"], frames["arms"]
    results, contrasts = frames["results"], frames["contrasts"]
    arms = course_totals(arms).assign(
        arm=_arm_keys(arms, "arm_id"),
        dose=np.where(arms["agent"] == "placebo", 0.0, np.nan),
    )
    results = results.assign(arm=_arm_keys(results, "arm_id")).drop(columns="arm_id")
    results = results.assign(
        se_used=standard_errors(results),
        hours_after_treatment=hours_after_treatment(results, arms),
    )
    condition = studies.set_index("study")["condition_group"]
    contrasts = contrasts_as_modelled(contrasts).assign(
        arm=_arm_keys(contrasts, "arm_id"),
        comparator_arm=_arm_keys(contrasts, "comparator_arm_id"),
        condition=contrasts["study"].map(condition).astype("str"),
        dose=np.nan,
        comparator_dose=np.where(contrasts["comparator"] == "placebo", 0.0, np.nan),
        comparator_se=np.nan,
    )
    contrasts = contrasts.drop(columns=["arm_id", "comparator_arm_id"])
    return {**frames, "arms": arms, "results": results, "contrasts": contrasts}
