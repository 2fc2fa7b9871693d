"""Likelihoods of counts: exact, zero cells as they are, no continuity correction."""

from __future__ import annotations

from typing import Any

import xarray as xr

from nmda_bayes.components.likelihoods.catalogue import column, likelihood
from nmda_bayes.components.links import CLOGLOG, LOG, LOGIT


@likelihood(
    "events ~ Binomial(n, logit⁻¹(eta))",
    columns="events n",
    link=LOGIT,
    effects="log_OR unnamed",
)
def binomial(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Arm counts, exact: no continuity correction, zero cells as they are."""
    import pymc as pm

    # pymc.dims has no Binomial (6.3), so this one steps down to positions; eta is one dim.
    return pm.Binomial(
        name,
        n=column(reported, "n", dim).astype(int).values,
        logit_p=eta.transpose(dim).values,
        observed=column(reported, "events", dim).astype(int).values,
        dims=(dim,),
    )


@likelihood(
    "events ~ BetaBinomial(n, logit⁻¹(eta), overdispersion)",
    columns="events n",
    link=LOGIT,
    effects="log_OR unnamed",
    shares="overdispersion",
)
def beta_binomial(
    name: str, eta: Any, reported: xr.Dataset, dim: str, *, overdispersion: Any
) -> Any:
    """Arm counts that vary more than coin tosses: the people of an arm resemble each other.

    ``overdispersion`` rho is the correlation of two people of an arm, so that the variance is
    n p (1 − p) (1 + (n − 1) rho); at 0 this is `binomial`. (Williams 1982.)
    """
    import pymc as pm
    import pytensor.xtensor.math as xp

    people = (1.0 - overdispersion) / overdispersion  # alpha + beta: how many the prior weighs
    return pm.BetaBinomial(
        name,
        n=column(reported, "n", dim).astype(int).values,
        alpha=(xp.sigmoid(eta) * people).transpose(dim).values,
        beta=(xp.sigmoid(-eta) * people).transpose(dim).values,
        observed=column(reported, "events", dim).astype(int).values,
        dims=(dim,),
    )


@likelihood(
    "events ~ Poisson(person_time · exp(eta))",
    columns="events person_time",
    link=LOG,
    effects="log_IRR unnamed",
)
def poisson(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Events over person-time at a constant rate; a person may have several."""
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    return pmd.Poisson(
        name,
        mu=column(reported, "person_time", dim) * xp.exp(eta),
        observed=column(reported, "events", dim).astype(int),
    )


@likelihood(
    "events ~ NegativeBinomial(person_time · exp(eta), shape)",
    columns="events person_time",
    link=LOG,
    effects="log_IRR unnamed",
    positive="shape",
)
def negative_binomial(name: str, eta: Any, reported: xr.Dataset, dim: str, *, shape: Any) -> Any:
    """Events over person-time whose rate varies from arm to arm, as Gamma(shape, shape).

    The variance is mu + mu² / shape; as the shape grows this is `poisson`.
    """
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    return pmd.NegativeBinomial(
        name,
        mu=column(reported, "person_time", dim) * xp.exp(eta),
        alpha=shape,
        observed=column(reported, "events", dim).astype(int),
    )


@likelihood(
    "events ~ Binomial(n, 1 − exp(−follow_up · exp(eta)))",
    columns="events n follow_up",
    link=CLOGLOG,
    effects="log_HR unnamed",
)
def binomial_cloglog(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """People with a first event, such as a relapse, by the end of unequal follow-up.

    At a constant hazard exp(eta) the complementary log-log of the risk is log(follow_up) + eta, so
    that trials of different length share one effect, a log hazard ratio. (Dias et al. 2011, NICE
    DSU Technical Support Document 2, section 3.2.)
    """
    import pymc as pm
    import pytensor.xtensor.math as xp

    hazard = column(reported, "follow_up", dim) * xp.exp(eta)
    # log odds = log(exp(hazard) − 1), which neither overflows nor rounds a small risk to 0.
    log_odds = hazard + xp.log1mexp(-hazard)
    return pm.Binomial(
        name,
        n=column(reported, "n", dim).astype(int).values,
        logit_p=log_odds.transpose(dim).values,
        observed=column(reported, "events", dim).astype(int).values,
        dims=(dim,),
    )
