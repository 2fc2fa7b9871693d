"""Measures and doses of a flat table: converted where that is exact, else asked or refused."""

from __future__ import annotations

import math
import re

import pandas as pd

from nmda_bayes.evidence.dose_units import parse_dose_unit
from nmda_bayes.evidence.draft import DraftTable, row_text
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.tree import RATIO_MEASURES
from nmda_bayes.evidence.validate import Rule, unit_rule

# Measures of contrasts.

#: How the reason begins if the measure of a row is not analysed.
OTHER_MEASURE = "its measure is "

#: A logarithm in the name of a measure: its base, and the ratio.
_LOG_NAME = re.compile(r"(log10|log2|log|ln|loge)[\s_.(-]*(or|rr|irr|hr|rom)\)?", re.IGNORECASE)
_LOG_FACTORS = {"log10": math.log(10), "log2": math.log(2)}


def canonical_measure(name: str) -> str:
    """The measure that an estimate is analysed as: log_OR for OR, ln(OR) and log10_OR."""
    if name in RATIO_MEASURES:
        return f"log_{name}"
    match = _LOG_NAME.fullmatch(name)
    return f"log_{match[2].upper()}" if match else name


def normalise_measures(draft: DraftTable, setting: str | None) -> None:
    """Convert logarithms to base e, fill in the measure, and keep one measure an outcome."""
    if "comparator" not in draft.cells:
        return
    contrast = draft.text("comparator") != ""
    _convert_logarithms(draft)
    if setting is not None:
        filled = draft.fill("measure", setting, contrast)
        if filled.any():
            draft.note(f"The measure of the contrasts is {setting} (set by you).")
    measure = draft.text("measure").map(canonical_measure).astype("str")
    used = contrast & (draft.text("unusable") == "")
    wanted = None if setting is None else canonical_measure(setting)
    if wanted is not None and used.any() and not (measure[used] == wanted).any():
        listed = ", ".join(sorted(set(measure[used])))
        hint = f"The measures of the table: {listed}. Set one of them, or leave the setting out."
        issue = draft.table.issue("E181", f"no row has the measure {wanted}", hint, None, "measure")
        draft.errors.append(issue)
        return
    for outcome in draft.text("outcome")[used].unique():
        rows = used & (draft.text("outcome") == outcome)
        counts = measure[rows & (measure != "")].value_counts()
        if len(counts) < 2:
            continue
        names = sorted(counts.index, key=lambda name: (-counts[name], name))
        if wanted in counts.index:
            for name in names:
                if name != wanted:
                    other = rows & (measure == name)
                    draft.set_aside(other, f"{OTHER_MEASURE}{name}, not {wanted}")
            continue
        listed = "; ".join(
            f"{name} in {row_text(draft.lines[rows & (measure == name)])}" for name in names
        )
        of_outcome = f" of outcome '{shorten(outcome)}'" if outcome else ""
        draft.ask(
            "E180",
            f"the contrasts{of_outcome} have different measures: {listed}",
            " or ".join(f"--set measure={name}" for name in names)
            + " keeps the rows of one and sets the others aside. They do not convert into each"
            " other: for that, enter the counts or means of both groups, or analyse them as"
            " different outcomes.",
            rows & (measure != names[0]),
            "measure",
        )


def settle_ratio_errors(draft: DraftTable, choice: str | None) -> None:
    """Standard errors of ratios are of the logarithm, or are converted to it; or ask which."""
    ratio = (draft.text("comparator") != "") & draft.text("measure").isin(RATIO_MEASURES)
    interval = (draft.text("ci_low") != "") & (draft.text("ci_high") != "")
    rows = ratio & ~interval & draft.numbers("se").notna() & (draft.text("unusable") == "")
    if not rows.any():
        return
    if choice is None:
        draft.ask(
            "E195",
            f"the standard errors of ratios in {row_text(draft.lines[rows])} may be of the ratio or"
            " of its logarithm",
            "--set ratio_se=log if of the logarithm, as models report them; --set ratio_se=ratio if"
            " of the ratio itself; or enter intervals.",
            rows,
            "se",
        )
    elif choice == "log":
        draft.note("Standard errors of ratios are of their logarithms (set by you)", rows)
    else:
        se = draft.numbers("se") / draft.numbers("estimate").where(rows)
        rows &= se > 0
        texts = se.map(lambda x: repr(float(x))).astype("str")
        draft.assign("se", draft.text("se").mask(rows, texts))
        text = "Standard errors of ratios are divided by the ratio, for its logarithm (set by you)"
        draft.note(text, rows)


def _convert_logarithms(draft: DraftTable) -> None:
    """Spell logarithms in one way, and multiply those to base 10 or 2."""
    measure = draft.text("measure")
    for name in measure.unique():
        match = _LOG_NAME.fullmatch(name)
        if match is None or name == canonical_measure(name):
            continue
        rows, target = measure == name, canonical_measure(name)
        factor = _LOG_FACTORS.get(match[1].lower(), 1.0)
        draft.assign("measure", draft.text("measure").mask(rows, target))
        if factor == 1.0:
            draft.note(f"The measure '{name}' is read as {target}.")
            continue
        for column in ("estimate", "se", "comparator_se", "ci_low", "ci_high"):
            if column in draft.cells:
                numbers = draft.numbers(column)
                texts = (numbers * factor).map(lambda x: repr(float(x))).astype("str")
                draft.assign(column, draft.text(column).mask(rows & numbers.notna(), texts))
        draft.note(f"'{name}' is converted to {target} (times {factor:.4f})", rows)


# Doses.

_CELL_WITH_UNIT = re.compile(r"([-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s].*)")
#: The columns of each side of a row: agent, dose, unit.
_SIDES = (
    ("agent", "dose", "dose_unit"),
    ("comparator", "comparator_dose", "comparator_dose_unit"),
)


def convert_doses(draft: DraftTable, unit: str | None) -> None:
    """Give every agent's doses one unit: convert what is exact, ask or refuse otherwise."""
    _split_cells(draft)
    stated = [side for side in _SIDES if side[2] in draft.cells and side[1] in draft.cells]
    for _, _, column in stated:
        draft.refuse(unit_rule(draft.text(column), column))
    if unit is not None:
        if parse_dose_unit(unit) is None:
            message = f"'{shorten(unit)}' is not a known unit of doses"
            hint = "Set one such as --set dose_unit=mg/kg."
            draft.errors.append(draft.table.issue("E187", message, hint, None, "dose_unit"))
            return
        _fill_unit(draft, unit)
    sides = [side for side in _SIDES if side[1] in draft.cells and side[0] in draft.cells]
    if not any(column in draft.cells for _, _, column in sides):
        return
    doses = pd.concat(
        [
            pd.DataFrame(
                {
                    "agent": draft.text(agent),
                    "dose": draft.numbers(dose),
                    "unit": draft.text(column if column in draft.cells else "dose_unit"),
                }
            )
            for agent, dose, column in sides
        ],
        keys=range(len(sides)),
    )
    doses = doses[doses["dose"].notna() & (doses["agent"] != "")]
    for agent, rows in doses.groupby("agent", sort=False):
        if set(rows["unit"]) in ({""}, {unit}):
            continue
        target = _target_unit(draft, str(agent), rows, unit)
        if target:
            _convert_agent(draft, str(agent), target, sides)


def _split_cells(draft: DraftTable) -> None:
    """Split doses that are written with their unit, such as 0.5 mg/kg."""
    for _, dose, column in _SIDES:
        if dose not in draft.cells:
            continue
        parts = draft.text(dose).str.extract(_CELL_WITH_UNIT)
        units = parts[1].fillna("").astype("str").str.strip()
        known = units.map(lambda text: text != "" and parse_dose_unit(text) is not None)
        known = known.astype(bool)
        if known.any():
            draft.assign(dose, draft.text(dose).mask(known, parts[0]))
            draft.assign(column, draft.text(column).mask(known, units))
            draft.note(f"The units in '{dose}' are read as '{column}'", known)


def _fill_unit(draft: DraftTable, unit: str) -> None:
    for _, dose, column in _SIDES:
        if dose in draft.cells:
            filled = draft.fill(column, unit, draft.text(dose) != "")
            if filled.any():
                draft.note(f"The unit of '{dose}' is {unit} (set by you).")


def _target_unit(draft: DraftTable, agent: str, rows: pd.DataFrame, unit: str | None) -> str:
    """The unit of an agent's doses; empty where there is nothing to convert."""
    active = rows[(rows["dose"] != 0) | (rows["unit"] != "")]
    units = active.loc[active["unit"] != "", "unit"]
    if any(parse_dose_unit(text) is None for text in units.unique()):
        return ""  # an error already
    counts = units.value_counts()
    spellings = sorted(counts.index, key=lambda text: (-counts[text], text))
    if not spellings:
        return ""
    marked = (draft.text("agent") == agent) & (draft.text("dose") != "")
    without = active[active["unit"] == ""]
    if len(without):
        draft.ask(
            "E190",
            f"{len(without)} doses of '{shorten(agent)}' have no unit, {len(units)} have"
            f" {' or '.join(spellings)}",
            f"--set dose_unit={spellings[0]} is the unit of those without one; or fill in"
            " dose_unit.",
            marked & (draft.text("dose_unit") == ""),
            "dose_unit",
        )
    target = unit or spellings[0]
    wanted = parse_dose_unit(target)
    other = [
        text
        for text in spellings
        if (parsed := parse_dose_unit(text)) and wanted and parsed.dimension != wanted.dimension
    ]
    if other:
        broken = marked & draft.text("dose_unit").isin(other)
        draft.refuse(
            Rule(
                "E188",
                "dose_unit",
                broken,
                f"doses of '{shorten(agent)}' are in {target} and in {' and '.join(other)}, which"
                " do not convert into each other",
                f"Enter every dose of '{shorten(agent)}' in one unit (mg and mg/kg differ by a body"
                " weight), or give the two dosings different names in the column agent.",
            )
        )
        if not broken.any():
            message = f"doses of '{shorten(agent)}' in {' and '.join(other)} are not {target}"
            hint = "Enter every dose of an agent in one unit."
            draft.errors.append(draft.table.issue("E188", message, hint, None, "dose_unit"))
        return ""
    return target


def _convert_agent(
    draft: DraftTable, agent: str, target: str, sides: list[tuple[str, str, str]]
) -> None:
    wanted = parse_dose_unit(target)
    if wanted is None:
        return
    for name, dose, column in sides:
        units = draft.text(column if column in draft.cells else "dose_unit")
        rows = (draft.text(name) == agent) & draft.numbers(dose).notna()
        for text in units[rows].unique():
            parsed = parse_dose_unit(text) if text else None
            if parsed is None or text == target:
                continue
            changed = rows & (units == text)
            ratio = parsed.factor / wanted.factor
            if ratio != 1:
                numbers = (draft.numbers(dose) * ratio).map(lambda x: f"{x:.12g}")
                draft.assign(dose, draft.text(dose).mask(changed, numbers.astype("str")))
                texts = f"Doses of '{shorten(agent)}' in {text} are converted to {target}"
                draft.note(texts, changed)
            if column in draft.cells:
                draft.assign(column, draft.text(column).mask(changed, target))
        if column in draft.cells:
            draft.fill(column, target, rows)
