"""The records of calibration cover every pair of components, are within their bands and recent.

Nothing is fitted here. A failing test names the command that updates the records.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import binomtest

from nmda_bayes.intervals import INTERVAL_LEVEL
from tests.calibration.bands import below, p_value
from tests.calibration.cases import case_of
from tests.calibration.combinations import Combination, can_meet, known, missing_pairs
from tests.calibration.coverage_over_time import case as over_time
from tests.calibration.features import FEATURES, benefit_and_harm, required_features
from tests.calibration.job import log_density_of
from tests.calibration.records import RECORDS as FILE
from tests.calibration.records import Record, hash_case, read_records
from tests.calibration.waiting import waiting_pairs

RUN = "run `make calibrate`"
#: Probability that records of correct models fail: half for quantities, half for components.
LEVEL = 0.01
DAYS = 365
RECORDS = read_records()
CASES = {case.name: case for case in (*FEATURES, benefit_and_harm(), over_time())}


def ranks(records: Mapping[str, Record]) -> dict[tuple[str, str], np.ndarray]:
    """Counts by rank of every quantity of every case."""
    return {
        (name, quantity): np.array(counts)
        for name, record in records.items()
        for quantity, counts in record.ranks.items()
    }


def of_parts(records: Mapping[str, Record]) -> dict[tuple[str, str], np.ndarray]:
    """Counts by rank of a quantity over all cases with a component.

    The cases are independent, so that their ranks add up: some 900 simulations instead of 64.
    """
    counts: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for record in records.values():
        for part in record.parts.parts if record.parts is not None else ():
            for quantity in ("log density", "heterogeneity_sd", "response at dose 1"):
                if quantity in record.ranks:
                    counts[" ".join(part), quantity].append(np.array(record.ranks[quantity]))
    return {key: np.sum(rows, axis=0) for key, rows in counts.items()}


def done() -> list[Combination]:
    return [record.parts for record in RECORDS.values() if record.parts is not None]


def test_every_pair_has_a_record_or_is_listed():
    missing, waiting = set(missing_pairs(done())), set(waiting_pairs())
    unlisted = sorted(missing - waiting)
    assert not unlisted, f"{len(unlisted)} pairs have no record, such as {unlisted[:3]}: {RUN}"
    assert not waiting - missing, f"waiting.csv lists pairs that have a record: {RUN}"


def test_every_feature_has_a_record():
    recorded = {feature for record in RECORDS.values() for feature in record.features}
    missing = required_features() - recorded
    assert not missing, f"no record has {sorted(missing)}: {RUN}"


def test_quantities_are_within_their_bands():
    every = ranks(RECORDS)
    level = LEVEL / 2 / len(every)
    outside = [key for key, bad in zip(every, below_each(every, level), strict=True) if bad]
    assert not outside, f"ranks are not uniform at a level of {level:.1e} each: {outside}"


def below_each(every: Mapping[tuple[str, str], np.ndarray], level: float) -> list[bool]:
    """As `below`, for counts over different numbers of ranks."""
    outside = {}
    for size in {len(counts) for counts in every.values()}:
        keys = [key for key, counts in every.items() if len(counts) == size]
        outside |= dict(zip(keys, below(np.array([every[k] for k in keys]), level), strict=True))
    return [bool(outside[key]) for key in every]


def test_components_are_within_their_bands():
    every = of_parts(RECORDS)
    level = LEVEL / 2 / len(every)
    outside = {
        key: p_value(counts)
        for key, counts, bad in zip(every, every.values(), below_each(every, level), strict=True)
        if bad
    }
    assert not outside, f"ranks are not uniform at a level of {level:.1e} each: {outside}"


def test_coverage_of_intervals():
    studies = [record for record in RECORDS.values() if record.covered]
    assert len(studies) == 2
    level = LEVEL / sum(len(record.covered) for record in studies)
    for record in studies:
        for estimate, covered in record.covered.items():
            p = binomtest(covered, record.simulations, INTERVAL_LEVEL).pvalue
            assert p > level, f"{estimate}: {covered} of {record.simulations}"


def test_records_are_recent():
    old = [record.name for record in RECORDS.values() if record.age_in_days > DAYS]
    assert not old, f"older than {DAYS} days: {old}. Delete them and {RUN}"


def test_records_match_the_hashes_of_their_cases():
    stale = [
        name for name, record in RECORDS.items() if hash_case(case(record)) != record.case_hash
    ]
    assert not stale, f"the spec or the trials of {stale} have changed: {RUN}"


def case(record: Record):
    return CASES[record.name] if record.parts is None else case_of(record.parts)


def test_ranks_count_all_simulations():
    for record in RECORDS.values():
        assert record.simulations >= 50, record.name
        assert {sum(counts) for counts in record.ranks.values()} <= {record.simulations}
        assert record.ranks or record.covered, record.name
        # With more divergences the sampler may have missed part of the posterior.
        assert record.divergences <= record.draws / 100, record.name


def test_one_line_per_record_in_order_of_names():
    names = [json.loads(line)["name"] for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert names == sorted(RECORDS)


def test_log_densities_are_finite():
    assert all(np.isfinite(record.log_density).all() for record in RECORDS.values())


def test_one_record_is_of_the_current_model():
    """The log densities of one case; `make slow` evaluates all."""
    record = next(record for record in RECORDS.values() if record.parts is not None)
    assert record.matches(log_density_of(case(record))), f"{record.name} is of another model: {RUN}"


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_every_record_is_of_the_current_model(name):
    record = RECORDS[name]
    assert record.matches(log_density_of(case(record))), f"{name} is of another model: {RUN}"


def test_components_of_records_exist():
    removed = [c.name for c in done() if not (known(c) and can_meet(c.parts))]
    assert not removed, f"no longer in the registries: {removed}. Delete their records"
