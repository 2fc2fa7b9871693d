"""Contrasts and responders at an hour, combined with arms measured at several hours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model_from_design
from tests.support import specs
from tests.support.fits import value_of
from tests.support.specs import DECAY, READ, REPEATED

#: D reports contrasts at 5 and 26 hours, E responders at 2 and 8: infusions of 2 h.
DIFFERENCES = specs.rows("""
    study agent    dose comparator comparator_dose estimate se time_hours infusion_hours
    D     ketamine 1    placebo    0               -9       3  5          2
    D     ketamine 1    placebo    0               -4       3  26         2
""").assign(outcome="pain", n_administrations=1, treatment_days=1)
COUNTS = specs.rows("""
    study agent    dose events n  time_hours infusion_hours n_administrations
    E     placebo  0    4      20 8          2              1
    E     ketamine 1    9      20 8          2              1
    E     placebo  0    5      20 2          2              1
    E     ketamine 1    11     20 2          2              1
""").assign(outcome="half")
DROP = 2 ** (-np.array([3.0, 0.0]) / 8.0)


def made(rule="all", designs=None):
    forms = {"contrasts": {"effects": ["unnamed"]}, "responders": {"measures": {"half": "50 %"}}}
    outcome = specs.outcome(
        "normal",
        "linear",
        "arm",
        DECAY["parameters"],
        course=DECAY["course"],
        better="lower",
        time={"rule": rule},
        **forms,
    )
    outcome["parameters"]["responder_sd"] = specs.parameter(location=specs.half_normal(20))
    outcome["parameters"]["starting_level"] = specs.parameter(
        "independent", each=specs.normal(60, 10)
    )
    spec = specs.spec(outcome, designs=REPEATED if designs is None else designs)
    rows = pd.concat([READ.assign(outcome="pain"), DIFFERENCES, COUNTS], ignore_index=True)
    return spec, build_design(spec, load_evidence(rows))


def test_hours_of_each_data_type():
    _, design = made()
    pain = design["outcomes/pain"].to_dataset()
    hours, report = pain["after"].to_numpy(), pain["report"].to_numpy()
    after = {form: hours[report == form] for form in set(report)}
    assert_allclose(after["arm"], [0, 0, 24, 24, 6, 6])
    assert_allclose(after["contrast"], [3, 3])
    assert_allclose(after["responders"], [0, 0])
    assert pain.sizes["contrast"] == 1
    assert_allclose(pain["estimate"], -9)
    assert pain["events"].to_numpy()[-2:].tolist() == [5, 11]
    excluded = design["excluded"].to_dataset().to_dataframe()
    assert set(excluded.loc[excluded["study"].isin(["D", "E"]), "reason"]) == {
        "another time point is used: most arms, then the earliest"
    }


@pytest.mark.parametrize("rule", ["all", "nearest_end_of_treatment"])
def test_predictions_follow_the_time_course(rule):
    spec, design = made(rule, None if rule == "all" else {})
    model = build_model_from_design(spec, design)
    point = model.initial_point() | {
        "slope": -12.0,
        "log_half_life": np.log(8.0),
        "starting_level": np.array([65.0]),
        "responder_sd_log__": np.log(18.0),
    }
    eta = value_of(model, "eta", point)
    report = design["outcomes/pain"].to_dataset()["report"].to_numpy()
    contrast, counted = eta[report == "contrast"], eta[report == "responders"]
    assert_allclose(abs(np.diff(contrast)), 12 * DROP[0], rtol=1e-12)
    assert_allclose(np.diff(counted), -12 * DROP[1], rtol=1e-12)
    names = [model["reported_contrasts"], model["reported_responders"]]
    difference, responders = model.compile_logp(vars=names, sum=False)(point)
    assert_allclose(difference, stats.norm.logpdf(-9, -12 * DROP[0], 3), rtol=1e-12)
    share = stats.norm.cdf((65 / 2 - counted) / 18)
    assert_allclose(responders, stats.binom.logpmf([5, 11], 20, share), rtol=1e-9)
