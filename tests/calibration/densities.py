"""The log density of a case's model, as a function of parameters and of what the trials report.

It serves twice. The log density of a truth and its trials is a quantity whose rank is taken:
parameters alone would not see a posterior that has not looked at the data (Modrák et al. 2023).
And its values at fixed points say which model a record is of: numbers change only when the model
does, where a hash of the source would change with each comment.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pymc as pm
from pymc.model.transform.conditioning import remove_value_transforms
from pytensor.graph.traversal import ancestors

from nmda_bayes.model import CHEAP

#: How many points say which model it is.
POINTS = 3
#: By transform: from the whole line into the support, and the log of its derivative at a value.
INTO_SUPPORT = {
    "": (lambda z: z, lambda x: 0.0 * x),
    "log": (lambda z: np.exp(z - 1), np.log),
    # Of the cases only a ratio is bounded so: from below, by 1.
    "interval": (lambda z: 1 + np.exp(z - 1), lambda x: np.log(x - 1)),
    "logodds": (lambda z: 1 / (1 + np.exp(-z)), lambda x: np.log(x) + np.log1p(-x)),
}


class Density:
    """Log density of free variables, on the sampler's unconstrained scale, and of reports."""

    def __init__(self, model: pm.Model) -> None:
        self.transforms = {
            rv.name: getattr(model.rvs_to_transforms[rv], "name", "") for rv in model.free_RVs
        }
        plain = remove_value_transforms(model)
        self.free = [rv.name for rv in plain.free_RVs]
        self._data = {held.name: (held, held.get_value()) for held in plain.data_vars}
        self._evaluate = pm.pytensorf.compile(
            [plain.rvs_to_values[rv] for rv in plain.free_RVs],
            plain.logp(),
            mode=CHEAP["mode"],
            on_unused_input="ignore",
        )
        point = plain.initial_point()
        self.shapes = {name: np.shape(point[name]) for name in self.free}

    def __call__(
        self, parameters: Mapping[str, Any], data: Mapping[str, Any] | None = None
    ) -> float:
        """Evaluate it.

        Parameters
        ----------
        parameters
            Free variables by name, each on its own scale.
        data
            What trials report, by the name of the graph's data; as the graph has it if None.
        """
        for name, (held, as_written) in self._data.items():
            held.set_value(np.asarray((data or {}).get(name, as_written), dtype=float))
        given = [np.asarray(parameters[name], dtype=float) for name in self.free]
        stretched = sum(
            float(np.sum(INTO_SUPPORT[self.transforms[name]][1](value)))
            for name, value in zip(self.free, given, strict=True)
        )
        return float(self._evaluate(*given)) + stretched

    def fingerprint(self) -> list[float]:
        """Log densities of the trials as written, at points that hang on names and shapes alone.

        Where one is no number, as of a count under an exponential curve, the point goes towards
        the middle: infinities and NaN would tell no model from another.
        """
        return [next(filter(np.isfinite, self._towards_the_middle(k))) for k in range(POINTS)]

    def _towards_the_middle(self, k: int) -> Iterator[float]:
        for share in (1.0, 0.3, 0.1, 0.03):
            yield self(
                {
                    name: INTO_SUPPORT[self.transforms[name]][0](
                        share * _spread_out(f"{name} {k}", shape)
                    )
                    for name, shape in self.shapes.items()
                }
            )


def reported_data(model: pm.Model) -> dict[str, str]:
    """Name the graph's data behind each observed variable; constants are made data first."""
    found = {}
    for rv in model.observed_RVs:
        held = set(ancestors([model.rvs_to_values[rv]]))
        names = [data.name for data in model.data_vars if data in held]
        (found[rv.name],) = names or [_opened(model, rv)]
    return found


def _opened(model: pm.Model, rv: Any) -> str:
    """Put data in place of constants: counts given their total, whose ways hang on that total.

    A table with other totals is another graph, so that the model itself holds them fixed; what is
    drawn here has the totals of the trials as they are written.
    """
    old, name = model.rvs_to_values[rv], f"{rv.name}.drawn"
    with model:
        value = pm.Data(name, np.asarray(old.data, dtype=float)).astype(old.dtype)
    model.rvs_to_values[rv] = value
    model.values_to_rvs[value] = model.values_to_rvs.pop(old)
    return name


def _spread_out(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers between -1 and 1 that hang on a name and on nothing that a package may change."""
    hashes = [zlib.crc32(f"{name} {i}".encode()) for i in range(int(np.prod(shape)))]
    return (np.array(hashes, dtype=float) / 2**31 - 1).reshape(shape)
