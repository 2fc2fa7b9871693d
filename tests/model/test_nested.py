"""Trials in clusters: who shares what, what the spec must say, and where it goes from there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes import inference
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import study_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import reasons_against
from nmda_bayes.model import build_model
from nmda_bayes.simulate import simulate
from tests import specs

#: A and B in one district, which give the same; C in another.
ROWS = specs.rows("""
    study district agent    dose mean se
    A     north    placebo  0    50  2
    A     north    ketamine 1    42  2
    B     north    placebo  0    55  3
    B     north    ketamine 1    41  3
    C     south    placebo  0    60  4
    C     south    ketamine 1    57  4
""").assign(outcome="pain")


def nested(**by):
    sd = specs.parameter(location=specs.half_normal(1)) | by
    parameters = {"cluster_sd": sd}
    return specs.outcome("normal", "linear", "nested", parameters)


def test_two_trials_of_a_district_share_the_part_that_is_its_own():
    model = build_model(specs.spec(nested(by="district")), load_evidence(ROWS))
    assert model.named_vars_to_dims["cluster_offset"] == ("cluster_arm",)
    assert len(model.coords["cluster_arm"]) == 4
    given = {"slope": 0.0, "heterogeneity_sd": 1.5, "cluster_sd": 2.0, "baseline": np.zeros(3)}
    offsets = {"arm_offset": np.zeros(6), "cluster_offset": np.zeros(4)}
    eta = model.compile_fn(model["eta"], inputs=[model[n] for n in (*given, *offsets)])
    # Eta is linear in the offsets: a unit of each gives its column, and the columns the covariance.
    columns = []
    for name, zeros in offsets.items():
        for unit in np.eye(len(zeros)):
            at = {n: np.asarray(v) for n, v in (given | offsets | {name: unit}).items()}
            columns.append(np.asarray(eta(at)))
    columns = np.array(columns)
    contrasts = columns[:, 1::2] - columns[:, ::2]
    within, between = 1.5**2, 2.0**2
    both = within + between
    expected = [[both, between, 0], [between, both, 0], [0, 0, both]]
    assert_allclose(contrasts.T @ contrasts, expected, rtol=1e-12)


def test_the_spec_must_say_what_trials_are_nested_in():
    with pytest.raises(SpecError, match="nested in is not said") as told:
        specs.spec(nested())
    assert told.value.faults[0].column == "outcomes.pain.parameters.cluster_sd.by"
    with pytest.raises(SpecError, match="no column 'distrct'") as told:
        build_design(specs.spec(nested(by="distrct")), load_evidence(ROWS))
    assert "district" in told.value.faults[0].mend


def test_a_trial_without_a_cluster_is_left_out_with_its_reason():
    rows = ROWS.assign(district=ROWS["district"].where(ROWS["study"] != "C"))
    design = build_design(specs.spec(nested(by="district")), load_evidence(rows))
    reasons = set(design["left_out"]["reason"].to_numpy())
    assert reasons == {"no district is given, and trials are nested in it"}


def test_two_scales_are_integrated_exactly_and_a_third_is_not():
    spec = specs.spec(nested(by="district"))
    design = build_design(spec, load_evidence(ROWS))
    assert reasons_against(spec, design) == []


def test_what_a_new_trial_adds_holds_both_parts(mocked_sampler):
    spec = specs.spec(nested(by="district"))
    fit = inference.fit(spec, load_evidence(ROWS))
    posterior = fit["posterior"].to_dataset()
    added = (study_effects(fit, "pain")["predicted"] - posterior["slope"]).isel(arm=0)
    variance = (posterior["heterogeneity_sd"] ** 2 + posterior["cluster_sd"] ** 2).mean()
    # 400 draws: four standard errors of a variance, whose kurtosis random scales raise to some 4.5.
    assert_allclose(added.var(), variance, rtol=4 * np.sqrt(3.5 / 400))


def test_evidence_drawn_from_it_reads_back():
    spec = specs.spec(nested(by="district"))
    rows, truth, back = simulate(spec, load_evidence(ROWS))
    assert "cluster_sd" in truth
    design = build_design(back, load_evidence(rows))
    assert design["outcomes/pain"]["cluster"].to_numpy().tolist() == ROWS["district"].tolist()
