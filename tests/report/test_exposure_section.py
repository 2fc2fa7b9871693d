"""What the page says of concentrations."""

from __future__ import annotations

import numpy as np
import pytest

import nmda_bayes as nb
from nmda_bayes.report.blocks import Heading, Picture, Text
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.exposure import exposure
from nmda_bayes.report.view import View
from tests.estimands.test_regimens import fit_of

RELATIVE = "_concentration_relative_to_reference"


@pytest.fixture(scope="module")
def blocks():
    fit = fit_of(
        nb.load_evidence(), f"average{RELATIVE}", f"peak{RELATIVE}", CL=np.array([50.0, 56.0, 62.0])
    )
    section = exposure(View(fit), Gallery())
    assert section is not None
    return section.blocks


def test_the_models_their_errors_and_what_is_left_out_stand_first(blocks):
    said = " ".join(block.text for block in blocks if isinstance(block, Text))
    assert "log-normal priors around their published values" in said
    assert "spread between people is not uncertainty" in said
    models = next(block for block in blocks if hasattr(block, "rows"))
    (row,) = models.rows
    assert row[:3] == ("ketamine", "any", "Simons2022")
    assert "0.5 mg/kg over 40 min (iv)" in row


def test_axes_courses_and_the_map_are_drawn(blocks):
    captions = [block.caption for block in blocks if isinstance(block, Picture)]
    assert sum("with what was given" in caption for caption in captions) == 2
    courses = [caption for caption in captions if "was read" in caption]
    assert any("Motov2017" in caption or "Lovett2021" in caption for caption in courses)
    assert any("by rate and duration of an infusion" in caption for caption in captions)
    assert any(isinstance(block, Heading) for block in blocks)


def test_kinetic_parameters_stand_before_and_after(blocks):
    tables = [block for block in blocks if hasattr(block, "rows")]
    learned = next(t for t in tables if "before and after the trials" in t.caption)
    (row,) = learned.rows
    assert row[:2] == ("Simons2022", "CL, L/h")
    # Quantiles of three draws: 50, 56 and 62.
    assert row[3] == "56.0 (50.3 to 61.7)"


def test_an_analysis_on_doses_has_no_such_section(quick_fit):
    assert exposure(View(quick_fit), Gallery()) is None
