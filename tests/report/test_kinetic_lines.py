"""What `show` says of concentrations before anything is fitted."""

from __future__ import annotations

import pytest
import xarray as xr

import nmda_bayes as nb
from nmda_bayes.design import build_design
from nmda_bayes.design.named_models import kinetics_of_design
from nmda_bayes.report.kinetic_lines import kinetic_lines, nominal_line
from tests import specs
from tests.estimands.test_regimens import FORTY, spec_of
from tests.model.test_effect_site import READ
from tests.model.test_effect_site import spec_of as at_site


def test_models_errors_references_and_assumptions_are_told():
    spec = spec_of("average_concentration_relative_to_reference", "peak_concentration")
    said = "\n".join(kinetic_lines(spec, build_design(spec, nb.load_evidence())))
    assert f"ketamine (any route): Simons2022, arterial plasma; 1 is {FORTY} by iv" in said
    assert "Simons2022: log-normal, log SD V1 0.078" in said
    assert "a body of 70 kg; parameters published" in said


def test_effect_sites_are_told():
    prior = specs.prior("LogNormal", mu=0.0, sigma=0.5)
    for site, words in (
        (0.2, "half-life 0.2 h, held"),
        (prior, "half-life log-normal around 1 h, log SD"),
    ):
        spec = at_site(site=site)
        said = "\n".join(kinetic_lines(spec, build_design(spec, nb.load_evidence(READ))))
        assert "effect site of pain, s_ketamine: " + words in said


def test_doses_have_no_such_lines():
    spec = specs.benefit_risk()
    design = build_design(spec, nb.load_evidence(specs.both_tables()))
    assert list(kinetic_lines(spec, design)) == []


@pytest.mark.parametrize(("uncertainty", "said"), [("published", True), ("fixed", False)])
def test_printed_differences_are_said_to_keep_their_exposures(uncertainty, said):
    spec = spec_of("average_concentration_relative_to_reference", "peak_concentration")
    held = spec.pharmacokinetics.model_copy(update={"uncertainty": uncertainty})
    design = build_design(spec, nb.load_evidence())
    kinetics = kinetics_of_design(spec.model_copy(update={"pharmacokinetics": held}), design)
    arms = xr.Dataset({"exposure": ("arm", [0.0, 1.0, 2.0, 1.0]),
                       "report": ("arm", ["contrast", "contrast", "contrast", "arm"])})  # fmt: skip
    words = "2 arms of printed differences keep their exposure at the published values"
    assert (words in nominal_line(kinetics, arms)) is said
    assert nominal_line(kinetics, arms.isel(arm=[0, 3])) == ""
