"""The section on doses and concentrations."""

from __future__ import annotations

import numpy as np
import pytest

import nmda_bayes as nb
from nmda_bayes.report.blocks import Heading, Picture, Text
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.sections.evidence import exposure_section
from tests.estimands.test_regimens import fit_of

RELATIVE = "_concentration_relative_to_reference"


@pytest.fixture(scope="module")
def blocks():
    fit = fit_of(
        nb.load_evidence(), f"average{RELATIVE}", f"peak{RELATIVE}", CL=np.array([50.0, 56.0, 62.0])
    )
    section = exposure_section(ReportContext(fit))
    assert section is not None
    return section.blocks


def test_models_and_their_uncertainty(blocks):
    text = " ".join(block.text for block in blocks if isinstance(block, Text))
    assert "log-normal priors with their published values" in text
    assert "between-person variability is not included" in text
    models = next(block for block in blocks if hasattr(block, "rows"))
    (row,) = models.rows
    assert row[:3] == ("ketamine", "any", "Simons2022")
    assert "0.5 mg/kg over 40 min (iv)" in row


def test_axes_concentrations_and_window_are_drawn(blocks):
    captions = [block.caption for block in blocks if isinstance(block, Picture)]
    assert sum("with their regimens" in caption for caption in captions) == 2
    courses = [caption for caption in captions if "predicted by" in caption]
    assert any("Motov2017" in caption or "Lovett2021" in caption for caption in courses)
    assert any("by rate and duration of an infusion" in caption for caption in captions)
    assert any(isinstance(block, Heading) for block in blocks)


def test_prior_and_posterior_of_pk_parameters(blocks):
    tables = [block for block in blocks if hasattr(block, "rows")]
    learned = next(t for t in tables if "prior and posterior" in t.caption)
    (row,) = learned.rows
    assert row[:2] == ("Simons2022", "CL, L/h")
    # Quantiles of three draws: 50, 56 and 62.
    assert row[3] == "56.0 (50.3 to 61.7)"


def test_no_section_for_doses(quick_fit):
    assert exposure_section(ReportContext(quick_fit)) is None
