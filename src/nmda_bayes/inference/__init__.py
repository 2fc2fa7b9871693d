"""From a spec and evidence to a fit, and fits on disk."""

from nmda_bayes.inference.fitting import fit
from nmda_bayes.inference.meta_analysis import meta_analysis
from nmda_bayes.inference.store import read_fit, write_fit

__all__ = ["fit", "meta_analysis", "read_fit", "write_fit"]
