"""The analysis of a combination: a spec with proper priors on the synthetic trials.

The priors are those that the curve's own advice gives for the doses, about effects of 1 on the
scale of the linear predictor, with half its spread on what the curve is not linear in: simulated
counts are then neither all 0 nor all n, and a posterior is not a mile from the prior.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nmda_bayes.components.curves import CURVES, LOG
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import IDENTITY, LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS, SPREADS
from nmda_bayes.spec import AnalysisSpec
from tests.calibration.combinations import AT_BASELINE, AT_HETEROGENEITY, Combination
from tests.calibration.trials import AGENTS, DOSES, reported

Content = dict[str, Any]

#: 95 % of the effects at the largest dose lie within this, on the scale of the linear predictor.
LARGEST_EFFECT = 2.0
#: One chain, for independence between simulations costs no chains; 31 draws are kept of 310.
SAMPLING = {"seed": 1, "chains": 1, "tune": 200, "draws": 310, "target_accept": 0.9}
#: Curves of which 1.5 % of the draws diverged at that acceptance; their ranks were uniform.
STEEP = ("exponential",)
TAILS = 4.0


@dataclass(frozen=True)
class Case:
    """One analysis that is simulated and fitted many times."""

    name: str
    content: Content
    table: pd.DataFrame
    combination: Combination | None = None
    #: Parts beside those of the combination.
    features: tuple[str, ...] = field(default=())

    @property
    def spec(self) -> AnalysisSpec:
        return AnalysisSpec.from_dict(self.content)


def case_of(combination: Combination) -> Case:
    """Write the analysis of a combination."""
    content = content_of(outcome_of(combination))
    if combination.curve in STEEP:
        content["sampling"] |= {"tune": 400, "target_accept": 0.99}
    table = reported(combination.likelihood)
    return Case(combination.name, content, table, combination)


def content_of(*outcomes: Content, **more: Any) -> Content:
    """A spec's content: one outcome is called pain, a second harm."""
    named = dict(zip(("pain", "harm"), outcomes, strict=False))
    return {
        "title": "Calibration",
        "outcomes": named,
        "classes": dict(AGENTS),
        "sampling": dict(SAMPLING),
        **more,
    }


def outcome_of(combination: Combination, **more: Any) -> Content:
    """Write an outcome with a prior for all that its parts need."""
    likelihood = LIKELIHOODS[combination.likelihood]
    curve = CURVES[combination.curve].given(CURVES[combination.curve].example)
    parameters: Content = {}
    stands_at = _stands_at(combination, curve.parameters)
    for name, advice in curve.advice(DOSES).items():
        advised = advice.written(LARGEST_EFFECT)["kwargs"]
        pooled = combination.pooling if name == stands_at else "common"
        shrink = 0.5 if name.startswith(LOG) else 1.0
        parameters[name] = pooled_as(pooled, advised["mu"], advised["sigma"] * shrink)
    parameters |= _of_studies(combination)
    for name in likelihood.positive:
        sd = name.endswith("spread")
        location = half_normal(0.2) if sd else prior("Gamma", alpha=4, beta=0.5)
        parameters[name] = {"pooling": "common", "priors": {"location": location}}
    for name in likelihood.shares:
        location = prior("Beta", alpha=2, beta=18)
        parameters[name] = {"pooling": "common", "priors": {"location": location}}
    for name in likelihood.of_studies:
        parameters[name] = pooled_as("common", 0.0, 0.3)
    return {
        "likelihood": combination.likelihood,
        "curve": combination.curve,
        "curve_options": dict(curve.options),
        "heterogeneity": combination.heterogeneity,
        "parameters": parameters,
        **more,
    }


def _stands_at(combination: Combination, names: tuple[str, ...]) -> str:
    """Choose the parameter of the curve that is pooled: a rotation that no other part can move."""
    if combination.pooling in (*AT_BASELINE, *AT_HETEROGENEITY):
        return ""
    # The tails of a t on a logarithm are simulated effects past e^100.
    able = [n for n in names if not (POOLINGS[combination.pooling].heavy and n.startswith(LOG))]
    return able[zlib.crc32(combination.name.encode()) % len(able)]


def _of_studies(combination: Combination) -> Content:
    """The baseline and the heterogeneity, where the outcome has them."""
    likelihood = LIKELIHOODS[combination.likelihood]
    given: Content = {}
    if combination.has_baseline:
        level = 0.0 if likelihood.link == IDENTITY else -1.0
        at = "study" if combination.pooling == "study" else "independent"
        given["baseline"] = pooled_as(at, level, 0.5)
    kind = HETEROGENEITIES[combination.heterogeneity]
    if kind.parameters:
        by_stratum = combination.pooling == "stratum"
        sd = {"pooling": "stratum" if by_stratum else "common",
              "priors": {"location": half_normal(0.3)}}  # fmt: skip
        if by_stratum:
            sd["priors"]["between_stratum"] = half_normal(0.5)
            sd["by"] = "risk_of_bias"
        if kind.heavy:
            sd["nu"] = TAILS
        given["heterogeneity_sd"] = sd
    if kind.of_offsets:
        ratio = prior("TruncatedNormal", mu=1.0, sigma=2.0, lower=1.0)
        of_offsets = (ratio, prior("Beta", alpha=2, beta=6))
        given |= {
            name: {"pooling": "common", "priors": {"location": location}}
            for name, location in zip(kind.of_offsets, of_offsets, strict=True)
        }
    return given


def pooled_as(pooling: str, mu: float, sigma: float) -> Content:
    """A parameter about a location, its spreads half as wide as that is known."""
    part = POOLINGS[pooling]
    priors = {
        slot: half_normal(0.5 * sigma) if slot.startswith(SPREADS) else normal(mu, sigma)
        for slot in (*part.priors, *part.optional)
    }
    return {"pooling": pooling, "priors": priors} | ({"nu": TAILS} if part.heavy else {})


def prior(dist: str, **kwargs: float) -> Content:
    return {"dist": dist, "kwargs": kwargs, "why": "calibration"}


def normal(mu: float, sigma: float) -> Content:
    return prior("Normal", mu=float(mu), sigma=float(sigma))


def half_normal(sigma: float) -> Content:
    return prior("HalfNormal", sigma=float(sigma))


def plain(content: Mapping[str, Any]) -> Content:
    """Content with lists where it has tuples, as a file would give it."""
    return {k: plain(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
            for k, v in content.items()}  # fmt: skip
