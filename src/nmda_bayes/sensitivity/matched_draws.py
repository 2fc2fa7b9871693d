"""Moment matching of a fit's draws: on what all trials share, whatever is a trial's own left out.

Given what is their own nearly every trial's weights fail, and moving it along does not mend that.
It is integrated out (`nmda_bayes.inference.marginal`) at each place that draws are moved to: of
2,000 draws of the primary analysis a move and its check take some 11 s of processor, a refit 13 to
26. Two variants were 0.3 to 1.3 Monte Carlo errors off refits of 4,000 draws, in the mean of each
kind of answer, where the base was up to 50 off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pymc as pm
import xarray as xr

from nmda_bayes.checks.leaving_out import POINTS
from nmda_bayes.checks.smoothing import k_limit
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.marginal import marginal
from nmda_bayes.inference.study_terms import POINT, StudyTerms, study_terms
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.coordinates import Coordinates, derived
from nmda_bayes.sensitivity.moment_matching import Quality, match_moments
from nmda_bayes.sensitivity.reweighting import (
    Reweighting,
    Weigher,
    log_prior,
    weights_of,
)
from nmda_bayes.spec import AnalysisSpec

#: Draws that are moved, evenly thinned. A fit's gate asks for 400 effective ones.
MOVED: Final = 2000
#: Weights that leave fewer effective draws than this are too far off for a move to mend at less
#: than a refit's price: of five that left 101 to 219 one was mended; the others took 19 to 30 s.
WORTH_A_MOVE: Final = 250.0


@dataclass(frozen=True)
class Matched:
    """Draws that were moved to a variant, and their weights.

    Attributes
    ----------
    draws
        What all trials share, dims chain and draw; what is a trial's own is not among them.
    weights
        Of these draws.
    """

    draws: xr.Dataset
    weights: Reweighting


class Matcher:
    """Moves the draws of a fit to its variants.

    Parameters
    ----------
    weigher
        Holds the fit and the densities of its trials.
    """

    def __init__(self, weigher: Weigher) -> None:
        self._weigher = weigher
        self._terms = _terms(weigher)
        draws = weigher.draws if self._terms is None else _thinned(weigher)
        self._sizes = {dim: draws[dim] for dim in SAMPLE}
        self._stacked = draws.drop_vars(list(draws.coords)).stack(
            {POINT: SAMPLE}, create_index=False
        )
        if self._terms is not None:
            assert weigher.density is not None
            density = weigher.density["log_density"].sel(self._sizes)
            self._here = (
                density.transpose(*SAMPLE, STUDY).to_numpy().reshape(-1, density[STUDY].size)
            )

    def match(self, spec: AnalysisSpec, design: xr.DataTree) -> Matched | None:
        """Move the draws to a variant.

        Parameters
        ----------
        spec, design
            As `Weigher.weigh` takes them.

        Returns
        -------
        Matched or None
            None where the variant differs in more than weights could carry, where the model does
            not part by trial, and where no move makes the weights better.
        """
        asked = self._weigher.difference(spec, design)
        if asked is None or self._terms is None:
            return None
        new, found = asked
        if not set(found.priors) <= set(self._terms.shared):
            return None
        stays = ~np.isin(self._terms.studies, found.gone)
        of = _Densities(self, self._terms, new, stays)
        place = of.coordinates.lines(self._stacked)
        every = np.arange(len(place))
        here = of.totals(place, self._here)
        moved = match_moments(place, of, self._quality, k_limit(len(every)), here=here)
        if moved is None:
            return None
        at, log_ratio = moved
        draws = of.coordinates.draws(at)
        return Matched(self._whole(draws), weights_of(self._over_chains(log_ratio)))

    def _quality(self, log_ratio: np.ndarray) -> Quality:
        found = weights_of(self._over_chains(log_ratio))
        weight = np.exp(found.log_weight.transpose(*SAMPLE).to_numpy().ravel())
        return Quality(weight, found.k_hat, found.effective, found.reliable)

    def _over_chains(self, values: np.ndarray) -> xr.DataArray:
        finite = np.nan_to_num(values, nan=-np.inf, posinf=-np.inf)
        low = finite[np.isfinite(finite)].min() - 1e3  # a place of no density weighs nothing
        shape = [self._sizes[dim].size for dim in SAMPLE]
        return xr.DataArray(np.maximum(finite, low).reshape(shape), self._sizes, SAMPLE)

    def _whole(self, draws: xr.Dataset) -> xr.Dataset:
        """Add what the graph works out of what is shared."""
        found = derived(self._weigher.model, draws, POINT)
        shape = [self._sizes[dim].size for dim in SAMPLE]
        return xr.Dataset(
            {
                str(name): (
                    (*SAMPLE, *array.dims[1:]),
                    array.to_numpy().reshape(*shape, *array.shape[1:]),
                )
                for name, array in found.items()
            },
            coords={**self._sizes, **{d: c for d, c in found.coords.items() if d != POINT}},
        )


class _Densities:
    """Log densities of a base and a variant at places of what trials share."""

    def __init__(
        self, matcher: Matcher, terms: StudyTerms, new: pm.Model, stays: np.ndarray
    ) -> None:
        self._models = matcher._weigher.model, new
        self._terms, self._stays, self._own = terms, stays, matcher._stacked
        self.coordinates = Coordinates.of(matcher._weigher.model, terms)
        self._seed = spec_of(matcher._weigher.fit).sampling.seed

    def __call__(self, place: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        draws = self._own.isel({POINT: which}).assign(self.coordinates.draws(place))
        with np.errstate(all="ignore"):  # a place beyond all numbers weighs nothing
            density = marginal(self._terms, draws, POINTS, self._seed).log_density
        return self.totals(place, density)

    def totals(self, place: np.ndarray, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add priors, and the change of coordinates, to densities of trials (draw, trial)."""
        draws = self.coordinates.draws(place).rename({POINT: DRAW}).expand_dims({CHAIN: [0]})
        draws = draws.assign_coords({DRAW: range(len(place))})
        names = list(self._terms.shared)
        priors = [log_prior(one, names, draws).to_numpy().ravel() for one in self._models]
        stretch = self.coordinates.log_stretch(place)
        base = priors[0] + stretch + density.sum(1)
        return base, priors[1] + stretch + density[:, self._stays].sum(1)


def _terms(weigher: Weigher) -> StudyTerms | None:
    """Part the graph by trial; None where it does not, or has bounds of another kind."""
    if weigher.density is None:
        return None
    design = weigher.fit.children["design"]
    try:
        terms = study_terms(model_of(spec_of(weigher.fit), design), design)
    except SpecError:
        return None
    return terms if Coordinates.of(weigher.model, terms).known else None


def _thinned(weigher: Weigher) -> xr.Dataset:
    assert weigher.density is not None
    density = weigher.density
    draws = weigher.draws.sel({dim: density[dim] for dim in SAMPLE})
    count = draws.sizes[CHAIN] * draws.sizes[DRAW]
    return draws.isel({DRAW: slice(None, None, max(1, -(-count // MOVED)))})
