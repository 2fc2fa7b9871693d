"""How well each variant foretells whole trials: predictive densities that may be subtracted.

Two variants are compared where they saw the same reports of the same trials, whatever exposures
they gave the arms: a density of other data is no better or worse.
"""

from __future__ import annotations

import zlib
from typing import Final

import xarray as xr

from nmda_bayes.checks import study_density, study_elpd
from nmda_bayes.design import OUTCOMES
from nmda_bayes.dims import CONTRAST, STUDY
from nmda_bayes.errors import InputError
from nmda_bayes.sensitivity.elpd import ELPD, RELIABLE, ROWS

#: Draws that densities are worked out of: half of what `study_density` takes by itself.
DRAWS: Final = 500
#: What a trial reports, of whatever likelihood; not what its arms were exposed to.
REPORTS = ("report", "mean", "se", "sd", "events", "n", "person_time", "follow_up")
PRINTED = ("estimate", "estimate_se")


def foretold(fit: xr.DataTree) -> xr.Dataset:
    """Work out how well each study of a fit is foretold by the others.

    Parameters
    ----------
    fit
        As `nmda_bayes.sensitivity.answers.as_fit` makes it, or a whole one.

    Returns
    -------
    xr.Dataset
        Dim study: ``elpd``, ``study_reliable`` (1, or 0 where k-hat is above 0.7), and
        ``study_rows``, a number that two fits share where they saw the same reports; the last
        alone where the model does not part by study.
    """
    rows = rows_of(fit)
    found = xr.Dataset({ROWS: (STUDY, list(rows.values()))}, coords={STUDY: list(rows)})
    try:
        elpd = study_elpd(study_density(fit, draws=DRAWS))
    except InputError:
        return found
    return found.assign({ELPD: elpd["elpd"], RELIABLE: elpd["reliable"].astype(float)})


def rows_of(fit: xr.DataTree) -> dict[str, float]:
    """Number the reports of each study.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    dict[str, float]
        By study; equal numbers are equal reports, whatever the arms were exposed to.
    """
    told: dict[str, list[str]] = {}
    for name, node in fit[f"design/{OUTCOMES}"].children.items():
        reported = node.to_dataset()
        studies = reported[STUDY].to_numpy()
        arms = reported[[c for c in REPORTS if c in reported]].to_dataframe()
        for study, mine in arms.groupby(studies):
            written = (
                mine.reset_index(drop=True)
                .sort_values(list(map(str, mine.columns)))
                .to_csv(index=False)
            )
            told.setdefault(str(study), []).append(f"{name} {written}")
        if CONTRAST in reported.dims:
            of = studies[reported["arm_position"].to_numpy().astype(int)]
            printed = reported[list(PRINTED)].to_dataframe()
            for study, mine in printed.groupby(of):
                told.setdefault(str(study), []).append(mine.to_csv(index=False))
    return {study: float(zlib.crc32("".join(text).encode())) for study, text in told.items()}
