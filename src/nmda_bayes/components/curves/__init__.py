"""Dose-response curves: the effect of an exposure x > 0, relative to x = 0.

A curve is a value: a name, the names of its parameters, one formula and its text. The formula is
written once, in arithmetic and the functions of a namespace `xp`, so that the curve in the graph
(`pytensor.xtensor.math`) is the curve in the report (`numpy`, on xarray draws).

To add a curve, write its formula under one `@curve` line: in `formulas`, or in `with_bases` where
it needs knots, powers or the like. Nothing else changes.
"""

from nmda_bayes.components.curves import formulas, with_bases
from nmda_bayes.components.curves.advice import Advice
from nmda_bayes.components.curves.catalogue import CURVES, LOG, Curve, curve
from nmda_bayes.components.curves.shapes import Shapes

__all__ = ["CURVES", "LOG", "Advice", "Curve", "Shapes", "curve", "formulas", "with_bases"]
