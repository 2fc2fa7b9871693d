"""Sensitivity: the same question under other priors, trials, curves and choices, all at once."""

from nmda_bayes.sensitivity.results import compare, one_cell
from nmda_bayes.sensitivity.run import fit_variants

__all__ = ["compare", "fit_variants", "one_cell"]
