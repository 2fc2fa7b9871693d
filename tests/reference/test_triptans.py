"""The triptans network, 70 trials: two models that can be believed and one that cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nmda_bayes.checks import check
from nmda_bayes.inference import read_fit
from tests.reference.monte_carlo import compare

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
#: Their ED50 is the prior's under vague priors: their trials stay on the curve's straight part.
NOT_IDENTIFIED = ("almotriptan", "frovatriptan", "naratriptan", "rizatriptan")
IDENTIFIED = ("eletriptan", "zolmitriptan")

Fitted = Callable[..., tuple[int, Path]]


def test_the_pinned_table_is_the_whole_network():
    arms = pd.read_csv(HERE / "triptans.csv")
    assert (len(arms), arms["study"].nunique(), arms["agent"].nunique()) == (182, 70, 8)
    assert (arms["events"].sum(), arms["n"].sum()) == (9980, 36463)


def test_hierarchical_emax_agrees_with_jags(fitted: Fitted):
    code, folder = fitted("triptans_hierarchical", "triptans")
    pinned = pd.read_csv(HERE / "triptans_hierarchical.csv", keep_default_na=False)
    compared = beside(folder, pinned.to_dict(orient="records"))
    assert code == 0
    assert len(compared) == 4 * 19
    assert compared["ok"].all(), compared[~compared["ok"]].to_string()


@pytest.mark.slow
def test_one_ed50_for_all_agrees_with_jags(fitted: Fitted):
    code, folder = fitted("triptans_common_ed50", "triptans")
    pinned = json.loads((HERE / "pinned.json").read_text())["triptans_common_ed50"]
    compared = beside(folder, pinned["rows"])
    assert code == 0
    assert len(compared) == 4 + 7 * 3 + 3
    assert compared["ok"].all(), compared[~compared["ok"]].to_string()


@pytest.mark.slow
@pytest.mark.parametrize("agent", NOT_IDENTIFIED)
def test_an_ed50_that_is_its_prior_is_called_so(fitted: Fitted, agent: str):
    told = ed50_told(fitted)
    assert told.loc[f"agent={agent}", "verdict"] == "prior only", told.to_string()


@pytest.mark.slow
@pytest.mark.parametrize("agent", IDENTIFIED)
def test_an_ed50_that_the_data_gave_is_not_called_its_prior(fitted: Fitted, agent: str):
    told = ed50_told(fitted)
    assert told.loc[f"agent={agent}", "verdict"] == "informed by the data", told.to_string()


@pytest.mark.slow
def test_the_page_says_it_in_words(fitted: Fitted):
    _, folder = fitted("triptans_vague", "triptans", "run")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert re.search(r"Prior only: [^.]*log_ed50 \(almotriptan[^)]*frovatriptan", page)
    assert not re.search(r"Prior only: [^.]*(eletriptan|zolmitriptan)", page)


def ed50_told(fitted: Fitted) -> pd.DataFrame:
    """What the checks say of each agent's ED50 under vague priors."""
    _, folder = fitted("triptans_vague", "triptans", "run")
    told = check(read_fit(folder)).identifiability
    return told[told["variable"].isin(["ed50", "log_ed50"])].set_index("at")


def beside(folder: Path, pinned: list[dict[str, Any]]) -> pd.DataFrame:
    """Set what a folder's ``summary.csv`` says beside the pinned rows."""
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    posterior = read_fit(folder)["posterior"]
    rows = []
    for row in pinned:
        variable, agent = row["variable"], row["agent"]
        found = summary[(summary["variable"] == variable) & (summary["agent"] == agent)]
        assert len(found) == 1, (variable, agent)
        draws = posterior[variable].sel(agent=agent) if agent else posterior[variable]
        rows += compare(draws, found.iloc[0], row)
    return pd.DataFrame(rows)
