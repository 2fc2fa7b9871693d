"""The Cochrane review's printed numbers are reproduced from its rows by the package's formulas.

Ferraro et al. (2025), CD015373.pub2: 134 rows, of which 127 have an effect. The effects, their
intervals and their weights are printed to six places in the review's data; pools to two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, review_analysis, to_frame
from nmda_bayes.evidence.effect_sizes import (
    NO_EVENTS,
    ZERO_CELL,
    Counts,
    Means,
    log_risk_ratio,
    mean_difference,
    revman_smd,
)
from nmda_bayes.evidence.frequentist import dersimonian_laird
from nmda_bayes.evidence.tree import NORMAL_97_5

#: Half a unit of the last place.
SIX_PLACES = 5.0001e-7
TWO_PLACES = 0.0050001
#: Analyses that pool several instruments, which the review therefore standardised.
STANDARDISED = {"7.19", "7.21"}
RATIO, DIFFERENCE, STANDARD = "RR", "MD", "SMD"

#: The rows without a printed effect: no events in either arm.
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
    for kind, part in rows.groupby(kinds):
        if kind == RATIO:
            sides = [Counts(part[f"{of}events"], part[f"{of}n"]) for of in ("", "comparator_")]
            # As RevMan: 0.5 is added to all cells of a trial with a zero cell; a trial without
            # events has no effect.
            effects = log_risk_ratio(*sides, correction=0.5)
        else:
            sides = [
                Means(*(part[of + c] for c in ("mean", "sd", "n"))) for of in ("", "comparator_")
            ]
            effects = {DIFFERENCE: mean_difference, STANDARD: revman_smd}[kind](*sides)
        frame = pd.DataFrame(
            {"kind": kind, "y": effects.estimate, "v": effects.variance, "note": effects.note},
            index=part.index,
        )
        frame.loc[frame["note"].str.startswith(NO_EVENTS), ["y", "v"]] = np.nan
        parts.append(frame)
    return pd.concat(parts).sort_index()


@pytest.fixture(scope="module")
def review(base) -> pd.DataFrame:
    rows = to_frame(base, "comparisons")
    return rows.drop(columns="kind").join(_effects(rows))


def test_effects_are_missing_where_the_review_has_none(review):
    assert len(review) == 134
    printed = review[[c for c in review if c.startswith("published_")]].notna()
    assert (printed.all(axis=1) == printed.any(axis=1)).all()
    unprinted = review[~printed.any(axis=1)]
    keys = unprinted[["analysis", "study", "n", "comparator_n"]].astype(
        {"n": int, "comparator_n": int}
    )
    assert list(keys.itertuples(index=False, name=None)) == WITHOUT_EFFECT
    assert (unprinted[["events", "comparator_events"]] == 0).all(axis=None)
    # The package has no effect exactly where the review printed none, for the same reason.
    assert (review["y"].isna() == review["published_estimate"].isna()).all()
    assert unprinted["note"].str.startswith(NO_EVENTS).all()
    assert review["kind"].value_counts().to_dict() == {RATIO: 84, DIFFERENCE: 45, STANDARD: 5}
    filled = review["note"].str.startswith(ZERO_CELL)
    assert filled.sum() == 24
    assert (review.loc[filled, "note"] == f"{ZERO_CELL}: 0.5 added to every cell").all()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("printed", "side"),
    [("published_estimate", 0), ("published_ci_low", -1), ("published_ci_high", 1)],
)
def test_effects_agree_with_the_printed_digits(review, printed, side):
    rows = review[review[printed].notna()]
    assert len(rows) == 127
    value = rows["y"] + side * NORMAL_97_5 * np.sqrt(rows["v"])
    value = value.where(rows["kind"] != RATIO, np.exp(value))
    off = (value - rows[printed]).abs()
    assert off.max() <= SIX_PLACES, rows.loc[off.idxmax(), ["analysis", "study", printed]]


@pytest.mark.reference
def test_weights_agree_with_the_printed_digits(review):
    """The weights depend on tau² of every pool: DerSimonian-Laird, inverse variance for ratios."""
    n_trials = 0
    for analysis, rows in review.groupby("analysis"):
        pool = dersimonian_laird(rows["y"], rows["v"])
        np.testing.assert_allclose(
            100 * pool.weights, rows["published_weight_percent"], atol=SIX_PLACES, err_msg=analysis
        )
        n_trials += pool.trials
    assert n_trials == review["published_weight_percent"].notna().sum()


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
def test_pools_of_the_extraction(review, analysis, printed):
    pooled = _pool(review[review["analysis"] == analysis])
    np.testing.assert_allclose(pooled, printed, rtol=0, atol=TWO_PLACES)


@pytest.mark.reference
def test_computable_published_pools_are_reproduced(base, review):
    published = to_frame(base, "published").set_index("analysis")
    computable = published[published["computable"] == "yes"]
    assert computable.index.tolist() == ["1.1", "1.9", "1.4"]
    for analysis, row in computable.iterrows():
        rows = review[review["analysis"] == analysis]
        printed = row[["estimate", "ci_low", "ci_high"]].astype(float)
        np.testing.assert_allclose(_pool(rows), printed, rtol=0, atol=TWO_PLACES, err_msg=analysis)
    people = review.loc[review["analysis"] == "1.4", ["n", "comparator_n"]].sum().sum()
    trials = (review["analysis"] == "1.4").sum()
    assert (trials, people) == tuple(computable.loc["1.4", ["n_studies", "n_participants"]])


def test_computable_pools_are_those_with_trials_in_the_base(base, review):
    published = to_frame(base, "published")
    in_review = published["review"] == "Ferraro2025"
    with_trials = in_review & published["analysis"].isin(review["analysis"])
    assert ((published["computable"] == "yes") == with_trials).all()
    assert in_review.sum() == with_trials.sum()


def test_counts_of_the_review_are_in_the_results(base):
    """Each binary comparison is in results.csv too, usable or with a reason."""
    rows, results = to_frame(base, "comparisons"), to_frame(base, "results")
    counts = results.groupby("study")[["events", "n"]].agg(
        lambda cells: set(cells.dropna().astype(int))
    )
    for row in rows[rows["kind"] == "binary"].itertuples():
        known = counts.loc[row.study_id]
        if row.outcome == "withdrawal_adverse_event" and row.study_id == "Lumanauw2019":
            continue  # by dose in the base: 3 of 35 and 0 of 36
        assert int(row.events) in known["events"], row
        assert int(row.n) in known["n"], row


def test_analysis_as_a_flat_table(base):
    frame = review_analysis(base, "1.12")
    tree = load_evidence(frame)
    results = to_frame(tree, "results")
    assert results["arm"].tolist()[:2] == ["Lumanauw 2019: ketamine", "Lumanauw 2019: placebo"]
    assert results["events"].tolist() == [2, 0, 0, 0, 28, 5]
    assert len(review_analysis(base, "2.1")["study"].unique()) == 2


def test_unknown_analysis_is_rejected(base):
    with pytest.raises(EvidenceError) as caught:
        review_analysis(base, "99.1")
    assert [issue.code for issue in caught.value.issues] == ["E165"]
