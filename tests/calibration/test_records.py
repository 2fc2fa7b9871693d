"""The stored records of calibration: every pair of parts, every rank within its band, none too old.

Nothing is fitted here. A failing test names the job that mends it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import binomtest

from nmda_bayes.intervals import LEVEL as INTERVAL_LEVEL
from tests.calibration.bands import below, p_value
from tests.calibration.cases import case_of
from tests.calibration.combinations import Combination, can_meet, known, missing_pairs
from tests.calibration.coverage_over_time import case as over_time
from tests.calibration.features import FEATURES, benefit_and_harm, wanted_features
from tests.calibration.job import log_density_of
from tests.calibration.records import RECORDS as FOLDER
from tests.calibration.records import Record, asked_of, read_records
from tests.calibration.waiting import waiting_pairs

RUN = "run `make calibrate`"
#: The chance that a record of right models fails here; half for single quantities, half for parts.
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
    """Counts by rank of one quantity over all the cases that have a part.

    A part's cases are simulated apart, so that their ranks add up: some 900 simulations instead of
    64. The log density answers for all that a case has; the heterogeneity is what most parts bend.
    """
    found: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for record in records.values():
        for part in record.of.parts if record.of is not None else ():
            for quantity in ("log density", "heterogeneity_sd", "response at dose 1"):
                if quantity in record.ranks:
                    found[" ".join(part), quantity].append(np.array(record.ranks[quantity]))
    return {key: np.sum(counts, axis=0) for key, counts in found.items()}


def done() -> list[Combination]:
    return [record.of for record in RECORDS.values() if record.of is not None]


def test_every_pair_of_parts_has_a_record_or_is_said_to_wait():
    missing, waiting = set(missing_pairs(done())), set(waiting_pairs())
    unsaid = sorted(missing - waiting)
    assert not unsaid, f"{len(unsaid)} pairs have no record, such as {unsaid[:3]}: {RUN}"
    assert not waiting - missing, f"the list of waiting is longer than what waits: {RUN}"


def test_every_feature_has_a_record():
    recorded = {feature for record in RECORDS.values() for feature in record.features}
    missing = wanted_features() - recorded
    assert not missing, f"no record has {sorted(missing)}: {RUN}"


def test_no_quantity_is_outside_its_band():
    every = ranks(RECORDS)
    level = LEVEL / 2 / len(every)
    outside = [key for key, bad in zip(every, below_each(every, level), strict=True) if bad]
    assert not outside, f"ranks are not uniform at a level of {level:.1e} each: {outside}"


def below_each(every: Mapping[tuple[str, str], np.ndarray], level: float) -> list[bool]:
    """As `below`, for counts over different numbers of ranks."""
    found = {}
    for size in {len(counts) for counts in every.values()}:
        keys = [key for key, counts in every.items() if len(counts) == size]
        found |= dict(zip(keys, below(np.array([every[k] for k in keys]), level), strict=True))
    return [bool(found[key]) for key in every]


def test_no_part_is_outside_its_band():
    every = of_parts(RECORDS)
    level = LEVEL / 2 / len(every)
    outside = {
        key: p_value(counts)
        for key, counts, bad in zip(every, every.values(), below_each(every, level), strict=True)
        if bad
    }
    assert not outside, f"ranks are not uniform at a level of {level:.1e} each: {outside}"


def test_intervals_hold_the_truth_as_often_as_they_say():
    studies = [record for record in RECORDS.values() if record.covered]
    assert len(studies) == 2
    level = LEVEL / sum(len(record.covered) for record in studies)
    for record in studies:
        for answer, covered in record.covered.items():
            p = binomtest(covered, record.simulations, INTERVAL_LEVEL).pvalue
            assert p > level, f"{answer}: {covered} of {record.simulations}"


def test_no_record_is_too_old():
    old = [record.name for record in RECORDS.values() if record.age_in_days > DAYS]
    assert not old, f"older than {DAYS} days: {old}. Delete them and {RUN}"


def test_each_record_is_of_the_case_that_stands_here_now():
    stale = [name for name, record in RECORDS.items() if asked_of(case(record)) != record.asked]
    assert not stale, f"the spec or the trials of {stale} have changed: {RUN}"


def case(record: Record):
    return CASES[record.name] if record.of is None else case_of(record.of)


def test_each_record_counts_all_its_simulations():
    for record in RECORDS.values():
        assert record.simulations >= 50, record.name
        assert {sum(counts) for counts in record.ranks.values()} <= {record.simulations}
        assert record.ranks or record.covered, record.name
        # A sampler that diverges in one draw of a hundred has not seen all of the posterior.
        assert record.divergences <= record.draws / 100, record.name


def test_no_record_is_kept_twice():
    assert len(RECORDS) == len(list(FOLDER.glob("*.json")))


def test_what_tells_a_model_is_a_number():
    assert all(np.isfinite(record.log_density).all() for record in RECORDS.values())


def test_a_record_knows_its_own_model():
    """The log densities of one case; `make slow` evaluates them all."""
    record = next(record for record in RECORDS.values() if record.of is not None)
    assert record.is_of(log_density_of(case(record))), f"{record.name} is of another model: {RUN}"


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_every_record_is_of_the_model_that_ships(name):
    record = RECORDS[name]
    assert record.is_of(log_density_of(case(record))), f"{name} is of another model: {RUN}"


def test_every_record_is_of_parts_that_ship():
    gone = [one.name for one in done() if not (known(one) and can_meet(one.parts))]
    assert not gone, f"no longer in the catalogues: {gone}. Delete their records"
