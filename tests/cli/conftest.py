"""A command line in a folder of its own, and samplers that answer at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymc as pm
import pytest
import tomli_w
import xarray as xr
from typer.testing import CliRunner

from nmda_bayes.cli import app
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import PRIOR_DRAWS, SAMPLER, prior_as_posterior

TABLE = """\
study,agent,dose,events,n
A,placebo,0,1,20
A,ketamine,1,4,20
B,placebo,0,0,30
B,ketamine,0.5,2,31
B,ketamine,2,9,29
C,placebo,0,2,25
C,memantine,1,2,24
"""


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Bench:
    """A folder, and the command line in it."""

    folder: Path

    def __call__(self, *arguments: str | Path) -> Told:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Told(result.exit_code, result.stdout, result.stderr)

    def write(self, name: str, content: str | bytes | Mapping[str, Any]) -> Path:
        path = self.folder / name
        if isinstance(content, Mapping):
            content = tomli_w.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def contents(self) -> dict[str, str]:
        """Every file of the folder with a digest of what stands in it, and the empty folders."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else "folder"
            for path in sorted(self.folder.rglob("*"))
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def table(bench: Bench) -> Path:
    """Three trials of two agents, counts."""
    return bench.write("trials.csv", TABLE)


def spec_content(**more: Any) -> dict[str, Any]:
    """One binary outcome on an Emax curve; priors whose draws no likelihood calls impossible."""
    modest = {"baseline": specs.parameter("independent", each=specs.normal(-2, 1))}
    outcome = specs.outcome("binomial", parameters=modest, label="Dissociation", better="lower")
    sampling = {"seed": 1, "chains": 4, "draws": 250, "tune": 1}
    content = {"title": "Harm", "outcomes": {"harm": outcome}, "sampling": sampling}
    return content | more


@pytest.fixture
def spec(bench: Bench) -> Path:
    return bench.write("harm.toml", spec_content())


@pytest.fixture
def disagreeing_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that have each found a place of their own."""

    def disagree(
        model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
    ) -> xr.DataTree:
        drawn = prior_as_posterior(model, spec, progress=progress)
        apart = drawn["posterior"].to_dataset()
        drawn["posterior"] = xr.DataTree(apart.assign(emax=apart["emax"] + 2 * apart["chain"]))
        return drawn

    monkeypatch.setattr(SAMPLER, disagree)
    monkeypatch.setattr(PRIOR_DRAWS, 100)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, BaseException], None]:
    """Make a function of the package raise when it is called."""

    def make(name: str, error: BaseException) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr(name, fail)

    return make
