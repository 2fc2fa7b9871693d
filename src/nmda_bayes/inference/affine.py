"""The linear predictor as a linear function of what is normal, given the scales.

A model with normal errors, whose curve is linear in its parameters and whose parameters are pooled
by sums, is a linear regression once its scales (heterogeneity, spreads between agents, an ED50) are
known. The same pooling formulas and the same curve that make the graph are evaluated here on
affine forms: labelled arrays with a dim `LATENT`, the coefficients of every normal quantity, and
one place more for the constant. What is learnt of the latents is then linear algebra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import contrast_covariance
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import AS_CONTRAST, covariates_of
from nmda_bayes.dims import AGENT, AGENT_CLASS, ARM, CONDITION, STUDY
from nmda_bayes.model import OFFSET, Outcome, Sites, parameters_of
from nmda_bayes.spec.rules import BASELINE, natural

LATENT = "latent"
#: The dim over which scales are tried.
POINT = "point"


@dataclass(frozen=True)
class Block:
    """One normal variable of the graph.

    Attributes
    ----------
    start
        Its first place among the latents.
    dims
        Its dims in the graph.
    shape
        Its shape.
    mean, sd
        Its prior.
    """

    start: int
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    mean: float
    sd: float

    @property
    def size(self) -> int:
        """How many scalars it has."""
        return int(np.prod(self.shape))


@dataclass
class Latents:
    """The normal variables of an outcome, in one row.

    Attributes
    ----------
    sizes
        Sizes of the dims.
    blocks
        The variables by name.
    """

    sizes: Mapping[str, int]
    blocks: dict[str, Block] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many scalars there are."""
        return sum(block.size for block in self.blocks.values())

    def enter(self, name: str, dims: tuple[str, ...], mean: float, sd: float) -> None:
        """Enter a variable once; later calls find it there.

        Parameters
        ----------
        name
            Its name in the graph.
        dims
            Its dims in the graph.
        mean, sd
            Its normal prior.
        """
        if name not in self.blocks:
            shape = tuple(self.sizes[dim] for dim in dims)
            self.blocks[name] = Block(self.size, dims, shape, mean, sd)

    def form(self, name: str, width: int) -> xr.DataArray:
        """Write a variable as an affine form: 1 at its own place.

        Parameters
        ----------
        name
            Its name in the graph.
        width
            Length of the dim of latents, the constant's place included.

        Returns
        -------
        xr.DataArray
            Over its dims and `LATENT`.
        """
        block = self.blocks[name]
        form = np.zeros((*block.shape, width))
        if width > block.start + block.size:
            flat = form.reshape(block.size, width)
            flat[np.arange(block.size), block.start + np.arange(block.size)] = 1.0
        return xr.DataArray(form, dims=(*block.dims, LATENT))


@dataclass(frozen=True)
class AffineSites(Sites):
    """Gives a pooling its normal variables as affine forms, and its scales as numbers.

    Attributes
    ----------
    latents
        Where the normal variables are entered.
    scales
        Values of what is not normal, by its name in the graph, over dim `POINT`.
    width
        Length of the dim of latents.
    """

    latents: Latents
    scales: Mapping[str, xr.DataArray]
    width: int

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        """Give a prior's variable.

        Parameters
        ----------
        slot
            The prior's name in the spec.
        dims
            The dims that it varies over.

        Returns
        -------
        Any
            An affine form, or a scale.
        """
        return self._variable(self.slot_name(slot), slot, dims)

    def own(self) -> Any:
        """Give the variable over the parameter's own dim.

        Returns
        -------
        Any
            An affine form.
        """
        return self._variable(self.outcome.name(self.parameter), "each", (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        """Give standard normal offsets.

        Parameters
        ----------
        *dims
            The dims that they vary over.

        Returns
        -------
        Any
            An affine form.
        """
        name = self.offset_name(*dims)
        self.latents.enter(name, self.in_graph(dims), 0.0, 1.0)
        return self.latents.form(name, self.width)

    def of_agents(self, value: Any) -> Any:
        """Give each agent the value of its class.

        Parameters
        ----------
        value
            An affine form over classes.

        Returns
        -------
        Any
            The same over agents.
        """
        return value.isel({AGENT_CLASS: xr.DataArray(self.class_places, dims=AGENT)})

    def tails(self, *dims: str) -> Any:
        """Refuse: a t distribution is not normal, and `reasons_against` has said so.

        Parameters
        ----------
        *dims
            The dims of the offset.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("effects with heavy tails are not integrated")

    def exp(self, value: Any) -> Any:
        """Take the exponential of a scale.

        Parameters
        ----------
        value
            A scale; nothing normal.

        Returns
        -------
        Any
            Positive.
        """
        return np.exp(value)

    def tell(self, name: str, value: Any) -> Any:
        """Leave a part of the sum for the graph to keep.

        Parameters
        ----------
        name
            What the graph calls it.
        value
            An affine form.

        Returns
        -------
        Any
            The same.
        """
        return value

    def _variable(self, name: str, slot: str, dims: tuple[str, ...]) -> Any:
        if name in self.scales:
            return self.scales[name]
        kwargs = self.spec.priors[slot].kwargs
        self.latents.enter(name, dims, kwargs["mu"], kwargs["sigma"])
        return self.latents.form(name, self.width)


@dataclass(frozen=True)
class Linear:
    """One outcome as a regression, for each value of its scales.

    Attributes
    ----------
    latents
        The normal variables.
    design
        Coefficients, dims `POINT`, row, `LATENT` without the constant.
    target
        What was observed less the constant, dims `POINT` and row.
    covariance
        Sampling covariance of the rows.
    """

    latents: Latents
    design: np.ndarray
    target: np.ndarray
    covariance: np.ndarray


def linear(outcome: Outcome, scales: Mapping[str, xr.DataArray]) -> Linear:
    """Write an outcome as a regression.

    Parameters
    ----------
    outcome
        The outcome; its curve is linear in what is not in ``scales``.
    scales
        Values of every variable that is not normal, by its name in the graph, over dim `POINT`.

    Returns
    -------
    Linear
        The regression at each point.
    """
    sizes = {outcome.arm: outcome.reported.sizes[ARM]}
    sizes |= {dim: len(labels) for dim, labels in outcome.studies.items()}
    sizes |= {dim: outcome.labels.sizes[dim] for dim in (AGENT, CONDITION)}
    sizes[AGENT_CLASS] = len(outcome.classes)
    latents = Latents(sizes)
    _eta(outcome, latents, scales, 1)  # a first pass enters the variables
    width = latents.size + 1
    eta = _eta(outcome, latents, scales, width)
    points = next(iter(scales.values())).sizes[POINT] if scales else 1
    if POINT not in eta.dims:
        eta = eta.expand_dims({POINT: points})
    rows, observed, covariance = _rows(outcome, eta)
    forms = rows.transpose(POINT, "row", LATENT).to_numpy()
    return Linear(latents, forms[..., :-1], observed - forms[..., -1], covariance)


def _eta(
    outcome: Outcome, latents: Latents, scales: Mapping[str, xr.DataArray], width: int
) -> xr.DataArray:
    """The linear predictor of the arms as an affine form: the model's own lines."""
    theta = {
        name: affine_parameter(outcome, name, latents, scales, width)
        for name in parameters_of(outcome)
    }
    at = {dim: _places(outcome, dim, outcome.labels[dim].to_numpy()) for dim in (AGENT, CONDITION)}
    for dim, labels in outcome.studies.items():
        at[dim] = _places(outcome, STUDY, labels)
    of_arm = {
        name: value.isel({d: i for d, i in at.items() if d in value.dims})
        for name, value in theta.items()
    }
    for column, (parameter, _, covariate) in covariates_of(outcome.spec).items():
        kwargs = covariate.prior.kwargs
        latents.enter(outcome.name(column), (), kwargs["mu"], kwargs["sigma"])
        x = (outcome.reported[column].to_numpy().astype(float) - covariate.origin) / covariate.step
        slope = latents.form(outcome.name(column), width)
        of_arm[parameter] = of_arm[parameter] + slope * xr.DataArray(x, dims=outcome.arm)
    exposure = xr.DataArray(outcome.reported["exposure"].to_numpy().astype(float), dims=outcome.arm)
    eta = outcome.spec.shape.response(exposure, of_arm, np)
    if BASELINE in of_arm:
        reports = outcome.reported["report"].to_numpy() != AS_CONTRAST
        eta = eta + of_arm[BASELINE] * xr.DataArray(reports.astype(float), dims=outcome.arm)
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    if heterogeneity.formula is not None:
        name = outcome.name("arm" + OFFSET)
        latents.enter(name, (outcome.arm,), 0.0, 1.0)
        given = {k: theta[k] for k in heterogeneity.parameters}
        eta = eta + heterogeneity.formula(latents.form(name, width), **given)
    return eta


def _places(outcome: Outcome, column: str, labels: np.ndarray) -> xr.DataArray:
    place = {label: i for i, label in enumerate(labels)}
    where = [place.get(v, 0) for v in outcome.reported[column].to_numpy()]
    return xr.DataArray(where, dims=outcome.arm)


def affine_parameter(
    outcome: Outcome,
    name: str,
    latents: Latents,
    scales: Mapping[str, xr.DataArray],
    width: int,
) -> xr.DataArray:
    """Write a parameter as an affine form, pooled as the graph pools it.

    Parameters
    ----------
    outcome
        Its outcome.
    name
        Its name, as a formula has it.
    latents
        Where its normal variables are entered.
    scales
        Values of what is not normal, over dim `POINT`.
    width
        Length of the dim of latents.

    Returns
    -------
    xr.DataArray
        Over its dims, `POINT` and `LATENT`; a scale has no `LATENT`.
    """
    given = name if name in outcome.spec.parameters else natural(name)
    sites = AffineSites(outcome, given, outcome.spec.parameters[given], latents, scales, width)
    value = POOLINGS[sites.spec.pooling].formula(sites)
    return value if given == name else np.log(value)


def _rows(outcome: Outcome, eta: xr.DataArray) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """What was observed, as forms of the latents, with its sampling covariance."""
    reported = outcome.reported
    if "contrast" in reported.dims:
        sides = [
            eta.isel(
                {outcome.arm: xr.DataArray(reported[f"{side}_position"].to_numpy(), dims="row")}
            )
            for side in ("arm", "comparator")
        ]
        forms = sides[0] - sides[1]
        return forms, reported["estimate"].to_numpy(), contrast_covariance(reported)
    forms = eta.rename({outcome.arm: "row"})
    return forms, reported["mean"].to_numpy(), np.diag(reported["se"].to_numpy() ** 2)
