"""Responses at a concentration, from draws set by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import nmda_bayes as nb
from nmda_bayes.errors import SpecError
from nmda_bayes.figures import ExternalRange
from nmda_bayes.pk import published_pk_model, summarise_exposure
from tests.estimands.test_regimens import FORTY, HARM, SLOPE, fit_of
from tests.support.issues import codes_when

RELATIVE = "_concentration_relative_to_reference"
GRID = [0.0, 71.0, 285.0]


@pytest.fixture(scope="module")
def evidence() -> Any:
    return nb.load_evidence()


@pytest.fixture(scope="module")
def answer(evidence: Any) -> xr.Dataset:
    fit = fit_of(evidence, f"average{RELATIVE}", "peak_concentration")
    return nb.response_at_concentration(fit, GRID, agent="ketamine")


def test_relative_axis_is_converted_by_reference_regimen(answer, evidence):
    assert answer["response"].dims == ("outcome", "concentration", "chain", "draw")
    assert answer.attrs["analyte"] == "s_ketamine"
    model = published_pk_model("Simons2022", evidence)
    reference = float(
        summarise_exposure(FORTY, model, agent="ketamine")["average_concentration"][0]
    )
    pain = answer["response"].sel(outcome="pain").isel(chain=0)
    assert_allclose(pain.sel(concentration=285.0), SLOPE * 285 / reference, rtol=1e-6)
    harm = answer["response"].sel(outcome="harm").isel(chain=0)
    odds = 0.05 / 0.95 * np.exp(HARM * 71)
    assert_allclose(harm.sel(concentration=71.0), odds / (1 + odds))
    assert_allclose(harm.sel(concentration=0.0), 0.05)


def test_external_ranges_are_marked(answer):
    marks = {
        "harm": [ExternalRange(71, 71, "half of the high")],
        "pain": [ExternalRange(50, 100, "linear")],
    }
    figure = nb.plot_concentration_response(answer, marks)
    pain, harm = figure.axes
    assert pain.get_xlabel() == "S-ketamine, ng/mL"
    assert [text.get_text() for text in harm.texts] == ["a"]
    assert "Pain, a: linear, 50 to 100 ng/mL." in figure.get_label()
    assert "Dissociation, a: half of the high, 71 ng/mL." in figure.get_label()
    assert "not used in the fit" in " ".join(t.get_text() for t in figure.legends[0].get_texts())


@pytest.mark.parametrize(
    ("benefit", "grid", "code"),
    [("area", GRID, "E843"), ("average_concentration", [-1.0], "E805")],
)
def test_areas_and_negative_concentrations_are_rejected(evidence, benefit, grid, code):
    fit = fit_of(evidence, benefit, "peak_concentration")
    codes = codes_when(lambda: nb.response_at_concentration(fit, grid, agent="ketamine"), SpecError)
    assert codes == [code]
