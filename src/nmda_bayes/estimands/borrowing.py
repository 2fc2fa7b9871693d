"""How far each cell was pulled, from whom, and what that is worth in trials.

A cell is an agent in a condition. What its own trials say is their contrasts with the reference,
weighed by generalised least squares with the heterogeneity that the fit found. What the model says
is the same weighted mean of its curve. Where errors are normal and cells are shared about a mean,
the cell's posterior precision is that of its own trials and that of what was borrowed, added up; so

* ``pooling`` = 1 − Var(model) / Var(own trials), the share of what is known of the cell that is not
  its own trials' (a pooling factor, Gelman and Pardoe 2006, Technometrics 48:241);
* ``effective_studies`` = own trials · precision(model) / precision(own trials), the variance-ratio
  effective sample size (Neuenschwander et al. 2020, Biometrics 76:578), counted in trials like the
  cell's own; ``borrowed_studies`` is what exceeds those.

From whom: the derivative of a posterior mean by a datum y is Cov(mean, d log p(y | eta) / dy), for
any prior and curve. Summed over the arms of a cell it says how far the answer moves for each unit
by which all that cell's contrasts move: ``weight``. What is missing to 1 holds to the priors and to
the form of the curve. Trials that put the same people in every arm count as if they were parallel.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods import contrast_covariance
from nmda_bayes.design import AS_ARM, AS_CONTRAST, AS_RESPONDERS, READING, cluster_arms
from nmda_bayes.dims import ARM, CHAIN, CLUSTER, DRAW, SAMPLE, STRATUM
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.effects import compared, expected_arms
from nmda_bayes.estimands.reading import design_of, spec_of, variable
from nmda_bayes.spec.pooling_rules import CLUSTER_SD, HETEROGENEITY_SD

CELL, FROM = "cell", "from_cell"
#: Likelihoods whose information on the linear predictor is written here.
MEANS, COUNTS, CONTRASTS = "normal", "binomial", "normal_contrast"
REPORTED = (MEANS, COUNTS, CONTRASTS)


def pooling_report(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Say of each cell that was tried how far the model pulled it, from whom, and for how much.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes; its likelihood is normal, binomial or of normal contrasts.

    Returns
    -------
    xr.Dataset
        Dim cell (coordinates agent, condition): ``studies``, ``own`` and ``own_sd`` (the cell's
        trials alone; ``own`` is NaN where a trial prints no estimate), ``pooled`` and
        ``pooled_sd``, ``pooling``, ``effective_studies``, ``borrowed_studies``, ``weight`` (also
        dim from_cell) and ``rest``, these two with the Monte Carlo errors of independent draws,
        ``weight_error`` and ``rest_error``. Effects are on the linear predictor's scale.

    Raises
    ------
    SpecError
        If the outcome's likelihood is another.
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    likelihood = spec.outcomes[outcome].likelihood
    if likelihood not in REPORTED:
        message = f"what cells of likelihood '{likelihood}' borrow is not worked out"
        mend = f"Ask of an outcome of {', '.join(REPORTED)}."
        raise SpecError([Fault(message, mend, column=f"outcomes.{outcome}")])
    if READING in design:
        message = "what cells borrow is not worked out where arms are read at several hours"
        raise SpecError([Fault(message, "Keep one hour.", column=f"outcomes.{outcome}.time.rule")])
    eta = _samples(fit["posterior"].to_dataset()[variable(spec, outcome, "eta")])
    curve = _samples(expected_arms(fit, outcome))
    variance = _variances(design, likelihood, eta)
    here, there = compared(design)
    reports = design["report"].to_numpy()[here]
    told = _told(design)
    kept = np.flatnonzero(told[reports == AS_CONTRAST])
    here, there, reports = here[told], there[told], reports[told]
    if not len(here):
        raise SpecError([Fault("no trial compares arms", column=f"outcomes.{outcome}")])
    sides = np.zeros((len(here), len(design[ARM])))
    sides[np.arange(len(here)), here] = 1
    sides[np.arange(len(here)), there] = -1
    of_arms = sides * (reports == AS_ARM)[:, None]
    errors = (of_arms * np.nan_to_num(variance)) @ of_arms.T
    contrasts = reports == AS_CONTRAST
    if contrasts.any():
        errors[np.ix_(contrasts, contrasts)] = contrast_covariance(design)[np.ix_(kept, kept)]
    spread = sides @ _arm_spread(fit, outcome) @ sides.T
    raw = _raw(design, here, there, reports, likelihood)
    slopes = eta[here] / variance[here][:, None]
    if contrasts.any():
        raw[contrasts] = design["estimate"].to_numpy()[kept]
        slopes[contrasts] = _contrast_slopes(design, eta)[kept]
    labels = np.array(
        [f"{design['agent'].values[i]}, {design['condition'].values[i]}" for i in here], object
    )
    cells = list(dict.fromkeys(labels))
    rows = []
    for cell in cells:
        mine = np.flatnonzero(labels == cell)
        weights, precision = _weighed((errors + spread)[np.ix_(mine, mine)])
        mean = weights @ (sides[mine] @ curve)
        # d log p / dy is eta / variance where a comparison's active arm is moved.
        by_cell = np.array([slopes[labels == c].sum(axis=0) for c in cells])
        weight, error = _covariances(mean, by_cell)
        _, rest_error = _covariances(mean, by_cell.sum(axis=0, keepdims=True))
        studies = len(set(design["study"].to_numpy()[here[mine]]))
        rows.append(
            {
                "agent": design["agent"].values[here[mine[0]]],
                "condition": design["condition"].values[here[mine[0]]],
                "studies": studies,
                "own": float(weights @ raw[mine]),
                "own_sd": precision**-0.5,
                "pooled": float(mean.mean()),
                "pooled_sd": float(mean.std()),
                "pooling": 1 - mean.var() * precision,
                "effective_studies": studies / (mean.var() * precision),
                "borrowed_studies": studies / (mean.var() * precision) - studies,
                "rest": 1 - weight.sum(),
                "rest_error": rest_error[0],
                "weight": weight,
                "weight_error": error,
            }
        )
    return _as_dataset(cells, rows).assign_attrs(rest=_rest(design))


def pooling_words(report: xr.Dataset) -> list[str]:
    """Say in a sentence what each cell borrowed.

    Parameters
    ----------
    report
        As `pooling_report` gives it.

    Returns
    -------
    list[str]
        One a cell.
    """
    said = []
    for cell in report[CELL].to_numpy():
        one = report.sel({CELL: cell})
        others = one["weight"].drop_sel({FROM: cell})
        parts = [f"{float(one['weight'].sel({FROM: cell})):.0%} its own trials"]
        if others.size:
            lender = lender_of(one)
            largest = float(others.sel({FROM: lender}))
            parts.append(f"{float(others.sum()):.0%} other cells (most: {lender}, {largest:.0%})")
        parts.append(f"{float(one['rest']):.0%} {report.attrs['rest']}")
        trials = f"{int(one['studies'])} trial{'' if one['studies'] == 1 else 's'}"
        text = (
            f"{cell}: {trials} alone {float(one['own']):.3g}, the model"
            f" {float(one['pooled']):.3g}; {', '.join(parts)}; known as well as by"
            f" {float(one['effective_studies']):.1f} such trials."
        )
        said.append(text.replace("%", " %"))
    return said


def lender_of(cell: xr.Dataset) -> str:
    """Name the other cell whose trials weigh most in one.

    Parameters
    ----------
    cell
        One cell of a `pooling_report`.

    Returns
    -------
    str
        Empty where there is no other.
    """
    others = cell["weight"].drop_sel({FROM: cell[CELL].item()})
    return str(others[FROM].to_numpy()[np.abs(others.to_numpy()).argmax()]) if others.size else ""


def compares(design: xr.Dataset) -> bool:
    """Say whether any trial compares an active arm with the reference by its own numbers.

    Parameters
    ----------
    design
        An outcome's design.

    Returns
    -------
    bool
        False for trials of single arms, and of active arms alone.
    """
    return bool(_told(design).any())


def _told(design: xr.Dataset) -> np.ndarray:
    """Which of the compared arms stand against a reference, and say so in numbers of their own."""
    here, there = compared(design)
    reports, exposure = design["report"].to_numpy()[here], design["exposure"].to_numpy()
    told = np.isin(reports, (AS_ARM, AS_CONTRAST)) & (exposure[here] > 0) & (exposure[there] == 0)
    return np.asarray(told)


def _samples(values: xr.DataArray) -> np.ndarray:
    """Draws of the arms, one column a draw."""
    stacked = values.transpose(..., CHAIN, DRAW).to_numpy()
    return np.asarray(stacked.reshape(stacked.shape[0], -1))


def _variances(design: xr.Dataset, likelihood: str, eta: np.ndarray) -> np.ndarray:
    """Sampling variance of each arm on the linear predictor's scale, where the fit sees it."""
    if likelihood == MEANS and "se" in design:
        return design["se"].to_numpy().astype(float) ** 2
    if likelihood == COUNTS:
        risk = (1 / (1 + np.exp(-eta))).mean(axis=1)  # observed risks of 0 have no logit
        return 1 / (design["n"].to_numpy().astype(float) * risk * (1 - risk))
    return np.full(len(eta), np.nan)


def _arm_spread(fit: xr.DataTree, outcome: str) -> np.ndarray:
    """Covariance of the arms' own effects, at the posterior means of the squared SDs."""
    spec, design = spec_of(fit), design_of(fit, outcome)
    name, stratum = variable(spec, outcome, HETEROGENEITY_SD), variable(spec, outcome, STRATUM)
    posterior = fit["posterior"].to_dataset()
    if name not in posterior:
        return np.zeros((design.sizes[ARM], design.sizes[ARM]))
    half = (posterior[name] ** 2).mean(SAMPLE) / 2
    if stratum in half.dims:
        return np.diag(half.sel({stratum: design[STRATUM].to_numpy()}).to_numpy())
    spread = np.diag(np.full(design.sizes[ARM], float(half)))
    if CLUSTER in design:
        treatments = cluster_arms(design)
        shared = float((posterior[variable(spec, outcome, CLUSTER_SD)] ** 2).mean(SAMPLE) / 2)
        spread = spread + shared * (treatments[:, None] == treatments)
    return spread


def _raw(
    design: xr.Dataset, here: np.ndarray, there: np.ndarray, reports: np.ndarray, likelihood: str
) -> np.ndarray:
    """Each comparison as its trial prints it; NaN for a zero cell."""
    raw = np.full(len(here), np.nan)
    own = reports == AS_ARM
    if likelihood == MEANS and own.any():
        level = design["mean"].to_numpy().astype(float)
        raw[own] = (level[here] - level[there])[own]
    elif likelihood == COUNTS and own.any():
        events, n = (design[c].to_numpy().astype(float) for c in ("events", "n"))
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.log(events) - np.log(n - events)
            found = (level[here] - level[there])[own]
        raw[own] = np.where(np.isfinite(found), found, np.nan)
    return raw


def _contrast_slopes(design: xr.Dataset, eta: np.ndarray) -> np.ndarray:
    """Derivative of each draw's log likelihood by each contrast, less what no parameter is in."""
    arm, comparator = (design[f"{side}_position"].to_numpy() for side in ("arm", "comparator"))
    return np.linalg.solve(contrast_covariance(design), eta[arm] - eta[comparator])


def _rest(design: xr.Dataset) -> str:
    """Name what no cell's trials against the reference hold."""
    held = ["the priors", "the form of the curve"]
    if AS_RESPONDERS in design["report"].to_numpy():
        held.append("counts of responders")
    active = design["exposure"].to_numpy() > 0
    studies = design["study"].to_numpy()
    if set(studies[active]) - set(studies[~active]):
        held.append("trials of active arms alone")
    return f"{', '.join(held[:-1])} and {held[-1]}"


def _covariances(mean: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances over draws, and the Monte Carlo error of each were the draws independent."""
    centred = others - others.mean(axis=1, keepdims=True)
    products = (mean - mean.mean()) * centred
    return products.mean(axis=1), products.std(axis=1) / np.sqrt(len(mean))


def _weighed(covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of generalised least squares for one mean, and its precision."""
    solved = np.linalg.solve(covariance, np.ones(len(covariance)))
    return solved / solved.sum(), float(solved.sum())


def _as_dataset(cells: list[str], rows: list[dict[str, object]]) -> xr.Dataset:
    labels = np.array(cells, dtype=object)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    agent, condition = (columns.pop(name).astype(object) for name in ("agent", "condition"))
    found = {
        name: ((CELL, FROM)[: values.ndim], values.astype(float))
        for name, values in columns.items()
    }
    return xr.Dataset(
        {**found, "studies": (CELL, columns["studies"])},
        coords={CELL: labels, FROM: labels, "agent": (CELL, agent), "condition": (CELL, condition)},
    )
