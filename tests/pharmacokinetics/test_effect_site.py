"""The effect site: an independent solution of its equation, limits, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.errors import InputError
from nmda_bayes.pharmacokinetics import concentration, draw_parameters, exposures
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from tests.conftest import faults_when
from tests.pharmacokinetics.test_against_equations import (
    LONG,
    SCHEDULE,
    TIMES,
    WEIGHT,
    add_disposition,
    doses,
)

#: Half-lives of equilibration, hours: S-ketamine's of pain (Olofsen 2012), magnesium's of blood
#: pressure (ke0 of 0.5/h), and one that is next to a rate of the body.
HALF_LIVES = (11.8 / 60, np.log(2) / 0.5, 2.0)


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize(
    ("name", "analyte"),
    [
        *(("Simons2022", "s_ketamine"), ("Otto2021", "s_ketamine"), ("Domino", "ketamine")),
        *(("Du2019Mg", "magnesium_above_baseline"), ("BMCPreg2024Mg", "magnesium")),
    ],
)
def test_the_site_solves_its_equation(published, printed, body, name, analyte, half_life):
    """dE/dt = ke0 · (C − E), beside blood that does not know of it."""
    p, model = printed(name, analyte), published[name]
    kg = 85.0 if name == "Du2019Mg" else WEIGHT
    v1 = add_disposition(body, p)
    body.flow("c", "", p["k10"] if "k10" in p else p["CL"] / v1)
    body.watch("c", "site", np.log(2) / half_life)
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    found = concentration(SCHEDULE, model.with_effect_site(half_life), LONG, weight=kg, unit="mg/L")
    assert found.dims == ("analyte", "time")
    assert list(found["analyte"].values) == [analyte]
    expected = solved["site"] / v1
    assert_allclose(found[0], expected, rtol=1e-6, atol=1e-10 * expected.max())


@pytest.mark.parametrize("half_life", HALF_LIVES[:2])
def test_after_a_spray_it_solves_its_equation(published, printed, body, half_life):
    parent = printed("PerezRuixo2021", "s_ketamine")
    v1 = add_disposition(body, parent)
    body.exchange("c", "liver", parent["Q_hepatic"], v1, parent["V_hepatic"])
    body.flow("liver", "", parent["kel"] + parent["kmet"])
    body.flow("mouth", "liver", parent["ka_oral"])
    body.watch("c", "site", np.log(2) / half_life)
    solved = body.solve([("mouth", 0.0, 0.32, 84 * 0.64)], TIMES)
    model = published["PerezRuixo2021"].with_effect_site(half_life)
    found = concentration("84 mg", model, TIMES, route="oral", unit="mg/L")
    expected = solved["site"] / v1
    assert_allclose(found[0], expected, rtol=1e-6, atol=1e-10 * expected.max())


def test_fast_it_is_blood_and_slow_it_comes_late_and_low(published):
    model = published["Simons2022"]
    text = "0.3 mg/kg over 5 min"
    blood = exposures(text, model, agent="ketamine", analytes=["s_ketamine"]).isel(analyte=0)
    sites = [
        exposures(text, model.with_effect_site(hours), agent="ketamine").isel(analyte=0)
        for hours in (1e-5, 0.1, 1.0)
    ]
    assert_allclose(sites[0]["peak_concentration"], blood["peak_concentration"], rtol=2e-3)
    peaks = [float(one["peak_concentration"]) for one in (blood, *sites[1:])]
    late = [float(one["time_of_peak"]) for one in (blood, *sites[1:])]
    assert peaks == sorted(peaks, reverse=True)
    assert late == sorted(late)
    # What goes in comes out: the site takes nothing from the area.
    for one in sites:
        assert_allclose(one["area"], blood["area"], rtol=1e-9)


def test_at_a_steady_state_the_site_is_blood(published):
    model = published["Domino"]
    month = "10 mg/h for 30 days"
    both = [concentration(month, m, [720.0]) for m in (model, model.with_effect_site(3.0))]
    assert_allclose(both[1][0], both[0][0], rtol=1e-3)


def test_hours_of_a_peak_hold_it_for_a_half_life_known_to_a_factor_of_four(published):
    """Nine hours, as blood has, missed it by up to 9 %."""
    site = published["Simons2022"].with_effect_site(0.1, 0.7)
    push = Read("ketamine", "0.3 mg/kg over 1 min", np.nan)
    readings = Readings.of([push], site, route="iv", weight=WEIGHT)
    assert "effect_site_half_life" in readings.symbols
    drawn = draw_parameters(site, np.random.default_rng(3), 40, of="typical")
    exact = exposures(push.schedule, site, agent="ketamine", parameters=drawn)
    at = {s: drawn[s].to_numpy().reshape(-1, 1, 1, 1) for s in readings.symbols}
    found = np.ravel(readings.value("peak_concentration", at))
    assert_allclose(found, exact["peak_concentration"].isel(analyte=0), rtol=5e-3)


@pytest.mark.parametrize(("hours", "log_sd"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, -1.0)])
def test_a_site_that_cannot_be_is_refused(published, hours, log_sd):
    ask = published["Domino"].with_effect_site
    faults = faults_when(lambda: ask(hours, log_sd), InputError)
    assert "cannot be" in faults[0].message
    assert "above 0" in faults[0].mend
