"""Sensitivity: the same question under other priors, trials, curves and choices, all at once."""

from nmda_bayes.sensitivity.elpd import elpd_table
from nmda_bayes.sensitivity.results import compare, one_cell
from nmda_bayes.sensitivity.run import fit_variants

__all__ = ["compare", "elpd_table", "fit_variants", "one_cell"]
