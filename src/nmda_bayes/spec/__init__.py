"""The spec: what an analysis is, as data."""

from nmda_bayes.spec.rules import needed_parameters
from nmda_bayes.spec.schema import AnalysisSpec, OutcomeSpec, ParameterSpec, SamplingSpec

__all__ = ["AnalysisSpec", "OutcomeSpec", "ParameterSpec", "SamplingSpec", "needed_parameters"]
