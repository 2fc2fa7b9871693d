"""Likelihoods: how what a trial reports depends on the linear predictor of its arms.

Each likelihood names the columns it needs, its link, its own parameters, and one function that
makes the observed variable. ``eta`` is the linear predictor over the arms that report the outcome.

To add a likelihood, write its function under one `@likelihood` line in `means`, `counts`,
`conditional` or `contrasts`.
"""

from nmda_bayes.components.likelihoods.catalogue import LIKELIHOODS, Likelihood, likelihood
from nmda_bayes.components.likelihoods.conditional import (
    WAYS_AT_MOST,
    count_ways,
    hypergeometric,
)
from nmda_bayes.components.likelihoods.contrasts import contrast_covariance, normal_contrast
from nmda_bayes.components.likelihoods.counts import (
    beta_binomial,
    binomial,
    binomial_cloglog,
    negative_binomial,
    poisson,
)
from nmda_bayes.components.likelihoods.means import normal, normal_with_sd, student_t
from nmda_bayes.components.links import IDENTITY, LOGIT

__all__ = [
    "IDENTITY",
    "LIKELIHOODS",
    "LOGIT",
    "Likelihood",
    "WAYS_AT_MOST",
    "beta_binomial",
    "binomial",
    "binomial_cloglog",
    "contrast_covariance",
    "count_ways",
    "hypergeometric",
    "likelihood",
    "negative_binomial",
    "normal",
    "normal_contrast",
    "normal_with_sd",
    "poisson",
    "student_t",
]
