"""Arms read at several hours: a row a reading, with its clocks, its study at the hour, its arm."""

from __future__ import annotations

import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests import specs

#: A is read thrice, once before treatment; B once; C once in one of its arms. Infusions of 2 h.
READ = specs.rows("""
    study arm agent    dose mean se n  time_hours infusion_hours n_administrations
    A     p   placebo  0    60   3  20 -1         2              1
    A     k   ketamine 1    61   3  20 -1         2              1
    A     p   placebo  0    58   3  20 2          2              1
    A     k   ketamine 1    40   4  20 2          2              1
    A     p   placebo  0    55   3  20 26         2              1
    A     k   ketamine 1    50   4  20 26         2              1
    B     p   placebo  0    70   5  12 8          2              1
    B     k   ketamine 2    60   5  12 8          2              1
    C     p   placebo  0    70   5  12 5          2              1
    C     k   ketamine 2    60   5  12 8          2              1
""").drop(columns="arm")
DECAY = {
    "course": "exponential_decay",
    "time": {"rule": "every_reading"},
    "parameters": {"log_half_life": specs.parameter("common", location=specs.normal(2, 1))},
}
REPEATED = {"repeated": {"within_arm_correlation": 0.5}}


def read(outcome=None, **more):
    asked = specs.outcome(**(outcome or DECAY))
    spec = specs.spec(asked, **{"designs": REPEATED, **more})
    return spec, build_design(spec, load_evidence(READ))


def test_every_reading_is_a_row_on_two_clocks():
    _, design = read()
    pain = design["outcomes/pain"].to_dataset()
    assert pain.sizes == {"arm": 6}
    assert pain["arm"].to_numpy().tolist() == [
        "A: placebo, 2 h", "A: ketamine 1, 2 h", "A: placebo, 26 h", "A: ketamine 1, 26 h",
        "B: placebo, 8 h", "B: ketamine 2, 8 h",
    ]  # fmt: skip
    assert_allclose(pain["since"], [2, 2, 26, 26, 8, 8])
    assert_allclose(pain["after"], [0, 0, 24, 24, 6, 6])
    assert pain["reading"].to_numpy().tolist() == [
        *2 * ["A, 2 h"],
        *2 * ["A, 26 h"],
        *2 * ["B, 8 h"],
    ]
    assert_allclose(pain["same_arm"], [1, 1, 1, 1, 0, 0])
    assert_allclose(pain["mean"], [58, 40, 55, 50, 70, 60])


def test_the_arms_of_the_design_are_whole():
    _, design = read()
    arms = design["arms"].to_dataset()["arm"].to_numpy()
    assert arms.tolist() == ["A: placebo", "A: ketamine 1", "B: placebo", "B: ketamine 2"]
    pain = design["outcomes/pain"].to_dataset()
    assert pain["whole_arm"].to_numpy().tolist() == arms[pain["position"].to_numpy()].tolist()


def test_what_does_not_enter_says_why():
    _, design = read()
    gone = design["left_out"].to_dataset().to_dataframe()
    reasons = gone.groupby("study")["reason"].agg(set).to_dict()
    assert reasons == {
        "A": {"read before treatment began"},
        "C": {"one arm left in its study: no difference to learn from"},
    }
    assert len(gone) == 4


def test_one_time_point_still_stands_on_the_clock_of_a_course():
    outcome = {**DECAY, "time": {"rule": "nearest_end_of_treatment"}}
    _, design = read(outcome, designs={})
    pain = design["outcomes/pain"].to_dataset()
    assert_allclose(pain["after"], [0, 0, 6, 6])
    assert "reading" not in pain
    assert pain["arm"].to_numpy().tolist()[0] == "A: placebo"


BAD = {
    "no rule": ({"time": None}, REPEATED, "needs the hours of the readings"),
    "undated": (
        {"time": {"rule": "every_reading", "undated": "window_of_the_end"}},
        REPEATED,
        "has no place on a time course",
    ),
    "nothing said of one's own people": ({}, {}, "whose people are the same"),
    "a correlation above 1": (
        {},
        {"repeated": {"within_arm_correlation": specs.normal(0, 1)}},
        "lies between 0 and 1",
    ),
    "an unknown outcome": (
        {},
        {"repeated": {"within_arm_correlation": 0.5, "as_independent": ["pian"]}},
        "no outcome is called 'pian'",
    ),
    "contrasts alone": (
        {"likelihood": "normal_contrast"},
        REPEATED,
        "has one time point of a study",
    ),
    "an unknown course": ({"course": "decay"}, REPEATED, "unknown course 'decay'"),
    "no prior": ({"parameters": {}}, REPEATED, "'log_half_life' has no prior"),
    "no edges": ({"course": "steps"}, REPEATED, "course 'steps' needs edges"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_spec_that_contradicts_itself_is_refused_with_the_key_and_the_mend(case):
    change, designs, message = BAD[case]
    asked = specs.outcome(**DECAY) | change
    if case == "no prior":
        asked["parameters"] = specs.outcome()["parameters"]
    with pytest.raises(SpecError) as told:
        specs.spec(asked, designs=designs)
    found = [fault for fault in told.value.faults if message in fault.message]
    assert found
    # An unknown word has its mend, the nearest ones, in the message.
    assert all(f.column and (f.mend or "exponential_decay" in f.message) for f in found)


def test_a_half_life_may_be_given_itself():
    half_life = specs.parameter("common", location=specs.prior("LogNormal", mu=2.0, sigma=1.0))
    content = specs.content(specs.outcome(**DECAY), designs=REPEATED)
    parameters = content["outcomes"]["pain"]["parameters"]
    del parameters["log_half_life"]
    parameters["half_life"] = half_life
    spec = specs.spec(content["outcomes"]["pain"], designs=REPEATED)
    assert spec.outcomes["pain"].over_time.parameters == ("log_half_life",)
    assert "half_life" in build_model(spec, load_evidence(READ)).named_vars_to_dims
