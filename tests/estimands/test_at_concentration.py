"""Effects at a concentration, on draws written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import nmda_bayes as nb
from nmda_bayes.errors import SpecError
from nmda_bayes.figures import External
from nmda_bayes.pharmacokinetics import exposures, published_model
from tests.estimands.test_regimens import FORTY, HARM, SLOPE, fit_of

RELATIVE = "_concentration_relative_to_reference"
GRID = [0.0, 71.0, 285.0]


@pytest.fixture(scope="module")
def evidence() -> Any:
    return nb.load_evidence()


@pytest.fixture(scope="module")
def answer(evidence: Any) -> xr.Dataset:
    fit = fit_of(evidence, f"average{RELATIVE}", "peak_concentration")
    return nb.response_at_concentration(fit, GRID, agent="ketamine")


def test_a_relative_axis_is_brought_back_by_the_reference_regimen(answer, evidence):
    assert answer["response"].dims == ("outcome", "concentration", "chain", "draw")
    assert answer.attrs["analyte"] == "s_ketamine"
    model = published_model("Simons2022", evidence)
    one = float(exposures(FORTY, model, agent="ketamine")["average_concentration"][0])
    pain = answer["response"].sel(outcome="pain").isel(chain=0)
    assert_allclose(pain.sel(concentration=285.0), SLOPE * 285 / one, rtol=1e-6)
    harm = answer["response"].sel(outcome="harm").isel(chain=0)
    odds = 0.05 / 0.95 * np.exp(HARM * 71)
    assert_allclose(harm.sel(concentration=71.0), odds / (1 + odds))
    assert_allclose(harm.sel(concentration=0.0), 0.05)


def test_experiments_stand_beside_it(answer):
    marks = {"harm": [External(71, 71, "half of the high")], "pain": [External(50, 100, "linear")]}
    figure = nb.plot_at_concentration(answer, marks)
    pain, harm = figure.axes
    assert pain.get_xlabel() == "s ketamine, ng/mL"
    assert [text.get_text() for text in harm.texts] == ["a"]
    assert "Pain, a: linear, 50 to 100 ng/mL." in figure.get_label()
    assert "Dissociation, a: half of the high, 71 ng/mL." in figure.get_label()
    assert "used by no fit" in " ".join(t.get_text() for t in figure.legends[0].get_texts())


@pytest.mark.parametrize(
    ("benefit", "grid", "words"),
    [("area", GRID, "follows an area"), ("average_concentration", [-1.0], "below 0 or none")],
)
def test_what_is_no_concentration_is_refused(evidence, benefit, grid, words):
    fit = fit_of(evidence, benefit, "peak_concentration")
    with pytest.raises(SpecError, match=words):
        nb.response_at_concentration(fit, grid, agent="ketamine")
