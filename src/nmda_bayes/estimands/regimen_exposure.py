"""Where regimens stand on the axis of an outcome: whole, or up to an hour, draw by draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import AT_OUTCOME, PEAK, Exposure
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.errors import Fault, InputError
from nmda_bayes.pharmacokinetics.readings import Read, Readings

REGIMEN = "regimen"


@dataclass(frozen=True)
class RegimenAxis:
    """The axis of one outcome, on which regimens of one agent are placed.

    Attributes
    ----------
    posterior
        Draws, with those of kinetic parameters that have priors.
    kinetics
        The models as the outcome follows them.
    kind
        Its exposure.
    agent, route
        What is given, and how.
    """

    posterior: xr.Dataset
    kinetics: Kinetics
    kind: Exposure
    agent: str
    route: str

    def place(self, regimens: Sequence[str]) -> xr.DataArray:
        """Place whole regimens.

        Parameters
        ----------
        regimens
            In the notation of schedules. A concentration at the reading is that at the end.

        Returns
        -------
        xr.DataArray
            Dim regimen, and chain and draw where kinetic parameters have priors.

        Raises
        ------
        InputError
            If a regimen has no such exposure.
        """
        reads = [Read(self.agent, text, np.nan) for text in regimens]
        if self.kind.of == AT_OUTCOME:
            ends = self.ends(regimens)
            reads = [Read(self.agent, text, end) for text, end in zip(regimens, ends, strict=True)]
        value = self._over_reference(self._value(reads, self.route))
        self._must_be(value, regimens)
        return value.assign_coords({REGIMEN: list(regimens)})

    def up_to(self, regimen: str, hours: np.ndarray, dim: str) -> xr.DataArray:
        """Place what has come of one regimen by each of some hours.

        Parameters
        ----------
        regimen
            In the notation.
        hours
            Since the first administration, above 0.
        dim
            What the hours are called.

        Returns
        -------
        xr.DataArray
            Along `dim`, and chain and draw where kinetic parameters have priors.

        Raises
        ------
        InputError
            If the regimen has no such exposure.
        """
        reads = [Read(self.agent, regimen, float(hour)) for hour in hours]
        value = self._over_reference(self._value(reads, self.route))
        self._must_be(value.isel({REGIMEN: slice(0, 1)}), [regimen])
        return value.rename({REGIMEN: dim})

    def ends(self, regimens: Sequence[str]) -> list[float]:
        """Say when treatment ends.

        Parameters
        ----------
        regimens
            In the notation.

        Returns
        -------
        list of float
            Hours since the first administration.
        """
        whole = [Read(self.agent, text, np.nan) for text in regimens]
        return [float(end) for end in self._readings(whole, self.route).ends[:, 0]]

    def _readings(self, reads: list[Read], route: str) -> Readings:
        model = self.kinetics.model(self.agent, route)
        assert model is not None  # asked of the spec when the question was put
        weight, peaks = self.kinetics.weight, self.kind.of == PEAK
        return Readings.of(reads, model, route=route, weight=weight, peaks=peaks)

    def _over_reference(self, value: xr.DataArray) -> xr.DataArray:
        if not self.kind.relative:
            return value
        route, _ = self.kinetics.reference(self.agent)
        one = self._value([self.kinetics.reference_read(self.agent, self.kind.of)], route)
        return value / one.isel({REGIMEN: 0}, drop=True)

    def _value(self, reads: list[Read], route: str) -> xr.DataArray:
        readings = self._readings(reads, route)
        names = {s: self.kinetics.variable(readings.model, s) for s in readings.symbols}
        drawn = {s: self.posterior[name] for s, name in names.items() if name in self.posterior}
        if not drawn:
            return xr.DataArray(readings.value(self.kind.of), dims=REGIMEN)
        shape = tuple(self.posterior.sizes[dim] for dim in SAMPLE)
        bases = {
            symbol: array.transpose(*SAMPLE).to_numpy().reshape(-1, 1, 1, 1)
            for symbol, array in drawn.items()
        }
        value = np.reshape(readings.value(self.kind.of, bases), (*shape, len(reads)))
        coords = {dim: self.posterior[dim] for dim in (CHAIN, DRAW)}
        return xr.DataArray(value, dims=(*SAMPLE, REGIMEN), coords=coords)

    def _must_be(self, value: xr.DataArray, regimens: Sequence[str]) -> None:
        lost = np.isnan(value.isel({d: 0 for d in SAMPLE if d in value.dims}).to_numpy())
        faults = [
            Fault(
                f"'{text}' has no {self.kind.of.replace('_', ' ')}: a single dose at once has no"
                " length",
                "Say how long it takes: '0.3 mg/kg over 4 min'.",
            )
            for text, nothing in zip(regimens, lost, strict=True)
            if nothing
        ]
        if faults:
            raise InputError(faults)
