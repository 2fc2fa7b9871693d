"""Columns and values of the summary table, on draws with known results."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.report.tables import summary_table

STATISTICS = ["mean", "sd", "q2.5", "q50", "q97.5", "r_hat", "ess_bulk", "ess_tail"]


@pytest.fixture
def draws() -> xr.DataTree:
    even = np.arange(4000.0).reshape(1000, 4).T
    ramp = xr.DataArray(even, dims=("chain", "draw"))
    per_agent = ramp.expand_dims(agent=["ketamine", "s_ketamine"], axis=-1)
    per_agent = per_agent * xr.DataArray([1.0, 10.0], coords={"agent": per_agent["agent"]})
    posterior = xr.Dataset(
        {
            "pain::emax": per_agent,
            "pain::baseline": ramp.expand_dims({"pain::study": ["A", "B"]}, axis=-1),
            "harm::baseline": ramp.expand_dims({"harm::study": ["B"]}, axis=-1),
            "pain::emax_agent_offset": per_agent,
            "common": ramp,
        }
    )
    return xr.DataTree.from_dict({"posterior": posterior})


def test_outcomes_share_the_columns_of_dims(draws):
    table = summary_table(draws)
    assert list(table.columns) == ["variable", "agent", "study", *STATISTICS]
    assert list(zip(table["variable"], table["agent"], table["study"], strict=True)) == [
        ("pain::emax", "ketamine", ""),
        ("pain::emax", "s_ketamine", ""),
        ("pain::baseline", "", "A"),
        ("pain::baseline", "", "B"),
        ("harm::baseline", "", "B"),
        ("common", "", ""),
    ]


def test_statistics_match_the_draws(draws):
    table = summary_table(draws).set_index(["variable", "agent"])
    row = table.loc[("pain::emax", "s_ketamine")]
    ramp = 10 * np.arange(4000.0)
    assert row["mean"] == pytest.approx(ramp.mean())
    assert row["sd"] == pytest.approx(ramp.std(ddof=1))
    assert [row["q2.5"], row["q50"], row["q97.5"]] == pytest.approx(
        np.quantile(ramp, [0.025, 0.5, 0.975])
    )
    # The halves of each chain share no value: not converged.
    assert row["r_hat"] > 1.5
    assert row["ess_bulk"] < 20


def test_all_scalars_but_offsets_are_listed(benefit_risk):
    table = summary_table(benefit_risk)
    assert not table["variable"].str.endswith("_offset").any()
    posterior = benefit_risk["posterior"].to_dataset()
    count = sum(
        posterior[n].size // (posterior.sizes["chain"] * posterior.sizes["draw"])
        for n in posterior.data_vars
        if not str(n).endswith("_offset")
    )
    assert len(table) == count
    assert table[STATISTICS].notna().all(axis=None)
