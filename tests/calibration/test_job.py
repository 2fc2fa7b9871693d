"""The job without its fits: what it runs, what it keeps when stopped, which model it knows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.calibration import job, waiting
from tests.calibration.cases import case_of, normal
from tests.calibration.combinations import Combination, missing_pairs
from tests.calibration.features import DRAWS_NOTHING, FEATURES, wanted_features
from tests.calibration.records import Record, asked_of, read_records, write_record

LINE = Combination("linear", "binomial", "common", "arm")
FLAT = Combination("constant", "normal", "agent", "none")


def record_of(combination: Combination, simulations: int = 64) -> Record:
    case = case_of(combination)
    return Record(
        name=case.name, combination=dict(combination.parts), features=[], date="2026-01-31", seed=1,
        simulations=simulations, versions={"pymc": "6"}, seconds=1.5, asked=asked_of(case),
        log_density=[-1.0, -2.0], divergences=0, draws=100, ranks={"slope": [32, 32]},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The job on a folder of its own, on two cases, with a fit that takes no time."""
    monkeypatch.setattr(job, "read_records", partial(read_records, tmp_path))
    monkeypatch.setattr(job, "write_record", partial(write_record, folder=tmp_path))
    monkeypatch.setattr(job, "log_density_of", lambda case: [-1.0, -2.0])
    monkeypatch.setattr(job, "wanted", lambda: [case_of(LINE), case_of(FLAT)])
    monkeypatch.setattr(job, "run", lambda case, n: record_of(case.combination, n))
    monkeypatch.setattr(waiting, "LIST", tmp_path / "waiting.csv")
    return tmp_path


def test_a_record_is_read_as_it_was_written(tmp_path):
    written = record_of(LINE)
    write_record(written, tmp_path)
    assert read_records(tmp_path) == {written.name: written}
    assert [file.name for file in tmp_path.iterdir()] == ["linear-binomial-common-arm.json"]


def test_it_runs_what_is_missing_and_no_more(folder, capsys):
    write_record(record_of(LINE), folder)
    assert job.main(["--simulations", "50"]) == 0
    assert "2 cases, 1 to run" in capsys.readouterr().out
    found = read_records(folder)
    assert found[LINE.name].simulations == 64
    assert found[FLAT.name].simulations == 50
    assert job.main([]) == 0
    assert "2 cases, 0 to run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"asked": "other"}, "another spec or other trials"),
        ({"log_density": [-1.0, -2.1]}, "another model"),
    ],
)
def test_it_says_why_a_record_is_stale(folder, capsys, change, why):
    write_record(replace(record_of(LINE), **change), folder)
    assert job.main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{LINE.name}: {why}", f"{FLAT.name}: no record"
    ]  # fmt: skip


def test_a_last_digit_is_no_other_model():
    record = record_of(LINE)
    assert record.is_of([-1.0, -2.0 * (1 + 1e-13)])
    assert not record.is_of([-1.0, -2.0 - 1e-6])
    assert not record.is_of([-1.0])


def test_stopped_it_keeps_what_is_finished(folder, monkeypatch, capsys):
    def stopped(case, simulations):
        if case.name == FLAT.name:
            raise KeyboardInterrupt
        return record_of(case.combination)

    monkeypatch.setattr(job, "run", stopped)
    assert job.main([]) == 130
    assert "Stopped; 1 records" in capsys.readouterr().out
    assert list(read_records(folder)) == [LINE.name]


def test_a_case_that_fails_keeps_no_other_from_its_record(folder, monkeypatch, capsys):
    def failing(case, simulations):
        if case.name == LINE.name:
            raise RuntimeError("stopped after 3 simulations")
        return record_of(case.combination)

    monkeypatch.setattr(job, "run", failing)
    assert job.main([]) == 1
    assert f"Failed: {LINE.name}" in capsys.readouterr().out
    assert list(read_records(folder)) == [FLAT.name]


def test_the_list_of_waiting_only_becomes_shorter(folder):
    pairs = missing_pairs([LINE])
    waiting.write([*LINE.pairs, *pairs[:3]])
    assert job.main([]) == 0
    assert waiting.waiting_pairs() == pairs[:3]
    waiting.write([])
    waiting.shorten([])
    assert waiting.waiting_pairs() == []


def test_log_densities_know_a_model_by_its_numbers():
    case = case_of(LINE)
    found = job.log_density_of(case)
    case.content["outcomes"]["pain"]["parameters"]["slope"]["priors"]["location"] = normal(0, 9)
    assert all(abs(a - b) > 1e-3 for a, b in zip(found, job.log_density_of(case), strict=True))


def test_every_catalogue_beside_the_combinations_is_among_the_features():
    simulated = {feature for case in FEATURES for feature in case.features}
    assert wanted_features() - simulated <= {"coverage", "coverage over time"}
    assert not simulated & {*DRAWS_NOTHING}
