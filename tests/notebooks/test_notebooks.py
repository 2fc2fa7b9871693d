"""All notebooks run with a mocked sampler, and are stored without outputs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pymc as pm
import pytest
import xarray as xr

from nmda_bayes.model import build_model_from_design
from nmda_bayes.sensitivity.runner import VariantJob
from nmda_bayes.sensitivity.variants import included_rows
from nmda_bayes.spec import AnalysisSpec
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
DRAWS = {"chains": 4, "draws": 50}


def notebook(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def few_draws(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    short = spec.model_copy(update={"sampling": spec.sampling.model_copy(update=DRAWS)})
    return prior_as_posterior(model, short, progress=progress)


def few_draws_of_a_variant(job: VariantJob, settings: Any) -> tuple[xr.DataTree, str]:
    return few_draws(
        build_model_from_design(job.spec, included_rows(job.design)), job.spec, progress=False
    ), "fitted"


def run_cell(source: str, namespace: dict[str, Any], name: str) -> None:
    """Run a cell as a notebook does, and display its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if last is None:
        return
    shown = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    for show in ("_repr_mimebundle_", "_repr_html_"):
        if hasattr(shown, show):
            getattr(shown, show)()


def test_notebooks_exist():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(SAMPLER, few_draws)
    monkeypatch.setattr("nmda_bayes.sensitivity.summaries.sample_variant", few_draws_of_a_variant)
    monkeypatch.setattr(PRIOR_DRAWS, 100)
    monkeypatch.chdir(tmp_path)  # notebooks need no other file and leave none
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook(path).cells):
        if cell.cell_type == "code":
            run_cell(cell.source, namespace, f"{path.name}, cell {number}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_outputs(path: Path):
    for cell in notebook(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_asks_a_question_and_defines_intervals(path: Path):
    cells = notebook(path).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert cells[0].source.startswith("# ")
    assert cells[0].source.splitlines()[0].endswith("?")
    assert "95% credible interval" in text
