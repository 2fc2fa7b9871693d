"""A folder of tables: the shipped evidence base, or another one laid out alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.blinding import blinding_levels
from nmda_bayes.evidence.carry_over import carry_over
from nmda_bayes.evidence.doses import arm_doses, dose_faults
from nmda_bayes.evidence.faults import typed
from nmda_bayes.evidence.folder_rules import SPOKEN, Frames, folder_faults
from nmda_bayes.evidence.many_faults import few_of_a_kind
from nmda_bayes.evidence.reading import LINE, read_sheet
from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.time_points import time_points
from nmda_bayes.evidence.tree import (
    arm_label,
    contrasts_as_modelled,
    evidence_tree,
    hours_after_treatment,
    standard_error_sources,
    standard_errors,
)


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
    faults += [*folder_faults(frames, folder), *dose_faults(frames)]
    if faults:
        raise EvidenceError(few_of_a_kind(faults))
    return evidence_tree(_derive(frames), source=source, kind="base")


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


def _derive(frames: Frames) -> Frames:
    studies, arms = frames["studies"], frames["arms"]
    studies = studies.assign(
        blinding_level=blinding_levels(studies["blinding"], frames["vocabulary"]),
        carry_over=carry_over(studies),
    )
    results, contrasts = frames["results"], frames["contrasts"]
    arms = arm_doses(arms, frames["conversions"], frames["reference_doses"]).assign(
        arm=arm_label(arms["study"], arms["arm_id"]),
        dose=np.where(arms["agent"] == "placebo", 0.0, np.nan),
    )
    results = results.assign(arm=arm_label(results["study"], results["arm_id"])).drop(
        columns="arm_id"
    )
    results = results.assign(
        se_used=standard_errors(results),
        se_from=standard_error_sources(results),
        hours_after_treatment=hours_after_treatment(results, arms),
        time_point=time_points(results["time_label"], frames["vocabulary"]),
    )
    condition = studies.set_index("study")["condition_group"]
    contrasts = contrasts_as_modelled(contrasts).assign(
        arm=arm_label(contrasts["study"], contrasts["arm_id"]),
        comparator_arm=arm_label(contrasts["study"], contrasts["comparator_arm_id"]),
        condition=contrasts["study"].map(condition).astype("str"),
        dose=np.nan,
        comparator_dose=np.where(contrasts["comparator"] == "placebo", 0.0, np.nan),
        comparator_se=np.nan,
        time_point=time_points(contrasts["time_label"], frames["vocabulary"]),
    )
    contrasts = contrasts.drop(columns=["arm_id", "comparator_arm_id"])
    return {**frames, "studies": studies, "arms": arms, "results": results, "contrasts": contrasts}
