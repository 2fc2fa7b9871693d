"""From a spec and evidence to a fit, and fits on disk."""

from nmda_bayes.inference.nuts import fit
from nmda_bayes.inference.store import read_fit, write_fit

__all__ = ["fit", "read_fit", "write_fit"]
