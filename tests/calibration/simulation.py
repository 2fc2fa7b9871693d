"""Simulation-based calibration of one case: truths and data are drawn, fitted and ranked.

The loop, the seeds and the definition of a rank are simuk's. Three of its steps are replaced for
speed: it compiles the model for each data set (we swap the data of one compiled model), compares
draws with the truth one by one, and compiles the prior predictive graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from simuk import SBC

from nmda_bayes.design import LABELS, build_design
from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DRAW, SAMPLE, scoped_name
from nmda_bayes.errors import SpecError
from nmda_bayes.inference import nuts
from nmda_bayes.model import (
    OFFSET,
    PY_MODE,
    apply_publication_selection,
    build_model_from_design,
    model_outcomes,
)
from nmda_bayes.model.selection import SELECTION_FACTOR, SELECTION_MEAN, SELECTION_SD
from nmda_bayes.runtime import silence_logger
from nmda_bayes.spec import SamplingSpec
from tests.calibration.cases import Case
from tests.calibration.densities import Density, reported_data

LOG_DENSITY, RESPONSE = "log density", "response at dose 1"
#: One draw of ten is kept, against autocorrelation.
THIN = 10
DOSE = 1.0
#: Starts at most of a fit without a finite density, or of which this share of draws diverges.
STARTS, STUCK = 4, 0.5
#: Variables of single arms or trials.
UNRANKED = (OFFSET, "eta", "arm_sd", "bias_shift", SELECTION_MEAN, SELECTION_SD)
#: Suffix of variances, which the graph observes instead of SDs.
VARIANCE = "_variance"


class Simulations(SBC):  # type: ignore[misc]
    """The simulations of a case; `counts` gives the distribution of the ranks."""

    def __init__(self, case: Case, simulations: int, seed: int) -> None:
        self.case, self.analysis = case, case.spec
        self.design = build_design(self.analysis, case.evidence)
        model = build_model_from_design(self.analysis, self.design)
        self.data_of = reported_data(model)
        self.density = Density(model)
        with silence_logger("pymc.sampling.forward"):
            drawn = pm.sample_prior_predictive(
                simulations, model=model, random_seed=seed, compile_kwargs={"mode": PY_MODE}
            )
        self.truths = drawn["prior"].to_dataset()
        self.simulated = drawn["prior_predictive"].to_dataset()
        self.selected = any(part.bias.selection for part in self.analysis.outcomes.values())
        if self.selected:
            self.simulated = self._as_published(seed)
        # Data that are not simulated become constants, to save compilation.
        known = [v.name for v in model.data_vars if v.name not in self.data_of.values()]
        self.compiled = nutpie.compile_pymc_model(freeze_dims_and_data(model, data=known))
        self.divergences = 0
        super().__init__(
            model, num_simulations=simulations, seed=seed, keep_fits=False, progress_bar=False
        )

    def _extract_model_info(self) -> None:
        self.observed_vars = list(self.simulated.data_vars)
        sizes = self.truths.sizes
        density = [self._density_of(self.truths, i, self._table(i)) for i in range(sizes[DRAW])]
        self.ranked = self._quantities(self.truths, np.array([density]))
        self.var_names = list(self.ranked.data_vars)

    def _as_published(self, seed: int) -> xr.Dataset:
        """Data selected for publication, for both of their variables in the graph."""
        simulated = self.simulated
        for outcome in model_outcomes(self.analysis, self.design):
            simulated = apply_publication_selection(
                outcome, simulated, self.truths, seed, of_arms=False
            )
            studies = outcome.reported["study"].to_numpy()
            of_row = studies[outcome.reported["arm_position"].to_numpy().astype(int)]
            assert list(of_row) == list(simulated[SELECTION_FACTOR]["published_study"].to_numpy())
            estimates = simulated["reported"].transpose(*SAMPLE, "contrast").to_numpy()
            factor = (simulated[SELECTION_FACTOR].dims, estimates)
            simulated = simulated.assign({SELECTION_FACTOR: factor})
        return simulated

    def _table(self, i: int) -> dict[str, np.ndarray]:
        draw = self.simulated.isel({CHAIN: 0, DRAW: i})
        return self._as_data({str(n): values.to_numpy() for n, values in draw.data_vars.items()})

    def _as_data(self, simulated: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Simulated values as data of the graph: SDs for variances."""
        return {
            self.data_of[name]: np.sqrt(values) if name.endswith(VARIANCE) else values
            for name, values in simulated.items()
        }

    def _density_of(self, draws: xr.Dataset, i: int, data: Mapping[str, Any]) -> float:
        free = {n: draws[n].transpose(*SAMPLE, ...).to_numpy()[0, i] for n in self.density.free}
        return self.density(free, data)

    def _get_prior_predictive_samples(self) -> tuple[xr.Dataset, xr.Dataset]:
        return self.ranked.stack(sample=SAMPLE), self.simulated.stack(sample=SAMPLE)

    def _get_posterior_samples(self, replicated_data: Mapping[str, Any]) -> xr.Dataset:
        sampling = self.analysis.sampling.model_copy(
            update={"seed": int(self._seeds[self._simulations_complete])}
        )
        data = self._as_data(replicated_data)
        drawn = _drawn(self.compiled.with_data(**data), sampling)
        self.divergences += int(drawn["sample_stats"]["diverging"].sum())
        thinned = {DRAW: slice(THIN - 1, None, THIN)}
        kept = drawn["posterior"].to_dataset().isel(thinned)
        density = drawn["sample_stats"]["logp"].isel(thinned).to_numpy()
        if self._simulations_complete == 0:
            # The log density of the draws is the sampler's; check that it is the same density.
            np.testing.assert_allclose(self._density_of(kept, 0, data), density[0, 0])
        return self._quantities(kept, density).stack(sample=SAMPLE)

    def _compute_single_rank(self, simulation_idx: int, posterior: xr.Dataset, _: Any) -> None:
        for name in self.var_names:
            truth = self.ref_params[name].to_numpy()[simulation_idx]
            self.simulations[name].append((posterior[name].to_numpy() < truth).sum())

    def _quantities(self, draws: xr.Dataset, density: np.ndarray) -> xr.Dataset:
        """The scalars that are ranked."""
        quantities = scalars(draws)
        labels = self.design[LABELS]
        first = {dim: labels[dim].to_numpy()[0] for dim in (AGENT, CONDITION)}
        for outcome, part in self.analysis.outcomes.items():
            curve, theta = part.shape.of(first[AGENT]), {}
            for parameter in curve.parameters:
                value = draws[
                    scoped_name(outcome, parameter, single_outcome=self.analysis.single_outcome)
                ]
                at = {dim: label for dim, label in first.items() if dim in value.dims}
                theta[parameter] = value.sel(at, drop=True)
            name = scoped_name(outcome, RESPONSE, single_outcome=self.analysis.single_outcome)
            quantities[name] = curve.response(xr.DataArray(DOSE), theta, np)
        if self.selected:
            # A published trial's effect is not the one drawn first: no log density.
            return xr.Dataset(quantities)
        return xr.Dataset(quantities).assign({LOG_DENSITY: (SAMPLE, density)})

    def counts(self) -> dict[str, list[int]]:
        """Number of simulations with each rank, by quantity."""
        kept = self.analysis.sampling.draws // THIN
        ranks = self.simulations["prior_sbc"]
        return {
            name: np.bincount(ranks[name].to_numpy().ravel(), minlength=kept + 1).tolist()
            for name in self.var_names
        }


def _drawn(compiled: Any, sampling: SamplingSpec) -> xr.DataTree:
    """Draw, restarted from another point if the chain was stuck.

    PyMC starts within 1 of the prior's centre, which for an exponential curve may be e^20 away from
    the data. In a real fit four chains would disagree and the convergence checks would fail; a
    single chain diverges at every step. Restarts depend only on the data, so that ranks are still
    those of the posterior.
    """
    for start in range(STARTS):
        again = sampling.model_copy(update={"seed": sampling.seed + start})
        try:
            drawn = nuts.sample_compiled(compiled, again, False)
        except SpecError:
            if start == STARTS - 1:
                raise
            continue
        if drawn["sample_stats"]["diverging"].mean() < STUCK:
            break
    return drawn


def scalars(draws: xr.Dataset) -> dict[str, xr.DataArray]:
    """Every parameter of the spec; of a vector, its first element."""
    values_of = {}
    for name, values in draws.data_vars.items():
        if str(name).endswith(UNRANKED) or _is_natural(str(name), draws):
            continue
        labels = {dim: values[dim].to_numpy()[0] for dim in values.dims if dim not in SAMPLE}
        at = f"[{', '.join(map(str, labels.values()))}]" if labels else ""
        values_of[f"{name}{at}"] = values.sel(labels, drop=True)
    return values_of


def _is_natural(name: str, draws: xr.Dataset) -> bool:
    """Whether a variable is the exponential of another: its ranks are the same."""
    outcome, _, parameter = name.rpartition("::")
    log_name = f"log_{parameter}"
    return f"{outcome}::{log_name}" in draws or (not outcome and log_name in draws)
