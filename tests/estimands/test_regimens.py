"""Answers in regimens, on draws written by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import nmda_bayes as nb
from nmda_bayes.design import build_design
from nmda_bayes.errors import InputError, SpecError
from nmda_bayes.pharmacokinetics import exposures, published_model
from tests import specs
from tests.conftest import draws, faults_when

FORTY, FOUR_HOURS = "0.5 mg/kg over 40 min", "0.5 mg/kg over 4 h"
SLOPE = np.array([-8.0, -10.0, -12.0])
HARM = np.array([0.5, 1.0, 1.5])


def spec_of(benefit: str, harm: str) -> Any:
    pain = specs.outcome(
        "normal", "linear", better="lower", exposure=benefit, measures=["pain_intensity"],
        scale=[0, 100], unit="points", label="Pain",
    )  # fmt: skip
    risk = specs.outcome(
        "binomial", "linear", better="lower", exposure=harm,
        measures=["psychotomimetic_any", "dissociation"], label="Dissociation",
    )  # fmt: skip
    return specs.spec(
        pain, risk, window=specs.WINDOW,
        select={"study": ["Motov2017", "Lovett2021", "Clattenburg2018"]}, disconnected="allow",
        pharmacokinetics={
            "model": {"ketamine": "Simons2022"}, "uncertainty": "published", "body_weight_kg": 70,
            "reference": {"ketamine": {"iv": FORTY}},
        },
    )  # fmt: skip


def fit_of(evidence: Any, benefit: str, harm: str, **kinetic: Any) -> xr.DataTree:
    spec = spec_of(benefit, harm)
    design = build_design(spec, evidence)
    posterior = xr.Dataset(
        {"pain::slope": draws(SLOPE), "harm::slope": draws(HARM)}
        | {f"Simons2022::{symbol}": draws(values) for symbol, values in kinetic.items()}
    )
    tree = {"posterior": posterior}
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": json.dumps(spec.model_dump())}
    return fit


@pytest.fixture(scope="module")
def evidence() -> Any:
    return nb.load_evidence()


@pytest.fixture(scope="module")
def fit(evidence: Any) -> xr.DataTree:
    relative = "_concentration_relative_to_reference"
    return fit_of(evidence, f"average{relative}", f"peak{relative}")


def test_the_same_dose_slower_in_one_call(fit, evidence):
    answer = nb.regimen_response(fit, [FORTY, FOUR_HOURS], agent="ketamine")
    assert answer["response"].dims == ("outcome", "regimen", "chain", "draw")
    model = published_model("Simons2022", evidence)
    ratio = {
        kind: float(exposures(FOUR_HOURS, model, agent="ketamine")[kind][0])
        / float(exposures(FORTY, model, agent="ketamine")[kind][0])
        for kind in ("average_concentration", "peak_concentration")
    }
    assert_allclose(answer["exposure"].sel(outcome="pain"), [1, ratio["average_concentration"]])
    pain = answer["response"].sel(outcome="pain").squeeze("chain")
    assert_allclose(pain.sel(regimen=FORTY), SLOPE)
    assert_allclose(pain.sel(regimen=FOUR_HOURS), SLOPE * ratio["average_concentration"])
    harm = answer["response"].sel(outcome="harm").squeeze("chain")
    odds = 0.05 / 0.95 * np.exp(HARM * ratio["peak_concentration"])
    assert_allclose(harm.sel(regimen=FOUR_HOURS), odds / (1 + odds))


def test_the_words_say_what_the_answer_rests_on(fit):
    answer = nb.regimen_response(fit, [FORTY, "3 mg/kg over 5 min"], agent="ketamine")
    said = nb.regimen_words(answer)
    for words in (
        "95 % equal-tailed intervals", "Simons2022", "0.5 of the dose", "a body of 70 kg",
        "EXTRAPOLATED beyond the trials", "1 trial here", "a baseline of 0.05",
        "the spread between people is not in them", f"1 on a relative axis is {FORTY}",
    ):  # fmt: skip
        assert words in said
    table = nb.regimen_table(answer)
    assert list(table["extrapolated"]) == [False, True] * 2
    # More of it relieves more and disturbs more, in every draw.
    assert list(table["p_better"].dropna()) == [1.0, 0.0]


def test_kinetic_parameters_of_the_posterior_are_in_the_answer(evidence):
    clearance = np.array([50.0, 56.0, 62.0])
    fit = fit_of(evidence, "area", "peak_concentration", CL=clearance)
    long_after = "0.5 mg/kg over 40 min, 3 days"
    answer = nb.regimen_response(fit, [long_after], agent="ketamine")
    area = answer["exposure"].sel(outcome="pain").squeeze(["chain", "regimen"])
    # To infinity: half of three doses of 35 mg, over the clearance of each draw.
    assert_allclose(area, 3 * 35 / 2 / clearance * 1000, rtol=1e-6)
    assert "as far as the trials leave them" in answer.attrs["rests_on"]


def test_a_window_in_regimens_has_its_ridge_and_its_totals(fit):
    window = nb.regimen_window(
        fit, agent="ketamine", rates=[0.1, 0.75, 3.0], hours=[0.5, 2 / 3, 4.0]
    )
    assert window["p_both"].dims == ("hours", "rate")
    at = {"rate": 0.75, "hours": 2 / 3}
    here = window.sel(at)
    assert_allclose(here["total"], 0.5)
    # The reference regimen: 10 points or more in two of three draws; risks are not too high in one.
    odds = 0.05 / 0.95 * np.exp(HARM)
    spared = odds / (1 + odds) - 0.05 <= 0.1
    assert_allclose(here["p_benefit"], np.mean(SLOPE <= -10))
    assert_allclose(here["p_risk"], spared.mean())
    assert_allclose(here["p_both"], np.mean(spared & (SLOPE <= -10)))
    best = window["p_both"].max("rate")
    assert_allclose(window["p_ridge"], best)
    assert set(window["ridge"].to_numpy()) <= {0.1, 0.75, 3.0}
    figure = nb.plot_regimen_window(window)
    assert "highest" in figure.get_label()


@pytest.mark.parametrize(
    ("question", "kind", "words"),
    [
        ({"agent": "ketamin"}, SpecError, ["no agent 'ketamin'", "ketamine"]),
        ({"condition": "crps"}, SpecError, ["no condition 'crps'", "acute_pain"]),
        ({"route": "im"}, InputError, ["no absorption for the route 'im'"]),
        ({"regimens": ["0.5 mg/kg"]}, InputError, ["how long an intravenous dose took"]),
        ({"regimens": ["bolus 0.5 mg/kg"]}, InputError, ["a single dose at once has no length"]),
        ({"regimens": ["-0.5 mg/kg over 1 h"]}, InputError, ["'-0.5'"]),
        ({"regimens": ["0.5 mg/stone over 1 h"]}, InputError, ["mg/stone"]),
    ],
)
def test_a_wrong_question_is_told(fit, question, kind, words):
    asked = {"agent": "ketamine", "regimens": [FORTY]} | question
    regimens = asked.pop("regimens")
    faults = faults_when(lambda: nb.regimen_response(fit, regimens, **asked), kind)
    assert all(word in str(faults[0]) for word in words)


def test_an_axis_of_dose_tells_no_regimens_apart(quick_fit):
    faults = faults_when(
        lambda: nb.regimen_response(quick_fit, [FORTY], agent="ketamine", condition="crps"),
        SpecError,
    )
    assert all("axis of dose" in str(fault) for fault in faults[:2])


def test_a_window_over_doses_asks_for_one_axis(evidence):
    fit = fit_of(evidence, "area", "peak_concentration")
    (fault,) = faults_when(lambda: nb.therapeutic_window(fit), SpecError)
    assert "different axes" in fault.message


def test_one_call_of_the_command_line_says_the_same(fit, monkeypatch):
    from typer.testing import CliRunner

    from nmda_bayes import cli

    monkeypatch.setattr("nmda_bayes.inference.read_fit", lambda folder: fit)
    asked = ["regimens", "a_folder", FORTY, FOUR_HOURS, "--agent"]
    done = CliRunner().invoke(cli.app, [*asked, "ketamine"])
    answer = nb.regimen_response(fit, [FORTY, FOUR_HOURS], agent="ketamine")
    assert done.exit_code == 0
    assert done.output.strip() == nb.regimen_words(answer).strip()
    refused = CliRunner().invoke(cli.app, [*asked, "ketamin"])
    assert refused.exit_code == 2
    assert "no agent 'ketamin'" in refused.output
