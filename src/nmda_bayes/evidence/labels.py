"""Labels that differ in nothing that a reader sees, and trials that are entered twice.

Two labels are near-equal if their folded forms are equal. Folding removes case, blanks, hyphens,
underscores, accents and invisible characters, and replaces letters that look like Latin ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

from nmda_bayes.evidence.draft import DraftTable, row_text
from nmda_bayes.evidence.flat_schema import MEASUREMENT_KEY, RESULT_COLUMNS
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.validate import MAX_REPEATS

PLACEBO = "placebo"

#: The columns of each kind of label.
LABEL_COLUMNS = {
    "study": ("study",),
    "agent": ("agent", "comparator"),
    "outcome": ("outcome",),
    "condition": ("condition",),
    "route": ("route",),
}
_LOOK_ALIKE_LETTERS = "АВЕЅІЈКМНОРСТУХаеорсухіјѕкмтвнԁһӏԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβεηικμνορτυχωıøłđħØŁĐĦ−"
_LATIN_LETTERS = "ABESIJKMHOPCTYXaeopcyxijskmtbhdhlqwABEZHIKMNOPTYXabenikuvoptuxwioldhOLDH-"
_LOOK_ALIKES = str.maketrans(_LOOK_ALIKE_LETTERS, _LATIN_LETTERS)
_SEPARATORS = r"[\s_'’`\-\u2010-\u2015]"
_DIGITS_APART = re.compile(rf"(?<=\d){_SEPARATORS}+(?=\d)")
_REMOVED = re.compile(rf"(?<!\d){_SEPARATORS}+|{_SEPARATORS}+(?!\d)|(?<!\d)[.,]|[.,](?!\d)")
_INVISIBLE = ("Cf", "Cc", "Mn", "Me")


def fold_label(label: str) -> str:
    """The form of a label by which near-equal ones are recognised."""
    if label.isascii() and label.isprintable():
        return _fold_separators(label.casefold()) or label
    text = unicodedata.normalize("NFKC", label).translate(_LOOK_ALIKES).casefold()
    text = unicodedata.normalize("NFD", text).translate(_LOOK_ALIKES)
    visible = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    return _fold_separators(visible) or label


def _fold_separators(text: str) -> str:
    if text.isalnum():
        return text
    # Digits that are apart stay apart: trial 1-1 is not trial 11.
    return _REMOVED.sub("", _DIGITS_APART.sub("\x00", text))


def strip_invisible(label: str) -> str:
    """A label without blanks and invisible characters at its ends."""
    if label.isascii() and label.isprintable():
        return label.strip()
    kept = [
        position
        for position, letter in enumerate(label)
        if not letter.isspace() and unicodedata.category(letter) not in ("Cf", "Cc", "Zs")
    ]
    return label[kept[0] : kept[-1] + 1] if kept else ""


def show_invisible(label: str) -> str:
    """A label with the codes of its invisible characters, and of letters that are not Latin."""
    return "".join(
        f"<U+{ord(c):04X}>"
        if unicodedata.category(c) in _INVISIBLE or c in _LOOK_ALIKE_LETTERS
        else c
        for c in shorten(label)
    )


def near_equal_labels(labels: Iterable[str], reserved: Iterable[str] = ()) -> list[list[str]]:
    """Groups of labels that are near-equal, in the order of their first; reserved ones lead."""
    groups: dict[str, list[str]] = {}
    reserved = list(reserved)
    for label in dict.fromkeys([*reserved, *labels]):
        if label:
            groups.setdefault(fold_label(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def normalise_labels(draft: DraftTable, choice: str | None) -> None:
    """Clean labels, and merge near-equal ones as the table's owner decides."""
    _strip_labels(draft)
    _read_placebo(draft)
    for kind, columns in LABEL_COLUMNS.items():
        names = [column for column in columns if column in draft.cells]
        if not names:
            continue
        labels = [label for column in names for label in draft.cells[column].unique()]
        groups = near_equal_labels(labels, [PLACEBO] if kind == "agent" else [])
        if groups:
            _decide_spellings(draft, kind, names, groups, choice)


def _strip_labels(draft: DraftTable) -> None:
    labelled = [c for columns in LABEL_COLUMNS.values() for c in columns] + ["arm"]
    for column in [name for name in labelled if name in draft.cells]:
        changed = {
            label: stripped
            for label in draft.cells[column].unique()
            if (stripped := strip_invisible(label)) != label
        }
        if changed:
            rows = draft.cells[column].isin(list(changed))
            draft.replace_labels(column, changed)
            draft.note(f"Invisible characters at the ends of '{column}' are removed", rows)


def _read_placebo(draft: DraftTable) -> None:
    """Spell placebo in one way, and name what else counts as the reference at dose 0."""
    for column in [name for name in LABEL_COLUMNS["agent"] if name in draft.cells]:
        cells = draft.cells[column]
        other = (cells.str.casefold() == PLACEBO) & (cells != PLACEBO)
        for spelling in cells[other].unique():
            draft.note(f"'{spelling}' in '{column}' is read as '{PLACEBO}'", cells == spelling)
        draft.assign(column, cells.mask(other, PLACEBO))
    for column, dose in (("agent", "dose"), ("comparator", "comparator_dose")):
        if column in draft.cells and dose in draft.cells:
            agents = draft.cells[column]
            at_zero = (draft.numbers(dose) == 0) & ~agents.isin([PLACEBO, ""])
            for agent in agents[at_zero].unique():
                text = f"'{shorten(agent)}' at dose 0 counts as the reference, as any agent does"
                draft.note(text, at_zero & (agents == agent))


def _decide_spellings(
    draft: DraftTable, kind: str, columns: list[str], groups: list[list[str]], choice: str | None
) -> None:
    for spellings in groups[:MAX_REPEATS]:
        rows_of = {
            spelling: pd.concat([draft.cells[c] == spelling for c in columns], axis=1).any(axis=1)
            for spelling in spellings
        }
        listed = " and ".join(
            f"'{show_invisible(label)}'"
            + (f" ({row_text(draft.lines[rows])})" if rows.any() else "")
            for label, rows in rows_of.items()
        )
        first = show_invisible(spellings[0])
        if choice == "kept":
            draft.note(f"{kind.capitalize()} {listed} are kept apart (set by you)")
        elif choice == "merged":
            draft.note(f"{kind.capitalize()} {listed} are taken as '{first}' (set by you)")
        else:
            draft.ask(
                "E182",
                f"{kind} {listed} differ only in case, blanks, hyphens, accents, look-alike letters"
                " or invisible characters",
                f"--set labels=merged takes them as '{first}' (every such group as its first"
                " spelling); --set labels=kept keeps them apart.",
                rows_of[spellings[-1]],
                columns[0],
            )
    if len(groups) > MAX_REPEATS and choice is None:
        rows = draft.cells[columns[0]].isin([label for group in groups for label in group])
        message = f"{len(groups) - MAX_REPEATS} more groups of such labels of {kind}"
        hint = "--set labels=merged or --set labels=kept applies to all."
        draft.ask("E182", message, hint, rows, columns[0])
    merged = {spelling: group[0] for group in groups for spelling in group[1:]}
    changed = {column: draft.cells[column].replace(merged) for column in columns}
    # Until it is decided, the other checks go on with the likelier answer: one label, unless that
    # repeats an arm.
    if choice == "merged" or (
        choice is None and n_repeated(draft.cells.assign(**changed)) <= n_repeated(draft.cells)
    ):
        for column, labels in changed.items():
            draft.assign(column, labels)


def n_repeated(cells: pd.DataFrame) -> int:
    """Count the rows that repeat an arm or contrast, with its outcome and time."""
    key = ("study", "arm", "agent", "dose", "comparator", "comparator_dose", "comparator_arm")
    columns = [c for c in (*key, *MEASUREMENT_KEY, "is_change_score") if c in cells]
    return int(cells.duplicated(columns).sum())


#: Result numbers, and digits in them, that two trials share before they are noted as one.
MIN_EQUAL_NUMBERS, MIN_EQUAL_DIGITS = 4, 6
#: Trials that a note names.
MAX_NAMED = 6


def note_equal_trials(draft: DraftTable) -> None:
    """Note trials of different names with the same agents, doses and numbers."""
    if "study" not in draft.cells or "agent" not in draft.cells:
        return
    results = [column for column in RESULT_COLUMNS if column in draft.cells]
    if not results:
        return
    texts = _joined(draft.cells, results)
    studies = draft.cells["study"]
    filled = (draft.cells[results] != "").sum(axis=1)
    of_study = pd.DataFrame({"numbers": filled, "digits": texts.str.count(r"\d")}).groupby(studies)
    sums = of_study.sum()
    enough = (sums["numbers"] >= MIN_EQUAL_NUMBERS) & (sums["digits"] >= MIN_EQUAL_DIGITS)
    named = [c for c in ("comparator", "dose", "outcome") if c in draft.cells]
    keys = _joined(draft.cells, ["agent", *named]) + "|" + texts
    # Trials of equal rows, in any order, have equal sums of hashes.
    hashes = pd.Series(pd.util.hash_array(keys.to_numpy(dtype=object)), index=keys.index)
    total = hashes.groupby(studies, sort=False).sum()
    total = total[enough.reindex(total.index)]
    alike = total[total.duplicated(keep=False)]
    for _, equal in list(alike.groupby(alike, sort=False))[:MAX_REPEATS]:
        names = [str(name) for name in equal.index]
        listed = ", ".join(f"'{shorten(name)}'" for name in names[:MAX_NAMED])
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        text = f"Studies {listed}{more} have the same agents and numbers: are they one trial?"
        draft.note(text, studies.isin(names))


def _joined(cells: pd.DataFrame, columns: list[str]) -> pd.Series:
    joined = cells[columns[0]]
    for column in columns[1:]:
        joined = joined + "|" + cells[column]
    return joined
