"""Records of calibration: what was run, when, with what, and how the ranks fell.

A record is of a model, not of a source file: it holds the log densities of the case's model at
points that hang on names alone. A refactoring leaves them as they are; another formula, prior, or
trial table does not, and the record is then stale. `make calibrate` runs what is missing or stale.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tests.calibration.cases import Case
from tests.calibration.combinations import Combination

RECORDS = Path(__file__).parent / "records"
PACKAGES = ("pymc", "pytensor", "nutpie", "numba", "numpy", "simuk")
#: Log densities agree to this; another order of the same sums changes the fifteenth digit.
SAME = 1e-8


@dataclass(frozen=True)
class Record:
    """One case that was run.

    Attributes
    ----------
    name, combination, features
        The case.
    date, seed, simulations, versions
        When it was run, and with what.
    seconds
        Of processor time.
    asked
        Hash of the spec and the trials, as they were written.
    log_density
        Of the model at fixed points.
    divergences, draws
        Of the sampler, over all simulations.
    ranks
        How many simulations had each rank, by quantity.
    covered
        In how many the 95 % interval held the truth, by answer; of the study of coverage.
    """

    name: str
    combination: Mapping[str, str] | None
    features: list[str]
    date: str
    seed: int
    simulations: int
    versions: Mapping[str, str]
    seconds: float
    asked: str
    log_density: list[float]
    divergences: int
    draws: int
    ranks: Mapping[str, list[int]]
    covered: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_today(
        cls, case: Case, began: float, *, simulations: int, draws: int, **found: Any
    ) -> Record:
        """A case that has just been run, since ``began`` seconds of processor time."""
        return cls(
            name=case.name,
            combination=None if case.combination is None else dict(case.combination.parts),
            features=list(case.features),
            date=date.today().isoformat(),
            simulations=simulations,
            versions=versions(),
            seconds=round(time.process_time() - began, 1),
            asked=asked_of(case),
            draws=simulations * draws,
            **found,
        )

    @property
    def of(self) -> Combination | None:
        return None if self.combination is None else Combination(**self.combination)

    @property
    def age_in_days(self) -> int:
        return (date.today() - date.fromisoformat(self.date)).days

    def is_of(self, log_density: list[float]) -> bool:
        """Say whether a model has the log densities of the one that was run."""
        mine = self.log_density
        return len(mine) == len(log_density) and np.allclose(
            mine, log_density, rtol=SAME, atol=SAME
        )


def asked_of(case: Case) -> str:
    """Hash what is asked of a case: its spec as written, and its trials."""
    text = json.dumps(case.content, sort_keys=True, default=list) + case.table.to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def read_records(folder: Path = RECORDS) -> dict[str, Record]:
    """Read every record, by the name of its case."""
    files = sorted(folder.glob("*.json"))
    found = (Record(**json.loads(file.read_text(encoding="utf-8"))) for file in files)
    return {record.name: record for record in found}


def write_record(record: Record, folder: Path = RECORDS) -> None:
    """Write a record whole or not at all."""
    folder.mkdir(exist_ok=True)
    lines = [f'  "{key}": {_line(value)}' for key, value in asdict(record).items()]
    file = folder / f"{record.name.replace(' ', '_')}.json"
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    unfinished.replace(file)


def _line(value: Any) -> str:
    """JSON on one line; a line for each quantity's ranks."""
    if isinstance(value, Mapping) and any(isinstance(v, list) for v in value.values()):
        rows = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
        return "{\n" + rows + "\n  }"
    return json.dumps(value, ensure_ascii=False)
