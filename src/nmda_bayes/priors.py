"""Priors: what a spec may write, and the one place where they become random variables.

A prior is a pymc-extras `Prior` dictionary with its reason. PyMC fills in a missing ``sigma`` with
1; here every argument must be written, because a default that nobody chose is a hidden prior.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nmda_bayes.errors import nearest
from nmda_bayes.named_data import named_data


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
    "LogStudentT": Family(("nu mu sigma",), "nu sigma", positive=True),
    "Gamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "InverseGamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "Weibull": Family(("alpha beta",), "alpha beta", positive=True),
    "Beta": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
}

#: Arguments that bound the support: the transform of the variable to the real line is made from
#: them, so that they are of the graph and no data in it.
BOUNDS = ("lower", "upper")

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


def is_at_least_one(kwargs: Mapping[str, Any]) -> bool:
    """Say whether every draw of a prior is 1 or more.

    Parameters
    ----------
    kwargs
        Its arguments.

    Returns
    -------
    bool
        True where its lower bound says so; a family without one reaches below.
    """
    lower = kwargs.get("lower", 0)
    return isinstance(lower, int | float) and lower >= 1


def is_share(dist: str, kwargs: Mapping[str, Any]) -> bool:
    """Say whether every draw of a prior lies between 0 and 1.

    Parameters
    ----------
    dist
        The family's name.
    kwargs
        Its arguments.

    Returns
    -------
    bool
        True where the support lies in the unit interval.
    """
    bounded = kwargs.get("lower", -1) >= 0 and kwargs.get("upper", 2) <= 1
    return dist == "Beta" or bounded


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
        A `pymc.dims` variable. The prior's numbers are named data, ``<name>.<argument>``.
    """
    given = {
        argument: value if argument in BOUNDS else named_data(f"{name}.{argument}", value)
        for argument, value in kwargs.items()
    }
    if dist == "LogStudentT":
        return _log_student_t()(name, dims=dims or None, **given)
    from pymc_extras.prior import Prior  # seconds to import, and only a graph needs it

    return Prior(dist, dims=dims or None, **given).create_variable(name, xdist=True)


def log_density(dist: str, kwargs: Mapping[str, float], values: np.ndarray) -> np.ndarray:
    """Give a prior's log density, as the graph has it.

    Parameters
    ----------
    dist
        The family's name.
    kwargs
        Its arguments.
    values
        Where.

    Returns
    -------
    np.ndarray
        One a value; minus infinity outside the support.
    """
    if dist == "LogStudentT":
        logs = np.log(values)
        return log_density("StudentT", kwargs, logs) - logs
    return np.asarray(_density(dist, tuple(kwargs))(values, *kwargs.values()))


@cache
def _density(dist: str, arguments: tuple[str, ...]) -> Any:
    """Compile a family's log density once: 30 ms, of which the second call is free."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode

    at, given = pt.vector("at"), [pt.scalar(name) for name in arguments]
    density = pm.logp(getattr(pm, dist).dist(**dict(zip(arguments, given, strict=True))), at)
    return pytensor.function([at, *given], density, mode=Mode("py", "fast_compile"))


@cache
def _log_student_t() -> Any:
    """Make the one family that PyMC lacks: exp of a Student-t, Rhodes's for heterogeneity.

    As a transform of a t variable it would be two variables of the graph, and the report would
    list both. The density is not derived from the graph: PyMC's own t, and the Jacobian.
    """
    import pymc as pm
    import pymc.dims as pmd
    import pytensor.tensor as pt
    import pytensor.xtensor.random as ptxr
    from pymc.dims.distributions.core import PositiveDimDistribution
    from pymc.distributions.distribution import SymbolicRandomVariable, _support_point
    from pymc.distributions.shape_utils import rv_size_is_none
    from pymc.logprob.abstract import _logprob
    from pytensor.tensor.random.utils import normalize_size_param

    class LogStudentTRV(SymbolicRandomVariable):  # type: ignore[misc]
        name = "logstudentt"
        extended_signature = "[rng],[size],(),(),()->[rng],()"
        _print_name = ("LogStudentT", "\\operatorname{LogStudentT}")

        @classmethod
        def rv_op(cls, nu: Any, mu: Any, sigma: Any, *, size: Any = None, rng: Any = None) -> Any:
            nu, mu, sigma = map(pt.as_tensor, (nu, mu, sigma))
            rng = pt.random.shared_rng(seed=None) if rng is None else rng
            size = normalize_size_param(size)
            following, t = pt.random.t(nu, mu, sigma, size=size, rng=rng, return_next_rng=True)
            made = cls(inputs=[rng, size, nu, mu, sigma], outputs=[following, pt.exp(t)])
            return made(rng, size, nu, mu, sigma)

    def density(
        op: Any, values: Any, rng: Any, size: Any, nu: Any, mu: Any, sigma: Any, **_: Any
    ) -> Any:
        (value,) = values
        log_value = pt.log(value)
        inside = pm.logp(pm.StudentT.dist(nu=nu, mu=mu, sigma=sigma), log_value) - log_value
        return pt.switch(value > 0, inside, -np.inf)

    def middle(op: Any, variable: Any, rng: Any, size: Any, nu: Any, mu: Any, sigma: Any) -> Any:
        point = pt.broadcast_arrays(pt.exp(mu), nu, sigma)[0]
        return point if rv_size_is_none(size) else pt.full(size, point)

    _logprob.register(LogStudentTRV)(density)
    _support_point.register(LogStudentTRV)(middle)

    class LogStudentT(PositiveDimDistribution):  # type: ignore[misc]
        @classmethod
        def dist(cls, nu: Any, mu: Any, sigma: Any, **kwargs: Any) -> Any:
            return super().dist([nu, mu, sigma], **kwargs)

        @classmethod
        def xrv_op(cls, nu: Any, mu: Any, sigma: Any, **kwargs: Any) -> Any:
            nu, mu, sigma = map(pmd.as_xtensor, (nu, mu, sigma))
            core = LogStudentTRV.rv_op(nu.values, mu.values, sigma.values).owner.op
            return ptxr.as_xrv(core)(nu, mu, sigma, **kwargs)

    return LogStudentT
