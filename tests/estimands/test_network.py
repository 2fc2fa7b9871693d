"""League tables, ranks, residual deviance, and tests of consistency."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.design.node_split import DIRECT_SUFFIX, VERSUS_SEPARATOR, original_agent
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import (
    compare_direct_indirect,
    deviance_table,
    inconsistency,
    league_frame,
    league_table,
    node_split_candidates,
    rank_agents,
    residual_deviance,
    subnetworks,
    unrelated_means,
    with_node_split,
)
from nmda_bayes.estimands.network import CAUTION, NO_PATH
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import INTERVAL_KIND, INTERVAL_LEVEL
from tests.estimands.conftest import linear_fit as make_linear_fit
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import codes_when, issues_when
from tests.support.networks import EXACT, VAGUE, network_spec, triangle

#: The agent that a comparison of b with a adds, split or unrelated.
B_VS_A = f"b{VERSUS_SEPARATOR}a"

linear_fit = cache(make_linear_fit)  # no test changes a fit


@pytest.fixture(autouse=True)
def _posterior_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip predictions and densities, which are not used."""
    monkeypatch.setattr("nmda_bayes.inference.fitting._add_predictions", lambda *_: None)


# --- League tables -------------------------------------------------------------------------------


def test_league_table_has_every_pair():
    league = league_table(linear_fit(), "pain", dose=2.0)
    assert dict(league.sizes) == {"agent": 3, "comparator": 3, "chain": 1, "draw": 4}
    assert [str(a) for a in league["agent"].to_numpy()] == ["placebo", "ketamine", "mem"]
    against = league["effect"].sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(against, [-8, -16, -24, -32])
    between = league["effect"].sel(agent="mem", comparator="ketamine", chain=0)
    np.testing.assert_allclose(between, [10, 14, 24, 36])
    np.testing.assert_allclose(league["median"], -league["median"].transpose("comparator", "agent"))
    assert float(league["p_better"].sel(agent="ketamine", comparator="mem")) == 1
    assert (league.attrs["kind"], league.attrs["level"]) == (INTERVAL_KIND, INTERVAL_LEVEL)
    assert league.attrs["scale_text"] == "difference in points"


def test_each_agent_may_have_a_dose():
    league = league_table(linear_fit(), "pain", dose={"ketamine": 0.5, "mem": 4.0})
    between = league["effect"].sel(agent="mem", comparator="ketamine", chain=0)
    np.testing.assert_allclose(between, [4 + 2, -4 + 4, 0 + 6, 8 + 8])
    assert league.attrs["dose"] == "each at the dose beside its name"
    beyond = league["extrapolated"].sel(comparator="placebo").to_series()
    assert beyond.to_dict() == {"placebo": False, "ketamine": False, "mem": True}


def test_risk_ratio_is_at_the_baseline_risk():
    fit = linear_fit()
    odds = league_table(fit, "harm", dose=1.0)["effect"].sel(agent="ketamine", comparator="mem")
    np.testing.assert_allclose(odds.sel(chain=0), np.exp([-0.5, 0, 0.5, 1.5]))
    league = league_table(fit, "harm", dose=1.0, scale="RR", baseline_risk=0.2)
    risk = 1 / (1 + 4 * np.exp(-np.array([0, 0.5, 1.0, 2.0])))
    ratio = league["effect"].sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(ratio, risk / 0.2)
    assert league.attrs["scale_text"] == "risk ratio at a baseline risk of 20%"
    difference = league_table(fit, "harm", dose=1.0, scale="RD")["effect"]
    cell = difference.sel(agent="ketamine", comparator="placebo", chain=0)
    np.testing.assert_allclose(cell[0], 0, atol=1e-12)
    assert league_table(fit, "harm", dose=1.0, scale="RD").attrs["baseline_risk"] == 0.05


def test_evidence_of_each_comparison_is_classified():
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
    parts = subnetworks(fit, "pain")
    assert list(parts["agents"]) == [("placebo", "a", "b", "c"), ("d", "e")]
    assert list(parts["trials"]) == [7, 1]
    assert parts["assumption"][0] == ""
    assert "the prior" in parts["assumption"][1]


@pytest.mark.parametrize(
    ("arguments", "code", "column"),
    [
        ({}, "E806", "dose"),
        ({"dose": -1.0}, "E805", "dose"),
        ({"dose": {"ketamin": 1.0}}, "E800", "agent"),
        ({"dose": 1.0, "scale": "RR"}, "E820", "scale"),
        ({"dose": 1.0, "condition": "gout"}, "E800", "condition"),
    ],
)
def test_invalid_comparison_is_rejected(arguments, code, column):
    (issue,) = issues_when(lambda: league_table(linear_fit(), "pain", **arguments), SpecError)
    assert (issue.code, issue.column) == (code, column)


# --- Ranks ---------------------------------------------------------------------------------------


def test_ranks_are_counted_in_each_draw():
    # Slopes of mem: 1, -1, 0, 2; ketamine is always lowest. A tie with placebo loses no rank.
    ranking = rank_agents(linear_fit(), "pain", dose=1.0)
    assert ranking["p_rank"].dims == ("agent", "rank")
    np.testing.assert_allclose(ranking["p_rank"].sel(agent="ketamine"), [1, 0, 0])
    np.testing.assert_allclose(ranking["p_rank"].sel(agent="mem"), [0, 0.5, 0.5])
    np.testing.assert_allclose(ranking["cumulative"].isel(rank=-1), 1)
    count = ranking.sizes["rank"]
    np.testing.assert_allclose(ranking["sucra"], (count - ranking["mean_rank"]) / (count - 1))
    assert float(ranking["sucra"].sel(agent="ketamine")) == 1
    assert ranking.attrs["caution"].startswith(CAUTION)
    assert "Of 3 pairs, 1 " in ranking.attrs["caution"]


def test_opposite_direction_reverses_the_ranks():
    up = rank_agents(linear_fit(), "pain", dose=1.0, better="higher")
    assert float(up["mean_rank"].sel(agent="ketamine")) == 3


def test_ranks_need_a_direction_and_agents_that_differ():
    undirected = linear_fit(better="", window=None)
    assert codes_when(lambda: rank_agents(undirected, "pain", dose=1.0), SpecError) == ["E821"]
    spec = specs.spec(specs.outcome("normal", "linear", "none", better="lower"))
    posterior = {"slope": draws([1.0, 2.0]), "eta": draws(np.zeros((2, 7)), "arm")}
    fit = make_fit(spec, specs.normal_table(), posterior)
    assert codes_when(lambda: rank_agents(fit, "pain", dose=1.0), SpecError) == ["E822"]


# --- Residual deviance ---------------------------------------------------------------------------


def test_residual_deviance_equals_the_formulas():
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


def test_contrasts_of_a_trial_have_one_deviance():
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
    deviance = residual_deviance(fit, "pain").assign_coords(point=["A", "B"])
    covariance = np.array([[1, 0.36], [0.36, 1]])
    expected = np.array([1, 2]) @ np.linalg.solve(covariance, [1, 2])
    np.testing.assert_allclose(deviance["deviance"], [expected, 1.0])
    assert list(deviance["count"].to_numpy()) == [2, 1]


# --- Consistency ---------------------------------------------------------------------------------


def test_splittable_comparisons_have_an_indirect_path():
    # Triangle with one trial of all three: its pairs stay connected by the others (as in gemtc).
    text = "study agent dose mean se\n"
    for study, members in {"1": "pab", "2": "ab", "3": "bp", "4": "pc"}.items():
        for m in members:
            text += f"s{study} {'placebo' if m == 'p' else m} {int(m != 'p')} 50 1\n"
    listed = node_split_candidates(network_spec(), load_evidence(specs.rows(text)))
    listed = listed.set_index(["agent", "comparator"])
    assert listed["direct_trials"].to_dict() == {
        ("a", "b"): 2,
        ("a", "placebo"): 1,
        ("b", "placebo"): 2,
        ("c", "placebo"): 1,
    }
    # Without the trials of a and b, trial 3 holds b and placebo alone.
    assert listed["can_split"].to_dict() == {
        ("a", "b"): False,
        ("a", "placebo"): True,
        ("b", "placebo"): False,
        ("c", "placebo"): False,
    }
    assert listed.loc[("c", "placebo"), "why"] == NO_PATH


def test_simulated_inconsistency_is_detected():
    p_values = {}
    for gap in (0.0, 2.0):
        evidence = load_evidence(triangle(gap))
        fit = inference.fit(with_node_split(network_spec(), evidence, ("b", "a")), evidence)
        assert b"b \xc2\xb7 direct".decode() in fit["posterior"]["agent"].to_numpy()
        result = inconsistency(fit)
        assert result["difference"].dims == ("chain", "draw")
        # Two trials directly; indirectly two and two: variances 2 * 0.09 / 2 and twice that.
        assert abs(float(result["difference"].mean()) - gap) < 0.05
        assert abs(float(result["difference"].std()) - np.sqrt(0.09 + 0.18)) < 0.03
        p_values[gap] = float(result["p_value"])
    assert p_values[0.0] > 0.5
    assert p_values[2.0] < 0.01


def test_curves_are_split_at_given_doses():
    evidence = load_evidence(triangle(1.5, doses=True))
    fit = inference.fit(with_node_split(network_spec("linear"), evidence, ("b", "a")), evidence)
    result = inconsistency(fit, dose={"a": 1.0, "b": 2.0})
    assert abs(float(result["difference"].mean()) - 3.0) < 0.1
    assert abs(float(result["indirect"].mean()) - (-6.0 + 2.0)) < 0.1
    assert float(result["p_value"]) < 0.01


def test_all_splits_are_compared():
    comparisons = compare_direct_indirect(network_spec(), load_evidence(triangle(2.0)))
    assert list(comparisons["comparison"].to_numpy()) == [
        VERSUS_SEPARATOR.join(pair) for pair in (("a", "b"), ("a", "placebo"), ("b", "placebo"))
    ]
    assert list(comparisons["source"].to_numpy()) == ["direct", "indirect", "consistency model"]
    # Each loop is the same triangle: one inconsistency, seen from three sides.
    assert (comparisons["p_value"] < 0.01).all()
    middle = comparisons["median"].isel(comparison=2)
    low, high = sorted(middle.sel(source=["direct", "indirect"]).to_numpy())
    assert low < float(middle.sel(source="consistency model")) < high


def test_unrelated_means_have_one_effect_per_pair():
    evidence = load_evidence(triangle(2.0))
    spec = unrelated_means(network_spec())
    arms = build_design(spec, evidence)[f"{OUTCOMES}/pain"].to_dataset().to_dataframe()
    assert set(arms["agent"]) == {"placebo", "a", "b", B_VS_A}
    assert original_agent(B_VS_A) == original_agent("b" + DIRECT_SUFFIX) == "b"
    in_pair = arms[arms["study"].str.startswith("a_b")]
    assert list(in_pair["agent"]) == ["placebo", B_VS_A] * 2
    assert list(in_pair["exposure"]) == [0, 1] * 2
    models = {"consistent": network_spec(), "unrelated means": spec}
    fits = {name: inference.fit(model, evidence) for name, model in models.items()}
    effect = fits["unrelated means"]["posterior"]["effect"].mean(["chain", "draw"]).to_series()
    np.testing.assert_allclose(effect[["a", "b", B_VS_A]], [-2, -3, -1 + 2.0], atol=0.05)
    table = deviance_table(fits, "pain").set_index("model")
    assert list(table["data_points"]) == [12, 12]
    # Baselines 6 and effects 2, or 3: what the normal model spends.
    np.testing.assert_allclose(table["pD"], [8, 9], atol=0.4)
    assert table.loc["consistent", "DIC"] > table.loc["unrelated means", "DIC"] + 5


def test_unrelated_means_over_dose_keep_the_comparator():
    evidence = load_evidence(triangle(0.0, doses=True))
    arms = build_design(unrelated_means(network_spec("linear")), evidence)
    frame = arms[f"{OUTCOMES}/pain"].to_dataset().to_dataframe()
    in_pair = frame[frame["study"] == "a_b_2"]
    assert list(in_pair["agent"]) == ["a", B_VS_A]
    assert list(in_pair["exposure"]) == [2, 2]


@pytest.mark.parametrize(
    ("changes", "parameters", "code"),
    [
        ({"split": ("a", "a")}, {}, "E355"),
        ({"split": ("a", "b"), "effects": "unrelated"}, {}, "E354"),
        ({"effects": "unrelated"}, {"effect": specs.parameter("common")}, "E357"),
        ({"effects": "unrelated"}, {"baseline": specs.parameter("study")}, "E356"),
    ],
)
def test_invalid_inconsistency_specs_are_rejected(changes, parameters, code):
    outcome = specs.outcome("normal", "constant", "none", {"effect": VAGUE} | parameters, **changes)
    assert code in codes_when(lambda: specs.spec(outcome), SpecError)


def test_split_agent_stays_in_its_class():
    slope = specs.parameter("class_and_agent")
    outcome = specs.outcome("normal", "linear", "none", {"slope": slope}, split=("b", "a"))
    spec = specs.spec(outcome, classes={"a": "old", "b": "new"})
    labels = build_design(spec, load_evidence(triangle(0.0)))["labels"].to_dataset()
    classes = labels["class_of_agent"].to_series().to_dict()
    assert classes == {"a": "old", "b": "new", "b" + DIRECT_SUFFIX: "new"}


def test_split_without_evidence_is_rejected():
    evidence = load_evidence(triangle(0.0))
    unknown_agent = split_by_hand(("c", "a"))
    assert codes_when(lambda: build_design(unknown_agent, evidence), SpecError) == ["E403"]
    without_loop = load_evidence(triangle(0.0)[lambda t: ~t["study"].str.startswith("a_b")])
    split = split_by_hand(("b", "a"))
    assert codes_when(lambda: build_design(split, without_loop), SpecError) == ["E415"]
    actions = {
        "E823": lambda: with_node_split(network_spec(), without_loop, ("placebo", "b")),
        "E826": lambda: compare_direct_indirect(network_spec(), without_loop),
        "E825": lambda: inconsistency(linear_fit()),
    }
    for code, action in actions.items():
        assert codes_when(action, SpecError) == [code]


def split_by_hand(pair):
    outcome = specs.outcome("normal", "constant", "none", {"effect": VAGUE}, split=pair)
    return specs.spec(outcome, sampling=EXACT)
