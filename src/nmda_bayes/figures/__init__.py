"""Figures: labelled arrays in, a matplotlib figure out, with its alternative text as its label."""

from __future__ import annotations

from nmda_bayes.figures.benefit_risk import plot_benefit_risk, plot_therapeutic_window
from nmda_bayes.figures.checks import (
    plot_power_scaling,
    plot_predictive_check,
    plot_prior_posterior,
    plot_stacking_weights,
)
from nmda_bayes.figures.dose import plot_curve, plot_curve_catalogue, plot_dose_response
from nmda_bayes.figures.evidence import plot_dose_coverage, plot_evidence_map
from nmda_bayes.figures.forest import (
    plot_bias_adjustment,
    plot_forest,
    plot_node_splits,
    plot_published_comparison,
)
from nmda_bayes.figures.network import plot_league, plot_network, plot_ranks
from nmda_bayes.figures.regimens import (
    ExternalRange,
    plot_concentration,
    plot_concentration_response,
    plot_regimen_window,
    plot_regimens_over_time,
)
from nmda_bayes.figures.sensitivity import (
    plot_leave_one_out,
    plot_multiverse_grid,
    plot_specification_curve,
    plot_tornado,
)
from nmda_bayes.figures.style import as_png, as_svg
from nmda_bayes.figures.time import plot_effect_over_dose_and_time, plot_effect_over_time

__all__ = [
    "ExternalRange",
    "plot_concentration_response",
    "plot_multiverse_grid",
    "plot_tornado",
    "plot_specification_curve",
    "plot_leave_one_out",
    "as_png",
    "as_svg",
    "plot_benefit_risk",
    "plot_bias_adjustment",
    "plot_concentration",
    "plot_curve",
    "plot_curve_catalogue",
    "plot_effect_over_dose_and_time",
    "plot_dose_coverage",
    "plot_dose_response",
    "plot_evidence_map",
    "plot_forest",
    "plot_league",
    "plot_network",
    "plot_node_splits",
    "plot_predictive_check",
    "plot_effect_over_time",
    "plot_power_scaling",
    "plot_prior_posterior",
    "plot_ranks",
    "plot_regimen_window",
    "plot_regimens_over_time",
    "plot_published_comparison",
    "plot_stacking_weights",
    "plot_therapeutic_window",
]
