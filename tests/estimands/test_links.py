"""Natural scales of each likelihood: rate ratios, hazard ratios, risks, effective doses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.components.links import LINKS
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import (
    absolute_risk,
    dose_response,
    effective_dose,
    league_table,
    number_needed,
    study_effects,
)
from nmda_bayes.estimands.effects import NO_SD, ZERO_CELL
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import codes_when

#: Draws of one slope, log ratios per unit of dose.
SLOPE = np.array([-0.5, 0.0, 0.4, 1.0])


def fit_of(likelihood, table):
    outcome = specs.outcome(likelihood, "linear", "none")
    posterior = {"slope": draws(SLOPE), "eta": draws(np.zeros((4, 7)), "arm")}
    return make_fit(specs.spec(outcome), table, posterior)


@pytest.mark.parametrize("name", sorted(LINKS))
def test_inverse_link_inverts_the_link(name):
    value = np.array([0.01, 0.3, 0.97])
    assert_allclose(LINKS[name].inverse(LINKS[name].forward(value)), value, rtol=1e-12)


CONTRASTS = specs.rows("""
    study agent    dose comparator comparator_dose estimate se
    A     ketamine 1    placebo    0               -0.5     0.2
    B     ketamine 2    placebo    0               -0.9     0.3
""")


@pytest.mark.parametrize(
    ("unit", "scale", "unit_of_effects", "natural"),
    [
        ("log OR", "ratio", "odds ratio", np.exp),
        ("log_RR", "ratio", "risk ratio", np.exp),
        ("lnHR", "ratio", "hazard ratio", np.exp),
        ("log IRR", "ratio", "rate ratio", np.exp),
        ("log(OR)", "ratio", "odds ratio", np.exp),
        ("Fisher's z", "correlation", "correlation", np.tanh),
        ("ZCOR", "correlation", "correlation", np.tanh),
        ("SMD", "difference", "SMD", np.asarray),
        ("kg", "difference", "kg", np.asarray),
        ("log ratio or standardised difference", "difference", None, np.asarray),
    ],
)
def test_contrasts_are_reported_on_the_scale_of_their_measure(
    unit, scale, unit_of_effects, natural
):
    outcome = specs.outcome("normal_contrast", "linear", "none", unit=unit)
    posterior = {"slope": draws(SLOPE), "eta": draws(np.zeros((4, 4)), "arm")}
    fit = make_fit(specs.spec(outcome), CONTRASTS, posterior)
    response = dose_response(fit, [0.0, 2.0]).isel(outcome=0, agent=0, condition=0)
    assert response["scale"].item() == scale
    assert response["unit"].item() == (unit_of_effects or unit)
    assert_allclose(response.isel(dose=1).to_numpy().ravel(), natural(2 * SLOPE))
    league = league_table(fit, "pain", {"ketamine": 2.0})
    cell = league["effect"].sel(agent="ketamine", comparator="placebo")
    assert_allclose(cell.to_numpy().ravel(), natural(2 * SLOPE))
    assert league.attrs["null"] == (1.0 if scale == "ratio" else 0.0)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_rates_give_rate_ratios(likelihood):
    fit = fit_of(likelihood, specs.rate_table())
    response = dose_response(fit, [0.0, 2.0])
    assert response["scale"].to_numpy().tolist() == ["ratio"]
    assert response["unit"].to_numpy().tolist() == ["rate ratio"]
    cell = response.isel(outcome=0, agent=0, condition=0)
    assert_allclose(cell.isel(dose=0), 1.0)
    assert_allclose(cell.isel(dose=1).to_numpy().ravel(), np.exp(2 * SLOPE))
    dose = effective_dose(fit, "pain", 1.5, np.linspace(0, 3, 7)).isel(agent=0, condition=0)
    # log(1.5) over the slope, where a rising curve reaches it within 3 units.
    assert_allclose(dose.to_numpy().ravel(), [np.nan, np.nan, *(np.log(1.5) / SLOPE[2:])])
    assert codes_when(lambda: number_needed(fit, "pain", 1.0, 0.1), SpecError) == ["E801"]


def test_raw_rate_ratios():
    effects = study_effects(fit_of("poisson", specs.rate_table()), "pain")
    assert effects.attrs["scale"] == "log rate ratio"
    # A: 4 events in 0.6 against 1 in 0.5; B has none under placebo.
    assert_allclose(effects["raw"][0], np.log((4 / 0.6) / (1 / 0.5)))
    assert_allclose(effects["raw_se"][0], np.sqrt(1 / 4 + 1 / 1))
    assert effects["raw_note"].to_numpy().tolist() == ["", ZERO_CELL, ZERO_CELL, ""]


def test_hazards_give_risks():
    fit = fit_of("binomial_cloglog", specs.follow_up_table())
    response = dose_response(fit, [0.0, 1.0], baseline_risk=0.2)
    assert response["scale"].to_numpy().tolist() == ["risk"]
    cell = response.isel(outcome=0, agent=0, condition=0)
    assert_allclose(cell.isel(dose=0), 0.2)
    # Proportional hazards: survival is the baseline's to the power of the hazard ratio.
    assert_allclose(cell.isel(dose=1).to_numpy().ravel(), 1 - 0.8 ** np.exp(SLOPE))
    assert_allclose(absolute_risk(cell.isel(dose=0) * 0, 0.2, LINKS["cloglog"]), 0.2)
    dose = effective_dose(fit, "pain", 0.3, np.linspace(0, 3, 7), 0.2).isel(agent=0, condition=0)
    needed = np.log(np.log(0.7) / np.log(0.8)) / SLOPE[2:]
    assert_allclose(dose.to_numpy().ravel(), [np.nan, np.nan, *needed])


def test_raw_hazard_ratios():
    effects = study_effects(fit_of("binomial_cloglog", specs.follow_up_table()), "pain")
    assert effects.attrs["scale"] == "log hazard ratio"
    assert_allclose(effects["raw"][0], np.log(np.log(1 - 4 / 20) / np.log(1 - 1 / 20)))
    parts = [p / (20 * (1 - p) * np.log(1 - p) ** 2) for p in (4 / 20, 1 / 20)]
    assert_allclose(effects["raw_se"][0], np.sqrt(sum(parts)))


def test_arm_without_sd_has_no_raw_difference():
    effects = study_effects(fit_of("normal_with_sd", specs.sd_table()), "pain")
    assert effects["raw_note"].to_numpy().tolist() == ["", NO_SD, "", ""]
    assert_allclose(effects["raw"], [-8, np.nan, -14, -3])
    assert_allclose(effects["raw_se"][0], np.sqrt((20**2 + 18**2) / 20))
