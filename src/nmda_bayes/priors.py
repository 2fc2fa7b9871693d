"""Priors: their distributions, validation, densities and random variables.

A prior of a spec is a pymc-extras `Prior` dictionary with a reason. Every argument is required:
PyMC would set a missing ``sigma`` to 1, which is a prior that nobody chose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nmda_bayes.errors import suggest_match
from nmda_bayes.graph_data import shared_data


@dataclass(frozen=True, slots=True)
class Family:
    """A family of prior distributions; ``arguments`` lists the alternative sets of arguments."""

    arguments: tuple[str, ...]
    positive_arguments: str = "sigma"
    positive: bool = False

    @property
    def argument_names(self) -> tuple[str, ...]:
        """All arguments of the family."""
        return tuple(dict.fromkeys(" ".join(self.arguments).split()))


FAMILIES: dict[str, Family] = {
    "Normal": Family(("mu sigma", "mu tau"), "sigma tau"),
    "StudentT": Family(("nu mu sigma",), "nu sigma"),
    "Cauchy": Family(("alpha beta",), "beta"),
    "Laplace": Family(("mu b",), "b"),
    "Uniform": Family(("lower upper",), ""),
    "TruncatedNormal": Family(("mu sigma lower", "mu sigma upper", "mu sigma lower upper")),
    "HalfNormal": Family(("sigma",), positive=True),
    "HalfStudentT": Family(("nu sigma",), "nu sigma", positive=True),
    "HalfCauchy": Family(("beta",), "beta", positive=True),
    "Exponential": Family(("lam", "scale"), "lam scale", positive=True),
    "LogNormal": Family(("mu sigma",), positive=True),
    "LogStudentT": Family(("nu mu sigma",), "nu sigma", positive=True),
    "Gamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "InverseGamma": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
    "Weibull": Family(("alpha beta",), "alpha beta", positive=True),
    "Beta": Family(("alpha beta", "mu sigma"), "alpha beta mu sigma", positive=True),
}

#: Bounds of the support are constants of the graph, because transforms depend on them.
BOUNDS = ("lower", "upper")

#: Shown wherever a prior is missing; there are no default priors.
PRIOR_EXAMPLE = '{ dist = "Normal", kwargs = { mu = 0, sigma = 1 }, why = "..." }'


def prior_issues(dist: str, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find invalid arguments of a prior: message and hint of each."""
    family = FAMILIES.get(dist)
    if family is None:
        yield f"unknown distribution '{dist}'", suggest_match(dist, list(FAMILIES))
        return
    sets = " or ".join(f"({', '.join(s.split())})" for s in family.arguments)
    for name in kwargs:
        if name not in family.argument_names:
            yield f"{dist} has no argument '{name}'", suggest_match(name, family.argument_names)
    if not any(set(kwargs) == set(s.split()) for s in family.arguments):
        yield f"{dist} needs all of {sets}; found: {', '.join(kwargs) or 'none'}", "Write each one."
    for name in family.positive_arguments.split():
        if isinstance(kwargs.get(name), int | float) and not kwargs[name] > 0:
            yield f"{name} = {kwargs[name]:g} must be positive", "Write a number above 0."
    for name, value in kwargs.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} = {value} is not a finite number", "Write a finite number."
    lower, upper = kwargs.get("lower"), kwargs.get("upper")
    if lower is not None and upper is not None and not lower < upper:
        yield f"lower = {lower:g} is not below upper = {upper:g}", "Correct the bounds."


def is_positive(dist: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether all draws of a prior are positive."""
    family = FAMILIES.get(dist)
    return family is not None and (family.positive or kwargs.get("lower", -1) >= 0)


def is_at_least_one(kwargs: Mapping[str, Any]) -> bool:
    """Whether all draws of a prior are at least 1."""
    lower = kwargs.get("lower", 0)
    return isinstance(lower, int | float) and lower >= 1


def is_proportion(dist: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether all draws of a prior are between 0 and 1."""
    bounded = kwargs.get("lower", -1) >= 0 and kwargs.get("upper", 2) <= 1
    return dist == "Beta" or bounded


def prior_text(dist: str, kwargs: Mapping[str, Any]) -> str:
    """Write a prior as text, for instance Normal(mu=0, sigma=1)."""
    return f"{dist}({', '.join(f'{key}={value:g}' for key, value in kwargs.items())})"


def random_variable(
    name: str, dist: str, kwargs: Mapping[str, Any], dims: tuple[str, ...] = ()
) -> Any:
    """Add a prior's random variable to the model on the stack; its arguments are named data."""
    arguments = {
        argument: value if argument in BOUNDS else shared_data(f"{name}.{argument}", value)
        for argument, value in kwargs.items()
    }
    if dist == "LogStudentT":
        return _log_student_t()(name, dims=dims or None, **arguments)
    from pymc_extras.prior import Prior  # takes seconds to import

    return Prior(dist, dims=dims or None, **arguments).create_variable(name, xdist=True)


def log_density(dist: str, kwargs: Mapping[str, float], values: np.ndarray) -> np.ndarray:
    """Log density of a prior at some values."""
    if dist == "LogStudentT":
        logs = np.log(values)
        return log_density("StudentT", kwargs, logs) - logs
    return np.asarray(_density(dist, tuple(kwargs))(values, *kwargs.values()))


@cache
def _density(dist: str, arguments: tuple[str, ...]) -> Any:
    """Compile a family's log density."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt
    from pytensor.compile import Mode

    value, inputs = pt.vector("value"), {name: pt.scalar(name) for name in arguments}
    density = pm.logp(getattr(pm, dist).dist(**inputs), value)
    return pytensor.function([value, *inputs.values()], density, mode=Mode("py", "fast_compile"))


@cache
def _log_student_t() -> Any:
    """The distribution of exp(t) for Student's t, which PyMC lacks (Rhodes 2015).

    As a transformed t variable it would be two variables of the graph, both of them in reports.
    """
    import pymc as pm
    import pymc.dims as pmd
    import pytensor.tensor as pt
    import pytensor.xtensor.random as ptxr
    from pymc.dims.distributions.core import PositiveDimDistribution
    from pymc.distributions.shape_utils import rv_size_is_none
    from pytensor.tensor.random.utils import normalize_size_param

    class LogStudentTRV(pm.SymbolicRandomVariable):  # type: ignore[misc]
        name = "logstudentt"
        extended_signature = "[rng],[size],(),(),()->[rng],()"
        _print_name = ("LogStudentT", "\\operatorname{LogStudentT}")

        @classmethod
        def rv_op(cls, nu: Any, mu: Any, sigma: Any, *, size: Any = None, rng: Any = None) -> Any:
            nu, mu, sigma = map(pt.as_tensor, (nu, mu, sigma))
            rng = pt.random.shared_rng(seed=None) if rng is None else rng
            size = normalize_size_param(size)
            next_rng, t = pt.random.t(nu, mu, sigma, size=size, rng=rng, return_next_rng=True)
            op = cls(inputs=[rng, size, nu, mu, sigma], outputs=[next_rng, pt.exp(t)])
            return op(rng, size, nu, mu, sigma)

    class Density(pm.Distribution):  # type: ignore[misc]
        """Registers the density of the operation with PyMC."""

        rv_type = LogStudentTRV

        @staticmethod
        def logp(value: Any, nu: Any, mu: Any, sigma: Any) -> Any:
            log_value = pt.log(value)
            inside = pm.logp(pm.StudentT.dist(nu=nu, mu=mu, sigma=sigma), log_value) - log_value
            return pt.switch(value > 0, inside, -np.inf)

        @staticmethod
        def support_point(rv: Any, size: Any, nu: Any, mu: Any, sigma: Any) -> Any:
            point = pt.broadcast_arrays(pt.exp(mu), nu, sigma)[0]
            return point if rv_size_is_none(size) else pt.full(size, point)

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
