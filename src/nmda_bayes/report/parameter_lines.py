"""Lines of the model for one parameter: its pooling, its priors, covariates and tails."""

from __future__ import annotations

import re
from collections.abc import Iterator

import xarray as xr

from nmda_bayes.components.pooling import POOLINGS, Pooling
from nmda_bayes.design import coefficient
from nmda_bayes.dims import SAMPLE, SEPARATOR
from nmda_bayes.priors import prior_text
from nmda_bayes.report.typeset import Line, set_line
from nmda_bayes.spec import ParameterSpec
from nmda_bayes.spec.pooling_rules import NU


def parameter_lines(
    fit: xr.DataTree, in_fit: str, name: str, spec: ParameterSpec
) -> Iterator[Line]:
    """Write a parameter as its pooling does, and the priors that the sum needs.

    Parameters
    ----------
    fit
        The fit, whose variables have the dims.
    in_fit
        Its name there.
    name
        The parameter's name in the spec.
    spec
        How it is pooled.

    Yields
    ------
    Line
        One statement each.
    """
    pooling = POOLINGS[spec.pooling]
    dims = _dims(fit, in_fit)
    priors = {slot: prior for slot, prior in spec.priors.items() if slot != NU}
    if set(priors) == {"location"} or set(priors) == {"each"}:
        (prior,) = priors.values()
        yield set_line(
            f"{name}{dims} ~ {prior_text(prior.dist, prior.kwargs)}", note=_about(pooling, dims)
        )
        return
    kept = re.sub(
        r"\s*\((\+ (\w+) [^)]*)\)",
        lambda found: f" {found[1]}" if found[2] in spec.priors else "",
        pooling.text,
    )
    total = re.sub(rf"\b({'|'.join(spec.priors)})\b", rf"{name}_\1", kept)
    yield set_line(f"{name}{dims} = {total}", note=_about(pooling, dims))
    for slot, prior in priors.items():
        yield set_line(f"{name}_{slot} ~ {prior_text(prior.dist, prior.kwargs)}")


def covariate_lines(name: str, spec: ParameterSpec) -> Iterator[Line]:
    """Write what a parameter is in each study, and where the answers stand.

    Parameters
    ----------
    name
        The parameter's name in the spec.
    spec
        How it is pooled.

    Yields
    ------
    Line
        One statement each.
    """
    if not spec.covariates:
        return
    terms = [f"{coefficient(name, c)} · {one.text(c)}" for c, one in spec.covariates.items()]
    centres = ", ".join(f"{c} = {one.origin:g}" for c, one in spec.covariates.items())
    yield set_line(
        f"{name}[study] = {' + '.join([name, *terms])}", note=f"answers are given at {centres}"
    )
    for covariate, one in spec.covariates.items():
        prior = prior_text(one.prior.dist, one.prior.kwargs)
        yield set_line(f"{coefficient(name, covariate)} ~ {prior}")


def tail_lines(name: str, spec: ParameterSpec) -> Iterator[Line]:
    """Write what an offset is divided by to have the tails of a t distribution.

    Parameters
    ----------
    name
        The parameter's name in the spec.
    spec
        How it is pooled.

    Yields
    ------
    Line
        One statement each.
    """
    if spec.nu is None and NU not in spec.priors:
        return
    yield set_line("g ~ Gamma(nu / 2, nu / 2)", note="so that z / √g has the tails of a t")
    if spec.nu is not None:
        yield set_line(f"nu = {spec.nu:g}", note="declared, not learned")
    else:
        prior = spec.priors[NU]
        yield set_line(f"nu ~ {prior_text(prior.dist, prior.kwargs)}", note=f"{name}_{NU}")


def _about(pooling: Pooling, dims: str) -> str:
    """Say how a parameter is shared; what the formula shows is not said again."""
    if pooling.name == "independent":
        return f"a value for each {dims.strip('[]')}, nothing shared"
    return pooling.about.removesuffix(".").removesuffix(", with an optional interaction")


def _dims(fit: xr.DataTree, name: str) -> str:
    """Write a variable's dims as subscripts, as the graph has them."""
    posterior = fit["posterior"].to_dataset()
    if name not in posterior:
        return ""
    dims = [str(d).rpartition(SEPARATOR)[2] for d in posterior[name].dims if d not in SAMPLE]
    return f"[{', '.join(dims)}]" if dims else ""
