"""An effect that follows its site: numbers of the design, a prior in the graph, answers by hour."""

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
from nmda_bayes.inference.exact import reasons_against
from nmda_bayes.model import model_of
from nmda_bayes.pharmacokinetics import concentration, exposures, published_model
from nmda_bayes.simulate import simulate
from tests import specs
from tests.conftest import draws, faults_when, value_of

FORTY, PUSH = "0.5 mg/kg over 40 min", "0.3 mg/kg over 1 min"
#: One trial read at the end of an infusion and two hours later, one push read twice.
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
)  # fmt: skip
PRIOR = specs.prior("LogNormal", mu=float(np.log(0.2)), sigma=0.5)
AT_SITE, PEAK = "effect_site_concentration", "peak_effect_site_concentration"


def spec_of(exposure: str = AT_SITE, site: Any = PRIOR, **more: Any) -> Any:
    pain = specs.outcome(
        "normal", "linear", exposure=exposure, better="lower", unit="points",
        time={"rule": "every_reading"},
    )  # fmt: skip
    kinetics = {
        "model": {"ketamine": "Simons2022"}, "uncertainty": "fixed", "body_weight_kg": 70,
        "reference": {"ketamine": {"iv": FORTY}}, "effect_site": {"pain": {"s_ketamine": site}},
    }  # fmt: skip
    independent = {"repeated": {"as_independent": ["pain"]}}
    return specs.spec(pain, designs=independent, pharmacokinetics=kinetics | more)


@pytest.fixture(scope="module")
def evidence() -> Any:
    return nb.load_evidence(READ)


@pytest.fixture(scope="module")
def model() -> Any:
    return published_model("Simons2022", nb.load_evidence())


def test_the_design_has_the_concentration_at_the_site_when_each_row_was_read(evidence, model):
    arms = build_design(spec_of(), evidence)["outcomes/pain"].to_dataset()
    site = model.with_effect_site(0.2)
    found = arms["exposure"].where(arms["agent"] == "ketamine", drop=True)
    expected = [
        float(concentration(text, site, [hour], agent="ketamine")[0, 0])
        for text, hour in ((FORTY, 0.75), (FORTY, 3.0), (PUSH, 0.1), (PUSH, 2.0))
    ]
    assert_allclose(found, expected, rtol=1e-6)


def test_a_prior_of_the_site_is_learned_though_published_parameters_are_held(evidence, model):
    spec = spec_of(f"{PEAK}_relative_to_reference")
    design = build_design(spec, evidence)
    graph = model_of(spec, design)
    kinetic = [v.name for v in graph.free_RVs if "half_life" in str(v.name)]
    assert kinetic == ["effect_site_half_life_s_ketamine_offset"]
    assert graph.named_vars_to_dims["exposure"] == ("arm",)
    arms = design["outcomes/pain"].to_dataset()
    assert_allclose(value_of(graph, "exposure", {}), arms["exposure"], rtol=1e-6)
    z = np.array(1.2)
    moved = model.with_effect_site(0.2 * np.exp(0.5 * z))
    push, one = (exposures(t, moved, agent="ketamine")["peak_concentration"] for t in (PUSH, FORTY))
    at = value_of(graph, "exposure", {kinetic[0]: z})
    assert_allclose(at[-1], float(push[0] / one[0]), rtol=2e-3)
    assert any("kinetic parameters have priors" in why for why in reasons_against(spec, design))


def test_a_number_is_held(evidence):
    spec = spec_of(site=0.2)
    graph = model_of(spec, build_design(spec, evidence))
    assert not [v for v in graph.free_RVs if "half_life" in str(v.name)]
    assert not any("kinetic" in why for why in reasons_against(spec, build_design(spec, evidence)))


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


def _at(key: str, faults: Any) -> Any:
    return next(fault for fault in faults if fault.column == f"pharmacokinetics.effect_site{key}")


@pytest.mark.parametrize(
    ("ask", "key", "words"),
    [
        (lambda: spec_of(effect_site={}), ".pain", "nothing says how fast"),
        (lambda: spec_of("area"), ".pain", "is not at an effect site"),
        (
            lambda: spec_of(site=specs.prior("Normal", mu=0, sigma=1)),
            ".pain.s_ketamine",
            "has a log-normal prior, not Normal",
        ),
        (
            lambda: spec_of(site=specs.prior("LogNormal", mu=0, sigma=-1)),
            ".pain.s_ketamine",
            "sigma = -1 must be positive",
        ),
    ],
)
def test_a_spec_that_contradicts_itself_is_told_at_its_key(ask, key, words):
    fault = _at(key, faults_when(ask, SpecError))
    assert words in fault.message
    assert fault.mend


def test_a_drug_without_a_way_to_the_site_is_asked_for(evidence):
    spec = spec_of(effect_site={"pain": {"magnesium": 0.5}})
    faults = faults_when(lambda: build_design(spec, evidence), SpecError)
    assert "nothing says how fast it reaches" in _at(".pain.s_ketamine", faults).message
    assert (
        "no model that the spec names is of 'magnesium'" in _at(".pain.magnesium", faults).message
    )


def test_a_reference_of_which_nothing_is_there_at_its_end_is_refused(evidence):
    reference = {"ketamine": {"iv": "bolus 0.5 mg/kg"}}
    spec = spec_of(f"{AT_SITE}_relative_to_reference", reference=reference)
    faults = faults_when(lambda: build_design(spec, evidence), SpecError)
    assert faults[0].column == "pharmacokinetics.reference.ketamine.iv"
    assert "no concentration at outcome above 0" in faults[0].message


def test_simulated_evidence_stands_at_the_exposures_that_were_drawn(evidence):
    flat, truth, own = simulate(spec_of(), evidence, seed=4)
    assert own.pharmacokinetics is None
    active = truth["exposure"].to_numpy() > 0
    assert_allclose(flat["dose"], truth["exposure"], rtol=1e-9)
    drawn = float(truth["effect_site_half_life_s_ketamine"])
    by_hand = concentration(
        FORTY, published_model("Simons2022", nb.load_evidence()).with_effect_site(drawn),
        [0.75, 3.0], agent="ketamine",
    )  # fmt: skip
    assert_allclose(truth["exposure"].to_numpy()[active][:2], by_hand[0], rtol=1e-6)


SLOPE, HALF_LIFE = np.array([-0.1, -0.2, -0.3]), np.array([0.1, 0.2, 0.4])


@pytest.fixture(scope="module")
def fit(evidence) -> xr.DataTree:
    spec = spec_of()
    design = build_design(spec, evidence)
    posterior = {"slope": draws(SLOPE), "effect_site_half_life_s_ketamine": draws(HALF_LIFE)}
    tree = {"posterior": xr.Dataset(posterior)}
    tree |= {f"design{n.path}": n.to_dataset() for n in design.subtree if n.has_data}
    made = xr.DataTree.from_dict(tree)
    made.attrs = {"spec": json.dumps(spec.model_dump())}
    return made


def test_hour_by_hour_the_effect_follows_the_site_of_each_draw(fit, model):
    hours = [0.1, 2 / 3, 1.0, 4.0]
    found = nb.regimen_over_time(fit, [FORTY, "0.5 mg/kg over 4 h"], hours, agent="ketamine")
    assert found["response"].dims == ("outcome", "regimen", "hour", "chain", "draw")
    assert_allclose(found["ends"], [2 / 3, 4.0])
    assert found["fades"].item()
    by_hand = [
        slope * concentration(FORTY, model.with_effect_site(h), hours, agent="ketamine")[0]
        for slope, h in zip(SLOPE, HALF_LIFE, strict=True)
    ]
    mine = found["response"].sel(outcome="pain", regimen=FORTY).isel(chain=0)
    assert_allclose(mine.transpose("draw", "hour"), by_hand, rtol=1e-6)
    assert "follows the effect site" in found.attrs["rests_on"]
    assert "12 min (6.3 to 23.4, 95 % equal-tailed interval)" in found.attrs["rests_on"]


@pytest.mark.parametrize("hours", [[0.0, 1.0], [-1.0], [np.nan], 2.0])
def test_an_hour_that_is_none_is_refused(fit, hours):
    with pytest.raises(SpecError, match="not above 0"):
        nb.regimen_over_time(fit, [FORTY], hours, agent="ketamine")
