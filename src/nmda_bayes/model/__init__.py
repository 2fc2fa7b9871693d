"""The generative model: a spec and a design become a PyMC graph."""

from __future__ import annotations

from nmda_bayes.model.bias import BIAS_SHIFT, HARM_BASELINE, SHIFTED_ARM, linear_biases
from nmda_bayes.model.graph import (
    PY_MODE,
    arm_parameters,
    build_model,
    build_model_from_design,
    model_outcomes,
)
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET, ParameterLayout
from nmda_bayes.model.selection import SELECTION_MOMENTS, apply_publication_selection

__all__ = [
    "BIAS_SHIFT",
    "HARM_BASELINE",
    "OFFSET",
    "PY_MODE",
    "SELECTION_MOMENTS",
    "SHIFTED_ARM",
    "Outcome",
    "ParameterLayout",
    "apply_publication_selection",
    "arm_parameters",
    "build_model",
    "build_model_from_design",
    "linear_biases",
    "model_outcomes",
]
