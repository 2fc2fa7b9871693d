"""Cases of features that are not combined with every component."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nmda_bayes.components.bias import BIASES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.time_courses import TIME_COURSES
from tests.calibration.cases import (
    Case,
    Content,
    content_of,
    half_normal,
    normal,
    outcome_of,
    pooled_as,
    prior,
)
from tests.calibration.combinations import PLAIN_HETEROGENEITIES, Combination
from tests.calibration.trials import arms, contrasts, reported

LKJ = {"dist": "LKJCorr", "kwargs": {"eta": 2.0}, "why": "calibration"}
LINEAR = Combination("linear", "normal", "agent", "arm")
EMAX = Combination("emax", "normal", "agent", "arm")
RISK = Combination("emax", "binomial", "agent", "arm")


def _case(name: str, features: str, outcome: Content, table: pd.DataFrame, **more: Any) -> Case:
    return Case(name, content_of(outcome, **more), table, features=tuple(features.split()))


def selection() -> Case:
    """Two-arm trials, published with probabilities that depend on their p-value."""
    steps = {"steps": [0.025, 0.5], "priors": [prior("Beta", alpha=2, beta=2)] * 2}
    outcome = outcome_of(
        Combination("constant", "normal_contrast", "common", "arm"),
        better="lower",
        bias={"selection": steps},
    )
    copies = [
        contrasts().drop_duplicates("study").assign(study=lambda t, k=k: t["study"] + k)
        for k in ("", " again", " anew")
    ]
    return _case("selection", "selection", outcome, pd.concat(copies, ignore_index=True))


def biased() -> Case:
    """Small-study effects and risk of bias."""
    outcome = outcome_of(
        LINEAR,
        better="lower",
        bias={
            "small_study": {"prior": normal(0, 1)},
            "risk_of_bias": {
                "column": "risk_of_bias",
                "priors": {"high": normal(0, 0.5)},
                "spread": half_normal(0.2),
            },
        },
    )
    return _case("biased", "small_study risk_of_bias", outcome, reported("normal"))


def mixed_forms() -> Case:
    """Arms, crossover trials, contrasts and responders at two cut-offs together."""
    outcome = outcome_of(
        LINEAR,
        better="lower",
        contrasts={"effects": ["unnamed"]},
        responders={"measures": {"third": "30 %", "half": "50 %"}},
    )
    outcome["parameters"]["responder_sd"] = {
        "pooling": "common",
        "priors": {"location": prior("LogNormal", mu=0.0, sigma=0.3)},
    }
    outcome["parameters"]["starting_level"] = {
        "pooling": "independent",
        "priors": {"each": prior("LogNormal", mu=0.7, sigma=0.15)},
    }
    rows = arms().assign(n=40)
    means = rows[rows["study"].isin(["s1", "s2", "s3", "s4"])].assign(
        outcome="pain", mean=0.0, se=0.3
    )
    crossover = means["study"].isin(["s3", "s4"])
    means = means.assign(design=crossover.map({True: "crossover", False: "parallel"}))
    counted = rows[rows["study"].isin(["s7", "s8"])]
    both = [counted.assign(outcome=o, events=e) for o, e in (("third", 15), ("half", 8))]
    differences = contrasts()
    differences = differences[differences["study"].isin(["s5", "s6"])]
    table = pd.concat([means.drop(columns="n"), differences, *both], ignore_index=True)
    table["design"] = table["design"].fillna("parallel")
    correlation = prior("Beta", alpha=5, beta=5)
    designs = {"crossover": {"periods": "all", "within_person_correlation": correlation}}
    features = "crossover contrasts_with_arms responders cutoffs"
    return _case("mixed forms", features, outcome, table, designs=designs)


def two_outcomes() -> Case:
    """Benefit and harm: correlated arms and agents, and functional unblinding."""
    correlations = {"heterogeneity": LKJ, "agent": {**LKJ, "of": ["pain.emax", "harm.emax"]}}
    bias = {"unblinding": {"harm": "harm", "prior": normal(0, 0.5)}}
    features = ("correlated_arms", "correlated_agents", "unblinding")
    return _both("two outcomes", features, correlations, bias=bias)


def benefit_and_harm() -> Case:
    """Benefit and harm as in the shipped analyses, for the study of coverage."""
    return _both("coverage of benefit and harm", ("coverage",), {"heterogeneity": LKJ})


def _both(name: str, features: tuple[str, ...], correlations: Content, **of_pain: Any) -> Case:
    pain = outcome_of(EMAX, better="lower", **of_pain)
    harm = outcome_of(RISK, better="lower")
    for outcome in (pain, harm):
        outcome["parameters"]["emax"] = pooled_as("agent", 0.0, 1.0)
    table = pd.concat([reported("normal"), reported("binomial", "harm")], ignore_index=True)
    content = content_of(pain, harm, correlations=correlations)
    return Case(name, content, table, features=features)


def regressed() -> Case:
    """An effect and a shape regressed on year, independent strata, nu with a prior."""
    outcome = outcome_of(Combination("emax", "normal", "agent_t", "arm_t"))
    tails = prior("Gamma", alpha=4, beta=0.8)
    for name in ("emax", "log_ed50"):
        outcome["parameters"][name]["covariates"] = {
            "year": {"prior": normal(0, 0.5), "centre": 2010.0, "unit": 10.0}
        }
    for name in ("emax", "log_ed50", "heterogeneity_sd"):
        if outcome["parameters"][name].pop("nu", None) is not None:
            outcome["parameters"][name]["priors"]["nu"] = tails
    sd = outcome["parameters"]["heterogeneity_sd"]
    sd["priors"]["each"] = sd["priors"].pop("location")
    sd |= {"pooling": "independent", "strata_column": "risk_of_bias"}
    return _case(
        "regressed", "covariates independent_strata nu_with_prior", outcome, reported("normal")
    )


def over_time(course: str, options: Content, priors: Content, heterogeneity: str) -> Case:
    """Arms that are measured at two times, with a time course."""
    outcome = outcome_of(
        Combination("linear", "normal", "agent", heterogeneity),
        course=course,
        course_options=options,
        time={"rule": "all"},
    )
    outcome["parameters"] |= {
        name: {"pooling": "common", "priors": {"location": value}} for name, value in priors.items()
    }
    measured = reported("normal").assign(infusion_hours=2, n_administrations=1)
    hours = {"s1": (2, 8), "s2": (4, 26), "s3": (2, 26)}
    rows = [
        measured[measured["study"] == study].assign(time_hours=hour)
        for study in dict.fromkeys(measured["study"])
        for hour in hours.get(study, (3,))
    ]
    correlation = {"within_arm_correlation": prior("Beta", alpha=5, beta=5)}
    table, features = pd.concat(rows, ignore_index=True), f"{course} {heterogeneity} readings"
    designs = {"repeated": correlation}
    return _case(f"over time by {course}", features, outcome, table, designs=designs)


def clusters_and_shapes() -> Case:
    """Trials clustered in districts; one agent has another curve."""
    outcome = outcome_of(EMAX, curves={"c": "linear"})
    outcome["heterogeneity"] = "nested"
    outcome["parameters"]["slope"] = pooled_as("common", 0.0, 0.3)
    outcome["parameters"]["cluster_sd"] = {
        "pooling": "common",
        "priors": {"location": half_normal(0.3)},
        "strata_column": "district",
    }
    table = reported("normal")
    table["district"] = table["study"].map(lambda study: "nesw"[int(study[1:]) // 2 % 4])
    return _case("clusters and shapes", "nested curve_by_agent", outcome, table)


def correlated_errors() -> Case:
    """Two scores of the same people, with an unknown correlation of errors."""
    scores = [outcome_of(Combination(c, "normal", "common", "arm")) for c in ("linear", "constant")]
    both = [reported("normal", name) for name in ("pain", "harm")]
    errors = {"of": ["pain", "harm"], "prior": prior("Beta", alpha=3, beta=3)}
    content = content_of(*scores, correlations={"errors": errors})
    return Case(
        "correlated errors",
        content,
        pd.concat(both, ignore_index=True),
        features=("correlated_errors",),
    )


FEATURES: tuple[Case, ...] = (
    selection(),
    biased(),
    mixed_forms(),
    two_outcomes(),
    regressed(),
    over_time("exponential_decay", {}, {"log_half_life": normal(2, 0.5)}, "proportional_to_course"),
    over_time(
        "onset_and_decay",
        {},
        {"log_half_life": normal(2, 0.5), "log_onset_half_life": normal(0, 0.5)},
        "arm",
    ),
    over_time("steps", {"edges": [2, 12]}, {f"share_{i}": normal(0.5, 0.5) for i in (1, 2)}, "arm"),
    clusters_and_shapes(),
    correlated_errors(),
)
#: A likelihood raised to a power generates no data.
NOT_GENERATIVE = ("power",)


def required_features() -> set[str]:
    """Features that must have a record."""
    registries = (
        {*HETEROGENEITIES} - {*PLAIN_HETEROGENEITIES} | {*TIME_COURSES} - {"constant"} | {*BIASES}
    )
    simulated = {feature for case in FEATURES for feature in case.features}
    return (registries | simulated | {"coverage", "coverage over time"}) - {*NOT_GENERATIVE}
