"""Bring your own: one flat table, one row an arm (of an outcome) or one row a contrast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence.blinding import NOT_STATED
from nmda_bayes.evidence.carry_over import carry_over
from nmda_bayes.evidence.flat_columns import (
    DERIVED,
    DOSES,
    LENIENT,
    NUMBERS,
    OF_ARMS,
    OF_STUDIES,
    TEXTS,
    Rows,
    header_faults,
    typed_rows,
)
from nmda_bayes.evidence.flat_needs import need_rules, study_faults
from nmda_bayes.evidence.flat_rules import cell_rules, told, unsound
from nmda_bayes.evidence.implied import implied_arms, implied_contrasts
from nmda_bayes.evidence.many_faults import More, few_of_a_kind
from nmda_bayes.evidence.printed_digits import half_units
from nmda_bayes.evidence.reading import LINE, Sheet
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tree import (
    NO_DISPERSION,
    RATIOS,
    arm_label,
    evidence_tree,
    hours_after_treatment,
    ratios_as_logarithms,
)

GIVEN = "given"


def load_flat(sheet: Sheet, source: str) -> xr.DataTree:
    """Load and check a flat table.

    Parameters
    ----------
    sheet
        The table as text.
    source
        How the user named it.

    Returns
    -------
    xr.DataTree
        The same tree as a base gives; any word may be an agent or an outcome. ``results`` and
        ``contrasts`` have ``se_from``, how each standard error was come by.

    Raises
    ------
    EvidenceError
        With every fault of the table.
    """
    if sheet.cells.empty:
        raise EvidenceError(sheet.faults)
    faults = [*sheet.faults, *header_faults(sheet)]
    rows, wrong = typed_rows(sheet)
    faults += wrong
    if not any(fault.row is None and not isinstance(fault, More) for fault in faults):
        rules = list(cell_rules(rows))
        sound = ~unsound(rules, rows)
        made = _worked_out(rows, sound)
        faults += told(rules, rows)
        faults += told(need_rules(rows, made, sound), rows)
        faults += study_faults(rows)
    if faults:
        raise EvidenceError(few_of_a_kind(faults))
    return evidence_tree(_tables(rows, made), source=source, kind="flat")


def _worked_out(rows: Rows, sound: pd.Series) -> pd.DataFrame:
    """Work out what sound rows imply: mean, standard error, logarithm, and how each came."""
    frame = rows.frame
    blank = pd.DataFrame(
        {
            **{c: frame[c] for c in ("estimate", "ci_low", "ci_high", "measure")},
            **{c: frame[c] for c in ("mean", "is_change_score")},
            "se": np.nan,
            "sd_relative_se": np.nan,
            **dict.fromkeys(("mean_from", "se_from", "clash"), ""),
        },
        index=frame.index,
    ).astype(dict.fromkeys(("mean_from", "se_from", "clash"), object))
    parts = []
    # How numbers were rounded matters only where one can contradict another.
    several = len(rows.given & {"se", "sd", "change_sd", "pre_sd", "ci_low", "t", "f", "p"}) > 1
    digits = half_units(rows.sheet, sorted({*NUMBERS} & rows.given) if several else [])
    digits = digits.reindex(columns=[*NUMBERS], fill_value=0.0)
    arms = sound & ~frame["is_contrast"]
    if arms.any():
        made = implied_arms(frame[arms], digits[arms])
        parts.append(made.rename(columns={"se_used": "se"}))
    contrasts = sound & frame["is_contrast"]
    if contrasts.any():
        mine = frame[contrasts]
        logs = ratios_as_logarithms(mine)
        ratio, half = mine["measure"].isin(RATIOS), digits[contrasts]
        for column in ("estimate", "ci_low", "ci_high"):
            half = half.assign(
                **{column: half[column].where(~ratio, half[column] / mine[column].where(ratio, 1))}
            )
        logs = logs[["estimate", "ci_low", "ci_high", "measure"]]
        parts.append(logs.join(implied_contrasts(mine.assign(**logs), half)))
    for part in parts:
        for name in map(str, part):
            blank.loc[part.index, name] = part[name]
    return blank


def _tables(rows: Rows, made: pd.DataFrame) -> dict[str, pd.DataFrame]:
    frame = rows.frame
    condition = frame["condition"].where(frame["condition"] != "", "all")
    frame = frame.assign(condition=condition, condition_group=condition)
    # An agent called placebo with no dose of its own is the zero of the dose axis.
    frame["dose"] = frame["dose"].where(
        frame["dose"].notna() | (frame["agent"] != "placebo") | frame["is_contrast"], 0.0
    )
    is_arm = ~frame["is_contrast"]
    arms = _arms(frame[is_arm], rows)
    return {
        "studies": _studies(frame, rows),
        "arms": arms,
        "results": _results(frame[is_arm], made[is_arm], arms, rows),
        "contrasts": _contrasts(frame[~is_arm], made[~is_arm], rows),
        "reference_doses": _like("reference_doses", pd.DataFrame()),
        "published": _like("published", pd.DataFrame()),
    }


def _like(name: str, rows: pd.DataFrame, *but: str) -> pd.DataFrame:
    """Give rows every column of a table of the base, empty where the flat table says nothing."""
    text = pd.Series("", index=rows.index, dtype="str")
    number = pd.Series(np.nan, index=rows.index, dtype=float)
    columns = {}
    for column in TABLES[name].columns:
        if column.name in rows and column.name not in but:
            columns[column.name] = rows[column.name]
        else:
            columns[column.name] = number if column.numeric else text
    return pd.DataFrame(columns, index=rows.index)


def _said_of(rows: pd.DataFrame, key: list[str], columns: list[str]) -> pd.DataFrame:
    """Give the first row of each group, and for some columns the first cell that says anything."""
    first = rows[~rows.duplicated(key)]
    for column in columns:
        said = rows[rows[column].notna() & (rows[column] != "")]
        said = said[~said.duplicated(key)][[*key, column]]
        if len(said) and len(said) < len(first):
            empty = "" if rows[column].dtype.kind not in "iufb" else np.nan
            filled = first[key].merge(said, on=key, how="left")[column].fillna(empty)
            first = first.assign(**{column: filled.to_numpy()})
        elif len(said):
            first = first.assign(**{column: said[column].to_numpy()})
    return first


def _studies(frame: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    own = [c for c in OF_STUDIES if c in rows.given]
    first = _said_of(frame, ["study"], own)[["study", "condition", "condition_group", *own]]
    studies = _like("studies", first.loc[:, ~first.columns.duplicated()])
    level = studies["blinding"].where(studies["blinding"] != "", NOT_STATED)
    return studies.assign(blinding_level=level, carry_over=carry_over(studies))


def _arms(frame: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    own = [c for c in OF_ARMS if c in rows.given and c not in ("agent", "dose")]
    first = _said_of(frame, ["study", "arm_id"], own).assign(agent_reported=frame["agent"])
    label = arm_label(first["study"], first["arm_id"])
    return _like("arms", first[["study", "arm_id", "agent", "agent_reported", *own]]).assign(
        arm=label,
        dose=first["dose"],
        **{name: first[name] if name in rows.given else np.nan for name in DOSES},
        dose_note="",
        conversion_note="",
    )


def _results(
    frame: pd.DataFrame, made: pd.DataFrame, arms: pd.DataFrame, rows: Rows
) -> pd.DataFrame:
    kind = np.where(frame["events"].notna(), "binary", "continuous")
    frame = frame.assign(
        kind=kind,
        outcome_reported=frame["outcome"],
        provenance=_provenance(frame, GIVEN),
        unusable=_unusable(frame, made),
        mean=made["mean"],
        is_change_score=made["is_change_score"],
    )
    results = _like("results", frame).drop(columns="arm_id")
    results = results.assign(
        arm=arm_label(frame["study"], frame["arm_id"]),
        line=frame[LINE],
        se_used=made["se"],
        se_from=made["se_from"],
        mean_from=made["mean_from"],
        sd_relative_se=made["sd_relative_se"],
        time_point=_time_point(frame),
    )
    results["hours_after_treatment"] = hours_after_treatment(results, arms)
    known = {*results, *OF_ARMS, "dose", "condition", "comparator", *_OF_CONTRASTS}
    return results.assign(**_extra(frame, known, rows))


def _unusable(frame: pd.DataFrame, made: pd.DataFrame) -> pd.Series:
    """Mark a mean whose report has no spread, in the base's own word: few likelihoods take it."""
    own = frame["unusable"] if "unusable" in frame else pd.Series("", index=frame.index)
    return own.mask((own == "") & frame["no_sd"] & made["se"].isna(), NO_DISPERSION)


#: What only a row of a contrast has.
_OF_CONTRASTS = ("comparator_dose", "comparator_se", "estimate")


def _contrasts(frame: pd.DataFrame, made: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    ratio = frame["measure"].isin(RATIOS)
    logarithm = "given as " + frame["measure"] + "; its logarithm is taken"
    frame = frame.assign(
        outcome_reported=frame["outcome"],
        provenance=_provenance(frame, logarithm.where(ratio, GIVEN)),
        comparator_dose=frame["comparator_dose"].where(
            frame["comparator_dose"].notna() | (frame["comparator"] != "placebo"), 0.0
        ),
        **{c: made[c] for c in ("measure", "estimate", "se", "ci_low", "ci_high")},
    )
    contrasts = _like("contrasts", frame, "arm_id").drop(columns=["arm_id", "comparator_arm_id"])
    columns = ["condition", "dose", "comparator_dose", "comparator_se", LINE]
    contrasts = contrasts.assign(
        **frame[columns],
        arm="",
        comparator_arm="",
        se_from=made["se_from"],
        given_as=rows.frame.loc[frame.index, "measure"].where(ratio, ""),
        time_point=_time_point(frame),
    )
    return contrasts.assign(**_extra(frame, {*contrasts, "arm_id", "arm"}, rows))


def _provenance(frame: pd.DataFrame, otherwise: pd.Series | str) -> pd.Series:
    """Keep the user's own word for where a number comes from."""
    if "provenance" not in frame:
        return pd.Series(otherwise, index=frame.index, dtype="str")
    return frame["provenance"].where(frame["provenance"] != "", otherwise)


def _time_point(frame: pd.DataFrame) -> pd.Series:
    """Give the user's own word for the time: a flat table may use any."""
    return frame["time_point"] if "time_point" in frame else frame["time_label"]


def _extra(frame: pd.DataFrame, known: set[str], rows: Rows) -> dict[str, pd.Series]:
    """Give what the tree has no place for yet: printed spreads, and the user's own columns.

    A spec may select by them, and a table that is written from the tree has them again.
    """
    described = {*TEXTS, *NUMBERS, *OF_ARMS, *OF_STUDIES}
    made = {}
    for name in sorted(rows.given - known - set(DERIVED) - set(OF_STUDIES)):
        cells = frame[name]
        if name in LENIENT and name in rows.wrong:
            cells = rows.sheet.cells[name].loc[frame.index]
        empty = cells.isna().all() or (cells.dtype.kind not in "iufb" and (cells == "").all())
        if name not in described or not empty:
            made[name] = cells
    return made
