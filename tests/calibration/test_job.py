"""The job without fits: what it runs, and what it stores when it is stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from tests.calibration import job, waiting
from tests.calibration.cases import case_of, normal
from tests.calibration.combinations import Combination, missing_pairs
from tests.calibration.features import FEATURES, NOT_GENERATIVE, required_features
from tests.calibration.records import Record, hash_case, read_records, write_record

LINE = Combination("linear", "binomial", "common", "arm")
FLAT = Combination("constant", "normal", "agent", "none")


def record_of(combination: Combination, simulations: int = 64) -> Record:
    case = case_of(combination)
    return Record(
        name=case.name,
        combination=dict(combination.parts),
        features=[],
        date="2026-01-31",
        seed=1,
        simulations=simulations,
        versions={"pymc": "6"},
        seconds=1.5,
        case_hash=hash_case(case),
        log_density=[-1.0, -2.0],
        divergences=0,
        draws=100,
        ranks={"slope": [32, 32]},
    )


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The job on another file of records, on two cases, with a fit that takes no time."""
    path = tmp_path / "records.jsonl"
    monkeypatch.setattr(job, "read_records", partial(read_records, path))
    monkeypatch.setattr(job, "write_record", partial(write_record, path=path))
    monkeypatch.setattr(job, "log_density_of", lambda case: [-1.0, -2.0])
    monkeypatch.setattr(job, "required_cases", lambda: [case_of(LINE), case_of(FLAT)])
    monkeypatch.setattr(job, "run", lambda case, n: record_of(case.combination, n))
    monkeypatch.setattr(waiting, "LIST", tmp_path / "waiting.csv")
    return path


def test_records_are_added_or_replaced_by_case(tmp_path):
    path = tmp_path / "records.jsonl"
    assert read_records(path) == {}
    first, second = record_of(LINE), record_of(FLAT)
    for record in (record_of(LINE, 1), second, first):
        write_record(record, path)
    assert read_records(path) == {first.name: first, second.name: second}
    lines = path.read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == sorted([first.name, second.name])
    assert list(tmp_path.iterdir()) == [path]


def test_missing_cases_are_run(path, capsys):
    write_record(record_of(LINE), path)
    assert job.main(["--simulations", "50"]) == 0
    assert "2 cases, 1 to run" in capsys.readouterr().out
    records = read_records(path)
    assert records[LINE.name].simulations == 64
    assert records[FLAT.name].simulations == 50
    assert job.main([]) == 0
    assert "2 cases, 0 to run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"case_hash": "other"}, "another spec or other trials"),
        ({"log_density": [-1.0, -2.1]}, "another model"),
    ],
)
def test_reasons_of_stale_records(path, capsys, change, reason):
    write_record(replace(record_of(LINE), **change), path)
    assert job.main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{LINE.name}: {reason}",
        f"{FLAT.name}: no record",
    ]


def test_matches_up_to_rounding():
    record = record_of(LINE)
    assert record.matches([-1.0, -2.0 * (1 + 1e-13)])
    assert not record.matches([-1.0, -2.0 - 1e-6])
    assert not record.matches([-1.0])


def test_an_interrupted_job_keeps_finished_records(path, monkeypatch, capsys):
    def interrupted(case, simulations):
        if case.name == FLAT.name:
            raise KeyboardInterrupt
        return record_of(case.combination)

    monkeypatch.setattr(job, "run", interrupted)
    assert job.main([]) == 130
    assert "Stopped; 1 records" in capsys.readouterr().out
    assert list(read_records(path)) == [LINE.name]


def test_a_failed_case_does_not_stop_the_others(path, monkeypatch, capsys):
    def failing(case, simulations):
        if case.name == LINE.name:
            raise RuntimeError("stopped after 3 simulations")
        return record_of(case.combination)

    monkeypatch.setattr(job, "run", failing)
    assert job.main([]) == 1
    assert f"Failed: {LINE.name}" in capsys.readouterr().out
    assert list(read_records(path)) == [FLAT.name]


def test_the_list_of_pairs_only_becomes_shorter(path):
    pairs = missing_pairs([LINE])
    waiting.write([*LINE.pairs, *pairs[:3]])
    assert job.main([]) == 0
    assert waiting.waiting_pairs() == pairs[:3]
    waiting.write([])
    waiting.shorten([])
    assert waiting.waiting_pairs() == []


def test_log_densities_depend_on_the_priors():
    case = case_of(LINE)
    before = job.log_density_of(case)
    case.content["outcomes"]["pain"]["parameters"]["slope"]["priors"]["location"] = normal(0, 9)
    assert all(abs(a - b) > 1e-3 for a, b in zip(before, job.log_density_of(case), strict=True))


def test_every_other_registry_is_among_the_features():
    simulated = {feature for case in FEATURES for feature in case.features}
    assert required_features() - simulated <= {"coverage", "coverage over time"}
    assert not simulated & {*NOT_GENERATIVE}
