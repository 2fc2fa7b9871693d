"""Which trials are of the outlying kind, where an outcome's trials are of two kinds."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES, two_kinds
from nmda_bayes.design import WHOLE_ARM
from nmda_bayes.dims import ARM, CHAIN, DRAW, STUDY
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.reading import design_of, spec_of, variable
from nmda_bayes.model import OFFSET


def outlying_trials(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """Say how probable it is of each trial that it is of the outlying kind.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes, with heterogeneity ``arm_mixture``.

    Returns
    -------
    xr.DataArray
        Dims chain, draw, study: the probability given the draw's effects of the trial's arms. Its
        mean over draws is the posterior probability.

    Raises
    ------
    SpecError
        If the outcome's trials are of one kind.
    """
    spec, design = spec_of(fit), design_of(fit, outcome)
    heterogeneity = spec.outcomes[outcome].heterogeneity
    names = HETEROGENEITIES[heterogeneity].of_offsets
    if not names:
        message = f"heterogeneity '{heterogeneity}' of outcome '{outcome}' has one kind of trial"
        raise SpecError([Fault(message, 'Use heterogeneity = "arm_mixture".')])
    posterior = fit["posterior"].to_dataset()
    effects = posterior[variable(spec, outcome, "arm" + OFFSET)].transpose(CHAIN, DRAW, ...)
    column = WHOLE_ARM if WHOLE_ARM in design else ARM
    _, first = np.unique(design[column].to_numpy(), return_index=True)
    studies = design[STUDY].to_numpy()[np.sort(first)]
    along = str(effects.dims[-1])
    of_studies = xr.DataArray(studies, dims=along, name=STUDY)
    squares = (effects.drop_vars(along, errors="ignore") ** 2).groupby(of_studies).sum()
    arms = xr.DataArray(
        [int((studies == name).sum()) for name in squares[STUDY].to_numpy()], dims=STUDY
    )
    ratio, share = (posterior[variable(spec, outcome, name)] for name in names)
    ordinary, outlying = two_kinds(squares, arms, ratio, share, np)
    found = 1.0 / (1.0 + np.exp(ordinary - outlying))
    return found.transpose(CHAIN, DRAW, STUDY).sel({STUDY: list(dict.fromkeys(studies))})
