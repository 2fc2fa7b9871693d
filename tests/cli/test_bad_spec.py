"""Bad specs: exit 2, the key and the mend, nothing written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import specs
from tests.cli.conftest import Bench, spec_content

Change = Callable[[dict[str, Any]], Any]


def parameters(content: dict[str, Any]) -> dict[str, Any]:
    return content["outcomes"]["harm"]["parameters"]


WRONG: dict[str, tuple[Change, list[str]]] = {
    "misspelt key": (lambda c: c.update(titel="x"), ["titel", "Did you mean 'title'?"]),
    "misspelt key inside": (
        lambda c: c["sampling"].update(drawz=1),
        ["sampling.drawz", "Did you mean 'draws'?"],
    ),
    "unknown curve": (
        lambda c: c["outcomes"]["harm"].update(curve="emaks"),
        ["outcomes.harm.curve", "Did you mean 'emax'?"],
    ),
    "missing prior": (
        lambda c: parameters(c)["emax"]["priors"].clear(),
        ["outcomes.harm.parameters.emax.priors.location", "none is supplied"],
    ),
    "extra prior": (
        lambda c: parameters(c)["emax"]["priors"].update(between_agent=specs.half_normal()),
        ["outcomes.harm.parameters.emax.priors.between_agent", "has no prior 'between_agent'"],
    ),
    "missing parameter": (
        lambda c: parameters(c).pop("log_ed50"),
        ["outcomes.harm.parameters.log_ed50", "has no prior"],
    ),
    "parameter of another curve": (
        lambda c: parameters(c).update(slope=specs.parameter()),
        ["outcomes.harm.parameters.slope", "emax, log_ed50"],
    ),
    "negative scale": (
        lambda c: parameters(c)["emax"]["priors"].update(location=specs.normal(0, -1)),
        ["outcomes.harm.parameters.emax.priors.location", "must be positive"],
    ),
    "unknown agent": (
        lambda c: c.update(select={"agent": ["ketamin"]}),
        ["select.agent", "Did you mean 'ketamine'?"],
    ),
    "unknown column": (lambda c: c.update(select={"agnt": ["x"]}), ["select.agnt", "'agent'"]),
    "unknown reference": (lambda c: c.update(reference="placebos"), ["reference", "'placebo'"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_is_refused_with_its_key(bench: Bench, table: Path, case: str):
    change, words = WRONG[case]
    content = spec_content()
    change(content)
    spec = bench.write("mine.toml", content)
    before = bench.contents()
    told = bench("fit", spec, "--evidence", table, "--out", bench.folder / "results")
    assert told.code == 2, told.text
    assert "Traceback" not in told.text
    assert all(word in told.err for word in words), told.err
    assert bench.contents() == before


def test_unknown_outcome(bench: Bench):
    table = bench.write(
        "mine.csv",
        "study,agent,dose,outcome,events,n\nA,placebo,0,nausea,1,20\nA,ketamine,1,nausea,4,20\n",
    )
    told = bench("show", bench.write("mine.toml", spec_content()), "--evidence", table)
    assert told.code == 2
    assert "outcomes.harm" in told.err
    assert "no row" in told.err


def test_every_fault_is_told_at_once(bench: Bench, table: Path):
    content = spec_content(titel="x")
    parameters(content).pop("log_ed50")
    parameters(content)["emax"]["priors"].clear()
    told = bench("show", bench.write("mine.toml", content), "--evidence", table)
    assert told.code == 2
    assert "3 faults" in told.err, told.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("title = ", "is not TOML"),
        ("title = 'Färkkilä'".encode("latin-1"), "is not UTF-8"),
        ("", "is missing"),
    ],
)
def test_a_file_that_is_no_spec(bench: Bench, content: str | bytes, words: str):
    told = bench("show", bench.write("mine.toml", content))
    assert told.code == 2
    assert "mine.toml" in told.err
    assert words in told.err
    assert "Traceback" not in told.text


def test_no_such_spec(bench: Bench):
    told = bench("show", "benefit_rsk")
    assert told.code == 2
    assert "cannot be read" in told.err


def test_a_spec_runs_no_code(bench: Bench, table: Path):
    marker = bench.folder / "ran"
    content = spec_content(title=f"__import__('pathlib').Path({str(marker)!r}).touch()")
    parameters(content)["emax"]["priors"]["location"] = specs.prior("os.system", mu=0)
    told = bench("show", bench.write("mine.toml", content), "--evidence", table)
    assert told.code == 2
    assert "unknown distribution" in told.err
    assert not marker.exists()
