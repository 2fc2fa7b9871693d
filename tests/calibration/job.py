"""Run the cases without a record, or with one of another model; can be stopped and resumed.

make calibrate                     run what is missing or stale
make calibrate ARGS="--list"       list what is missing or stale
make calibrate ARGS="emax binom"   only cases whose names contain one of these words
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
from nmda_bayes.model import build_model_from_design
from tests.calibration.cases import Case, case_of
from tests.calibration.combinations import can_meet, known, plan
from tests.calibration.coverage_over_time import case as over_time
from tests.calibration.densities import Density
from tests.calibration.features import FEATURES, benefit_and_harm
from tests.calibration.records import RECORDS, Record, hash_case, read_records, write_record
from tests.calibration.waiting import shorten

SIMULATIONS = 64


def required_cases() -> list[Case]:
    """Every case that should have a record, the recorded combinations first."""
    recorded = [record.parts for record in read_records().values()]
    done = [c for c in recorded if c is not None and known(c) and can_meet(c.parts)]
    return [*FEATURES, benefit_and_harm(), over_time(), *map(case_of, [*done, *plan(done)])]


def to_run(cases: list[Case]) -> Iterator[tuple[Case, str]]:
    """The cases whose record is missing or of another model, and why."""
    records = read_records()
    for case in cases:
        record = records.get(case.name)
        if record is None:
            yield case, "no record"
        elif record.case_hash != hash_case(case):
            yield case, "another spec or other trials"
        elif not record.matches(log_density_of(case)):
            yield case, "another model"


def log_density_of(case: Case) -> list[float]:
    """Log densities of a case's model at fixed points."""
    design = build_design(case.spec, case.evidence)
    return Density(build_model_from_design(case.spec, design)).fingerprint()


def run(case: Case, simulations: int) -> Record:
    """Run one case."""
    from tests.calibration.coverage import COVERAGE, run_coverage
    from tests.calibration.coverage_over_time import run_coverage_over_time
    from tests.calibration.simulation import Simulations

    coverage = {COVERAGE.name: run_coverage, over_time().name: run_coverage_over_time}
    if case.name in coverage:
        return coverage[case.name](case, simulations, zlib.crc32(case.name.encode()) % 10**6)
    start, seed = time.process_time(), zlib.crc32(case.name.encode())
    sbc = Simulations(case, simulations, seed)
    sbc.run_simulations()
    if sbc._simulations_complete < simulations:
        # simuk logs an exception and continues with what it has.
        raise RuntimeError(f"{case.name}: stopped after {sbc._simulations_complete} simulations")
    return Record.of_today(
        case,
        start,
        simulations=simulations,
        draws=case.spec.sampling.draws,
        seed=seed,
        log_density=sbc.density.fingerprint(),
        divergences=sbc.divergences,
        ranks=sbc.counts(),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Run or resume the calibration.")
    parser.add_argument("words", nargs="*", help="only cases whose names contain one of these")
    parser.add_argument("--list", action="store_true", help="list the cases and run nothing")
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    options = parser.parse_args(arguments)
    words = options.words or [""]
    cases = [case for case in required_cases() if any(word in case.name for word in words)]
    pending = list(to_run(cases))
    print(f"{len(cases)} cases, {len(pending)} to run")
    if options.list:
        for case, reason in pending:
            print(f"{case.name}: {reason}")
        return 0
    start, failed = time.monotonic(), []
    for done, (case, reason) in enumerate(pending):
        _print_progress(done, len(pending), start, f"{case.name} ({reason})")
        try:
            write_record(run(case, options.simulations))
            recorded = [record.parts for record in read_records().values()]
            shorten(parts for parts in recorded if parts is not None)
        except KeyboardInterrupt:
            print(f"\nStopped; {done} records were written to {RECORDS}. Run again to continue.")
            return 130
        except Exception:  # an error in one case must not stop the others
            failed.append(case.name)
            traceback.print_exc()
    print(f"Failed: {', '.join(failed)}" if failed else "Every case has a record.")
    return 1 if failed else 0


def _print_progress(done: int, total: int, start: float, text: str) -> None:
    elapsed = time.monotonic() - start
    left = timedelta(seconds=round(elapsed / done * (total - done))) if done else ""
    pace = f", {elapsed / done:.0f} s per case, {left} left" if done else ""
    print(f"[{done + 1} of {total}{pace}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
