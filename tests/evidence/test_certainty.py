"""Certainty by cell: computed domains, judgements, and gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, review_analysis
from nmda_bayes.evidence.frequentist import sample_size_means, sample_size_risks
from nmda_bayes.evidence.grade import GRADE_DOMAINS, JUDGEMENTS, grade_certainty

CELLS = ("agent", "outcome")


@pytest.fixture(scope="module")
def cells(base):
    return grade_certainty(base, minimal_important_difference={"pain_intensity": 10.0})


@pytest.fixture(scope="module")
def review(base):
    """Return the certainty of an analysis of the Cochrane review, as a flat table."""

    def of(analysis: str, **more: float):
        frame = review_analysis(base, analysis)
        outcome = frame["outcome"].iloc[0]
        differences = {outcome: more["difference"]} if more else {}
        cells = grade_certainty(load_evidence(frame), minimal_important_difference=differences)
        return cells.sel(agent="ketamine", outcome=outcome)

    return of


def test_all_cells_and_domains(cells):
    assert cells["trials"].dims == CELLS
    assert cells["text"].dims == cells["status"].dims == (*CELLS, "domain")
    assert cells["people_by_bias"].dims == (*CELLS, "bias_domain", "judgement")
    assert cells["domain"].to_numpy().tolist() == list(GRADE_DOMAINS)
    gaps = cells["trials"] == 0
    assert gaps.any()
    assert (~gaps).sum() > 100
    assert ((cells["status"] == "no_trial").all("domain") == gaps).all()
    assert (cells["text"].where(gaps, "no trial") == "no trial").sum() >= 5 * gaps.sum()
    assert (cells["measure"] == "").equals(gaps)


def test_no_level_of_certainty_is_given(cells):
    texts = {str(text) for text in np.unique(cells["text"].to_numpy().astype(str))}
    begins = ("computed: ", "requires judgement", "not assessable: ", "no trial")
    assert all(text.startswith(begins) for text in texts)
    assert not [
        t for t in texts if any(level in t for level in ("very low", "moderate", "downgrad"))
    ]
    filled = cells["trials"] > 0
    status = cells["status"].where(filled)
    for domain in ("indirectness", "risk_of_bias"):
        assert ((status.sel(domain=domain) == "judgement") == filled).all()


def test_numbers_and_status_agree(cells):
    computed = cells["status"] == "computed"
    assert (computed.sel(domain="imprecision") == (cells["pooled"] >= 1)).all()
    assert (computed.sel(domain="inconsistency") == (cells["pooled"] >= 2)).all()
    assert (computed.sel(domain="publication_bias") == np.isfinite(cells["egger_p"])).all()
    assert (np.isfinite(cells["estimate"]) == (cells["pooled"] >= 1)).all()
    assert (np.isfinite(cells["prediction_lower"]) == (cells["pooled"] >= 3)).all()
    assert (cells["pooled"] <= cells["trials"]).all()
    few = cells["pooled"] < 10
    assert not (few & np.isfinite(cells["egger_p"])).any()


def test_people_have_one_judgement_per_domain(cells):
    assert cells["judgement"].to_numpy().tolist() == list(JUDGEMENTS)
    total = cells["people_by_bias"].sum("judgement")
    assert (abs(total - cells["people"]) <= cells["trials"]).all()


@pytest.mark.reference
@pytest.mark.parametrize(
    ("analysis", "printed", "pooled"),
    [
        ("1.1", (-15.79, -32.09, 0.51), 3),  # Ferraro et al. (2025), CD015373.pub2
        ("1.4", (-5.32, -15.51, 4.87), 4),
    ],
)
def test_means_agree_with_the_review(review, analysis, printed, pooled):
    cell = review(analysis)
    if "points" not in str(cell["measure"].item()):
        # Without a declared scale means are standardised: only the sign is comparable.
        assert cell["measure"].item() == "standardised mean difference"
        assert np.sign(cell["estimate"]) == np.sign(printed[0])
    else:
        ends = [cell[name].item() for name in ("estimate", "lower", "upper")]
        np.testing.assert_allclose(ends, printed, atol=0.0051)
    assert cell["pooled"].item() == pooled


@pytest.mark.reference
def test_counts_agree_with_the_review(review):
    cell = review("1.12", difference=2.0)
    ends = np.exp([cell[name].item() for name in ("estimate", "lower", "upper")])
    np.testing.assert_allclose(ends, (5.29, 2.43, 11.52), atol=0.0051)
    assert (cell["trials"].item(), cell["pooled"].item(), cell["no_events"].item()) == (3, 2, 1)
    assert cell["zero_cells"].item() == 1
    text = cell["text"].sel(domain="imprecision").item()
    assert "risk ratio 5.29, 95% confidence interval 2.43 to 11.5, which excludes" in text
    assert "an important difference (2) above the null" in text
    # 5 of 72 under placebo, and twice that risk.
    np.testing.assert_allclose(cell["information_size"], sample_size_risks(10 / 72, 5 / 72))


def _trials(k: int, effect: float = -5.0, se: float = 1.0) -> pd.DataFrame:
    rows = []
    for i in range(k):
        for agent, mean in (("placebo", 50.0), ("x", 50.0 + effect + 0.01 * i)):
            rows.append({"study": f"S{i}", "agent": agent, "mean": mean, "n": 20 + i})
    return pd.DataFrame(rows).assign(sd=10 * se, scale_min=0, scale_max=100)


def _cell(frame: pd.DataFrame, **more):
    cells = grade_certainty(load_evidence(frame), **more)
    return cells.sel(agent="x").isel(outcome=0)


def test_funnel_needs_ten_trials():
    nine, ten = _cell(_trials(9)), _cell(_trials(10))
    assert nine["status"].sel(domain="publication_bias").item() == "not_assessable"
    assert "9 trials" in nine["text"].sel(domain="publication_bias").item()
    assert ten["status"].sel(domain="publication_bias").item() == "computed"


def test_doses_of_a_trial_are_combined():
    rows = [("placebo", 0, 50.0, 30), ("x", 1, 44.0, 10), ("x", 2, 38.0, 20)]
    frame = pd.DataFrame(rows, columns=["agent", "dose", "mean", "n"])
    frame = frame.assign(study="A", sd=10.0, scale_min=0, scale_max=100)
    cell = _cell(frame)
    assert (cell["trials"].item(), cell["people"].item()) == (1, 60)
    np.testing.assert_allclose(cell["estimate"], (10 * 44 + 20 * 38) / 30 - 50)
    half = 1.959964 * np.sqrt(10**2 / 30 + 10**2 / 30)
    np.testing.assert_allclose(cell["upper"] - cell["estimate"], half, rtol=1e-6)


def test_scales_are_converted_to_points_of_100():
    ten = _trials(3).assign(scale_max=10)
    ten[["mean", "sd"]] /= 10
    of_100, of_10 = _cell(_trials(3)), _cell(ten)
    assert of_100["measure"].item() == of_10["measure"].item() == "mean difference, points of 100"
    np.testing.assert_allclose(of_100["lower"], of_10["lower"])


def test_trial_without_the_comparator_is_not_counted():
    frame = _trials(2)
    frame.loc[frame["study"] == "S1", "agent"] = frame["agent"].replace("placebo", "y")
    assert _cell(frame)["trials"].item() == 1
    assert _cell(frame, comparators=["placebo", "y"])["trials"].item() == 2


def test_zero_cells_with_and_without_correction():
    rows = [("A", "placebo", 0), ("A", "x", 3), ("B", "placebo", 0), ("B", "x", 0)]
    frame = pd.DataFrame(rows, columns=["study", "agent", "events"]).assign(n=20)
    bare, filled = _cell(frame, correction=None), _cell(frame)
    assert (bare["pooled"].item(), filled["pooled"].item()) == (0, 1)
    assert bare["trials"].item() == filled["trials"].item() == 2
    assert filled["no_events"].item() == bare["no_events"].item() == 1
    assert "zero cell, corrected" in filled["text"].sel(domain="imprecision").item()
    assert bare["status"].sel(domain="imprecision").item() == "not_assessable"


@pytest.mark.reference
def test_sample_sizes():
    # Julious (2004): n an arm for a difference of half an SD, 80% power, is 62.8 by the normal
    # approximation; risks of 0.6 and 0.4 need 94.2 (R 4.2: power.prop.test gives 96.8 by the
    # pooled variance under the null).
    np.testing.assert_allclose(sample_size_means(5, 10) / 2, 62.79, atol=0.005)
    np.testing.assert_allclose(sample_size_risks(0.6, 0.4) / 2, 94.19, atol=0.005)
    assert np.isnan(sample_size_risks(1.2, 0.6))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": ("agent",)}, "by must be agent and outcome"),
        ({"minimal_important_difference": {"pain_intensty": 10}}, "Did you mean 'pain_intensity'"),
        ({"minimal_important_difference": {"pain_intensity": 0}}, "is not a difference"),
    ],
)
def test_invalid_arguments_are_rejected(base, more, message):
    with pytest.raises(ValueError, match=message):
        grade_certainty(base, **more)


def test_cells_by_condition(base, cells):
    finer = grade_certainty(base, by=("agent", "condition", "outcome"))
    assert finer["trials"].dims == ("agent", "condition", "outcome")
    assert (finer["trials"].sum("condition") == cells["trials"]).all()
