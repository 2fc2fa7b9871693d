"""What is near the base is answered from its draws, and what weights cannot carry is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.designs import Designs, seen
from nmda_bayes.sensitivity.executors import Here
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.plan import plan_of
from nmda_bayes.sensitivity.run import run_plan
from nmda_bayes.sensitivity.store import Store
from nmda_bayes.sensitivity.work import answer
from nmda_bayes.spec import SamplingSpec
from tests import specs
from tests.conftest import prior_as_posterior

#: A little wider than the base's prior of SD 1, and so far away that no draw lies there.
ASKED = {
    "dose": 1,
    "generate": {
        "prior_scale": {"of": "effect.effect.location", "by": [1.02], "why": "so"},
        "prior_location": {"of": "effect.effect.location", "by": [30.0], "why": "so"},
    },
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    drawn: list[str] = []

    def draw(job: Job, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        drawn.append(job.name)
        return prior_as_posterior(
            model_of(job.spec, seen(job.design)), job.spec, progress=False
        ), "fitted"

    monkeypatch.setattr("nmda_bayes.sensitivity.work.sampled", draw)
    return drawn


def test_cheap_before_dear(calls: list[str], tmp_path: Path):
    evidence = load_evidence(specs.normal_table(name="effect"))
    outcome = specs.outcome("normal", "constant", "none")
    spec = specs.spec(outcome)
    spec = type(spec).from_dict({**spec.model_dump(mode="json", exclude_none=True),
                                 "outcomes": {"effect": outcome},
                                 "sampling": {"seed": 1, "chains": 4, "draws": 500}})  # fmt: skip
    plan = plan_of(ASKED, Designs(spec, evidence))
    found = run_plan(plan, evidence, Store(tmp_path), Here)
    how = dict(zip(found["variant"].to_numpy(), found["how"].to_numpy(), strict=True))
    near, far = list(how)[1:]
    assert how == {"base": "fitted", near: "reweighted", far: "fitted"}
    assert calls == ["base", far]
    assert float(found["k_hat"].sel(variant=near)) < 0.7
    assert np.isnan(found["k_hat"].sel(variant="base"))
    # The mocked posterior is the prior: reweighted, its SD is the other prior's, 1.02.
    sd = found["effect"].sel(statistic="sd", outcome="effect").isel(agent=0, condition=0)
    ratio = float(sd.sel(variant=near) / sd.sel(variant="base"))
    # The ratio of SDs of the same draws under nearly equal weights: resampling adds 2 / √2000.
    assert ratio == pytest.approx(1.02, abs=0.045)
    # Another run reads the base's draws and draws nothing.
    again = run_plan(plan, evidence, Store(tmp_path), Here)
    assert len(calls) == 2
    xr.testing.assert_identical(again, found)


def test_spoilt_draws_of_the_base_are_drawn_again(calls: list[str], tmp_path: Path):
    evidence = load_evidence(specs.normal_table(name="effect"))
    content = specs.content(specs.outcome("normal", "constant", "none"))
    content["outcomes"] = {"effect": content["outcomes"]["pain"]}
    content["sampling"] = {"seed": 1, "chains": 4, "draws": 500}
    designs = Designs(specs.AnalysisSpec.from_dict(content), evidence)
    few = {"prior_scale": ASKED["generate"]["prior_scale"]}
    plan = plan_of({"dose": 1, "generate": few}, designs)
    run_plan(plan, evidence, Store(tmp_path), Here)
    (draws,) = tmp_path.glob("*.draws")
    draws.write_bytes(draws.read_bytes()[:5000])
    for path in tmp_path.glob("*.nc"):
        path.unlink()
    store = Store(tmp_path)
    run_plan(plan, evidence, store, Here)
    assert calls == ["base", "base"]
    assert [fault.file for fault in store.distrusted] == [str(draws)]


@pytest.mark.parametrize(
    ("name", "draws", "passed", "drawn"),
    [
        ("v", 2000, [True], [(1000, 1)]),
        ("v", 2000, [False, True], [(1000, 1), (1000, 2)]),
        ("v", 1500, [False], [(1500, 1)]),
        ("base", 2000, [True], [(2000, 1)]),
    ],
)
def test_a_variant_draws_half_and_as_much_again_where_the_half_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    draws: int,
    passed: list[bool],
    drawn: list[tuple[int, int]],
):
    asked, verdicts, seen_by_the_gate = [], iter(passed), []

    def draw(job: Job, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        asked.append((settings.draws, settings.seed))
        x = xr.Dataset({"x": (("chain", "draw"), np.full((4, settings.draws), settings.seed))},
                       {"chain": range(4)})  # fmt: skip
        return xr.DataTree.from_dict({"posterior": x, "sample_stats": x}), "fitted"

    def told(job: Job, tree: xr.DataTree, *_: object) -> xr.Dataset:
        seen_by_the_gate.append(tree["posterior"]["x"].mean("draw").to_series().to_dict())
        return xr.Dataset(attrs={"passed": int(next(verdicts))})

    monkeypatch.setattr("nmda_bayes.sensitivity.work.sampled", draw)
    monkeypatch.setattr("nmda_bayes.sensitivity.work._told_of", told)
    sampling = {"seed": 1, "draws": draws, "tune": 2000, "method": "nuts"}
    answer(Job(name, "key", specs.benefit_risk(sampling=sampling), xr.DataTree(), 1.0))
    assert asked == drawn
    # What was drawn first is not thrown away: eight chains, four of each seed.
    per_seed = 4 * len(drawn)
    assert seen_by_the_gate[-1] == {c: 1 + c // 4 for c in range(per_seed)}
