"""Every published model against a numerical solution of its differential equations."""

from __future__ import annotations

import numpy as np
import pytest

from nmda_bayes.pk import predict_concentrations
from nmda_bayes.pk.structure import MOLAR_MASS

TIMES = [0.1, 0.5, 0.75, 1.3, 2.0, 3.1, 5.0, 8.0, 11.0]
#: A bolus, an infusion and three short infusions: (start, hours, mg).
SCHEDULE = "bolus 20 mg, then 30 mg/h for 2 h; 12 mg over 30 min, every 90 min, 3 times"
WEIGHT = 70.0
NORKETAMINE = MOLAR_MASS["s_norketamine"] / MOLAR_MASS["s_ketamine"]
HYDROXYNORKETAMINE = MOLAR_MASS["s_hydroxynorketamine"] / MOLAR_MASS["s_norketamine"]


def add_disposition(body, p, at="c", volume=None):
    """Add a mammillary system to a body; return its central volume."""
    v1 = p["V1"] if volume is None else volume
    for j in "23":
        if f"k1{j}" in p:
            body.flow(at, f"{at}{j}", p[f"k1{j}"])
            body.flow(f"{at}{j}", at, p[f"k{j}1"])
        elif f"V{j}" in p:
            body.exchange(at, f"{at}{j}", p[f"Q{j}"], v1, p[f"V{j}"])
    return v1


def doses(text):
    """Return the inputs of the schedule for the solver: (start, hours, mg)."""
    assert text == SCHEDULE
    # The second course starts on the second day: a course has at least one.
    return [(0.0, 0.0, 20.0), (0.0, 2.0, 60.0), *((24 + 1.5 * k, 0.5, 12.0) for k in range(3))]


#: Hours after the start, the second day included.
LONG = [*TIMES, 24.2, 25.9, 27.3, 30.0]


def close(result, expected):
    result = np.asarray(result)
    assert expected.max() > 0
    np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-10 * expected.max())


@pytest.mark.parametrize(
    "name",
    [
        "Domino",
        "Clements1981",
        "Hijazi2003",
        "Kamp2020meta",
        "Herd2007",
        "Hornik2018",
        "Flint2017",
        "ClinPK2002Mg",
        "BMCPreg2024Mg",
        "daCosta2020Mg",
    ],
)
def test_intravenous_models(published, printed, body, name):
    model = published[name]
    p = printed(name, model.analyte)
    v1 = add_disposition(body, p)
    body.flow("c", "", p["k10"] if "k10" in p else p["CL"] / v1)
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    result = predict_concentrations(SCHEDULE, model, LONG, weight=WEIGHT, unit="mg/L")
    assert result.dims == ("analyte", "time")
    close(result.sel(analyte=model.analyte), solved["c"] / v1)


def test_body_weight_scales_by_the_published_powers(published, printed, body):
    """Du 2019: 85 kg, powers of 1 and 0.75; a person of 60 kg."""
    p = printed("Du2019Mg", "magnesium_above_baseline")
    size = 60 / 85
    p = {k: v * (size if k.startswith("V") else size**0.75) for k, v in p.items()}
    add_disposition(body, p)
    body.flow("c", "", p["CL"] / p["V1"])
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    result = predict_concentrations(SCHEDULE, published["Du2019Mg"], LONG, weight=60, unit="mg/L")
    close(result[0], solved["c"] / p["V1"])


def test_simons_with_two_metabolites_and_transit(published, printed, body):
    parent, nor, hydroxy = (
        printed("Simons2022", name)
        for name in ("s_ketamine", "s_norketamine", "s_hydroxynorketamine")
    )
    v1 = add_disposition(body, parent)
    add_disposition(body, nor, "n", volume=v1)  # VN1 = VK1
    add_disposition(body, hydroxy, "h")
    chain = (
        ("c", parent["CL"] / v1, nor["mean_transit_time_from_ketamine"], "n", 0.8 * NORKETAMINE),
        (
            "n",
            nor["CL"] / v1,
            hydroxy["mean_transit_time_from_norketamine"],
            "h",
            0.7 * HYDROXYNORKETAMINE,
        ),
    )
    for source, rate, transit, target, yield_ in chain:
        body.flow(source, f"{target}_first", rate * yield_)
        body.flow(source, "", rate * (1 - yield_))
        body.flow(f"{target}_first", f"{target}_second", 2 / transit)
        body.flow(f"{target}_second", target, 2 / transit)
    body.flow("h", "", hydroxy["CL"] / hydroxy["V1"])
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    result = predict_concentrations(SCHEDULE, published["Simons2022"], LONG, unit="mg/L")
    assert list(result["analyte"].values) == ["s_ketamine", "s_norketamine", "s_hydroxynorketamine"]
    close(result[0], solved["c"] / v1)
    close(result[1], solved["n"] / v1)
    close(result[2], solved["h"] / hydroxy["V1"])


def test_simons_oral_thin_film(published, printed, body):
    p = printed("Simons2022", "s_ketamine")
    v1 = add_disposition(body, p)
    body.flow("c", "", p["CL"] / v1)
    body.flow("film", "c", p["KA1"])
    solved = body.solve([("film", 0.0, p["D1_zero_order_input"], 0.263 * 50)], TIMES)
    result = predict_concentrations(
        "50 mg", published["Simons2022"], TIMES, route="oral_thin_film", unit="mg/L"
    )
    assert list(result["analyte"].values) == ["s_ketamine"]
    close(result[0], solved["c"] / v1)


def test_otto_with_its_metabolite(published, printed, body):
    parent, nor = (printed("Otto2021", name) for name in ("s_ketamine", "s_norketamine"))
    v1, n1 = add_disposition(body, parent), add_disposition(body, nor, "n")
    body.flow("c", "n", parent["CL"] / v1)
    body.flow("n", "", nor["CL"] / n1)
    solved = body.solve([("c", *dose) for dose in doses(SCHEDULE)], LONG)
    result = predict_concentrations(SCHEDULE, published["Otto2021"], LONG, unit="mg/L")
    close(result[0], solved["c"] / v1)
    close(result[1], solved["n"] / n1)


@pytest.mark.parametrize("route", ["iv", "intranasal", "oral"])
def test_perez_ruixo_with_hepatic_compartment(published, printed, body, route):
    parent, nor = (printed("PerezRuixo2021", name) for name in ("s_ketamine", "s_norketamine"))
    v1, n1 = add_disposition(body, parent), add_disposition(body, nor, "n")
    body.exchange("c", "liver", parent["Q_hepatic"], v1, parent["V_hepatic"])
    body.flow("liver", "", parent["kel"])
    body.flow("liver", "n", parent["kmet"])
    body.flow("n", "", nor["CL"] / n1)
    body.flow("nose", "c", parent["ka_nasal"])
    body.flow("swallowed", "liver", parent["ka_swallowed"])
    body.flow("mouth", "liver", parent["ka_oral"])
    # Three sprays of 28 mg: the second and third give 0.62 of what the first does.
    nasal = 0.54 * (1 + 2 * 0.62) / 3
    inputs = {
        "iv": [("c", *dose) for dose in doses(SCHEDULE)],
        "intranasal": [
            ("nose", 0.0, 0.0, 84 * nasal),
            ("swallowed", 0.0, 0.53, 84 * (1 - nasal) * 0.64),
        ],
        "oral": [("mouth", 0.0, 0.32, 84 * 0.64)],
    }[route]
    schedule = SCHEDULE if route == "iv" else "84 mg"
    solved = body.solve(inputs, LONG)
    result = predict_concentrations(
        schedule, published["PerezRuixo2021"], LONG, route=route, unit="mg/L"
    )
    close(result[0], solved["c"] / v1)
    close(result[1], solved["n"] / n1)


@pytest.mark.parametrize("route", ["iv", "im"])
def test_salinger_adds_to_a_baseline(published, printed, body, route):
    p = printed("Salinger2013Mg", "magnesium")
    volume = p["V1"] * (60 / 55) ** 0.692
    body.flow("muscle", "c", p["KA_im"])
    body.flow("c", "", p["CL"] / volume)
    target, fraction = {"iv": ("c", 1.0), "im": ("muscle", 0.862)}[route]
    inputs = [(target, 4.0 * k, 0.0, fraction * 500) for k in range(3)]
    solved = body.solve(inputs, TIMES)
    schedule, model = "bolus 500 mg, every 4 h, 3 times", published["Salinger2013Mg"]
    result = predict_concentrations(schedule, model, TIMES, weight=60, route=route, unit="mg/L")
    close(result[0], solved["c"] / volume + 20.8)


def test_ter_heine_with_well_stirred_liver(published, printed, body):
    """The liver in equilibrium, C_L = (k12 A1 + Q C2) / (Q + CL_2D6 + CL_3A), its Appendix 1.

    The solver has a liver of a tenth of a millilitre, in equilibrium but for 3e-8.
    """
    parent = printed("terHeine2014", "dextromethorphan")
    child = printed("terHeine2014", "dextrorphan")
    tiny = 1e-4
    add_disposition(body, parent)
    body.exchange("c", "liver", parent["Q1_hepatic"], parent["V1"], tiny)
    body.flow("gut", "liver", parent["ka"])
    mass = MOLAR_MASS["dextrorphan"] / MOLAR_MASS["dextromethorphan"]
    formed = parent["CL_CYP2D6_to_dextrorphan"] / tiny
    body.flow("liver", "d", formed * mass)
    body.flow("liver", "", formed * (1 - mass) + parent["CL_CYP3A_to_3MM"] / tiny)
    body.flow("d", "", child["CL_CYP3A_to_3HM"] / child["V1"])
    times = [1.0, 2.0, 4.0, 9.0]
    solved = body.solve([("gut", parent["t_lag"], 0.0, 30.0)], times, stiff=True)
    result = predict_concentrations(
        "30 mg", published["terHeine2014"], times, route="oral", unit="mg/L"
    )
    np.testing.assert_allclose(result[0], solved["c"] / parent["V1"], rtol=1e-6)
    np.testing.assert_allclose(result[1], solved["d"] / child["V1"], rtol=1e-6)
    # Nothing before the end of the lag.
    early = predict_concentrations("30 mg", published["terHeine2014"], [0.36], route="oral")
    assert (early == 0).all()


def test_absorption_rate_equal_to_elimination_rate(published, printed, body):
    """Where two rates are equal the closed form is 0 / 0; the solution must hold nevertheless."""
    p = printed("BMCPreg2024Mg", "magnesium")
    rate = p["CL"] / p["V1"]
    body.flow("muscle", "c", rate)
    body.flow("c", "", rate)
    solved = body.solve([("muscle", 0.0, 0.0, 500.0)], TIMES)
    for factor in (1.0, 1 + 1e-13, 1 + 1e-9, 1 - 1e-7):
        model = published["BMCPreg2024Mg"].with_absorption(
            "im", rate_per_hour=rate * factor, fraction=1.0, source="a test"
        )
        result = predict_concentrations("500 mg", model, TIMES, route="im", unit="mg/L")
        np.testing.assert_allclose(result[0], solved["c"] / p["V1"], rtol=3e-7)
    assert "500" not in model.assumes[-1]
    assert "a test" in model.assumes[-1]
