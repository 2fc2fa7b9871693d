"""How far a trial's result, a bias or a prior must shift before a decision changes.

Draws are reweighted instead of sampled again: if the results of a trial were off by b, the
likelihood of what was reported is p(y | eta + b) instead of p(y | eta), and a shifted prior has
another density at each draw. Weights are smoothed (PSIS, Vehtari et al. 2024, JMLR 25:72); where
they are unreliable no threshold is given, because only a refit can determine it. Near the data this
agrees with the derivative of the posterior mean, Cov(mean, d log p(y | eta) / dy), which
`nmda_bayes.estimands.shrinkage` uses.

References
----------
Phillippo DM et al. (2019). Threshold analysis as an alternative to GRADE for assessing confidence
in guideline recommendations based on network meta-analyses. Annals of Internal Medicine 170:538.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import MAX_PARETO_K, psis
from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.design import ARM_REPORT
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.estimands.fit_access import design_of, spec_of, variable_name
from nmda_bayes.priors import log_density

#: Steps on each side of 0, and bisections between the last two.
STEPS, BISECTIONS = 24, 12
Decision = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Perturbation:
    """A shift of something: `log_ratio` maps it to the log weight of each draw.

    Shifts up to `max_shift` are searched on both sides; `shape` is (chains, draws).
    """

    name: str
    log_ratio: Callable[[float], np.ndarray]
    max_shift: float
    shape: tuple[int, int] = (1, -1)


def trial_perturbations(fit: xr.DataTree, outcome: str, max_shift: float) -> list[Perturbation]:
    """Shift each trial of an outcome in turn, as `bias_perturbation` does."""
    studies = dict.fromkeys(map(str, design_of(fit, outcome)["study"].to_numpy()))
    return [bias_perturbation(fit, outcome, [study], max_shift) for study in studies]


def bias_perturbation(
    fit: xr.DataTree, outcome: str, studies: Sequence[str], max_shift: float
) -> Perturbation:
    """Add one bias to the results of some trials, of normal means or of counts.

    All their arms above dose 0 shift alike, on the linear predictor's scale; a positive bias means
    that the trials report too high a value.
    """
    rows = design_of(fit, outcome)
    known = list(dict.fromkeys(map(str, rows["study"].to_numpy())))
    unknown = [study for study in studies if study not in known]
    if unknown:
        message, fix = f"unknown study '{unknown[0]}' of '{outcome}'", f"Known: {', '.join(known)}"
        raise SpecError([Issue("E670", message, fix, column=f"outcomes.{outcome}")])
    affected = np.isin(rows["study"].to_numpy().astype(str), list(studies))
    arms = np.flatnonzero(affected & (rows["exposure"].to_numpy() > 0))
    eta = _posterior(fit, variable_name(spec_of(fit), outcome, "eta"))[arms]
    likelihood = LIKELIHOODS[spec_of(fit).outcomes[outcome].likelihood]
    density = _arm_log_density(likelihood, outcome, rows, arms)
    unshifted = density(eta)

    def log_ratio(bias: float) -> np.ndarray:
        return (density(eta + bias) - unshifted).sum(axis=0)

    return Perturbation(", ".join(studies), log_ratio, max_shift, _shape(fit))


def prior_perturbation(
    fit: xr.DataTree, outcome: str, parameter: str, slot: str, max_shift: float
) -> Perturbation:
    """Shift the location ``mu`` of a prior."""
    part = spec_of(fit).outcomes[outcome].parameters.get(parameter)
    prior = part.priors.get(slot) if part is not None else None
    path = f"{outcome}.{parameter}.{slot}"
    if part is None or prior is None or "mu" not in prior.kwargs:
        raise SpecError([Issue("E672", f"no prior with a location at '{path}'", column=path)])
    unpooled = part.pooling in ("common", "independent")
    name = variable_name(spec_of(fit), outcome, parameter if unpooled else f"{parameter}_{slot}")
    values = _posterior(fit, name)
    values = values.reshape(-1, values.shape[-1])
    kwargs = dict(prior.kwargs)

    def density(mu: float) -> Any:
        each = log_density(prior.dist, {**kwargs, "mu": mu}, values.ravel())
        return each.reshape(values.shape).sum(axis=0)

    unshifted = density(kwargs["mu"])

    def log_ratio(shift: float) -> np.ndarray:
        return np.asarray(density(kwargs["mu"] + shift) - unshifted)

    return Perturbation(f"prior of {path}", log_ratio, max_shift, _shape(fit))


def decision_thresholds(perturbations: Sequence[Perturbation], decide: Decision) -> pd.DataFrame:
    """Find the smallest shifts that change a decision.

    `decide` maps weights of the draws, which sum to 1, to the decision (`decide_by_sign`,
    `decide_by_best`). One row per perturbation: ``name``, ``decision`` unshifted, ``down`` and
    ``up`` (the smallest shifts that change it; NaN where none does), ``to_down``,
    ``to_up`` (the new decision), ``text``.
    """
    rows = []
    for perturbation in perturbations:
        count = len(perturbation.log_ratio(0.0))
        decision = decide(np.full(count, 1 / count))
        row: dict[str, Any] = {"name": perturbation.name, "decision": decision}
        texts = []
        for side, sign in (("down", -1.0), ("up", 1.0)):
            row[side], row[f"to_{side}"], text = _first_change(perturbation, decide, decision, sign)
            texts.append(f"{side}: {text}")
        row["text"] = "; ".join(texts)
        rows.append(row)
    return pd.DataFrame(rows)


def decide_by_sign(effect: xr.DataArray) -> Callable[[np.ndarray], str]:
    """Decide by the sign of a posterior mean (chain, draw): "below 0" or "above 0"."""
    values = flatten_draws(effect)
    return lambda weights: "above 0" if float(weights @ values) > 0 else "below 0"


def decide_by_best(options: xr.DataArray) -> Callable[[np.ndarray], str]:
    """Decide for the option with the largest posterior mean.

    Dims chain, draw and one more, whose labels are the options: agents by effect, or doses by
    whether a draw has enough benefit and acceptable harm.
    """
    (dim,) = [d for d in options.dims if d not in SAMPLE]
    values = flatten_draws(options.astype(float))
    labels = [str(label) for label in options[dim].to_numpy()]
    return lambda weights: labels[int(np.argmax(values @ weights))]


def reweight_draws(perturbation: Perturbation, shift: float) -> tuple[xr.DataArray, float]:
    """Return the weights of the draws (chain, draw; sum 1) under a shift, and their k-hat."""
    weights, k_hat = _weights(perturbation.log_ratio(shift))
    return xr.DataArray(weights.reshape(perturbation.shape), dims=SAMPLE), k_hat


def flatten_draws(values: xr.DataArray) -> np.ndarray:
    """Put the draws of all chains on the last axis."""
    stacked = values.transpose(..., CHAIN, DRAW).to_numpy()
    return np.asarray(stacked.reshape(*stacked.shape[:-2], -1), float)


def _first_change(
    perturbation: Perturbation, decide: Decision, decision: Any, sign: float
) -> tuple[float, Any, str]:
    """Step until the decision changes or the weights fail, then bisect the last step."""
    before = 0.0
    for step in np.linspace(0, perturbation.max_shift, STEPS + 1)[1:]:
        weights, k_hat = _weights(perturbation.log_ratio(sign * step))
        if not k_hat <= MAX_PARETO_K:
            return np.nan, None, f"unchanged up to {before:.3g}; beyond that a refit is needed"
        changed = decide(weights)
        if changed != decision:
            low, high = before, float(step)
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                at_middle = decide(_weights(perturbation.log_ratio(sign * middle))[0])
                if at_middle == decision:
                    low = middle
                else:
                    high, changed = middle, at_middle
            return sign * high, changed, f"{changed} from {sign * high:.3g}"
        before = float(step)
    return np.nan, None, f"unchanged up to {perturbation.max_shift:.3g}"


def _weights(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    log_weight, k_hat = psis(xr.DataArray(log_ratio[None], dims=SAMPLE))
    return np.exp(log_weight.to_numpy().ravel()), k_hat


def _posterior(fit: xr.DataTree, name: str) -> np.ndarray:
    return flatten_draws(fit["posterior"].to_dataset()[name])


def _shape(fit: xr.DataTree) -> tuple[int, int]:
    sizes = fit["posterior"].to_dataset().sizes
    return sizes[CHAIN], sizes[DRAW]


def _arm_log_density(
    likelihood: Likelihood, outcome: str, rows: xr.Dataset, arms: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Log likelihood of some arms as a function of their linear predictor, up to a constant."""
    log_density_of = likelihood.log_density
    if log_density_of is None or (rows["report"].to_numpy()[arms] != ARM_REPORT).any():
        supported = [part.name for part in LIKELIHOODS.values() if part.log_density is not None]
        message = f"a bias of these reports of '{outcome}' is not supported"
        fix = f"Use arm-level reports of an outcome with likelihood {' or '.join(supported)}."
        raise SpecError([Issue("E671", message, fix, column=f"outcomes.{outcome}")])
    columns = {name: values[arms, None] for name, values in likelihood.numbers(rows).items()}
    return lambda eta: log_density_of(columns, eta)
