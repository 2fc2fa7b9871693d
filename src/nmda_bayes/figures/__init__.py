"""Figures: labelled arrays in, a matplotlib figure out, with its alternative text as its label."""

from nmda_bayes.figures.at_concentration import External, plot_at_concentration
from nmda_bayes.figures.benefit_risk import plot_benefit_risk
from nmda_bayes.figures.bias import plot_bias
from nmda_bayes.figures.concentration import plot_concentration
from nmda_bayes.figures.curve import plot_curve, plot_curves
from nmda_bayes.figures.dose_and_time import plot_dose_and_time
from nmda_bayes.figures.dose_coverage import plot_dose_coverage
from nmda_bayes.figures.dose_response import plot_dose_response
from nmda_bayes.figures.evidence_map import plot_evidence_map
from nmda_bayes.figures.forest import plot_forest
from nmda_bayes.figures.league import plot_league
from nmda_bayes.figures.left_out import plot_left_out
from nmda_bayes.figures.network import plot_network
from nmda_bayes.figures.node_splits import plot_node_splits
from nmda_bayes.figures.over_time import plot_over_time
from nmda_bayes.figures.power_scaling import plot_power_scaling
from nmda_bayes.figures.predictive import plot_predictive_check
from nmda_bayes.figures.prior_posterior import plot_prior_posterior
from nmda_bayes.figures.ranks import plot_ranks
from nmda_bayes.figures.regimens import plot_regimen_window
from nmda_bayes.figures.regimens_over_time import plot_regimens_over_time
from nmda_bayes.figures.side_by_side import plot_side_by_side
from nmda_bayes.figures.specification_curve import plot_specification_curve
from nmda_bayes.figures.stacking import plot_stack
from nmda_bayes.figures.style import as_png, as_svg
from nmda_bayes.figures.tornado import plot_tornado
from nmda_bayes.figures.two_choices import plot_two_choices
from nmda_bayes.figures.window import plot_window

__all__ = [
    "External",
    "plot_at_concentration",
    "plot_two_choices",
    "plot_tornado",
    "plot_specification_curve",
    "plot_left_out",
    "as_png",
    "as_svg",
    "plot_benefit_risk",
    "plot_bias",
    "plot_concentration",
    "plot_curve",
    "plot_curves",
    "plot_dose_and_time",
    "plot_dose_coverage",
    "plot_dose_response",
    "plot_evidence_map",
    "plot_forest",
    "plot_league",
    "plot_network",
    "plot_node_splits",
    "plot_predictive_check",
    "plot_over_time",
    "plot_power_scaling",
    "plot_prior_posterior",
    "plot_ranks",
    "plot_regimen_window",
    "plot_regimens_over_time",
    "plot_side_by_side",
    "plot_stack",
    "plot_window",
]
