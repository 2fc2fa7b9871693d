"""Valid specs: immutable, complete, and equal after a round trip; their priors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pydantic
import pytest
from scipy import stats

from nmda_bayes.evidence import shipped_folder
from nmda_bayes.priors import FAMILIES, is_positive, prior_issues, prior_text, random_variable
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec, required_parameters
from nmda_bayes.spec.rules import natural_name
from tests.support import specs

#: All but the sensitivity analyses, which name a base spec and are not specs.
SHIPPED = sorted(
    path
    for path in shipped_folder("models").glob("*.toml")
    if not path.stem.endswith("sensitivity")
)


def test_json_round_trip():
    spec = specs.benefit_risk(
        correlations=specs.LKJ,
        select={"condition": "crps", "year": [2001, 2002]},
        agents={"active_placebo": "placebo"},
    )
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_specs_are_valid_and_justify_priors(path: Path):
    spec = AnalysisSpec.from_toml(path)
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
    for name, outcome in spec.outcomes.items():
        for key, parameter in outcome.parameters.items():
            for slot, prior in parameter.priors.items():
                assert prior.why, f"{name}.{key}.{slot} has no reason"


def test_the_primary_analysis_is_shipped():
    assert "benefit_risk" in {path.stem for path in SHIPPED}


@pytest.mark.parametrize("key", ["title", "outcomes", "no_such_key"])
def test_specs_are_immutable(key):
    with pytest.raises(pydantic.ValidationError):
        setattr(specs.spec(), key, "other")


def test_single_values_and_numbers_in_lists_of_text():
    spec = specs.spec(specs.outcome(measures="pain_intensity"), select={"year": 2001})
    assert spec.outcomes["pain"].measures == ("pain_intensity",)
    assert spec.select == {"year": ("2001",)}


def test_single_outcome():
    assert specs.spec().single_outcome
    assert not specs.benefit_risk().single_outcome


@pytest.mark.parametrize(
    ("parts", "needed"),
    [
        (("normal", "emax", "arm"), ("emax", "log_ed50", "baseline", "heterogeneity_sd")),
        (("binomial", "constant", "none"), ("effect", "baseline")),
        (("normal_contrast", "linear", "arm"), ("slope", "heterogeneity_sd")),
        (("normal", "no_curve", "arm"), None),
    ],
)
def test_required_parameters(parts, needed):
    keys = ("likelihood", "curve", "heterogeneity")
    outcome = OutcomeSpec.read_partially(dict(zip(keys, parts, strict=True)))
    assert required_parameters(outcome) == needed


def test_natural_name():
    assert natural_name("log_ed50") == "ed50"
    assert natural_name("slope") == "slope"


ARGUMENTS = {"lower": 0.0, "upper": 2.0, "mu": 0.5, "sigma": 0.2}


@pytest.mark.parametrize("dist", sorted(FAMILIES))
def test_families_make_random_variables(dist):
    import pymc as pm

    for arguments in FAMILIES[dist].arguments:
        kwargs = {name: ARGUMENTS.get(name, 2.0) for name in arguments.split()}
        assert list(prior_issues(dist, kwargs)) == []
        with pm.Model(coords={"agent": ["a", "b"]}) as model:
            random_variable("x", dist, kwargs, ("agent",))
        assert model.named_vars_to_dims["x"] == ("agent",)
        drawn = pm.draw(model["x"].values, draws=50, random_seed=1, mode="FAST_COMPILE")
        assert drawn.shape == (50, 2)
        if is_positive(dist, kwargs):
            assert (drawn >= 0).all()
        if dist in ("Normal", "StudentT", "Cauchy", "Laplace") and "tau" not in kwargs:
            assert not is_positive(dist, kwargs)


@pytest.mark.parametrize("dist", sorted(FAMILIES))
def test_scales_must_be_positive(dist):
    for arguments in FAMILIES[dist].arguments:
        for scale in set(arguments.split()) & set(FAMILIES[dist].positive_arguments.split()):
            kwargs = {name: ARGUMENTS.get(name, 2.0) for name in arguments.split()} | {scale: -2.0}
            assert any("must be positive" in message for message, _ in prior_issues(dist, kwargs))


def test_truncated_priors_are_positive_from_zero():
    assert is_positive("TruncatedNormal", {"mu": 0, "sigma": 1, "lower": 0})
    assert not is_positive("TruncatedNormal", {"mu": 0, "sigma": 1, "lower": -0.1})
    assert not is_positive("TruncatedNormal", {"mu": 0, "sigma": 1, "upper": 3})
    assert is_positive("Uniform", {"lower": 0, "upper": 1})


def test_prior_text():
    assert prior_text("Normal", {"mu": 0, "sigma": 2.5}) == "Normal(mu=0, sigma=2.5)"


def test_priors_agree_with_scipy():
    """The arguments have the meaning of SciPy's."""
    import pymc as pm

    pairs = {
        ("Normal", "mu", "sigma"): stats.norm(1, 2),
        ("HalfNormal", "sigma"): stats.halfnorm(0, 2),
        ("LogNormal", "mu", "sigma"): stats.lognorm(2, scale=math.e),
        ("Exponential", "lam"): stats.expon(scale=0.5),
    }
    values = {"mu": 1.0, "sigma": 2.0, "lam": 2.0}
    for (dist, *arguments), known in pairs.items():
        with pm.Model() as model:
            random_variable("x", dist, {name: values[name] for name in arguments})
        logp = pm.logp(model["x"], model["x"].type.filter_variable(0.7)).values
        assert float(logp.eval(mode="FAST_COMPILE")) == pytest.approx(known.logpdf(0.7))
