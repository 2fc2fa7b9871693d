"""Six small trials with a zero cell: results depend on the prior of the heterogeneity.

The densities of the arms come from the graph; baselines (Normal(0, 100²)) and trial effects are
integrated here on grids, the effect and tau on another. The R package
multinma's vignette of the same data (Phillippo; Turner et al. 2012) prints d -0.77 (sd 0.44) where
tau² ~ LogNormal(-3.93, 1.51²), and -1.15 (0.95) where tau ~ HalfNormal(5).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import interpolate, special, stats

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import PY_MODE, build_model
from nmda_bayes.spec import AnalysisSpec

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
PRIORS = {
    "transfusion_informative": (stats.lognorm(0.755, scale=np.exp(-1.965)), -0.77, 0.44),
    "transfusion_vague": (stats.halfnorm(0, 5), -1.15, 0.95),
}
#: Grid of log odds ratios of a trial.
DIFFERENCES = np.linspace(-40, 40, 801)


@pytest.fixture(scope="module")
def trials() -> np.ndarray:
    """Log density of each trial at `DIFFERENCES`, from the graph's density of each arm."""
    spec = AnalysisSpec.from_toml(HERE / "transfusion_vague.toml")
    model = build_model(spec, load_evidence(HERE / "transfusion.csv"))
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, mode=PY_MODE)
    fixed = {"effect": np.array(0.0), "arm_offset": np.zeros(12)}
    fixed["heterogeneity_sd_log__"] = np.array(0.0)
    grid = np.linspace(-60, 60, 601)
    table = np.array([compiled(fixed | {"baseline": np.full(6, x)})[0] for x in grid])
    curve = interpolate.CubicSpline(grid, table)
    labels = [str(arm) for arm in model.coords["arm"]]
    positions = {tuple(label.split(": ")): i for i, label in enumerate(labels)}
    names = sorted({study for study, _ in positions})
    treated, control = (
        [positions[k] for name in names for k in positions if k[0] == name and side in k[1]]
        for side in ("transfusion", "control")
    )
    # The mean of a trial's log odds also varies by tau / 2: negligible relative to an SD of 100.
    middle = np.linspace(-40, 40, 401)
    prior = stats.norm(0, 100).logpdf(middle)[:, None]
    densities = []
    for difference in DIFFERENCES:
        up = curve(np.clip(middle + difference / 2, -60, 60))[:, treated]
        down = curve(np.clip(middle - difference / 2, -60, 60))[:, control]
        densities.append(special.logsumexp(up + down + prior, axis=0))
    return np.array(densities)


@pytest.mark.parametrize("name", PRIORS)
def test_effect_agrees_with_the_published_fit(trials, name):
    prior, mean, sd = PRIORS[name]
    effects, taus = np.linspace(-14, 12, 261), np.concatenate([[0.02], np.arange(0.1, 15, 0.1)])
    log_weight = np.zeros((len(taus), len(effects)))
    for row, tau in enumerate(taus):
        # Trial effects around each mean, with SD tau.
        nodes = effects[:, None] + tau * np.linspace(-6, 6, 97)
        share = stats.norm.logpdf(np.linspace(-6, 6, 97))
        for trial in trials.T:
            at = np.interp(nodes, DIFFERENCES, trial)
            log_weight[row] += special.logsumexp(at + share, axis=1)
        log_weight[row] += prior.logpdf(tau) + np.log(np.gradient(taus)[row])
    weight = np.exp(log_weight - log_weight.max()).sum(axis=0)
    weight /= weight.sum()
    effect = float(weight @ effects)
    effect_sd = float(np.sqrt(weight @ effects**2 - effect**2))
    kurtosis = float(weight @ ((effects - effect) / effect_sd) ** 4)
    # Published from 4,000 draws, some 1,000 of them effective: three Monte Carlo errors of a mean,
    # and of an SD given the kurtosis.
    assert effect == pytest.approx(mean, abs=3 * sd / np.sqrt(1000))
    assert effect_sd == pytest.approx(sd, abs=3 * sd * np.sqrt((kurtosis - 1) / 4000))


@pytest.mark.slow
def test_report_shows_the_influence_of_the_prior(fitted):
    code, folder = fitted("transfusion_vague", "transfusion", "run")
    assert code == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    # Power-scaling sensitivities are near the threshold that separates the two diagnoses.
    diagnoses = ("strong prior / weak likelihood", "potential prior-data conflict")
    assert any(f"{text}: heterogeneity_sd" in page.lower() for text in diagnoses)
    assert "Weakly informed: heterogeneity_sd" in page
