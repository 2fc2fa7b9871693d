"""The marginal density of a graph whose offsets are normal and enter linearly, without sampling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pymc as pm

from nmda_bayes.model import CHEAP


class Marginal:
    """Integrates normal offsets out of what was observed: exact, as the density is quadratic."""

    def __init__(self, model: pm.Model, observed: list[str], offsets: list[str]) -> None:
        given = [model[name] for name in offsets]
        self.offsets = {name: np.asarray(model.initial_point()[name]) for name in offsets}
        self.density = model.compile_logp(vars=[*(model[n] for n in observed), *given], **CHEAP)
        self.slope = model.compile_dlogp(vars=given, **CHEAP)

    def __call__(self, point: Mapping[str, float | np.ndarray]) -> float:
        at = {name: np.asarray(value, dtype=float) for name, value in point.items()}
        zero = {name: np.zeros_like(value) for name, value in self.offsets.items()}
        slope = np.asarray(self.slope(at | zero))
        columns = []
        for name, value in self.offsets.items():
            for unit in np.eye(value.size):
                there = zero | {name: unit.reshape(value.shape)}
                columns.append(slope - np.asarray(self.slope(at | there)))
        precision = np.array(columns)
        _, log_determinant = np.linalg.slogdet(precision)
        quadratic = slope @ np.linalg.solve(precision, slope)
        constant = len(slope) * np.log(2 * np.pi)
        return float(self.density(at | zero) + 0.5 * (quadratic + constant - log_determinant))
