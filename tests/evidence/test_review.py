"""The Cochrane review's printed numbers come out of its rows again, by the package's own formulas.

Ferraro et al. (2025), CD015373.pub2: 134 rows, of which 127 have an effect. The effects, their
intervals and their weights are printed to six places in the review's data; pools to two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, review_analysis, table
from nmda_bayes.evidence.arm_statistics import Counts, Means
from nmda_bayes.evidence.classical import dersimonian_laird
from nmda_bayes.evidence.count_effects import NO_EVENTS, ZERO_CELL, log_risk_ratio
from nmda_bayes.evidence.effect_sizes import mean_difference, review_manager_smd
from nmda_bayes.evidence.tree import NORMAL_97_5

#: Half a unit of the last place.
SIX_PLACES = 5.0001e-7
TWO_PLACES = 0.0050001
#: Analyses that pool several instruments, which the review therefore standardised.
STANDARDISED = {"7.19", "7.21"}
RATIO, DIFFERENCE, STANDARD = "RR", "MD", "SMD"

#: The rows without a printed effect: nobody in either arm had the event.
WITHOUT_EFFECT = [
    ("1.12", "Schwartzman 2009", 9, 10),
    ("1.19", "Pickering 2020", 8, 6),
    ("1.23", "Noppers 2011a", 12, 12),
    ("2.2", "Dadabayev 2020", 10, 10),
    ("2.2", "Dadabayev 2020", 10, 9),
    ("5.6", "Lynch 2005", 22, 25),
    ("10.3", "Voogd 2010", 35, 35),
]


def _effects(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects by the package, ratios as logarithms; NaN where neither arm has an event."""
    kinds = np.where(
        rows["kind"] == "binary",
        RATIO,
        np.where(rows["analysis"].isin(STANDARDISED), STANDARD, DIFFERENCE),
    )
    parts = []
    for kind, mine in rows.groupby(kinds):
        if kind == RATIO:
            sides = [Counts(mine[f"{of}events"], mine[f"{of}n"]) for of in ("", "comparator_")]
            # As RevMan: 0.5 to all cells of a trial with an empty one, nothing said of a trial
            # without events.
            made = log_risk_ratio(*sides, correction=0.5)
        else:
            sides = [
                Means(*(mine[of + c] for c in ("mean", "sd", "n"))) for of in ("", "comparator_")
            ]
            made = {DIFFERENCE: mean_difference, STANDARD: review_manager_smd}[kind](*sides)
        frame = pd.DataFrame(
            {"kind": kind, "y": made.estimate, "v": made.variance, "note": made.note},
            index=mine.index,
        )
        frame.loc[frame["note"].str.startswith(NO_EVENTS), ["y", "v"]] = np.nan
        parts.append(frame)
    return pd.concat(parts).sort_index()


@pytest.fixture(scope="module")
def review(base) -> pd.DataFrame:
    rows = table(base, "comparisons")
    return rows.drop(columns="kind").join(_effects(rows))


def test_there_are_134_rows_and_each_is_reproduced_or_named(review):
    assert len(review) == 134
    printed = review[[c for c in review if c.startswith("published_")]].notna()
    assert (printed.all(axis=1) == printed.any(axis=1)).all()
    silent = review[~printed.any(axis=1)]
    keys = silent[["analysis", "study", "n", "comparator_n"]].astype(
        {"n": int, "comparator_n": int}
    )
    assert list(keys.itertuples(index=False, name=None)) == WITHOUT_EFFECT
    assert (silent[["events", "comparator_events"]] == 0).all(axis=None)
    # What the package cannot give is what the review did not print, and for the reason it names.
    assert (review["y"].isna() == review["published_estimate"].isna()).all()
    assert silent["note"].str.startswith(NO_EVENTS).all()
    assert review["kind"].value_counts().to_dict() == {RATIO: 84, DIFFERENCE: 45, STANDARD: 5}
    filled = review["note"].str.startswith(ZERO_CELL)
    assert filled.sum() == 24
    assert (review.loc[filled, "note"] == f"{ZERO_CELL}: 0.5 added to every cell").all()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("printed", "side"),
    [("published_estimate", 0), ("published_ci_low", -1), ("published_ci_high", 1)],
)
def test_each_row_gives_the_printed_number_to_its_last_digit(review, printed, side):
    rows = review[review[printed].notna()]
    assert len(rows) == 127
    value = rows["y"] + side * NORMAL_97_5 * np.sqrt(rows["v"])
    value = value.where(rows["kind"] != RATIO, np.exp(value))
    off = (value - rows[printed]).abs()
    assert off.max() <= SIX_PLACES, rows.loc[off.idxmax(), ["analysis", "study", printed]]


@pytest.mark.reference
def test_each_trial_has_its_printed_weight_in_its_pool(review):
    """The weights hold tau² of every pool: DerSimonian-Laird, ratios by inverse variance too."""
    seen = 0
    for analysis, rows in review.groupby("analysis"):
        pool = dersimonian_laird(rows["y"], rows["v"])
        np.testing.assert_allclose(
            100 * pool.weights, rows["published_weight_percent"], atol=SIX_PLACES, err_msg=analysis
        )
        seen += pool.trials
    assert seen == 127


def _pool(rows: pd.DataFrame) -> list[float]:
    pool = dersimonian_laird(rows["y"], rows["v"])
    ends = [pool.estimate, pool.lower, pool.upper]
    return np.exp(ends).tolist() if (rows["kind"] == RATIO).all() else ends


@pytest.mark.reference
@pytest.mark.parametrize(
    ("analysis", "printed"),
    [
        # The README of the extraction; 1.12 is its own pool of the review's rows.
        ("1.1", (-15.79, -32.09, 0.51)),
        ("1.9", (3.26, 1.05, 10.09)),
        ("1.12", (5.29, 2.43, 11.52)),
    ],
)
def test_a_pool_of_the_extraction(review, analysis, printed):
    pooled = _pool(review[review["analysis"] == analysis])
    np.testing.assert_allclose(pooled, printed, rtol=0, atol=TWO_PLACES)


@pytest.mark.reference
def test_every_published_pool_marked_computable_comes_out(base, review):
    published = table(base, "published").set_index("analysis")
    computable = published[published["computable"] == "yes"]
    assert computable.index.tolist() == ["1.1", "1.9", "1.4"]
    for analysis, row in computable.iterrows():
        mine = review[review["analysis"] == analysis]
        printed = row[["estimate", "ci_low", "ci_high"]].astype(float)
        np.testing.assert_allclose(_pool(mine), printed, rtol=0, atol=TWO_PLACES, err_msg=analysis)
    people = review.loc[review["analysis"] == "1.4", ["n", "comparator_n"]].sum().sum()
    trials = (review["analysis"] == "1.4").sum()
    assert (trials, people) == tuple(computable.loc["1.4", ["n_studies", "n_participants"]])


def test_a_published_pool_is_computable_just_where_its_trials_are_here(base, review):
    """Marked yes is every pool of the review whose rows the base holds, and no other review's."""
    published = table(base, "published")
    here = (published["review"] == "Ferraro2025") & published["analysis"].isin(review["analysis"])
    assert ((published["computable"] == "yes") == here).all()
    assert (published["review"] == "Ferraro2025").sum() == here.sum()


def test_the_base_rows_are_those_of_the_review(base):
    """Each comparison stands in results.csv too: used, or set aside for a reason."""
    rows, results = table(base, "comparisons"), table(base, "results")
    seen = results.groupby("study")[["events", "n"]].agg(
        lambda cells: set(cells.dropna().astype(int))
    )
    for row in rows[rows["kind"] == "binary"].itertuples():
        have = seen.loc[row.study_id]
        if row.outcome == "withdrawal_adverse_event" and row.study_id == "Lumanauw2019":
            continue  # by dose in the base: 3 of 35 and 0 of 36
        assert int(row.events) in have["events"], row
        assert int(row.n) in have["n"], row


def test_an_analysis_as_a_flat_table(base):
    frame = review_analysis(base, "1.12")
    tree = load_evidence(frame)
    results = table(tree, "results")
    assert results["arm"].tolist()[:2] == ["Lumanauw 2019: ketamine", "Lumanauw 2019: placebo"]
    assert results["events"].tolist() == [2, 0, 0, 0, 28, 5]
    assert len(review_analysis(base, "2.1")["study"].unique()) == 2


def test_no_such_analysis(base):
    with pytest.raises(EvidenceError, match="no analysis '99.1'"):
        review_analysis(base, "99.1")
