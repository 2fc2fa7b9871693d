"""The restructured code gives the posteriors of the code before it, draw by draw where it can."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.pinned import record

pytestmark = pytest.mark.slow

PINNED = json.loads((Path(__file__).parent / "numbers.json").read_text())
#: Largest distance of two means in combined Monte Carlo errors: of some 500 normal errors one
#: exceeds 4.5 with probability 0.003.
MAX_ERRORS = 4.5


@pytest.mark.parametrize("case", record.FITS)
def test_posterior_of_fit_is_unchanged(case: str):
    numbers, pinned = record.fit_numbers(case), PINNED[case]
    if record.machine() == PINNED["machine"]:
        hashes = {values["hash"] for values in numbers.values()}
        assert hashes == {values["hash"] for values in pinned.values()}
    shared = sorted(set(numbers) & set(pinned))
    assert shared
    for name in shared:
        now, before = numbers[name], pinned[name]
        error = np.hypot(
            np.asarray(now["sd"]) / np.sqrt(now["ess"]),
            np.asarray(before["sd"]) / np.sqrt(before["ess"]),
        )
        distance = np.abs(np.asarray(now["mean"]) - np.asarray(before["mean"]))
        assert (distance <= MAX_ERRORS * error + 1e-9).all(), name


def test_answers_of_variants_are_unchanged():
    numbers, pinned = record.variant_numbers(), PINNED["variants"]
    assert {k: v["how"] for k, v in numbers.items() if k != "statistics"} == {
        k: v["how"] for k, v in pinned.items() if k != "statistics"
    }
    statistics = pinned["statistics"]
    for name in (*record.VARIANTS, "base"):
        now, before = (
            np.asarray(values[name]["effect"], float).reshape(-1, len(statistics))
            for values in (numbers, pinned)
        )
        mean, error = statistics.index("mean"), statistics.index("mcse")
        combined = np.hypot(now[:, error], before[:, error])
        distance = np.abs(now[:, mean] - before[:, mean])
        compared = np.isfinite(distance)
        assert compared.any()
        assert (distance <= MAX_ERRORS * combined + 1e-9)[compared].all(), name
