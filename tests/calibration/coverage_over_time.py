"""Coverage of regimens over time: known pharmacokinetics, a decaying effect, independent data.

Trials are simulated here in NumPy, from the concentrations of each schedule
(`summarise_exposure`, which is tested against a numerical solution) and the formula of the time
course; the package's design, graph and estimands are not used. Confused arms or times would show.
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
from nmda_bayes.intervals import credible_interval
from nmda_bayes.model import build_model_from_design
from nmda_bayes.pk import published_pk_model, summarise_exposure
from tests.calibration.cases import Case, content_of, half_normal, pooled_as, prior
from tests.calibration.densities import Density, reported_data
from tests.calibration.records import Record

REFERENCE = "0.5 mg/kg over 40 min"
#: Study, schedule, its duration (h), and times of measurement (h after the start).
TRIALS = (
    ("s1", REFERENCE, 2 / 3, (2 / 3, 4.0, 24.0)),
    ("s2", "0.3 mg/kg over 15 min", 0.25, (0.5, 2.0)),
    ("s3", "bolus 0.2 mg/kg, then 0.2 mg/kg/h for 4 h", 4.0, (4.0, 12.0)),
    ("s4", "0.35 mg/kg/h for 4 h", 4.0, (2.0, 4.0, 28.0)),
    ("s5", "1 mg/kg over 40 min", 2 / 3, (1.0, 24.0)),
    ("s6", "0.25 mg/kg over 40 min", 2 / 3, (2 / 3, 6.0)),
)
SE = 0.3
#: Regimens and times (h after the start) of the estimates.
REGIMENS = (REFERENCE, "0.5 mg/kg over 4 h")
HOURS = (2.0, 8.0, 24.0)
SAMPLING = {"tune": 400, "draws": 600}
MU_HALF_LIFE, SIGMA_HALF_LIFE, SLOPE, HETEROGENEITY = np.log(8.0), 0.5, (-1.0, 1.0), 0.3


def trials() -> pd.DataFrame:
    """One row per measurement of an arm."""
    rows = [
        (study, agent, dose, 0.0, SE, hour, hours, 1, "iv", text if dose else "")
        for study, text, hours, times in TRIALS
        for hour in times
        for agent, dose in (("placebo", 0.0), ("ketamine", 1.0))
    ]
    names = ["study", "agent", "dose", "mean", "se", "time_hours", "infusion_hours"]
    names += ["n_administrations", "route", "schedule"]
    return pd.DataFrame(rows, columns=names).assign(outcome="pain")


def case() -> Case:
    """An effect of the peak concentration that decays after treatment; pharmacokinetics fixed."""
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
        "likelihood": "normal",
        "curve": "linear",
        "heterogeneity": "proportional_to_course",
        "baseline": "reference_arm",
        "course": "exponential_decay",
        "time": {"rule": "all"},
        "better": "lower",
        "exposure": "peak_concentration_relative_to_reference",
        "parameters": parameters,
    }
    kinetics = {
        "model": {"ketamine": "Simons2022"},
        "uncertainty": "fixed",
        "body_weight_kg": 70,
        "reference": {"ketamine": {"iv": REFERENCE}},
    }
    repeated = {"within_arm_correlation": prior("Beta", alpha=5, beta=5)}
    more = {"pharmacokinetics": kinetics, "designs": {"repeated": repeated}, "classes": {}}
    content = content_of(outcome, **more)
    return Case("coverage over time", content, trials(), features=("coverage over time",))


def run_coverage_over_time(case: Case, simulations: int, seed: int) -> Record:
    """Draw truths and trials, fit, and compare the effects of regimens over time."""
    import nutpie

    start, spec = time.process_time(), case.spec
    design = build_design(spec, load_evidence(case.table))
    rows = design["outcomes/pain"].to_dataset().to_dataframe()
    model = build_model_from_design(spec, design)
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
        drawn = nuts.sample_compiled(compiled.with_data(**{data: reported}), settings, False)
        divergences += int(drawn["sample_stats"]["diverging"].sum())
        fit = _fit_of(spec, design, drawn["posterior"].to_dataset())
        response = regimen_over_time(fit, REGIMENS, HOURS, agent="ketamine")["response"]
        intervals = credible_interval(response.sel(outcome="pain"))
        for text in REGIMENS:
            for hour in HOURS:
                share = _share(hour - _duration(text), truth)
                effect = truth["slope"] * peaks[text, hour] * share
                interval = intervals.sel(regimen=text, hour=hour)
                contains = interval["lower"] <= effect <= interval["upper"]
                covered[f"{text} at {hour:g} h"] += int(contains)
        half_life = credible_interval(drawn["posterior"]["log_half_life"])
        inside = half_life["lower"] <= truth["log_half_life"] <= half_life["upper"]
        covered["half-life"] += int(inside)
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


def _peaks() -> dict[tuple[str, float], float]:
    """Peaks of schedules up to a time, relative to that of the reference."""
    simons = published_pk_model("Simons2022", load_evidence())
    keys = {(text, hour) for _, text, _, times in TRIALS for hour in times}
    keys |= {(text, hour) for text in REGIMENS for hour in HOURS}

    def peak(text: str, until: float = np.inf) -> float:
        exposure = summarise_exposure(
            text, simons, agent="ketamine", until=until, analytes=["s_ketamine"]
        )
        return float(exposure["peak_concentration"].item())

    return {key: peak(*key) / peak(REFERENCE) for key in keys}


def _truth(rng: np.random.Generator) -> dict[str, float]:
    return {
        "slope": rng.normal(*SLOPE),
        "log_half_life": rng.normal(MU_HALF_LIFE, SIGMA_HALF_LIFE),
        "heterogeneity_sd": abs(rng.normal(0, HETEROGENEITY)),
        "within_arm_correlation": rng.beta(5, 5),
    }


def _share(after: float, truth: Mapping[str, float]) -> float:
    """The effect halves with each half-life after the end of treatment."""
    return float(2 ** (-max(after, 0.0) / np.exp(truth["log_half_life"])))


def _duration(schedule: str) -> float:
    known = {text: hours for _, text, hours, _ in TRIALS} | {REGIMENS[1]: 4.0}
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
        (random, shared), level = arms[row.study, row.agent], levels[row.study, row.read_at]
        delta = truth["heterogeneity_sd"] / np.sqrt(2) * random * share
        error = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.standard_normal()
        means.append(level + truth["slope"] * peak * share + delta + SE * error)
    return np.array(means)


def _fit_of(spec: Any, design: xr.DataTree, draws: xr.Dataset) -> xr.DataTree:
    tree = {"posterior": draws}
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": spec.to_json()}
    return fit
