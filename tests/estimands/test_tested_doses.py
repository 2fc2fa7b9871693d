"""Which doses were tested where, the commonest of them, and doses in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.estimands import commonest_dose, comparison_doses, dose_range
from nmda_bayes.estimands import tested_doses as list_tested_doses
from nmda_bayes.estimands.response import dose_response, effects_at_dose
from nmda_bayes.estimands.tested_doses import (
    DIGITS,
    MAX_REPORTED,
    default_dose_grid,
    dose_interval_words,
    dose_words,
    exposure_axis_label,
    is_tested,
    reported_doses,
)
from tests.estimands.conftest import PAIN, linear_fit
from tests.support import specs
from tests.support.fits import draws, make_fit

SLOPE = {"slope": specs.parameter("agent")}
#: Ketamine at 0.5 three times in crps, once at 1 in acute pain; mem at 20 and 40 in acute pain.
TABLE = specs.rows("""
    study condition agent    dose mean se n
    A     crps      placebo  0    50   2  20
    A     crps      ketamine 0.5  42   2  20
    B     crps      placebo  0    55   3  30
    B     crps      ketamine 0.5  52   3  31
    B     crps      ketamine 0.1  53   3  31
    C     crps      placebo  0    55   3  30
    C     crps      ketamine 0.5  51   3  31
    D     acute     placebo  0    60   4  25
    D     acute     ketamine 1    57   4  200
    E     acute     placebo  0    60   4  25
    E     acute     mem      20   57   4  24
    F     acute     placebo  0    60   4  25
    F     acute     mem      40   57   4  30
""")


def fit_of(table: pd.DataFrame = TABLE, unit: str = "mg/kg", **outcome) -> xr.DataTree:
    spec = specs.spec(specs.outcome("normal", "linear", "none", SLOPE, unit="points", **outcome))
    agents = sorted(set(table["agent"]) - {"placebo"})
    slopes = draws(np.tile(PAIN[:, :1], (1, len(agents))), "agent", agent=agents)
    table = table.assign(outcome="pain")
    return make_fit(spec, table.assign(dose_unit=unit) if unit else table, {"slope": slopes})


def test_tested_doses_are_per_agent_and_condition():
    tested = list_tested_doses(fit_of())
    cells = tested.groupby(["agent", "condition"])["dose"].agg(list).to_dict()
    assert cells == {
        ("ketamine", "acute"): [1.0],
        ("ketamine", "crps"): [0.1, 0.5],
        ("mem", "acute"): [20.0, 40.0],
    }
    ranges = dose_range(fit_of())
    assert ranges["tested_from"].dims == ranges["tested_to"].dims == ranges["trials"].dims
    of_ketamine = ranges["tested_to"].sel(outcome="pain", agent="ketamine").to_series()
    assert of_ketamine.to_dict() == {"acute": 1.0, "crps": 0.5}
    assert np.isnan(ranges["tested_to"].sel(outcome="pain", agent="mem", condition="crps"))


def test_curves_are_extrapolated_by_the_doses_of_their_condition():
    flags = dose_response(fit_of(), [0.0, 0.5, 1.0]).sel(outcome="pain")["extrapolated"]
    assert flags.sel(agent="ketamine", condition="crps").to_numpy().tolist() == [False, False, True]
    assert flags.sel(agent="ketamine", condition="acute").to_numpy().tolist() == [False] * 3
    assert flags.sel(agent="mem", condition="crps").all()


def test_the_commonest_dose_is_no_number_of_its_own():
    tested = list_tested_doses(fit_of())
    # Never 1 because the number 1 occurs, nor the middle of the distinct doses.
    assert commonest_dose(tested, "pain", "ketamine") == 0.5
    assert commonest_dose(tested, "pain", "ketamine", "crps") == 0.5
    assert commonest_dose(tested, "pain", "ketamine", "acute") == 1.0
    # A tie of arms is decided by people; without a trial in the condition, by all conditions.
    assert commonest_dose(tested, "pain", "mem", "acute") == 40.0
    assert commonest_dose(tested, "pain", "mem", "crps") == 40.0
    assert np.isnan(commonest_dose(tested, "pain", "other"))
    tied = tested.assign(people=0.0)
    assert commonest_dose(tied, "pain", "mem", "acute") == 20.0


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.floats(0.01, 100).map(lambda dose: float(f"{dose:.3g}")),
        st.tuples(st.integers(1, 9), st.integers(0, 500)),
        min_size=1,
        max_size=12,
    )
)
def test_reported_doses_are_tested_and_hold_the_commonest(counts):
    rows = [
        {"outcome": "pain", "agent": "a", "condition": "c", "dose": dose, "arms": arms, "people": n}
        for dose, (arms, n) in counts.items()
    ]
    tested = pd.DataFrame(rows)
    shown, main = (f(tested, "pain", "a", "c") for f in (reported_doses, commonest_dose))
    assert set(shown) <= set(counts)
    assert main in shown
    assert {min(counts), max(counts)} <= set(shown)
    assert len(shown) <= MAX_REPORTED
    most = max(arms for arms, _ in counts.values())
    people = max(n for arms, n in counts.values() if arms == most)
    assert main == min(dose for dose, known in counts.items() if known == (most, people))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.floats(0.01, 100).map(lambda dose: float(f"{dose:.{DIGITS}g}")),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_the_grid_marks_only_tested_doses(doses):
    rows = [
        {"study": f"S{i}", "condition": "c", "agent": agent, "dose": x, "mean": 50, "se": 1, "n": 9}
        for i, dose in enumerate(doses)
        for agent, x in (("placebo", 0.0), ("ketamine", dose))
    ]
    fit = fit_of(pd.DataFrame(rows))
    grid = default_dose_grid(fit).to_numpy()
    assert (np.diff(grid) > 0).all()
    marked = grid[is_tested(fit, grid).squeeze().to_numpy()]
    assert len(marked) >= 1
    assert all(np.isclose(doses, dose, rtol=1e-4).any() for dose in marked)
    assert np.isclose(marked.max(), max(doses), rtol=1e-4)


def test_comparisons_are_at_the_commonest_dose_of_each_agent():
    fit = fit_of()
    assert comparison_doses(fit, "pain", ["ketamine", "mem"]) == {"ketamine": 0.5, "mem": 40.0}
    effects = effects_at_dose(fit, "pain", {"ketamine": 0.3, "mem": 40.0})
    assert effects["dose_text"].to_series().to_dict() == {
        "placebo": "",
        "ketamine": "0.3 mg/kg",
        "mem": "40 mg/kg",
    }
    assert effects["tested"].to_series().to_dict() == {
        "placebo": True,
        "ketamine": False,
        "mem": True,
    }


@pytest.mark.parametrize(
    ("unit", "text", "axis"),
    [
        ("mg/kg", "0.5 mg/kg", "dose (mg/kg)"),
        ("mg_per_kg", "0.5 mg/kg", "dose (mg/kg)"),
        ("", "0.5 (unit not stated)", "dose (unit not stated)"),
    ],
)
def test_a_dose_has_the_unit_of_the_table(unit, text, axis):
    fit = fit_of(unit=unit)
    assert dose_words(fit, "pain", "ketamine", 0.5) == text
    assert exposure_axis_label(fit) == axis


def test_units_that_differ_between_agents_are_named_by_agent():
    table = TABLE.assign(
        dose_unit=TABLE["agent"].map({"ketamine": "mg/kg", "mem": "mg"}).fillna("")
    )
    fit = fit_of(table, unit="")
    assert dose_words(fit, "pain", "mem", 20) == "20 mg"
    assert exposure_axis_label(fit) == "dose (ketamine: mg/kg; mem: mg)"


def test_a_multiple_states_the_dose_that_it_stands_for():
    fit = fit_of(exposure="dose")
    labels = (
        fit["design/labels"]
        .to_dataset()
        .assign(
            reference_dose=("agent", [0.5, np.nan]),
            reference_unit=("agent", ["mg/kg IV", ""]),
            reference_text=("agent", ["0.5 mg/kg IV", "20 mg oral; 10 mg IV"]),
        )
    )
    fit["design/labels"] = xr.DataTree(labels)
    fit.attrs["spec"] = fit.attrs["spec"].replace(
        '"exposure": "dose"', '"exposure": "dose_relative_to_reference"'
    )
    assert dose_words(fit, "pain", "ketamine", 1) == "0.5 mg/kg IV (1 × reference)"
    assert dose_words(fit, "pain", "ketamine", 3) == "1.5 mg/kg IV (3 × reference)"
    assert dose_words(fit, "pain", "mem", 2) == "2 × reference (1 × = 20 mg oral; 10 mg IV)"
    interval = dose_interval_words(fit, "pain", "ketamine", (1, 2, 4))
    assert interval == "1 (0.5 to 2) mg/kg IV; 2 (1 to 4) × reference"
    assert comparison_doses(fit, "pain", ["ketamine", "mem"]) == {"ketamine": 1.0, "mem": 1.0}


def test_agents_and_conditions_are_written_alike():
    table = TABLE.replace({"agent": {"mem": "s_ketamine"}})
    labels = fit_of(table)["design/labels"].to_dataset()
    assert labels["agent_label"].to_series().to_dict() == {
        "ketamine": "ketamine",
        "s_ketamine": "S-ketamine",
    }


def test_people_of_arms_are_kept_with_the_design():
    arms = linear_fit()["design/arms"].to_dataset()
    assert arms["n_randomised"].to_numpy().tolist() == [20, 20, 30, 31, 29, 25, 24]
