"""What RevMan's two tables share: which numbers of a row are meant, and what is left aside.

RevMan fills the cells that an analysis does not use with 0 (a count has mean 0 and SD 0), so an
analysis is of the kind whose numbers are not all 0; a row that is 0 throughout was never filled in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Part, Reading, as_text
from nmda_bayes.evidence.readers.two_groups import contrast, two_arms
from nmda_bayes.evidence.tree import NORMAL_97_5

COUNTS, MEANS, EFFECTS, PETO = "counts", "means", "effects", "O-E and variance"
#: How RevMan writes ratios.
RATIOS = {
    "or": "log_OR", "oddsratio": "log_OR", "petoor": "log_OR", "petooddsratio": "log_OR",
    "rr": "log_RR", "riskratio": "log_RR", "hr": "log_HR", "hazardratio": "log_HR",
    "rateratio": "log_IRR",
}  # fmt: skip

#: Reason that a trial in several subgroups of one analysis gets, as it stands in the evidence.
SUBGROUPS = "the trial stands in several subgroups of this analysis, perhaps with the same people"


@dataclass
class Analyses:
    """The trials of a review's analyses, each a series over the rows of the table.

    Attributes
    ----------
    rows
        True for a trial.
    study, outcome, subgroup
        Text.
    kind
        What the table says the numbers are; empty where it does not.
    measure
        The review's effect measure.
    names
        Agent of the first group, and of the second.
    estimate, se
        Roles of a generic effect.
    natural
        Role of the effect as RevMan prints it.
    """

    rows: pd.Series
    study: pd.Series
    outcome: pd.Series
    subgroup: pd.Series
    kind: pd.Series
    measure: pd.Series
    names: tuple[pd.Series, pd.Series]
    estimate: str
    se: str
    natural: str


def revman_reading(table: Foreign, said: Analyses) -> Reading:
    """Make flat rows of a review's trials.

    Parameters
    ----------
    table
        RevMan's.
    said
        Its trials.

    Returns
    -------
    Reading
        Two arms of a trial with counts or means, one contrast of any other.
    """
    _plain_thousands(table)
    kind = _kinds(table, said)
    table.fault(
        said.rows & (said.study == ""), "study", "nothing stands here", "Name the trial."
    )  # fmt: skip
    empty = said.rows & _never_filled_in(table)
    if empty.any():
        lines = ", ".join(str(line) for line in table.lines[empty])
        table.note(f"Row {lines}: every number is 0 or missing, so the trial is not read there.")
    taken = said.rows & ~empty
    shared, origin = _shared(table, said, taken)
    parts: list[Part] = []
    for word, stems in (
        (COUNTS, {"events": "events", "n": "n"}),
        (MEANS, {"mean": "mean", "sd": "sd", "n": "n"}),
    ):
        first, second = ({flat: f"{stem}{k}" for flat, stem in stems.items()} for k in (1, 2))
        mine = taken & (kind == word)
        if mine.any():
            parts += two_arms(table, mine, said.names, (first, second), shared, origin)
    for word, make in ((EFFECTS, _effects), (PETO, _peto)):
        mine = taken & (kind == word)
        if mine.any():
            parts.append(make(table, said, mine, shared, origin))
    if not parts:
        parts.append(table.part(taken, study="study"))
    table.used |= {column for role, column in table.columns.items() if role != "year"}
    if len(set(said.outcome[taken])) == 1:
        table.compared_with(said.names[0][taken], said.names[1][taken])
    return table.reading(parts)


def _plain_thousands(table: Foreign) -> None:
    """Read 1,234 as RevMan prints it."""
    cells = table.sheet.cells
    for column in table.columns.values():
        grouped = cells[column].str.fullmatch(r"\d{1,3}(,\d{3})+")
        if grouped.any():
            cells[column] = cells[column].where(~grouped, cells[column].str.replace(",", ""))
            table.note(f"'{column}': a comma between thousands is left out.")


def _filled(table: Foreign, *roles: str) -> pd.Series:
    """Say where any of some columns holds a number that is not 0."""
    given = pd.Series(False, index=table.sheet.cells.index)
    for role in roles:
        given |= table.numbers(role).fillna(0.0) != 0
    return given


def _never_filled_in(table: Foreign) -> pd.Series:
    numbers = ("events1", "events2", "n1", "n2", "mean1", "mean2", "sd1", "sd2", "o_e", "variance")
    every = table.every
    for role in numbers:
        every &= table.blank(role) | (table.text(role) == "0")
    return every & ~_filled(table, "giv_se", "se")


def _kinds(table: Foreign, said: Analyses) -> pd.Series:
    """Say of each analysis what its numbers are, in the table's word or by what is filled in."""
    word = said.kind.str.casefold()
    told = word.map(_kind_of_word)
    spread = _filled(table, "sd1", "sd2")
    generic = _filled(table, said.se) & ~_filled(table, "n1", "n2", "events1", "events2")
    if said.se == "giv_se":
        generic = _filled(table, "giv_se")
    peto = _filled(table, "variance")
    by_analysis = said.outcome.where(said.rows, "")

    def anywhere(marks: pd.Series) -> pd.Series:
        return (marks & said.rows).groupby(by_analysis).transform("any")

    guessed = pd.Series(COUNTS, index=word.index, dtype="str")
    guessed = guessed.mask(anywhere(generic), EFFECTS)
    guessed = guessed.mask(anywhere(peto), PETO)
    guessed = guessed.mask(anywhere(spread), MEANS)
    return told.where(told != "", guessed)


def _kind_of_word(word: str) -> str:
    for start, kind in (("dic", COUNTS), ("con", MEANS), ("iv", EFFECTS), ("giv", EFFECTS)):
        if word.startswith(start):
            return kind
    return PETO if word.startswith(("o", "p", "ipd", "exp")) and word != "other" else ""


def _shared(
    table: Foreign, said: Analyses, rows: pd.Series
) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Give what both arms of a row say; a trial in several subgroups cannot be used as it is."""
    subgroups = said.subgroup[rows].groupby([said.study[rows], said.outcome[rows]])
    several = (subgroups.transform("nunique") > 1).reindex(rows.index, fill_value=False)
    shared = {"study": said.study, "outcome": said.outcome, "subgroup": said.subgroup}
    if several.any():
        shared["unusable"] = pd.Series("", index=rows.index, dtype="str").mask(several, SUBGROUPS)
        shared["time_label"] = said.subgroup.where(several, "")
        names = ", ".join(f"'{name}'" for name in dict.fromkeys(said.study[several]))
        table.note(
            f"{names}: in several subgroups of one analysis. RevMan's table does not say whether"
            " they are the same people, so these rows are kept and not used; where they are"
            " different people, give each stratum a name of its own in the study's column."
        )
    origin = {"study": table.columns["study"]}
    places = {"outcome": "number", "subgroup": "subgroup", "agent 0": "group1", "agent 1": "group2"}
    origin |= {flat: table.columns[role] for flat, role in places.items() if table.has(role)}
    return shared, origin


def _sizes(table: Foreign) -> dict[str, pd.Series]:
    sizes = {"n_treat": table.numbers("n1"), "n_control": table.numbers("n2")}
    return {flat: as_text(n.where(n > 0)) for flat, n in sizes.items() if n.notna().any()}


def _effects(
    table: Foreign,
    said: Analyses,
    rows: pd.Series,
    shared: dict[str, pd.Series],
    origin: dict[str, str],
) -> Part:
    """Read generic effects: RevMan 5 prints ratios as such, its se on the logarithm."""
    estimate, se = table.numbers(said.estimate), table.numbers(said.se)
    names = said.measure.str.casefold().str.replace(r"[^a-z]", "", regex=True)
    measure = names.map(RATIOS).fillna("")
    column = table.columns.get(said.estimate, said.estimate)
    if said.estimate == said.natural:
        ratio = (measure != "") | _around_ratio(table, estimate)
        table.fault(
            rows & ratio & (estimate <= 0), said.estimate, "a ratio must be above 0", "Check it."
        )
        logs = pd.Series(np.log(estimate.where(estimate > 0)), index=estimate.index)
        estimate = estimate.where(~ratio, logs)
        if (rows & ratio).any():
            table.note(f"Ratios in '{column}' are read as their logarithms, whose se stands there.")
    else:
        natural = table.numbers(said.natural)
        logged = np.isclose(np.exp(estimate.clip(-50, 50)), natural, rtol=0.02) & (natural > 0)
        logged &= ~np.isclose(estimate, natural, rtol=0.02)
        measure = measure.mask((measure == "") & logged, "log ratio")
        table.note(
            f"'{column}' is read on the scale that it was entered on (ratios as logarithms)."
        )
    values = {
        **shared, **_sizes(table), "estimate": as_text(estimate), "se": as_text(se),
        "measure": measure.where(measure != "", said.measure),
    }  # fmt: skip
    places = {"estimate": column, "se": table.columns.get(said.se, said.se)}
    return contrast(rows, said.names, values, {**origin, **places})


def _around_ratio(table: Foreign, estimate: pd.Series) -> pd.Series:
    """Say where a printed interval is symmetric on the logarithm and not as it stands."""
    low, high = table.numbers("ci_low"), table.numbers("ci_high")
    positive = (low > 0) & (high > 0) & (estimate > 0)
    middle = np.sqrt((low * high).where(positive))
    width = (high - low) / (2 * NORMAL_97_5)
    logarithmic = (middle - estimate).abs() < 0.05 * width
    return positive & logarithmic & ~(((low + high) / 2 - estimate).abs() < 0.05 * width)


def _peto(
    table: Foreign,
    said: Analyses,
    rows: pd.Series,
    shared: dict[str, pd.Series],
    origin: dict[str, str],
) -> Part:
    """Read observed minus expected events: log ratio (O - E) / V with se 1 / sqrt(V)."""
    difference, variance = table.numbers("o_e"), table.numbers("variance")
    table.fault(
        rows & ~(variance > 0), "variance", "the variance must be above 0", "Give O-E and V."
    )
    sound = variance.where(variance > 0)
    names = said.measure.str.casefold().str.replace(r"[^a-z]", "", regex=True)
    values = {
        **shared, **_sizes(table), "estimate": as_text(difference / sound),
        "se": as_text(1 / np.sqrt(sound)), "measure": names.map(RATIOS).fillna("log ratio"),
    }  # fmt: skip
    table.note("O-E and variance V are read as Peto's log ratio (O-E)/V with se 1/sqrt(V).")
    places = {role: table.columns.get(column, column) for role, column in
              (("estimate", "o_e"), ("se", "variance"))}  # fmt: skip
    return contrast(rows, said.names, values, {**origin, **places})
