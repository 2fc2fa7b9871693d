"""Cases beside the combinations: what an analysis may have that does not meet every other part."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nmda_bayes.components.bias import BIASES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.time import COURSES
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
from tests.calibration.combinations import ANYWHERE, Combination
from tests.calibration.trials import arms, contrasts, reported

LKJ = {"dist": "LKJCorr", "kwargs": {"eta": 2.0}, "why": "calibration"}
LINEAR = Combination("linear", "normal", "agent", "arm")
EMAX = Combination("emax", "normal", "agent", "arm")
RISK = Combination("emax", "binomial", "agent", "arm")


def _case(name: str, features: str, outcome: Content, table: pd.DataFrame, **more: Any) -> Case:
    return Case(name, content_of(outcome, **more), table, features=tuple(features.split()))


def selection() -> Case:
    """Trials of two arms, published by the steps of their p-value."""
    steps = {"steps": [0.025, 0.5], "priors": [prior("Beta", alpha=2, beta=2)] * 2}
    outcome = outcome_of(
        Combination("constant", "normal_contrast", "common", "arm"),
        better="lower",
        bias={"selection": steps},
    )
    several = [
        contrasts().drop_duplicates("study").assign(study=lambda t, k=k: t["study"] + k)
        for k in ("", " again", " anew")
    ]
    return _case("selection", "selection", outcome, pd.concat(several, ignore_index=True))


def biased() -> Case:
    """Small trials and trials at high risk of bias shift the effect."""
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
    """Arms, crossover trials, printed differences and responders at two cut-offs together."""
    outcome = outcome_of(
        LINEAR,
        better="lower",
        contrasts={"effects": ["unnamed"]},
        responders={"measures": {"third": "30 %", "half": "50 %"}},
    )
    outcome["parameters"]["responder_sd"] = {
        "pooling": "common", "priors": {"location": prior("LogNormal", mu=0.0, sigma=0.3)},
    }  # fmt: skip
    outcome["parameters"]["starting_level"] = {
        "pooling": "independent",
        "priors": {"each": prior("LogNormal", mu=0.7, sigma=0.15)},
    }
    whole = arms().assign(n=40)
    means = whole[whole["study"].isin(["s1", "s2", "s3", "s4"])].assign(
        outcome="pain", mean=0.0, se=0.3
    )
    crossover = means["study"].isin(["s3", "s4"])
    means = means.assign(design=crossover.map({True: "crossover", False: "parallel"}))
    counted = whole[whole["study"].isin(["s7", "s8"])]
    both = [counted.assign(outcome=o, events=e) for o, e in (("third", 15), ("half", 8))]
    differences = contrasts()
    differences = differences[differences["study"].isin(["s5", "s6"])]
    table = pd.concat([means.drop(columns="n"), differences, *both], ignore_index=True)
    table["design"] = table["design"].fillna("parallel")
    designs = {
        "crossover": {
            "periods": "all", "within_person_correlation": prior("Beta", alpha=5, beta=5),
        }
    }  # fmt: skip
    return _case(
        "mixed forms", "crossover contrasts_beside_arms responders cutoffs", outcome, table,
        designs=designs,
    )  # fmt: skip


def two_outcomes() -> Case:
    """Benefit and harm: arms and agents correlated, and the harm betrays the benefit."""
    correlations = {"heterogeneity": LKJ, "agent": {**LKJ, "of": ["pain.emax", "harm.emax"]}}
    bias = {"unblinding": {"harm": "harm", "prior": normal(0, 0.5)}}
    features = ("correlated_arms", "correlated_agents", "unblinding")
    return _both("two outcomes", features, correlations, bias=bias)


def benefit_and_harm() -> Case:
    """Benefit and harm as the shipped analyses have them, for the study of coverage."""
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
    """An effect and a shape that move with the year, strata without sharing, tails with a prior."""
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
    sd |= {"pooling": "independent", "by": "risk_of_bias"}
    return _case(
        "regressed", "covariates strata_apart tails_with_a_prior", outcome, reported("normal")
    )


def over_time(course: str, options: Content, priors: Content, heterogeneity: str) -> Case:
    """Arms that are read at two hours, their effects waxing and waning."""
    outcome = outcome_of(
        Combination("linear", "normal", "agent", heterogeneity),
        course=course,
        course_options=options,
        time={"rule": "every_reading"},
    )
    outcome["parameters"] |= {
        name: {"pooling": "common", "priors": {"location": one}} for name, one in priors.items()
    }
    read = reported("normal").assign(infusion_hours=2, n_administrations=1)
    hours = {"s1": (2, 8), "s2": (4, 26), "s3": (2, 26)}
    rows = [
        read[read["study"] == study].assign(time_hours=hour)
        for study in dict.fromkeys(read["study"])
        for hour in hours.get(study, (3,))
    ]
    correlation = {"within_arm_correlation": prior("Beta", alpha=5, beta=5)}
    return _case(
        f"over time by {course}", f"{course} {heterogeneity} readings", outcome,
        pd.concat(rows, ignore_index=True), designs={"repeated": correlation},
    )  # fmt: skip


def clusters_and_shapes() -> Case:
    """Trials in districts, whose treatments resemble each other; one agent has its own curve."""
    outcome = outcome_of(EMAX, curves={"c": "linear"})
    outcome["heterogeneity"] = "nested"
    outcome["parameters"]["slope"] = pooled_as("common", 0.0, 0.3)
    outcome["parameters"]["cluster_sd"] = {
        "pooling": "common", "priors": {"location": half_normal(0.3)}, "by": "district",
    }  # fmt: skip
    table = reported("normal")
    table["district"] = table["study"].map(lambda study: "nesw"[int(study[1:]) // 2 % 4])
    return _case("clusters and shapes", "nested shape_by_agent", outcome, table)


def correlated_errors() -> Case:
    """Two scores of the same people, whose errors go together by a correlation to be learned."""
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
    over_time("exponential_decay", {}, {"log_half_life": normal(2, 0.5)}, "arm_fading"),
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
#: What a power prior makes of a likelihood is no model of data, and draws none.
DRAWS_NOTHING = ("power",)


def wanted_features() -> set[str]:
    """Name what must have a record beside the combinations."""
    catalogues = {*HETEROGENEITIES} - {*ANYWHERE} | {*COURSES} - {"constant"} | {*BIASES}
    own = {feature for case in FEATURES for feature in case.features}
    return (catalogues | own | {"coverage", "coverage over time"}) - {*DRAWS_NOTHING}
