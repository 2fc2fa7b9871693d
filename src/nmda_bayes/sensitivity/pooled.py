"""Thousands of variants of a normal-normal meta-analysis, exactly: priors by subsets of trials.

    estimate[study] ~ Normal(theta[study], se[study]),  theta[study] ~ Normal(mu, tau)

No chain is run: `nmda_bayes.inference.meta_analysis` sums over tau, all subsets at once. 2,186
variants of 13 trials (two pairs of priors, up to four trials left out) take 1.7 s of one core.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.dims import STUDY
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.meta_analysis import meta_analysis

PRIOR: Final = "prior"
SUBSET: Final = "subset"
Priors = Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]


def pooled_variants(
    estimate: xr.DataArray, se: xr.DataArray, priors: Priors, subsets: xr.DataArray
) -> xr.Dataset:
    """Pool every subset of trials under every pair of priors.

    Parameters
    ----------
    estimate, se
        Estimates and their standard errors; dim study.
    priors
        By name, the prior of the mean effect and that of the heterogeneity SD, as a spec writes
        them. None is supplied.
    subsets
        True where a trial is in; dims subset, study.

    Returns
    -------
    xr.Dataset
        As `nmda_bayes.meta_analysis` gives it (``mu``, ``tau``, ``new_study``, ``study_effect``,
        ``log_evidence``), over dims prior and subset too, and ``trials`` by subset.

    Raises
    ------
    SpecError
        If a subset is empty, or a prior is none; every fault names its prior.
    """
    empty = subsets[SUBSET].to_numpy()[~subsets.any(STUDY).to_numpy()]
    faults = [Fault(f"subset '{name}' holds no trial", "Leave it out.") for name in empty]
    if not priors:
        faults.append(Fault("no prior is given", "Give at least one pair, by name."))
    kept, sizes = estimate.where(subsets), se.where(subsets)
    found = []
    for name, (location, heterogeneity) in priors.items():
        try:
            one = meta_analysis(kept, sizes, location=location, heterogeneity=heterogeneity)
        except SpecError as error:
            faults += [
                Fault(fault.message, fault.mend, column=f"priors.{name}.{fault.column}")
                for fault in error.faults
            ]
        else:
            found.append(one)
    if faults:
        raise SpecError(faults)
    joined = xr.concat(found, dim=xr.Variable(PRIOR, list(priors)))
    return joined.assign(trials=subsets.sum(STUDY))


def leave_out(estimate: xr.DataArray, at_most: int) -> xr.DataArray:
    """List every subset that leaves out no more than some trials.

    Parameters
    ----------
    estimate
        Its dim study is used.
    at_most
        How many trials may go; 1 is leave-one-out.

    Returns
    -------
    xr.DataArray
        True where a trial is in; dims subset (named by what is left out), study.
    """
    studies = [str(study) for study in estimate[STUDY].to_numpy()]
    gone = [c for size in range(at_most + 1) for c in combinations(range(len(studies)), size)]
    inside = np.ones((len(gone), len(studies)), bool)
    for row, out in enumerate(gone):
        inside[row, list(out)] = False
    names = ["without " + ", ".join(studies[i] for i in out) if out else "all" for out in gone]
    coords = {SUBSET: names, STUDY: estimate[STUDY].to_numpy()}
    return xr.DataArray(inside, dims=(SUBSET, STUDY), coords=coords)
