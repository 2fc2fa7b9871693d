"""Coverage: how often reported intervals contain the truth that generated the evidence.

Evidence is drawn by `simulate_evidence` as a flat table, read with the spec that comes with it,
fitted, and summarised by the 95% CrIs of `dose_response`, for benefit and harm in the structure
of the shipped analyses: Emax curves with pooled agents, arms correlated between outcomes.
"""

from __future__ import annotations

import time
from collections import Counter

import nutpie
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.design import build_design
from nmda_bayes.dims import CHAIN, DRAW
from nmda_bayes.estimands import dose_response
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import nuts
from nmda_bayes.intervals import credible_interval
from nmda_bayes.model import build_model_from_design
from nmda_bayes.simulate import simulate_evidence
from nmda_bayes.spec import AnalysisSpec
from tests.calibration.cases import Case
from tests.calibration.densities import Density, reported_data
from tests.calibration.features import benefit_and_harm
from tests.calibration.records import Record

COVERAGE: Case = benefit_and_harm()
DOSES = (0.5, 1.0, 2.0, 4.0)
RISK = 0.2
#: Limits of intervals need more draws than ranks.
SAMPLING = {"tune": 300, "draws": 600}


def run_coverage(case: Case, simulations: int, seed: int) -> Record:
    """Simulate, read, fit and compare."""
    start, spec = time.process_time(), case.spec
    evidence = load_evidence(case.table)
    model = build_model_from_design(spec, build_design(spec, evidence))
    reported, log_density = reported_data(model), Density(model).fingerprint()
    known = [v.name for v in model.data_vars if v.name not in reported.values()]
    compiled = nutpie.compile_pymc_model(freeze_dims_and_data(model, data=known))
    covered: Counter[str] = Counter()
    divergences = 0
    for i in range(simulations):
        flat, truth, flat_spec = simulate_evidence(spec, evidence, seed=seed + i)
        design = build_design(flat_spec, load_evidence(flat))
        simulated = build_model_from_design(flat_spec, design)
        data = {name: simulated[name].get_value() for name in reported.values()}
        settings = spec.sampling.model_copy(update={**SAMPLING, "seed": seed + i})
        drawn = nuts.sample_compiled(compiled.with_data(**data), settings, False)
        divergences += int(drawn["sample_stats"]["diverging"].sum())
        response = _dose_response(flat_spec, design, drawn["posterior"].to_dataset())
        interval = credible_interval(response)
        true_response = _dose_response(
            flat_spec, design, truth.expand_dims({CHAIN: [0], DRAW: [0]})
        )
        contains = (interval["lower"] <= true_response) & (true_response <= interval["upper"])
        for outcome in spec.outcomes:
            for dose in DOSES:
                at = contains.sel(outcome=outcome, dose=dose).isel(agent=0, condition=0)
                covered[f"{outcome} at {dose:g}"] += int(at.item())
    return Record.of_today(
        case,
        start,
        simulations=simulations,
        draws=SAMPLING["draws"],
        seed=seed,
        log_density=log_density,
        divergences=divergences,
        ranks={},
        covered=dict(covered),
    )


def _dose_response(spec: AnalysisSpec, design: xr.DataTree, draws: xr.Dataset) -> xr.DataArray:
    """The dose-response from draws of the parameters."""
    tree = {"posterior": draws}
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": spec.to_json()}
    return dose_response(fit, list(DOSES), RISK)
