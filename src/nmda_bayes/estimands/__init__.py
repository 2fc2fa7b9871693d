"""Estimands: functions from a fit to labelled posterior draws."""

from __future__ import annotations

from nmda_bayes.estimands.clinical import (
    compare_agents,
    compare_with_published,
    effective_dose,
    number_needed,
    therapeutic_window,
)
from nmda_bayes.estimands.effects import (
    bias_adjusted_effects,
    deviance_table,
    outlier_probabilities,
    residual_deviance,
    study_effects,
)
from nmda_bayes.estimands.fit_access import design_of, spec_of
from nmda_bayes.estimands.network import (
    compare_direct_indirect,
    inconsistency,
    league_frame,
    league_table,
    node_split_candidates,
    rank_agents,
    subnetworks,
    unrelated_means,
    with_node_split,
)
from nmda_bayes.estimands.regimens import (
    describe_regimens,
    regimen_response,
    regimen_table,
    regimen_window,
    response_at_concentration,
)
from nmda_bayes.estimands.response import absolute_risk, dose_response, linear_response
from nmda_bayes.estimands.shrinkage import describe_shrinkage, shrinkage_by_cell
from nmda_bayes.estimands.tested_doses import (
    commonest_dose,
    comparison_doses,
    dose_range,
    tested_doses,
)
from nmda_bayes.estimands.time import (
    effect_duration,
    effect_over_time,
    regimen_over_time,
    remaining_effect,
    risk_over_time,
)

__all__ = [
    "absolute_risk",
    "bias_adjusted_effects",
    "compare_direct_indirect",
    "commonest_dose",
    "compare_agents",
    "compare_with_published",
    "comparison_doses",
    "describe_regimens",
    "describe_shrinkage",
    "design_of",
    "deviance_table",
    "dose_range",
    "dose_response",
    "effect_duration",
    "effect_over_time",
    "effective_dose",
    "inconsistency",
    "league_frame",
    "league_table",
    "linear_response",
    "node_split_candidates",
    "number_needed",
    "outlier_probabilities",
    "rank_agents",
    "regimen_over_time",
    "regimen_response",
    "regimen_table",
    "regimen_window",
    "remaining_effect",
    "residual_deviance",
    "response_at_concentration",
    "risk_over_time",
    "shrinkage_by_cell",
    "spec_of",
    "study_effects",
    "subnetworks",
    "tested_doses",
    "therapeutic_window",
    "unrelated_means",
    "with_node_split",
]
