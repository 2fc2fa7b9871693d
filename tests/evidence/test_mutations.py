"""Mutated tables, 2,000 with the slow ones: each loads, or is rejected with place and hint."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nmda_bayes.design import build_design
from nmda_bayes.errors import CODES, EvidenceError, InputError
from nmda_bayes.evidence import load_evidence, to_frame, write_evidence
from nmda_bayes.evidence.labels import fold_label
from tests.evidence.test_write import TABLES, assert_same
from tests.support.specs import TRIALS, binary_table, outcome, spec

#: The seed is fixed, so that a failure is reproducible. Nothing is shrunk: the tables are small.
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

#: Cells that people, programs and accidents put into tables.
ODD = [
    *("", " ", "NA", "N/A", "nan", "None", "null", "<NA>", "-", "--", "?", ".", "0", "-0", "1"),
    *("-1", "0.5", "1e308", "-1e308", "1e309", "1e-320", "inf", "-inf", "12345678901234567890"),
    *("1,5", "1.234,5", "1 000", "0x1F", "1_000", "1e", "5%", "<0.05", "> 3", "±2", "½", "٣"),
    *("=1+1", "+1", "-x", "@cmd", "'=1", "''", '=HYPERLINK("http://x.example")', "{{7*7}}", "%s"),
    *('"', '""', 'a"b', "a,b", "a;b", "a\tb", "a\nb", "a\r\nb", "\r", "'", "\\", "\x00", "\x1a"),
    *("é", "İ", "ß", "日本", "\u202e", "\u200b", "\ufeff", "\u2028", "\xa0", "\U0001f600"),
    *("x" * 300, "True", "2020-01-01", "study", "placebo", "ketamine", "OR", "all", "first"),
]
NAMES = [
    *("study", "agent", "arm", "dose", "n", "mean", "se", "sd", "events", "comparator"),
    *("estimate", "kind", "line", "row", "se_used", "se_from", "unusable", "overlaps", "design"),
    *("period", "condition", "condition_group", "treatment_days", "infusion_hours", "measure"),
    *("n_administrations", "p", "t", "min", "ci_level", "time_hours", "time_point", "schedule"),
    *("Study", "AGENT", "", "index", "variable", "exposure", "reason", "level_0", "notes", "doi"),
    *("arm_id", "is_change_score", "scale_min", "scale_max", "time_window", "n_treat", "line "),
]

Cells = list[list[str]]


def draw_cells(draw: st.DrawFn, cells: Cells) -> Cells:
    """Mutate a table, header and all, one to three times."""
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        if not cells or not cells[0]:
            return cells
        rows, columns = len(cells), len(cells[0])
        row, column = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
        kind = draw(st.integers(0, 13))
        if kind <= 5:
            at = draw(st.integers(1, rows - 1)) if rows > 1 else 0
            if column < len(cells[at]):
                cells[at][column] = draw(st.sampled_from(ODD))
        elif kind == 6:
            cells = [line[:column] + line[column + 1 :] for line in cells]
        elif kind == 7:
            cells[0][column] = draw(st.sampled_from(NAMES))
        elif kind == 8:
            cells = [[*line, *line[column : column + 1]] for line in cells]
            cells[0][-1] = draw(st.sampled_from([cells[0][-1], *NAMES]))
        elif kind == 9:
            order = draw(st.permutations(range(columns)))
            cells = [[line[i] for i in order if i < len(line)] for line in cells]
        elif kind == 10:
            cells.insert(row, list(cells[row]))
        elif kind == 11:
            del cells[row]
        elif kind == 12:
            cells[row] = cells[row][:column]
        else:
            fill = draw(st.sampled_from(ODD))
            cells = [cells[0], *([*x[:column], fill, *x[column + 1 :]] for x in cells[1:])]
    return cells


def draw_bytes(draw: st.DrawFn, cells: Cells) -> bytes:
    """Write a table as some program would, and sometimes damage the file."""
    separator = draw(st.sampled_from([*[","] * 6, ";", "\t", "|"]))
    quoting = draw(st.sampled_from([*[csv.QUOTE_MINIMAL] * 4, csv.QUOTE_ALL, csv.QUOTE_NONE]))
    if separator == ";":
        cells = [cells[0], *([x.replace(".", ",") for x in line] for line in cells[1:])]
    text = io.StringIO()
    if quoting == csv.QUOTE_NONE:
        text.write("\n".join(separator.join(line) for line in cells) + "\n")
    else:
        end = draw(st.sampled_from(["\n", "\r\n"]))
        csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(cells)
    encoding = draw(st.sampled_from([*["utf-8"] * 9, "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]))
    raw = bytearray(text.getvalue().encode(encoding, "replace"))
    kind = draw(st.integers(0, 9))
    if kind == 0 and raw:
        for _ in range(draw(st.integers(1, 5))):
            raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    elif kind == 1 and raw:
        del raw[draw(st.integers(0, len(raw) - 1)) :]
    return bytes(raw)


def cells_of(text: str) -> Cells:
    return list(csv.reader(io.StringIO(text, newline="")))


@st.composite
def flat_files(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(list(TABLES.values())))
    return draw_bytes(draw, draw_cells(draw, cells_of(text)) or [[]])


@st.composite
def mutated_folders(draw: st.DrawFn) -> dict[str, bytes]:
    """Mutate one or two tables of a small folder."""
    tables = {name: text.encode() for name, text in FOLDER.items()}
    for name in draw(st.lists(st.sampled_from(list(tables)), min_size=1, max_size=2)):
        tables[name] = draw_bytes(draw, draw_cells(draw, cells_of(FOLDER[name])) or [[]])
    return tables


FOLDER = {
    "studies.csv": "study,condition_group,design,source\nA,crps,parallel,doi:10.1000/x\n"
    "B,crps,crossover,doi:10.1000/x\n",
    "arms.csv": "study,arm_id,agent,route,schedule,treatment_days,source\n"
    "A,k,ketamine,iv,0.5 mg/kg over 40 min,1,doi:10.1000/x\nA,p,placebo,iv,,1,doi:10.1000/x\n"
    "B,k,ketamine,iv,0.3 mg/kg/h for 2 h,1,doi:10.1000/x\nB,p,placebo,iv,,,doi:10.1000/x\n",
    "results.csv": "study,arm_id,outcome,kind,time_hours,period,n,events,mean,sd,se,provenance,"
    "source\nA,k,nausea,binary,1,,20,5,,,,reported,doi:10.1000/x\n"
    "A,p,nausea,binary,1,,20,1,,,,reported,doi:10.1000/x\n"
    "B,k,pain_intensity,continuous,2,all,10,,40,9,,reported,doi:10.1000/x\n"
    "B,p,pain_intensity,continuous,2,all,10,,50,,3,reported,doi:10.1000/x\n",
    "contrasts.csv": "study,outcome,measure,agent,comparator,estimate,se,ci_low,ci_high,"
    "provenance,source\nA,pain_intensity,MD,ketamine,placebo,-5,2,,,reported,doi:10.1000/x\n"
    "B,nausea,OR,ketamine,placebo,2,,1.1,3.64,reported,doi:10.1000/x\n",
}

SPECS = {
    "binary": spec(outcome("binomial", measures=["", "nausea"])),
    "continuous": spec(outcome("normal", measures=["", "a", "pain"], time={"rule": "earliest"})),
    "contrasts": spec(outcome("normal_contrast")),
}


def load_and_build(source: Path) -> None:
    """Load evidence and build a design; every error must have a code, a file and a hint."""
    try:
        tree = load_evidence(source)
    except EvidenceError as error:
        for issue in error.issues:
            assert issue.code in CODES, issue
            assert issue.message, issue
            assert issue.hint, issue
            assert issue.file, issue
        return
    kinds = set(to_frame(tree, "results")["kind"])
    kind = "binary" if "binary" in kinds else "continuous" if kinds else "contrasts"
    try:
        build_design(SPECS[kind], tree)
    except InputError as error:
        assert all(issue.hint and issue.message for issue in error.issues)


def check_file(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        path.write_bytes(raw)
        load_and_build(path)


def check_folder(tables: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in tables.items():
            (Path(folder) / name).write_bytes(raw)
        load_and_build(Path(folder))


@settings(FIXED, max_examples=25)
@given(flat_files())
def test_mutated_flat_table_loads_or_is_rejected(raw):
    check_file(raw)


@settings(FIXED, max_examples=8)
@given(mutated_folders())
def test_mutated_folder_loads_or_is_rejected(tables):
    check_folder(tables)


@pytest.mark.slow
@settings(FIXED, max_examples=1500)
@given(flat_files())
def test_1500_mutated_flat_tables(raw):
    check_file(raw)


@pytest.mark.slow
@settings(FIXED, max_examples=500)
@given(mutated_folders())
def test_500_mutated_folders(tables):
    check_folder(tables)


def loaded(frame: pd.DataFrame) -> xr.DataTree:
    return load_evidence(frame.reset_index(drop=True))


@st.composite
def valid_tables(draw: st.DrawFn) -> pd.DataFrame:
    """A valid table: trials of one to three arms, counts or means, with unusual names."""
    kind = draw(st.sampled_from(["counts", "means", "intervals"]))
    word = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
    # Near-equal names are asked about.
    names = draw(st.lists(word, min_size=1, max_size=4, unique_by=fold_label))
    rows = []
    for name in names:
        for agent in ("placebo", "x", "y")[: draw(st.integers(1, 3))]:
            mean, n = draw(st.floats(-1e6, 1e6)), draw(st.integers(2, 500))
            row = {"study": name, "agent": agent, "n": n, "note": draw(word)}
            if kind == "counts":
                row["events"] = draw(st.integers(0, n))
            elif kind == "means":
                row |= {"mean": mean, "sd": draw(st.floats(1e-3, 1e3))}
            else:
                half = draw(st.floats(1e-3, 1e3))
                row |= {"mean": mean, "ci_low": mean - half, "ci_high": mean + half}
                row["ci_level"] = draw(st.sampled_from([90, 95, 0.99]))
            rows.append(row)
    return pd.DataFrame(rows)


@settings(FIXED, max_examples=4)
@given(valid_tables())
def test_written_evidence_loads_as_the_same(frame):
    tree = loaded(frame)
    with tempfile.TemporaryDirectory() as folder:
        assert_same(tree, load_evidence(write_evidence(tree, Path(folder) / "out.csv")))


@settings(FIXED, max_examples=4)
@given(valid_tables(), st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_is_irrelevant(frame, random):
    order, columns = list(range(len(frame))), list(frame)
    random.shuffle(order)
    random.shuffle(columns)
    tree, other = loaded(frame), loaded(frame.iloc[order][columns])
    assert other.attrs["evidence_hash"] == tree.attrs["evidence_hash"]
    for name in ("studies", "arms", "results"):
        key = "study" if name == "studies" else "arm"
        before, after = (
            to_frame(each, name).sort_values(key, ignore_index=True) for each in (tree, other)
        )
        shown = [c for c in before if c not in ("line", "row")]
        pd.testing.assert_frame_equal(before[shown], after[shown])


@settings(FIXED, max_examples=8)
@given(valid_tables())
def test_names_of_studies_are_irrelevant(frame):
    names = {name: f"Trial {i}" for i, name in enumerate(dict.fromkeys(frame["study"]))}
    tree, other = loaded(frame), loaded(frame.assign(study=frame["study"].map(names)))
    named = ["study", "arm"]
    for name in ("studies", "arms", "results"):
        before, after = to_frame(tree, name), to_frame(other, name)
        pd.testing.assert_frame_equal(
            before.drop(columns=named, errors="ignore"), after.drop(columns=named, errors="ignore")
        )
        assert before["study"].map(names).tolist() == after["study"].tolist()


@pytest.mark.parametrize("order", [[6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 2, 5, 1, 4]])
def test_design_does_not_depend_on_the_order_of_rows(order):
    frame = binary_table(TRIALS)
    designs = [
        build_design(spec(outcome("binomial", measures=["harm"])), loaded(rows))
        for rows in (frame, frame.iloc[order])
    ]
    outcomes = [
        each["outcomes/pain"].to_dataset().to_dataframe().sort_index()[["exposure", "events", "n"]]
        for each in designs
    ]
    assert len(outcomes[0]) == 7
    pd.testing.assert_frame_equal(*outcomes)
