"""The effect site: an independent solution of its equation, limits, and invalid values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.errors import InputError
from nmda_bayes.pk import draw_parameters, predict_concentrations, summarise_exposure
from nmda_bayes.pk.exposures import ArmBatch, ArmSchedule
from tests.pk.test_against_equations import (
    LONG,
    SCHEDULE,
    TIMES,
    WEIGHT,
    add_disposition,
    doses,
)
from tests.support.issues import issues_when

#: Half-lives of equilibration, hours: S-ketamine's of pain (Olofsen 2012), magnesium's of blood
#: pressure (ke0 of 0.5/h), and one that is next to a rate of the body.
HALF_LIVES = (11.8 / 60, np.log(2) / 0.5, 2.0)


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize(
    ("name", "analyte"),
    [
        ("Simons2022", "s_ketamine"),
        ("Otto2021", "s_ketamine"),
        ("Domino", "ketamine"),
        ("Du2019Mg", "magnesium_above_baseline"),
        ("BMCPreg2024Mg", "magnesium"),
    ],
)
def test_effect_site_solves_its_equation(published, printed, body, name, analyte, half_life):
    """dE/dt = ke0 · (C − E); blood does not depend on the site."""
    p, model = printed(name, analyte), published[name]
    kg = 85.0 if name == "Du2019Mg" else WEIGHT
    v1 = add_disposition(body, p)
    body.flow("c", "", p["k10"] if "k10" in p else p["CL"] / v1)
    body.watch("c", "site", np.log(2) / half_life)
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    result = predict_concentrations(
        SCHEDULE, model.with_effect_site(half_life), LONG, weight=kg, unit="mg/L"
    )
    assert result.dims == ("analyte", "time")
    assert list(result["analyte"].values) == [analyte]
    expected = solved["site"] / v1
    assert_allclose(result[0], expected, rtol=1e-6, atol=1e-10 * expected.max())


@pytest.mark.parametrize("half_life", HALF_LIVES[:2])
def test_effect_site_after_oral_dose_solves_its_equation(published, printed, body, half_life):
    parent = printed("PerezRuixo2021", "s_ketamine")
    v1 = add_disposition(body, parent)
    body.exchange("c", "liver", parent["Q_hepatic"], v1, parent["V_hepatic"])
    body.flow("liver", "", parent["kel"] + parent["kmet"])
    body.flow("mouth", "liver", parent["ka_oral"])
    body.watch("c", "site", np.log(2) / half_life)
    solved = body.solve([("mouth", 0.0, 0.32, 84 * 0.64)], TIMES)
    model = published["PerezRuixo2021"].with_effect_site(half_life)
    result = predict_concentrations("84 mg", model, TIMES, route="oral", unit="mg/L")
    expected = solved["site"] / v1
    assert_allclose(result[0], expected, rtol=1e-6, atol=1e-10 * expected.max())


def test_slower_effect_site_peaks_later_and_lower(published):
    model = published["Simons2022"]
    text = "0.3 mg/kg over 5 min"
    blood = summarise_exposure(text, model, agent="ketamine", analytes=["s_ketamine"]).isel(
        analyte=0
    )
    sites = [
        summarise_exposure(text, model.with_effect_site(hours), agent="ketamine").isel(analyte=0)
        for hours in (1e-5, 0.1, 1.0)
    ]
    assert_allclose(sites[0]["peak_concentration"], blood["peak_concentration"], rtol=2e-3)
    peaks = [float(site["peak_concentration"]) for site in (blood, *sites[1:])]
    late = [float(site["time_of_peak"]) for site in (blood, *sites[1:])]
    assert peaks == sorted(peaks, reverse=True)
    assert late == sorted(late)
    # What goes in comes out: the site takes nothing from the area.
    for site in sites:
        assert_allclose(site["area"], blood["area"], rtol=1e-9)


def test_effect_site_equals_blood_at_steady_state(published):
    model = published["Domino"]
    month = "10 mg/h for 30 days"
    both = [predict_concentrations(month, m, [720.0]) for m in (model, model.with_effect_site(3.0))]
    assert_allclose(both[1][0], both[0][0], rtol=1e-3)


def test_peak_hours_cover_an_uncertain_half_life(published):
    site = published["Simons2022"].with_effect_site(0.1, 0.7)
    push = ArmSchedule("ketamine", "0.3 mg/kg over 1 min", np.nan)
    batch = ArmBatch.of([push], site, route="iv", weight=WEIGHT)
    assert "effect_site_half_life" in batch.symbols
    drawn = draw_parameters(site, np.random.default_rng(3), 40, variability="typical")
    exact = summarise_exposure(push.schedule, site, agent="ketamine", parameters=drawn)
    values = {s: drawn[s].to_numpy().reshape(-1, 1, 1, 1) for s in batch.symbols}
    peaks = np.ravel(batch.value("peak_concentration", values))
    assert_allclose(peaks, exact["peak_concentration"].isel(analyte=0), rtol=5e-3)


@pytest.mark.parametrize(("hours", "log_sd"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, -1.0)])
def test_invalid_effect_site_is_rejected(published, hours, log_sd):
    model = published["Domino"]
    (issue,) = issues_when(lambda: model.with_effect_site(hours, log_sd), InputError)
    assert issue.code == "E759"
