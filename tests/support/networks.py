"""A small network without heterogeneity, whose effects are known."""

from __future__ import annotations

import pandas as pd

from tests.support import specs

VAGUE = specs.parameter("independent", each=specs.normal(0, 10))
EXACT = {"method": "exact", "seed": 1, "chains": 2, "draws": 500}


def network_spec(curve: str = "constant", **more):
    """Independent effects of agents without heterogeneity, on a scale where 1 is large."""
    name = "effect" if curve == "constant" else "slope"
    outcome = specs.outcome("normal", curve, "none", {name: VAGUE}, better="lower", unit="points")
    return specs.spec(outcome, **{"sampling": EXACT, **more})


def triangle(gap: float, doses: bool = False) -> pd.DataFrame:
    """Placebo, a and b, each pair in two trials; b vs a is inconsistent by `gap` per unit of dose.

    Effects per unit of dose: a -2, b -3. With `doses` the trials of b have doses 1 and 2.
    """
    effect = {"placebo": 0.0, "a": -2.0, "b": -3.0}
    rows = []
    for first, second in (("placebo", "a"), ("placebo", "b"), ("a", "b")):
        for k in (1, 2):
            study = f"{first}_{second}_{k}"
            for agent in (first, second):
                shift = gap if (first, agent) == ("a", "b") else 0.0
                dose = 0.0 if agent == "placebo" else 2.0 if doses and k == 2 else 1.0
                unit = dose if doses else float(dose > 0)
                rows.append((study, agent, dose, k + (effect[agent] + shift) * unit, 0.3))
    return pd.DataFrame(rows, columns=["study", "agent", "dose", "mean", "se"])
