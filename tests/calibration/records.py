"""Records of calibration: what was run, when, with which versions, and the distribution of ranks.

A record belongs to a model, not to source code: it has the log densities of the case's model at
points that depend on names only. Refactoring leaves them unchanged; another formula, prior or trial
table does not, and the record is then stale. `make calibrate` runs what is missing or stale.
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

from nmda_bayes.artifacts import write_atomically
from tests.calibration.cases import Case
from tests.calibration.combinations import Combination

#: One record per line (JSON), in the order of their names.
RECORDS = Path(__file__).parent / "records.jsonl"
PACKAGES = ("pymc", "pytensor", "nutpie", "numba", "numpy", "simuk")
#: Tolerance of log densities; the order of a sum changes the fifteenth digit.
TOLERANCE = 1e-8


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
        Processor time.
    case_hash
        Hash of the spec and the trials.
    log_density
        Of the model at fixed points.
    divergences, draws
        Of the sampler, over all simulations.
    ranks
        Number of simulations with each rank, by quantity.
    covered
        Number of simulations whose 95% CrI contains the truth, by estimate (studies of coverage).
    """

    name: str
    combination: Mapping[str, str] | None
    features: list[str]
    date: str
    seed: int
    simulations: int
    versions: Mapping[str, str]
    seconds: float
    case_hash: str
    log_density: list[float]
    divergences: int
    draws: int
    ranks: Mapping[str, list[int]]
    covered: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_today(
        cls, case: Case, start: float, *, simulations: int, draws: int, **results: Any
    ) -> Record:
        """A case that has just been run, since ``start`` seconds of processor time."""
        return cls(
            name=case.name,
            combination=None if case.combination is None else dict(case.combination.parts),
            features=list(case.features),
            date=date.today().isoformat(),
            simulations=simulations,
            versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
            seconds=round(time.process_time() - start, 1),
            case_hash=hash_case(case),
            draws=simulations * draws,
            **results,
        )

    @property
    def parts(self) -> Combination | None:
        return None if self.combination is None else Combination(**self.combination)

    @property
    def age_in_days(self) -> int:
        return (date.today() - date.fromisoformat(self.date)).days

    def matches(self, log_density: list[float]) -> bool:
        """Whether a model has the log densities of the one that was run."""
        same_length = len(self.log_density) == len(log_density)
        return same_length and np.allclose(
            self.log_density, log_density, rtol=TOLERANCE, atol=TOLERANCE
        )


def hash_case(case: Case) -> str:
    """Hash the spec and the trials of a case."""
    text = json.dumps(case.content, sort_keys=True, default=list) + case.table.to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_records(path: Path = RECORDS) -> dict[str, Record]:
    """Read every record, by the name of its case."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {record.name: record for record in (Record(**json.loads(line)) for line in lines)}


def write_record(record: Record, path: Path = RECORDS) -> None:
    """Add a record, or replace the one of its case; the file is written atomically."""
    records = read_records(path) | {record.name: record}
    lines = (
        json.dumps(asdict(records[name]), ensure_ascii=False, separators=(",", ":"))
        for name in sorted(records)
    )
    write_atomically(path, "".join(f"{line}\n" for line in lines))
