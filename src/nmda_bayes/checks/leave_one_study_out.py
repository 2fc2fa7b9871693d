"""Leave-one-study-out predictive densities, influence of studies, stacking of models.

The unit of cross-validation is the study. With p(y_s | theta) the density of all that study s
reports given the shared parameters theta, its effects integrated out,

    elpd_s = log p(y_s | the other studies) = -log E[1 / p(y_s | theta)],

by importance sampling with smoothed weights. Stacking (Yao, Vehtari, Simpson and Gelman 2018,
Bayesian Analysis 13:917) chooses the weights w of models k that

    maximise  sum over studies s of  log sum over k of  w[k] * p[k](y_s | the other studies).

The Bayesian bootstrap (Rubin 1981), which reweights the studies, gives the uncertainty of w.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import NO_CHANGE, pareto_k_limit, psis
from nmda_bayes.components.likelihoods import LIKELIHOODS, arm_columns
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY, VARIANT
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.study_density import SHARED_DRAW, integrate_studies, study_terms
from nmda_bayes.intervals import INTERVAL_LEVEL, INTERVAL_TEXT
from nmda_bayes.model import build_model_from_design

#: More draws cost as many integrals each and change little.
MAX_DRAWS = 1000
#: Points of an integral without a closed form.
INTEGRATION_POINTS = 64
#: Bootstrap replicates of the studies.
BOOTSTRAP_DRAWS = 1000
#: Limits of the EM algorithm: iterations, and the change of a weight that ends it.
MAX_ITERATIONS, STACKING_TOLERANCE = 20_000, 1e-9
#: A model is clearly worse if its elpd differs by more than two standard errors and by more than
#: 4; below that the standard error itself is unreliable (Sivula et al. 2020, arXiv:2008.10296).
MIN_DIFFERENCE_IN_SE, MIN_ELPD_DIFFERENCE = 2.0, 4.0
TAIL = (1 - INTERVAL_LEVEL) / 2


def study_density(
    fit: xr.DataTree, *, draws: int = MAX_DRAWS, points: int = INTEGRATION_POINTS
) -> xr.Dataset:
    """Compute the log density of what each study reports, given what all studies share.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` returns it.
    draws
        Number of draws used, evenly thinned.
    points
        Points of an integral without a closed form; a power of 2, at least 8.

    Returns
    -------
    xr.Dataset
        ``log_density`` (chain, draw, study): of all outcomes that the study reports, with its
        baseline, the effects of its arms and all other study-specific variables integrated out
        over their priors. ``mcse`` is its Monte Carlo standard error, 0 where the integral has a
        ``closed_form`` (study): means with known errors and normal effects.

    Raises
    ------
    SpecError
        If the posterior is not a product over studies, with every reason.

    Examples
    --------
    >>> density = nb.study_density(fit, draws=40, points=8)
    >>> density["log_density"].dims
    ('chain', 'draw', 'study')
    """
    spec = spec_of(fit)
    design = fit.children["design"]
    terms = study_terms(build_model_from_design(spec, design), design)
    posterior = fit["posterior"].to_dataset()
    total = posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    thinned = posterior.isel({DRAW: slice(None, None, max(1, -(-total // draws)))})
    bare = thinned.drop_vars(list(thinned.coords))
    stacked = bare.stack({SHARED_DRAW: SAMPLE}, create_index=False)  # noqa: PD013 (xarray's)
    density = integrate_studies(terms, stacked, points, spec.sampling.seed)
    coords = {CHAIN: thinned[CHAIN], DRAW: thinned[DRAW], STUDY: list(terms.studies)}
    shape = (thinned.sizes[CHAIN], thinned.sizes[DRAW], len(terms.studies))
    return xr.Dataset(
        {
            "log_density": ((*SAMPLE, STUDY), density.log_density.reshape(shape)),
            "mcse": ((*SAMPLE, STUDY), density.mcse.reshape(shape)),
            "closed_form": (STUDY, density.closed_form),
        },
        coords=coords,
    )


def study_elpd(density: xr.Dataset) -> xr.Dataset:
    """Expected log predictive density of each study given the other studies.

    Parameters
    ----------
    density
        As `study_density` returns it.

    Returns
    -------
    xr.Dataset
        Dim study: ``elpd``, its Monte Carlo standard error ``elpd_mcse``, ``p_loo`` (the effective
        number of parameters: the log density with the study in the fit, less ``elpd``), ``k_hat``
        and ``reliable``; and ``log_weight`` (chain, draw, study), which reweights the draws to the
        posterior without the study. ``elpd.sum()`` is the elpd of the model; its standard error is
        the SD over studies times the square root of their number.

    References
    ----------
    Vehtari, Gelman and Gabry 2017, Statistics and Computing 27:1413.

    Examples
    --------
    >>> elpd = nb.study_elpd(nb.study_density(fit, draws=40, points=8))
    >>> elpd["elpd"].dims
    ('study',)
    """
    log_density = density["log_density"]
    count = log_density.sizes[CHAIN] * log_density.sizes[DRAW]
    by_study = [_leave_out_weights(log_density.sel({STUDY: s})) for s in log_density[STUDY]]
    log_weight, k_hat, efficiency = (
        xr.concat(parts, dim=STUDY) for parts in zip(*by_study, strict=True)
    )
    elpd = _log_sum(log_weight + log_density)
    deviation = _exp(log_weight + log_density - elpd) - _exp(log_weight)
    return xr.Dataset(
        {
            "elpd": elpd,
            "elpd_mcse": np.sqrt((deviation**2).sum(SAMPLE) / efficiency),
            "p_loo": _log_sum(log_density) - np.log(count) - elpd,
            "k_hat": k_hat,
            "reliable": k_hat <= pareto_k_limit(count),
            "log_weight": log_weight.transpose(*SAMPLE, STUDY),
        }
    )


def study_influence(elpd: xr.Dataset, estimate: xr.DataArray) -> xr.Dataset:
    """How far an estimate moves if a study is left out.

    Parameters
    ----------
    elpd
        As `study_elpd` returns it.
    estimate
        Draws of an estimate, dims chain, draw and any others: a `dose_response` at a dose, a
        contrast, a variable of the posterior.

    Returns
    -------
    xr.Dataset
        ``mean``, ``lower`` and ``upper`` (95% CrI) from all studies; dim study: ``mean_without``,
        ``lower_without`` and ``upper_without``, ``shift`` in the estimate's unit and
        ``shift_in_sd`` of its posterior. Coordinates ``k_hat`` and ``reliable``: where False, only
        a refit gives a reliable shift.

    Examples
    --------
    >>> elpd = nb.study_elpd(nb.study_density(fit, draws=40, points=8))
    >>> nb.study_influence(elpd, fit["posterior"]["analgesia::emax_location"])["shift"].dims
    ('study',)
    """
    # The shift compares the same draws, so that thinning adds no noise.
    kept = estimate.sel({dim: elpd[dim] for dim in SAMPLE})
    weighted = kept.weighted(_exp(elpd["log_weight"]))
    mean = weighted.mean(SAMPLE)
    quantiles = weighted.quantile([TAIL, 1 - TAIL], dim=list(SAMPLE))
    all_quantiles = estimate.quantile([TAIL, 1 - TAIL], dim=list(SAMPLE))
    shift, sd = mean - kept.mean(SAMPLE), kept.std(SAMPLE)
    return xr.Dataset(
        {
            "mean": estimate.mean(SAMPLE),
            "lower": all_quantiles.isel(quantile=0, drop=True),
            "upper": all_quantiles.isel(quantile=1, drop=True),
            "mean_without": mean,
            "lower_without": quantiles.isel(quantile=0, drop=True),
            "upper_without": quantiles.isel(quantile=1, drop=True),
            "shift": shift,
            "shift_in_sd": (shift / sd).where(sd > 0, 0.0),
        }
    ).assign_coords(k_hat=elpd["k_hat"], reliable=elpd["reliable"])


def _leave_out_weights(
    log_density: xr.DataArray,
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Log weights of leaving a study out, their k-hat, and the relative efficiency of the draws."""
    likelihood = _exp(log_density - log_density.max())
    efficiency = xr.ones_like(likelihood.max())
    if float(log_density.std()) >= NO_CHANGE:
        efficiency = likelihood.azstats.ess(method="mean", relative=True).clip(max=1.0)
    log_weight, k_hat = psis(-log_density, float(efficiency))
    return log_weight, xr.full_like(efficiency, k_hat), efficiency


def _log_sum(array: xr.DataArray) -> xr.DataArray:
    top = array.max(SAMPLE)
    total: xr.DataArray = xr.apply_ufunc(np.log, _exp(array - top).sum(SAMPLE))
    return total + top


def _exp(array: xr.DataArray) -> xr.DataArray:
    values: xr.DataArray = xr.apply_ufunc(np.exp, array)
    return values


# --- Stacking ------------------------------------------------------------------------------------


def stacking_weights(
    fits: Mapping[str, xr.DataTree], elpds: Mapping[str, xr.Dataset] | None = None
) -> xr.Dataset:
    """Weigh fits of several models to the same studies by their predictions of each study.

    Parameters
    ----------
    fits
        Two or more fits by name, of the same data.
    elpds
        As `study_elpd` returns them, by name; computed if omitted.

    Returns
    -------
    xr.Dataset
        Dim variant: ``weight`` with its 95% interval over resampled studies (``lower``,
        ``upper``), ``elpd_total``, ``elpd_difference`` from the best model with its standard error
        ``elpd_difference_se``, and ``n_unreliable`` studies; ``elpd`` and ``k_hat`` (variant,
        study). Attribute ``summary`` interprets the weights.

    Raises
    ------
    SpecError
        If there are fewer than two fits, or their data differ.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman 2018, Bayesian Analysis 13:917.

    Examples
    --------
    >>> elpd = nb.study_elpd(nb.study_density(fit, draws=40, points=8))
    >>> stacked = nb.stacking_weights({"a": fit, "b": fit}, {"a": elpd, "b": elpd})
    >>> stacked["weight"].values.tolist()
    [0.5, 0.5]
    """
    issues = list(_data_issues(fits))
    if issues:
        raise SpecError(issues)
    if elpds is None:
        elpds = {name: study_elpd(study_density(fit)) for name, fit in fits.items()}
    tables = [elpds[name].drop_vars("log_weight") for name in fits]
    joined = xr.concat(tables, dim=pd.Index(list(fits), name=VARIANT), join="exact")
    elpd = joined["elpd"].transpose(STUDY, VARIANT).to_numpy()
    count = len(elpd)
    seed = spec_of(next(iter(fits.values()))).sampling.seed
    shares = np.random.default_rng(seed).dirichlet(np.ones(count), BOOTSTRAP_DRAWS)
    weight = optimise_stacking(elpd, np.full((1, count), 1 / count))[0]
    lower, upper = np.quantile(optimise_stacking(elpd, shares), [TAIL, 1 - TAIL], axis=0)
    difference = elpd - elpd[:, [elpd.sum(0).argmax()]]
    stacked = xr.Dataset(
        {
            "weight": (VARIANT, weight),
            "lower": (VARIANT, lower),
            "upper": (VARIANT, upper),
            "elpd_total": (VARIANT, elpd.sum(0)),
            "elpd_difference": (VARIANT, difference.sum(0)),
            "elpd_difference_se": (VARIANT, difference.std(0, ddof=1) * np.sqrt(count)),
            "n_unreliable": (~joined["reliable"]).sum(STUDY),
            "elpd": joined["elpd"],
            "k_hat": joined["k_hat"],
        },
        coords={VARIANT: list(fits), STUDY: joined[STUDY]},
    )
    return stacked.assign_attrs(summary=_stacking_summary(stacked))


def optimise_stacking(elpd: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weights (replicate, variant) that maximise the log score of the mixture.

    EM for mixture proportions: each step multiplies a weight by the ratio of its model's density to
    the mixture's, so that weights stay on the simplex and the score never falls. ``elpd`` is
    (study, variant), ``shares`` the weight of each study (replicate, study).
    """
    density = np.exp(elpd - elpd.max(axis=1, keepdims=True))
    weight = np.full((len(shares), density.shape[1]), 1 / density.shape[1])
    for _ in range(MAX_ITERATIONS):
        ratio = (shares / (weight @ density.T)) @ density
        weight, before = weight * ratio, weight
        if np.abs(weight - before).max() < STACKING_TOLERANCE:
            break
    return weight / weight.sum(axis=1, keepdims=True)


def _data_issues(fits: Mapping[str, xr.DataTree]) -> Iterator[Issue]:
    if len(fits) < 2:
        yield Issue("E570", "stacking needs at least two fits", "Add a fit of another model.")
        return
    (first, first_fit), *others = fits.items()
    for name, fit in others:
        differences = sorted(_reported(first_fit) ^ _reported(fit))
        if differences:
            shown = "; ".join(": ".join(filter(None, row)) for row in differences[:3])
            shown += "; ..." if len(differences) > 3 else ""
            yield Issue(
                "E571",
                f"fits '{name}' and '{first}' have different data: {shown}",
                "Compare fits of the same outcomes and studies.",
            )


def _reported(fit: xr.DataTree) -> set[tuple[str, ...]]:
    """The arms and contrasts of each outcome, with their numbers."""
    spec = spec_of(fit)
    reported: set[tuple[str, ...]] = set()
    for name, node in fit["design/outcomes"].children.items():
        likelihood, rows = LIKELIHOODS[spec.outcomes[name].likelihood], node.to_dataset()
        reported.add((name, "observed", likelihood.columns[0], likelihood.second_observed))
        for column in (*arm_columns(), "estimate", "estimate_se"):
            if column in rows:
                labels = rows[rows[column].dims[0]].to_numpy()
                values = zip(labels, rows[column].to_numpy().astype(float), strict=True)
                reported |= {(name, str(row), f"{column} {value:g}") for row, value in values}
    return reported


def _stacking_summary(stacked: xr.Dataset) -> str:
    """Interpret stacking weights in one sentence."""
    names = stacked[VARIANT].to_numpy().astype(str)
    best = stacked.isel({VARIANT: stacked["weight"].to_numpy().argmax()})
    difference, se = stacked["elpd_difference"], stacked["elpd_difference_se"]
    worse = (difference < -MIN_ELPD_DIFFERENCE) & (abs(difference) > MIN_DIFFERENCE_IN_SE * se)
    parts = [
        f"{stacked.sizes[STUDY]} studies; '{best[VARIANT].item()}' has the largest weight,"
        f" {float(best['weight']):.2f} ({INTERVAL_TEXT} over resampled studies"
        f" {float(best['lower']):.2f} to {float(best['upper']):.2f})"
    ]
    if worse.any():
        parts.append(
            f"clearly worse predictions than the best: {', '.join(names[worse.to_numpy()])}"
        )
    else:
        parts.append("no model predicts clearly worse; weights are not probabilities of models")
    unreliable = int(stacked["n_unreliable"].max())
    if unreliable:
        parts.append(f"importance weights are unreliable for up to {unreliable} studies")
    return "; ".join(parts) + "."


def model_average(
    estimates: Mapping[str, xr.DataArray], weights: xr.Dataset, *, seed: int = 1
) -> xr.DataArray:
    """Mix the draws of an estimate over models in proportion to their weights.

    Parameters
    ----------
    estimates
        Draws of the same estimate under each model, dims chain, draw and any others, by name.
    weights
        As `stacking_weights` returns them.
    seed
        Of the choice of draws.

    Returns
    -------
    xr.DataArray
        One chain with as many draws as the first estimate; coordinate ``from_variant`` (draw) names
        the model of each draw, attribute ``averaged_over`` the weights.

    Raises
    ------
    SpecError
        If an estimate is missing, or coordinates differ.

    Examples
    --------
    >>> weights = xr.Dataset({"weight": ("variant", [0.25, 0.75])}, {"variant": ["a", "b"]})
    >>> emax = fit["posterior"]["analgesia::emax_location"]
    >>> nb.model_average({"a": emax, "b": emax}, weights).sizes["chain"]
    1
    """
    names = [str(name) for name in weights[VARIANT].to_numpy()]
    missing = [name for name in names if name not in estimates]
    if missing:
        message = f"no estimate of model {', '.join(missing)}"
        raise SpecError([Issue("E572", message, "Add its draws to `estimates`.")])
    first = estimates[names[0]]
    size = first.sizes[CHAIN] * first.sizes[DRAW]
    rng = np.random.default_rng(seed)
    samples, origin = [], []
    for name, count in zip(names, _counts(weights["weight"].to_numpy(), size), strict=True):
        bare = estimates[name].drop_vars([*SAMPLE])
        flat = bare.stack({"sample": SAMPLE}, create_index=False)  # noqa: PD013 (xarray's)
        chosen = rng.permutation(np.resize(rng.permutation(flat.sizes["sample"]), count))
        samples.append(flat.isel(sample=chosen))
        origin += [name] * count
    try:
        mixed = xr.concat(samples, dim="sample", join="exact", coords="minimal", compat="override")
    except ValueError as error:
        hint = "Compute every estimate at the same doses, agents and conditions."
        message = f"the estimates have different coordinates ({error})"
        raise SpecError([Issue("E573", message, hint)]) from None
    order = rng.permutation(size)
    mixed = mixed.isel(sample=order).rename(sample=DRAW).expand_dims({CHAIN: [0]})
    mixed = mixed.assign_coords(
        {DRAW: np.arange(size), "from_variant": (DRAW, np.array(origin, dtype=object)[order])}
    )
    by_name = zip(names, weights["weight"].to_numpy(), strict=True)
    shares = ", ".join(f"{name} {weight:.2f}" for name, weight in by_name)
    return mixed.transpose(*first.dims).assign_attrs(first.attrs | {"averaged_over": shares})


def _counts(weight: np.ndarray, size: int) -> list[int]:
    """Split a number of draws by weights, rounded by largest remainders."""
    exact = weight * size
    counts = np.floor(exact).astype(int)
    by_remainder = np.argsort(counts - exact, kind="stable")
    counts[by_remainder[: size - counts.sum()]] += 1
    return [int(count) for count in counts]
