"""The generative model: a spec and a design become a graph."""

from nmda_bayes.model.graph import CHEAP, build_model, model_of, outcomes_of, parameters_of
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET, Sites
from nmda_bayes.model.publishing import as_published

__all__ = [
    "CHEAP",
    "OFFSET",
    "Outcome",
    "Sites",
    "as_published",
    "build_model",
    "model_of",
    "outcomes_of",
    "parameters_of",
]
