"""Certainty, cell by cell: computed where data can tell, a judgement where they cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, review_analysis
from nmda_bayes.evidence.certainty import DOMAINS, JUDGEMENTS, certainty
from nmda_bayes.evidence.planning import people_for_means, people_for_risks

CELLS = ("agent", "outcome")


@pytest.fixture(scope="module")
def cells(base):
    return certainty(base, least_difference={"pain_intensity": 10.0})


@pytest.fixture(scope="module")
def review(base):
    """Analyses of the Cochrane review as flat evidence of their own."""

    def of(analysis: str, **more: float):
        frame = review_analysis(base, analysis)
        outcome = frame["outcome"].iloc[0]
        least = {outcome: more["least"]} if more else {}
        found = certainty(load_evidence(frame), least_difference=least)
        return found.sel(agent="ketamine", outcome=outcome)

    return of


def test_it_has_every_cell_and_every_domain(cells):
    assert cells["trials"].dims == CELLS
    assert cells["words"].dims == cells["status"].dims == (*CELLS, "domain")
    assert cells["people_by_bias"].dims == (*CELLS, "bias_domain", "judgement")
    assert cells["domain"].to_numpy().tolist() == list(DOMAINS)
    holes = cells["trials"] == 0
    assert holes.any()
    assert (~holes).sum() > 100
    assert ((cells["status"] == "no_trial").all("domain") == holes).all()
    assert (cells["words"].where(holes, "no trial") == "no trial").sum() >= 5 * holes.sum()
    assert (cells["measure"] == "").equals(holes)


def test_no_level_of_certainty_is_pretended(cells):
    words = {str(word) for word in np.unique(cells["words"].to_numpy().astype(str))}
    begins = ("computed: ", "a judgement: not made here", "not assessable: ", "no trial")
    assert all(word.startswith(begins) for word in words)
    assert not [w for w in words if any(g in w for g in ("very low", "moderate", "downgrad"))]
    filled = cells["trials"] > 0
    told = cells["status"].where(filled)
    for domain in ("indirectness", "risk_of_bias"):
        assert ((told.sel(domain=domain) == "judgement") == filled).all()


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


def test_everybody_is_under_one_judgement(cells):
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
def test_a_cell_of_means_is_the_pool_of_the_review(review, analysis, printed, pooled):
    cell = review(analysis)
    if "points" not in str(cell["measure"].item()):
        # Without a declared scale means are standardised: their sign and number stand.
        assert cell["measure"].item() == "standardised mean difference"
        assert np.sign(cell["estimate"]) == np.sign(printed[0])
    else:
        ends = [cell[name].item() for name in ("estimate", "lower", "upper")]
        np.testing.assert_allclose(ends, printed, atol=0.0051)
    assert cell["pooled"].item() == pooled


@pytest.mark.reference
def test_a_cell_of_counts_is_the_pool_of_the_review(review):
    cell = review("1.12", least=2.0)
    ends = np.exp([cell[name].item() for name in ("estimate", "lower", "upper")])
    np.testing.assert_allclose(ends, (5.29, 2.43, 11.52), atol=0.0051)
    assert (cell["trials"].item(), cell["pooled"].item(), cell["no_events"].item()) == (3, 2, 1)
    assert cell["zero_cells"].item() == 1
    words = cell["words"].sel(domain="imprecision").item()
    assert (
        "risk ratio 5.29, 95 % confidence interval 2.43 to 11.5, which excludes a ratio of 1"
        in (words)
    )
    assert "an important difference (2) above the null" in words
    # 5 of 72 under placebo: 0.0694 against 0.1389, by hand 4 and 84 decimal places apart.
    np.testing.assert_allclose(cell["information_size"], people_for_risks(10 / 72, 5 / 72))


def _trials(k: int, effect: float = -5.0, se: float = 1.0) -> pd.DataFrame:
    rows = []
    for i in range(k):
        for agent, mean in (("placebo", 50.0), ("x", 50.0 + effect + 0.01 * i)):
            rows.append({"study": f"S{i}", "agent": agent, "mean": mean, "sd": 10 * se,
                         "n": 20 + i, "scale_min": 0, "scale_max": 100})  # fmt: skip
    return pd.DataFrame(rows)


def _cell(frame: pd.DataFrame, **more):
    found = certainty(load_evidence(frame), **more)
    return found.sel(agent="x").isel(outcome=0)


def test_ten_trials_make_a_funnel():
    nine, ten = _cell(_trials(9)), _cell(_trials(10))
    assert nine["status"].sel(domain="publication_bias").item() == "not_assessable"
    assert "9 trials, and a funnel needs 10" in nine["words"].sel(domain="publication_bias").item()
    assert ten["status"].sel(domain="publication_bias").item() == "computed"


def test_doses_of_a_trial_are_taken_together():
    frame = pd.DataFrame(
        {"study": "A", "agent": ["placebo", "x", "x"], "dose": [0, 1, 2],
         "mean": [50.0, 44.0, 38.0], "sd": 10.0, "n": [30, 10, 20],
         "scale_min": 0, "scale_max": 100}
    )  # fmt: skip
    cell = _cell(frame)
    assert (cell["trials"].item(), cell["people"].item()) == (1, 60)
    np.testing.assert_allclose(cell["estimate"], (10 * 44 + 20 * 38) / 30 - 50)
    half = 1.959964 * np.sqrt(10**2 / 30 + 10**2 / 30)
    np.testing.assert_allclose(cell["upper"] - cell["estimate"], half, rtol=1e-6)


def test_scales_are_brought_to_points_of_100():
    ten = _trials(3).assign(scale_max=10)
    ten[["mean", "sd"]] /= 10
    one, other = _cell(_trials(3)), _cell(ten)
    assert one["measure"].item() == other["measure"].item() == "mean difference, points of 100"
    np.testing.assert_allclose(one["lower"], other["lower"])


def test_a_trial_without_the_comparator_is_not_counted():
    frame = _trials(2)
    frame.loc[frame["study"] == "S1", "agent"] = frame["agent"].replace("placebo", "y")
    assert _cell(frame)["trials"].item() == 1
    assert _cell(frame, comparators=["placebo", "y"])["trials"].item() == 2


def test_nothing_is_added_where_nothing_was_asked():
    frame = pd.DataFrame(
        {"study": ["A", "A", "B", "B"], "agent": ["placebo", "x"] * 2,
         "events": [0, 3, 0, 0], "n": 20}
    )  # fmt: skip
    bare, filled = _cell(frame, correction=None), _cell(frame)
    assert (bare["pooled"].item(), filled["pooled"].item()) == (0, 1)
    assert bare["trials"].item() == filled["trials"].item() == 2
    assert filled["no_events"].item() == bare["no_events"].item() == 1
    assert "with an empty cell, corrected" in filled["words"].sel(domain="imprecision").item()
    assert bare["status"].sel(domain="imprecision").item() == "not_assessable"


@pytest.mark.reference
def test_people_that_one_trial_needs():
    # Julious (2004): n an arm for a difference of half an SD, 80 % power, is 62.8 by the normal
    # approximation; risks of 0.6 and 0.4 need 94.2 (R 4.2: power.prop.test gives 96.8 by the
    # pooled variance under the null).
    np.testing.assert_allclose(people_for_means(5, 10) / 2, 62.79, atol=0.005)
    np.testing.assert_allclose(people_for_risks(0.6, 0.4) / 2, 94.19, atol=0.005)
    assert np.isnan(people_for_risks(1.2, 0.6))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": ("agent",)}, "by is agent and outcome"),
        ({"least_difference": {"pain_intensty": 10}}, "Did you mean 'pain_intensity'"),
        ({"least_difference": {"pain_intensity": 0}}, "is no difference"),
    ],
)
def test_what_cannot_be_is_refused(base, more, message):
    with pytest.raises(ValueError, match=message):
        certainty(base, **more)


def test_by_condition_too(base, cells):
    finer = certainty(base, by=("agent", "condition", "outcome"))
    assert finer["trials"].dims == ("agent", "condition", "outcome")
    assert (finer["trials"].sum("condition") == cells["trials"]).all()
