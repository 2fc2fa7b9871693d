"""Evidence to files and back: the same again, nothing written over, nothing a spreadsheet runs."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nmda_bayes
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, table, write_evidence
from nmda_bayes.evidence.guards import guarded, unguarded
from tests.evidence.conftest import ARMS

PRINTED = {
    "counts": ARMS,
    "means": "study,agent,dose,mean,sd,n,se,year\nA,placebo,0,50.25,10,20,,1999\n"
    "A,x,1.5,40,,,2.5,1999\n",
    "intervals": "study,agent,mean,ci_low,ci_high,ci_level,n\nA,placebo,4,3,5,95,20\n"
    "A,x,5,4,6,0.90,\n",
    "quartiles": "study,agent,median,q1,q3,min,max,n,mean,sd\nA,placebo,4,3,5,,,20,,\n"
    "A,x,6,,,1,9,30,,\nA,y,,,,,,20,5,2\n",
    "changes": "study,agent,change_mean,change_sd,n,pre_mean,pre_sd,post_mean,post_sd,"
    "pre_post_correlation,outcome\nA,placebo,-4,3,20,,,,,,pain\nA,x,,,20,50,10,40,12,0.5,pain\n",
    "contrasts": "study,agent,comparator,estimate,se,ci_low,ci_high,ci_level,p,t,f,measure\n"
    "A,x,placebo,2,,1.1,3.64,95,,,,OR\nB,x,placebo,2,.3,1.1,3.64,95,<0.05,,,OR\n"
    "C,x,placebo,-3,,,,,.03,,,MD\nD,x,placebo,-3,,,,,,2.1,,\nE,x,placebo,1.3,,,,,,,4.41,RR\n"
    "F,x,placebo,.7,.2,,,,,,,log_HR\n",
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
    """Hold two trees to each other: all but the lines of the file."""
    assert again.attrs["evidence_hash"] == tree.attrs["evidence_hash"]
    assert set(again.children) == set(tree.children)
    for name in tree.children:
        one, other = (
            table(each, name).drop(columns="line", errors="ignore") for each in (tree, again)
        )
        assert set(one) == set(other), name
        pd.testing.assert_frame_equal(one, other[list(one)])


@pytest.mark.parametrize("text", PRINTED.values(), ids=PRINTED)
def test_a_flat_table_comes_back_the_same(write, tmp_path, text):
    tree = load_evidence(write(text))
    again = load_evidence(write_evidence(tree, tmp_path / "out.csv"))
    for name in tree.children:
        one, other = (
            table(each, name).drop(columns="line", errors="ignore") for each in (tree, again)
        )
        pd.testing.assert_frame_equal(one, other[list(one)], check_like=True)
    twice = write_evidence(again, tmp_path / "twice.csv")
    assert twice.read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_the_numbers_of_the_report_are_written_not_what_follows_from_them(write, tmp_path):
    tree = load_evidence(write(PRINTED["contrasts"]))
    rows = pd.read_csv(write_evidence(tree, tmp_path / "out.csv"), dtype=str)
    first = rows.iloc[0]
    assert first[["measure", "estimate", "ci_low", "ci_high"]].tolist() == [
        "OR",
        "2",
        "1.1",
        "3.64",
    ]
    assert pd.isna(first["se"])
    tree = load_evidence(write(PRINTED["quartiles"]))
    rows = pd.read_csv(write_evidence(tree, tmp_path / "two.csv"))
    assert rows["mean"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("folder", ["small", "data"])
def test_a_folder_comes_back_the_same(request, tmp_path, folder):
    tree = load_evidence(request.getfixturevalue(folder))
    out = write_evidence(tree, tmp_path / "out")
    again = load_evidence(out)
    for name in tree.children:
        one, other = (
            table(each, name).drop(columns="line", errors="ignore") for each in (tree, again)
        )
        pd.testing.assert_frame_equal(one, other[list(one)])
    assert (out / "sources.bib").is_file() == (
        request.getfixturevalue(folder) / "sources.bib"
    ).is_file()


def test_nothing_is_written_over(write, tmp_path, small):
    tree, base = load_evidence(write(ARMS)), load_evidence(small)
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")
    for what, place in ((tree, taken), (base, small), (tree, small)):
        with pytest.raises(EvidenceError, match="not written over"):
            write_evidence(what, place)
    assert taken.read_text() == "mine"
    with pytest.raises(EvidenceError, match="no such folder"):
        write_evidence(tree, tmp_path / "none" / "out.csv")
    with pytest.raises(EvidenceError, match=r"does not end in \.csv"):
        write_evidence(tree, tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_no_cell_begins_as_a_formula(write, tmp_path):
    path = write_evidence(load_evidence(write(PRINTED["odd text"])), tmp_path / "out.csv")
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    numbers = {header.index(name) for name in ("events", "n")}
    cells = [cell for row in [header, *rows] for i, cell in enumerate(row) if i not in numbers]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    assert {"'=1+1", "'+49 30", "'=z", "'=cmd"} <= set(cells)
    # An apostrophe that no formula follows stays as it is.
    assert "''quoted" in cells


@pytest.mark.parametrize("text", ["=1", "'=1", "''@x", "-", "+4", "'quoted'", "it's", "", "x=1"])
def test_a_guard_comes_off_again(text):
    assert unguarded(guarded(text)) == text


def test_arms_without_a_result_are_refused(write, tmp_path):
    tree = load_evidence(write(ARMS))
    tree["results"] = tree["results"].to_dataset().isel(row=slice(0, 4))
    with pytest.raises(EvidenceError, match="1 arms have no result, such as 'B: ketamine 0.5'"):
        write_evidence(tree, tmp_path / "out.csv")


def test_what_would_not_come_back_is_refused(write, tmp_path):
    tree = load_evidence(write(ARMS))
    results = tree["results"].to_dataset()
    tree["results"] = results.assign(events=("row", results["events"].to_numpy() * np.nan))
    with pytest.raises(EvidenceError, match="would not load again"):
        write_evidence(tree, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_it_is_in_reach(tmp_path, small):
    assert nmda_bayes.write_evidence is write_evidence
    shutil.copytree(small, tmp_path / "copy")
    assert write_evidence(load_evidence(tmp_path / "copy"), tmp_path / "new").is_dir()
