"""Every notebook runs from top to bottom, the sampler mocked, and is kept without its outputs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pymc as pm
import pytest
import xarray as xr

from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.designs import seen
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.spec import AnalysisSpec
from tests.conftest import PRIOR_DRAWS, SAMPLER, prior_as_posterior

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
DRAWS = {"chains": 4, "draws": 50}


def notebook(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def few_draws(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    short = spec.model_copy(update={"sampling": spec.sampling.model_copy(update=DRAWS)})
    return prior_as_posterior(model, short, progress=progress)


def few_draws_of_a_variant(job: Job, settings: Any) -> tuple[xr.DataTree, str]:
    return few_draws(model_of(job.spec, seen(job.design)), job.spec, progress=False), "fitted"


def run_cell(source: str, namespace: dict[str, Any], name: str) -> None:
    """Run a cell as a notebook does: statements, then the last expression is shown."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if last is None:
        return
    shown = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    for show in ("_repr_mimebundle_", "_repr_html_"):
        if hasattr(shown, show):
            getattr(shown, show)()


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(SAMPLER, few_draws)
    monkeypatch.setattr("nmda_bayes.sensitivity.work.sampled", few_draws_of_a_variant)
    monkeypatch.setattr(PRIOR_DRAWS, 100)
    monkeypatch.chdir(tmp_path)  # a notebook needs nothing beside itself, and leaves nothing
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook(path).cells):
        if cell.cell_type == "code":
            run_cell(cell.source, namespace, f"{path.name}, cell {number}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_holds_no_output(path: Path):
    for cell in notebook(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_prose_with_code_in_it(path: Path):
    """One question in the title, and an interval is never shown without its kind and level."""
    cells = notebook(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert cells[0].source.startswith("# ")
    assert cells[0].source.splitlines()[0].endswith("?")
    assert "95 % equal-tailed" in text
