"""The public API: names, docstrings, examples, first parameters and docs/api.md."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpydoc.validate import validate

import nmda_bayes as nb
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

ROOT = Path(__file__).parents[1]
NAMES = [name for modules in nb.PUBLIC_API.values() for names in modules.values() for name in names]
#: The checks of numpydoc that a public docstring passes.
CHECKS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]
)
#: What estimands and figures take first: a fit, a spec, or labelled arrays.
FIRST = {"xr.DataTree", "xr.DataArray", "xr.Dataset", "AnalysisSpec", "pd.DataFrame"}
#: Draws the catalogue of curves, which needs no data.
WITHOUT_DATA = {"plot_curve_catalogue"}


@pytest.fixture(scope="module")
def example_globals() -> dict[str, Any]:
    """The names that examples may use; posteriors are priors."""
    evidence = nb.load_evidence()
    spec, pk_spec = (short_spec(f"{name}.toml") for name in ("benefit_risk", "concentration"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        patch.setattr(PRIOR_DRAWS, 100)
        fits = {"fit": nb.fit(spec, evidence), "pk_fit": nb.fit(pk_spec, evidence)}
    modules = {"nb": nb, "np": np, "xr": xr, "pd": pd}
    return {**modules, "evidence": evidence, "spec": spec, **fits}


def short_spec(file: str) -> nb.AnalysisSpec:
    content = nb.AnalysisSpec.from_toml(ROOT / "models" / file).model_dump()
    sampling = {"seed": 1, "chains": 2, "draws": 50, "tune": 50}
    return nb.AnalysisSpec.from_dict(content | {"sampling": sampling})


def test_names_are_few_unique_and_importable():
    assert 60 <= len(NAMES) <= 80
    assert len(set(NAMES)) == len(NAMES)
    assert nb.__all__ == [*NAMES, *nb.SUBMODULES]
    assert [name for name in nb.__all__ if not hasattr(nb, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = nb.unknown


def test_import_is_light():
    code = "import sys, nmda_bayes; print(len({'pymc', 'pytensor', 'xarray'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("name", NAMES)
def test_docstring_is_complete(name):
    member, checks = getattr(nb, name), CHECKS
    # Attributes of a data class are its parameters; a subclass may inherit its constructor.
    if inspect.isclass(member) and (
        "Attributes\n---" in inspect.getdoc(member) or "__init__" not in vars(member)
    ):
        checks = CHECKS - {"PR01"}
    errors = validate(f"nmda_bayes.{name}")["errors"]
    assert [error for error in errors if error[0] in checks] == []


@pytest.mark.parametrize("name", NAMES)
def test_example_runs(name, example_globals, tmp_path, monkeypatch):
    """Examples run in a folder with the repository's data and models only."""
    docstring = inspect.getdoc(getattr(nb, name)) or ""
    for folder in ("data", "models"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(docstring, dict(example_globals), name, None, None)
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    plt.close("all")
    assert result.attempted > 0
    assert result.failed == 0, "".join(output)


@pytest.mark.parametrize(
    "name",
    [
        name
        for modules in nb.PUBLIC_API.values()
        for module in ("estimands", "figures")
        for name in modules.get(module, ())
        if name not in WITHOUT_DATA
    ],
)
def test_first_parameter_is_data(name):
    first, *_ = inspect.signature(getattr(nb, name)).parameters.values()
    assert set(str(first.annotation).split(" | ")) <= FIRST


def test_pages_and_stub_are_up_to_date():
    location = importlib.util.spec_from_file_location("api", ROOT / "docs" / "api.py")
    api = importlib.util.module_from_spec(location)
    location.loader.exec_module(api)
    assert api.PAGE.read_text(encoding="utf-8") == api.api_page()
    assert api.ERRORS.read_text(encoding="utf-8") == api.errors_page()
    assert api.STUB.read_text(encoding="utf-8") == api.stub()
