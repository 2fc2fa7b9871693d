"""Every way a spec can be wrong: refused, all at once, with the key and the mend."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nmda_bayes.errors import SpecError
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when

PAIN = "outcomes.pain"
AT = f"{PAIN}.parameters"


def two_outcomes() -> dict[str, Any]:
    pain, harm = specs.outcome(better="lower"), specs.outcome("binomial", "linear")
    return specs.content(pain, harm, window=dict(specs.WINDOW), correlations=deepcopy(specs.LKJ))


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that writes a value at a dotted key."""

    def change(content: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for key in way:
            content = content[key]
        content[last] = value

    return change


def cut(path: str) -> Callable[[dict[str, Any]], None]:
    """A change that removes a dotted key."""

    def change(content: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for key in way:
            content = content[key]
        del content[last]

    return change


# name: (change, key, words of the message or the mend)
WRONG = {
    "misspelt key": (put("outcoms", {}), "outcoms", ["unknown key 'outcoms'", "'outcomes'"]),
    "misspelt key of an outcome": (
        put(f"{PAIN}.exposur", "dose"), f"{PAIN}.exposur", ["unknown key", "'exposure'"]),
    "misspelt key of a prior": (
        put(f"{AT}.emax.priors.location.kwarg", {}),
        f"{AT}.emax.priors.location.kwarg", ["unknown key", "'kwargs'"]),
    "misspelt sampler setting": (put("sampling.chain", 4), "sampling.chain", ["'chains'"]),
    "no title": (cut("title"), "title", ["'title' is missing"]),
    "no seed": (cut("sampling.seed"), "sampling.seed", ["'seed' is missing", "Write seed"]),
    "no outcome": (put("outcomes", {}), "outcomes", ["at least 1"]),
    "outcome name": (
        put("outcomes.2nd pain", specs.outcome()), "outcomes.2nd pain", ["match pattern"]),
    "unknown curve": (
        put(f"{PAIN}.curve", "emaxx"), f"{PAIN}.curve", ["unknown curve 'emaxx'", "'emax'"]),
    "unknown likelihood": (
        put(f"{PAIN}.likelihood", "binominal"), f"{PAIN}.likelihood",
        ["unknown likelihood", "'binomial'"]),
    "unknown heterogeneity": (
        put(f"{PAIN}.heterogeneity", "study"), f"{PAIN}.heterogeneity", ["Known: none, arm"]),
    "unknown exposure": (
        put(f"{PAIN}.exposure", "doses"), f"{PAIN}.exposure", ["unknown exposure", "'dose'"]),
    "unknown pooling": (
        put(f"{AT}.emax.pooling", "agent_and_conditions"), f"{AT}.emax.pooling",
        ["unknown pooling", "'agent_and_condition'"]),
    "unknown distribution": (
        put(f"{AT}.emax.priors.location.dist", "Norml"), f"{AT}.emax.priors.location.dist",
        ["unknown distribution 'Norml'", "'Normal'"]),
    "code in place of a distribution": (
        put(f"{AT}.emax.priors.location.dist", "__import__('os').system('true')"),
        f"{AT}.emax.priors.location.dist", ["unknown distribution", "Known: Normal"]),
    "code in place of a number": (
        put(f"{AT}.emax.priors.location.kwargs.mu", "__import__('os')"),
        f"{AT}.emax.priors.location.kwargs.mu", ["valid number"]),
    "number as text": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", "-1"),
        f"{AT}.emax.priors.location.kwargs.sigma", ["valid number"]),
    "no prior for a curve's parameter": (
        cut(f"{AT}.log_ed50"), f"{AT}.log_ed50",
        ["'log_ed50' has no prior", f"Write [{AT}.log_ed50]", "priors.location = {", "none is"]),
    "no prior for the baseline": (cut(f"{AT}.baseline"), f"{AT}.baseline", ["has no prior"]),
    "no prior for heterogeneity": (
        cut(f"{AT}.heterogeneity_sd"), f"{AT}.heterogeneity_sd", ["has no prior"]),
    "parameter of another curve": (
        put(f"{AT}.slope", specs.parameter()), f"{AT}.slope",
        ["'slope' is not a parameter", "emax, log_ed50, baseline, heterogeneity_sd"]),
    "misspelt parameter": (
        put(f"{AT}.log_ed5", specs.parameter()), f"{AT}.log_ed5", ["Did you mean 'log_ed50'?"]),
    "one quantity twice": (
        put(f"{AT}.ed50", specs.parameter(location=specs.prior("LogNormal", mu=0, sigma=1))),
        f"{AT}.ed50", ["'log_ed50' and 'ed50' are one quantity given twice", "Keep one"]),
    "missing prior of a pooling": (
        put(f"{AT}.emax.pooling", "agent"), f"{AT}.emax.priors.between_agent",
        ["needs the prior 'between_agent'", "Write priors.between_agent = {"]),
    "extra prior": (
        put(f"{AT}.emax.priors.between_agent", specs.half_normal()),
        f"{AT}.emax.priors.between_agent", ["pooling 'common' has no prior 'between_agent'"]),
    "misspelt prior slot": (
        put(f"{AT}.emax.priors.locaton", specs.normal()), f"{AT}.emax.priors.locaton",
        ["'location'"]),
    "pooling of the baseline": (
        put(f"{AT}.baseline", specs.parameter("agent")), f"{AT}.baseline.pooling",
        ["does not apply to 'baseline'", "common, independent, study"]),
    "pooling over studies of a curve's parameter": (
        put(f"{AT}.emax", specs.parameter("study")), f"{AT}.emax.pooling",
        ["does not apply to 'emax'"]),
    "pooling of the heterogeneity": (
        put(f"{AT}.heterogeneity_sd",
            specs.parameter("independent", each=specs.half_normal())),
        f"{AT}.heterogeneity_sd.pooling", ["Use one of: common"]),
    "negative sigma": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", -1), f"{AT}.emax.priors.location",
        ["sigma = -1 must be positive"]),
    "sigma of zero": (
        put(f"{AT}.emax.priors.location.kwargs.sigma", 0), f"{AT}.emax.priors.location",
        ["must be positive"]),
    "sigma left to a default": (
        cut(f"{AT}.emax.priors.location.kwargs.sigma"), f"{AT}.emax.priors.location",
        ["Normal needs all of (mu, sigma) or (mu, tau)", "given: mu"]),
    "misspelt argument": (
        put(f"{AT}.emax.priors.location.kwargs", {"mu": 0, "sigm": 1}),
        f"{AT}.emax.priors.location", ["Normal has no argument 'sigm'", "'sigma'"]),
    "infinite argument": (
        put(f"{AT}.emax.priors.location.kwargs.mu", float("inf")),
        f"{AT}.emax.priors.location.kwargs.mu", ["finite"]),
    "bounds that cross": (
        put(f"{AT}.emax.priors.location", specs.prior("Uniform", lower=2, upper=1)),
        f"{AT}.emax.priors.location", ["lower = 2 is not below upper = 1"]),
    "negative heterogeneity allowed": (
        put(f"{AT}.heterogeneity_sd.priors.location", specs.normal()),
        f"{AT}.heterogeneity_sd.priors.location",
        ["a Normal prior allows negative values", "HalfNormal"]),
    "negative spread allowed": (
        put(f"{AT}.emax", specs.parameter("agent", between_agent=specs.normal())),
        f"{AT}.emax.priors.between_agent", ["allows negative values"]),
    "correlation's prior": (
        put("correlations.heterogeneity.kwargs", {"eat": 2}),
        "correlations.heterogeneity.kwargs.eat", ["eta"]),
    "correlation with no heterogeneity": (
        put("outcomes.harm.heterogeneity", "none"), "correlations.heterogeneity",
        ["'harm' has no heterogeneity to correlate", 'heterogeneity = "arm"']),
    "window of an unknown outcome": (
        put("window.benefit", "pian"), "window.benefit",
        ["no outcome is called 'pian'", "'pain'"]),
    "window without a direction": (
        put(f"{PAIN}.better", ""), f"{PAIN}.better", ["which way", 'Write better = "lower"']),
    "window whose harm is no risk": (
        put("window.harm", "pain"), "window.harm", ["must be a risk", '"binomial"']),
    "impossible risk": (put("window.risk_at_most", 10), "window.risk_at_most", ["less than 1"]),
    "no draws": (put("sampling.draws", 0), "sampling.draws", ["greater than or equal to 1"]),
    "time rule": (
        put(f"{PAIN}.time", {"rule": "lastest"}), f"{PAIN}.time.rule", ["'latest'"]),
}  # fmt: skip


def test_the_spec_that_the_table_spoils_is_sound():
    assert AnalysisSpec.from_dict(two_outcomes()).window is not None


@pytest.mark.parametrize("name", WRONG)
def test_is_refused_where_it_is_wrong_with_the_mend(name):
    change, key, words = WRONG[name]
    content = two_outcomes()
    change(content)
    faults = faults_when(lambda: AnalysisSpec.from_dict(content, file="mine.toml"), SpecError)
    assert {fault.file for fault in faults} == {"mine.toml"}
    here = [str(fault) for fault in faults if fault.column.removesuffix(".[key]") == key]
    assert here, f"no fault at {key}: {[f.column for f in faults]}"
    for word in words:
        assert any(word in text for text in here), f"{word!r} is not said: {here}"


def test_a_single_outcome_has_nothing_to_be_correlated_with():
    content = specs.content(correlations=specs.LKJ)
    (fault,) = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    assert fault.column == "correlations.heterogeneity"
    assert "nothing to be correlated with" in fault.message


def test_a_natural_quantity_must_be_positive_and_unshared():
    content = specs.content()
    parameters = content["outcomes"]["pain"]["parameters"]
    del parameters["log_ed50"]
    parameters["ed50"] = specs.parameter("agent")
    texts = [str(f) for f in faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)]
    assert any("allows negative values" in text for text in texts)
    assert any("Use one of: common, independent" in text for text in texts)


def test_every_fault_is_reported_at_once():
    content = two_outcomes()
    names = ["misspelt key", "unknown curve", "negative sigma", "no seed", "extra prior",
             "window of an unknown outcome", "negative heterogeneity allowed"]  # fmt: skip
    for name in names:
        if name != "unknown curve":  # an unknown curve hides which parameters it needs
            WRONG[name][0](content)
    content["outcomes"]["harm"]["curve"] = "lineer"
    faults = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    found = {fault.column for fault in faults}
    expected = {WRONG[name][1] for name in names if name != "unknown curve"}
    assert expected | {"outcomes.harm.curve"} <= found
    assert len(str(SpecError(faults)).splitlines()) == len(faults)


def places(content: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of nested mappings, by its path."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*at, key)
            yield from places(value, (*at, key))


@pytest.mark.parametrize("value", [["x"], {"x": 1}, {}, [], "x", -1, True, None, 2.5], ids=repr)
def test_a_value_of_any_type_anywhere_is_taken_or_refused_but_never_a_crash(value):
    for path in places(two_outcomes()):
        content = two_outcomes()
        put(".".join(path), value)(content)
        try:
            AnalysisSpec.from_dict(content)
        except SpecError as error:
            assert all(fault.message for fault in error.faults)


class TestFiles:
    def test_a_missing_file(self, tmp_path: Path):
        path = tmp_path / "no.toml"
        (fault,) = faults_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert fault.file == str(path)
        assert "cannot be read" in fault.message
        assert "models/" in fault.mend

    def test_a_folder(self, tmp_path: Path):
        (fault,) = faults_when(lambda: AnalysisSpec.from_toml(tmp_path), SpecError)
        assert "cannot be read" in fault.message

    def test_what_is_not_toml_says_the_line(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_text('title = "a"\noutcomes = = 3\n')
        (fault,) = faults_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert "is not TOML" in fault.message
        assert "line 2" in fault.message

    def test_what_is_not_text(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_bytes('title = "Schmerzlinderung über Dosis"'.encode("latin-1"))
        (fault,) = faults_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert "not UTF-8" in fault.message

    def test_an_empty_file_names_what_is_missing(self, tmp_path: Path):
        path = tmp_path / "spec.toml"
        path.write_text("")
        faults = faults_when(lambda: AnalysisSpec.from_toml(path), SpecError)
        assert {fault.column for fault in faults} == {"title", "outcomes", "sampling"}

    def test_a_byte_order_mark_and_crlf_are_no_fault(self, tmp_path: Path):
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
