"""Responders and means of the trials in the evidence base that report both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from nmda_bayes.components.likelihoods import responder_probit
from nmda_bayes.evidence import load_evidence, to_frame

#: Study, its two arms, the measure of responders with its share, and the time of both.
TRIALS = {
    "Gustin2010": ("memmor", "pbomor", "pain_responder_50", 0.5, "short (to 3 months)"),
    "Lynch2005": ("ket", "pbo", "pain_responder_50", 0.5, "short (to 3 months)"),
    "Maier2003": ("mem", "pbo", "pain_responder_50", 0.5, "3 weeks"),
    "Noppers2011": ("sket", "midaz", "pain_responder_50", 0.5, None),
    "OlivanBlazquez2014": ("mem", "pbo", "pain_responder_50", 0.5, "medium (over 3 months)"),
}
START = 60.0


def conflict(rows, arms, measure, share, label) -> float:
    """Twice the log likelihood lost when counts and means must share one difference.

    The difference of means is free within its standard error, the control's own level is free in
    each form; under the link the loss is chi-squared with one degree of freedom.
    """
    means, counts = [], []
    for arm in arms:
        selected = rows[rows["arm"] == arm]
        at = selected["time_label"] == label if label else selected["time_hours"] == 168
        mean = selected[at & selected["outcome"].isin(["pain_intensity", "pain_change"])].iloc[0]
        stretch = 100 / (mean["scale_max"] - max(mean["scale_min"], 0))
        means.append(stretch * np.array([mean["mean"], mean["sd"], mean["se_used"]]))
        counts.append(selected[at & (selected["outcome"] == measure)].iloc[0][["events", "n"]])
    (drug, sd_drug, se_drug), (control, sd_control, se_control) = means
    difference, se = drug - control, np.hypot(se_drug, se_control)
    sd = np.sqrt((sd_drug**2 + sd_control**2) / 2)

    def lost(shift: float, level: float) -> float:
        z = responder_probit(
            np.array([level + shift, level]), START, sd, share=share, points=0.0, lower=True
        )
        events, n = (np.array([float(c[k]) for c in counts]) for k in ("events", "n"))
        of = events / n
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.where(of > 0, events * np.log(of), 0) + np.where(
                of < 1, (n - events) * np.log(1 - of), 0
            )
        log_likelihood = events * stats.norm.logcdf(z) + (n - events) * stats.norm.logsf(z)
        return float(2 * (best - log_likelihood).sum() + ((shift - difference) / se) ** 2)

    best = optimize.minimize(lambda x: lost(*x), [difference, 50.0], method="Nelder-Mead")
    return float(best.fun)


@pytest.fixture(scope="module")
def conflicts() -> dict[str, float]:
    results = to_frame(load_evidence(), "results")
    estimates = {}
    for study, (drug, control, *rest) in TRIALS.items():
        rows = results[results["study"] == study]
        estimates[study] = conflict(rows, (f"{study}: {drug}", f"{study}: {control}"), *rest)
    return estimates


def test_counts_and_means_of_a_trial_agree(conflicts):
    """Five trials: the sum of the losses is chi-squared with five degrees of freedom."""
    assert set(conflicts) == set(TRIALS)
    assert sum(conflicts.values()) < stats.chi2(5).ppf(0.99), conflicts


def test_reversed_counts_are_detected():
    """Reversed counts of the most informative trial contradict its means."""
    results = to_frame(load_evidence(), "results")
    rows = results[results["study"] == "OlivanBlazquez2014"].copy()
    responders = rows["outcome"] == "pain_responder_50"
    rows.loc[responders, "events"] = [2, 19]
    arms = ("OlivanBlazquez2014: mem", "OlivanBlazquez2014: pbo")
    lost = conflict(rows, arms, *TRIALS["OlivanBlazquez2014"][2:])
    assert lost > stats.chi2(1).ppf(0.999)
