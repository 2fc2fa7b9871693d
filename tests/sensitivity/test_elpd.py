"""What variants foretell of whole trials, beside each other."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.report.foretelling import foretelling
from nmda_bayes.sensitivity import elpd_table
from nmda_bayes.sensitivity.foretold import foretold, rows_of
from nmda_bayes.sensitivity.toml import shape_faults
from tests import specs
from tests.conftest import draws, make_fit


def found() -> xr.Dataset:
    """A base, and variants: of its rows, of other rows, one that does not part, one that failed."""
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


def test_sums_differences_and_their_errors_are_of_studies():
    table = elpd_table(found()).set_index("variant")
    assert table.index.tolist() == ["base", "same_rows", "other_rows", "whole"]
    assert_allclose(table["elpd"], [-15, -13.5, -9, np.nan])
    assert_allclose(table["difference"], [0, 1.5, np.nan, np.nan])
    assert_allclose(table["se"], [0, np.sqrt(3) * 0.5, np.nan, np.nan])
    assert table["unreliable"].tolist() == [1, 0, 1, 0]
    assert table["studies"].tolist() == [3, 3, 2, 3]
    assert table.loc["same_rows", ["pain:lower", "pain:median", "pain:upper"]].tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="no elpd = true"):
        elpd_table(found().drop_vars("study_rows"))


def test_the_page_says_which_cannot_be_compared():
    _, table = foretelling(found())
    assert table.rows[1][2] == "+1.5 (0.87)"
    assert table.rows[2][2] == "other reports"
    assert table.rows[3][1:3] == ("not by trial", "not by trial")
    assert foretelling(found().drop_vars("study_rows")) == []


def test_a_fit_tells_what_others_foretell_of_each_study_and_which_reports_it_saw():
    posterior = {
        "slope": draws(np.linspace(-9, -7, 40)),
        "baseline": draws(np.zeros((40, 3)), "study"),
        "heterogeneity_sd": draws(np.linspace(1, 2, 40)),
        "arm_offset": draws(np.zeros((40, 7)), "arm"),
    }
    table = specs.normal_table()
    spec = specs.spec(specs.outcome("normal", "linear"))
    told = foretold(make_fit(spec, table, posterior))
    assert set(told["elpd"].dims) == {"study"}
    assert told["study"].to_numpy().tolist() == ["A", "B", "C"]
    assert np.isfinite(told["elpd"]).all()
    rows = told["study_rows"].to_series().to_dict()
    assert rows_of(make_fit(spec, table.assign(dose=2 * table["dose"]), posterior)) == rows
    moved = table["mean"].where(table["study"] != "B", table["mean"] + 1)
    other = rows_of(make_fit(spec, table.assign(mean=moved), posterior))
    assert [other[study] == rows[study] for study in "ABC"] == [True, False, True]


def test_elpd_is_asked_for_or_not():
    (fault,) = shape_faults({"elpd": "yes", "variants": {"one": {}}})
    assert fault.column == "elpd"
