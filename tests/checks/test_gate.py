"""The gate: what is sound passes, and each planted fault is refused where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.checks.diagnostics import diagnostics, gate
from tests import specs
from tests.conftest import calm, make_fit

CHAINS, DRAWS = 4, 500


def sound(seed: int = 1) -> dict[str, xr.DataArray]:
    """Independent draws: an effect, three baselines, and a linear predictor."""
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


def verdict(posterior: dict[str, xr.DataArray], stats: xr.Dataset | None = None) -> pd.DataFrame:
    outcome = specs.outcome("normal", "constant", "none")
    fit = make_fit(specs.spec(outcome), specs.normal_table(), posterior)
    if stats is not None:
        fit["sample_stats"] = xr.DataTree(stats)
    return gate(fit, diagnostics(fit)).set_index("check")


def test_independent_draws_pass_every_check():
    found = verdict(sound())
    assert list(found.index) == ["R-hat", "bulk ESS", "tail ESS", "divergences", "E-BFMI"]
    assert list(found.columns) == ["value", "threshold", "passed", "where"]
    assert found["passed"].all(), found


def test_the_table_has_a_row_a_scalar():
    posterior = sound()
    fit = make_fit(
        specs.spec(specs.outcome("normal", "constant", "none")), specs.normal_table(), posterior
    )
    table = diagnostics(fit)
    assert list(table.columns) == ["variable", "at", "r_hat", "ess_bulk", "ess_tail"]
    assert table[["variable", "at"]].to_numpy().tolist() == [
        ["effect", ""], ["baseline", "study=A"], ["baseline", "study=B"], ["baseline", "study=C"]
    ]  # fmt: skip
    assert table["r_hat"].between(0.99, 1.01).all()


def moved(posterior: dict[str, xr.DataArray], **at: Any) -> dict[str, xr.DataArray]:
    """One study's baseline is elsewhere in one chain."""
    baseline = posterior["baseline"].copy()
    baseline.loc[{"chain": 2, "study": "B"}] += 1.0
    return posterior | {"baseline": baseline}


def stuck(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """One chain never moves."""
    effect = posterior["effect"].copy()
    effect.loc[{"chain": 1}] = 0.3
    return posterior | {"effect": effect}


def frozen(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """No chain moves, each in its own place: R-hat cannot be computed."""
    still = xr.ones_like(posterior["effect"]) * (1.0 + posterior["effect"]["chain"])
    return posterior | {"effect": still}


def all_alike(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """No chain moves, all in one place."""
    return posterior | {"effect": xr.full_like(posterior["effect"], 0.3)}


def missing(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """One draw is not a number."""
    effect = posterior["effect"].copy()
    effect[0, 0] = np.nan
    return posterior | {"effect": effect}


def creeping(posterior: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """A random walk that remembers: few effective draws."""
    rng = np.random.default_rng(3)
    walk = np.zeros((CHAINS, DRAWS))
    for i in range(1, DRAWS):
        walk[:, i] = 0.97 * walk[:, i - 1] + np.sqrt(1 - 0.97**2) * rng.normal(size=CHAINS)
    return posterior | {"effect": posterior["effect"].copy(data=walk)}


@pytest.mark.parametrize(
    ("plant", "check", "where"),
    [
        (moved, "R-hat", "baseline[study=B]"),
        (stuck, "R-hat", "effect"),
        (frozen, "R-hat", "effect"),
        (all_alike, "R-hat", "effect"),
        (missing, "R-hat", "effect"),
        (creeping, "bulk ESS", "effect"),
        (creeping, "tail ESS", "effect"),
    ],
)
def test_a_planted_fault_is_refused_and_named(plant, check, where):
    found = verdict(plant(sound()))
    assert not found.loc[check, "passed"]
    assert found.loc[check, "where"] == where
    assert found.loc["divergences", "passed"]


def test_a_predictor_that_is_zero_by_definition_is_no_estimate():
    posterior = sound()
    eta = xr.concat([posterior["effect"] * 0, posterior["effect"]], dim="arm")
    eta = eta.assign_coords(arm=["A: placebo", "A: ketamine 1"]).transpose("chain", "draw", "arm")
    assert verdict(posterior | {"eta": eta})["passed"].all()


def test_one_divergence_is_refused():
    stats = calm(CHAINS, DRAWS)
    stats["diverging"][3, 17] = True
    found = verdict(sound(), stats)
    assert found["passed"].to_dict() == {
        "R-hat": True, "bulk ESS": True, "tail ESS": True, "divergences": False, "E-BFMI": True
    }  # fmt: skip
    assert found.loc["divergences", "value"] == 1


def test_energy_that_hardly_moves_is_refused():
    stats = calm(CHAINS, DRAWS)
    energy = stats["energy"].copy()
    energy[0] = np.cumsum(energy[0])  # a random walk: its steps are small beside its spread
    found = verdict(sound(), stats.assign(energy=energy))
    assert not found.loc["E-BFMI", "passed"]
    assert found.loc["E-BFMI", "value"] < 0.3
