"""Residual deviance: how far the model lies from each reported result (NICE TSD 2, section 3).

    binomial   2 [ r log(r / r̂) + (n − r) log((n − r) / (n − r̂)) ],   r̂ = n · logit⁻¹(eta)
    normal     ((y − eta) / se)²
    contrasts  (y − d)' S⁻¹ (y − d) for each trial,   d = eta[arm] − eta[comparator]

A model that fits has a total near the number of data points. pD is the mean total less the total at
the posterior mean of eta, and DIC = total + pD (Spiegelhalter et al. 2002).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit, xlogy

from nmda_bayes.components.designs import WITHIN_PERSON
from nmda_bayes.components.likelihoods import contrast_covariance
from nmda_bayes.design import AS_ARM, AS_CONTRAST, READING, Form, forms_of
from nmda_bayes.dims import ARM, CONTRAST, SAMPLE, STUDY
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.reading import design_of, spec_of, variable

POINT = "point"
#: Likelihoods whose arms have the formulas above.
KNOWN = ("binomial", "normal")


def residual_deviance(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Work out the residual deviance of each arm, or of each trial's contrasts.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Over dim point: ``deviance`` (posterior mean), ``leverage`` (its share of pD), ``count``
        (data points: 1 an arm, one a contrast) and ``study``; ``total`` over chain and draw.
        Attributes ``total``, ``data_points``, ``pD`` and ``DIC``.

    Raises
    ------
    SpecError
        If some of the outcome's trials report what has no such formula.
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    forms = forms_of(spec, design, outcome)
    _require_known(fit, outcome, forms)
    eta = fit["posterior"][variable(spec, outcome, "eta")]
    eta = eta.rename({next(d for d in eta.dims if d not in SAMPLE): ARM}).drop_vars(
        [c for c in eta.coords if c not in SAMPLE], errors="ignore"
    )
    parts = list(_parts(design, forms, eta))
    at_mean = xr.concat(
        [deviance for deviance, _, _ in _parts(design, forms, eta.mean(SAMPLE))], dim=POINT
    )
    each = xr.concat([deviance for deviance, _, _ in parts], dim=POINT)
    deviance = each.mean(SAMPLE)
    labels = np.concatenate([study for _, study, _ in parts])
    found = xr.Dataset(
        {
            "deviance": deviance,
            "leverage": deviance - at_mean,
            "count": (POINT, np.concatenate([count for _, _, count in parts])),
            "study": (POINT, labels),
            "total": each.sum(POINT),
        }
    )
    total, effective = float(deviance.sum()), float(found["leverage"].sum())
    found.attrs = {
        "outcome": outcome,
        "total": total,
        "data_points": int(found["count"].sum()),
        "pD": effective,
        "DIC": total + effective,
    }
    return found


def deviance_table(fits: Mapping[str, xr.DataTree], outcome: str) -> pd.DataFrame:
    """Set models of the same data beside each other by residual deviance and DIC.

    Parameters
    ----------
    fits
        Fits by the names of their models, for instance ``consistent`` and ``unrelated means``.
    outcome
        The outcome that they share.

    Returns
    -------
    pd.DataFrame
        One row a model: ``model, residual_deviance, data_points, pD, DIC``. Differences in DIC
        below 3 to 5 are no reason to prefer a model (TSD 2).

    Raises
    ------
    SpecError
        If the models did not see the same arms.
    """
    seen = {
        name: sorted(map(str, design_of(fit, outcome)[ARM].to_numpy()))
        for name, fit in fits.items()
    }
    first = next(iter(seen.values()))
    if any(arms != first for arms in seen.values()):
        mend = "Fit them to the same evidence, with the same choice of rows."
        raise SpecError([Fault("the models did not see the same arms", mend)])
    rows = []
    for name, fit in fits.items():
        found = residual_deviance(fit, outcome).attrs
        rows.append((name, *(found[k] for k in ("total", "data_points", "pD", "DIC"))))
    columns = ["model", "residual_deviance", "data_points", "pD", "DIC"]
    return pd.DataFrame(rows, columns=columns)


def _require_known(fit: xr.DataTree, outcome: str, forms: list[Form]) -> None:
    spec = spec_of(fit)
    likelihood = spec.outcomes[outcome].likelihood
    faults = []
    for form in forms:
        if form.report == AS_ARM and likelihood not in KNOWN:
            faults.append(f"arms with likelihood '{likelihood}'")
        elif form.report not in (AS_ARM, AS_CONTRAST):
            faults.append("trials that count responders")
    if variable(spec, outcome, WITHIN_PERSON) in fit["posterior"]:
        faults.append("crossover trials whose arms hold the same people")
    if READING in design_of(fit, outcome):
        faults.append("arms that are read at several hours")
    if faults:
        mend = f"It is defined for {' and '.join(KNOWN)} arms, and for contrasts."
        raise SpecError(
            [Fault(f"'{outcome}' has no residual deviance for {what}", mend) for what in faults]
        )


def _parts(
    design: xr.Dataset, forms: list[Form], eta: xr.DataArray
) -> Iterator[tuple[xr.DataArray, np.ndarray, np.ndarray]]:
    """Deviances of each form of report, with their studies and numbers of data points."""
    for form in forms:
        if form.report == AS_CONTRAST:
            yield _contrasts(design, eta)
            continue
        where = np.flatnonzero(design["report"].to_numpy() == AS_ARM)
        arms = design.isel({ARM: where}).drop_vars(ARM)
        at = eta.isel({ARM: where})
        deviance = _binomial(arms, at) if form.counts else ((arms["mean"] - at) / arms["se"]) ** 2
        study = arms[STUDY].to_numpy().astype(object)
        yield deviance.rename({ARM: POINT}), study, np.ones(len(study), dtype=int)


def _binomial(arms: xr.Dataset, eta: xr.DataArray) -> xr.DataArray:
    events, n = arms["events"].astype(float), arms["n"].astype(float)
    share = xr.apply_ufunc(expit, eta)

    def part(count: xr.DataArray, expected: xr.DataArray) -> xr.DataArray:
        return xr.apply_ufunc(xlogy, count, count / expected)  # 0 log 0 = 0

    return 2 * (part(events, n * share) + part(n - events, n * (1 - share)))


def _contrasts(
    design: xr.Dataset, eta: xr.DataArray
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    sides = [
        eta.isel({ARM: xr.DataArray(design[f"{side}_position"].to_numpy(), dims=CONTRAST)})
        for side in ("arm", "comparator")
    ]
    left = (xr.DataArray(design["estimate"].to_numpy(), dims=CONTRAST) - sides[0]) + sides[1]
    covariance = contrast_covariance(design)
    study = design[STUDY].to_numpy()[design["arm_position"].to_numpy()].astype(object)
    names = list(dict.fromkeys(study))
    parts, counts = [], []
    for name in names:
        mine = np.flatnonzero(study == name)
        white = np.linalg.inv(np.linalg.cholesky(covariance[np.ix_(mine, mine)]))
        root = xr.DataArray(white, dims=("row", CONTRAST))
        parts.append((xr.dot(root, left.isel({CONTRAST: mine}), dim=CONTRAST) ** 2).sum("row"))
        counts.append(len(mine))
    return xr.concat(parts, dim=POINT), np.array(names, dtype=object), np.array(counts)
