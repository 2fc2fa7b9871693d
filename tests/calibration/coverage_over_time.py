"""Coverage of regimens over time: known pharmacokinetics, a decaying effect, evidence by hand.

Trials are drawn here in numpy, from concentrations that the published model predicts of each
schedule (`exposures`, which the tests hold to a numerical solution) and from the course as its
docstring words it; the package's design, graph, sampler and answers never see the truth. So a row
that takes another arm's concentration, or an hour that is counted from another clock, would show.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.design import build_design
from nmda_bayes.estimands import regimen_over_time
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import nuts
from nmda_bayes.intervals import interval
from nmda_bayes.model import model_of
from nmda_bayes.pharmacokinetics import exposures, published_model
from tests.calibration.cases import Case, content_of, half_normal, pooled_as, prior
from tests.calibration.densities import Density, reported_data
from tests.calibration.records import Record

REFERENCE = "0.5 mg/kg over 40 min"
#: Study, schedule, its length in hours, and when pain was read, in hours since the beginning.
TRIALS = (
    ("s1", REFERENCE, 2 / 3, (2 / 3, 4.0, 24.0)),
    ("s2", "0.3 mg/kg over 15 min", 0.25, (0.5, 2.0)),
    ("s3", "bolus 0.2 mg/kg, then 0.2 mg/kg/h for 4 h", 4.0, (4.0, 12.0)),
    ("s4", "0.35 mg/kg/h for 4 h", 4.0, (2.0, 4.0, 28.0)),
    ("s5", "1 mg/kg over 40 min", 2 / 3, (1.0, 24.0)),
    ("s6", "0.25 mg/kg over 40 min", 2 / 3, (2 / 3, 6.0)),
)
SE = 0.3
#: What is asked of each fit: regimens, and hours since the beginning.
ASKED = (REFERENCE, "0.5 mg/kg over 4 h")
HOURS = (2.0, 8.0, 24.0)
SAMPLING = {"tune": 400, "draws": 600}
MU_HALF_LIFE, SIGMA_HALF_LIFE, SLOPE, HETEROGENEITY = np.log(8.0), 0.5, (-1.0, 1.0), 0.3


def trials() -> pd.DataFrame:
    """One row a reading of an arm."""
    rows = [
        (study, agent, dose, 0.0, SE, hour, hours, 1, "iv", text if dose else "")
        for study, text, hours, read in TRIALS
        for hour in read
        for agent, dose in (("placebo", 0.0), ("ketamine", 1.0))
    ]
    names = ["study", "agent", "dose", "mean", "se", "time_hours", "infusion_hours"]
    names += ["n_administrations", "route", "schedule"]
    return pd.DataFrame(rows, columns=names).assign(outcome="pain")


def case() -> Case:
    """Relief by the peak in blood, fading from the end of treatment; kinetics are held."""
    parameters = {
        "slope": pooled_as("common", *SLOPE),
        "log_half_life": pooled_as("common", float(MU_HALF_LIFE), SIGMA_HALF_LIFE),
        "baseline": pooled_as("independent", 0.0, 0.5),
        "heterogeneity_sd": {
            "pooling": "common",
            "priors": {"location": half_normal(HETEROGENEITY)},
        },
    }
    outcome = {
        "likelihood": "normal", "curve": "linear", "heterogeneity": "arm_fading",
        "course": "exponential_decay", "time": {"rule": "every_reading"}, "better": "lower",
        "exposure": "peak_concentration_relative_to_reference", "parameters": parameters,
    }  # fmt: skip
    kinetics = {
        "model": {"ketamine": "Simons2022"}, "uncertainty": "fixed", "body_weight_kg": 70,
        "reference": {"ketamine": {"iv": REFERENCE}},
    }  # fmt: skip
    repeated = {"within_arm_correlation": prior("Beta", alpha=5, beta=5)}
    more = {"pharmacokinetics": kinetics, "designs": {"repeated": repeated}, "classes": {}}
    content = content_of(outcome, **more)
    return Case("coverage over time", content, trials(), features=("coverage over time",))


def run_coverage_over_time(of: Case, simulations: int, seed: int) -> Record:
    """Draw truths and trials, fit, ask what regimens do hour by hour."""
    import nutpie

    began, spec = time.process_time(), of.spec
    design = build_design(spec, load_evidence(of.table))
    rows = design["outcomes/pain"].to_dataset().to_dataframe()
    model = model_of(spec, design)
    (data,) = reported_data(model).values()
    log_density = Density(model).fingerprint()
    known = [v.name for v in model.data_vars if v.name != data]
    compiled = nutpie.compile_pymc_model(freeze_dims_and_data(model, data=known))
    peaks = _peaks()
    covered: Counter[str] = Counter()
    divergences = 0
    for i in range(simulations):
        rng = np.random.default_rng([seed, i])
        truth = _truth(rng)
        settings = spec.sampling.model_copy(update={**SAMPLING, "seed": seed + i})
        reported = _reported(rng, truth, rows, peaks)
        drawn = nuts.draw(compiled.with_data(**{data: reported}), settings, False)
        divergences += int(drawn["sample_stats"]["diverging"].sum())
        fit = _fit_of(spec, design, drawn["posterior"].to_dataset())
        answer = regimen_over_time(fit, ASKED, HOURS, agent="ketamine")["response"]
        held = interval(answer.sel(outcome="pain"))
        for text in ASKED:
            for hour in HOURS:
                right = truth["slope"] * peaks[text, hour] * _share(hour - _lasts(text), truth)
                at = held.sel(regimen=text, hour=hour)
                covered[f"{text} at {hour:g} h"] += int(at["lower"] <= right <= at["upper"])
        half_life = interval(drawn["posterior"]["log_half_life"])
        inside = half_life["lower"] <= truth["log_half_life"] <= half_life["upper"]
        covered["half-life"] += int(inside)
    return Record.of_today(
        of,
        began,
        simulations=simulations,
        draws=SAMPLING["draws"],
        seed=seed,
        log_density=log_density,
        divergences=divergences,
        ranks={},
        covered=dict(covered),
    )


def _peaks() -> dict[tuple[str, float], float]:
    """Peaks of schedules up to an hour, over that of the whole reference."""
    simons = published_model("Simons2022", load_evidence())
    asked = {(text, hour) for _, text, _, read in TRIALS for hour in read}
    asked |= {(text, hour) for text in ASKED for hour in HOURS}

    def peak(text: str, until: float = np.inf) -> float:
        found = exposures(text, simons, agent="ketamine", until=until, analytes=["s_ketamine"])
        return float(found["peak_concentration"].item())

    return {key: peak(*key) / peak(REFERENCE) for key in asked}


def _truth(rng: np.random.Generator) -> dict[str, float]:
    return {
        "slope": rng.normal(*SLOPE),
        "log_half_life": rng.normal(MU_HALF_LIFE, SIGMA_HALF_LIFE),
        "heterogeneity_sd": abs(rng.normal(0, HETEROGENEITY)),
        "within_arm_correlation": rng.beta(5, 5),
    }


def _share(after: float, truth: Mapping[str, float]) -> float:
    """Half of it gone with each half-life after the end of treatment."""
    return float(2 ** (-max(after, 0.0) / np.exp(truth["log_half_life"])))


def _lasts(schedule: str) -> float:
    known = {text: hours for _, text, hours, _ in TRIALS} | {ASKED[1]: 4.0}
    return known[schedule]


def _reported(
    rng: np.random.Generator, truth: Mapping[str, float], rows: pd.DataFrame, peaks: Any
) -> np.ndarray:
    """Means of the rows, in their order."""
    of = {study: (text, hours) for study, text, hours, _ in TRIALS}
    arms = {key: rng.standard_normal(2) for key in rows.groupby(["study", "agent"]).groups}
    levels = {key: rng.normal(0, 0.5) for key in rows.groupby(["study", "read_at"]).groups}
    rho, means = truth["within_arm_correlation"], []
    for row in rows.itertuples():
        text, hours = of[row.study]
        share = _share(row.read_at - hours, truth)
        peak = peaks[text, row.read_at] if row.agent == "ketamine" else 0.0
        (own, shared), level = arms[row.study, row.agent], levels[row.study, row.read_at]
        delta = truth["heterogeneity_sd"] / np.sqrt(2) * own * share
        error = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.standard_normal()
        means.append(level + truth["slope"] * peak * share + delta + SE * error)
    return np.array(means)


def _fit_of(spec: Any, design: xr.DataTree, draws: xr.Dataset) -> xr.DataTree:
    tree = {"posterior": draws}
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": spec.to_json()}
    return fit
