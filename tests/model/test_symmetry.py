"""Exchanged arms change the sign of effects, and nothing else; so do events and non-events.

Compared are log densities of graphs, at a point and at its mirror image: no sampling.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.links import LOGIT
from nmda_bayes.design import ARMS, OUTCOMES, PARENT_ARM, READING, WEIGHT, build_design
from nmda_bayes.dims import ARM, STUDY, study_of
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.compiled import log_density
from nmda_bayes.inference.exact import log_marginal_likelihood
from nmda_bayes.inference.nuts import same_structure, with_weights
from nmda_bayes.model import PY_MODE, build_model_from_design, model_outcomes
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs

MODELS = Path(__file__).parents[2] / "models"
#: Every shipped analysis and template; a plan of variants has no outcomes.
SHIPPED = [
    path.stem
    for path in sorted(MODELS.glob("*.toml"))
    if "outcomes" in tomllib.loads(path.read_text("utf-8"))
]
#: Hours since the end and the beginning of a treatment.
CLOCKS = ("after", "since")
#: What a trial reports of an arm.
COLUMNS = ("events", "n", "mean", "se", "sd", "person_time", "follow_up")

#: Unequal arms and rare events; one trial compares two agents, one has three arms.
TABLE = specs.rows("""
    study condition agent    dose mean se  sd n   events person_time follow_up
    A     crps      placebo  0    50   2   20 100 1      1.5         1
    A     crps      ketamine 1    42   2.5 19 200 4      3           1
    B     crps      placebo  0    55   3   18 30  0      0.5         2
    B     crps      ketamine 2    41   3   22 29  9      0.4         2
    C     fibro     placebo  0    60   4   21 125 2      2           1
    C     fibro     mem      1    57   4.5 20 24  1      0.3         1
    D     fibro     ketamine 1    60   4   21 25  2      1           1
    D     fibro     mem      2    57   5   20 54  9      1           1
    E     crps      placebo  0    50   2   20 100 1      1.5         1
    E     crps      ketamine 1    42   2.5 19 200 4      3           1
    E     crps      ketamine 2    41   2.5 19 200 5      3           1
""")
CONTRASTS = specs.rows("""
    study agent    dose comparator comparator_dose estimate se
    A     ketamine 1    placebo    0               -0.8     0.3
    B     mem      1    placebo    0               -0.5     0.4
    C     mem      1    ketamine   2               0.1      0.2
""")


def table_of(likelihood: str, outcome: str) -> Any:
    part = LIKELIHOODS[likelihood]
    if part.contrasts:
        return CONTRASTS.assign(outcome=outcome)
    unused = [column for column in COLUMNS if column not in part.recorded]
    return TABLE.drop(columns=unused).assign(outcome=outcome)


def shipped(name: str) -> tuple[AnalysisSpec, xr.DataTree]:
    """A shipped analysis with its evidence; a template with a small table."""
    content = tomllib.loads((MODELS / f"{name}.toml").read_text("utf-8"))
    if not name.startswith("template_"):
        spec = AnalysisSpec.from_dict(content)
        return spec, load_evidence(spec.evidence)
    ((key, outcome),) = content["outcomes"].items()
    outcome |= {"exposure": "dose", "measures": [key]}
    outcome.pop("scale", None)
    spec = AnalysisSpec.from_dict(content)
    return spec, load_evidence(table_of(outcome["likelihood"], key))


def small(likelihood: str, curve: str, heterogeneity: str, **more: Any) -> tuple[AnalysisSpec, Any]:
    more = {"baseline": "mean_of_arms"} | more
    if not LIKELIHOODS[likelihood].has_baseline:
        more.pop("baseline")
    outcome = specs.outcome(likelihood, curve, heterogeneity, **more)
    if heterogeneity == "nested":
        outcome["parameters"]["cluster_sd"]["strata_column"] = "study"
    if curve == "constant":
        outcome["parameters"]["effect"] = specs.parameter("independent")
    return specs.spec(outcome), load_evidence(table_of(likelihood, "pain"))


def partners(design: xr.DataTree) -> dict[str, str]:
    """The other arm of each arm of a two-arm trial, at each hour, by the labels of all dims."""
    tables = [(design[ARMS].to_dataset(), ARM)]
    for node in design[OUTCOMES].children.values():
        rows = node.to_dataset()
        tables += [(rows, column) for column in (ARM, PARENT_ARM) if column in rows]
    pairs: dict[str, str] = {}
    others: set[str] = set()
    for rows, column in tables:
        by_hour = column == ARM and READING in rows
        keys, labels = (rows[c].to_numpy() for c in (READING if by_hour else STUDY, column))
        for key in set(keys):
            members = list(dict.fromkeys(labels[keys == key]))
            # Arms with clocks of their own differ by more than their results.
            clocks = [rows[c].to_numpy()[keys == key] for c in CLOCKS if by_hour and c in rows]
            if len(members) == 2 and all(np.ptp(clock) == 0 for clock in clocks):
                pairs |= {members[0]: members[1], members[1]: members[0]}
            else:
                others |= set(rows[STUDY].to_numpy()[keys == key])
    return {arm: other for arm, other in pairs.items() if arm.split(": ")[0] not in others}


def reported_columns(rows: xr.Dataset) -> list[str]:
    return [c for c in rows if c in COLUMNS or str(c).startswith(("events_", "n_"))]


def exchanged(design: xr.DataTree) -> xr.DataTree:
    """The results of the two arms of each trial exchanged, the sign of each contrast changed."""
    pairs, swapped = partners(design), design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows = node.to_dataset()
        labels = rows[ARM].to_numpy().tolist()
        order = [labels.index(pairs.get(label, label)) for label in labels]
        changed = {c: (ARM, rows[c].to_numpy()[order]) for c in reported_columns(rows)}
        if "estimate" in rows:
            changed["estimate"] = (rows["estimate"].dims, -rows["estimate"].to_numpy())
        swapped[f"{OUTCOMES}/{name}"] = xr.DataTree(rows.assign(changed))
    return swapped


def effect_names(spec: AnalysisSpec, design: xr.DataTree) -> tuple[str, ...]:
    """Names of the curves' parameters that a response is proportional to."""
    return tuple(
        outcome.name(parameter)
        for outcome in model_outcomes(spec, design)
        for parameter in outcome.spec.shape.parameters
        if not parameter.startswith("log_")
    )


def mirrored(
    model: Any,
    point: dict[str, np.ndarray],
    effects: tuple[str, ...],
    pairs: dict[str, str],
    in_clusters: dict[str, str],
) -> dict[str, np.ndarray]:
    """Effects with the other sign, and the random effects of the two arms exchanged."""
    mirror = {}
    for rv in model.free_RVs:
        value = model.rvs_to_values[rv]
        x = point[value.name]
        for axis, dim in enumerate(model.named_vars_to_dims.get(rv.name, ())):
            labels = list(model.coords[dim])
            others = in_clusters if "cluster" in dim else pairs
            if "arm" in dim and any(label in others for label in labels):
                order = [labels.index(others.get(label, label)) for label in labels]
                x = np.take(x, order, axis)
        is_effect = model.rvs_to_transforms[rv] is None and any(
            rv.name == name or rv.name.startswith(f"{name}_") for name in effects
        )
        mirror[value.name] = -x if is_effect else x
    return mirror


def evaluator(model: Any, names: Sequence[str], pairs: Any = None) -> Callable[[Any], float]:
    """The log density of some variables; of trials with two arms, where these are given."""
    rows = model.logp(vars=[model[name] for name in names], sum=False)
    function = pytensor.function(model.value_vars, rows, on_unused_input="ignore", mode=PY_MODE)
    studies = None if pairs is None else {arm.split(": ")[0] for arm in pairs}

    def counts(name: str) -> Any:
        dims = model.named_vars_to_dims.get(name, ())
        if studies is None or model[name] not in model.observed_RVs:
            return slice(None)
        return [study in studies for study in model.coords[study_of(dims[0])]]

    kept = [counts(name) for name in names]

    def density(point: Any) -> float:
        values = function(*(point[v.name] for v in model.value_vars))
        return sum(float(np.sum(np.atleast_1d(v)[k])) for v, k in zip(values, kept, strict=True))

    return density


def random_points(model: Any, count: int = 2) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    start = model.initial_point()
    return [
        {name: x + 0.4 * rng.normal(size=np.shape(x)) for name, x in start.items()}
        for _ in range(count)
    ]


def assert_antisymmetric(spec: AnalysisSpec, evidence: xr.DataTree) -> None:
    design = build_design(spec, evidence)
    pairs = partners(design)
    assert pairs
    model = build_model_from_design(spec, design)
    swapped = build_model_from_design(spec, exchanged(design))
    names = [rv.name for rv in model.basic_RVs]
    plain, other = evaluator(model, names, pairs), evaluator(swapped, names, pairs)
    effects, in_clusters = effect_names(spec, design), {}
    for outcome in model_outcomes(spec, design):
        if HETEROGENEITIES[outcome.spec.heterogeneity].nested:
            arms = outcome.reported[ARM].to_numpy()
            labels = dict(zip(arms, outcome.cluster_arms, strict=True))
            in_clusters |= {labels[arm]: labels[pairs[arm]] for arm in labels if arm in pairs}
    for point in random_points(model):
        mirror = mirrored(model, point, effects, pairs, in_clusters)
        assert any(not np.array_equal(point[name], mirror[name]) for name in point)
        assert_allclose(other(mirror), plain(point), rtol=1e-8)


@pytest.mark.parametrize("name", SHIPPED)
def test_exchanged_arms_change_the_sign_of_shipped_analyses(name: str):
    assert_antisymmetric(*shipped(name))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_exchanged_arms_change_the_sign_of_every_likelihood(likelihood: str):
    assert_antisymmetric(*small(likelihood, "emax", "arm"))


@pytest.mark.parametrize("heterogeneity", HETEROGENEITIES)
def test_exchanged_arms_change_the_sign_of_every_heterogeneity(heterogeneity: str):
    assert_antisymmetric(*small("binomial", "constant", heterogeneity))


def test_a_baseline_of_the_reference_arm_is_not_antisymmetric():
    spec, evidence = small("binomial", "constant", "arm", baseline="reference_arm")
    with pytest.raises(AssertionError):
        assert_antisymmetric(spec, evidence)


def of_logits(names: list[str]) -> list[str]:
    def counts(name: str) -> bool:
        outcomes = tomllib.loads((MODELS / f"{name}.toml").read_text("utf-8"))["outcomes"]
        return any(LIKELIHOODS[part["likelihood"]].link == LOGIT for part in outcomes.values())

    return [name for name in names if counts(name)]


def assert_complement(spec: AnalysisSpec, evidence: xr.DataTree) -> None:
    design = build_design(spec, evidence)
    complement = design.copy()
    names = []
    for outcome in model_outcomes(spec, design):
        if LIKELIHOODS[outcome.spec.likelihood].link == LOGIT:
            rows = outcome.reported
            others = rows["n"].to_numpy().astype(float) - rows["events"].to_numpy().astype(float)
            complement[f"{OUTCOMES}/{outcome.label}"] = xr.DataTree(
                rows.assign(events=(ARM, others))
            )
            names.append(outcome.name("reported"))
    model, other = (build_model_from_design(spec, d) for d in (design, complement))
    plain, mirrored_density = (evaluator(m, names) for m in (model, other))
    of_sds = {
        model.rvs_to_values[rv].name
        for rv in model.free_RVs
        if model.rvs_to_transforms[rv] is not None or "log_" in rv.name
    }
    for point in random_points(model):
        mirror = {name: x if name in of_sds else -x for name, x in point.items()}
        assert_allclose(mirrored_density(mirror), plain(point), rtol=1e-8)


@pytest.mark.parametrize("name", of_logits(SHIPPED))
def test_complements_of_events_change_every_sign_of_shipped_analyses(name: str):
    assert_complement(*shipped(name))


@pytest.mark.parametrize("likelihood", [n for n, p in LIKELIHOODS.items() if p.link == LOGIT])
def test_complements_of_events_change_every_sign(likelihood: str):
    assert_complement(*small(likelihood, "emax", "arm"))


@pytest.mark.parametrize(
    ("likelihood", "column"),
    [
        ("poisson", "person_time"),
        ("negative_binomial", "person_time"),
        ("binomial_cloglog", "follow_up"),
    ],
)
def test_another_unit_of_time_moves_baselines_only(likelihood: str, column: str):
    spec, evidence = small(likelihood, "emax", "arm")
    design = build_design(spec, evidence)
    rows = design[f"{OUTCOMES}/pain"].to_dataset()
    rescaled = design.copy()
    longer = rows.assign({column: (ARM, 12.0 * rows[column].to_numpy().astype(float))})
    rescaled[f"{OUTCOMES}/pain"] = xr.DataTree(longer)
    models = [build_model_from_design(spec, d) for d in (design, rescaled)]
    plain, other = (evaluator(m, ["reported"]) for m in models)
    for point in random_points(models[0]):
        moved = point | {"baseline": point["baseline"] - np.log(12.0)}
        assert_allclose(other(moved), plain(point), rtol=1e-8)


def test_baseline_is_the_mean_of_all_arms():
    spec, evidence = small("binomial", "emax", "none")
    model = build_model_from_design(spec, build_design(spec, evidence))
    eta = pytensor.function(
        model.value_vars,
        model.replace_rvs_by_values([model["eta"]]),
        on_unused_input="ignore",
        mode=PY_MODE,
    )
    (point,) = random_points(model, 1)
    (value,) = eta(*(point[v.name] for v in model.value_vars))
    means = [np.mean(value[TABLE["study"] == study]) for study in "ABCDE"]
    assert_allclose(means, point["baseline"], rtol=1e-12)
    assert np.ptp(value[TABLE["study"] == "E"]) > 0.01


class TestRowsOfWeightZero:
    """A trial that loses an arm has the mean of the arms that are left."""

    @pytest.mark.parametrize("likelihood", ["normal", "binomial"])
    def test_density_is_that_of_the_rows_left(self, likelihood: str):
        spec, evidence = small(likelihood, "emax", "none")
        table = table_of(likelihood, "pain")
        design = with_weights(build_design(spec, evidence))
        rows = design[f"{OUTCOMES}/pain"].to_dataset()
        weight = np.where(np.arange(len(table)) == len(table) - 1, 0.0, 1.0)
        design[f"{OUTCOMES}/pain"] = xr.DataTree(rows.assign({WEIGHT: (ARM, weight)}))
        model = build_model_from_design(spec, design)
        fewer = build_model_from_design(spec, build_design(spec, load_evidence(table.iloc[:-1])))
        weighted, plain = (
            pytensor.function(m.value_vars, log_density(m), on_unused_input="ignore", mode=PY_MODE)
            for m in (model, fewer)
        )
        for point in random_points(model):
            at = [[point[v.name] for v in m.value_vars] for m in (model, fewer)]
            assert_allclose(weighted(*at[0]), plain(*at[1]), rtol=1e-9)

    def test_mean_is_that_of_the_rows_left(self):
        spec, evidence = small("normal", "emax", "none")
        design = with_weights(build_design(spec, evidence))
        rows = design[f"{OUTCOMES}/pain"].to_dataset()
        weight = np.where(np.arange(len(TABLE)) == len(TABLE) - 1, 0.0, 1.0)
        design[f"{OUTCOMES}/pain"] = xr.DataTree(rows.assign({WEIGHT: (ARM, weight)}))
        (outcome,) = model_outcomes(spec, design)
        positions, shares = outcome.mean_shares
        of_e = [dict(zip(p, s, strict=True)) for p, s in zip(positions, shares, strict=True)][-1]
        assert {int(k): v for k, v in of_e.items()} == {8: 0.5, 9: 0.5, 10: 0.0}


@pytest.mark.parametrize("baseline", ["mean_of_arms", "reference_arm"])
def test_exact_evidence_of_exchanged_arms(baseline: str):
    """Priors of effects are centred: the evidence is the same, whatever the baselines' prior."""
    outcome = specs.outcome(
        "normal",
        "constant",
        "arm",
        {
            "effect": specs.parameter("independent"),
            "baseline": specs.parameter("independent", each=specs.normal(20, 5)),
        },
        baseline=baseline,
    )
    spec = specs.spec(outcome)
    table = table_of("normal", "pain")
    design = build_design(spec, load_evidence(table[table["study"] != "E"]))
    evidences = [log_marginal_likelihood(spec, d) for d in (design, exchanged(design))]
    same = abs(evidences[0] - evidences[1]) < 1e-6
    assert same == (baseline == "mean_of_arms")


def test_graphs_of_one_analysis_have_one_structure():
    spec, evidence = small("binomial", "linear", "arm")
    graphs = [build_model_from_design(spec, build_design(spec, evidence)) for _ in range(2)]
    assert same_structure(*graphs)
