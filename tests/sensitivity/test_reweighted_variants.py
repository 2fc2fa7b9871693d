"""Variants near the base case are reweighted, others are fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model_from_design
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.plan import build_plan
from nmda_bayes.sensitivity.runner import SerialExecutor, VariantJob, run_plan
from nmda_bayes.sensitivity.summaries import run_variant
from nmda_bayes.sensitivity.variants import DesignCache, included_rows
from nmda_bayes.spec import SamplingSpec
from tests.support import specs
from tests.support.fits import prior_as_posterior

#: A slightly wider prior than the base's SD of 1, and a location beyond all draws.
CONTENT = {
    "dose": 1,
    "generate": {
        "prior_scale": {"of": "effect.effect.location", "by": [1.02], "why": "so"},
        "prior_location": {"of": "effect.effect.location", "by": [30.0], "why": "so"},
    },
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    drawn: list[str] = []

    def draw(job: VariantJob, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        drawn.append(job.name)
        return prior_as_posterior(
            build_model_from_design(job.spec, included_rows(job.design)), job.spec, progress=False
        ), "fitted"

    monkeypatch.setattr("nmda_bayes.sensitivity.summaries.sample_variant", draw)
    return drawn


def test_near_variants_are_reweighted_and_far_ones_fitted(calls: list[str], tmp_path: Path):
    evidence = load_evidence(specs.normal_table(name="effect"))
    outcome = specs.outcome("normal", "constant", "none")
    spec = specs.spec(outcome)
    spec = type(spec).from_dict({**spec.model_dump(mode="json", exclude_none=True),
                                 "outcomes": {"effect": outcome},
                                 "sampling": {"seed": 1, "chains": 4, "draws": 500}})  # fmt: skip
    plan = build_plan(CONTENT, DesignCache(spec, evidence))
    result = run_plan(plan, evidence, ResultCache(tmp_path), SerialExecutor)
    how = dict(zip(result["variant"].to_numpy(), result["how"].to_numpy(), strict=True))
    near, far = list(how)[1:]
    assert how == {"base": "fitted", near: "reweighted", far: "fitted"}
    assert calls == ["base", far]
    assert float(result["k_hat"].sel(variant=near)) < 0.7
    assert np.isnan(result["k_hat"].sel(variant="base"))
    # The mocked posterior is the prior: reweighted, its SD is the other prior's, 1.02.
    sd = result["effect"].sel(statistic="sd", outcome="effect").isel(agent=0, condition=0)
    ratio = float(sd.sel(variant=near) / sd.sel(variant="base"))
    # The ratio of SDs of the same draws under nearly equal weights: resampling adds 2 / √2000.
    assert ratio == pytest.approx(1.02, abs=0.045)
    # Another run reads the base's draws and samples nothing.
    again = run_plan(plan, evidence, ResultCache(tmp_path), SerialExecutor)
    assert len(calls) == 2
    xr.testing.assert_identical(again, result)


def test_corrupt_draws_of_the_base_are_sampled_again(calls: list[str], tmp_path: Path):
    evidence = load_evidence(specs.normal_table(name="effect"))
    content = specs.content(specs.outcome("normal", "constant", "none"))
    content["outcomes"] = {"effect": content["outcomes"]["pain"]}
    content["sampling"] = {"seed": 1, "chains": 4, "draws": 500}
    designs = DesignCache(specs.AnalysisSpec.from_dict(content), evidence)
    few = {"prior_scale": CONTENT["generate"]["prior_scale"]}
    plan = build_plan({"dose": 1, "generate": few}, designs)
    run_plan(plan, evidence, ResultCache(tmp_path), SerialExecutor)
    (draws,) = tmp_path.glob("*.draws")
    draws.write_bytes(draws.read_bytes()[:5000])
    for path in tmp_path.glob("*.nc"):
        path.unlink()
    store = ResultCache(tmp_path)
    run_plan(plan, evidence, store, SerialExecutor)
    assert calls == ["base", "base"]
    assert [issue.file for issue in store.corrupt] == [str(draws)]


@pytest.mark.parametrize(
    ("name", "draws", "passed", "drawn"),
    [
        ("v", 2000, [True], [(1000, 1)]),
        ("v", 2000, [False, True], [(1000, 1), (1000, 2)]),
        ("v", 1500, [False], [(1500, 1)]),
        ("base", 2000, [True], [(2000, 1)]),
    ],
)
def test_variants_use_half_the_draws_and_more_if_checks_fail(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    draws: int,
    passed: list[bool],
    drawn: list[tuple[int, int]],
):
    requested, passes, checked = [], iter(passed), []

    def draw(job: VariantJob, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        requested.append((settings.draws, settings.seed))
        x = xr.Dataset({"x": (("chain", "draw"), np.full((4, settings.draws), settings.seed))},
                       {"chain": range(4)})  # fmt: skip
        return xr.DataTree.from_dict({"posterior": x, "sample_stats": x}), "fitted"

    def summarise(job: VariantJob, tree: xr.DataTree, *_: object) -> xr.Dataset:
        checked.append(tree["posterior"]["x"].mean("draw").to_series().to_dict())
        return xr.Dataset(attrs={"passed": int(next(passes))})

    monkeypatch.setattr("nmda_bayes.sensitivity.summaries.sample_variant", draw)
    monkeypatch.setattr("nmda_bayes.sensitivity.summaries._summarise_draws", summarise)
    sampling = {"seed": 1, "draws": draws, "tune": 2000, "method": "nuts"}
    spec = specs.benefit_risk(sampling=sampling)
    run_variant(VariantJob(name, "key", spec, xr.DataTree(), 1.0))
    assert requested == drawn
    # The first draws are kept: eight chains, four of each seed.
    per_seed = 4 * len(drawn)
    assert checked[-1] == {c: 1 + c // 4 for c in range(per_seed)}
