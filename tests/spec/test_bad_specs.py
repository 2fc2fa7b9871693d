"""Errors of specs: all are reported at once, each with its key and code."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nmda_bayes.errors import CODES, SpecError
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

PAIN = "outcomes.pain"
AT = f"{PAIN}.parameters"


def two_outcomes() -> dict[str, Any]:
    pain, harm = specs.outcome(better="lower"), specs.outcome("binomial", "linear")
    return specs.content(pain, harm, window=dict(specs.WINDOW), correlations=deepcopy(specs.LKJ))


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that writes a value at a dotted key."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            content = content[key]
        content[last] = value

    return change


def cut(path: str) -> Callable[[dict[str, Any]], None]:
    """A change that removes a dotted key."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for key in parents:
            content = content[key]
        del content[last]

    return change


# name: (change, key, code, what the message names or suggests)
WRONG = {
    "mean of arms as a pooled baseline": (
        lambda content: (
            put(f"{PAIN}.baseline", "mean_of_arms")(content),
            put(f"{AT}.baseline", specs.parameter("study"))(content),
        ),
        f"{PAIN}.baseline",
        "E308",
        "reference_arm",
    ),
    "unknown baseline": (put(f"{PAIN}.baseline", "mean"), f"{PAIN}.baseline", "E303", "mean"),
    "misspelt key": (put("outcoms", {}), "outcoms", "E301", "outcomes"),
    "misspelt key of an outcome": (
        put(f"{PAIN}.exposur", "dose"),
        f"{PAIN}.exposur",
        "E301",
        "exposure",
    ),
    "misspelt key of a prior": (
        put(f"{AT}.emax.priors.location.kwarg", {}),
        f"{AT}.emax.priors.location.kwarg",
        "E301",
        "kwargs",
    ),
    "misspelt sampler setting": (put("sampling.chain", 4), "sampling.chain", "E301", "chains"),
    "no title": (cut("title"), "title", "E302"),
    "no seed": (cut("sampling.seed"), "sampling.seed", "E302"),
    "no outcome": (put("outcomes", {}), "outcomes", "E303"),
    "outcome name": (put("outcomes.2nd pain", specs.outcome()), "outcomes.2nd pain", "E303"),
    "unknown curve": (put(f"{PAIN}.curve", "emaxx"), f"{PAIN}.curve", "E304", "emax"),
    "unknown likelihood": (
        put(f"{PAIN}.likelihood", "binominal"),
        f"{PAIN}.likelihood",
        "E304",
        "binomial",
    ),
    "unknown heterogeneity": (
        put(f"{PAIN}.heterogeneity", "study"),
        f"{PAIN}.heterogeneity",
        "E304",
        "none, arm",
    ),
    "unknown exposure": (put(f"{PAIN}.exposure", "doses"), f"{PAIN}.exposure", "E304", "dose"),
    "unknown pooling": (
        put(f"{AT}.emax.pooling", "agent_and_conditions"),
        f"{AT}.emax.pooling",
        "E304",
        "agent_and_condition",
    ),
    "unknown distribution": (
        put(f"{AT}.emax.priors.location.dist", "Norml"),
        f"{AT}.emax.priors.location.dist",
        "E304",
        "Normal",
    ),
    "code in place of a distribution": (
        put(f"{AT}.emax.priors.location.dist", "__import__('os').system('true')"),
        f"{AT}.emax.priors.location.dist",
        "E304",
    ),
    "code in place of a number": (
        put(f"{AT}.emax.priors.location.kwargs.mu", "__import__('os')"),
        f"{AT}.emax.priors.location.kwargs.mu",
        "E303",
    ),
    "number as text": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", "-1"),
        f"{AT}.emax.priors.location.kwargs.sigma",
        "E303",
    ),
    "no prior for a curve's parameter": (cut(f"{AT}.log_ed50"), f"{AT}.log_ed50", "E310"),
    "no prior for the baseline": (cut(f"{AT}.baseline"), f"{AT}.baseline", "E310"),
    "no prior for heterogeneity": (cut(f"{AT}.heterogeneity_sd"), f"{AT}.heterogeneity_sd", "E310"),
    "parameter of another curve": (
        put(f"{AT}.slope", specs.parameter()),
        f"{AT}.slope",
        "E312",
        "emax, log_ed50, baseline, heterogeneity_sd",
    ),
    "misspelt parameter": (
        put(f"{AT}.log_ed5", specs.parameter()),
        f"{AT}.log_ed5",
        "E312",
        "log_ed50",
    ),
    "one quantity twice": (
        put(f"{AT}.ed50", specs.parameter(location=specs.prior("LogNormal", mu=0, sigma=1))),
        f"{AT}.ed50",
        "E311",
    ),
    "missing prior of a pooling": (
        put(f"{AT}.emax.pooling", "agent"),
        f"{AT}.emax.priors.between_agent",
        "E314",
    ),
    "extra prior": (
        put(f"{AT}.emax.priors.between_agent", specs.half_normal()),
        f"{AT}.emax.priors.between_agent",
        "E315",
    ),
    "misspelt prior slot": (
        put(f"{AT}.emax.priors.locaton", specs.normal()),
        f"{AT}.emax.priors.locaton",
        "E315",
        "location",
    ),
    "pooling of the baseline": (
        put(f"{AT}.baseline", specs.parameter("agent")),
        f"{AT}.baseline.pooling",
        "E313",
        "common, independent, study",
    ),
    "pooling over studies of a curve's parameter": (
        put(f"{AT}.emax", specs.parameter("study")),
        f"{AT}.emax.pooling",
        "E313",
    ),
    "pooling of the heterogeneity": (
        put(f"{AT}.heterogeneity_sd", specs.parameter("independent", each=specs.half_normal())),
        f"{AT}.heterogeneity_sd.pooling",
        "E325",
    ),
    "negative sigma": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", -1),
        f"{AT}.emax.priors.location",
        "E316",
    ),
    "sigma of zero": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", 0),
        f"{AT}.emax.priors.location",
        "E316",
    ),
    "sigma left to a default": (
        cut(f"{AT}.emax.priors.location.kwargs.sigma"),
        f"{AT}.emax.priors.location",
        "E316",
        "(mu, sigma) or (mu, tau)",
    ),
    "misspelt argument": (
        put(f"{AT}.emax.priors.location.kwargs", {"mu": 0, "sigm": 1}),
        f"{AT}.emax.priors.location",
        "E316",
        "sigma",
    ),
    "infinite argument": (
        put(f"{AT}.emax.priors.location.kwargs.mu", float("inf")),
        f"{AT}.emax.priors.location.kwargs.mu",
        "E303",
    ),
    "bounds that cross": (
        put(f"{AT}.emax.priors.location", specs.prior("Uniform", lower=2, upper=1)),
        f"{AT}.emax.priors.location",
        "E316",
    ),
    "negative heterogeneity allowed": (
        put(f"{AT}.heterogeneity_sd.priors.location", specs.normal()),
        f"{AT}.heterogeneity_sd.priors.location",
        "E317",
    ),
    "negative spread allowed": (
        put(f"{AT}.emax", specs.parameter("agent", between_agent=specs.normal())),
        f"{AT}.emax.priors.between_agent",
        "E317",
    ),
    "correlation's prior": (
        put("correlations.heterogeneity.kwargs", {"eat": 2}),
        "correlations.heterogeneity.kwargs.eat",
        "E303",
    ),
    "correlation with no heterogeneity": (
        put("outcomes.harm.heterogeneity", "none"),
        "correlations.heterogeneity",
        "E345",
    ),
    "window of an unknown outcome": (
        put("window.benefit", "pian"),
        "window.benefit",
        "E340",
        "pain",
    ),
    "window without a direction": (put(f"{PAIN}.better", ""), f"{PAIN}.better", "E341"),
    "window whose harm is no risk": (put("window.harm", "pain"), "window.harm", "E343", "binomial"),
    "impossible risk": (put("window.risk_at_most", 10), "window.risk_at_most", "E303"),
    "no draws": (put("sampling.draws", 0), "sampling.draws", "E303"),
    "time rule": (put(f"{PAIN}.time", {"rule": "lastest"}), f"{PAIN}.time.rule", "E303", "latest"),
}


def test_the_unchanged_spec_is_valid():
    assert AnalysisSpec.from_dict(two_outcomes()).window is not None


@pytest.mark.parametrize("name", WRONG)
def test_error_has_its_key_and_code(name):
    change, key, code, *names = WRONG[name]
    content = two_outcomes()
    change(content)
    issues = issues_when(lambda: AnalysisSpec.from_dict(content, file="mine.toml"), SpecError)
    assert {issue.file for issue in issues} == {"mine.toml"}
    at_key = [f for f in issues if f.column.removesuffix(".[key]") == key]
    assert {issue.code for issue in at_key} == {code}
    assert all(any(word in str(issue) for issue in at_key) for word in names)


def test_correlation_of_a_single_outcome():
    content = specs.content(correlations=specs.LKJ)
    (issue,) = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    assert (issue.code, issue.column) == ("E344", "correlations.heterogeneity")


def test_a_natural_quantity_is_positive_and_not_pooled():
    content = specs.content()
    parameters = content["outcomes"]["pain"]["parameters"]
    del parameters["log_ed50"]
    parameters["ed50"] = specs.parameter("agent")
    issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    key = f"{AT}.ed50"
    expected = {("E313", f"{key}.pooling"), ("E317", f"{key}.priors.location")}
    assert {(f.code, f.column) for f in issues} == expected


def test_every_error_is_reported_at_once():
    content = two_outcomes()
    names = [
        "misspelt key",
        "unknown curve",
        "negative sigma",
        "no seed",
        "extra prior",
        "window of an unknown outcome",
        "negative heterogeneity allowed",
    ]
    for name in names:
        if name != "unknown curve":  # an unknown curve hides which parameters it needs
            WRONG[name][0](content)
    content["outcomes"]["harm"]["curve"] = "lineer"
    issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    columns = {issue.column for issue in issues}
    expected = {WRONG[name][1] for name in names if name != "unknown curve"}
    assert expected | {"outcomes.harm.curve"} <= columns
    assert len(str(SpecError(issues)).splitlines()) == len(issues)


def paths(content: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of nested mappings, by its path."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*at, key)
            yield from paths(value, (*at, key))


@pytest.mark.parametrize("value", [["x"], {"x": 1}, {}, [], "x", -1, True, None, 2.5], ids=repr)
def test_any_value_anywhere_is_valid_or_an_error(value):
    for path in paths(two_outcomes()):
        content = two_outcomes()
        put(".".join(path), value)(content)
        try:
            AnalysisSpec.from_dict(content)
        except SpecError as error:
            assert all(issue.message and issue.code in CODES for issue in error.issues)


class TestFiles:
    def test_a_missing_file(self, tmp_path: Path):
        path = tmp_path / "no.toml"
        (issue,) = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert issue.file == str(path)
        assert issue.code == "E300"

    def test_a_folder(self, tmp_path: Path):
        (issue,) = issues_when(lambda: AnalysisSpec.from_toml(tmp_path), SpecError)
        assert issue.code == "E300"

    def test_invalid_toml_names_the_line(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_text('title = "a"\noutcomes = = 3\n')
        (issue,) = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert issue.code == "E306"
        assert "line 2" in issue.message

    def test_not_utf8(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_bytes('title = "Schmerzlinderung über Dosis"'.encode("latin-1"))
        (issue,) = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert issue.code == "E305"

    def test_empty_file(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_text("")
        issues = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert {issue.column for issue in issues} == {"title", "outcomes", "sampling"}

    def test_byte_order_mark_and_crlf(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        text = SHORT.replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert AnalysisSpec.from_toml(path) == AnalysisSpec.from_dict(tomllib.loads(SHORT))


SHORT = """
title = "Short"
[outcomes.pain]
likelihood = "normal_contrast"
curve = "constant"
heterogeneity = "none"
[outcomes.pain.parameters.effect]
pooling = "common"
priors.location = { dist = "Normal", kwargs = { mu = 0, sigma = 1 }, why = "short" }
[sampling]
seed = 1
"""


@pytest.mark.parametrize(
    "text",
    [
        f"title = 'x'\nsampling.seed = {'9' * 5000}",
        f"title = 'x'\nseed = {'[' * 5000}",
        f"title = 'x'\n{'a.' * 5000}a = 1",
        f"title = 'x'\n{'a.' * 100_000}a = 1",
        f"title = 'x'\n{'a.' * 100}a = 1",
        f"title = 'x'\nseed = {'[' * 60}{']' * 60}",
    ],
    ids=["digits", "brackets", "dotted keys", "a long key", "100 dotted keys", "60 brackets"],
)
def test_extreme_toml_is_an_error_at_its_line(text: str, tmp_path: Path):
    path = tmp_path / "spec.toml"
    path.write_text(text)
    (issue,) = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
    assert (issue.code, issue.file) == ("E306", str(path))
    assert issue.row in (2, None)
    assert len(issue.message) < 300


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path):
    path = tmp_path / "spec.toml"
    path.write_bytes(b"#" * 3_000_000)
    (issue,) = issues_when(lambda: AnalysisSpec.from_toml(path), SpecError)
    assert issue.code == "E306"


@pytest.mark.parametrize("method", ["exact", "auto", "nuts"])
def test_a_seed_is_asked_for_where_draws_are_the_answer(method: str):
    content = specs.content()
    content["sampling"] = {"method": method}
    if method == "nuts":
        (issue,) = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert (issue.code, issue.column) == ("E302", "sampling.seed")
    else:
        spec = AnalysisSpec.from_dict(content)
        assert spec.model_dump(exclude_defaults=True)["sampling"]["seed"] == spec.sampling.seed


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, -1, 2**32])
@pytest.mark.parametrize("key", ["seed", "draws", "chains", "tune", "target_accept"])
def test_settings_of_the_sampler_are_finite(key: str, value: Any):
    content = specs.content()
    content["sampling"][key] = value
    issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    assert [issue.column for issue in issues] == [f"sampling.{key}"]
