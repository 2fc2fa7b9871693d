"""Posterior means, SDs and hashes of draws that a restructuring of the code must not change.

``python -m tests.pinned.record FILE`` writes the numbers; ``test_pinned.py`` computes them again.
The runs are short: they identify a posterior and its random stream, and are no results. The
numbers in ``numbers.json`` are those of the code before it was restructured (commit 9fcb5d8).
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import xarray as xr

import nmda_bayes as nb

ROOT = Path(__file__).parents[2]
#: Case: spec, table of evidence (None: the spec's), tuning steps and draws of each of two chains.
FITS = {
    "benefit_risk": ("models/benefit_risk.toml", None, 300, 400),
    "cochrane_iv_ketamine": ("models/cochrane_iv_ketamine.toml", None, 300, 400),
    "concentration": ("models/concentration.toml", None, 300, 400),
    "triptans": ("tests/reference/triptans_hierarchical.toml", "triptans", 300, 500),
    "eight_schools_exact": ("tests/reference/eight_schools.toml", "eight_schools", 300, 500),
}
#: Two variants answered by weights, one refitted with other data, two with models of their own.
VARIANTS = (
    "sceptical_prior",
    "no_crossover_trials",
    "no_high_risk_trials",
    "first_periods",
    "log_linear_relief",
)
MAX_ELEMENTS = 20


def fit_numbers(case: str) -> dict[str, dict[str, Any]]:
    """Fit a case with short chains and summarise each variable of its posterior."""
    path, table, tune, draws = FITS[case]
    spec = nb.AnalysisSpec.from_toml(ROOT / path)
    sampling: dict[str, Any] = {"draws": draws, "tune": tune, "chains": 2}
    if case.endswith("exact"):
        sampling["method"] = "exact"
    spec = spec.model_copy(update={"sampling": spec.sampling.model_copy(update=sampling)})
    source = ROOT / f"tests/reference/{table}.csv" if table else spec.evidence
    fit = nb.fit(spec, nb.load_evidence(source))
    return {str(name): summary(values) for name, values in fit["posterior"].data_vars.items()}


def summary(values: xr.DataArray) -> dict[str, Any]:
    """Return the hash of all draws, and mean, SD and effective draws of the first elements."""
    draws = np.ascontiguousarray(values.transpose("chain", "draw", ...).to_numpy(), dtype=float)
    chains = draws.reshape(*draws.shape[:2], -1)[..., :MAX_ELEMENTS]
    flat = chains.reshape(-1, chains.shape[-1])
    return {
        "hash": hashlib.sha256(draws.tobytes()).hexdigest()[:16],
        "mean": [significant(value, 8) for value in flat.mean(0)],
        "sd": [significant(value, 8) for value in flat.std(0, ddof=1)],
        "ess": [round(effective_draws(chains[..., k])) for k in range(chains.shape[-1])],
    }


def effective_draws(chains: np.ndarray) -> float:
    """Return the bulk effective sample size (chain, draw); all draws of a constant."""
    return float(chains.size if np.ptp(chains) == 0 else arviz_stats.ess(chains))


def variant_numbers() -> dict[str, Any]:
    """Answer the variants of the primary analysis: method and effects of each."""
    results = nb.fit_variants(ROOT / "models/sensitivity.toml", nb.load_evidence(), only=VARIANTS)
    numbers: dict[str, Any] = {
        str(name): {
            "how": str(results["how"].sel(variant=name).item()),
            "effect": [
                None if np.isnan(value) else significant(value, 6)
                for value in np.asarray(results["effect"].sel(variant=name), float).ravel()
            ],
        }
        for name in results["variant"].to_numpy()
    }
    return numbers | {"statistics": [str(name) for name in results["statistic"].to_numpy()]}


def significant(value: float, digits: int) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")


def machine() -> str:
    """Identify what decides the last bits of a draw: processor, NumPy and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[-1].strip() for line in lines if "model name" in line]
    processor = models[0] if models else platform.processor()
    return f"{processor}; numpy {np.__version__}; python {platform.python_version()}"


if __name__ == "__main__":
    numbers = {"machine": machine()} | {case: fit_numbers(case) for case in FITS}
    Path(sys.argv[1]).write_text(json.dumps(numbers | {"variants": variant_numbers()}) + "\n")
