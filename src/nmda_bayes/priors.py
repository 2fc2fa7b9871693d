"""Priors: what a spec may write, and the one place where they become random variables.

A prior is a pymc-extras `Prior` dictionary with its reason. PyMC fills in a missing ``sigma`` with
1; here every argument must be written, because a default that nobody chose is a hidden prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nmda_bayes.errors import nearest


@dataclass(frozen=True, slots=True)
class Family:
    """A family of prior distributions.

    Attributes
    ----------
    arguments
        The sets of arguments that define a member, each separated by spaces.
    scales
        The arguments that must be positive.
    positive
        True where every draw is positive.
    """

    arguments: tuple[str, ...]
    scales: str = "sigma"
    positive: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        """Every argument that the family knows."""
        return tuple(dict.fromkeys(" ".join(self.arguments).split()))


FAMILIES: dict[str, Family] = {
    "Normal": Family(("mu sigma", "mu tau"), "sigma tau"),
    "StudentT": Family(("nu mu sigma",), "nu sigma"),
    "Cauchy": Family(("alpha beta",), "beta"),
    "Laplace": Family(("mu b",), "b"),
    "Uniform": Family(("lower upper",), ""),
    "TruncatedNormal": Family(
        ("mu sigma lower", "mu sigma upper", "mu sigma lower upper"), "sigma"
    ),
    "HalfNormal": Family(("sigma",), "sigma", positive=True),
    "HalfStudentT": Family(("nu sigma",), "nu sigma", positive=True),
    "HalfCauchy": Family(("beta",), "beta", positive=True),
    "Exponential": Family(("lam", "scale"), "lam scale", positive=True),
    "LogNormal": Family(("mu sigma",), "sigma", positive=True),
    "Gamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "InverseGamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "Weibull": Family(("alpha beta",), "alpha beta", positive=True),
    "Beta": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
}

#: What to write, shown wherever a prior is missing: no prior is ever supplied for the user.
EXAMPLE = '{ dist = "Normal", kwargs = { mu = 0, sigma = 1 }, why = "..." }'


def prior_faults(dist: str, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a prior.

    Parameters
    ----------
    dist
        The family's name.
    kwargs
        Its arguments.

    Yields
    ------
    tuple[str, str]
        A message and its mend.
    """
    family = FAMILIES.get(dist)
    if family is None:
        yield f"unknown distribution '{dist}'", nearest(dist, list(FAMILIES))
        return
    sets = " or ".join(f"({', '.join(s.split())})" for s in family.arguments)
    for name in kwargs:
        if name not in family.known:
            yield f"{dist} has no argument '{name}'", nearest(name, family.known)
    if not any(set(kwargs) == set(s.split()) for s in family.arguments):
        yield f"{dist} needs all of {sets}; given: {', '.join(kwargs) or 'none'}", "Write each one."
    for name in family.scales.split():
        if isinstance(kwargs.get(name), int | float) and not kwargs[name] > 0:
            yield f"{name} = {kwargs[name]} must be positive", "Write a number above 0."
    for name, value in kwargs.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} = {value} is not a finite number", "Write a finite number."
    lower, upper = kwargs.get("lower"), kwargs.get("upper")
    if lower is not None and upper is not None and not lower < upper:
        yield f"lower = {lower} is not below upper = {upper}", "Swap or mend them."


def is_positive(dist: str, kwargs: Mapping[str, Any]) -> bool:
    """Say whether every draw of a prior is positive.

    Parameters
    ----------
    dist
        The family's name.
    kwargs
        Its arguments.

    Returns
    -------
    bool
        True where the support lies in the positive numbers.
    """
    family = FAMILIES.get(dist)
    return family is not None and (family.positive or kwargs.get("lower", -1) >= 0)


def prior_text(dist: str, kwargs: Mapping[str, Any]) -> str:
    """Write a prior as a reader would.

    Parameters
    ----------
    dist
        The family's name.
    kwargs
        Its arguments.

    Returns
    -------
    str
        For instance ``Normal(mu=0, sigma=1)``.
    """
    return f"{dist}({', '.join(f'{key}={value:g}' for key, value in kwargs.items())})"


def random_variable(
    name: str, dist: str, kwargs: Mapping[str, Any], dims: tuple[str, ...] = ()
) -> Any:
    """Make a prior's random variable in the model on the stack.

    Parameters
    ----------
    name
        The variable's name in the model.
    dist
        The family's name.
    kwargs
        Its arguments.
    dims
        Dims of the variable, exchangeable and independent over them.

    Returns
    -------
    Any
        A `pymc.dims` variable.
    """
    from pymc_extras.prior import Prior  # seconds to import, and only a graph needs it

    return Prior(dist, dims=dims or None, **kwargs).create_variable(name, xdist=True)
