"""Six small trials with a zero cell: with so few, what is thought of heterogeneity decides.

The densities of the arms come from the graph; baselines (flat, Normal(0, 100²)) and effects of the
trials are integrated here on grids, and the effect and tau summed over another. The R package
multinma's vignette of the same data (Phillippo; Turner et al. 2012) prints d -0.77 (sd 0.44) where
tau² ~ LogNormal(-3.93, 1.51²), and -1.15 (0.95) where tau ~ HalfNormal(5).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import interpolate, special, stats

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import CHEAP, build_model
from nmda_bayes.spec import AnalysisSpec

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
PRIORS = {
    "transfusion_informative": (stats.lognorm(0.755, scale=np.exp(-1.965)), -0.77, 0.44),
    "transfusion_vague": (stats.halfnorm(0, 5), -1.15, 0.95),
}
#: What is left of a trial once its baseline is integrated out, over log odds ratios.
DIFFERENCES = np.linspace(-40, 40, 801)


@pytest.fixture(scope="module")
def trials() -> np.ndarray:
    """Log density of each trial at `DIFFERENCES`, from the graph's own density of each arm."""
    spec = AnalysisSpec.from_toml(HERE / "transfusion_vague.toml")
    model = build_model(spec, load_evidence(HERE / "transfusion.csv"))
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, **CHEAP)
    still = {"effect": np.array(0.0), "arm_offset": np.zeros(12)}
    still["heterogeneity_sd_log__"] = np.array(0.0)
    grid = np.linspace(-60, 60, 601)
    table = np.array([compiled(still | {"baseline": np.full(6, x)})[0] for x in grid])
    curve = interpolate.CubicSpline(grid, table)
    labels = [str(arm) for arm in model.coords["arm"]]
    place = {tuple(label.split(": ")): i for i, label in enumerate(labels)}
    names = sorted({study for study, _ in place})
    treated, control = (
        [i for name in names for (study, arm), i in place.items() if study == name and side in arm]
        for side in ("transfusion", "control")
    )
    # The mean of a trial's two log odds; where both arms' effects vary, it does by tau / 2, which
    # is nothing beside a prior of SD 100.
    middle = np.linspace(-40, 40, 401)
    prior = stats.norm(0, 100).logpdf(middle)[:, None]
    found = []
    for difference in DIFFERENCES:
        up = curve(np.clip(middle + difference / 2, -60, 60))[:, treated]
        down = curve(np.clip(middle - difference / 2, -60, 60))[:, control]
        found.append(special.logsumexp(up + down + prior, axis=0))
    return np.array(found)


@pytest.mark.parametrize("name", PRIORS)
def test_the_effect_is_that_of_the_published_fit(trials, name):
    prior, mean, sd = PRIORS[name]
    effects, taus = np.linspace(-14, 12, 261), np.concatenate([[0.02], np.arange(0.1, 15, 0.1)])
    log_weight = np.zeros((len(taus), len(effects)))
    for row, tau in enumerate(taus):
        # Effects of trials around each mean: sums over the grid of differences, a spread of tau.
        nodes = effects[:, None] + tau * np.linspace(-6, 6, 97)
        share = stats.norm.logpdf(np.linspace(-6, 6, 97))
        for trial in trials.T:
            at = np.interp(nodes, DIFFERENCES, trial)
            log_weight[row] += special.logsumexp(at + share, axis=1)
        log_weight[row] += prior.logpdf(tau) + np.log(np.gradient(taus)[row])
    weight = np.exp(log_weight - log_weight.max()).sum(axis=0)
    weight /= weight.sum()
    found = float(weight @ effects)
    spread = float(np.sqrt(weight @ effects**2 - found**2))
    kurtosis = float(weight @ ((effects - found) / spread) ** 4)
    # Printed from 4,000 draws; heavy tails leave such moments with some 1,000 effective ones, so
    # that three Monte Carlo errors are 3 sd / sqrt(1000) of a mean, and with the kurtosis k here
    # 3 sd sqrt((k - 1) / 4000) of an SD.
    assert found == pytest.approx(mean, abs=3 * sd / np.sqrt(1000))
    assert spread == pytest.approx(sd, abs=3 * sd * np.sqrt((kurtosis - 1) / 4000))


@pytest.mark.slow
def test_the_page_says_that_the_prior_of_heterogeneity_decides(fitted):
    code, folder = fitted("transfusion_vague", "transfusion", "run")
    assert code == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    # Power-scaling moves it by 0.071 for the prior and 0.051 for the likelihood, and 0.05 divides
    # what is said of the latter; that the prior decides both say.
    words = ("strong prior / weak likelihood", "potential prior-data conflict")
    assert any(f"{one}: heterogeneity_sd" in page.lower() for one in words)
    assert "Weakly informed: heterogeneity_sd" in page
