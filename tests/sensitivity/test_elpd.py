"""Predictive densities of whole trials by variant."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.report.sections.sensitivity import elpd_blocks
from nmda_bayes.sensitivity import elpd_table
from nmda_bayes.sensitivity.plan import content_issues
from nmda_bayes.sensitivity.results import report_numbers, study_predictions
from tests.support import specs
from tests.support.fits import draws, make_fit


def results() -> xr.Dataset:
    """A base and variants: same rows, other rows, not factorising by study, failed."""
    names = ["base", "same_rows", "other_rows", "whole", "failed"]
    rows = np.array([[1.0, 2, 3], [1, 2, 3], [1, 2, np.nan], [1, 2, 3], [np.nan] * 3])
    elpd = np.array([[-4.0, -5, -6], [-3, -5, -5.5], [-4, -5, np.nan], [np.nan] * 3, [np.nan] * 3])
    reliable = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, np.nan], [np.nan] * 3, [np.nan] * 3])
    sd = np.arange(15.0).reshape(5, 1, 3)
    by = ("variant", "study")
    return xr.Dataset(
        {
            "elpd": (by, elpd), "study_reliable": (by, reliable), "study_rows": (by, rows),
            "heterogeneity_sd": (("variant", "outcome", "statistic"), sd),
        },
        coords={
            "variant": names, "outcome": ["pain"], "statistic": ["lower", "median", "upper"],
            "how": ("variant", ["fitted", "fitted", "fitted", "fitted", ""]),
        },
    )  # fmt: skip


def test_elpd_differences_and_standard_errors():
    table = elpd_table(results()).set_index("variant")
    assert table.index.tolist() == ["base", "same_rows", "other_rows", "whole"]
    assert_allclose(table["elpd"], [-15, -13.5, -9, np.nan])
    assert_allclose(table["difference"], [0, 1.5, np.nan, np.nan])
    assert_allclose(table["se"], [0, np.sqrt(3) * 0.5, np.nan, np.nan])
    assert table["unreliable"].tolist() == [1, 0, 1, 0]
    assert table["studies"].tolist() == [3, 3, 2, 3]
    assert table.loc["same_rows", ["pain:lower", "pain:median", "pain:upper"]].tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="no elpd = true"):
        elpd_table(results().drop_vars("study_rows"))


def test_incomparable_variants_are_marked():
    _, table = elpd_blocks(results())
    assert table.rows[1][2] == "+1.5 (0.87)"
    assert table.rows[2][2] == "different data"
    assert table.rows[3][1:3] == ("not available", "not available")
    assert list(elpd_blocks(results().drop_vars("study_rows"))) == []


def test_study_predictions_and_report_numbers():
    posterior = {
        "slope": draws(np.linspace(-9, -7, 40)),
        "baseline": draws(np.zeros((40, 3)), "study"),
        "heterogeneity_sd": draws(np.linspace(1, 2, 40)),
        "arm_offset": draws(np.zeros((40, 7)), "arm"),
    }
    table = specs.normal_table()
    spec = specs.spec(specs.outcome("normal", "linear"))
    predictions = study_predictions(make_fit(spec, table, posterior))
    assert set(predictions["elpd"].dims) == {"study"}
    assert predictions["study"].to_numpy().tolist() == ["A", "B", "C"]
    assert np.isfinite(predictions["elpd"]).all()
    rows = predictions["study_rows"].to_series().to_dict()
    assert report_numbers(make_fit(spec, table.assign(dose=2 * table["dose"]), posterior)) == rows
    moved = table["mean"].where(table["study"] != "B", table["mean"] + 1)
    other = report_numbers(make_fit(spec, table.assign(mean=moved), posterior))
    assert [other[study] == rows[study] for study in "ABC"] == [True, False, True]


def test_elpd_must_be_boolean():
    (issue,) = content_issues({"elpd": "yes", "variants": {"v": {}}})
    assert (issue.code, issue.column) == ("E604", "elpd")
