"""The command line in a temporary folder, with samplers that return at once."""

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
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

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
class CommandResult:
    """Output and exit code of a command."""

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

    def __call__(self, *arguments: str | Path) -> CommandResult:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return CommandResult(result.exit_code, result.stdout, result.stderr)

    def write(self, name: str, content: str | bytes | Mapping[str, Any]) -> Path:
        path = self.folder / name
        if isinstance(content, Mapping):
            content = tomli_w.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def contents(self) -> dict[str, str]:
        """A digest of every file of the folder, and the empty folders."""
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
    """A binary outcome on an Emax curve, with priors whose draws have a finite likelihood."""
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
    """A sampler whose chains do not mix."""

    def disagree(
        model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
    ) -> xr.DataTree:
        tree = prior_as_posterior(model, spec, progress=progress)
        posterior = tree["posterior"].to_dataset()
        shifted = posterior["emax"] + 2 * posterior["chain"]
        tree["posterior"] = xr.DataTree(posterior.assign(emax=shifted))
        return tree

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
