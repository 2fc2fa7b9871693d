"""Sensitivity: the same question under other priors, trials, curves and choices, all at once."""
