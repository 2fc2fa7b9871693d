"""Responses to regimens, from draws set by hand."""

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
from nmda_bayes.estimands.regimens import regimen_table
from nmda_bayes.pk import published_pk_model, summarise_exposure
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

FORTY, FOUR_HOURS = "0.5 mg/kg over 40 min", "0.5 mg/kg over 4 h"
SLOPE = np.array([-8.0, -10.0, -12.0])
HARM = np.array([0.5, 1.0, 1.5])


def spec_of(benefit: str, harm: str) -> Any:
    scale = {"measures": ["pain_intensity"], "scale": [0, 100], "unit": "points"}
    events = {"measures": ["psychotomimetic_any", "dissociation"], "label": "Dissociation"}
    pain = specs.outcome(
        "normal", "linear", better="lower", exposure=benefit, label="Pain", **scale
    )
    risk = specs.outcome("binomial", "linear", better="lower", exposure=harm, **events)
    kinetics = {
        "model": {"ketamine": "Simons2022"},
        "uncertainty": "published",
        "body_weight_kg": 70,
        "reference": {"ketamine": {"iv": FORTY}},
    }
    return specs.spec(
        pain,
        risk,
        window=specs.WINDOW,
        select={"study": ["Motov2017", "Lovett2021", "Clattenburg2018"]},
        disconnected="allow",
        pharmacokinetics=kinetics,
    )


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


def test_same_dose_at_two_rates(fit, evidence):
    answer = nb.regimen_response(fit, [FORTY, FOUR_HOURS], agent="ketamine")
    assert answer["response"].dims == ("outcome", "regimen", "chain", "draw")
    model = published_pk_model("Simons2022", evidence)
    ratio = {
        kind: float(summarise_exposure(FOUR_HOURS, model, agent="ketamine")[kind][0])
        / float(summarise_exposure(FORTY, model, agent="ketamine")[kind][0])
        for kind in ("average_concentration", "peak_concentration")
    }
    assert_allclose(answer["exposure"].sel(outcome="pain"), [1, ratio["average_concentration"]])
    pain = answer["response"].sel(outcome="pain").squeeze("chain")
    assert_allclose(pain.sel(regimen=FORTY), SLOPE)
    assert_allclose(pain.sel(regimen=FOUR_HOURS), SLOPE * ratio["average_concentration"])
    harm = answer["response"].sel(outcome="harm").squeeze("chain")
    odds = 0.05 / 0.95 * np.exp(HARM * ratio["peak_concentration"])
    assert_allclose(harm.sel(regimen=FOUR_HOURS), odds / (1 + odds))


def test_description_states_the_assumptions(fit):
    answer = nb.regimen_response(fit, [FORTY, "3 mg/kg over 5 min"], agent="ketamine")
    text = nb.describe_regimens(answer)
    facts = ("95%", "Simons2022", "0.5 of the dose", "70 kg", "EXTRAPOLATED", "1 trial", FORTY)
    assert [fact for fact in facts if fact not in text] == []
    table = regimen_table(answer)
    assert list(table["extrapolated"]) == [False, True] * 2
    # The larger dose has more benefit and more harm in every draw.
    assert list(table["p_better"].dropna()) == [1.0, 0.0]


def test_posterior_pk_parameters_are_used(evidence):
    clearance = np.array([50.0, 56.0, 62.0])
    fit = fit_of(evidence, "area", "peak_concentration", CL=clearance)
    long_after = "0.5 mg/kg over 40 min, 3 days"
    answer = nb.regimen_response(fit, [long_after], agent="ketamine")
    area = answer["exposure"].sel(outcome="pain").squeeze(["chain", "regimen"])
    # To infinity: half of three doses of 35 mg, over the clearance of each draw.
    assert_allclose(area, 3 * 35 / 2 / clearance * 1000, rtol=1e-6)
    assert "standard errors as priors" in answer.attrs["pk_assumptions"]


def test_regimen_window_has_ridge_and_totals(fit):
    window = nb.regimen_window(
        fit, agent="ketamine", rates=[0.1, 0.75, 3.0], hours=[0.5, 2 / 3, 4.0]
    )
    assert window["p_both"].dims == ("hours", "rate")
    cell = window.sel({"rate": 0.75, "hours": 2 / 3})
    assert_allclose(cell["total"], 0.5)
    # The reference regimen: 10 points or more in two of three draws; acceptable risk in one.
    odds = 0.05 / 0.95 * np.exp(HARM)
    is_safe = odds / (1 + odds) - 0.05 <= 0.1
    assert_allclose(cell["p_benefit"], np.mean(SLOPE <= -10))
    assert_allclose(cell["p_risk"], is_safe.mean())
    assert_allclose(cell["p_both"], np.mean(is_safe & (SLOPE <= -10)))
    best = window["p_both"].max("rate")
    assert_allclose(window["p_ridge"], best)
    assert set(window["ridge"].to_numpy()) <= {0.1, 0.75, 3.0}
    figure = nb.figures.plot_regimen_window(window)
    assert "highest" in figure.get_label()


@pytest.mark.parametrize(
    ("change", "kind", "code", "names"),
    [
        ({"agent": "ketamin"}, SpecError, "E800", ["ketamin", "ketamine"]),
        ({"condition": "crps"}, SpecError, "E800", ["crps", "acute_pain"]),
        ({"route": "im"}, InputError, "E755", ["im"]),
        ({"regimens": ["0.5 mg/kg"]}, InputError, "E757", ["0.5 mg/kg"]),
        ({"regimens": ["bolus 0.5 mg/kg"]}, InputError, "E840", ["bolus 0.5 mg/kg"]),
        ({"regimens": ["-0.5 mg/kg over 1 h"]}, InputError, "E700", ["'-0.5'"]),
        ({"regimens": ["0.5 mg/stone over 1 h"]}, InputError, "E700", ["mg/stone"]),
    ],
)
def test_invalid_query_is_rejected(fit, change, kind, code, names):
    arguments = {"agent": "ketamine", "regimens": [FORTY]} | change
    regimens = arguments.pop("regimens")
    issue, *_ = issues_when(lambda: nb.regimen_response(fit, regimens, **arguments), kind)
    assert issue.code == code
    assert all(name in str(issue) for name in names)


def test_dose_exposure_is_rejected(quick_fit):
    issues = issues_when(
        lambda: nb.regimen_response(quick_fit, [FORTY], agent="ketamine", condition="crps"),
        SpecError,
    )
    assert [(issue.code, issue.column) for issue in issues[:2]] == [
        ("E841", "outcomes.pain.exposure"),
        ("E841", "outcomes.harm.exposure"),
    ]


def test_effects_without_any_dose_are_rejected():
    outcome = specs.outcome("normal", "constant", "none")
    spec = specs.spec(outcome)
    table = specs.rows("""
        study agent    dose mean se
        A     placebo  0    50   2
        A     ketamine 1    42   2
    """).assign(outcome="pain")
    fit = make_fit(spec, table, {"effect": draws([[1.0], [2.0]], "agent", agent=["ketamine"])})
    (issue,) = issues_when(lambda: nb.regimen_response(fit, [FORTY], agent="ketamine"), SpecError)
    assert (issue.code, issue.column) == ("E841", "exposure")


def test_window_over_different_dose_axes_is_rejected(evidence):
    fit = fit_of(evidence, "area", "peak_concentration")
    (issue,) = issues_when(lambda: nb.therapeutic_window(fit), SpecError)
    assert issue.code == "E808"


def test_command_line_prints_the_description(fit, monkeypatch):
    from typer.testing import CliRunner

    from nmda_bayes import cli

    monkeypatch.setattr("nmda_bayes.inference.read_fit", lambda folder: fit)
    command = ["regimens", "a_folder", FORTY, FOUR_HOURS, "--agent"]
    done = CliRunner().invoke(cli.app, [*command, "ketamine"])
    answer = nb.regimen_response(fit, [FORTY, FOUR_HOURS], agent="ketamine")
    assert done.exit_code == 0
    assert done.output.strip() == nb.describe_regimens(answer).strip()
    failed = CliRunner().invoke(cli.app, [*command, "ketamin"])
    assert failed.exit_code == 2
    assert "E800" in failed.output
