"""Repeated measures: one row per arm and hour, with its clocks and the arm it belongs to."""

from __future__ import annotations

import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.issues import issues_when
from tests.support.specs import DECAY, READ, REPEATED


def repeated(outcome=None, **more):
    spec = specs.spec(specs.outcome(**(outcome or DECAY)), **{"designs": REPEATED, **more})
    return spec, build_design(spec, load_evidence(READ))


def test_a_row_per_arm_and_hour():
    _, design = repeated()
    pain = design["outcomes/pain"].to_dataset()
    assert pain.sizes == {"arm": 6}
    assert pain["arm"].to_numpy().tolist() == [
        "A: placebo, 2 h",
        "A: ketamine 1, 2 h",
        "A: placebo, 26 h",
        "A: ketamine 1, 26 h",
        "B: placebo, 8 h",
        "B: ketamine 2, 8 h",
    ]
    assert_allclose(pain["since"], [2, 2, 26, 26, 8, 8])
    assert_allclose(pain["after"], [0, 0, 24, 24, 6, 6])
    assert pain["reading"].to_numpy().tolist() == [
        *2 * ["A, 2 h"],
        *2 * ["A, 26 h"],
        *2 * ["B, 8 h"],
    ]
    assert_allclose(pain["same_arm"], [1, 1, 1, 1, 0, 0])
    assert_allclose(pain["mean"], [58, 40, 55, 50, 70, 60])


def test_arms_of_the_design_have_no_hour():
    _, design = repeated()
    arms = design["arms"].to_dataset()["arm"].to_numpy()
    assert arms.tolist() == ["A: placebo", "A: ketamine 1", "B: placebo", "B: ketamine 2"]
    pain = design["outcomes/pain"].to_dataset()
    assert pain["parent_arm"].to_numpy().tolist() == arms[pain["position"].to_numpy()].tolist()


def test_excluded_rows():
    _, design = repeated()
    excluded = design["excluded"].to_dataset().to_dataframe()
    steps = excluded.groupby("study")["step"].agg(list).to_dict()
    assert steps == {"A": ["time_point"] * 2, "C": ["comparison_within_study"] * 2}


def test_one_time_point_has_clocks_too():
    outcome = {**DECAY, "time": {"rule": "nearest_end_of_treatment"}}
    _, design = repeated(outcome, designs={})
    pain = design["outcomes/pain"].to_dataset()
    assert_allclose(pain["after"], [0, 0, 6, 6])
    assert "reading" not in pain
    assert pain["arm"].to_numpy().tolist()[0] == "A: placebo"


BAD = {
    "no rule": ({"time": None}, REPEATED, "E335"),
    "missing_time": (
        {"time": {"rule": "all", "missing_time": "review_window"}},
        REPEATED,
        "E336",
    ),
    "no correlation": ({}, {}, "E338"),
    "a correlation above 1": (
        {},
        {"repeated": {"within_arm_correlation": specs.normal(0, 1)}},
        "E318",
    ),
    "an unknown outcome": (
        {},
        {"repeated": {"within_arm_correlation": 0.5, "as_independent": ["pian"]}},
        "E340",
    ),
    "contrasts alone": (
        {"likelihood": "normal_contrast"},
        REPEATED,
        "E337",
    ),
    "an unknown course": ({"course": "decay"}, REPEATED, "E304"),
    "no prior": ({"parameters": {}}, REPEATED, "E310"),
    "no edges": ({"course": "steps"}, REPEATED, "E334"),
}


@pytest.mark.parametrize("case", BAD)
def test_contradictions_of_the_spec(case):
    change, designs, code = BAD[case]
    outcome = specs.outcome(**DECAY) | change
    if case == "no prior":
        outcome["parameters"] = specs.outcome()["parameters"]
    issues = issues_when(lambda: specs.spec(outcome, designs=designs), SpecError)
    assert any(issue.code == code and issue.column for issue in issues)


def test_prior_of_the_half_life_itself():
    half_life = specs.parameter("common", location=specs.prior("LogNormal", mu=2.0, sigma=1.0))
    content = specs.content(specs.outcome(**DECAY), designs=REPEATED)
    parameters = content["outcomes"]["pain"]["parameters"]
    del parameters["log_half_life"]
    parameters["half_life"] = half_life
    spec = specs.spec(content["outcomes"]["pain"], designs=REPEATED)
    assert spec.outcomes["pain"].over_time.parameters == ("log_half_life",)
    assert "half_life" in build_model(spec, load_evidence(READ)).named_vars_to_dims
