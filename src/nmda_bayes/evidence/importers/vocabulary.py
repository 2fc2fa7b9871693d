"""Words that headings use for statistics, and how a heading names a statistic and its group.

A heading of a group is a statistic and a group in either order (``n.e``, ``plac_n``) or joined
(``Ne``, ``n1i``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from nmda_bayes.evidence.importers.base import normalise_name
from nmda_bayes.evidence.importers.headings import parse_heading
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.validate import parse_numbers


def words(text: str) -> list[str]:
    """The words of a text, for long lists of them."""
    return text.split()


#: Words for the statistics of a group, without punctuation; the most usual first.
WORDS = {
    "n": "n total ni size samplesize ss nn ntotal ntot totaln randomized randomised nrandomized"
    " nrandomised patients participants npatients nobs nobservations number analysed analyzed",
    "events": "event events xi x r d ev e responders responses resp cases case ncases nevents"
    " nevent deaths death died failures dead pos positive",
    "without": "neg negative non nonevent nonevents noevent noevents without not bi",
    "mean": "mean m y avg average mi",
    "sd": "sd s std stdev stddev sdi si",
    "variance": "var v variance",
    "se": "se sem stderr stderror sei",
    "person_time": "time t py pyears years personyears persontime pyrs exposure ti peryears"
    " patientyears persontimei followuptime",
}
#: Words for events that do not name the outcome.
GENERIC_EVENTS = {*WORDS["events"].split()} - {"death", "deaths", "died", "dead", "failures"}
ROLE_OF_WORD = {word: role for role, listed in WORDS.items() for word in words(listed)}

#: Words for the columns of a table, by role; the most usual first.
COLUMN_WORDS = {
    "study": "studlab slab study studyid studyname studyno trial trialname trialid trialno author"
    " authors firstauthor authorname"
    " shorttitle article paper citation reference publication title id sid",
    "author": "author authors firstauthor authorname",
    "id": "id studyid trialid sampleid sample cohort experiment trial esid",
    "year": "year pubyear yr publicationyear",
    "agent": "treatment trt treat agent drug intervention therapy t treatmentname arm group",
    "comparator": "comparator control ctrl comparison reference versus",
    "dose": "dose",
    "outcome": "outcome endpoint criterion dv outcomename scale construct table",
    "type": "type",
}

#: Groups that are compared with, by the words for them.
CONTROL_WORDS = set(
    words(
        "c con cont contr ctl ctrl control controls conrol p pl pla plac placebo pbo ref reference"
        " usual standard std uc tau sham none c1 comparator comp 2 0 unexposed nonexposed untreated"
        " untrt decaf cg"
    )
)
#: Groups of which the word says only that they are treated, or not.
UNNAMED_GROUPS = set(
    words(
        "e exp experimental t trt treat treated treatment int interv 1 2 c con cont"
        " contr ctl ctrl control controls i tx cg eg tg ig"
    )
)
PLACEBO_WORDS = set(words("p pl pla plac placebo pbo"))
#: What is no group.
TOTALS = {"total", "all", "overall", "sum", "both", "tot"}

#: Prefixes of what did not happen.
NEGATIONS = ("no", "non", "not")

_JOINED = re.compile(r"([a-z]+\d*?)([ectpab]|\d)i?")


def heading_words(name: str) -> list[str]:
    """The words of a heading, in lower case."""
    return [word for word in re.split(r"[^a-z0-9]+", name.casefold()) if word]


def split_heading(name: str) -> Iterator[tuple[str, str, str]]:
    """Possible readings of a heading: how its parts are joined, the statistic, and the group."""
    words = heading_words(name)
    if len(words) > 1:
        if len(words) == 3 and ROLE_OF_WORD.get(words[0]) == "n":
            words = words[1:]
        yield "suffix", words[0], " ".join(words[1:])
        yield "prefix", words[-1], " ".join(words[:-1])
    if words:
        match = _JOINED.fullmatch(words[-1])
        if match:
            yield "joined", " ".join([*words[:-1], match[1]]), match[2]


def user_columns(table: RawTable) -> list[str]:
    """The headings of a table."""
    return [str(column) for column in table.cells if column != LINE]


def column_of(columns: Iterable[str], role: str, words: str | None = None) -> str:
    """The column whose heading is a usual word for a role; empty where there is none."""
    normalised = {normalise_name(column): column for column in reversed([*columns])}
    listed = words if words is not None else COLUMN_WORDS.get(role) or WORDS[role]
    return next((normalised[word] for word in listed.split() if word in normalised), "")


def dose_column(columns: Iterable[str]) -> str:
    """The column of doses, whose heading may have a unit; empty where there is none."""
    listed = [*columns]
    named = column_of(listed, "dose")
    return named or next((c for c in listed if parse_heading(c).role == "dose"), "")


def number_values(table: RawTable, column: str) -> pd.Series:
    """A column as numbers; NaN where a cell is not a number."""
    return parse_numbers(table, column)[0]


#: Rows that show first whether a column is one of text.
_SAMPLE_ROWS = 200


def is_numeric(table: RawTable, column: str) -> bool:
    """Whether every filled cell of a column is a number, and there is one."""
    first = replace(table, cells=table.cells[[column]].head(_SAMPLE_ROWS))
    if parse_numbers(first, column)[1].any():
        return False
    values, wrong = parse_numbers(table, column)
    return bool(values.notna().any() and not wrong.any())


def is_count_of(table: RawTable, column: str, people: pd.Series) -> bool:
    """Whether a column has whole numbers from 0 to a number of people."""
    if not is_numeric(table, column):
        return False
    values = number_values(table, column)
    known = values[values.notna() & people.notna()]
    whole = np.equal(np.mod(known, 1), 0)
    return bool(len(known) and (whole & (known >= 0) & (known <= people[known.index])).all())
