"""The shipped models, and compartments for a numerical solver."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pint
import pytest
from scipy.integrate import solve_ivp

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.pk import published_models


@pytest.fixture(scope="session")
def evidence():
    return load_evidence()


@pytest.fixture(scope="session")
def parameters(evidence) -> pd.DataFrame:
    return to_frame(evidence, "pharmacokinetics")


@pytest.fixture(scope="session")
def published(parameters):
    return published_models(parameters)


@pytest.fixture(scope="session")
def printed(parameters):
    """Return the published numbers of a report in L, L/h, 1/h and h, by pint's default registry."""
    units = pint.UnitRegistry()
    wanted = ["L", "L/kg", "L/h", "1/h", "h", "mg/L", ""]

    def of(report: str, analyte: str, kg: float = 70.0) -> dict[str, float]:
        rows = parameters[(parameters["report"] == report) & (parameters["whole_model"] == "yes")]
        out = {}
        for row in rows[(rows["analyte"] == analyte) & rows["value"].notna()].itertuples():
            quantity = units.Quantity(row.value, row.unit)
            unit = next(u for u in wanted if quantity.is_compatible_with(units.Unit(u)))
            out[row.symbol] = quantity.m_as(unit) * (kg if unit == "L/kg" else 1.0)
        return out

    return of


class Body:
    """Compartments and the rates between them, solved numerically."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rates: dict[tuple[str, str], float] = {}
        self.watched: dict[tuple[str, str], float] = {}

    def pool(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def flow(self, source: str, target: str, rate: float) -> None:
        """Add a flow of `rate` per hour; to "" it is lost."""
        self.pool(source)
        if target:
            self.pool(target)
        self.rates[source, target] = self.rates.get((source, target), 0.0) + rate

    def watch(self, source: str, target: str, rate: float) -> None:
        """Let a pool follow another without taking from it."""
        self.pool(source)
        self.pool(target)
        self.watched[source, target] = rate

    def exchange(
        self, first: str, second: str, flow: float, v_first: float, v_second: float
    ) -> None:
        self.flow(first, second, flow / v_first)
        self.flow(second, first, flow / v_second)

    def matrix(self) -> np.ndarray:
        out = np.zeros((len(self.names),) * 2)
        for (source, target), rate in self.rates.items():
            out[self.pool(source), self.pool(source)] -= rate
            if target:
                out[self.pool(target), self.pool(source)] += rate
        for (source, target), rate in self.watched.items():
            out[self.pool(target), self.pool(target)] -= rate
            out[self.pool(target), self.pool(source)] += rate
        return out

    def solve(self, inputs, times, *, stiff: bool = False) -> dict[str, np.ndarray]:
        """Integrate; `inputs` are (pool, start, hours, amount), a bolus being 0 hours long."""
        matrix, n = self.matrix(), len(self.names)
        edges = {0.0, *times}
        for _, start, hours, _ in inputs:
            edges |= {start, start + hours}
        edges = sorted(edges)
        state, kept = np.zeros(n), {}
        for start_of_step, end_of_step in zip(edges, [*edges[1:], None], strict=True):
            push = np.zeros(n)
            for pool, start, hours, amount in inputs:
                if hours == 0 and start == start_of_step:
                    state[self.pool(pool)] += amount
                if hours > 0 and start <= start_of_step < start + hours:
                    push[self.pool(pool)] += amount / hours
            kept[start_of_step] = state.copy()
            if end_of_step is not None:
                solved = solve_ivp(
                    lambda t, y, u=push: matrix @ y + u,
                    (0.0, end_of_step - start_of_step),
                    state,
                    method="Radau" if stiff else "DOP853",
                    rtol=1e-9 if stiff else 1e-12,
                    atol=1e-14,
                )
                state = solved.y[:, -1]
        return {name: np.array([kept[t][k] for t in times]) for k, name in enumerate(self.names)}


@pytest.fixture
def body() -> Body:
    return Body()
