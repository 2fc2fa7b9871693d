"""Networks: league tables, ranks, residual deviance, and consistency put to the test."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.design.splitting import DIRECT, original_agent
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import (
    deviance_table,
    inconsistency,
    league_frame,
    league_table,
    network_parts,
    node_splits,
    node_splitting,
    ranks,
    residual_deviance,
    split,
    unrelated_means,
)
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import KIND, LEVEL
from tests import specs
from tests.conftest import draws, make_fit
from tests.estimands.conftest import linear_fit as make_linear_fit
from tests.networks import EXACT, VAGUE, network_spec, triangle

linear_fit = cache(make_linear_fit)  # nothing here changes a fit


@pytest.fixture(autouse=True)
def _posterior_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out predictions and densities, which nothing here reads."""
    monkeypatch.setattr("nmda_bayes.inference.fitting._add_predictions", lambda *_: None)


# --- League tables -------------------------------------------------------------------------------


def test_a_league_table_holds_every_pair_at_the_named_dose():
    league = league_table(linear_fit(), "pain", dose=2.0)
    assert dict(league.sizes) == {"agent": 3, "comparator": 3, "chain": 1, "draw": 4}
    assert [str(a) for a in league["agent"].to_numpy()] == ["placebo", "ketamine", "mem"]
    against = league["effect"].sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(against, [-8, -16, -24, -32])
    between = league["effect"].sel(agent="mem", comparator="ketamine", chain=0)
    np.testing.assert_allclose(between, [10, 14, 24, 36])
    np.testing.assert_allclose(league["median"], -league["median"].transpose("comparator", "agent"))
    assert float(league["p_better"].sel(agent="ketamine", comparator="mem")) == 1
    assert (league.attrs["kind"], league.attrs["level"]) == (KIND, LEVEL)
    assert league.attrs["scale_text"] == "difference in points"


def test_agents_may_each_have_a_dose_of_their_own():
    league = league_table(linear_fit(), "pain", dose={"ketamine": 0.5, "mem": 4.0})
    between = league["effect"].sel(agent="mem", comparator="ketamine", chain=0)
    np.testing.assert_allclose(between, [4 + 2, -4 + 4, 0 + 6, 8 + 8])
    assert league.attrs["dose"] == "each agent at its own dose"
    beyond = league["extrapolated"].sel(comparator="placebo").to_series()
    assert beyond.to_dict() == {"placebo": False, "ketamine": False, "mem": True}


def test_risks_are_compared_as_ratios_at_a_stated_baseline():
    fit = linear_fit()
    odds = league_table(fit, "harm", dose=1.0)["effect"].sel(agent="ketamine", comparator="mem")
    np.testing.assert_allclose(odds.sel(chain=0), np.exp([-0.5, 0, 0.5, 1.5]))
    league = league_table(fit, "harm", dose=1.0, scale="RR", baseline_risk=0.2)
    risk = 1 / (1 + 4 * np.exp(-np.array([0, 0.5, 1.0, 2.0])))
    ratio = league["effect"].sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(ratio, risk / 0.2)
    assert league.attrs["scale_text"] == "risk ratio at a baseline risk of 20 %"
    difference = league_table(fit, "harm", dose=1.0, scale="RD")["effect"]
    at = difference.sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(at[0], 0, atol=1e-12)
    assert league_table(fit, "harm", dose=1.0, scale="RD").attrs["baseline_risk"] == 0.05


def test_each_cell_says_what_stands_behind_it():
    table = pd.concat(
        [triangle(0), specs.rows("study agent dose mean se\n z placebo 0 50 1\n z c 1 40 1")]
    )
    loose = specs.rows("study agent dose mean se\n y d 1 50 1\n y e 1 48 1")
    spec = network_spec(disconnected="allow")
    fit = inference.fit(spec, load_evidence(pd.concat([table, loose])))
    league = league_table(fit, "pain")
    evidence = league["evidence"]
    assert str(evidence.sel(agent="b", comparator="a").item()) == "direct and indirect"
    assert str(evidence.sel(agent="c", comparator="placebo").item()) == "direct"
    assert str(evidence.sel(agent="c", comparator="b").item()) == "indirect"
    assert str(evidence.sel(agent="d", comparator="e").item()) == "direct"
    assert str(evidence.sel(agent="d", comparator="a").item()) == "prior only"
    assert (evidence == evidence.transpose("comparator", "agent").to_numpy()).all()
    assert int(league["trials"].sel(agent="b", comparator="a")) == 2
    frame = league_frame(league).set_index(["agent", "comparator"])
    assert len(frame) == 15
    assert frame.loc[("d", "a"), "remark"] == "prior only"
    parts = network_parts(fit, "pain")
    assert list(parts["agents"]) == [("placebo", "a", "b", "c"), ("d", "e")]
    assert list(parts["trials"]) == [7, 1]
    assert parts["assumption"][0] == ""
    assert "the prior" in parts["assumption"][1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "the dose of the comparison is not named"),
        ({"dose": -1.0}, "not a positive number"),
        ({"dose": {"ketamin": 1.0}}, "no agent 'ketamin'"),
        ({"dose": 1.0, "scale": "RR"}, "have no RR"),
        ({"dose": 1.0, "condition": "gout"}, "no condition 'gout'"),
    ],
)
def test_a_comparison_that_is_not_named_is_refused(asked, words):
    with pytest.raises(SpecError, match=words):
        league_table(linear_fit(), "pain", **asked)


# --- Ranks ---------------------------------------------------------------------------------------


def test_ranks_are_counted_draw_by_draw():
    # Slopes of mem: 1, -1, 0, 2; ketamine is always lowest. A tie with placebo is no rank lost.
    found = ranks(linear_fit(), "pain", dose=1.0)
    assert found["p_rank"].dims == ("agent", "rank")
    np.testing.assert_allclose(found["p_rank"].sel(agent="ketamine"), [1, 0, 0])
    np.testing.assert_allclose(found["p_rank"].sel(agent="mem"), [0, 0.5, 0.5])
    np.testing.assert_allclose(found["cumulative"].isel(rank=-1), 1)
    count = found.sizes["rank"]
    np.testing.assert_allclose(found["sucra"], (count - found["mean_rank"]) / (count - 1))
    assert float(found["sucra"].sel(agent="ketamine")) == 1
    assert "how far apart" in found.attrs["caution"]
    assert "Of 3 pairs here, 1 have a 95 % interval of their difference" in found.attrs["caution"]


def test_the_other_way_reverses_the_ranks():
    up = ranks(linear_fit(), "pain", dose=1.0, better="higher")
    assert float(up["mean_rank"].sel(agent="ketamine")) == 3


def test_ranks_need_a_way_that_is_better_and_agents_that_differ():
    with pytest.raises(SpecError, match="which way of 'pain' is better"):
        ranks(linear_fit(better="", window=None), "pain", dose=1.0)
    spec = specs.spec(specs.outcome("normal", "linear", "none", better="lower"))
    posterior = {"slope": draws([1.0, 2.0]), "eta": draws(np.zeros((2, 7)), "arm")}
    with pytest.raises(SpecError, match="share one curve"):
        ranks(make_fit(spec, specs.normal_table(), posterior), "pain", dose=1.0)


# --- Residual deviance ---------------------------------------------------------------------------


def test_residual_deviance_is_that_of_the_formulas():
    fit = linear_fit()
    normal = residual_deviance(fit, "pain")
    eta = fit["posterior"]["pain::eta"].to_numpy()[0]
    mean, se = (specs.TRIALS[c].to_numpy(float) for c in ("mean", "se"))
    by_hand = ((mean - eta) / se) ** 2
    np.testing.assert_allclose(normal["deviance"], by_hand.mean(0))
    at_mean = (((mean - eta.mean(0)) / se) ** 2).sum()
    assert normal.attrs["data_points"] == 7
    np.testing.assert_allclose(normal.attrs["pD"], by_hand.sum(1).mean() - at_mean)
    np.testing.assert_allclose(normal.attrs["DIC"], normal.attrs["total"] + normal.attrs["pD"])
    # 0 events of 30 at a probability p: 2 * 30 * log(1 / (1 - p)).
    binomial = residual_deviance(fit, "harm")
    p = 1 / (1 + np.exp(-fit["posterior"]["harm::eta"].to_numpy()[0, :, 2]))
    np.testing.assert_allclose(binomial["deviance"][2], (-60 * np.log1p(-p)).mean())


def test_contrasts_of_one_trial_have_one_deviance():
    spec = specs.spec(specs.outcome("normal_contrast", "constant", "none", {"effect": VAGUE}))
    table = specs.rows("""
        study agent comparator estimate se comparator_se
        A     a     placebo    1.0      1.0 0.6
        A     b     placebo    2.0      1.0 0.6
        B     a     placebo    0.5      0.5 -
    """)
    evidence = load_evidence(table)
    count = build_design(spec, evidence)[f"{OUTCOMES}/pain"].sizes["arm"]
    fit = make_fit(spec, table, {"eta": draws(np.zeros((2, count)), "arm")})
    found = residual_deviance(fit, "pain").assign_coords(point=["A", "B"])
    covariance = np.array([[1, 0.36], [0.36, 1]])
    expected = np.array([1, 2]) @ np.linalg.solve(covariance, [1, 2])
    np.testing.assert_allclose(found["deviance"], [expected, 1.0])
    assert list(found["count"].to_numpy()) == [2, 1]


# --- Consistency ---------------------------------------------------------------------------------


def test_what_can_be_split_has_a_path_around_its_trials():
    # Triangle with one trial of all three: its pairs stay tied by the others (gemtc's own test).
    text = "study agent dose mean se\n"
    for study, members in {"1": "pab", "2": "ab", "3": "bp", "4": "pc"}.items():
        for m in members:
            text += f"s{study} {'placebo' if m == 'p' else m} {int(m != 'p')} 50 1\n"
    listed = node_splits(network_spec(), load_evidence(specs.rows(text)))
    listed = listed.set_index(["agent", "comparator"])
    assert listed["direct_trials"].to_dict() == {
        ("a", "b"): 2, ("a", "placebo"): 1, ("b", "placebo"): 2, ("c", "placebo"): 1,
    }  # fmt: skip
    # Without the trials of a and b, trial 3 holds b and placebo alone.
    assert listed["can_split"].to_dict() == {
        ("a", "b"): False, ("a", "placebo"): True, ("b", "placebo"): False,
        ("c", "placebo"): False,
    }  # fmt: skip
    assert listed.loc[("c", "placebo"), "why"] == "no other trials connect the two"


def test_a_planted_inconsistency_is_found_and_none_where_there_is_none():
    p_values = {}
    for gap in (0.0, 2.0):
        evidence = load_evidence(triangle(gap))
        fit = inference.fit(split(network_spec(), evidence, ("b", "a")), evidence)
        assert b"b \xc2\xb7 direct".decode() in fit["posterior"]["agent"].to_numpy()
        found = inconsistency(fit)
        assert found["difference"].dims == ("chain", "draw")
        # Two trials directly; indirectly two and two: variances 2 * 0.09 / 2 and twice that.
        assert abs(float(found["difference"].mean()) - gap) < 0.05
        assert abs(float(found["difference"].std()) - np.sqrt(0.09 + 0.18)) < 0.03
        p_values[gap] = float(found["p_value"])
    assert p_values[0.0] > 0.5
    assert p_values[2.0] < 0.01


def test_a_curve_is_split_at_a_named_dose():
    evidence = load_evidence(triangle(1.5, doses=True))
    fit = inference.fit(split(network_spec("linear"), evidence, ("b", "a")), evidence)
    found = inconsistency(fit, dose={"a": 1.0, "b": 2.0})
    assert abs(float(found["difference"].mean()) - 3.0) < 0.1
    assert abs(float(found["indirect"].mean()) - (-6.0 + 2.0)) < 0.1
    assert float(found["p_value"]) < 0.01


def test_every_split_in_one_table():
    found = node_splitting(network_spec(), load_evidence(triangle(2.0)))
    assert list(found["comparison"].to_numpy()) == ["a v b", "a v placebo", "b v placebo"]
    assert list(found["source"].to_numpy()) == ["direct", "indirect", "all, consistent"]
    # Each loop is the same triangle: one inconsistency, seen from three sides.
    assert (found["p_value"] < 0.01).all()
    middle = found["median"].sel(comparison="b v placebo")
    low, high = sorted(middle.sel(source=["direct", "indirect"]).to_numpy())
    assert low < float(middle.sel(source="all, consistent")) < high


def test_unrelated_means_give_each_pair_its_own_effect():
    evidence = load_evidence(triangle(2.0))
    spec = unrelated_means(network_spec())
    arms = build_design(spec, evidence)[f"{OUTCOMES}/pain"].to_dataset().to_dataframe()
    assert set(arms["agent"]) == {"placebo", "a", "b", "b v a"}
    assert original_agent("b v a") == original_agent("b" + DIRECT) == "b"
    in_pair = arms[arms["study"].str.startswith("a_b")]
    assert list(in_pair["agent"]) == ["placebo", "b v a"] * 2
    assert list(in_pair["exposure"]) == [0, 1] * 2
    fits = {"consistent": inference.fit(network_spec(), evidence),
            "unrelated means": inference.fit(spec, evidence)}  # fmt: skip
    effect = fits["unrelated means"]["posterior"]["effect"].mean(["chain", "draw"]).to_series()
    np.testing.assert_allclose(effect[["a", "b", "b v a"]], [-2, -3, -1 + 2.0], atol=0.05)
    table = deviance_table(fits, "pain").set_index("model")
    assert list(table["data_points"]) == [12, 12]
    # Baselines 6 and effects 2, or 3: what the normal model spends.
    np.testing.assert_allclose(table["pD"], [8, 9], atol=0.4)
    assert table.loc["consistent", "DIC"] > table.loc["unrelated means", "DIC"] + 5


def test_over_a_dose_the_comparator_keeps_its_curve():
    evidence = load_evidence(triangle(0.0, doses=True))
    arms = build_design(unrelated_means(network_spec("linear")), evidence)
    frame = arms[f"{OUTCOMES}/pain"].to_dataset().to_dataframe()
    in_pair = frame[frame["study"] == "a_b_2"]
    assert list(in_pair["agent"]) == ["a", "b v a"]
    assert list(in_pair["exposure"]) == [2, 2]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"split": ("a", "a")}, "two different agents"),
        ({"split": ("a", "b"), "effects": "unrelated"}, "nothing to split"),
        ({"effects": "unrelated", "parameters": {"effect": specs.parameter("common")}},
         "shares one curve"),
        ({"effects": "unrelated", "parameters": {"baseline": specs.parameter("study")}},
         "pooled baselines"),
    ],
)  # fmt: skip
def test_consistency_cannot_be_dropped_everywhere(more, words):
    given = {"effect": VAGUE} | more.pop("parameters", {})
    with pytest.raises(SpecError, match=words):
        specs.spec(specs.outcome("normal", "constant", "none", given, **more))


def test_an_agent_set_apart_stays_in_its_class():
    slope = specs.parameter("class_and_agent")
    outcome = specs.outcome("normal", "linear", "none", {"slope": slope}, split=("b", "a"))
    spec = specs.spec(outcome, classes={"a": "old", "b": "new"})
    labels = build_design(spec, load_evidence(triangle(0.0)))["labels"].to_dataset()
    classes = labels["class_of_agent"].to_series().to_dict()
    assert classes == {"a": "old", "b": "new", "b" + DIRECT: "new"}


def test_a_split_without_evidence_is_refused():
    evidence = load_evidence(triangle(0.0))
    with pytest.raises(SpecError, match="no arm of outcome 'pain' has agent 'c'"):
        build_design(split_by_hand(("c", "a")), evidence)
    lonely = load_evidence(triangle(0.0)[lambda t: ~t["study"].str.startswith("a_b")])
    with pytest.raises(SpecError, match="no trial compares b v a"):
        build_design(split_by_hand(("b", "a")), lonely)
    with pytest.raises(SpecError, match="b v placebo cannot be split: no other trials"):
        split(network_spec(), lonely, ("placebo", "b"))
    with pytest.raises(SpecError, match="consistency is assumed and cannot be tested"):
        node_splitting(network_spec(), lonely)
    with pytest.raises(SpecError, match="splits no comparison"):
        inconsistency(linear_fit())


def split_by_hand(pair):
    outcome = specs.outcome("normal", "constant", "none", {"effect": VAGUE}, split=pair)
    return specs.spec(outcome, sampling=EXACT)
