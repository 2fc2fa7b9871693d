"""The log density of a case's model, as a function of parameters and data.

The log density of truth and data is ranked: ranks of parameters alone do not detect a posterior
that ignores the data (Modrák et al. 2023). Its values at fixed points identify the model of a
record: they change only with the model, where a hash of the source would change with each comment.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pymc as pm
from pymc.model.transform.conditioning import remove_value_transforms
from pytensor.graph.traversal import ancestors

from nmda_bayes.model import PY_MODE

#: Number of fixed points.
POINTS = 3
#: By transform: the map from the real line to the support, and the log of its derivative.
INTO_SUPPORT = {
    "": (lambda z: z, lambda x: 0.0 * x),
    "log": (lambda z: np.exp(z - 1), np.log),
    # The only interval is that of a ratio of at least 1.
    "interval": (lambda z: 1 + np.exp(z - 1), lambda x: np.log(x - 1)),
    "logodds": (lambda z: 1 / (1 + np.exp(-z)), lambda x: np.log(x) + np.log1p(-x)),
}


class Density:
    """Joint log density of free variables, on the unconstrained scale, and data."""

    def __init__(self, model: pm.Model) -> None:
        self.transforms = {
            rv.name: getattr(model.rvs_to_transforms[rv], "name", "") for rv in model.free_RVs
        }
        plain = remove_value_transforms(model)
        self.free = [rv.name for rv in plain.free_RVs]
        self._data = {data.name: (data, data.get_value()) for data in plain.data_vars}
        self._evaluate = pm.pytensorf.compile(
            [plain.rvs_to_values[rv] for rv in plain.free_RVs],
            plain.logp(),
            mode=PY_MODE,
            on_unused_input="ignore",
        )
        point = plain.initial_point()
        self.shapes = {name: np.shape(point[name]) for name in self.free}

    def __call__(
        self, parameters: Mapping[str, Any], data: Mapping[str, Any] | None = None
    ) -> float:
        """Evaluate at parameters on their natural scale, and data (those of the graph if None)."""
        for name, (variable, default) in self._data.items():
            variable.set_value(np.asarray((data or {}).get(name, default), dtype=float))
        values = [np.asarray(parameters[name], dtype=float) for name in self.free]
        log_jacobian = sum(
            float(np.sum(INTO_SUPPORT[self.transforms[name]][1](value)))
            for name, value in zip(self.free, values, strict=True)
        )
        return float(self._evaluate(*values)) + log_jacobian

    def fingerprint(self) -> list[float]:
        """Log densities of the original data at points that depend on names and shapes only.

        Points with a density that is not finite are moved towards the centre.
        """
        return [next(filter(np.isfinite, self._towards_centre(k))) for k in range(POINTS)]

    def _towards_centre(self, k: int) -> Iterator[float]:
        for share in (1.0, 0.3, 0.1, 0.03):
            yield self(
                {
                    name: INTO_SUPPORT[self.transforms[name]][0](
                        share * _pseudo_random(f"{name} {k}", shape)
                    )
                    for name, shape in self.shapes.items()
                }
            )


def reported_data(model: pm.Model) -> dict[str, str]:
    """The name of the data of each observed variable; constants become data."""
    names_of = {}
    for rv in model.observed_RVs:
        inputs = set(ancestors([model.rvs_to_values[rv]]))
        names = [data.name for data in model.data_vars if data in inputs]
        (names_of[rv.name],) = names or [_constants_to_data(model, rv)]
    return names_of


def _constants_to_data(model: pm.Model, rv: Any) -> str:
    """Replace constants by data: counts given their total, which the graph depends on.

    Simulated data have the totals of the original trials.
    """
    old, name = model.rvs_to_values[rv], f"{rv.name}.drawn"
    with model:
        value = pm.Data(name, np.asarray(old.data, dtype=float)).astype(old.dtype)
    model.rvs_to_values[rv] = value
    model.values_to_rvs[value] = model.values_to_rvs.pop(old)
    return name


def _pseudo_random(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers between -1 and 1 that depend on a name only, not on a library."""
    hashes = [zlib.crc32(f"{name} {i}".encode()) for i in range(int(np.prod(shape)))]
    return (np.array(hashes, dtype=float) / 2**31 - 1).reshape(shape)
