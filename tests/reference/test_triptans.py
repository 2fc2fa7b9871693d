"""The triptans network, 70 trials: two identified models and one that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nmda_bayes.checks import diagnose
from nmda_bayes.inference import read_fit
from tests.reference.monte_carlo import compare

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
#: With vague priors their ED50 is not identified: the tested doses are on the linear part.
NOT_IDENTIFIED = ("almotriptan", "frovatriptan", "naratriptan", "rizatriptan")
IDENTIFIED = ("eletriptan", "zolmitriptan")

Fitted = Callable[..., tuple[int, Path]]


def test_table_has_the_whole_network():
    arms = pd.read_csv(HERE / "triptans.csv")
    assert (len(arms), arms["study"].nunique(), arms["agent"].nunique()) == (182, 70, 8)
    assert (arms["events"].sum(), arms["n"].sum()) == (9980, 36463)


def test_hierarchical_emax_agrees_with_jags(fitted: Fitted):
    code, folder = fitted("triptans_hierarchical", "triptans")
    pinned = pd.read_csv(HERE / "triptans_hierarchical.csv", keep_default_na=False)
    compared = compare_summary(folder, pinned.to_dict(orient="records"))
    assert code == 0
    assert len(compared) == 4 * 19
    assert compared["ok"].all(), compared[~compared["ok"]].to_string()


@pytest.mark.slow
def test_common_ed50_agrees_with_jags(fitted: Fitted):
    code, folder = fitted("triptans_common_ed50", "triptans")
    pinned = json.loads((HERE / "pinned.json").read_text())["triptans_common_ed50"]
    compared = compare_summary(folder, pinned["rows"])
    assert code == 0
    assert len(compared) == 4 + 7 * 3 + 3
    assert compared["ok"].all(), compared[~compared["ok"]].to_string()


@pytest.mark.slow
@pytest.mark.parametrize("agent", NOT_IDENTIFIED)
def test_unidentified_ed50_is_prior_only(fitted: Fitted, agent: str):
    table = ed50_identifiability(fitted)
    assert table.loc[f"agent={agent}", "conclusion"] == "prior only", table.to_string()


@pytest.mark.slow
@pytest.mark.parametrize("agent", IDENTIFIED)
def test_identified_ed50_is_informed_by_the_data(fitted: Fitted, agent: str):
    table = ed50_identifiability(fitted)
    assert table.loc[f"agent={agent}", "conclusion"] == "informed by the data", table.to_string()


@pytest.mark.slow
def test_report_lists_unidentified_parameters(fitted: Fitted):
    _, folder = fitted("triptans_vague", "triptans", "run")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Prior only: [^.]*log_ed50 \(almotriptan[^)]*frovatriptan", page)
    assert not re.search(r"Prior only: [^.]*(eletriptan|zolmitriptan)", page)


def ed50_identifiability(fitted: Fitted) -> pd.DataFrame:
    """The identifiability of each agent's ED50 with vague priors."""
    _, folder = fitted("triptans_vague", "triptans", "run")
    table = diagnose(read_fit(folder)).identifiability
    return table[table["variable"].isin(["ed50", "log_ed50"])].set_index("at")


def compare_summary(folder: Path, pinned: list[dict[str, Any]]) -> pd.DataFrame:
    """Compare a folder's ``summary.csv`` with the pinned rows."""
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    posterior = read_fit(folder)["posterior"]
    rows = []
    for row in pinned:
        variable, agent = row["variable"], row["agent"]
        matches = summary[(summary["variable"] == variable) & (summary["agent"] == agent)]
        assert len(matches) == 1, (variable, agent)
        draws = posterior[variable].sel(agent=agent) if agent else posterior[variable]
        rows += compare(draws, matches.iloc[0], row)
    return pd.DataFrame(rows)
