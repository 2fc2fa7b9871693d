"""Every door by which a user's input comes in, with damaged inputs: no traceback, no hang.

The counts of `make slow` add up to more than 5,000; a few of each are tried in the fast suite.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.errors import FitError, InputError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.inference import read_fit, write_fit
from nmda_bayes.inference.fit_files import fit_digest
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.registry import shipped_folder
from nmda_bayes.sensitivity.plan import read_plan
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.templates import rehearse
from tests.fuzz.harness import (
    HOSTILE,
    assert_all_handled,
    flipped,
    mutated_text,
    mutated_toml,
    pick,
)
from tests.support import specs

#: Inputs by kind: in the fast suite, and in `make slow`.
COUNTS = {
    "tables": (40, 1500),
    "workbooks": (15, 500),
    "folders": (3, 60),
    "specs": (40, 1000),
    "plans": (6, 300),
    "regimens": (200, 1500),
    "fits": (8, 200),
    "settings": (40, 700),
}
AMOUNTS = [
    pytest.param(0, id="some"),
    pytest.param(1, id="all", marks=pytest.mark.slow),
]

COUNT_TABLE = """\
study,agent,dose,events,n
Ash 2001,placebo,0,1,20
Ash 2001,drug a,1,4,20
Elm 2004,placebo,0,0,30
Elm 2004,drug a,0.5,2,31
Elm 2004,drug a,2,9,29
Oak,placebo,0,2,25
Oak,drug b,1,2,24
"""
TABLES = {
    "counts": COUNT_TABLE,
    "means": "study,agent,dose,mean,sd,n,scale_min,scale_max\n"
    "Ash,placebo,0,50,20,31,0,100\nAsh,drug,1,41.5,18,30,0,100\n"
    "Elm,placebo,0,6.1,2.2,22,0,10\nElm,drug,2,4.0,2.0,21,0,10\n",
    "contrasts": "study,agent,comparator,estimate,se,measure\n"
    "Ash,drug,placebo,-0.4,0.2,log_OR\nElm,drug,placebo,0.1,0.3,log_OR\n",
    "rates": "study,agent,events,person_time\nAsh,placebo,12,100\nAsh,drug,9,110\n",
    "schedules": "study,agent,schedule,events,n\nAsh,placebo,,3,20\n"
    "Ash,ketamine,0.5 mg/kg over 40 min,5,21\n",
    "escalc": "study,yi,vi\nAsh,0.28,0.15\nElm,-0.1,0.05\n",
    "wide": "study,event1,n1,event2,n2,treat1,treat2\nAsh,3,20,5,21,placebo,drug\n",
}


def tables(folder: Path) -> Callable[[np.random.Generator], Any]:
    def make(rng: np.random.Generator) -> Any:
        text = pick(rng, list(TABLES.values()))
        if rng.random() < 0.5:
            lines = [line.split(",") for line in text.splitlines()]
            for _ in range(int(rng.integers(1, 4))):
                row = pick(rng, lines)
                row[int(rng.integers(len(row)))] = pick(rng, HOSTILE)
            text = "\n".join(pick(rng, [",", ";", "\t", ","]).join(row) for row in lines)
        else:
            text = mutated_text(rng, text)
        content = text.encode(pick(rng, ["utf-8", "utf-8-sig", "utf-16"]), "surrogatepass")
        path = folder / "table.csv"
        path.write_bytes(flipped(rng, content) if rng.random() < 0.1 else content)
        if rng.random() < 0.5:
            return text, lambda: rehearse(path, parse_options([]))
        return text, lambda: load_evidence(path)

    return make


def _workbook() -> bytes:
    book = openpyxl.Workbook()
    for line in COUNT_TABLE.splitlines():
        book.active.append([float(c) if c[:1].isdigit() else c for c in line.split(",")])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def workbooks(folder: Path) -> Callable[[np.random.Generator], Any]:
    healthy = _workbook()
    with zipfile.ZipFile(io.BytesIO(healthy)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def make(rng: np.random.Generator) -> Any:
        path = folder / "table.xlsx"
        if rng.random() < 0.3:
            path.write_bytes(flipped(rng, healthy))
            return "bytes", lambda: load_evidence(path)
        changed = dict(members)
        name = pick(rng, sorted(members))
        text = members[name].decode()
        if rng.random() < 0.2:
            del changed[name]
        elif rng.random() < 0.5:
            changed[name] = mutated_text(rng, text).encode("utf-8", "replace")
        else:
            changed[name] = flipped(rng, members[name])
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in changed.items():
                archive.writestr(member, content)
        return name, lambda: load_evidence(path)

    return make


def folders(folder: Path) -> Callable[[np.random.Generator], Any]:
    originals = {path.name: path.read_bytes() for path in shipped_folder("data").glob("*.*")}

    def make(rng: np.random.Generator) -> Any:
        for name, content in originals.items():
            (folder / name).write_bytes(content)
        name = pick(rng, sorted(n for n in originals if n.endswith(".csv")))
        text = originals[name].decode("utf-8-sig")
        lines = text.split("\n")
        at = int(rng.integers(len(lines)))
        cells = lines[at].split(",")
        cells[int(rng.integers(len(cells)))] = pick(rng, HOSTILE)
        lines[at] = ",".join(cells)
        changed = "\n".join(lines) if rng.random() < 0.8 else mutated_text(rng, text)
        (folder / name).write_text(changed, encoding="utf-8", errors="replace")
        return f"{name} {lines[at]}", lambda: load_evidence(folder)

    return make


def toml_specs(folder: Path) -> Callable[[np.random.Generator], Any]:
    texts = [
        path.read_text()
        for path in sorted(shipped_folder("models").glob("*.toml"))
        if not path.stem.endswith("sensitivity") and not path.stem.startswith("template")
    ]

    def make(rng: np.random.Generator) -> Any:
        original = pick(rng, texts)
        text = mutated_toml(rng, original)
        path = folder / "spec.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        changed = [a for a in text.split("\n") if a not in original.split("\n")]
        return changed, lambda: AnalysisSpec.from_toml(path)

    return make


PLAN = """\
title = "What if"
base = "base"
dose = 1.0
elpd = false

[variants.wide]
why = "wider priors"
outcomes.harm.parameters.emax.priors.location = { dist = "Normal", kwargs = { mu = 0, sigma = 3 } }

[variants.without_c]
why = "an outlier"
exclude = { study = ["C"] }

[generate.prior_scale]
why = "any width"
of = ["harm.emax.location"]
by = [0.5, 2.0]

[generate.leave_one_out]
why = "each trial"
by = ["study"]

[multiverse]
why = "both"
of = ["wide", "without_c"]
"""


def plans(folder: Path) -> Callable[[np.random.Generator], Any]:
    evidence = load_evidence(specs.binary_table())
    base = specs.spec(specs.outcome("binomial", better="lower"))
    base = AnalysisSpec.from_dict(
        {**specs.content(), "outcomes": {"harm": base.model_dump()["outcomes"]["pain"]}}
    )

    def make(rng: np.random.Generator) -> Any:
        text = mutated_toml(rng, PLAN)
        path = folder / "plan.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        return text, lambda: read_plan(path, evidence, base)

    return make


SCHEDULES = (
    "0.5 mg/kg over 40 min", "bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h", "400 mg a day, 63 days",
    "0.35 mg/kg/h for 4 h, 10 days", "20 mg, 2 times a day, 28 days",
    "56 mg, 2 times a week, 4 weeks",
    "up to 30 mg a day", "target 150 ng/mL for 30 min", "5 mg, every 6 h, 3 days; 10 mg, 7 days",
)  # fmt: skip


def regimens(folder: Path) -> Callable[[np.random.Generator], Any]:
    units = ("mg", "mg/kg", "kg", "h", "mg/kg/h", "ng/mL", "week", "day", "µg", "mcg/kg/min", "1/h")

    def everything(text: str) -> None:
        regimen = parse_regimen(text)
        assert parse_regimen(str(regimen)) == regimen
        for number in (regimen.hours, regimen.days, regimen.n_administrations):
            assert math.isnan(number) or number >= 0
        for compute in (
            lambda: regimen.total("mg"), lambda: regimen.daily("mg/kg"), regimen.events,
            lambda: regimen.peak_rate("mg/h"), lambda: regimen.for_weight(70).events(),
        ):  # fmt: skip
            try:
                compute()
            except InputError as error:
                assert error.issues[0].code in ("E704", "E705", "E761")

    def make(rng: np.random.Generator) -> Any:
        if rng.random() < 0.5:
            text = mutated_text(rng, pick(rng, SCHEDULES))
        else:
            words = pick(rng, SCHEDULES).split(" ")
            for _ in range(int(rng.integers(1, 4))):
                replacement = pick(rng, (*HOSTILE, *units, "1e8", "1e-8", "then", "over", "times"))
                words[int(rng.integers(len(words)))] = replacement
            text = " ".join(words)
        return text, lambda: everything(text)

    return make


def fits(folder: Path) -> Callable[[np.random.Generator], Any]:
    draws = np.random.default_rng(1).normal(size=(2, 50, 3))
    coords = {"chain": [0, 1], "draw": range(50), "study": ["Ash", "Elm", "Oak"]}
    posterior = xr.Dataset({"effect": (("chain", "draw", "study"), draws)}, coords)
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 50), bool))})
    labels = xr.Dataset({"class": ("study", ["x", "y", ""])})
    groups = {"posterior": posterior, "sample_stats": stats, "design/labels": labels}
    fit = xr.DataTree.from_dict(groups)
    fit.attrs = {"spec": "{}", "seed": 1}
    stored = write_fit(fit, folder / "fit.nc").read_bytes()
    expected = fit_digest(read_fit(folder / "fit.nc"))

    def read(path: Path) -> None:
        again = read_fit(path)
        assert fit_digest(again) == expected, "changed unnoticed"

    def make(rng: np.random.Generator) -> Any:
        path = folder / "fit.nc"
        path.write_bytes(flipped(rng, stored))
        return "fit", lambda: read(path)

    return make


KEYS = (
    "reference", "outcome", "better", "measure", "scale", "groups", "dose.drug a", "column.agent",
    "sheet", "decimal", "missing", "ignore", "icc", "ci_level", "dose_unit", "labels", "doses",
    "conditions", "benefit", "harm", "scale.x", "better.x", "", "dose.", "x", "window",
    "pre_post_correlation",
)  # fmt: skip
VALUES = ("0,10", "1", "log_OR", "placebo", "lower", "a=b", "drug a,drug b", "no", "0.95")


def settings_given(rng: np.random.Generator) -> list[str]:
    """A few settings, right and wrong."""
    given = [
        f"{pick(rng, KEYS)}={pick(rng, (*HOSTILE, *VALUES))}"
        for _ in range(int(rng.integers(1, 4)))
    ]
    if rng.random() < 0.3:
        given[0] = mutated_text(rng, given[0])
    return given


def settings(folder: Path) -> Callable[[np.random.Generator], Any]:
    path = folder / "table.csv"
    path.write_text(COUNT_TABLE)

    def make(rng: np.random.Generator) -> Any:
        given = settings_given(rng)
        return given, lambda: load_with_options(path, parse_options(given))

    return make


MAKERS = {
    "tables": tables,
    "workbooks": workbooks,
    "folders": folders,
    "specs": toml_specs,
    "plans": plans,
    "regimens": regimens,
    "fits": fits,
    "settings": settings,
}


def test_there_are_enough_inputs():
    assert sum(all_inputs for _, all_inputs in COUNTS.values()) >= 5000
    assert set(MAKERS) == set(COUNTS)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.filterwarnings("ignore")
def test_no_input_ends_in_a_traceback(kind: str, amount: int, tmp_path: Path):
    ends = assert_all_handled(MAKERS[kind](tmp_path), seed=20, count=COUNTS[kind][amount])
    assert ends["refused"]
    assert ends["accepted"] or not amount


# Changes that mean nothing change nothing.


def _shuffled(rng: np.random.Generator, header: str, rows: list[str]) -> str:
    return "\n".join([header, *(rows[i] for i in rng.permutation(len(rows)))])


def harmless(rng: np.random.Generator, text: str) -> bytes:
    """A table that says the same."""
    header, *rows = text.strip().split("\n")
    text = _shuffled(rng, header, rows) if rng.random() < 0.5 else text
    cells = [line.split(",") for line in text.strip().split("\n")]
    if rng.random() < 0.5:
        order = rng.permutation(len(cells[0]))
        cells = [[row[i] for i in order] for row in cells]
    if rng.random() < 0.5:
        cells = [[pick(rng, [cell, f" {cell}", f"{cell} "]) for cell in row] for row in cells]
    if rng.random() < 0.3:
        cells = [[f'"{cell.strip()}"' for cell in row] for row in cells]
    end = pick(rng, ["\n", "\r\n"])
    delimiter = pick(rng, [",", "\t"])
    text = end.join(delimiter.join(row) for row in cells)
    text += pick(rng, ["", end, end * 3])
    return text.encode(pick(rng, ["utf-8", "utf-8-sig"]))


@pytest.mark.parametrize("amount", AMOUNTS)
def test_harmless_changes_of_a_table_change_nothing(tmp_path: Path, amount: int):
    path = tmp_path / "table.csv"
    for name in ("counts", "means", "contrasts", "rates"):
        path.write_text(TABLES[name])
        expected = load_evidence(path).attrs["evidence_hash"]
        for number in range((3, 100)[amount]):
            content = harmless(np.random.default_rng([21, number]), TABLES[name])
            path.write_bytes(content)
            assert load_evidence(path).attrs["evidence_hash"] == expected, content


@pytest.mark.parametrize("text", SCHEDULES)
def test_spaces_in_a_schedule_change_nothing(text: str):
    expected = parse_regimen(text)
    assert parse_regimen(text.replace(" ", "   ")) == expected
    assert parse_regimen(f"  {text}  ") == expected


def test_a_frame_and_its_file_are_the_same_evidence(tmp_path: Path):
    path = tmp_path / "table.csv"
    for name in ("counts", "means", "contrasts", "rates"):
        path.write_text(TABLES[name])
        from_frame = load_evidence(pd.read_csv(path))
        assert from_frame.attrs["evidence_hash"] == load_evidence(path).attrs["evidence_hash"]


def test_a_fit_of_other_numbers_is_refused(tmp_path: Path):
    make = fits(tmp_path)
    refused = 0
    for number in range(10):
        _, read = make(np.random.default_rng(number))
        try:
            read()
        except FitError:
            refused += 1
    assert refused >= 5
