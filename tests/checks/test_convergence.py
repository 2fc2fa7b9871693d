"""Convergence checks: good draws pass; each defect is detected and located."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.checks.diagnostics import convergence_checks, scalar_diagnostics
from tests.support import specs
from tests.support.fits import make_fit, sample_stats

CHAINS, DRAWS = 4, 500


def good_draws(seed: int = 1) -> dict[str, xr.DataArray]:
    """Independent draws of an effect and three baselines."""
    rng = np.random.default_rng(seed)
    at = {"chain": range(CHAINS), "draw": range(DRAWS)}

    def independent(*dims: str, **coords: Any) -> xr.DataArray:
        shape = (CHAINS, DRAWS, *(len(v) for v in coords.values()))
        return xr.DataArray(
            rng.normal(size=shape), dims=("chain", "draw", *dims), coords={**at, **coords}
        )

    return {
        "effect": independent(),
        "baseline": independent("study", study=["A", "B", "C"]),
    }


def checks_of(posterior: dict[str, xr.DataArray], stats: xr.Dataset | None = None) -> pd.DataFrame:
    outcome = specs.outcome("normal", "constant", "none")
    fit = make_fit(specs.spec(outcome), specs.normal_table(), posterior)
    if stats is not None:
        fit["sample_stats"] = xr.DataTree(stats)
    return convergence_checks(fit, scalar_diagnostics(fit)).set_index("check")


def test_independent_draws_pass_every_check():
    checks = checks_of(good_draws())
    assert list(checks.index) == ["R-hat", "bulk ESS", "tail ESS", "divergences", "E-BFMI"]
    assert list(checks.columns) == ["value", "threshold", "passed", "where"]
    assert checks["passed"].all(), checks


def test_the_table_has_one_row_per_scalar():
    posterior = good_draws()
    fit = make_fit(
        specs.spec(specs.outcome("normal", "constant", "none")), specs.normal_table(), posterior
    )
    table = scalar_diagnostics(fit)
    assert list(table.columns) == ["variable", "at", "r_hat", "ess_bulk", "ess_tail"]
    assert table[["variable", "at"]].to_numpy().tolist() == [
        ["effect", ""],
        ["baseline", "study=A"],
        ["baseline", "study=B"],
        ["baseline", "study=C"],
    ]
    assert table["r_hat"].between(0.99, 1.01).all()


def shifted(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """One study's baseline is shifted in one chain."""
    baseline = posterior["baseline"].copy()
    baseline.loc[{"chain": 2, "study": "B"}] += 1.0
    return posterior | {"baseline": baseline}


def stuck(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """One chain is constant."""
    effect = posterior["effect"].copy()
    effect.loc[{"chain": 1}] = 0.3
    return posterior | {"effect": effect}


def frozen(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Every chain is constant, at different values: R-hat cannot be computed."""
    still = xr.ones_like(posterior["effect"]) * (1.0 + posterior["effect"]["chain"])
    return posterior | {"effect": still}


def constant(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """All chains are constant, at one value."""
    return posterior | {"effect": xr.full_like(posterior["effect"], 0.3)}


def missing(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """One draw is NaN."""
    effect = posterior["effect"].copy()
    effect[0, 0] = np.nan
    return posterior | {"effect": effect}


def autocorrelated(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """An autocorrelated chain: few effective draws."""
    rng = np.random.default_rng(3)
    walk = np.zeros((CHAINS, DRAWS))
    for i in range(1, DRAWS):
        walk[:, i] = 0.97 * walk[:, i - 1] + np.sqrt(1 - 0.97**2) * rng.normal(size=CHAINS)
    return posterior | {"effect": posterior["effect"].copy(data=walk)}


@pytest.mark.parametrize(
    ("defect", "check", "where"),
    [
        (shifted, "R-hat", "baseline[study=B]"),
        (stuck, "R-hat", "effect"),
        (frozen, "R-hat", "effect"),
        (constant, "R-hat", "effect"),
        (missing, "R-hat", "effect"),
        (autocorrelated, "bulk ESS", "effect"),
        (autocorrelated, "tail ESS", "effect"),
    ],
)
def test_each_defect_is_detected_and_located(defect, check, where):
    checks = checks_of(defect(good_draws()))
    assert not checks.loc[check, "passed"]
    assert checks.loc[check, "where"] == where
    assert checks.loc["divergences", "passed"]


def test_scalars_that_are_0_by_definition_are_ignored():
    posterior = good_draws()
    eta = xr.concat([posterior["effect"] * 0, posterior["effect"]], dim="arm")
    eta = eta.assign_coords(arm=["A: placebo", "A: ketamine 1"]).transpose("chain", "draw", "arm")
    assert checks_of(posterior | {"eta": eta})["passed"].all()


def test_one_divergence_fails():
    stats = sample_stats(CHAINS, DRAWS)
    stats["diverging"][3, 17] = True
    checks = checks_of(good_draws(), stats)
    assert checks["passed"].to_dict() == {
        "R-hat": True,
        "bulk ESS": True,
        "tail ESS": True,
        "divergences": False,
        "E-BFMI": True,
    }
    assert checks.loc["divergences", "value"] == 1


def test_slowly_changing_energy_fails():
    stats = sample_stats(CHAINS, DRAWS)
    energy = stats["energy"].copy()
    energy[0] = np.cumsum(energy[0])  # a random walk: small steps, large variance
    checks = checks_of(good_draws(), stats.assign(energy=energy))
    assert not checks.loc["E-BFMI", "passed"]
    assert checks.loc["E-BFMI", "value"] < 0.3
