"""Trials in clusters: covariance, required keys, and estimands."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from nmda_bayes import inference
from nmda_bayes.cli import app
from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.estimands import study_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model
from nmda_bayes.results_folder import spec_text
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs
from tests.support.issues import issues_when

#: A and B in one district, C in another.
ROWS = specs.rows("""
    study district agent    dose mean se
    A     north    placebo  0    50  2
    A     north    ketamine 1    42  2
    B     north    placebo  0    55  3
    B     north    ketamine 1    41  3
    C     south    placebo  0    60  4
    C     south    ketamine 1    57  4
""").assign(outcome="pain")


def load(rows):
    """Load evidence whose districts the analysis reads."""
    return load_evidence(rows, settings=["ignore=district,cluster"])


def nested(**by):
    sd = specs.parameter(location=specs.half_normal(1)) | by
    parameters = {"cluster_sd": sd}
    return specs.outcome("normal", "linear", "nested", parameters)


def test_trials_of_a_cluster_covary():
    model = build_model(specs.spec(nested(strata_column="district")), load(ROWS))
    assert model.named_vars_to_dims["cluster_offset"] == ("cluster_arm",)
    assert len(model.coords["cluster_arm"]) == 4
    parameters = {"slope": 0.0, "heterogeneity_sd": 1.5, "cluster_sd": 2.0, "baseline": np.zeros(3)}
    offsets = {"arm_offset": np.zeros(6), "cluster_offset": np.zeros(4)}
    eta = model.compile_fn(model["eta"], inputs=[model[n] for n in (*parameters, *offsets)])
    # Eta is linear in the offsets: a unit of each gives its column, and the columns the covariance.
    columns = []
    for name, zeros in offsets.items():
        for unit in np.eye(len(zeros)):
            at = {n: np.asarray(v) for n, v in (parameters | offsets | {name: unit}).items()}
            columns.append(np.asarray(eta(at)))
    columns = np.array(columns)
    contrasts = columns[:, 1::2] - columns[:, ::2]
    within, between = 1.5**2, 2.0**2
    both = within + between
    expected = [[both, between, 0], [between, both, 0], [0, 0, both]]
    assert_allclose(contrasts.T @ contrasts, expected, rtol=1e-12)


def test_cluster_column_is_required():
    column = "outcomes.pain.parameters.cluster_sd.strata_column"
    (issue,) = issues_when(lambda: specs.spec(nested()), SpecError)
    assert (issue.code, issue.column) == ("E325", column)
    misspelt, evidence = specs.spec(nested(strata_column="distrct")), load(ROWS)
    (issue,) = issues_when(lambda: build_design(misspelt, evidence), SpecError)
    assert issue.column == column


def test_column_of_clusters_is_a_question_unless_the_analysis_reads_it(tmp_path):
    (issue,) = issues_when(lambda: load_evidence(ROWS), EvidenceError)
    assert (issue.code, issue.column) == ("E183", "district")
    spec = specs.spec(nested(strata_column="district"))
    assert spec.columns_read == ("district",)
    ROWS.to_csv(tmp_path / "trials.csv", index=False)
    (tmp_path / "spec.toml").write_text(spec_text(spec))
    files = [str(tmp_path / "spec.toml"), "--evidence", str(tmp_path / "trials.csv")]
    result = CliRunner().invoke(app, ["show", *files])
    assert (result.exit_code, result.stderr) == (0, "")


def test_trial_without_cluster_is_excluded():
    rows = ROWS.assign(district=ROWS["district"].where(ROWS["study"] != "C"))
    design = build_design(specs.spec(nested(strata_column="district")), load(rows))
    assert set(design["excluded"]["step"].to_numpy()) == {"study_information"}


def test_exact_engine_integrates_two_scales():
    spec = specs.spec(nested(strata_column="district"))
    design = build_design(spec, load(ROWS))
    assert exact_obstacles(spec, design) == []


def test_new_trial_has_both_variances(mocked_sampler):
    spec = specs.spec(nested(strata_column="district"))
    fit = inference.fit(spec, load(ROWS))
    posterior = fit["posterior"].to_dataset()
    added = (study_effects(fit, "pain")["predicted"] - posterior["slope"]).isel(arm=0)
    variance = (posterior["heterogeneity_sd"] ** 2 + posterior["cluster_sd"] ** 2).mean()
    # 400 draws: four standard errors of a variance, whose kurtosis random scales raise to some 4.5.
    assert_allclose(added.var(), variance, rtol=4 * np.sqrt(3.5 / 400))


def test_simulated_evidence_reads_back():
    spec = specs.spec(nested(strata_column="district"))
    rows, truth, back = simulate_evidence(spec, load(ROWS))
    assert "cluster_sd" in truth
    design = build_design(back, load(rows))
    assert design["outcomes/pain"]["cluster"].to_numpy().tolist() == ROWS["district"].tolist()
