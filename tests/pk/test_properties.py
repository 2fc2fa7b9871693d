"""Properties of any linear model: sums, mass balance, limits; and the same in a graph."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from nmda_bayes.pk import draw_parameters, predict_concentrations, summarise_exposure
from nmda_bayes.pk.responses import DoseSeries, dose_series, impulse_responses, superpose
from nmda_bayes.regimens import parse_regimen

HOURS = np.linspace(0, 40, 161)
#: No rewriting: compiling costs more than the two calls.
AS_WRITTEN = pytensor.compile.mode.Mode(linker="py", optimizer=None)
INTRAVENOUS = [
    "Domino",
    "Clements1981",
    "Hijazi2003",
    "Kamp2020meta",
    "Herd2007",
    "Hornik2018",
    "Flint2017",
    "Simons2022",
    "Otto2021",
    "PerezRuixo2021",
    "Du2019Mg",
    "ClinPK2002Mg",
    "BMCPreg2024Mg",
    "daCosta2020Mg",
    "Salinger2013Mg",
]


def clearance(p) -> float:
    """Plasma clearance, from the published parameters by hand."""
    if "k10" in p:
        return p["V1"] * p["k10"]
    if "CL" in p:
        return p["CL"]
    inner = p["V_hepatic"] * (p["kel"] + p["kmet"])
    return p["Q_hepatic"] * inner / (p["Q_hepatic"] + inner)


@pytest.mark.parametrize("name", INTRAVENOUS)
def test_area_times_clearance_is_the_dose(published, name):
    model = published[name]
    p = model.values(61.0)[model.analyte]
    result = summarise_exposure("50 mg over 40 min", model, weight=61.0, unit="mg/L")
    np.testing.assert_allclose(result["area"][0] * clearance(p), 50, rtol=1e-9)


def test_area_of_a_metabolite_is_dose_over_clearance(published):
    """Otto 2021: all S-ketamine becomes S-norketamine, so its area too is dose / clearance."""
    model = published["Otto2021"]
    result = summarise_exposure("50 mg over 40 min", model, unit="mg/L")["area"]
    assert result.dims == ("analyte",)
    np.testing.assert_allclose(result.sel(analyte="s_norketamine") * 57.7, 50, rtol=1e-9)


def test_area_is_additive_and_equals_the_integral(published):
    model = published["Simons2022"]
    text = "bolus 5 mg, then 20 mg/h for 2 h, every 12 h, 3 times"
    fine = np.linspace(3.0, 11.9, 20_001)
    parts = summarise_exposure(text, model, over=(3.0, 11.9), unit="mg/L", analytes=("s_ketamine",))
    curve = predict_concentrations(text, model, fine, unit="mg/L", analytes=("s_ketamine",))
    np.testing.assert_allclose(parts["area_over"], curve.integrate("time"), rtol=1e-6)
    both = [
        summarise_exposure(text, model, over=span, unit="mg/L")["area_over"]
        for span in ((0.0, 7.0), (7.0, 1e5))
    ]
    np.testing.assert_allclose(
        both[0] + both[1], summarise_exposure(text, model, unit="mg/L")["area"], rtol=1e-9
    )


@pytest.mark.parametrize("name", ["Simons2022", "PerezRuixo2021", "Domino"])
def test_doses_add_up(published, name):
    model = published[name]
    whole = predict_concentrations("bolus 20 mg, then 10 mg over 3 h, 3 days", model, HOURS)
    parts = sum(
        predict_concentrations(text, model, HOURS - 24 * day)
        .where(xr_at_least(HOURS, 24 * day), 0.0)
        .assign_coords(time=HOURS)
        for day in range(2)
        for text in ("bolus 20 mg", "10 mg over 3 h")
    )
    np.testing.assert_allclose(whole, parts, rtol=1e-10, atol=1e-9)


def xr_at_least(hours, start):
    return np.asarray(hours) >= start


def test_dose_series_equals_sum_over_events(published):
    """Geometric series against the sum over 90 events."""
    model = published["Salinger2013Mg"]
    regimen = parse_regimen("13.5 mg, 3 times a day, 30 days")
    (series,) = dose_series(regimen)
    assert (series.n, series.interval) == (90, 8.0)
    responses = impulse_responses(model, model.values(70.0), "im")["magnesium"]
    times = np.array([0.0, 3.3, 8.0, 100.0, 712.0, 800.0])
    together = superpose(responses, [DoseSeries(0.0, 0.0, 13.5, 90, 8.0)], times)
    alone = superpose(responses, [DoseSeries(8.0 * k, 0.0, 13.5) for k in range(90)], times)
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-15)


def test_dose_series_contain_every_event():
    for text in (
        "5 mg, 2 times a day, 7 days; 10 mg, 2 times a day, 49 days",
        "bolus 0.1 mg/kg, then 0.1 mg/kg over 1 h, then 0.1 mg/kg over 1 h, 4 days",
        "0.8 mg/kg over 40 min, every 7 days, 3 times",
    ):
        regimen = parse_regimen(text).for_weight(70)
        events = sorted((e.start_hours, e.amount) for e in regimen.events())
        expanded = sorted(
            (s.start + k * s.interval, s.amount) for s in dose_series(regimen) for k in range(s.n)
        )
        np.testing.assert_allclose(expanded, events, rtol=1e-12)


@pytest.mark.parametrize("name", ["Domino", "Simons2022", "Salinger2013Mg"])
def test_short_infusion_approaches_a_bolus(published, name):
    times = np.array([0.3, 1.0, 5.0, 20.0])
    bolus = predict_concentrations("bolus 30 mg", published[name], times)
    brief = predict_concentrations("30 mg over 1e-9 h", published[name], times)
    np.testing.assert_allclose(brief, bolus, rtol=1e-6)
    # And a second of it is already near: the limit is approached, not jumped to.
    second = predict_concentrations("30 mg over 1 s", published[name], times)
    np.testing.assert_allclose(second, bolus, rtol=2e-3)


def test_bolus_starts_at_dose_over_volume(published):
    result = predict_concentrations("bolus 30 mg", published["Domino"], [0.0], unit="mg/L")
    assert float(result[0, 0]) == pytest.approx(30 / 4.41, rel=1e-12)
    assert predict_concentrations("bolus 30 mg", published["Domino"], [-1.0])[0, 0] == 0


@pytest.mark.parametrize("name", INTRAVENOUS)
def test_long_infusion_reaches_rate_over_clearance(published, name):
    model = published[name]
    p = model.values(70.0)[model.analyte]
    result = predict_concentrations("10 mg/h for 3000 h", model, [2999.0], unit="mg/L")[0, 0]
    steady = 10 / clearance(p) + p.get("baseline", 0.0)
    np.testing.assert_allclose(result, steady, rtol=1e-9)


def test_weight_cancels_in_a_proportional_model(published):
    """Domino scales all by weight: mg/kg gives one concentration for every body."""
    light, heavy = (
        predict_concentrations("0.5 mg/kg over 40 min", published["Domino"], HOURS, weight=kg)
        for kg in (40.0, 110.0)
    )
    np.testing.assert_allclose(light, heavy, rtol=1e-12)
    assert heavy.attrs["weight_kg"] == 110


@pytest.mark.parametrize("name", ["Kamp2020meta", "Simons2022"])
def test_several_regimens_equal_each_alone(published, name):
    texts = ["0.5 mg/kg over 40 min", "bolus 0.1 mg/kg, then 0.2 mg/kg/h for 4 h, 2 days"]
    drawn = draw_parameters(published[name], np.random.default_rng(3), 5)
    together = predict_concentrations(texts, published[name], HOURS, parameters=drawn)
    assert together.dims == ("analyte", "draw", "regimen", "time")
    for text in texts:
        alone = predict_concentrations(text, published[name], HOURS, parameters=drawn)
        assert alone.dims == ("analyte", "draw", "time")
        np.testing.assert_allclose(together.sel(regimen=text), alone, rtol=1e-11, atol=1e-12)
    first = predict_concentrations(
        texts[0], published[name], HOURS, parameters=drawn.isel(draw=[2])
    )
    np.testing.assert_allclose(first[:, 0], together.isel(draw=2, regimen=0), rtol=1e-11)


@pytest.mark.parametrize(
    ("name", "route", "analyte"),
    [
        ("PerezRuixo2021", "intranasal", "s_ketamine"),
        ("terHeine2014", "oral", "dextrorphan"),
    ],
)
def test_graph_agrees_with_numpy_and_its_gradient(published, name, route, analyte):
    """PyTensor's values equal numpy's; its gradients agree with finite differences."""
    model = published[name]
    typical = model.values(70.0)
    keys = [(of, symbol) for of in (model.analyte, analyte) for symbol in typical[of]]
    keys = list(dict.fromkeys(keys))
    logs = np.log([typical[of][symbol] for of, symbol in keys])
    doses = [DoseSeries(0.0, 0.5 if route == "iv" else 0.0, 30.0, 3, 8.0)]
    times = np.array([0.7, 2.0, 9.0, 30.0])

    def total(values, xp):
        responses = impulse_responses(model, values, route, xp)[analyte]
        return superpose(responses, doses, times, xp)

    def of_logs(x):
        values = {of: dict(symbols) for of, symbols in typical.items()}
        for (of, symbol), log in zip(keys, x, strict=True):
            values[of][symbol] = np.exp(log)
        for (of, symbol), other in model.aliases.items():
            values[of][symbol] = values[model.analyte][other]
        return total(values, np)

    x = pt.dvector("x")
    values = {
        of: {s: pt.as_tensor(v) for s, v in symbols.items()} for of, symbols in typical.items()
    }
    for k, (of, symbol) in enumerate(keys):
        values[of][symbol] = pt.exp(x[k])
    for (of, symbol), other in model.aliases.items():
        values[of][symbol] = values[model.analyte][other]
    out = total(values, pt)
    graph = pytensor.function(
        [x], [out, pytensor.grad(out.sum(), x, disconnected_inputs="ignore")], mode=AS_WRITTEN
    )
    result, gradient = graph(logs)
    np.testing.assert_allclose(result, of_logs(logs), rtol=1e-9)
    step = 1e-5
    differences = [
        (of_logs(logs + step * e).sum() - of_logs(logs - step * e).sum()) / (2 * step)
        for e in np.eye(len(logs))
    ]
    np.testing.assert_allclose(gradient, differences, rtol=2e-5, atol=1e-7 * abs(result).max())
