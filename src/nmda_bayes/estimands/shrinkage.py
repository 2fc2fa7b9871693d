"""Shrinkage: how far partial pooling moves each cell's estimate, and from which trials.

A cell is an agent in a condition. Its own trials give a generalised least squares mean of their
contrasts vs the reference, weighted with the posterior heterogeneity; the model gives the same
weighted mean of its curve. With normal errors and partial pooling about a mean, precisions add:

* ``pooling`` = 1 - Var(model) / Var(trials): share of the information that is not from the cell's
  own trials (pooling factor; Gelman and Pardoe 2006, Technometrics 48:241);
* ``effective_studies`` = trials * precision(model) / precision(trials): variance-ratio effective
  sample size, in trials (Neuenschwander et al. 2020, Biometrics 76:578); ``borrowed_studies`` is
  what exceeds the cell's number of trials.

``weight`` is d E[model estimate] / dy = Cov(model estimate, d log p(y | eta) / dy), summed over the
contrasts of a cell: how far the estimate moves if all its contrasts move by one unit. The weights
of all cells and of the priors and curve (``rest``) sum to 1. Crossover trials count as parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood, contrast_covariance
from nmda_bayes.design import (
    ARM_REPORT,
    CONTRAST_REPORT,
    READING,
    RESPONDER_REPORT,
    cluster_arm_labels,
)
from nmda_bayes.dims import ARM, CHAIN, CLUSTER, DRAW, SAMPLE, STRATUM
from nmda_bayes.estimands.effects import expected_arm_effects, reference_pairs
from nmda_bayes.estimands.fit_access import (
    design_of,
    posterior_draws,
    spec_error,
    spec_of,
    variable_name,
)
from nmda_bayes.spec.rules import CLUSTER_SD, HETEROGENEITY_SD

CELL, SOURCE_CELL = "cell", "from_cell"


def shrinkage_by_cell(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Measure how far partial pooling moves each tested cell, and which trials it rests on.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Over cell (agent and condition): ``own`` and ``own_sd``, the estimate of its trials alone
        (NaN with a zero cell), ``pooled`` and ``pooled_sd``, the model's; ``studies``, ``pooling``,
        ``effective_studies``, ``borrowed_studies``; ``weight`` (cell, from_cell) with its Monte
        Carlo error ``weight_error``, and ``rest``, ``rest_error``, the weight of the priors and the
        curve. Estimates are on the linear predictor.

    Raises
    ------
    SpecError
        If the likelihood has no information function (E830), arms are measured at several times
        (E831), or no trial compares an active arm with the reference (E832).

    Notes
    -----
    Pooling factor: Gelman and Pardoe 2006, Technometrics 48:241. Effective sample size:
    Neuenschwander et al. 2020, Biometrics 76:578.

    Examples
    --------
    >>> report = nb.shrinkage_by_cell(fit, "analgesia")
    >>> report["weight"].dims
    ('cell', 'from_cell')
    >>> total = report["weight"].sum("from_cell") + report["rest"]
    >>> bool(np.allclose(total, 1))
    True
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    if not shows_borrowing(likelihood):
        known = [part.name for part in LIKELIHOODS.values() if shows_borrowing(part)]
        message = f"shrinkage is not available for likelihood '{likelihood.name}'"
        hint = f"It is for: {', '.join(known)}."
        raise spec_error("E830", message, hint, f"outcomes.{outcome}.likelihood")
    if READING in design:
        message = "shrinkage is not available for repeated measures"
        raise spec_error("E831", message, "Select one time.", f"outcomes.{outcome}.time.rule")
    if not has_controlled_comparison(design):
        message = "no trial compares an active arm with the reference"
        raise spec_error("E832", message, column=f"outcomes.{outcome}")
    comparisons = _comparisons(fit, outcome, likelihood)
    curve = comparisons.incidence @ _as_matrix(expected_arm_effects(fit, outcome))
    agents, conditions, studies = (
        design[name].to_numpy()[comparisons.active] for name in ("agent", "condition", "study")
    )
    labels = np.array([f"{a}, {c}" for a, c in zip(agents, conditions, strict=True)], object)
    cells = list(dict.fromkeys(labels))
    scores = np.array([comparisons.score[labels == cell].sum(axis=0) for cell in cells])
    rows = []
    for cell in cells:
        k = np.flatnonzero(labels == cell)
        weights, precision = _gls_weights(comparisons.covariance[np.ix_(k, k)])
        estimate = weights @ curve[k]
        weight, error = _covariances(estimate, scores)
        _, rest_error = _covariances(estimate, scores.sum(axis=0, keepdims=True))
        count = len(set(studies[k]))
        effective = count / (estimate.var() * precision)
        rows.append(
            {
                "agent": agents[k[0]],
                "condition": conditions[k[0]],
                "studies": count,
                "own": float(weights @ comparisons.raw[k]),
                "own_sd": precision**-0.5,
                "pooled": float(estimate.mean()),
                "pooled_sd": float(estimate.std()),
                "pooling": 1 - estimate.var() * precision,
                "effective_studies": effective,
                "borrowed_studies": effective - count,
                "rest": 1 - weight.sum(),
                "rest_error": rest_error[0],
                "weight": weight,
                "weight_error": error,
            }
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    coords = {name: (CELL, columns.pop(name).astype(object)) for name in ("agent", "condition")}
    return xr.Dataset(
        {name: ((CELL, SOURCE_CELL)[: v.ndim], v) for name, v in columns.items()},
        coords={CELL: np.array(cells, object), SOURCE_CELL: np.array(cells, object), **coords},
        attrs={"rest": _other_sources(design)},
    )


@dataclass(frozen=True)
class _Comparisons:
    """Comparisons of active arms with the reference.

    ``active``: the active arm's position; ``raw``: the trial's estimate; ``incidence`` (comparison,
    arm): 1 for the active arm, -1 for the reference; ``covariance``: sampling and heterogeneity;
    ``score`` (comparison, draw): d log p / d raw, up to a constant.
    """

    active: np.ndarray
    raw: np.ndarray
    incidence: np.ndarray
    covariance: np.ndarray
    score: np.ndarray


def _comparisons(fit: xr.DataTree, outcome: str, likelihood: Likelihood) -> _Comparisons:
    design = design_of(fit, outcome)
    active, reference = reference_pairs(design)
    controlled = _is_controlled(design)
    reports = design["report"].to_numpy()[active]
    contrasts = np.flatnonzero(controlled[reports == CONTRAST_REPORT])
    active, reference, reports = active[controlled], reference[controlled], reports[controlled]
    from_arms, from_contrasts = reports == ARM_REPORT, reports == CONTRAST_REPORT
    eta = _as_matrix(posterior_draws(fit, outcome, "eta"))
    variance = _arm_variances(design, likelihood, eta)
    rows = np.arange(len(active))
    incidence = np.zeros((len(active), design.sizes[ARM]))
    incidence[rows, active], incidence[rows, reference] = 1, -1
    arm_incidence = incidence * from_arms[:, None]
    covariance = (arm_incidence * np.nan_to_num(variance)) @ arm_incidence.T
    raw, score = np.full(len(active), np.nan), eta[active] / variance[active][:, None]
    if from_arms.any():
        level, _ = likelihood.estimates(design)
        with np.errstate(invalid="ignore"):
            difference = (level[active] - level[reference])[from_arms]
        raw[from_arms] = np.where(np.isfinite(difference), difference, np.nan)
    if from_contrasts.any():
        errors, block = contrast_covariance(design), np.ix_(from_contrasts, from_contrasts)
        covariance[block] = errors[np.ix_(contrasts, contrasts)]
        raw[from_contrasts] = design["estimate"].to_numpy()[contrasts]
        arm, comparator = (design[f"{side}_position"].to_numpy() for side in ("arm", "comparator"))
        score[from_contrasts] = np.linalg.solve(errors, eta[arm] - eta[comparator])[contrasts]
    covariance += incidence @ _heterogeneity_covariance(fit, outcome) @ incidence.T
    return _Comparisons(active, raw, incidence, covariance, score)


def shows_borrowing(likelihood: Likelihood) -> bool:
    """Whether the information about the linear predictor is known, of arms or of contrasts."""
    return likelihood.contrasts or likelihood.information is not None


def describe_shrinkage(report: xr.Dataset) -> list[str]:
    """Describe each cell of `shrinkage_by_cell` in a sentence."""
    lines = []
    for name in report[CELL].to_numpy():
        cell = report.sel({CELL: name})
        own_weight = float(cell["weight"].sel({SOURCE_CELL: name}))
        sources = [f"{own_weight:.0%} own trials"]
        source = main_source(cell)
        if source:
            others = float(cell["weight"].sum()) - own_weight
            largest = float(cell["weight"].sel({SOURCE_CELL: source}))
            sources.append(f"{others:.0%} other cells (most: {source}, {largest:.0%})")
        sources.append(f"{float(cell['rest']):.0%} {report.attrs['rest']}")
        count = int(cell["studies"])
        lines.append(
            f"{name}: {count} trial{'' if count == 1 else 's'} alone {float(cell['own']):.3g},"
            f" model {float(cell['pooled']):.3g}; weights: {', '.join(sources)}; precision of"
            f" {float(cell['effective_studies']):.1f} such trials."
        )
    return lines


def main_source(cell: xr.Dataset) -> str:
    """Name the other cell whose trials have the largest weight; empty if there is none."""
    others = cell["weight"].drop_sel({SOURCE_CELL: cell[CELL].item()})
    if not others.size:
        return ""
    return str(others[SOURCE_CELL].to_numpy()[np.abs(others.to_numpy()).argmax()])


def has_controlled_comparison(design: xr.Dataset) -> bool:
    """Whether any trial compares an active arm with the reference, by arms or contrasts."""
    return bool(_is_controlled(design).any())


def _is_controlled(design: xr.Dataset) -> np.ndarray:
    active, reference = reference_pairs(design)
    reports, exposure = design["report"].to_numpy()[active], design["exposure"].to_numpy()
    numeric = np.isin(reports, (ARM_REPORT, CONTRAST_REPORT))
    return np.asarray(numeric & (exposure[active] > 0) & (exposure[reference] == 0))


def _as_matrix(values: xr.DataArray) -> np.ndarray:
    """Stack the draws of arms: (arm, draw)."""
    stacked = values.transpose(..., CHAIN, DRAW).to_numpy()
    return np.asarray(stacked.reshape(stacked.shape[0], -1))


def _arm_variances(design: xr.Dataset, likelihood: Likelihood, eta: np.ndarray) -> np.ndarray:
    """Compute each arm's sampling variance on the linear predictor, at the fitted mean."""
    if likelihood.information is None or not set(likelihood.columns) <= set(design):
        return np.full(len(eta), np.nan)
    expected = likelihood.link.inverse(eta).mean(axis=1)  # observed risks of 0 have no logit
    return np.asarray(1 / likelihood.information(likelihood.numbers(design), expected))


def _heterogeneity_covariance(fit: xr.DataTree, outcome: str) -> np.ndarray:
    """Compute the covariance of the arms' random effects at the posterior mean of tau^2."""
    spec, design = spec_of(fit), design_of(fit, outcome)
    if variable_name(spec, outcome, HETEROGENEITY_SD) not in fit["posterior"]:
        return np.zeros((design.sizes[ARM], design.sizes[ARM]))
    half = (posterior_draws(fit, outcome, HETEROGENEITY_SD) ** 2).mean(SAMPLE) / 2
    stratum = variable_name(spec, outcome, STRATUM)
    if stratum in half.dims:
        return np.diag(half.sel({stratum: design[STRATUM].to_numpy()}).to_numpy())
    covariance = np.diag(np.full(design.sizes[ARM], float(half)))
    if CLUSTER in design:
        treatments = cluster_arm_labels(design)
        shared = float((posterior_draws(fit, outcome, CLUSTER_SD) ** 2).mean(SAMPLE) / 2)
        covariance += shared * (treatments[:, None] == treatments)
    return covariance


def _other_sources(design: xr.Dataset) -> str:
    """Name what contributes besides the trials vs the reference."""
    sources = ["the priors", "the form of the curve"]
    if RESPONDER_REPORT in design["report"].to_numpy():
        sources.append("responder counts")
    is_active, studies = design["exposure"].to_numpy() > 0, design["study"].to_numpy()
    if set(studies[is_active]) - set(studies[~is_active]):
        sources.append("trials without a reference arm")
    return f"{', '.join(sources[:-1])} and {sources[-1]}"


def _covariances(estimate: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute covariances over draws, and their Monte Carlo errors for independent draws."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    products = (estimate - estimate.mean()) * centred
    return products.mean(axis=1), products.std(axis=1) / np.sqrt(len(estimate))


def _gls_weights(covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Compute the generalised least squares weights of a common mean, and its precision."""
    solved = np.linalg.solve(covariance, np.ones(len(covariance)))
    return solved / solved.sum(), float(solved.sum())
