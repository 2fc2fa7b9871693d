"""Pharmacokinetics: concentrations after a regimen, predicted by published compartment models.

    C(t) = Σ dose_i h(t - t_i),   h(t) = Σ_k w_k exp(-λ_k t)

The formulas (`responses`, `dosing`) serve numpy and PyTensor alike. This package imports neither
PyMC nor the evidence, whose tables are passed in as data frames.
"""

from __future__ import annotations

from nmda_bayes.pk.exposures import arm_exposures, summarise_exposure
from nmda_bayes.pk.problem import predict_concentrations
from nmda_bayes.pk.structure import Parameter, PKModel
from nmda_bayes.pk.table import draw_parameters, published_models, published_pk_model

__all__ = [
    "Parameter",
    "PKModel",
    "arm_exposures",
    "predict_concentrations",
    "draw_parameters",
    "summarise_exposure",
    "published_models",
    "published_pk_model",
]
