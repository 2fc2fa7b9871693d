"""Columns derived from printed numbers, and the hash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.tree import (
    contrasts_on_model_scale,
    hours_after_treatment,
    standard_errors,
)


def test_printed_se_has_priority_over_sd():
    rows = pd.DataFrame({"se": [0.5, np.nan, np.nan], "sd": [9.0, 6.0, 6.0], "n": [9, 9, np.nan]})
    np.testing.assert_allclose(standard_errors(rows), [0.5, 2.0, np.nan])


def test_time_of_a_study_starts_with_its_last_arm():
    arms = pd.DataFrame(
        {
            "study": ["bolus vs infusion", "bolus vs infusion", "course", "unknown"],
            "infusion_hours": [0.05, 0.25, np.nan, 2.0],
            "n_administrations": [1, 1, np.nan, np.nan],
            "treatment_days": [1, 1, 28, np.nan],
        }
    )
    results = pd.DataFrame(
        {
            "study": ["bolus vs infusion", "bolus vs infusion", "course", "unknown"],
            "time_hours": [1.0, 1.0, 504.0, 3.0],
        }
    )
    hours = hours_after_treatment(results, arms)
    np.testing.assert_allclose(hours, [0.75, 0.75, -168.0, np.nan])


def test_ratios_and_intervals_on_the_model_scale():
    printed = pd.DataFrame(
        {
            "measure": ["RR", "MD"],
            "estimate": [2.0, -3.9],
            "se": [np.nan, np.nan],
            "ci_low": [1.0, -6.4],
            "ci_high": [4.0, -1.5],
        }
    )
    ready = contrasts_on_model_scale(printed)
    assert ready["measure"].tolist() == ["log_RR", "MD"]
    np.testing.assert_allclose(ready["estimate"], [np.log(2), -3.9])
    np.testing.assert_allclose(ready["se"], [np.log(4) / 3.919928, 4.9 / 3.919928], rtol=1e-6)


FLAT = pd.DataFrame(
    {
        "study": ["A", "A", "B", "B"],
        "agent": ["placebo", "x", "placebo", "y"],
        "mean": [5.0, 4.0, 5.5, 3.0],
        "se": [0.5, 0.4, 0.6, 0.7],
    }
)


def test_hash_ignores_the_order_of_rows_and_columns():
    expected = load_evidence(FLAT).attrs["evidence_hash"]
    assert load_evidence(FLAT.sample(frac=1, random_state=3)).attrs["evidence_hash"] == expected
    assert load_evidence(FLAT[["se", "agent", "mean", "study"]]).attrs["evidence_hash"] == expected


@pytest.mark.parametrize(("column", "value"), [("mean", 4.01), ("agent", "z"), ("se", 0.41)])
def test_hash_depends_on_every_cell(column, value):
    changed = FLAT.copy()
    changed.loc[1, column] = value
    assert (
        load_evidence(changed).attrs["evidence_hash"] != load_evidence(FLAT).attrs["evidence_hash"]
    )


def test_frame_is_not_changed():
    before = FLAT.copy(deep=True)
    tree = load_evidence(FLAT)
    results = to_frame(tree, "results")
    results.loc[:, "mean"] = 0.0
    tree["results"]["mean"] += 1
    assert to_frame(tree, "results")["mean"].tolist() == [6.0, 5.0, 6.5, 4.0]
    pd.testing.assert_frame_equal(FLAT, before)


def test_hash_of_the_base_ignores_the_order_of_rows(base, data, tmp_path):
    for path in data.glob("*.csv"):
        frame = pd.read_csv(path, dtype="str", keep_default_na=False)
        frame.sample(frac=1, random_state=1).to_csv(tmp_path / path.name, index=False)
    (tmp_path / "sources.bib").write_bytes((data / "sources.bib").read_bytes())
    assert load_evidence(tmp_path).attrs["evidence_hash"] == base.attrs["evidence_hash"]
