"""Bad specs: exit 2, the key and the code, no file overwritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bench, spec_content
from tests.support import specs

Change = Callable[[dict[str, Any]], Any]


def parameters(content: dict[str, Any]) -> dict[str, Any]:
    return content["outcomes"]["harm"]["parameters"]


WRONG: dict[str, tuple[Change, list[str]]] = {
    "misspelt key": (lambda c: c.update(titel="x"), ["E301", "titel", "'title'"]),
    "misspelt key inside": (
        lambda c: c["sampling"].update(drawz=1),
        ["E301", "sampling.drawz", "'draws'"],
    ),
    "unknown curve": (
        lambda c: c["outcomes"]["harm"].update(curve="emaks"),
        ["E304", "outcomes.harm.curve", "'emax'"],
    ),
    "missing prior": (
        lambda c: parameters(c)["emax"]["priors"].clear(),
        ["E314", "outcomes.harm.parameters.emax.priors.location"],
    ),
    "extra prior": (
        lambda c: parameters(c)["emax"]["priors"].update(between_agent=specs.half_normal()),
        ["E315", "outcomes.harm.parameters.emax.priors.between_agent"],
    ),
    "missing parameter": (
        lambda c: parameters(c).pop("log_ed50"),
        ["E310", "outcomes.harm.parameters.log_ed50"],
    ),
    "parameter of another curve": (
        lambda c: parameters(c).update(slope=specs.parameter()),
        ["E312", "outcomes.harm.parameters.slope", "emax, log_ed50"],
    ),
    "negative scale": (
        lambda c: parameters(c)["emax"]["priors"].update(location=specs.normal(0, -1)),
        ["E316", "outcomes.harm.parameters.emax.priors.location"],
    ),
    "unknown agent": (
        lambda c: c.update(select={"agent": ["ketamin"]}),
        ["E402", "select.agent", "'ketamine'"],
    ),
    "unknown column": (
        lambda c: c.update(select={"agnt": ["x"]}),
        ["E401", "select.agnt", "'agent'"],
    ),
    "unknown reference": (
        lambda c: c.update(reference="placebos"),
        ["E403", "reference", "'placebo'"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_error_has_a_code_and_a_key(bench: Bench, table: Path, case: str):
    change, words = WRONG[case]
    content = spec_content()
    change(content)
    spec = bench.write("mine.toml", content)
    before = bench.contents()
    result = bench("fit", spec, "--evidence", table, "--out", bench.folder / "results")
    assert result.code == 2, result.text
    assert "Traceback" not in result.text
    assert all(word in result.err for word in words), result.err
    assert bench.contents() == before


def test_unknown_outcome(bench: Bench):
    table = bench.write(
        "mine.csv",
        "study,agent,dose,outcome,events,n\nA,placebo,0,nausea,1,20\nA,ketamine,1,nausea,4,20\n",
    )
    result = bench("show", bench.write("mine.toml", spec_content()), "--evidence", table)
    assert result.code == 2
    assert "E400" in result.err
    assert "outcomes.harm" in result.err


def test_every_error_is_reported_at_once(bench: Bench, table: Path):
    content = spec_content(titel="x")
    parameters(content).pop("log_ed50")
    parameters(content)["emax"]["priors"].clear()
    result = bench("show", bench.write("mine.toml", content), "--evidence", table)
    assert result.code == 2
    assert [result.err.count(code) for code in ("E301", "E310", "E314")] == [1, 1, 1], result.err


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("title = ", "E306"),
        ("title = 'Färkkilä'".encode("latin-1"), "E305"),
        ("", "E302"),
    ],
)
def test_a_file_that_is_not_a_spec(bench: Bench, content: str | bytes, code: str):
    result = bench("show", bench.write("mine.toml", content))
    assert result.code == 2
    assert "mine.toml" in result.err
    assert code in result.err
    assert "Traceback" not in result.text


def test_no_such_spec(bench: Bench):
    result = bench("show", "benefit_rsk")
    assert result.code == 2
    assert "E300" in result.err
    assert "'benefit_risk'" in result.err


def test_a_spec_cannot_run_code(bench: Bench, table: Path):
    marker = bench.folder / "ran"
    content = spec_content(title=f"__import__('pathlib').Path({str(marker)!r}).touch()")
    parameters(content)["emax"]["priors"]["location"] = specs.prior("os.system", mu=0)
    result = bench("show", bench.write("mine.toml", content), "--evidence", table)
    assert result.code == 2
    assert "E304" in result.err
    assert not marker.exists()


def test_other_files_than_tables_are_not_opened_for_a_spec(bench: Bench):
    bench.write("secret", "user:password\n")
    spec = bench.write("harm.toml", spec_content(evidence=str(bench.folder / "secret")))
    for verb in ("fit", "run", "simulate", "show"):
        more = () if verb == "show" else ("--out", bench.folder / "results")
        result = bench(verb, spec, *more)
        assert result.code == 2
        assert "E920" in result.err
        assert "password" not in result.text


def test_control_characters_are_not_sent_to_the_terminal(bench: Bench):
    table = "study,agent,dose,events,n\nA\x1b]0;x\x07\x1b[31m,placebo,0,9,5\n"
    for arguments in (
        ("check", bench.write("t.csv", table)),
        ("check", bench.folder / "no\x1b[31m.csv"),
        ("check", "--no\x1b[31m"),
        ("fit", "no\x1b[31m.toml", "--out", bench.folder / "o"),
    ):
        result = bench(*arguments)
        assert result.code == 2
        assert "\x1b[31m" not in result.text
        assert "\x1b]" not in result.text
