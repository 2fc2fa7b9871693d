"""Fit a spec to evidence; write and read fits (one netCDF file each)."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform import freeze_dims_and_data

from nmda_bayes.artifacts import atomic_path
from nmda_bayes.design import build_design
from nmda_bayes.errors import FitError, Issue, SpecError
from nmda_bayes.evidence import evidence_map, to_frame
from nmda_bayes.inference import nuts
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.inference.predictive import (
    log_densities,
    observations,
    predictive_draws,
    prior_draws,
)
from nmda_bayes.model import (
    OFFSET,
    apply_publication_selection,
    build_model_from_design,
    model_outcomes,
)
from nmda_bayes.runtime import ignore_potential_warning
from nmda_bayes.spec import AnalysisSpec

PRIOR_DRAWS = 2000
REPORTED_PACKAGES = ("nmda-bayes", "pymc", "pytensor", "nutpie", "arviz", "xarray", "numpy")
NUTS, EXACT, AUTO = "nuts", "exact", "auto"
REQUIRED_GROUPS = ("posterior", "prior", "sample_stats", "design", "design/labels")


def fit(spec: AnalysisSpec, evidence: xr.DataTree, *, progress: bool = False) -> xr.DataTree:
    """Fit an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` returns it.
    progress
        Show the sampler's progress bar.

    Returns
    -------
    xr.DataTree
        Groups ``prior``, ``prior_predictive``, ``posterior``, ``posterior_predictive``,
        ``log_likelihood``, ``log_prior``, ``sample_stats`` and ``observed_data``; the ``design``
        (the rows that entered), the ``evidence_map`` (what was available), ``published`` pools
        where the evidence has them, and ``exact``, moments and quantiles by quadrature, if nothing
        was sampled. Attributes: ``spec``, ``method``, ``evidence_hash``, ``evidence_source``,
        ``versions``, ``seed``, ``synthetic`` and ``model_text``.

    Raises
    ------
    SpecError, EvidenceError
        If the spec and the evidence do not match.

    Examples
    --------
    >>> fit = nb.fit(spec, evidence)  # doctest: +SKIP
    >>> fit["posterior"]["analgesia::log_ed50"].dims
    ('chain', 'draw', 'agent')
    """
    design = build_design(spec, evidence)
    model = build_model_from_design(spec, design)
    method = sampling_method(spec, design)
    if method == EXACT:
        result = integrate_posterior(spec, design, model)
    else:
        result = nuts.sample_posterior(model, spec, progress=progress, design=design)
    # Not frozen, a variable whose prior is data would be redrawn, not read from the posterior.
    with freeze_dims_and_data(model), ignore_potential_warning():
        _add_predictions(result, spec, design)
    for name, group in design.children.items():
        result[f"design/{name}"] = group.copy()
    result["evidence_map"] = evidence_map(evidence).to_dataset(name="results")
    published = _published(spec, evidence)
    if published is not None:
        result["published"] = xr.DataTree(published)
    versions = {name: version(name) for name in REPORTED_PACKAGES}
    result.attrs = {
        "spec": spec.to_json(),
        "evidence_hash": str(evidence.attrs["evidence_hash"]),
        "evidence_source": str(evidence.attrs["source"]),
        "versions": json.dumps({"python": platform.python_version()} | versions),
        "seed": spec.sampling.seed,
        "method": method,
        "synthetic": int(_is_synthetic(evidence)),
        "model_text": model.str_repr(),
    }
    return result


def sampling_method(spec: AnalysisSpec, design: xr.DataTree) -> str:
    """How the posterior of an analysis is computed: `NUTS` or `EXACT`."""
    if spec.sampling.method == NUTS:
        return NUTS
    obstacles = exact_obstacles(spec, design)
    if not obstacles:
        return EXACT
    if spec.sampling.method == AUTO:
        return NUTS
    hint = 'Use method = "nuts", or "auto" for exact integration wherever possible.'
    message, column = "exact integration is not possible: ", "sampling.method"
    raise SpecError([Issue("E551", message + o, hint, column=column) for o in obstacles])


def _add_predictions(result: xr.DataTree, spec: AnalysisSpec, design: xr.DataTree) -> None:
    """Add prior, predictive and density groups, from the graph on the context stack."""
    model = pm.modelcontext(None)
    seed = spec.sampling.seed
    prior, prior_predictive = prior_draws(model, PRIOR_DRAWS, seed)
    # Power-scaling is about the priors of the spec, not those of the offsets.
    parameters = [v.name for v in model.free_RVs if not v.name.endswith(OFFSET)]
    observed = [v.name for v in model.observed_RVs]
    posterior_predictive = predictive_draws(model, result, seed)
    # In one call, what both densities depend on is computed once.
    densities = log_densities(model, result["posterior"].to_dataset(), [*parameters, *observed])
    groups = {
        "prior": prior,
        "prior_predictive": prior_predictive,
        "observed_data": observations(model),
        "posterior_predictive": posterior_predictive,
        "log_likelihood": densities[observed],
        "log_prior": densities[parameters],
    }
    for name, dataset in groups.items():
        result[name] = xr.DataTree(dataset.drop_attrs())
    for outcome in model_outcomes(spec, design):
        for group, of_arms in (("prior", False), ("posterior", True)):
            drawn = result[f"{group}_predictive"].to_dataset()
            parameter_draws = result[group].to_dataset()
            selected = apply_publication_selection(
                outcome, drawn, parameter_draws, seed, of_arms=of_arms
            )
            result[f"{group}_predictive"] = xr.DataTree(selected)


def _is_synthetic(evidence: xr.DataTree) -> bool:
    """Whether any row of the evidence was simulated (`nmda_bayes.simulate`)."""
    tables = (to_frame(evidence, name) for name in ("results", "contrasts"))
    flags = (rows["synthetic"] for rows in tables if "synthetic" in rows)
    return any((pd.to_numeric(flag, errors="coerce") == 1).any() for flag in flags)


def _published(spec: AnalysisSpec, evidence: xr.DataTree) -> xr.Dataset | None:
    """Published pools of the analyses that the outcomes name as their measures."""
    if "published" not in evidence.children:
        return None
    rows = to_frame(evidence, "published")
    outcome_of = {m: name for name, part in spec.outcomes.items() for m in part.measures}
    rows = rows[rows["analysis"].isin(outcome_of) & (rows["unusable"] == "")]
    if rows.empty:
        return None
    columns = ["analysis", "measure", "estimate", "ci_low", "ci_high", "source"]
    table = rows[columns].assign(outcome=rows["analysis"].map(outcome_of))
    text = {c: table[c].dtype.kind in "OUT" for c in table}
    return xr.Dataset({c: ("row", table[c].to_numpy(object if text[c] else None)) for c in table})


def write_fit(fit: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a fit to a netCDF file, atomically.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` returns it.
    path
        The file.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = nb.read_fit(nb.write_fit(fit, f"{folder}/fit.nc"))
    >>> stored["posterior"].equals(fit["posterior"])
    True
    """
    target = Path(path)
    with atomic_path(target) as unfinished:
        fit.to_netcdf(unfinished, engine="h5netcdf")
    return target


def read_fit(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a fit from a netCDF file.

    Parameters
    ----------
    path
        The file, or a results folder that holds it as ``fit.nc``.

    Returns
    -------
    xr.DataTree
        The fit, in memory.

    Raises
    ------
    FitError
        If the file is missing, truncated, or not a fit of this package.

    Examples
    --------
    >>> fit = nb.read_fit("results/analysis")  # doctest: +SKIP
    """
    file = Path(path)
    if file.is_dir():
        file = file / "fit.nc"
    if not file.is_file():
        raise FitError([Issue("E552", "no fit found", "Run nmda-bayes fit first.", str(file))])
    hint = "Run nmda-bayes fit again; the file is unchanged."
    try:
        with xr.open_datatree(file, engine="h5netcdf") as stored:
            fit = stored.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"the file is truncated or not netCDF ({error})"
        raise FitError([Issue("E553", message, hint, str(file))]) from None
    groups = {node.path.strip("/") for node in fit.subtree}
    missing = [name for name in REQUIRED_GROUPS if name not in groups]
    missing += [] if "spec" in fit.attrs else ["attribute spec"]
    if missing:
        message = f"not a fit of this package: {', '.join(missing)} missing"
        raise FitError([Issue("E554", message, hint, str(file))])
    return fit
