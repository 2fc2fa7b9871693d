"""The spec: what an analysis is, as data."""

from nmda_bayes.spec.parts import OutcomeSpec, ParameterSpec, SamplingSpec
from nmda_bayes.spec.rules import needed_parameters
from nmda_bayes.spec.schema import AnalysisSpec

__all__ = ["AnalysisSpec", "OutcomeSpec", "ParameterSpec", "SamplingSpec", "needed_parameters"]
