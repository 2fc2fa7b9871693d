"""Answers: functions from a fit to labelled draws."""

from nmda_bayes.estimands.beside import beside_published
from nmda_bayes.estimands.effects import study_effects
from nmda_bayes.estimands.numbers import contrasts, effective_dose, number_needed
from nmda_bayes.estimands.pooling_report import pooling_report, pooling_words
from nmda_bayes.estimands.reading import design_of, spec_of, tested
from nmda_bayes.estimands.response import absolute_risk, dose_response, linear_response
from nmda_bayes.estimands.window import therapeutic_window

__all__ = [
    "absolute_risk",
    "beside_published",
    "contrasts",
    "design_of",
    "dose_response",
    "effective_dose",
    "linear_response",
    "number_needed",
    "pooling_report",
    "pooling_words",
    "spec_of",
    "study_effects",
    "tested",
    "therapeutic_window",
]
