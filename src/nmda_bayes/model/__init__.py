"""The generative model: a spec and a design become a graph."""

from nmda_bayes.model.graph import CHEAP, build_model, model_of
from nmda_bayes.model.parameters import OFFSET

__all__ = ["CHEAP", "OFFSET", "build_model", "model_of"]
