"""From a spec and evidence to a fit, and fits on disk."""

from __future__ import annotations

from nmda_bayes.inference.fitting import fit, read_fit, write_fit
from nmda_bayes.inference.meta_analysis import meta_analysis

__all__ = ["fit", "meta_analysis", "read_fit", "write_fit"]
