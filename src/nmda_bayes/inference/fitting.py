"""Fit a spec to evidence."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version

import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform import freeze_dims_and_data

from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.dims import ARM
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.evidence import evidence_map, to_frame
from nmda_bayes.inference import nuts
from nmda_bayes.inference.compile_cache import check_private
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.inference.fit_files import REMARKS
from nmda_bayes.inference.predictive import (
    LARGEST_COUNT,
    log_densities,
    observations,
    predictive_draws,
    prior_draws,
    prior_parameters,
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
#: The remark on counts that are drawn in a range.
BOUNDED = f"drawn in a limited range (up to {LARGEST_COUNT:.0e} events expected in an arm)"
REPORTED_PACKAGES = ("nmda-bayes", "pymc", "pytensor", "nutpie", "arviz", "xarray", "numpy")
NUTS, EXACT, AUTO = "nuts", "exact", "auto"
#: Arms of an outcome above which `AUTO` samples: exact integration takes memory and time with the
#: square of their number and more, sampling in proportion.
MAX_EXACT_ARMS = 300


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
        ``versions``, ``seed``, ``synthetic`` and ``model_text``; ``method_note`` where ``auto``
        samples a large analysis; ``remarks`` on groups that could not be computed, or only in a
        range.

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
    check_private()
    design = build_design(spec, evidence)
    model = build_model_from_design(spec, design)
    method = sampling_method(spec, design)
    versions = {name: version(name) for name in REPORTED_PACKAGES}
    attributes = {
        "spec": spec.to_json(),
        "evidence_hash": str(evidence.attrs["evidence_hash"]),
        "evidence_source": str(evidence.attrs["source"]),
        "versions": json.dumps({"python": platform.python_version()} | versions),
        "seed": spec.sampling.seed,
        "method": method,
        "synthetic": int(_is_synthetic(evidence)),
        "model_text": model.str_repr(),
    }
    if note := size_note(spec, design):
        attributes["method_note"] = note
    described = {"evidence_map": evidence_map(evidence).to_dataset(name="results")}
    published = _published(spec, evidence)
    if published is not None:
        described["published"] = published
    # What can fail comes before the sampling, or cannot lose its draws.
    if method == EXACT:
        result = integrate_posterior(spec, design, model)
    else:
        result = nuts.sample_posterior(model, spec, progress=progress, design=design)
    # Not frozen, a variable whose prior is data would be redrawn, not read from the posterior.
    with freeze_dims_and_data(model), ignore_potential_warning():
        remarks = _add_predictions(result, spec, design)
    for name, group in design.children.items():
        result[f"design/{name}"] = group.copy()
    for name, dataset in described.items():
        result[name] = xr.DataTree(dataset)
    result.attrs = attributes | ({REMARKS: json.dumps(remarks)} if remarks else {})
    return result


def sampling_method(spec: AnalysisSpec, design: xr.DataTree) -> str:
    """How the posterior of an analysis is computed: `NUTS` or `EXACT`."""
    if spec.sampling.method == NUTS:
        return NUTS
    if spec.sampling.method == AUTO and size_note(spec, design):
        return NUTS
    obstacles = exact_obstacles(spec, design)
    if not obstacles:
        return EXACT
    if spec.sampling.method == AUTO:
        return NUTS
    hint = 'Use method = "nuts", or "auto" for exact integration wherever possible.'
    message, column = "exact integration is not possible: ", "sampling.method"
    raise SpecError([Issue("E551", message + o, hint, column=column) for o in obstacles])


def size_note(spec: AnalysisSpec, design: xr.DataTree) -> str:
    """Why an analysis that chooses its method is sampled: its size; empty if it is small."""
    n_arms = max(design[f"{OUTCOMES}/{name}"].sizes[ARM] for name in spec.outcomes)
    if spec.sampling.method != AUTO or n_arms <= MAX_EXACT_ARMS:
        return ""
    return (
        f"sampled, because exact integration of {n_arms} arms would take too much memory and time"
        f' (limit {MAX_EXACT_ARMS}; method = "exact" tries it)'
    )


def _add_predictions(
    result: xr.DataTree, spec: AnalysisSpec, design: xr.DataTree
) -> dict[str, str]:
    """Add prior, predictive and density groups, from the graph on the context stack.

    A group that cannot be made is left out, so that the posterior is not lost; returns a remark
    on each group that is left out or limited.
    """
    model = pm.modelcontext(None)
    seed = spec.sampling.seed
    # Power-scaling is about the priors of the spec, not those of the offsets.
    parameters = [v.name for v in model.free_RVs if not v.name.endswith(OFFSET)]
    observed = [v.name for v in model.observed_RVs]
    posterior = result["posterior"].to_dataset()
    remarks: dict[str, str] = {}

    def add(
        names: Sequence[str], *attempts: tuple[str, Callable[[], Sequence[xr.Dataset]]]
    ) -> None:
        """Add groups by the first attempt that succeeds; each has a remark, the first none."""
        error: Exception | None = None
        for remark, attempt in attempts:
            try:
                datasets = attempt()
            # NumPy, PyTensor and PyMC raise errors of any kind; draws must not be lost to them.
            except Exception as raised:
                error = error or raised
                continue
            for name, dataset in zip(names, datasets, strict=False):
                result[name] = xr.DataTree(dataset.drop_attrs())
                if remark and name.endswith("predictive"):
                    remarks[name] = f"{remark} ({_first_line(error)})"
            break
        for name in names:
            if name not in result.children:
                remarks[name] = f"could not be computed ({_first_line(error)})"

    def densities() -> tuple[xr.Dataset, xr.Dataset]:
        # In one call, what both densities depend on is computed once.
        computed = log_densities(model, posterior, [*parameters, *observed])
        return computed[observed], computed[parameters]

    add(
        ["prior", "prior_predictive"],
        ("", lambda: prior_draws(model, PRIOR_DRAWS, seed)),
        (BOUNDED, lambda: prior_draws(model, PRIOR_DRAWS, seed, bounded=True)),
        ("", lambda: [prior_parameters(model, PRIOR_DRAWS, seed)]),
    )
    add(["observed_data"], ("", lambda: [observations(model)]))
    add(
        ["posterior_predictive"],
        ("", lambda: [predictive_draws(model, result, seed)]),
        (BOUNDED, lambda: [predictive_draws(model, result, seed, bounded=True)]),
    )
    add(["log_likelihood", "log_prior"], ("", densities))
    for outcome in model_outcomes(spec, design):
        for group, of_arms in (("prior", False), ("posterior", True)):
            name = f"{group}_predictive"
            if group not in result.children or name not in result.children:
                continue
            drawn, parameter_draws = result[name].to_dataset(), result[group].to_dataset()
            try:
                selected = apply_publication_selection(
                    outcome, drawn, parameter_draws, seed, of_arms=of_arms
                )
            except Exception as error:
                del result[name]
                remarks[name] = f"could not be computed ({_first_line(error)})"
            else:
                result[name] = xr.DataTree(selected)
    return remarks


def _first_line(error: Exception | None) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


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
