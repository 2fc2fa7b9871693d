"""The spec: what an analysis is, as data."""

from nmda_bayes.spec.parts import (
    CovariateSpec,
    CrossoverSpec,
    DesignsSpec,
    ErrorCorrelation,
    OutcomeSpec,
    ParameterSpec,
    SamplingSpec,
)
from nmda_bayes.spec.prior import PriorSpec
from nmda_bayes.spec.rules import needed_parameters
from nmda_bayes.spec.schema import AnalysisSpec

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
    "needed_parameters",
]
