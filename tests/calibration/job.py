"""The job: run the cases that have no record, or one of another model. It can be stopped any time.

make calibrate                     what is missing or stale
make calibrate ARGS="--list"       say what that is, and run nothing
make calibrate ARGS="emax binom"   only cases whose names have one of these words
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import zlib
from collections.abc import Iterator
from datetime import timedelta

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import model_of
from tests.calibration.cases import Case, case_of
from tests.calibration.combinations import can_meet, known, plan
from tests.calibration.coverage_over_time import case as over_time
from tests.calibration.densities import Density
from tests.calibration.features import FEATURES, benefit_and_harm
from tests.calibration.records import (
    RECORDS,
    Record,
    asked_of,
    read_records,
    write_record,
)
from tests.calibration.waiting import shorten

SIMULATIONS = 64


def wanted() -> list[Case]:
    """Every case that should have a record, the recorded combinations first."""
    records = read_records().values()
    done = [record.of for record in records if record.of is not None]
    done = [one for one in done if known(one) and can_meet(one.parts)]
    return [*FEATURES, benefit_and_harm(), over_time(), *map(case_of, [*done, *plan(done)])]


def to_run(cases: list[Case]) -> Iterator[tuple[Case, str]]:
    """Give the cases whose record is missing or of another model, and why."""
    records = read_records()
    for case in cases:
        record = records.get(case.name)
        if record is None:
            yield case, "no record"
        elif record.asked != asked_of(case):
            yield case, "another spec or other trials"
        elif not record.is_of(log_density_of(case)):
            yield case, "another model"


def log_density_of(case: Case) -> list[float]:
    """Log densities of a case's model at fixed points."""
    design = build_design(case.spec, load_evidence(case.table))
    return Density(model_of(case.spec, design)).fingerprint()


def run(case: Case, simulations: int) -> Record:
    """Run one case."""
    from tests.calibration.coverage import COVERAGE, run_coverage
    from tests.calibration.coverage_over_time import run_coverage_over_time
    from tests.calibration.simulation import Simulations

    of_answers = {COVERAGE.name: run_coverage, over_time().name: run_coverage_over_time}
    if case.name in of_answers:
        return of_answers[case.name](case, simulations, zlib.crc32(case.name.encode()) % 10**6)
    began, seed = time.process_time(), zlib.crc32(case.name.encode())
    done = Simulations(case, simulations, seed)
    done.run_simulations()
    if done._simulations_complete < simulations:
        # simuk logs an exception and goes on with what it has.
        raise RuntimeError(f"{case.name}: stopped after {done._simulations_complete} simulations")
    return Record.of_today(
        case,
        began,
        simulations=simulations,
        draws=case.spec.sampling.draws,
        seed=seed,
        log_density=done.density.fingerprint(),
        divergences=done.divergences,
        ranks=done.counts(),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Run or resume the calibration.")
    parser.add_argument("words", nargs="*", help="only cases whose names have one of these")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    asked = parser.parse_args(arguments)
    words = asked.words or [""]
    cases = [case for case in wanted() if any(word in case.name for word in words)]
    waiting = list(to_run(cases))
    print(f"{len(cases)} cases, {len(waiting)} to run")
    if asked.list:
        for case, why in waiting:
            print(f"{case.name}: {why}")
        return 0
    began, failed = time.monotonic(), []
    for done, (case, why) in enumerate(waiting):
        _tell(done, len(waiting), began, f"{case.name} ({why})")
        try:
            write_record(run(case, asked.simulations))
            shorten(record.of for record in read_records().values() if record.of is not None)
        except KeyboardInterrupt:
            print(f"\nStopped; {done} records are in {RECORDS}. Run it again to go on.")
            return 130
        except Exception:  # one case's fault is told, and keeps no other from being run
            failed.append(case.name)
            traceback.print_exc()
    print(f"Failed: {', '.join(failed)}" if failed else "Every case has its record.")
    return 1 if failed else 0


def _tell(done: int, of: int, began: float, text: str) -> None:
    passed = time.monotonic() - began
    left = timedelta(seconds=round(passed / done * (of - done))) if done else ""
    pace = f", {passed / done:.0f} s a case, {left} left" if done else ""
    print(f"[{done + 1} of {of}{pace}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
