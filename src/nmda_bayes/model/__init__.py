"""The generative model: a spec and a design become a graph."""

from nmda_bayes.model.bias import SHIFT, SHIFTED_ARM, linear_terms
from nmda_bayes.model.graph import CHEAP, build_model, model_of, outcomes_of, parameters_of
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET, Sites
from nmda_bayes.model.publishing import as_published
from nmda_bayes.model.selection import SELECTED
from nmda_bayes.model.unblinding import HARM_BASELINE

__all__ = [
    "CHEAP",
    "HARM_BASELINE",
    "OFFSET",
    "Outcome",
    "SELECTED",
    "SHIFT",
    "SHIFTED_ARM",
    "Sites",
    "as_published",
    "build_model",
    "linear_terms",
    "model_of",
    "outcomes_of",
    "parameters_of",
]
