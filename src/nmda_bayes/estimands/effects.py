"""Effects and fit by trial: residual deviance, study effects, bias adjustment, outlying trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from nmda_bayes.components.bias import publication_probability
from nmda_bayes.components.heterogeneity import (
    HETEROGENEITIES,
    WITHIN_PERSON_CORRELATION,
    ArmScope,
    mixture_log_densities,
)
from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood, contrast_covariance
from nmda_bayes.design import (
    ARM_REPORT,
    CONTRAST_REPORT,
    PARENT_ARM,
    READING,
    RESPONDER_REPORT,
    ObservedVariable,
    observed_variables,
)
from nmda_bayes.dims import (
    AGENT,
    ARM,
    CHAIN,
    CONDITION,
    CONTRAST,
    DRAW,
    SAMPLE,
    STRATUM,
    STUDY,
    positions_in,
    study_of,
    words_of,
)
from nmda_bayes.errors import Issue, SpecError, suggest_match
from nmda_bayes.estimands.fit_access import (
    agent_membership,
    design_of,
    labels_of,
    link_of,
    parameters_at_trials,
    posterior_draws,
    spec_error,
    spec_of,
    variable_name,
)
from nmda_bayes.estimands.tested_doses import doses_of_arms
from nmda_bayes.model import BIAS_SHIFT, OFFSET, SHIFTED_ARM, Outcome, model_outcomes
from nmda_bayes.model.bias import benefit_sign
from nmda_bayes.model.selection import (
    PUBLISHED_STUDY,
    SELECTION_MEAN,
    SELECTION_SD,
    contrast_estimates,
    critical_values,
    publication_contrast,
    publication_probabilities,
)
from nmda_bayes.spec.outcome import PUBLISHED
from nmda_bayes.spec.rules import HETEROGENEITY_SD, NU

#: Dim of residual deviances: an arm, or all contrasts of a trial.
POINT = "point"
#: Dim of the two arms of a comparison.
SIDE = "side"

#: Why a comparison has no raw estimate, or one that is not the trial's.
ZERO_CELL = "zero cell: not estimable without a continuity correction"
RESPONDERS_ONLY = "responders only: no difference of means without the model"
NO_SD = "no SD reported in an arm: taken from the other trials by the model"
SAME_PEOPLE = "crossover: interval as if the arms had different participants"


# Residual deviance.


def residual_deviance(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Compute the residual deviance of each arm, or of each trial's contrasts.

    It is twice the log-likelihood ratio of the saturated model to the fitted one [1]_.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Over dim point: ``deviance`` (posterior mean), ``leverage`` (contribution to pD), ``count``
        (data points: 1 for an arm, the number of contrasts for a trial) and ``study``; ``total``
        over chain and draw. Attributes ``total``, ``data_points``, ``pD`` and ``DIC``.

    Raises
    ------
    SpecError
        If the deviance is not defined for what some of the outcome's trials report (E810).

    References
    ----------
    .. [1] Dias S et al. NICE DSU Technical Support Document 2, section 3.

    Examples
    --------
    >>> deviance = nb.residual_deviance(fit, "psychotomimetic")
    >>> deviance["deviance"].dims
    ('point',)
    >>> deviance.attrs["data_points"] == deviance.sizes["point"]
    True
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    variables = observed_variables(spec, design, outcome)
    _require_deviance(fit, outcome, variables)
    eta = _drop_arm_coords(_eta(fit, outcome))
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    draws, at_mean = (
        [_deviance(likelihood, design, variable, values) for variable in variables]
        for values in (eta, eta.mean(SAMPLE))
    )
    by_draw = xr.concat([deviance for deviance, _, _ in draws], dim=POINT)
    mean = by_draw.mean(SAMPLE)
    leverage = mean - xr.concat([deviance for deviance, _, _ in at_mean], dim=POINT)
    counts = np.concatenate([count for _, _, count in draws])
    total, effective = float(mean.sum()), float(leverage.sum())
    return xr.Dataset(
        {
            "deviance": mean,
            "leverage": leverage,
            "count": (POINT, counts),
            "study": (POINT, np.concatenate([study for _, study, _ in draws])),
            "total": by_draw.sum(POINT),
        },
        attrs={
            "outcome": outcome,
            "total": total,
            "data_points": int(counts.sum()),
            "pD": effective,
            "DIC": total + effective,
        },
    )


def deviance_table(fits: Mapping[str, xr.DataTree], outcome: str) -> pd.DataFrame:
    """Compare models of the same data by residual deviance and DIC.

    Parameters
    ----------
    fits
        Fits by the names of their models, for instance ``consistent`` and ``unrelated means``.
    outcome
        An outcome that all have.

    Returns
    -------
    pd.DataFrame
        A row per model: ``model, residual_deviance, data_points, pD, DIC``. Differences in DIC
        below 3 to 5 are no reason to prefer a model (NICE DSU TSD 2).

    Raises
    ------
    SpecError
        If the models were not fitted to the same arms (E811).
    """
    arms = [set(design_of(fit, outcome)[ARM].to_numpy()) for fit in fits.values()]
    if any(labels != arms[0] for labels in arms):
        hint = "Fit them to the same evidence with the same selection of rows."
        raise spec_error("E811", "the models were not fitted to the same arms", hint)
    totals = {name: residual_deviance(fit, outcome).attrs for name, fit in fits.items()}
    keys = {"total": "residual_deviance", "data_points": "data_points", "pD": "pD", "DIC": "DIC"}
    frame = pd.DataFrame(totals).T[[*keys]].rename(columns=keys).infer_objects()
    return frame.rename_axis("model").reset_index()


def _require_deviance(fit: xr.DataTree, outcome: str, variables: list[ObservedVariable]) -> None:
    likelihood = LIKELIHOODS[spec_of(fit).outcomes[outcome].likelihood]
    undefined = []
    for variable in variables:
        if variable.report_format == ARM_REPORT and likelihood.deviance is None:
            undefined.append(f"arms with likelihood '{likelihood.name}'")
        elif variable.report_format not in (ARM_REPORT, CONTRAST_REPORT):
            undefined.append("trials that report responders")
    if variable_name(spec_of(fit), outcome, WITHIN_PERSON_CORRELATION) in fit["posterior"]:
        undefined.append("crossover trials with correlated arms")
    if READING in design_of(fit, outcome):
        undefined.append("repeated measures")
    if undefined:
        known = [part.name for part in LIKELIHOODS.values() if part.deviance is not None]
        hint = f"It is defined for {' and '.join(known)} arms, and for contrasts."
        message = f"residual deviance of '{outcome}' is not defined for"
        raise SpecError([Issue("E810", f"{message} {part}", hint) for part in undefined])


def _deviance(
    likelihood: Likelihood, design: xr.Dataset, variable: ObservedVariable, eta: xr.DataArray
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Compute deviances of one form of report, with their studies and numbers of data points."""
    if variable.report_format == CONTRAST_REPORT:
        return _contrast_deviance(design, eta)
    rows = np.flatnonzero(design["report"].to_numpy() == ARM_REPORT)
    arms = design.isel({ARM: rows}).drop_vars(ARM)
    assert likelihood.deviance is not None
    columns = {name: arms[name].astype(float) for name in likelihood.recorded}
    deviance = likelihood.deviance(columns, eta.isel({ARM: rows})).rename({ARM: POINT})
    return deviance, arms[STUDY].to_numpy().astype(object), np.ones(len(rows), dtype=int)


def _contrast_deviance(
    design: xr.Dataset, eta: xr.DataArray
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Compute the squared Mahalanobis distance of each trial's contrasts from the model's."""
    arm, comparator = (
        eta.isel({ARM: xr.DataArray(design[f"{side}_position"].to_numpy(), dims=CONTRAST)})
        for side in ("arm", "comparator")
    )
    residual = (xr.DataArray(design["estimate"].to_numpy(), dims=CONTRAST) - arm) + comparator
    covariance, study = contrast_covariance(design), design[study_of(CONTRAST)].to_numpy()
    studies = list(dict.fromkeys(study))
    rows = [np.flatnonzero(study == name) for name in studies]
    deviances = []
    for k in rows:
        whitening = np.linalg.inv(np.linalg.cholesky(covariance[np.ix_(k, k)]))
        root = xr.DataArray(whitening, dims=("row", CONTRAST))
        deviances.append((xr.dot(root, residual.isel({CONTRAST: k}), dim=CONTRAST) ** 2).sum("row"))
    counts = np.array([len(k) for k in rows])
    return xr.concat(deviances, dim=POINT), np.array(studies, dtype=object), counts


# Effects by trial.


def study_effects(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Compare each active arm with its study's reference arm.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Dim arm, one entry per comparison: ``raw`` and ``raw_se``, the trial's estimate (NaN with a
        reason in ``raw_note`` where not estimable); ``shrunk`` (chain, draw, arm), the estimate
        after partial pooling; ``predicted`` (chain, draw, arm), for a new trial of that agent,
        condition and exposure. Differences are on the linear predictor. Coordinates ``study``,
        ``agent``, ``condition`` (with their labels), ``exposure``, ``comparator``, and with a dose
        axis ``dose_text``; attributes ``link``, ``label``, ``scale``,
        ``ratio`` (what the exponential of a difference is, if it is one) and ``correlation``.

    Examples
    --------
    >>> effects = nb.study_effects(fit, "analgesia")
    >>> effects["raw"].dims, effects["shrunk"].dims
    (('arm',), ('chain', 'draw', 'arm'))
    >>> effects.attrs["link"]
    'identity'
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    active, reference = reference_pairs(design)
    eta = _drop_arm_coords(_eta(fit, outcome))
    expected = expected_arm_effects(fit, outcome)
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    raw, raw_se, note = _raw_estimates(design, active, reference, likelihood)
    labels = design[ARM].to_numpy()[active]
    if len(set(labels)) < len(labels):
        comparators = design[ARM].to_numpy()[reference]
        labels = np.array([f"{a} vs {c}" for a, c in zip(labels, comparators, strict=True)])
    part, link = spec.outcomes[outcome], link_of(spec, outcome)
    columns = ("study", "agent", "condition", "exposure")
    return xr.Dataset(
        {
            "raw": (ARM, raw),
            "raw_se": (ARM, raw_se),
            "raw_note": (ARM, note),
            "shrunk": _difference(eta, active, reference),  # the study's baseline cancels
            "predicted": _difference(expected, active, reference)
            + _new_trial_effects(fit, outcome, active),
        },
        coords={ARM: labels.astype(object)}
        | {c: (ARM, design[c].to_numpy()[active]) for c in columns}
        | _words_of_arms(fit, outcome, active)
        | {"comparator": (ARM, design["agent"].to_numpy()[reference])},
        attrs={
            "link": link.name,
            "label": part.label or outcome,
            "scale": link.effect or part.unit or "difference",
            "ratio": link.ratio,
            "correlation": int(link.correlation),
        },
    )


def _words_of_arms(fit: xr.DataTree, outcome: str, positions: np.ndarray) -> dict[str, Any]:
    """Labels of the agents and conditions of arms, and their doses with units."""
    arms = design_of(fit, outcome).isel({ARM: positions})
    labels = fit["design/labels"].to_dataset()
    words: dict[str, Any] = {}
    for dim in (AGENT, CONDITION):
        known = labels[f"{dim}_label"].to_series().to_dict()
        texts = [str(known.get(name, words_of(str(name)))) for name in arms[dim].to_numpy()]
        words[f"{dim}_label"] = (ARM, np.array(texts, object))
    if spec_of(fit).outcomes[outcome].shape.needs_dose:
        doses = doses_of_arms(fit, outcome, positions)
        words["dose_text"] = (ARM, np.array(doses, object))
    return words


def reference_pairs(design: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Pair each active arm with the arm of lowest exposure in its study, by position.

    Arms measured at several times are paired within a time; reported contrasts come last.
    """
    exposure = design["exposure"].to_numpy()
    study = design[READING if READING in design else "study"].to_numpy()
    has_levels = design["report"].to_numpy() != CONTRAST_REPORT
    active: list[int] = []
    reference: list[int] = []
    for name in dict.fromkeys(study[has_levels]):
        arms = np.flatnonzero(has_levels & (study == name))
        lowest = int(arms[np.argmin(exposure[arms])])
        others = [int(i) for i in arms if i != lowest]
        active += others
        reference += [lowest] * len(others)
    if CONTRAST in design.dims:
        active += design["arm_position"].to_numpy().tolist()
        reference += design["comparator_position"].to_numpy().tolist()
    return np.array(active, dtype=int), np.array(reference, dtype=int)


def expected_arm_effects(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """Evaluate the curve at each arm's exposure, without heterogeneity; dims chain, draw, arm."""
    design, curve = design_of(fit, outcome), spec_of(fit).outcomes[outcome].shape
    theta = parameters_at_trials(fit, outcome, _parameters_by_arm(fit, outcome, curve.parameters))
    members = agent_membership(design["agent"].drop_vars(ARM))
    response = curve.response(design["exposure"].drop_vars(ARM), theta, np, members)
    return (response * _course_at_arms(fit, outcome) + _zeros(fit)).transpose(CHAIN, DRAW, ARM)


def _zeros(fit: xr.DataTree) -> xr.DataArray:
    posterior = fit["posterior"].to_dataset()
    return xr.zeros_like(posterior[CHAIN] * posterior[DRAW], dtype=float)


def _eta(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    eta = posterior_draws(fit, outcome, "eta").transpose(CHAIN, DRAW, ...)
    return eta.rename({eta.dims[-1]: ARM})


def _drop_arm_coords(array: xr.DataArray) -> xr.DataArray:
    """Keep only the coordinates of draws, so that arms can be subtracted by position."""
    return array.drop_vars([c for c in array.coords if c not in SAMPLE])


def _difference(values: xr.DataArray, active: np.ndarray, reference: np.ndarray) -> xr.DataArray:
    first, second = (values.isel({ARM: xr.DataArray(k, dims=ARM)}) for k in (active, reference))
    return first - second


def _parameters_by_arm(
    fit: xr.DataTree, outcome: str, names: Sequence[str]
) -> dict[str, xr.DataArray]:
    """Read parameters at each arm's agent and condition."""
    design = design_of(fit, outcome)
    positions = {
        dim: xr.DataArray(
            np.maximum(positions_in(labels_of(fit, dim), design[dim].to_numpy()), 0), dims=ARM
        )
        for dim in (AGENT, CONDITION)
    }
    values = {name: posterior_draws(fit, outcome, name) for name in names}
    return {
        name: _drop_arm_coords(value.isel({d: k for d, k in positions.items() if d in value.dims}))
        for name, value in values.items()
    }


def _course_at_arms(fit: xr.DataTree, outcome: str) -> Any:
    """Evaluate the share of the effect that is present at each arm's hour; 1 without a course."""
    course, design = spec_of(fit).outcomes[outcome].over_time, design_of(fit, outcome)
    clocks = {clock: design[clock].drop_vars(ARM) for clock in course.clocks}
    return course.share(clocks, _parameters_by_arm(fit, outcome, course.parameters), np)


def _raw_estimates(
    design: xr.Dataset, active: np.ndarray, reference: np.ndarray, likelihood: Likelihood
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate each comparison as reported: estimate, standard error and note."""
    report = design["report"].to_numpy()[active]
    raw, se = np.full(len(active), np.nan), np.full(len(active), np.nan)
    note = np.where(report == RESPONDER_REPORT, RESPONDERS_ONLY, "").astype(object)
    arms = np.flatnonzero(report == ARM_REPORT)
    if len(arms):
        level, variance = likelihood.estimates(design)
        with np.errstate(invalid="ignore"):
            difference = level[active[arms]] - level[reference[arms]]
            total = variance[active[arms]] + variance[reference[arms]]
        estimable = np.isfinite(difference) & np.isfinite(total)
        raw[arms], se[arms] = np.where(estimable, [difference, np.sqrt(total)], np.nan)
        note[arms[~estimable]] = ZERO_CELL if likelihood.counts else NO_SD
        if not likelihood.counts:
            note[arms[design["same_people"].to_numpy()[active[arms]] == 1]] = SAME_PEOPLE
    contrasts = report == CONTRAST_REPORT
    if contrasts.any():
        raw[contrasts], se[contrasts] = design["estimate"], design["estimate_se"]
    return raw, se, note


# Heterogeneity of a new trial.


def _new_trial_effects(fit: xr.DataTree, outcome: str, arms: np.ndarray) -> xr.DataArray:
    """Draw the difference of the random effects of two arms of a new trial, for each arm."""
    spec = spec_of(fit)
    heterogeneity = HETEROGENEITIES[spec.outcomes[outcome].heterogeneity]
    if not heterogeneity.parameters:
        return xr.DataArray(0.0)
    parameters = {n: posterior_draws(fit, outcome, n) for n in heterogeneity.parameters}
    stratum = variable_name(spec, outcome, STRATUM)
    if stratum in fit["posterior"].dims:
        strata = xr.DataArray(design_of(fit, outcome)[STRATUM].to_numpy()[arms], dims=ARM)
        parameters = {
            n: _drop_arm_coords(value.sel({stratum: strata})) for n, value in parameters.items()
        }
    effects = heterogeneity.formula(_NewTrials(fit, outcome, arms), **parameters)
    return effects.isel({SIDE: 0}) - effects.isel({SIDE: 1})


class _NewTrials(ArmScope):
    """Random effects of the two arms (dim side) of a new trial like each of some arms."""

    def __init__(self, fit: xr.DataTree, outcome: str, arms: np.ndarray) -> None:
        self._fit, self._outcome, self._arms = fit, outcome, arms
        self._rng = np.random.default_rng(spec_of(fit).sampling.seed)
        self._shape = (*_zeros(fit).transpose(*SAMPLE).shape, len(arms))

    def offset(self) -> xr.DataArray:
        values = self._rng.standard_normal((2, *self._shape))
        return xr.DataArray(values, dims=(SIDE, CHAIN, DRAW, ARM))

    cluster_offset = offset  # a new trial is in a new cluster

    def mixture_offset(self, ratio: Any, share: Any) -> xr.DataArray:
        offset = self.offset()
        is_outlier = xr.DataArray(self._rng.random(self._shape), dims=(CHAIN, DRAW, ARM)) < share
        return offset * (1.0 + is_outlier * (ratio - 1.0))

    def t_scale(self) -> xr.DataArray:
        declared = spec_of(self._fit).outcomes[self._outcome].parameters[HETEROGENEITY_SD].nu
        nu = declared or posterior_draws(self._fit, self._outcome, f"{HETEROGENEITY_SD}_{NU}")
        zeros = xr.DataArray(np.zeros(self._shape), dims=(CHAIN, DRAW, ARM))
        nu = (zeros + nu).transpose(CHAIN, DRAW, ARM)
        gamma = zeros + self._rng.gamma(nu.to_numpy() / 2)
        return (gamma * 2 / nu) ** 0.5

    def course(self) -> Any:
        share = _course_at_arms(self._fit, self._outcome)
        return share.isel({ARM: self._arms}) if isinstance(share, xr.DataArray) else share


# Bias.


def bias_adjusted_effects(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Average each agent's effect over its controlled arms, with and without bias.

    The average is over arms compared with a control at dose 0, each at its own dose, so that
    neither a dose nor a typical trial has to be chosen.

    Parameters
    ----------
    fit
        As `fit` returns it; the outcome's spec has ``[outcomes.NAME.bias]``.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        ``apparent``, as trials show the effect, ``bias`` and ``without``, the effect adjusted for
        it; dims chain, draw, agent, on the linear predictor. Coordinates ``arms`` and ``trials``
        count what was averaged.

    Raises
    ------
    SpecError
        If the outcome has no bias model (E812).

    Examples
    --------
    >>> nb.bias_adjusted_effects(fit, "analgesia")  # the example's spec has no bias model
    Traceback (most recent call last):
        ...
    nmda_bayes.errors.SpecError: E812 ...
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    if not spec.outcomes[outcome].bias.given:
        known = [name for name, part in spec.outcomes.items() if part.bias.given]
        hint = suggest_match(outcome, known) if known else f"Add [outcomes.{outcome}.bias]."
        raise spec_error("E812", f"outcome '{outcome}' has no bias model", hint)
    active, reference = reference_pairs(design)
    exposure = design["exposure"].to_numpy()
    controlled = (exposure[reference] == 0) & (exposure[active] > 0)
    active, reference = active[controlled], reference[controlled]
    curve, shift = expected_arm_effects(fit, outcome), _bias_shift(fit, outcome)
    inflation = _publication_inflation_by_agent(fit, outcome)
    agents = design["agent"].to_numpy()[active].astype(str)
    rows = []
    for agent in dict.fromkeys(agents):
        pair = active[agents == agent], reference[agents == agent]
        effect, bias = (_difference(x, *pair).mean(ARM) for x in (curve, shift))
        bias = bias + inflation.get(agent, 0.0)
        rows.append(xr.Dataset({"without": effect, "bias": bias, "apparent": effect + bias}))
    studies = pd.Series(design["study"].to_numpy()[active]).groupby(agents, sort=False)
    names = pd.Index(list(dict.fromkeys(agents)), name=AGENT, dtype=object)
    return (
        xr.concat(rows, dim=names)
        .transpose(CHAIN, DRAW, AGENT)
        .assign_coords(
            arms=(AGENT, studies.size().to_numpy()), trials=(AGENT, studies.nunique().to_numpy())
        )
    )


def _bias_shift(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """Read what biases add to each arm, 0 where they do not apply; dims chain, draw, arm."""
    spec = spec_of(fit)
    arms = design_of(fit, outcome)[ARM].to_numpy()
    zeros = _zeros(fit).expand_dims({ARM: arms}, axis=-1)
    if variable_name(spec, outcome, BIAS_SHIFT) not in fit["posterior"]:
        return zeros.drop_vars(ARM)
    shift = posterior_draws(fit, outcome, BIAS_SHIFT)
    shift = shift.rename({variable_name(spec, outcome, SHIFTED_ARM): ARM})
    values = zeros.to_numpy().copy()
    positions = positions_in(arms, shift[ARM].to_numpy())
    values[..., positions] = shift.transpose(CHAIN, DRAW, ARM).to_numpy()
    return xr.DataArray(values, dims=(CHAIN, DRAW, ARM))


def _publication_inflation_by_agent(fit: xr.DataTree, outcome: str) -> dict[str, xr.DataArray]:
    """Average by agent how much the effects of published trials exceed those of all trials."""
    spec, design = spec_of(fit), fit["design"]
    if spec.outcomes[outcome].bias.selection is None:
        return {}
    assert isinstance(design, xr.DataTree)
    (part,) = [o for o in model_outcomes(spec, design) if o.label == outcome]
    inflation = publication_inflation(fit, part).rename({part.name(PUBLISHED_STUDY): ARM})
    inflation = benefit_sign(part) * inflation.drop_vars(ARM)
    arms = publication_contrast(part)["arm"].to_numpy(int)
    agents = part.reported["agent"].to_numpy()[arms].astype(str)
    return {a: inflation.isel({ARM: np.flatnonzero(agents == a)}).mean(ARM) for a in set(agents)}


def publication_inflation(fit: xr.DataTree, outcome: Outcome) -> xr.DataArray:
    """Compute E[effect | published] - E[effect] of each trial, by its selection model.

    Dims chain, draw, published_study.
    """
    posterior, dim = fit["posterior"].to_dataset(), outcome.name(PUBLISHED_STUDY)
    mean, sd = (posterior[outcome.name(n)] for n in (SELECTION_MEAN, SELECTION_SD))
    _, errors = contrast_estimates(outcome, publication_contrast(outcome))
    se = xr.DataArray(errors, dims=dim)
    names = [n for n in outcome.spec.bias.priors if n.startswith(PUBLISHED)]
    chances = publication_probabilities(outcome, [posterior[outcome.name(n)] for n in names])
    z = [(mean - critical * se) / sd for critical in critical_values(outcome)]
    probability, density = (
        publication_probability([xr.apply_ufunc(function, x) for x in z], chances)
        for function in (stats.norm.cdf, stats.norm.pdf)
    )
    return (sd * (density - chances[-1]) / probability).transpose(CHAIN, DRAW, dim)


# Outlying trials.


def outlier_probabilities(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """Compute each trial's probability of belonging to the outlying component of a mixture.

    Parameters
    ----------
    fit
        As `fit` returns it; the outcome's heterogeneity is a mixture.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.DataArray
        Dims chain, draw, study; its mean over draws is the posterior probability.

    Raises
    ------
    SpecError
        If the outcome's heterogeneity is not a mixture (E813).

    Examples
    --------
    >>> nb.outlier_probabilities(fit, "analgesia")  # no mixture in the example's spec
    Traceback (most recent call last):
        ...
    nmda_bayes.errors.SpecError: E813 ...
    """
    design = design_of(fit, outcome)
    heterogeneity = spec_of(fit).outcomes[outcome].heterogeneity
    names = HETEROGENEITIES[heterogeneity].offset_parameters
    if not names:
        message = f"heterogeneity '{heterogeneity}' of outcome '{outcome}' is not a mixture"
        mixtures = [part.name for part in HETEROGENEITIES.values() if part.offset_parameters]
        hint = f"Set heterogeneity to {' or '.join(mixtures)}."
        raise spec_error("E813", message, hint, f"outcomes.{outcome}.heterogeneity")
    effects = posterior_draws(fit, outcome, "arm" + OFFSET).transpose(CHAIN, DRAW, ...)
    arms = design[PARENT_ARM if PARENT_ARM in design else ARM].to_numpy()
    _, first_rows = np.unique(arms, return_index=True)
    studies = design[STUDY].to_numpy()[np.sort(first_rows)]
    dim = str(effects.dims[-1])
    study = xr.DataArray(studies, dims=dim, name=STUDY)
    squares = (effects.drop_vars(dim, errors="ignore") ** 2).groupby(study).sum()
    counts = pd.Series(studies).value_counts().reindex(squares[STUDY].to_numpy())
    ratio, share = (posterior_draws(fit, outcome, name) for name in names)
    ordinary, outlying = mixture_log_densities(
        squares, xr.DataArray(counts.to_numpy(), dims=STUDY), ratio, share, np
    )
    probability = 1.0 / (1.0 + np.exp(ordinary - outlying))
    return probability.transpose(CHAIN, DRAW, STUDY).sel({STUDY: list(dict.fromkeys(studies))})
