"""Writing evidence: it loads again as the same, overwrites nothing and contains no formulas."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nmda_bayes
from nmda_bayes.artifacts import escape_formula, unescape_formula
from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, to_frame, write_evidence
from tests.evidence.conftest import ARMS

TABLES = {
    "counts": ARMS,
    "means": "study,agent,dose,mean,sd,n,se,year\nA,placebo,0,50.25,10,20,,1999\n"
    "A,x,1.5,40,,,2.5,1999\n",
    "intervals": "study,agent,mean,ci_low,ci_high,ci_level,n\nA,placebo,4,3,5,95,20\n"
    "A,x,5,4,6,0.90,\n",
    "quartiles": "study,agent,median,q1,q3,min,max,n,mean,sd\nA,placebo,4,3,5,,,20,,\n"
    "A,x,6,,,1,9,30,,\nA,y,,,,,,20,5,2\n",
    "changes": "study,agent,change_mean,change_sd,n,pre_mean,pre_sd,post_mean,post_sd,"
    "pre_post_correlation,outcome\nA,placebo,-4,3,20,,,,,,pain\nA,x,,,20,50,10,40,12,0.5,pain\n",
    "contrasts": "study,agent,comparator,outcome,estimate,se,ci_low,ci_high,ci_level,p,t,f,measure"
    "\nA,x,placebo,a,2,,1.1,3.64,95,,,,OR\nB,x,placebo,a,2,.3,1.1,3.64,95,<0.05,,,OR\n"
    "C,x,placebo,b,-3,,,,,.03,,,MD\nD,x,placebo,b,-3,,,,,,2.1,,\nE,x,placebo,c,1.3,,,,,,,4.41,RR\n"
    "F,x,placebo,d,.7,.2,,,,,,,log_HR\n",
    "arms of one agent": "study,agent,arm,comparator,comparator_arm,estimate,se,comparator_se\n"
    "A,x,x low,placebo,p,-0.5,0.2,0.14\nA,x,x high,placebo,p,-0.8,0.2,0.14\nB,x,,placebo,,-1,.2,\n",
    "both kinds": "study,agent,dose,comparator,mean,se,estimate,outcome,colour\n"
    "A,placebo,0,,4,1,,a,red\nB,x,2,placebo,,0.5,-1,a,3\nA,x,1,,3,1,,a,\n",
    "a crossover": "study,agent,design,period,correlation,mean,sd,n\n"
    "A,placebo,crossover,all,.5,4,3,20\nA,x,crossover,all,.5,5,4,20\n",
    "doses": "study,agent,arm,route,treatment_days,time_hours,total_dose_mg_per_kg,events,n\n"
    "A,placebo,p,iv,7,168,0,1,10\nA,ketamine,k,iv,7,168,0.5,3,10\n",
    "odd text": 'study,agent,events,n,"my, column",=cmd\n"A ""1""",placebo,1,9,=1+1,x\n'
    '"A ""1""",x,2,9,"two\nlines; and \'more\'",@y\n-B,placebo,1,9,+49 30,\'=z\n'
    "-B,x,1,9,-,''quoted\n",
    "numbers that need their digits": "study,agent,mean,se\nA,placebo,0.1,1e-7\n"
    "A,x,123456789.123456789,0.30000000000000004\n",
}


def assert_same(tree: xr.DataTree, again: xr.DataTree) -> None:
    """Compare two trees, except the lines of the file."""
    assert again.attrs["evidence_hash"] == tree.attrs["evidence_hash"]
    assert set(again.children) == set(tree.children)
    for name in tree.children:
        before, after = (
            to_frame(each, name).drop(columns="line", errors="ignore") for each in (tree, again)
        )
        assert set(before) == set(after), name
        pd.testing.assert_frame_equal(before, after[list(before)])


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_flat_table_round_trip(write, tmp_path, text):
    tree = load_evidence(write(text))
    again = load_evidence(write_evidence(tree, tmp_path / "out.csv"))
    assert_same(tree, again)
    twice = write_evidence(again, tmp_path / "twice.csv")
    assert twice.read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_reported_numbers_are_written(write, tmp_path):
    tree = load_evidence(write(TABLES["contrasts"]))
    rows = pd.read_csv(write_evidence(tree, tmp_path / "out.csv"), dtype=str)
    first = rows.iloc[0]
    assert first[["measure", "estimate", "ci_low", "ci_high"]].tolist() == [
        "OR",
        "2",
        "1.1",
        "3.64",
    ]
    assert pd.isna(first["se"])
    tree = load_evidence(write(TABLES["quartiles"]))
    rows = pd.read_csv(write_evidence(tree, tmp_path / "two.csv"))
    assert rows["mean"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("folder", ["small", "data"])
def test_folder_round_trip(request, tmp_path, folder):
    tree = load_evidence(request.getfixturevalue(folder))
    out = write_evidence(tree, tmp_path / "out")
    again = load_evidence(out)
    assert_same(tree, again)
    assert (out / "sources.bib").is_file() == (
        request.getfixturevalue(folder) / "sources.bib"
    ).is_file()


def write_error(tree: xr.DataTree, path: Path) -> Issue:
    with pytest.raises(EvidenceError) as caught:
        write_evidence(tree, path)
    (issue,) = caught.value.issues
    return issue


def test_nothing_is_overwritten(write, tmp_path, small):
    tree, base = load_evidence(write(ARMS)), load_evidence(small)
    existing = tmp_path / "existing.csv"
    existing.write_text("content")
    for evidence, path in ((tree, existing), (base, small), (tree, small)):
        assert write_error(evidence, path).code == "E160"
    assert existing.read_text() == "content"
    assert write_error(tree, tmp_path / "none" / "out.csv").code == "E161"
    assert write_error(tree, tmp_path / "out.xlsx").code == "E162"
    assert not (tmp_path / "out.xlsx").exists()


def test_no_cell_begins_like_a_formula(write, tmp_path):
    path = write_evidence(load_evidence(write(TABLES["odd text"])), tmp_path / "out.csv")
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    numbers = {header.index(name) for name in ("events", "n")}
    cells = [cell for row in [header, *rows] for i, cell in enumerate(row) if i not in numbers]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    assert {"'=1+1", "'+49 30", "'=z", "'=cmd"} <= set(cells)
    # An apostrophe that is not followed by a formula is not changed.
    assert "''quoted" in cells


@pytest.mark.parametrize("text", ["=1", "'=1", "''@x", "-", "+4", "'quoted'", "it's", "", "x=1"])
def test_escaped_formula_is_restored(text):
    assert unescape_formula(escape_formula(text)) == text


def test_arms_without_results_are_rejected(write, tmp_path):
    tree = load_evidence(write(ARMS))
    tree["results"] = tree["results"].to_dataset().isel(row=slice(0, 4))
    issue = write_error(tree, tmp_path / "out.csv")
    assert issue.code == "E163"
    assert "'B: ketamine 0.5'" in issue.message


def test_evidence_that_would_not_load_is_rejected(write, tmp_path):
    tree = load_evidence(write(ARMS))
    results = tree["results"].to_dataset()
    tree["results"] = results.assign(events=("row", results["events"].to_numpy() * np.nan))
    assert write_error(tree, tmp_path / "out.csv").code == "E164"
    assert not (tmp_path / "out.csv").exists()


def test_write_evidence_is_public(tmp_path, small):
    assert nmda_bayes.write_evidence is write_evidence
    shutil.copytree(small, tmp_path / "copy")
    assert write_evidence(load_evidence(tmp_path / "copy"), tmp_path / "new").is_dir()
