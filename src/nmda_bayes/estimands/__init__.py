"""Answers: functions from a fit to labelled draws."""

from nmda_bayes.estimands.at_concentration import response_at_concentration
from nmda_bayes.estimands.beside import beside_published
from nmda_bayes.estimands.biases import effects_with_bias
from nmda_bayes.estimands.borrowing import pooling_report, pooling_words
from nmda_bayes.estimands.deviance import deviance_table, residual_deviance
from nmda_bayes.estimands.effects import study_effects
from nmda_bayes.estimands.infusions import regimen_window
from nmda_bayes.estimands.league import league_frame, league_table
from nmda_bayes.estimands.network_evidence import network_parts
from nmda_bayes.estimands.numbers import contrasts, effective_dose, number_needed
from nmda_bayes.estimands.outlying import outlying_trials
from nmda_bayes.estimands.over_time import (
    effect_over_time,
    hours_of_relief,
    risk_over_time,
    share_left,
)
from nmda_bayes.estimands.ranking import ranks
from nmda_bayes.estimands.reading import design_of, spec_of, tested
from nmda_bayes.estimands.regimen_course import regimen_over_time
from nmda_bayes.estimands.regimen_text import regimen_table, regimen_words
from nmda_bayes.estimands.regimens import regimen_response
from nmda_bayes.estimands.response import absolute_risk, dose_response, linear_response
from nmda_bayes.estimands.splits import (
    inconsistency,
    node_splits,
    node_splitting,
    split,
    unrelated_means,
)
from nmda_bayes.estimands.window import therapeutic_window

__all__ = [
    "absolute_risk",
    "beside_published",
    "contrasts",
    "design_of",
    "deviance_table",
    "dose_response",
    "effect_over_time",
    "effective_dose",
    "effects_with_bias",
    "hours_of_relief",
    "inconsistency",
    "league_frame",
    "league_table",
    "linear_response",
    "network_parts",
    "node_splits",
    "node_splitting",
    "number_needed",
    "outlying_trials",
    "pooling_report",
    "pooling_words",
    "ranks",
    "regimen_over_time",
    "regimen_response",
    "regimen_table",
    "regimen_window",
    "regimen_words",
    "residual_deviance",
    "response_at_concentration",
    "risk_over_time",
    "share_left",
    "spec_of",
    "split",
    "study_effects",
    "tested",
    "therapeutic_window",
    "unrelated_means",
]
