"""Sensitivity analysis: one question under other priors, trials, curves and choices."""

from __future__ import annotations

from nmda_bayes.sensitivity.results import compare_variants, elpd_table, select_cell
from nmda_bayes.sensitivity.runner import fit_variants

__all__ = ["compare_variants", "elpd_table", "fit_variants", "select_cell"]
