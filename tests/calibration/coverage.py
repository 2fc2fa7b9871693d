"""Coverage: how often the intervals that a reader sees hold the truth that made the evidence.

Ranks look inside the model; this goes the whole way round. Evidence is drawn by `simulate` as a
flat table, read back by the spec that comes with it, fitted, and answered by `dose_response` in
its 95 % equal-tailed intervals, of benefit and of harm, for the structure of the shipped analyses
of both: Emax curves with agents pooled, arms correlated between outcomes.
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
from nmda_bayes.intervals import interval
from nmda_bayes.model import model_of
from nmda_bayes.simulate import simulate
from nmda_bayes.spec import AnalysisSpec
from tests.calibration.cases import Case
from tests.calibration.densities import Density, reported_data
from tests.calibration.features import benefit_and_harm
from tests.calibration.records import Record

COVERAGE: Case = benefit_and_harm()
ANSWERED_AT = (0.5, 1.0, 2.0, 4.0)
RISK = 0.2
#: Draws of each fit: the ends of an interval want more of them than a rank does.
SAMPLING = {"tune": 300, "draws": 600}


def run_coverage(case: Case, simulations: int, seed: int) -> Record:
    """Simulate, read back, fit and answer."""
    began, spec = time.process_time(), case.spec
    evidence = load_evidence(case.table)
    model = model_of(spec, build_design(spec, evidence))
    reported, log_density = reported_data(model), Density(model).fingerprint()
    known = [v.name for v in model.data_vars if v.name not in reported.values()]
    compiled = nutpie.compile_pymc_model(freeze_dims_and_data(model, data=known))
    covered: Counter[str] = Counter()
    divergences = 0
    for i in range(simulations):
        flat, truth, own = simulate(spec, evidence, seed=seed + i)
        design = build_design(own, load_evidence(flat))
        again = model_of(own, design)
        data = {name: again[name].get_value() for name in reported.values()}
        settings = spec.sampling.model_copy(update={**SAMPLING, "seed": seed + i})
        drawn = nuts.draw(compiled.with_data(**data), settings, False)
        divergences += int(drawn["sample_stats"]["diverging"].sum())
        answer = interval(_answered(own, design, drawn["posterior"].to_dataset()))
        right = _answered(own, design, truth.expand_dims({CHAIN: [0], DRAW: [0]}))
        held = (answer["lower"] <= right) & (right <= answer["upper"])
        for outcome in spec.outcomes:
            for dose in ANSWERED_AT:
                at = held.sel(outcome=outcome, dose=dose).isel(agent=0, condition=0)
                covered[f"{outcome} at {dose:g}"] += int(at.item())
    return Record.of_today(
        case,
        began,
        simulations=simulations,
        draws=SAMPLING["draws"],
        seed=seed,
        log_density=log_density,
        divergences=divergences,
        ranks={},
        covered=dict(covered),
    )


def _answered(spec: AnalysisSpec, design: xr.DataTree, draws: xr.Dataset) -> xr.DataArray:
    """The dose-response as a report has it, from draws of the parameters."""
    tree = {"posterior": draws}
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": spec.to_json()}
    return dose_response(fit, list(ANSWERED_AT), RISK)
