"""Fits of the reference specs through the command line, once each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nmda_bayes.cli import app

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, Path]]:
    """Run ``nmda-bayes fit SPEC --evidence CSV --out DIR``: its exit code and its folder."""

    @cache
    def run(spec: str, evidence: str, command: str = "fit") -> tuple[int, Path]:
        out = tmp_path_factory.mktemp("reference") / evidence
        files = [str(HERE / f"{spec}.toml"), "--evidence", str(HERE / f"{evidence}.csv")]
        result = CliRunner().invoke(app, [command, *files, "--out", str(out)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code in (0, 3), result.output
        return result.exit_code, out

    return run
