"""The shipped base, loaded once, and small tables that tests change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, shipped_folder

ARMS = """study,agent,dose,events,n
A,placebo,0,2,20
A,ketamine,0.5,8,21
B,placebo,0,1,10
B,ketamine,0.25,3,10
B,ketamine,0.5,5,11
"""


@pytest.fixture(scope="session")
def base() -> xr.DataTree:
    return load_evidence()


@pytest.fixture(scope="session")
def data() -> Path:
    return shipped_folder("data")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write_table(content: str | bytes) -> Path:
        path = tmp_path / "trials.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_table


@pytest.fixture
def issues_of() -> Callable[[object], list[Issue]]:
    def issues(source: object) -> list[Issue]:
        with pytest.raises(EvidenceError) as caught:
            load_evidence(source)  # type: ignore[arg-type]
        return list(caught.value.issues)

    return issues


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A valid folder of three small tables."""
    folder = tmp_path / "base"
    folder.mkdir()
    tables = {
        "studies": pd.DataFrame(
            {"study": ["A", "B"], "condition_group": ["crps", "crps"], "source": "doi:10.1000/x"}
        ),
        "arms": pd.DataFrame(
            {
                "study": ["A", "A", "B", "B"],
                "arm_id": ["ket", "pbo", "ket", "pbo"],
                "agent": ["ketamine", "placebo", "ketamine", "placebo"],
                "route": "iv",
                "schedule": ["0.5 mg/kg over 30 min", "", "bolus 0.25 mg/kg", ""],
                "n_administrations": 1,
                "infusion_hours": [0.5, 0.5, None, None],
                "source": "doi:10.1000/x",
            }
        ),
        "results": pd.DataFrame(
            {
                "study": ["A", "A", "B", "B"],
                "arm_id": ["ket", "pbo", "ket", "pbo"],
                "outcome": "nausea",
                "kind": "binary",
                "time_hours": [1.0, 1.0, 2.0, 2.0],
                "n": [20, 20, 10, 10],
                "events": [5, 1, 2, 0],
                "provenance": "reported",
                "source": "doi:10.1000/x",
            }
        ),
    }
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder
