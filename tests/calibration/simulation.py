"""Simulation-based calibration of one case: truths drawn, trials drawn, fitted, ranked.

The loop, the seeds and the definition of a rank are simuk's; three of its steps are replaced. It
conditions a model on each drawn table anew, which compiles it each time: 18 s of processor time a
fit of 20 arms (simuk 0.3.0 with nutpie), where one compiled model that takes the tables in turn
needs 0.1 s. It compares draws with a truth one by one (1.1 s for the variables of such a fit, here
0.01 s). And it draws from the prior in PyMC's compiled mode, which the cheap one of this project
undercuts.
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
from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DRAW, SAMPLE, scoped
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import nuts
from nmda_bayes.logs import quietly
from nmda_bayes.model import CHEAP, OFFSET, as_published, model_of, outcomes_of
from nmda_bayes.model.selection import FACTOR, MEAN, SD
from nmda_bayes.spec import SamplingSpec
from tests.calibration.cases import Case
from tests.calibration.densities import Density, reported_data

LOG_DENSITY, RESPONSE = "log density", "response at dose 1"
#: Of ten draws one is kept: the ranks are those of draws that do not follow each other.
THIN = 10
DOSE = 1.0
#: How often a fit is started that finds no finite density, or of which this share diverges.
STARTS, STUCK = 4, 0.5
#: Variables of which there is one for each arm or trial.
UNRANKED = (OFFSET, "eta", "arm_sd", "bias_shift", MEAN, SD)
#: What the graph observes of a printed SD ends so.
VARIANCE = "_variance"


class Simulations(SBC):  # type: ignore[misc]
    """The simulations of a case; `counts` says how the ranks fell."""

    def __init__(self, case: Case, simulations: int, seed: int) -> None:
        self.case, self.analysis = case, case.spec
        self.design = build_design(self.analysis, load_evidence(case.table))
        model = model_of(self.analysis, self.design)
        self.data_of = reported_data(model)
        self.density = Density(model)
        with quietly("pymc.sampling.forward"):
            drawn = pm.sample_prior_predictive(
                simulations, model=model, random_seed=seed, compile_kwargs=CHEAP
            )
        self.truths = drawn["prior"].to_dataset()
        self.reports = drawn["prior_predictive"].to_dataset()
        self.selected = any(part.bias.selection for part in self.analysis.outcomes.values())
        if self.selected:
            self.reports = self._as_published(seed)
        # What is not drawn anew is a constant: 5 s to compile a case, and 25 s with all data open.
        known = [v.name for v in model.data_vars if v.name not in self.data_of.values()]
        self.compiled = nutpie.compile_pymc_model(freeze_dims_and_data(model, data=known))
        self.divergences = 0
        super().__init__(
            model, num_simulations=simulations, seed=seed, keep_fits=False, progress_bar=False
        )

    def _extract_model_info(self) -> None:
        self.observed_vars = list(self.reports.data_vars)
        sizes = self.truths.sizes
        density = [self._density_of(self.truths, i, self._table(i)) for i in range(sizes[DRAW])]
        self.ranked = self._quantities(self.truths, np.array([density]))
        self.var_names = list(self.ranked.data_vars)

    def _as_published(self, seed: int) -> xr.Dataset:
        """Trials as they would have been published; what decided stands in the graph twice."""
        reports = self.reports
        for outcome in outcomes_of(self.analysis, self.design):
            reports = as_published(outcome, reports, self.truths, seed, of_arms=False)
            studies = outcome.reported["study"].to_numpy()
            of_row = studies[outcome.reported["arm_position"].to_numpy().astype(int)]
            assert list(of_row) == list(reports[FACTOR]["published_study"].to_numpy())
            decided = reports["reported"].transpose(*SAMPLE, "contrast").to_numpy()
            reports = reports.assign({FACTOR: (reports[FACTOR].dims, decided)})
        return reports

    def _table(self, i: int) -> dict[str, np.ndarray]:
        one = self.reports.isel({CHAIN: 0, DRAW: i})
        return self._as_data({str(n): values.to_numpy() for n, values in one.data_vars.items()})

    def _as_data(self, reports: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is reported, as the graph's data hold it: SDs where it observes variances."""
        return {
            self.data_of[name]: np.sqrt(values) if name.endswith(VARIANCE) else values
            for name, values in reports.items()
        }

    def _density_of(self, draws: xr.Dataset, i: int, data: Mapping[str, Any]) -> float:
        one = {n: draws[n].transpose(*SAMPLE, ...).to_numpy()[0, i] for n in self.density.free}
        return self.density(one, data)

    def _get_prior_predictive_samples(self) -> tuple[xr.Dataset, xr.Dataset]:
        return self.ranked.stack(sample=SAMPLE), self.reports.stack(sample=SAMPLE)

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
            # The sampler's own number is used, for each draw has it already; if it is of another
            # density, or of other trials than these, that shows here.
            np.testing.assert_allclose(self._density_of(kept, 0, data), density[0, 0])
        return self._quantities(kept, density).stack(sample=SAMPLE)

    def _compute_single_rank(self, simulation_idx: int, posterior: xr.Dataset, _: Any) -> None:
        for name in self.var_names:
            truth = self.ref_params[name].to_numpy()[simulation_idx]
            self.simulations[name].append((posterior[name].to_numpy() < truth).sum())

    def _quantities(self, draws: xr.Dataset, density: np.ndarray) -> xr.Dataset:
        """What is ranked, each a scalar."""
        found = scalars(draws)
        labels = self.design[LABELS]
        first = {dim: labels[dim].to_numpy()[0] for dim in (AGENT, CONDITION)}
        for outcome, part in self.analysis.outcomes.items():
            curve, theta = part.shape.of(first[AGENT]), {}
            for parameter in curve.parameters:
                value = draws[scoped(outcome, parameter, alone=self.analysis.alone)]
                at = {dim: label for dim, label in first.items() if dim in value.dims}
                theta[parameter] = value.sel(at, drop=True)
            name = scoped(outcome, RESPONSE, alone=self.analysis.alone)
            found[name] = curve.response(xr.DataArray(DOSE), theta, np)
        if self.selected:
            # A published trial's own effect is not that which was drawn first: it goes unranked.
            return xr.Dataset(found)
        return xr.Dataset(found).assign({LOG_DENSITY: (SAMPLE, density)})

    def counts(self) -> dict[str, list[int]]:
        """How many simulations had each rank, by quantity."""
        kept = self.analysis.sampling.draws // THIN
        ranks = self.simulations["prior_sbc"]
        return {
            name: np.bincount(ranks[name].to_numpy().ravel(), minlength=kept + 1).tolist()
            for name in self.var_names
        }


def _drawn(compiled: Any, sampling: SamplingSpec) -> xr.DataTree:
    """Draw; from another place where the first was absurd and the chain could not come back.

    PyMC starts within 1 of the prior's middle, which for an exponential curve may be e^20 off the
    data. Four chains of a real fit disagree then, and its gate refuses them; one chain cannot, but
    it diverges at every step. Where a chain starts is no part of what is ranked, and whether it is
    started again follows from the data alone: the ranks stay those of the posterior.
    """
    for start in range(STARTS):
        again = sampling.model_copy(update={"seed": sampling.seed + start})
        try:
            drawn = nuts.draw(compiled, again, False)
        except SpecError:
            if start == STARTS - 1:
                raise
            continue
        if drawn["sample_stats"]["diverging"].mean() < STUCK:
            break
    return drawn


def scalars(draws: xr.Dataset) -> dict[str, xr.DataArray]:
    """Every written parameter, and of one over labels its first."""
    found = {}
    for name, values in draws.data_vars.items():
        if str(name).endswith(UNRANKED) or _is_natural(str(name), draws):
            continue
        labels = {dim: values[dim].to_numpy()[0] for dim in values.dims if dim not in SAMPLE}
        at = f"[{', '.join(map(str, labels.values()))}]" if labels else ""
        found[f"{name}{at}"] = values.sel(labels, drop=True)
    return found


def _is_natural(name: str, draws: xr.Dataset) -> bool:
    """Say whether a variable is the exponential of another: its ranks are the same."""
    outcome, _, own = name.rpartition("::")
    return f"{outcome}::log_{own}" in draws or (not outcome and f"log_{own}" in draws)
