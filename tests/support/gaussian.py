"""The exact marginal density of a graph whose offsets are normal and enter linearly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pymc as pm

from nmda_bayes.model import PY_MODE


class Marginal:
    """Integrates normal offsets out: exact, as the log density is quadratic in them."""

    def __init__(self, model: pm.Model, observed: list[str], offsets: list[str]) -> None:
        variables = [model[name] for name in offsets]
        self.offsets = {name: np.asarray(model.initial_point()[name]) for name in offsets}
        self.density = model.compile_logp(
            vars=[*(model[n] for n in observed), *variables], mode=PY_MODE
        )
        self.slope = model.compile_dlogp(vars=variables, mode=PY_MODE)

    def __call__(self, point: Mapping[str, float | np.ndarray]) -> float:
        fixed = {name: np.asarray(value, dtype=float) for name, value in point.items()}
        zero = {name: np.zeros_like(value) for name, value in self.offsets.items()}
        slope = np.asarray(self.slope(fixed | zero))
        columns = []
        for name, value in self.offsets.items():
            for unit in np.eye(value.size):
                shifted = zero | {name: unit.reshape(value.shape)}
                columns.append(slope - np.asarray(self.slope(fixed | shifted)))
        precision = np.array(columns)
        _, log_determinant = np.linalg.slogdet(precision)
        quadratic = slope @ np.linalg.solve(precision, slope)
        constant = len(slope) * np.log(2 * np.pi)
        return float(self.density(fixed | zero) + 0.5 * (quadratic + constant - log_determinant))
