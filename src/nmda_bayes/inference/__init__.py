"""From a spec and evidence to a fit, and fits on disk."""

from __future__ import annotations

from nmda_bayes.inference.fit_files import fit_image, read_fit, write_fit
from nmda_bayes.inference.fitting import fit
from nmda_bayes.inference.meta_analysis import meta_analysis

__all__ = ["fit", "fit_image", "meta_analysis", "read_fit", "write_fit"]
