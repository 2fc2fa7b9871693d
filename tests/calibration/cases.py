"""The analysis of a combination: a spec with proper priors on the synthetic trials.

The priors are those suggested by the curve for the doses, for effects of about 1 on the scale of
the linear predictor, with half the SD for nonlinear parameters: simulated counts are then neither
all 0 nor all n, and posteriors are not far from the prior.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xarray as xr

from nmda_bayes.components.curves import CURVES, LOG_PREFIX
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.links import IDENTITY
from nmda_bayes.components.pooling import POOLINGS, SD_PREFIXES
from nmda_bayes.evidence import load_evidence
from nmda_bayes.spec import AnalysisSpec
from tests.calibration.combinations import AT_BASELINE, AT_HETEROGENEITY, Combination
from tests.calibration.trials import AGENTS, DOSES, reported

Content = dict[str, Any]

#: 95% of the effects at the largest dose are within this, on the scale of the linear predictor.
LARGEST_EFFECT = 2.0
#: One chain, as simulations are independent; 31 of 310 draws are kept.
SAMPLING = {"seed": 1, "chains": 1, "tune": 200, "draws": 310, "target_accept": 0.9}
#: Curves that diverge at that acceptance rate.
STEEP = ("exponential",)
TAILS = 4.0
#: A component that was renamed after its cases had been recorded, which depend on its old name.
RECORDED_NAME = ("outlier_mixture", "arm_mixture")


@dataclass(frozen=True)
class Case:
    """One analysis that is simulated and fitted many times."""

    name: str
    content: Content
    table: pd.DataFrame
    combination: Combination | None = None
    #: Components other than those of the combination.
    features: tuple[str, ...] = field(default=())

    @property
    def spec(self) -> AnalysisSpec:
        return AnalysisSpec.from_dict(self.content)

    @property
    def evidence(self) -> xr.DataTree:
        """The trials; what the analysis reads of them is no question."""
        columns = self.spec.columns_read
        settings = [f"ignore={','.join(columns)}"] if columns else []
        return load_evidence(self.table, settings=settings)


def case_of(combination: Combination) -> Case:
    """The analysis of a combination."""
    content = content_of(outcome_of(combination))
    if combination.curve in STEEP:
        content["sampling"] |= {"tune": 400, "target_accept": 0.99}
    table = reported(combination.likelihood)
    return Case(combination.name, content, table, combination)


def content_of(*outcomes: Content, **more: Any) -> Content:
    """A spec's content: the first outcome is called pain, the second harm."""
    named = dict(zip(("pain", "harm"), outcomes, strict=False))
    return {
        "title": "Calibration",
        "outcomes": named,
        "classes": dict(AGENTS),
        "sampling": dict(SAMPLING),
        **more,
    }


def outcome_of(combination: Combination, **more: Any) -> Content:
    """An outcome with all the priors that its components need."""
    likelihood = LIKELIHOODS[combination.likelihood]
    curve = CURVES[combination.curve].with_options(CURVES[combination.curve].example)
    parameters: Content = {}
    pooled_name = _pooled_parameter(combination, curve.parameters)
    for name, advice in curve.prior_suggestions(DOSES).items():
        advised = advice.as_spec(LARGEST_EFFECT)["kwargs"]
        pooled = combination.pooling if name == pooled_name else "common"
        shrink = 0.5 if name.startswith(LOG_PREFIX) else 1.0
        parameters[name] = pooled_as(pooled, advised["mu"], advised["sigma"] * shrink)
    parameters |= _trial_parameters(combination)
    for name in likelihood.positive:
        sd = name.endswith("spread")
        location = half_normal(0.2) if sd else prior("Gamma", alpha=4, beta=0.5)
        parameters[name] = {"pooling": "common", "priors": {"location": location}}
    for name in likelihood.shares:
        location = prior("Beta", alpha=2, beta=18)
        parameters[name] = {"pooling": "common", "priors": {"location": location}}
    for name in likelihood.study_parameters:
        parameters[name] = pooled_as("common", 0.0, 0.3)
    if parameters.get("baseline", {}).get("pooling") == "independent":
        more = {"baseline": "reference_arm"} | more
    return {
        "likelihood": combination.likelihood,
        "curve": combination.curve,
        "curve_options": dict(curve.options),
        "heterogeneity": combination.heterogeneity,
        "parameters": parameters,
        **more,
    }


def _pooled_parameter(combination: Combination, names: tuple[str, ...]) -> str:
    """The parameter of the curve that is pooled, by a hash of the combination's name."""
    if combination.pooling in (*AT_BASELINE, *AT_HETEROGENEITY):
        return ""
    # t-distributed logarithms would give simulated effects above e^100.
    candidates = [
        n
        for n in names
        if not (POOLINGS[combination.pooling].heavy_tailed and n.startswith(LOG_PREFIX))
    ]
    name = combination.name.replace(*RECORDED_NAME)
    return candidates[zlib.crc32(name.encode()) % len(candidates)]


def _trial_parameters(combination: Combination) -> Content:
    """The baseline and the heterogeneity parameters, if the outcome has them."""
    likelihood = LIKELIHOODS[combination.likelihood]
    parameters: Content = {}
    if combination.has_baseline:
        level = 0.0 if likelihood.link == IDENTITY else -1.0
        at = "study" if combination.pooling == "study" else "independent"
        parameters["baseline"] = pooled_as(at, level, 0.5)
    kind = HETEROGENEITIES[combination.heterogeneity]
    if kind.parameters:
        by_stratum = combination.pooling == "stratum"
        pooling = "stratum" if by_stratum else "common"
        sd: Content = {"pooling": pooling, "priors": {"location": half_normal(0.3)}}
        if by_stratum:
            sd["priors"]["between_stratum"] = half_normal(0.5)
            sd["strata_column"] = "risk_of_bias"
        if kind.heavy_tailed:
            sd["nu"] = TAILS
        parameters["heterogeneity_sd"] = sd
    if kind.offset_parameters:
        ratio = prior("TruncatedNormal", mu=1.0, sigma=2.0, lower=1.0)
        of_offsets = (ratio, prior("Beta", alpha=2, beta=6))
        parameters |= {
            name: {"pooling": "common", "priors": {"location": location}}
            for name, location in zip(kind.offset_parameters, of_offsets, strict=True)
        }
    return parameters


def pooled_as(pooling: str, mu: float, sigma: float) -> Content:
    """A parameter with a normal location, and SDs of half its prior SD."""
    part = POOLINGS[pooling]
    priors = {
        slot: half_normal(0.5 * sigma) if slot.startswith(SD_PREFIXES) else normal(mu, sigma)
        for slot in (*part.priors, *part.optional)
    }
    return {"pooling": pooling, "priors": priors} | ({"nu": TAILS} if part.heavy_tailed else {})


def prior(dist: str, **kwargs: float) -> Content:
    return {"dist": dist, "kwargs": kwargs, "why": "calibration"}


def normal(mu: float, sigma: float) -> Content:
    return prior("Normal", mu=float(mu), sigma=float(sigma))


def half_normal(sigma: float) -> Content:
    return prior("HalfNormal", sigma=float(sigma))


def plain(content: Mapping[str, Any]) -> Content:
    """Content with lists for tuples, as read from a file."""
    return {
        k: plain(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
        for k, v in content.items()
    }
