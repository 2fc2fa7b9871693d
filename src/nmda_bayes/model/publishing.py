"""What trials report, redrawn as it would have been published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.design import AS_ARM
from nmda_bayes.dims import ARM, CONTRAST, SAMPLE
from nmda_bayes.model.bias import toward
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.selection import (
    MEAN,
    SD,
    critical_values,
    decisive,
    estimates,
    published_of,
)
from nmda_bayes.model.selection_density import until_published
from nmda_bayes.spec.bias import PUBLISHED


def as_published(
    outcome: Outcome, drawn: xr.Dataset, parameters: xr.Dataset, seed: int, *, of_arms: bool
) -> xr.Dataset:
    """Redraw what trials report as it would have been published.

    The contrast that decides is drawn until it is published, and the other rows of its study follow
    by their regression on it: given its value, selection says nothing more of them.

    Parameters
    ----------
    outcome
        The outcome.
    drawn
        Its observed variables, drawn without selection; dims chain, draw and row.
    parameters
        The draws that made them.
    seed
        Of the redrawing.
    of_arms
        True where the arms' own effects are given (a replicate of the same trials); False where
        trials are drawn anew from the parameters.

    Returns
    -------
    xr.Dataset
        The same variables; unchanged where the outcome has no selection.
    """
    if outcome.spec.bias.selection is None:
        return drawn
    names = [n for n in outcome.spec.bias.priors if n.startswith(PUBLISHED)]
    relative = [parameters[outcome.name(n)].transpose(*SAMPLE).to_numpy() for n in names]
    published = published_of(outcome, relative)
    mean, sd = (parameters[outcome.name(n)].transpose(*SAMPLE, ...).to_numpy() for n in (MEAN, SD))
    found, rng, favours = decisive(outcome), np.random.default_rng(seed), toward(outcome)
    eta = parameters[outcome.name("eta")].transpose(*SAMPLE, ...).to_numpy()
    _, errors = estimates(outcome, found)
    changed = drawn.copy()
    for k in range(len(found)):
        row = found.iloc[k]
        here, there = int(row["arm"]), int(row["comparator"])
        name, sampling, between, contrast = _rows_of(outcome, row)
        contrast = favours * contrast
        rows = changed[name].transpose(*SAMPLE, ...)
        y, tau2 = rows.to_numpy().copy(), sd[..., k] ** 2 - errors[k] ** 2
        centre, spread = mean[..., k], sd[..., k]
        if of_arms:
            centre = favours * (eta[..., here] - eta[..., there])
            spread, tau2 = np.full_like(centre, errors[k]), np.zeros_like(centre)
        limits = [np.full_like(centre, c * errors[k]) for c in critical_values(outcome)]
        new = until_published(centre, spread, limits, published, rng)
        follows = sampling @ contrast + tau2[..., None] / 2 * (between @ contrast)
        y += follows / (follows @ contrast)[..., None] * (new - y @ contrast)[..., None]
        changed[name] = rows.copy(data=y)
    return changed


def _rows_of(outcome: Outcome, row: pd.Series) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Give a form's variable, its rows' sampling covariance, its arms' part, and one contrast."""
    reported = outcome.reported
    if row["contrast"] < 0:
        where = np.flatnonzero(reported["report"].to_numpy() == AS_ARM)
        sampling = np.diag(reported["se"].to_numpy().astype(float)[where] ** 2)
        contrast = 1.0 * (where == row["arm"]) - (where == row["comparator"])
        return outcome.name("reported"), sampling, np.eye(len(where)), contrast
    sides = [
        np.eye(reported.sizes[ARM])[reported[f"{side}_position"].to_numpy().astype(int)]
        for side in ("arm", "comparator")
    ]
    between = (sides[0] - sides[1]) @ (sides[0] - sides[1]).T
    contrast = row["sign"] * np.eye(reported.sizes[CONTRAST])[int(row["contrast"])]
    alone = LIKELIHOODS[outcome.spec.likelihood].contrasts
    name = outcome.name("reported" if alone else "reported_contrasts")
    return name, contrast_covariance(reported), between, contrast
