"""The description of pharmacokinetic models before a fit."""

from __future__ import annotations

import pytest
import xarray as xr

import nmda_bayes as nb
from nmda_bayes.design import build_design
from nmda_bayes.design.pk_exposure import pk_models_of_design
from nmda_bayes.report.equations import nominal_exposure_note, pk_model_lines
from tests.estimands.test_regimens import FORTY, spec_of
from tests.model.test_effect_site import READ
from tests.model.test_effect_site import spec_of as at_site
from tests.support import specs


def test_models_uncertainty_and_references_are_listed():
    spec = spec_of("average_concentration_relative_to_reference", "peak_concentration")
    text = "\n".join(pk_model_lines(spec, build_design(spec, nb.load_evidence())))
    assert f"ketamine (any route): Simons2022, arterial plasma; 1 is {FORTY} by iv" in text
    assert "Simons2022: log-normal, log SD V1 0.078" in text
    assert "a 70 kg adult; parameters published" in text


def test_effect_sites_are_listed():
    prior = specs.prior("LogNormal", mu=0.0, sigma=0.5)
    for site, words in (
        (0.2, "half-life 0.2 h, fixed"),
        (prior, "half-life log-normal, median 1 h, log SD"),
    ):
        spec = at_site(site=site)
        text = "\n".join(pk_model_lines(spec, build_design(spec, nb.load_evidence(READ))))
        assert "effect site of pain, s_ketamine: " + words in text


def test_no_lines_for_doses():
    spec = specs.benefit_risk()
    design = build_design(spec, nb.load_evidence(specs.both_tables()))
    assert list(pk_model_lines(spec, design)) == []


@pytest.mark.parametrize(("uncertainty", "noted"), [("published", True), ("fixed", False)])
def test_contrast_arms_keep_published_exposures(uncertainty, noted):
    spec = spec_of("average_concentration_relative_to_reference", "peak_concentration")
    held = spec.pharmacokinetics.model_copy(update={"uncertainty": uncertainty})
    design = build_design(spec, nb.load_evidence())
    kinetics = pk_models_of_design(spec.model_copy(update={"pharmacokinetics": held}), design)
    arms = xr.Dataset({"exposure": ("arm", [0.0, 1.0, 2.0, 1.0]),
                       "report": ("arm", ["contrast", "contrast", "contrast", "arm"])})  # fmt: skip
    assert nominal_exposure_note(kinetics, arms).startswith("2 contrast arms") is noted
    assert nominal_exposure_note(kinetics, arms.isel(arm=[0, 3])) == ""
