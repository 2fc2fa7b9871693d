"""Effect-site concentrations: design, prior in the graph, and estimands by hour."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import nmda_bayes as nb
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model_from_design
from nmda_bayes.pk import predict_concentrations, published_pk_model, summarise_exposure
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs
from tests.support.fits import draws, value_of
from tests.support.issues import issues_when

FORTY, PUSH = "0.5 mg/kg over 40 min", "0.3 mg/kg over 1 min"
#: A trial measured at the end of an infusion and two hours later, and a bolus measured twice.
READ = specs.rows("""
    study arm agent    dose mean se time_hours infusion_hours n_administrations
    A     p   placebo  0    60   3  0.75       0.6667         1
    A     k   ketamine 1    45   3  0.75       0.6667         1
    A     p   placebo  0    58   3  3          0.6667         1
    A     k   ketamine 1    52   3  3          0.6667         1
    B     p   placebo  0    70   4  0.1        0.0167         1
    B     k   ketamine 1    60   4  0.1        0.0167         1
    B     p   placebo  0    66   4  2          0.0167         1
    B     k   ketamine 1    64   4  2          0.0167         1
""").assign(
    route="iv",
    schedule=["", FORTY, "", FORTY, "", PUSH, "", PUSH],
)
PRIOR = specs.prior("LogNormal", mu=float(np.log(0.2)), sigma=0.5)
AT_SITE, PEAK = "effect_site_concentration", "peak_effect_site_concentration"


def spec_of(exposure: str = AT_SITE, site: Any = PRIOR, **more: Any) -> Any:
    pain = specs.outcome(
        "normal",
        "linear",
        exposure=exposure,
        better="lower",
        unit="points",
        time={"rule": "all"},
    )
    kinetics = {
        "model": {"ketamine": "Simons2022"},
        "uncertainty": "fixed",
        "body_weight_kg": 70,
        "reference": {"ketamine": {"iv": FORTY}},
        "effect_site": {"pain": {"s_ketamine": site}},
    }
    independent = {"repeated": {"as_independent": ["pain"]}}
    return specs.spec(pain, designs=independent, pharmacokinetics=kinetics | more)


@pytest.fixture(scope="module")
def evidence() -> Any:
    return nb.load_evidence(READ)


@pytest.fixture(scope="module")
def model() -> Any:
    return published_pk_model("Simons2022", nb.load_evidence())


def test_design_has_effect_site_concentration(evidence, model):
    arms = build_design(spec_of(), evidence)["outcomes/pain"].to_dataset()
    site = model.with_effect_site(0.2)
    exposure = arms["exposure"].where(arms["agent"] == "ketamine", drop=True)
    expected = [
        float(predict_concentrations(text, site, [hour], agent="ketamine")[0, 0])
        for text, hour in ((FORTY, 0.75), (FORTY, 3.0), (PUSH, 0.1), (PUSH, 2.0))
    ]
    assert_allclose(exposure, expected, rtol=1e-6)


def test_site_prior_with_fixed_pk_parameters(evidence, model):
    spec = spec_of(f"{PEAK}_relative_to_reference")
    design = build_design(spec, evidence)
    graph = build_model_from_design(spec, design)
    kinetic = [v.name for v in graph.free_RVs if "half_life" in str(v.name)]
    assert kinetic == ["effect_site_half_life_s_ketamine_offset"]
    assert graph.named_vars_to_dims["exposure"] == ("arm",)
    arms = design["outcomes/pain"].to_dataset()
    assert_allclose(value_of(graph, "exposure", {}), arms["exposure"], rtol=1e-6)
    z = np.array(1.2)
    moved = model.with_effect_site(0.2 * np.exp(0.5 * z))
    push, infusion = (
        summarise_exposure(t, moved, agent="ketamine")["peak_concentration"] for t in (PUSH, FORTY)
    )
    at = value_of(graph, "exposure", {kinetic[0]: z})
    assert_allclose(at[-1], float(push[0] / infusion[0]), rtol=2e-3)
    assert any("kinetic parameters have priors" in why for why in exact_obstacles(spec, design))


def test_fixed_number(evidence):
    spec = spec_of(site=0.2)
    graph = build_model_from_design(spec, build_design(spec, evidence))
    assert not [v for v in graph.free_RVs if "half_life" in str(v.name)]
    assert not any("kinetic" in why for why in exact_obstacles(spec, build_design(spec, evidence)))


def test_two_outcomes_may_follow_two_sites(evidence):
    harm = specs.outcome("normal", "linear", exposure=PEAK, measures=["pain"])
    pain = specs.outcome("normal", "linear", exposure="average_concentration")
    sites = {"harm": {"s_ketamine": 0.1}}
    kinetics = spec_of().pharmacokinetics.model_dump() | {"effect_site": sites}
    spec = specs.spec(pain, harm, pharmacokinetics=kinetics)
    design = build_design(spec, evidence.copy())
    of_harm, of_pain = (design[f"outcomes/{n}"].to_dataset()["exposure"] for n in ("harm", "pain"))
    assert (of_harm[of_harm > 0] < 200).all()  # a push's peak in blood is 734 ng/mL
    assert (of_pain[of_pain > 0] > 0).all()


def _at(key: str, issues: Any) -> Any:
    return next(issue for issue in issues if issue.column == f"pharmacokinetics.effect_site{key}")


@pytest.mark.parametrize(
    ("ask", "key", "code"),
    [
        (lambda: spec_of(effect_site={}), ".pain", "E394"),
        (lambda: spec_of("area"), ".pain", "E395"),
        (
            lambda: spec_of(site=specs.prior("Normal", mu=0, sigma=1)),
            ".pain.s_ketamine",
            "E396",
        ),
        (
            lambda: spec_of(site=specs.prior("LogNormal", mu=0, sigma=-1)),
            ".pain.s_ketamine",
            "E316",
        ),
    ],
)
def test_inconsistent_effect_site_spec_is_rejected(ask, key, code):
    issue = _at(key, issues_when(ask, SpecError))
    assert issue.code == code
    assert issue.hint


def test_missing_effect_site_is_rejected(evidence):
    spec = spec_of(effect_site={"pain": {"magnesium": 0.5}})
    issues = issues_when(lambda: build_design(spec, evidence), SpecError)
    assert _at(".pain.s_ketamine", issues)
    assert _at(".pain.magnesium", issues)


def test_reference_without_concentration_is_rejected(evidence):
    reference = {"ketamine": {"iv": "bolus 0.5 mg/kg"}}
    spec = spec_of(f"{AT_SITE}_relative_to_reference", reference=reference)
    issues = issues_when(lambda: build_design(spec, evidence), SpecError)
    assert issues[0].column == "pharmacokinetics.reference.ketamine.iv"


def test_simulation_uses_drawn_exposures(evidence):
    flat, truth, new_spec = simulate_evidence(spec_of(), evidence, seed=4)
    assert new_spec.pharmacokinetics is None
    active = truth["exposure"].to_numpy() > 0
    assert_allclose(flat["dose"], truth["exposure"], rtol=1e-9)
    drawn = float(truth["effect_site_half_life_s_ketamine"])
    by_hand = predict_concentrations(
        FORTY,
        published_pk_model("Simons2022", nb.load_evidence()).with_effect_site(drawn),
        [0.75, 3.0],
        agent="ketamine",
    )
    assert_allclose(truth["exposure"].to_numpy()[active][:2], by_hand[0], rtol=1e-6)


SLOPE, HALF_LIFE = np.array([-0.1, -0.2, -0.3]), np.array([0.1, 0.2, 0.4])


@pytest.fixture(scope="module")
def fit(evidence) -> xr.DataTree:
    spec = spec_of()
    design = build_design(spec, evidence)
    posterior = {"slope": draws(SLOPE), "effect_site_half_life_s_ketamine": draws(HALF_LIFE)}
    tree = {"posterior": xr.Dataset(posterior)}
    tree |= {f"design{n.path}": n.to_dataset() for n in design.subtree if n.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": json.dumps(spec.model_dump())}
    return fit


def test_effect_follows_site_concentration(fit, model):
    hours = [0.1, 2 / 3, 1.0, 4.0]
    regimens = nb.regimen_over_time(fit, [FORTY, "0.5 mg/kg over 4 h"], hours, agent="ketamine")
    assert regimens["response"].dims == ("outcome", "regimen", "hour", "chain", "draw")
    assert_allclose(regimens["ends"], [2 / 3, 4.0])
    assert regimens["fades"].item()
    by_hand = [
        slope * predict_concentrations(FORTY, model.with_effect_site(h), hours, agent="ketamine")[0]
        for slope, h in zip(SLOPE, HALF_LIFE, strict=True)
    ]
    response = regimens["response"].sel(outcome="pain", regimen=FORTY).isel(chain=0)
    assert_allclose(response.transpose("draw", "hour"), by_hand, rtol=1e-6)
    assert "follows the effect site" in regimens.attrs["pk_assumptions"]
    assert "12 min (6.3 to 23.4" in regimens.attrs["pk_assumptions"]


@pytest.mark.parametrize("hours", [[0.0, 1.0], [-1.0], [np.nan], 2.0])
def test_invalid_hours_are_rejected(fit, hours):
    with pytest.raises(SpecError):
        nb.regimen_over_time(fit, [FORTY], hours, agent="ketamine")
