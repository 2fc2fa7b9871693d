"""Evidence simulated with biases gives the same model."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model_from_design
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs


def test_judgements_weights_and_selection_survive_a_simulation():
    judged = specs.TRIALS["study"].map({"A": "low", "B": "high", "C": "unclear"})
    species = specs.TRIALS["study"].map({"A": "people", "B": "people", "C": "rats"})
    table = specs.normal_table(specs.TRIALS.assign(risk_of_bias=judged, species=species))
    beta = specs.prior("Beta", alpha=1, beta=1)
    bias = {
        "small_study": {"prior": specs.normal()},
        "risk_of_bias": {
            "column": "risk_of_bias",
            "priors": {"high": specs.normal(), "unclear": specs.normal()},
        },
        "selection": {"steps": [0.025], "priors": [beta], "contrast": "highest_dose"},
        "power": {"column": "species", "weights": {"people": 1.0, "rats": 0.3}},
    }
    spec = specs.spec(specs.outcome("normal", "constant", "arm", better="lower", bias=bias))
    drawn, truth, again = simulate_evidence(spec, load_evidence(table))
    assert {"bias_small_study", "bias_high", "bias_published_2"} <= set(truth)
    design = build_design(again, load_evidence(drawn))
    reported = design["outcomes/pain"].to_dataset()
    assert_allclose(reported["weight"], [1, 1, 1, 1, 1, 0.3, 0.3])
    assert list(reported["judgement"].to_numpy()) == list(judged)
    assert_allclose(reported["contrast_se"], np.sqrt([0, 8, 0, 18, 18, 0, 32]))
    model = build_model_from_design(again, design)
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))
