"""Pharmacokinetics: from what was given to what is in the blood, by published models.

    models, published_model     the models, out of the table of their parameters
    concentration               over time, after a regimen
    exposures, arm_exposures    peak, average, area, at a time: of a regimen, of the arms of trials
    draw_parameters             between people, or by the errors of typical values

All of it is sums of exponentials (`exponentials`), added up over doses (`inputs`). The formulas are
written once for numpy and PyTensor; this package imports neither PyMC nor the evidence, whose
tables come in as data frames.
"""

from nmda_bayes.pharmacokinetics.arms import arm_exposures
from nmda_bayes.pharmacokinetics.concentrations import concentration
from nmda_bayes.pharmacokinetics.draws import draw_parameters
from nmda_bayes.pharmacokinetics.exposures import exposures
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.parameter import Parameter
from nmda_bayes.pharmacokinetics.table import models, published_model

__all__ = [
    "Parameter",
    "PharmacokineticModel",
    "arm_exposures",
    "concentration",
    "draw_parameters",
    "exposures",
    "models",
    "published_model",
]
