"""Fits for the page, made in seconds: prior draws stand in for the sampler's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.predictive import prior_draws
from nmda_bayes.spec import AnalysisSpec

SCRIPT = "<script>alert(1)</script>"
CHAINS, DRAWS = 4, 250


def prior(dist: str, why: str = "", **kwargs: float) -> dict[str, Any]:
    return {"dist": dist, "kwargs": kwargs, "why": why}


def emax(size: float, centre: float, spread: float) -> dict[str, Any]:
    """Priors of an Emax curve, its heterogeneity and its baselines."""
    return {
        "emax": {
            "pooling": "agent_and_condition",
            "priors": {
                "location": prior("Normal", f"two SD reach {2 * size:g}", mu=0, sigma=size),
                "between_agent": prior("HalfNormal", "agents are relatives", sigma=size / 2),
                "between_condition": prior("HalfNormal", sigma=size / 4),
            },
        },
        "log_ed50": {
            "pooling": "common",
            "priors": {"location": prior("Normal", "near the reference", mu=0, sigma=1)},
        },
        "baseline": {
            "pooling": "independent",
            "priors": {"each": prior("Normal", "where trials begin", mu=centre, sigma=spread)},
        },
        "heterogeneity_sd": {
            "pooling": "common",
            "priors": {"location": prior("HalfNormal", "half a point", sigma=size / 2)},
        },
    }


BENEFIT_RISK = {
    "title": f"Relief & harm {SCRIPT}",
    "question": "Does more help more, and what does it cost?",
    "decisions": {"s_ketamine": "an agent of its own: about twice as potent"},
    "outcomes": {
        "pain": {
            "likelihood": "normal",
            "curve": "emax",
            "heterogeneity": "arm",
            "label": "pain intensity",
            "unit": "points",
            "better": "lower",
            "why": "what patients ask for",
            "parameters": emax(20, 50, 20),
        },
        "dissociation": {
            "likelihood": "binomial",
            "curve": "emax",
            "heterogeneity": "arm",
            "label": "dissociation",
            "better": "lower",
            "parameters": emax(2, -3, 1),
        },
    },
    "window": {
        "benefit": "pain",
        "harm": "dissociation",
        "benefit_at_least": 10,
        "risk_at_most": 0.1,
        "baseline_risk": 0.05,
    },
    "sampling": {"seed": 1, "chains": CHAINS, "draws": DRAWS},
}


def flat_rows() -> list[dict[str, Any]]:
    """Five trials, one of them named like a script, one dose ranging, one with no events."""
    rows: list[dict[str, Any]] = []
    trials = [
        ("Abel 2001", "crps", [("ketamine", 0.5, -9.0, 4), ("ketamine", 1.0, -14.0, 6)]),
        (SCRIPT, "crps", [("ketamine", 1.0, -12.0, 5)]),
        ("Cain 2003", "fibromyalgia", [("ketamine", 2.0, -15.0, 9)]),
        ("Seth 2004", "fibromyalgia", [("s_ketamine", 1.0, -6.0, 0)]),
        ("Enos 2005", "fibromyalgia", [("s_ketamine", 12.0, -11.0, 7)]),
    ]
    for study, condition, arms in trials:
        for agent, dose, change, events in [("placebo", 0.0, 0.0, 0 if "Seth" in study else 1),
                                            *arms]:  # fmt: skip
            labels = {"study": study, "condition": condition, "agent": agent, "dose": dose}
            pain = {"outcome": "pain", "mean": 55.0 + change, "se": 3.0}
            harm = {"outcome": "dissociation", "events": events, "n": 20}
            rows += [labels | pain, labels | harm]
    return rows


def quick_fit(content: dict[str, Any], rows: list[dict[str, Any]]) -> xr.DataTree:
    """Fit a spec to a flat table, the posterior drawn from the prior."""
    return quick_fit_of(AnalysisSpec.from_dict(content), load_evidence(pd.DataFrame(rows)))


def quick_fit_of(spec: AnalysisSpec, evidence: xr.DataTree) -> xr.DataTree:
    """Fit a spec to evidence, the posterior drawn from the prior."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmda_bayes.inference.nuts.sample_posterior", _prior_as_posterior)
        patch.setattr("nmda_bayes.inference.fitting.PRIOR_DRAWS", 500)
        return inference.fit(spec, evidence)


def _prior_as_posterior(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    drawn, _ = prior_draws(freeze_dims_and_data(model), CHAINS * DRAWS, seed=7)
    parts = drawn.isel(chain=0, drop=True)
    whole = xr.concat(
        [parts.isel(draw=slice(i * DRAWS, (i + 1) * DRAWS)).assign_coords(draw=range(DRAWS))
         for i in range(CHAINS)],
        dim="chain",
    ).assign_coords(chain=range(CHAINS))  # fmt: skip
    whole = whole.transpose("chain", "draw", ...)
    energy = np.random.default_rng(1).normal(size=(CHAINS, DRAWS))
    stats = xr.Dataset(
        {"diverging": (("chain", "draw"), np.zeros((CHAINS, DRAWS), dtype=bool)),
         "energy": (("chain", "draw"), energy)},
        coords={"chain": range(CHAINS), "draw": range(DRAWS)},
    )  # fmt: skip
    return xr.DataTree.from_dict({"posterior": whole, "sample_stats": stats})


@pytest.fixture(scope="session")
def benefit_risk() -> xr.DataTree:
    """Two outcomes, a window, and a study called like a script."""
    return quick_fit(BENEFIT_RISK, flat_rows())
