"""The spec: an analysis as validated, immutable data."""

from __future__ import annotations

from nmda_bayes.spec.analysis import (
    AnalysisSpec,
    CrossoverSpec,
    DesignsSpec,
    ErrorCorrelation,
    SamplingSpec,
    read_toml,
)
from nmda_bayes.spec.outcome import CovariateSpec, OutcomeSpec, ParameterSpec, PriorSpec
from nmda_bayes.spec.rules import required_parameters

__all__ = [
    "AnalysisSpec",
    "CovariateSpec",
    "CrossoverSpec",
    "DesignsSpec",
    "ErrorCorrelation",
    "OutcomeSpec",
    "ParameterSpec",
    "PriorSpec",
    "SamplingSpec",
    "read_toml",
    "required_parameters",
]
