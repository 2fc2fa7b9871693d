"""Small specs and tables, which each test changes as it needs."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pandas as pd

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec, required_parameters

HALF = ("between", "within")
SAMPLING = {"seed": 1, "chains": 4, "draws": 100, "tune": 100}


def prior(dist: str, **kwargs: float) -> dict[str, Any]:
    return {"dist": dist, "kwargs": kwargs, "why": "a test"}


def normal(mu: float = 0, sigma: float = 1) -> dict[str, Any]:
    return prior("Normal", mu=mu, sigma=sigma)


def half_normal(sigma: float = 1) -> dict[str, Any]:
    return prior("HalfNormal", sigma=sigma)


def parameter(pooling: str = "common", *, optional: bool = False, **priors: Any) -> dict[str, Any]:
    """A parameter with every prior that its pooling needs; `priors` replaces some of them."""
    part = POOLINGS[pooling]
    slots = (*part.priors, *(part.optional if optional else ()))
    written = {slot: half_normal() if slot.startswith(HALF) else normal() for slot in slots}
    tails = {"nu": 4.0} if part.heavy_tailed and "nu" not in priors else {}
    return {"pooling": pooling, "priors": written | priors, **tails}


BASELINE = parameter("independent", each=normal(0, 10))
HETEROGENEITY_SD = parameter("common", location=half_normal(1))


def outcome(
    likelihood: str = "normal",
    curve: str = "emax",
    heterogeneity: str = "arm",
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An outcome with a prior for all that its parts need; `parameters` replaces some of them.

    Baselines are levels of the reference arm, so that an arm can be computed without the others.
    """
    content = {"likelihood": likelihood, "curve": curve, "heterogeneity": heterogeneity}
    part = LIKELIHOODS.get(likelihood)
    if part is not None and part.has_baseline:
        content["baseline"] = "reference_arm"
    known = {"baseline": BASELINE, "heterogeneity_sd": HETEROGENEITY_SD}
    if part is not None:
        known |= {n: parameter(location=prior("Gamma", alpha=2, beta=0.1)) for n in part.positive}
        known |= {n: parameter(location=prior("Beta", alpha=1, beta=9)) for n in part.shares}
    known |= {
        "outlier_sd_ratio": parameter(location=prior("Uniform", lower=1, upper=10)),
        "outlier_probability": parameter(location=prior("Beta", alpha=1, beta=4)),
    }
    needed = required_parameters(OutcomeSpec.read_partially({**content, **more})) or ()
    written = {name: deepcopy(known.get(name, parameter())) for name in needed}
    if HETEROGENEITIES[heterogeneity].nested:
        written["cluster_sd"] = {**deepcopy(HETEROGENEITY_SD), "strata_column": "condition_group"}
    if HETEROGENEITIES[heterogeneity].heavy_tailed:
        written["heterogeneity_sd"]["nu"] = 4.0
    return {**content, "parameters": written | dict(parameters or {}), **more}


def content(*outcomes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A spec's content: one outcome is called pain, a second harm, a third mood."""
    named = dict(zip(("pain", "harm", "mood"), outcomes or (outcome(),), strict=False))
    return {"title": "A test", "outcomes": named, "sampling": dict(SAMPLING), **more}


def spec(*outcomes: Mapping[str, Any], **more: Any) -> AnalysisSpec:
    return AnalysisSpec.from_dict(content(*outcomes, **more))


WINDOW = {
    "benefit": "pain",
    "harm": "harm",
    "benefit_at_least": 10,
    "risk_at_most": 0.1,
    "baseline_risk": 0.05,
}
LKJ = {"heterogeneity": {"dist": "LKJCorr", "kwargs": {"eta": 2}}}


def benefit_risk(**more: Any) -> AnalysisSpec:
    """Pain (normal) and harm (binomial) on Emax curves, with a window."""
    pain = outcome("normal", better="lower", unit="points", label="Pain")
    harm = outcome("binomial", better="lower", label="Dissociation")
    return spec(pain, harm, **{"window": WINDOW, **more})


def rows(text: str) -> pd.DataFrame:
    """Read a table whose cells are separated by blanks; `-` is an empty cell."""
    lines = [line.split() for line in text.strip().splitlines()]
    frame = pd.DataFrame(lines[1:], columns=lines[0]).replace("-", None)
    for column in frame:
        as_number = pd.to_numeric(frame[column], errors="coerce")
        if as_number.notna().sum() == frame[column].notna().sum():
            frame[column] = as_number
    return frame


#: Three trials of two agents in two conditions, one with two doses; levels and counts.
TRIALS = rows("""
    study condition agent    dose mean se  events n
    A     crps      placebo  0    50  2    1      20
    A     crps      ketamine 1    42  2    4      20
    B     crps      placebo  0    55  3    0      30
    B     crps      ketamine 0.5  52  3    2      31
    B     crps      ketamine 2    41  3    9      29
    C     fibro     placebo  0    60  4    2      25
    C     fibro     mem      1    57  4    2      24
""")


def normal_table(frame: pd.DataFrame = TRIALS, name: str = "pain") -> pd.DataFrame:
    return frame.drop(columns=["events", "n"]).assign(outcome=name)


def binary_table(frame: pd.DataFrame = TRIALS, name: str = "harm") -> pd.DataFrame:
    return frame.drop(columns=["mean", "se"]).assign(outcome=name)


#: SDs; one arm reports none.
SDS = ["20", "18", "22", "not reported", "25", "21", "19"]


def sd_table(frame: pd.DataFrame = TRIALS, name: str = "pain") -> pd.DataFrame:
    return frame.drop(columns=["se", "events"]).assign(outcome=name, sd=SDS)


def rate_table(frame: pd.DataFrame = TRIALS, name: str = "pain") -> pd.DataFrame:
    """The same events over person-time: 0.5, 0.6, ... years, as many as there are arms."""
    time = [0.5 + i / 10 for i in range(len(frame))]
    return frame.drop(columns=["mean", "se", "n"]).assign(outcome=name, person_time=time)


def follow_up_table(frame: pd.DataFrame = TRIALS, name: str = "pain") -> pd.DataFrame:
    """The same counts, with a follow-up time for each trial: A 1, B 2, C 3."""
    time = frame["study"].map({"A": 1.0, "B": 2.0, "C": 3.0})
    return binary_table(frame, name).assign(follow_up=time)


def both_tables(frame: pd.DataFrame = TRIALS) -> pd.DataFrame:
    return pd.concat([normal_table(frame), binary_table(frame)], ignore_index=True)


#: A three-arm trial against one shared arm, and two of two arms.
CONTRASTS = rows("""
    study agent    dose comparator comparator_dose estimate se  comparator_se outcome
    A     ketamine 1    placebo    0               -8       3   2             pain
    A     ketamine 2    placebo    0               -11      3.5 2             pain
    B     ketamine 1    placebo    0               -5       4   -             pain
    C     mem      1    placebo    0               -1       2   -             pain
""")

#: A is measured three times, once before treatment; B once; C at other hours in its two arms.
#: Infusions of 2 h.
READ = rows("""
    study arm agent    dose mean se n  time_hours infusion_hours n_administrations
    A     p   placebo  0    60   3  20 -1         2              1
    A     k   ketamine 1    61   3  20 -1         2              1
    A     p   placebo  0    58   3  20 2          2              1
    A     k   ketamine 1    40   4  20 2          2              1
    A     p   placebo  0    55   3  20 26         2              1
    A     k   ketamine 1    50   4  20 26         2              1
    B     p   placebo  0    70   5  12 8          2              1
    B     k   ketamine 2    60   5  12 8          2              1
    C     p   placebo  0    70   5  12 5          2              1
    C     k   ketamine 2    60   5  12 8          2              1
""").drop(columns="arm")
DECAY = {
    "course": "exponential_decay",
    "time": {"rule": "all"},
    "parameters": {"log_half_life": parameter("common", location=normal(2, 1))},
}
REPEATED = {"repeated": {"within_arm_correlation": 0.5}}
