"""Fit a spec to evidence, and keep all that a reader will ask of it."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.tensor.random.basic import MvNormalRV

from nmda_bayes.design import build_design
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.evidence import evidence_map, table
from nmda_bayes.inference import nuts
from nmda_bayes.inference.densities import log_densities
from nmda_bayes.inference.exact import integrate, reasons_against
from nmda_bayes.inference.forward import observations, predictive_draws, prior_draws
from nmda_bayes.logs import drawing_forward
from nmda_bayes.model import CHEAP, OFFSET, as_published, model_of, outcomes_of
from nmda_bayes.spec import AnalysisSpec

PRIOR_DRAWS = 2000
PACKAGES = ("nmda-bayes", "pymc", "pytensor", "nutpie", "arviz", "xarray", "numpy")
NUTS, EXACT, AUTO = "nuts", "exact", "auto"


def fit(spec: AnalysisSpec, evidence: xr.DataTree, *, progress: bool = False) -> xr.DataTree:
    """Fit an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    progress
        Show the sampler's progress bar.

    Returns
    -------
    xr.DataTree
        Groups ``prior, prior_predictive, posterior, posterior_predictive, log_likelihood,
        log_prior, sample_stats, observed_data``, the ``design`` that was seen and the
        ``evidence_map`` of what there was to see, and where nothing was sampled ``exact``, the
        numbers by quadrature; attributes ``spec``, ``method``, ``evidence_hash``,
        ``evidence_source``, ``versions``, ``seed``, ``synthetic`` and ``model_text``.

    Raises
    ------
    SpecError, EvidenceError
        If the spec and the evidence do not fit each other.
    """
    design = build_design(spec, evidence)
    model = model_of(spec, design)
    method = method_of(spec, design)
    if method == EXACT:
        result = integrate(spec, design, model)
    else:
        result = nuts.sample_posterior(model, spec, progress=progress, design=design)
    # Not frozen, a variable whose prior is data would be drawn anew, not read from the posterior.
    with freeze_dims_and_data(model), drawing_forward():
        _add_predictions(result, spec, design)
    for name, group in design.children.items():
        result[f"design/{name}"] = group.copy()
    result["evidence_map"] = evidence_map(evidence).to_dataset(name="results")
    published = _published(spec, evidence)
    if published is not None:
        result["published"] = xr.DataTree(published)
    result.attrs = {
        "spec": spec.to_json(),
        "evidence_hash": str(evidence.attrs["evidence_hash"]),
        "evidence_source": str(evidence.attrs["source"]),
        "versions": json.dumps(_versions()),
        "seed": spec.sampling.seed,
        "method": method,
        "synthetic": int(_is_synthetic(evidence)),
        "model_text": model.str_repr(),
    }
    return result


def method_of(spec: AnalysisSpec, design: xr.DataTree) -> str:
    """Say how the posterior of an analysis is computed.

    Parameters
    ----------
    spec
        The analysis; with ``method = "auto"`` what can be integrated exactly is.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    str
        ``exact`` or ``nuts``.

    Raises
    ------
    SpecError
        If the spec asks for what its model does not allow, with every reason.
    """
    asked = spec.sampling.method
    if asked == NUTS:
        return NUTS
    reasons = reasons_against(spec, design)
    if not reasons:
        return EXACT
    if asked == AUTO:
        return NUTS
    mend = 'Write method = "nuts", or "auto" to integrate wherever it can be done.'
    raise SpecError(
        [
            Fault(f"cannot be integrated exactly: {reason}", mend, column="sampling.method")
            for reason in reasons
        ]
    )


def _add_predictions(result: xr.DataTree, spec: AnalysisSpec, design: xr.DataTree) -> None:
    """Add prior, predictive and density groups, from the graph on the stack."""
    model = pm.modelcontext(None)
    seed = spec.sampling.seed
    prior, foretold = prior_draws(model, PRIOR_DRAWS, seed)
    predicted = predictive_draws(model, result, seed)
    # Power-scaling asks about the priors that the analyst wrote, not about the offsets.
    written = [v.name for v in model.free_RVs if not v.name.endswith(OFFSET)]
    log_prior, likelihood = _densities(model, result, written)
    for name, tree in (
        ("prior", prior),
        ("prior_predictive", foretold),
        ("observed_data", observations(model)),
        ("posterior_predictive", predicted),
        ("log_likelihood", likelihood),
        ("log_prior", log_prior),
    ):
        result[name] = xr.DataTree(tree.drop_attrs())
    _publish(result, spec, design)


def _densities(
    model: pm.Model, result: xr.DataTree, written: list[str]
) -> tuple[xr.Dataset, xr.Dataset]:
    """Evaluate the densities of priors and reports; rows with one density between them by PyMC."""
    names = [v.name for v in model.observed_RVs]
    joint = [v.name for v in model.observed_RVs if isinstance(v.owner.op, MvNormalRV)]
    single = [name for name in names if name not in joint]
    # Asked for at once what both stand on is worked out once.
    found = log_densities(model, result["posterior"].to_dataset(), [*written, *single])
    likelihood = found[single]
    if joint:
        together = pm.compute_log_likelihood(
            result,
            var_names=joint,
            extend_inferencedata=False,
            progressbar=False,
            compile_kwargs=CHEAP,
        )
        together = together if isinstance(together, xr.Dataset) else together.to_dataset()
        likelihood = likelihood.merge(together)[names]
    return found[written], likelihood


def _publish(result: xr.DataTree, spec: AnalysisSpec, design: xr.DataTree) -> None:
    """Redraw the predictions of outcomes whose trials are selected for publication."""
    for outcome in outcomes_of(spec, design):
        for given, of_arms in (("prior", False), ("posterior", True)):
            name = f"{given}_predictive"
            drawn, parameters = (result[group].to_dataset() for group in (name, given))
            seed = spec.sampling.seed
            published = as_published(outcome, drawn, parameters, seed, of_arms=of_arms)
            result[name] = xr.DataTree(published)


def _is_synthetic(evidence: xr.DataTree) -> bool:
    """Say whether any row of the evidence carries the flag of `nmda_bayes.simulate`."""
    tables = (table(evidence, name) for name in ("results", "contrasts"))
    flags = (rows["synthetic"] for rows in tables if "synthetic" in rows)
    return any((pd.to_numeric(flag, errors="coerce") == 1).any() for flag in flags)


def _published(spec: AnalysisSpec, evidence: xr.DataTree) -> xr.Dataset | None:
    """Published pools of the analyses that the outcomes name as their measures."""
    if "published" not in evidence.children:
        return None
    rows = table(evidence, "published")
    outcome_of = {m: name for name, part in spec.outcomes.items() for m in part.measures}
    mine = rows[rows["analysis"].isin(outcome_of) & (rows["unusable"] == "")]
    if mine.empty:
        return None
    columns = ["analysis", "measure", "estimate", "ci_low", "ci_high", "source"]
    kept = mine[columns].assign(outcome=mine["analysis"].map(outcome_of))
    arrays = {
        c: ("row", kept[c].to_numpy(object if kept[c].dtype.kind in "OUT" else None)) for c in kept
    }
    return xr.Dataset(arrays)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
