"""Registries of parts, table formats and shipped analyses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nmda_bayes.components.bias import BIASES
from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.time_courses import TIME_COURSES
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence.importers import FORMATS, format_names
from nmda_bayes.registry import TABLE_FORMATS, Registry, analysis_path, shipped_analyses
from nmda_bayes.sensitivity.generators import GENERATORS
from nmda_bayes.templates import DATA_OF
from tests.support.issues import issues_when

REGISTRIES = {
    "bias": BIASES,
    "course": TIME_COURSES,
    "curve": CURVES,
    "exposure": EXPOSURES,
    "format": FORMATS,
    "generator": GENERATORS,
    "heterogeneity": HETEROGENEITIES,
    "likelihood": LIKELIHOODS,
    "pooling": POOLINGS,
}


@dataclass(frozen=True)
class Shape:
    name: str
    sides: int


def shape(function, sides):
    return Shape(function.__name__, sides)


def test_a_decorated_function_is_registered():
    shapes = Registry("shape", shape)

    @shapes.entry(3)
    def triangle():
        pass

    assert triangle == Shape("triangle", 3)
    assert shapes == {"triangle": triangle}
    shapes.add(Shape("square", 4))
    assert list(shapes) == ["triangle", "square"]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_an_unknown_name_is_an_error_with_a_suggestion(kind):
    registry = REGISTRIES[kind]
    assert registry.kind == kind
    known = list(registry)[-1]
    misspelt = known[:-1]
    error = EvidenceError if kind == "format" else SpecError
    (issue,) = issues_when(lambda: registry[misspelt], error)
    assert issue.code == registry.code
    assert misspelt in issue.message and kind in issue.message
    assert any(name in issue.hint for name in registry)
    assert registry.get(misspelt) is None and misspelt not in registry
    assert registry.unknown(misspelt, "outcomes.pain.x").column == "outcomes.pain.x"


def test_table_formats_are_those_of_the_importers():
    assert list(TABLE_FORMATS) == format_names()


def test_shipped_analyses_by_kind():
    specs = shipped_analyses()
    sensitivity, templates = shipped_analyses(sensitivity=True), shipped_analyses(templates=True)
    assert "benefit_risk" in specs and "sensitivity" in sensitivity
    assert set(templates) == set(DATA_OF)
    assert not set(specs) & {*sensitivity, *templates}
    assert analysis_path("benefit_risk").is_file()
    assert analysis_path("benefit_risk.toml") == analysis_path("benefit_risk")
    assert not analysis_path("no_such_analysis").exists()


def test_a_file_is_preferred_to_a_shipped_analysis(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benefit_risk.toml").write_text("")
    assert not analysis_path("benefit_risk.toml").is_absolute()
