"""The wheel and the source archive are complete, and the wheel works outside a clone."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[1]
#: Folders of the clone, and where the wheel has them.
WHEEL_FOLDERS = {
    "src/nmda_bayes": "nmda_bayes",
    "data": "nmda_bayes/shipped/data",
    "models": "nmda_bayes/shipped/models",
}


def _files(folder: str) -> set[str]:
    """The files under a folder of the clone, by their path from that folder."""
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        folder = tmp_path_factory.mktemp("dist")
        return folder / build.build_wheel(str(folder))


@pytest.mark.parametrize(
    ("folder", "known"),
    [("src/nmda_bayes", "py.typed"), ("data", "arms.csv"), ("models", "benefit_risk.toml")],
)
def test_contents_of_the_wheel(wheel, folder, known):
    files = _files(folder)
    assert known in files
    with zipfile.ZipFile(wheel) as archive:
        assert {f"{WHEEL_FOLDERS[folder]}/{file}" for file in files} <= set(archive.namelist())


def test_contents_of_the_source_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build.build_sdist(str(tmp_path))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {f"{folder}/{file}" for folder in WHEEL_FOLDERS for file in _files(folder)}
    assert {"pyproject.toml", "README.md", "LICENSE"} | expected <= names
    assert not any(name.startswith(("build/", ".venv/", ".git/")) for name in names)


def test_the_installed_wheel_checks_its_evidence(wheel, tmp_path):
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-compile", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", site, wheel], check=True)

    def run_outside(*command: str | Path) -> str:
        completed = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        return completed.stdout

    location = run_outside(sys.executable, "-c", "import nmda_bayes.errors as m; print(m.__file__)")
    assert Path(location.strip()).is_relative_to(site)
    run_outside(site / "bin" / "nmda-bayes", "check")
