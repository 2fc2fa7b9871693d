"""The design: which rows of the evidence a spec sees, and which it leaves out and why."""

from nmda_bayes.design.build import ARMS, LABELS, LEFT_OUT, OUTCOMES, build_design

__all__ = ["ARMS", "LABELS", "LEFT_OUT", "OUTCOMES", "build_design"]
