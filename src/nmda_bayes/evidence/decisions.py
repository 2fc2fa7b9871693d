"""Decisions on a flat table that change its answer, and that only its owner can take.

Codes of missing values, levels of intervals, trials of one name, and
columns that nothing reads. What is settled by a setting becomes a note, the rest a question.
"""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from nmda_bayes.evidence.derive import rounding_half_widths
from nmda_bayes.evidence.draft import DraftTable, row_text, set_text
from nmda_bayes.evidence.flat_schema import (
    ARM_COLUMNS,
    FLAT_COLUMNS,
    RESERVED_COLUMNS,
    RESULT_COLUMNS,
    STUDY_COLUMNS,
    described_columns,
)
from nmda_bayes.evidence.labels import n_repeated
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.table_io import LINE
from nmda_bayes.evidence.validate import Rule

# What rows lack and a setting gives.


def fill_settings(
    draft: DraftTable, ci_level: float | None, pre_post_correlation: float | None
) -> None:
    """Fill in the level of intervals and the correlation before and after, or ask for them."""
    ends = (draft.text("ci_low") != "") & (draft.text("ci_high") != "")
    if ci_level is not None and ends.any():
        if draft.fill("ci_level", repr(ci_level), ends).any():
            draft.note(f"Intervals have the level {ci_level:g} (set by you).")
    else:
        without = ends & (draft.text("ci_level") == "") & (draft.text("se") == "")
        without &= (draft.text("sd") == "") | (draft.text("n") == "")
        if without.any():
            message = f"the level of {int(without.sum())} intervals is not stated"
            hint = "--set ci_level=0.95 for 95% intervals; or enter it in a column ci_level."
            draft.ask("E136", message, hint, without, "ci_level")
            draft.fill("ci_level", "0.95", without)
    paired = ["pre_mean", "pre_sd", "post_mean", "post_sd", "n"]
    if not set(paired) <= set(map(str, draft.cells)):
        return
    complete = (draft.cells[paired] != "").all(axis=1)
    for column in ("mean", "change_sd", "se"):
        complete &= draft.text(column) == ""
    without = complete & (draft.text("pre_post_correlation") == "") & ~ends
    if pre_post_correlation is not None:
        value = repr(pre_post_correlation)
        if draft.fill("pre_post_correlation", value, complete).any():
            draft.note(f"The correlation before and after is {value} (set by you).")
    elif without.any():
        draft.ask(
            "E193",
            f"the SD of the change does not follow in {row_text(draft.lines[without])}: the"
            " correlation of the values before and after is not stated",
            "Enter change_sd; or enter the correlation in a column pre_post_correlation; or assume"
            " one for all, such as --set pre_post_correlation=0.5.",
            without,
            "pre_post_correlation",
        )
        draft.fill("pre_post_correlation", "0.5", without)


# Codes of missing values.

_CODE = re.compile(r"-9|-?(?:9{2,}|8{2,}|7{2,})(?:\.0*|\.9+)?")
#: Columns in which a code may hide; scales, levels and probabilities may be 99 or 0.99.
_CODED_COLUMNS = [
    *(
        name
        for name in RESULT_COLUMNS
        if name not in ("ci_level", "p", "pre_post_correlation", "df")
    ),
    *("dose", "comparator_dose", "time_hours", "person_time", "follow_up"),
]
#: A positive code is isolated if it is so many times the largest other number.
_ISOLATION = 5.0


def ask_missing_codes(draft: DraftTable, stated: tuple[str, ...]) -> None:
    """Ask about numbers that look like codes of missing values, unless the codes are stated."""
    if stated:
        return
    marks: dict[str, dict[str, pd.Series]] = {}
    for column in [name for name in _CODED_COLUMNS if name in draft.cells]:
        text = draft.text(column)
        candidates = [cell for cell in text.unique() if _CODE.fullmatch(cell)]
        if not candidates:
            continue
        numbers = draft.numbers(column)
        is_code = text.isin(candidates)
        others = numbers[~is_code].dropna().to_numpy()
        for code in candidates:
            if _is_code(draft, column, float(code), others):
                marks.setdefault(code, {})[column] = text == code
    for code, by_column in marks.items():
        rows = pd.concat(list(by_column.values()), axis=1).any(axis=1)
        columns = ", ".join(f"'{column}'" for column in by_column)
        draft.ask(
            "E189",
            f"{code} in {columns} ({row_text(draft.lines[rows])}) looks like a code of a missing"
            " value",
            f"--set missing={','.join(marks)} if it is one; --set missing=NA if these are numbers.",
            rows,
            next(iter(by_column)),
        )
        for column, coded in by_column.items():
            draft.assign(column, draft.text(column).mask(coded, ""))


def _is_code(draft: DraftTable, column: str, code: float, others: np.ndarray) -> bool:
    """Whether a number is impossible in its column, or far from the others."""
    described = FLAT_COLUMNS.get(column)
    if described is not None:
        lowest = described.minimum if described.minimum is not None else described.above
        if lowest is not None and code < lowest:
            return True
    value = draft.numbers(column) == code
    if column == "events" and (value & (draft.numbers("n") < code)).any():
        return True
    low, high = draft.numbers("scale_min"), draft.numbers("scale_max")
    if column in LEVEL_COLUMNS and (value & ((code < low) | (code > high))).any():
        return True
    if len(others) < 3:
        return False
    if code < 0:
        spread = float(np.ptp(others))
        return bool((others >= 0).all() or code < others.min() - 2 * spread)
    return code >= 100 and code > _ISOLATION * float(np.abs(others).max())


#: Numbers that lie on the scale of an instrument; those of a change are in `is_change_score` rows.
LEVEL_COLUMNS = ("mean", "median", "q1", "q3", "min", "max", "pre_mean", "post_mean")


# Rows that are no results of a trial.

_TOTAL_NAME = re.compile(
    r"((sub|grand )?totals?|overall|pooled|combined|sum|summary|all (studies|trials))"
    r"( effect| estimate| total| results?)?:?",
    re.IGNORECASE,
)


def leave_out_totals(draft: DraftTable) -> None:
    """Leave out arms that are the sums of those of the other trials, and refuse other totals."""
    if not {"study", "agent"} <= set(map(str, draft.cells)):
        return
    total = draft.text("study").str.fullmatch(_TOTAL_NAME)
    if not total.any() or total.all():
        return
    kept = [c for c in ("agent", "dose", "outcome", "time_label", "time_hours") if c in draft.cells]
    key = draft.cells[kept].agg("\x1f".join, axis=1)
    summed = total.copy()
    for column in ("events", "n"):
        if column in draft.cells:
            numbers = draft.numbers(column)
            sums = numbers[~total].groupby(key[~total]).sum()
            summed &= numbers == key.map(sums)
    if not {"events", "n"} & set(map(str, draft.cells)):
        summed &= False
    draft.refuse(
        Rule(
            "E194",
            "study",
            total & ~summed,
            lambda i: f"'{draft.cells['study'].iloc[i]}' looks like a total, not a trial",
            "Delete the row; or, if it is a trial, give it another name.",
        )
    )
    if summed.any():
        draft.note("Totals of the other rows are left out", summed)
        draft.drop(summed)


def leave_out_referents(draft: DraftTable) -> None:
    """Leave out rows of dose-response tables that compare a referent dose with itself."""
    if not {"comparator", "dose", "comparator_dose", "estimate"} <= set(map(str, draft.cells)):
        return
    same = (draft.text("comparator") == draft.text("agent")) & (draft.text("comparator") != "")
    same &= draft.numbers("dose") == draft.numbers("comparator_dose")
    same &= (draft.numbers("estimate") == 0) & ~(draft.numbers("se") > 0)
    if same.any() and not same.all():
        draft.note("Rows that compare the referent with itself are left out", same)
        draft.drop(same)


# Trials of one name.

#: Words in the name of a column that may tell trials of one name apart.
NAMING_WORDS = {
    *("year", "date", "id", "trial", "nct", "registration", "doi", "pmid", "author", "authors"),
    *("citation", "reference", "ref", "publication", "number", "no", "first", "country"),
}


def ask_study_names(draft: DraftTable) -> None:
    """Ask where a column tells equal names of studies apart."""
    if "study" not in draft.cells or "agent" not in draft.cells:
        return
    study = draft.text("study")
    if n_repeated(draft.cells) == 0:
        return
    # A year first: readers know trials by it.
    for name in sorted(map(str, draft.cells), key=lambda name: "year" not in tokens_of(name)):
        if not tokens_of(name) & NAMING_WORDS or name in ("study", "arm"):
            continue
        separate = draft.cells.assign(study=study + "\x00" + draft.cells[name])
        several = draft.cells.groupby("study")[name].transform("nunique") > 1
        if (draft.text(name) == "").any() or not several.any() or n_repeated(separate) > 0:
            continue
        examples = study[several].unique()
        values = draft.text(name)[study == examples[0]].unique()
        draft.ask(
            "E191",
            f"'{shorten(examples[0])}' names several trials ({name}"
            f" {', '.join(shorten(value) for value in values)})"
            + (f", and so do {len(examples) - 1} other names" if len(examples) > 1 else ""),
            f"{set_text('column.study', f'study+{name}')} names the trials by both; otherwise give"
            " the arms of one trial different names in a column 'arm'.",
            several,
            "study",
        )
        draft.assign("study", study.mask(several, study + " " + draft.text(name)))
        return


# Columns that nothing reads.


class Resemblance(NamedTuple):
    """Words in the name of a column that may be one of ours: its role, meaning, and settings."""

    role: str
    words: frozenset[str]
    meaning: str
    hint: str = ""
    statistic: bool = False


def _resemblance(role: str, words: str, meaning: str, hint: str = "") -> Resemblance:
    return Resemblance(role, frozenset(words.split()), meaning, hint)


def _statistic(role: str, words: str, meaning: str, hint: str = "") -> Resemblance:
    return Resemblance(role, frozenset(words.split()), meaning, hint, statistic=True)


_RESEMBLANCES = (
    _resemblance("dose", "dose doses dosage dosages dosing", "a dose"),
    _resemblance(
        "time_label",
        "week weeks wk wks day days month months hour hours hr hrs minute minutes time times"
        " timepoint followup follow visit duration fu fup",
        "a time",
    ),
    _resemblance("icc", "icc", "a correlation within clusters"),
    _resemblance("design_effect", "deff designeffect", "a design effect"),
    _resemblance("cluster_size", "cluster clusters", "clusters of people"),
    _resemblance(
        "",
        "district districts region regions",
        "a level above studies",
        "Studies are analysed as independent of it",
    ),
    _resemblance("unit", "unit units", "a unit"),
    _resemblance(
        "",
        "scale instrument questionnaire",
        "the instrument of a mean",
        "The ends of a scale are set with --set scale=0,10, or in columns scale_min and scale_max",
    ),
    _statistic("ci_low", "lower ll lcl lci lb cilb", "the lower end of an interval"),
    _statistic("ci_high", "upper ul ucl uci ub ciub", "the upper end of an interval"),
    _statistic(
        "", "ci", "an interval", "Enter its ends in columns ci_low and ci_high, and ci_level"
    ),
    _statistic(
        "",
        "vi var variance variances",
        "a variance",
        "Enter its square root in a column se (of the mean or contrast) or sd (between people)",
    ),
    _statistic("sd", "sd sdi stdev stddev std", "a standard deviation"),
    _statistic("se", "se sei stderr sem", "a standard error"),
    _statistic("", "weights wt studyweight", "weights of studies", "Weights follow from the model"),
    _resemblance("condition", "subgroup subgroups stratum strata", "a subgroup"),
    _resemblance(
        "condition",
        "population populations indication indications diagnosis disease disorder conditions",
        "the condition of the people",
    ),
)
#: Names that are a weight only as a whole: body_weight is not the weight of a study.
_WEIGHTS = {"weight", "w"}
#: Roles of a column that says nothing about a comparison where all rows have one value.
_HARMLESS_IF_CONSTANT = ("time_label", "condition", "unit")
_MASS_WORDS = {"mg", "ug", "mcg", "g", "kg", "per", "ml", "h", "day"}
#: Statistics under other names: how they relate to a column of ours.
_SQUARES = {"vi", "var", "variance", "variances", "v"}
_SAME = {
    "se": {"sei", "stderr", "stderror", "standarderror", "sem", "semean"},
    "sd": {"sdi", "stdev", "stddev", "standarddeviation"},
}
_PERCENTAGES = {"percent", "pct", "percentage", "proportion", "prop", "perc", "risk", "%", "rate"}
#: A rate may be of another kind: it is compared if it is events over n in this share of rows.
_MIN_RATES = 0.5
MIN_SPELLING_MATCH = 0.8
#: In tables with more unread columns, spelling is not compared.
MAX_SPELLED = 500


def tokens_of(name: str) -> set[str]:
    """The words of a column's name, and all of it as one word."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = {word for word in re.split(r"[^a-z0-9%]+", spaced.casefold()) if word}
    return words | {re.sub(r"[^a-z0-9]", "", name.casefold())}


def resembled_column(name: str, absent: list[str]) -> Resemblance | None:
    """What a column may be by its name; `absent`: columns of ours that its table lacks."""
    words = tokens_of(name) - {""}
    for known in _RESEMBLANCES:
        is_weight = "weights" in known.words and words <= _WEIGHTS
        if words & known.words or is_weight:
            return known
    others = words - _MASS_WORDS - {re.sub("[^a-z0-9]", "", name.casefold())}
    if words & {"mg", "ug", "mcg"} and not others:
        return _RESEMBLANCES[0]
    if len(name) >= 4:
        key = re.sub(r"[^a-z0-9]", "_", name.casefold())
        close = difflib.get_close_matches(key, absent, n=1, cutoff=MIN_SPELLING_MATCH)
        if close:
            return Resemblance(close[0], frozenset(), f"'{close[0]}'")
    return None


def ask_unread_columns(
    draft: DraftTable, unread: list[str], ignored: tuple[str, ...], *, converted: bool
) -> None:
    """List the columns that nothing reads, and ask about those that resemble one of ours.

    `converted`: the table is in a format of another package, which says which statistics it reads.
    """
    present = set(map(str, draft.cells))
    draft.unread = tuple(name for name in unread if name in present)
    described = {*FLAT_COLUMNS, *described_columns()}
    absent = [name for name in FLAT_COLUMNS if name not in present and len(name) >= 4]
    asked: dict[str, Resemblance] = {}
    for name in unread:
        if name in {*ignored, *described} or name not in present:
            continue
        if name.casefold().strip().replace(" ", "_") in described:
            continue  # an error of the header
        values = draft.text(name)
        if not (values != "").any():
            continue
        agrees = _agreement(draft, name)
        if agrees is not None:
            if agrees:
                draft.note(f"'{name}' repeats what another column states, and agrees with it.")
            continue
        known = resembled_column(name, absent if len(unread) <= MAX_SPELLED else [])
        if known is None:
            continue
        if known.statistic and converted:
            draft.note(f"Nothing reads '{name}', which may be {known.meaning}.")
            continue
        if known.role in _HARMLESS_IF_CONSTANT and len(values.unique()) == 1:
            continue
        if known.role == "time_label" and present & {"time_hours", "time_label", "time_window"}:
            continue
        asked[name] = known
    for name, known in asked.items():
        role = set_text(f"column.{known.role}", name)
        hint = known.hint or f"{role} reads it as '{known.role}'"
        ignore = set_text("ignore", ",".join(asked))
        draft.ask(
            "E183",
            f"nothing reads the column '{name}', which may be {known.meaning}",
            f"{hint}; {ignore} leaves {'them' if len(asked) > 1 else 'it'} unread.",
            draft.text(name) != "",
            name,
        )
        # The other checks go on with the likelier answer: arms differ by dose, results by time.
        is_number = draft.numbers(name).notna() | (draft.text(name) == "")
        fits = known.role == "time_label" or (known.role == "dose" and is_number.all())
        if fits and known.role not in draft.cells:
            draft.assign(known.role, draft.text(name))


def _agreement(draft: DraftTable, name: str) -> bool | None:
    """Compare a statistic under another name with ours; None where there is nothing to compare.

    Rows in which the two differ become errors.
    """
    whole = re.sub(r"[^a-z0-9]", "", name.casefold())
    percentage = bool(tokens_of(name) & _PERCENTAGES)
    if not (percentage or whole in _SQUARES or any(whole in names for names in _SAME.values())):
        return None
    numbers = draft.numbers(name)
    if numbers.isna().all():
        return None
    for column, names in _SAME.items():
        if whole in names and draft.numbers(column).notna().any():
            return _compare(draft, name, column, numbers, draft.numbers(column))
    se = draft.numbers("se")
    both = se.notna() & numbers.notna()
    if whole in _SQUARES and both.any():
        equal = (numbers[both] == se[both]).all()
        message = "'{}' is {}, the square of '{}' {}"
        if equal:
            message = "'{0}' is {1}, equal to '{2}': a variance is the square of '{2}', {3}"
        return _compare(draft, name, "se", numbers, se**2, message)
    if percentage and {"events", "n"} <= set(map(str, draft.cells)):
        share = draft.numbers("events") / draft.numbers("n")
        factor = 1.0 if (numbers.dropna() <= 1).all() else 100.0
        apart = _apart(draft, name, "events", numbers, factor * share)
        if not tokens_of(name) & _PERCENTAGES - {"rate"} and apart.mean() > _MIN_RATES:
            return None
        return _compare(
            draft, name, "events", numbers, factor * share, "'{}' is {}, '{}' over n {}"
        )
    return None


def _apart(
    draft: DraftTable, name: str, column: str, values: pd.Series, expected: pd.Series
) -> pd.Series:
    """Mark the rows in which two numbers differ by more than rounding and 1%."""
    half = rounding_half_widths(draft.table, [name, column])
    # The derivative of a square or a percentage is below twice the number, or 100.
    slack = half[name] + 2 * half[column] * expected.abs().clip(lower=1.0).where(
        pd.Series(column != "events", index=values.index), 0.0
    )
    return (values - expected).abs() > slack + 0.01 * expected.abs()


def _compare(
    draft: DraftTable,
    name: str,
    column: str,
    values: pd.Series,
    expected: pd.Series,
    message: str = "'{}' is {}, '{}' {}",
) -> bool:
    differs = _apart(draft, name, column, values, expected)
    draft.refuse(
        Rule(
            "E186",
            name,
            differs,
            lambda i: message.format(
                name, f"{values.iloc[i]:.4g}", column, f"{expected.iloc[i]:.4g}"
            ),
            f"Correct the wrong one; or leave '{name}' out with --set ignore={name}.",
        )
    )
    return not bool(differs.any())


def unread_columns(draft: DraftTable) -> list[str]:
    """The columns of a flat table that nothing reads."""
    known = {
        *FLAT_COLUMNS,
        *STUDY_COLUMNS,
        *ARM_COLUMNS,
        *described_columns(),
        *RESERVED_COLUMNS,
        LINE,
    }
    return [str(name) for name in draft.cells if str(name) not in known]
