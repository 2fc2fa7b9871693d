"""The shipped base: complete, traceable, and nobody in it twice."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest

from nmda_bayes.evidence import TABLES, dictionary, load_evidence, table
from nmda_bayes.evidence.folder_rules import bibliography_keys, unresolved


@pytest.fixture(scope="module")
def usable(base) -> pd.DataFrame:
    results, arms = table(base, "results"), table(base, "arms")
    return results[results["unusable"] == ""].merge(
        arms.drop(columns=["source", "folder", "line"]), on=["study", "arm"]
    )


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("studies", 231),
        ("arms", 555),
        ("results", 1014),
        ("contrasts", 170),
        ("published", 117),
        ("comparisons", 134),
    ],
)
def test_no_row_was_dropped(base, name, rows):
    assert len(table(base, name)) == rows


def test_every_extraction_is_there_in_full(base):
    counts = table(base, "results")["folder"].value_counts().to_dict()
    # Of the 45 rows of magnesium_other, 4 are the numbers that chronic_pain has of Yousef2013.
    assert counts == {
        "chronic_pain": 400,
        "acute_pain": 113,
        "dose_ranging": 358,
        "perioperative": 85,
        "addiction": 14,
        "naltrexone_ketamine": 3,
        "magnesium_other": 45 - 4,
    }
    counts = table(base, "contrasts")["folder"].value_counts().to_dict()
    assert counts == {
        "chronic_pain": 8,
        "acute_pain": 12,
        "dose_ranging": 62,
        "perioperative": 52,
        "addiction": 18,
        "naltrexone_ketamine": 8,
        "magnesium_other": 10,
    }


@pytest.mark.parametrize("name", [name for name in TABLES if name != "vocabulary"])
def test_every_row_has_a_source_that_leads_somewhere(base, data, name):
    rows = table(base, name)
    keys = bibliography_keys(data)
    assert keys
    lost = {source for source in rows["source"] if not source or unresolved(source, keys)}
    assert not lost


def test_the_bibliography_has_no_key_twice(data):
    text = (data / "sources.bib").read_text("utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", text, re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert text.count("{") == text.count("}")


def test_the_dictionary_in_the_readme_is_the_one_of_the_schemas(data):
    text = (data / "README.md").read_text("utf-8")
    there = text.split("made by nmda_bayes.evidence.dictionary) -->")[1].split("<!--")[0]
    assert there.strip() == dictionary()


def test_files_have_the_columns_of_the_dictionary_in_order(data):
    for name, described in TABLES.items():
        header = (data / f"{name}.csv").read_text("utf-8").splitlines()[0].split(",")
        assert header == described.names, name


def test_the_readme_explains_every_reason_and_counts_right(base, data):
    text = (data / "README.md").read_text("utf-8")
    for name in ("results", "contrasts", "published"):
        for reason in set(table(base, name)["unusable"]) - {""}:
            assert f"| {reason} |" in text, reason
    for name in ("results", "contrasts"):
        rows = table(base, name)
        free = int((rows["unusable"] == "").sum())
        assert re.search(rf"{name}\.csv \| {len(rows)} .*?{free} can be used", text), name


def test_every_word_is_in_the_vocabulary_with_a_label(base):
    words = table(base, "vocabulary")
    assert (words["label"] != "").all()
    agents = set(words.loc[words["kind"] == "agent", "term"])
    assert set(table(base, "arms")["agent"]) <= agents
    assert "esketamine" not in agents
    terms = set(zip(words["kind"], words["term"], strict=True))
    synonyms = words[words["synonym"] != ""]
    assert not terms & set(zip(synonyms["kind"], synonyms["synonym"], strict=True))


def test_no_arm_shows_one_thing_twice(usable):
    again = usable.duplicated(["arm", "outcome", "time_hours", "time_label"])
    assert not again.any()


def test_an_arm_that_repeats_others_serves_only_what_they_do_not_report(usable):
    whole = usable.loc[usable["overlaps"] == "", ["arm", "outcome"]]
    reported = set(zip(whole["arm"], whole["outcome"], strict=True))
    repeats = usable[usable["overlaps"].str.startswith("pools")]
    assert set(repeats["study"]) == {"Lumanauw2019", "Mercadante2000"}
    for row in repeats.itertuples():
        for part in str(row.overlaps).removeprefix("pools ").split("; "):
            assert (f"{row.study}: {part}", row.outcome) not in reported


@pytest.mark.parametrize(
    ("home", "part"), [("Williams2018", "Williams2019"), ("Yousef2013", "magnesium_other")]
)
def test_a_trial_read_twice_has_one_set_of_arms(base, home, part):
    arms, studies = table(base, "arms"), table(base, "studies")
    assert (arms["study"] == home).sum() == 2
    assert arms.loc[arms["study"] == home, "merged_from"].str.contains(part).all()
    assert part not in set(studies["study"])


@pytest.mark.parametrize("pool", ["Canuso2021pool", "TRANSFORM1and2"])
def test_pools_of_trials_are_never_used(base, usable, pool):
    assert pool in set(table(base, "studies")["study"])
    assert pool not in set(usable["study"])


def test_one_trial_one_row(base):
    studies = table(base, "studies")
    for key in ("doi", "pmid"):
        given = studies[studies[key] != ""]
        twice = set(given.loc[given[key].str.lower().duplicated(keep=False), "study"])
        # One report may hold two trials: Noted by the same name with a suffix.
        assert {study.split("_")[0] for study in twice} <= {"Sang2002", "Nelson1997"}


def test_the_choice_between_two_counts(base):
    rows = table(base, "results")
    rows = rows[rows["arm"].eq("Sigtermans2009: sket") & rows["outcome"].eq("psychotomimetic_any")]
    assert dict(zip(rows["events"], rows["unusable"], strict=True)) == {
        23: "",
        28: "superseded_by_abstract",
    }


def test_pooled_doses_get_the_mean_of_their_parts(base):
    arms = table(base, "arms").set_index("arm")
    dose = arms.loc["Lumanauw2019: ket_both", "total_dose_mg_per_kg"]
    assert dose == pytest.approx((36 * 0.25 + 35 * 0.5) / 71, abs=5e-5)


def test_changes_are_on_the_scale_of_their_instrument(base):
    rows = table(base, "results")
    assert (rows["scale_min"].dropna() >= 0).all()


def test_first_period_and_all_periods_of_a_crossover_are_told_apart(base):
    rows = table(base, "results").merge(table(base, "studies")[["study", "design"]], on="study")
    assert (rows.loc[rows["design"] == "crossover", "period"] != "").all()
    assert (rows.loc[rows["design"] == "parallel", "period"] == "").all()


def test_medians_are_not_means(base):
    rows = table(base, "results")
    median = rows["outcome_reported"].str.contains("median")
    assert (rows.loc[median, "unusable"] == "median").all()


def test_references_name_a_dose_that_arms_have(base):
    arms, references = table(base, "arms"), table(base, "reference_doses")
    for row in references.itertuples():
        same = arms[(arms["agent"] == row.agent) & (arms["route"] == row.route)]
        if row.agent == "amantadine" and row.route == "oral":
            continue  # the one trial states no dose; the label is there for the next
        assert same[str(row.dose_column)].notna().any(), row


def test_times_in_other_words_are_one_time_point(base):
    rows = table(base, "results")
    assert ((rows["time_point"] != "") == (rows["time_label"] != "")).all()
    month = set(rows.loc[rows["time_point"] == "week_4", "time_label"])
    assert month == {"day 28", "week 4", "4 weeks", "28 days", "1 month"}
    words = table(base, "vocabulary")
    terms = set(words.loc[words["kind"] == "time_point", "term"])
    for name in ("results", "contrasts"):
        assert set(table(base, name)["time_point"]) <= terms | {""}
    hours = rows[rows["time_point"].isin(["h_2", "h_24", "week_4", "month_6"])].dropna(
        subset=["time_hours"]
    )
    spread = hours.groupby("time_point")["time_hours"].agg(["min", "max"])
    assert spread.loc["h_2"].tolist() == [2, 2]
    assert spread.loc["h_24"].tolist() == [24, 24]
    # 28 days in one report, a month of 30 days in another.
    assert spread.loc["week_4"].tolist() == [672, 720]
    assert spread.loc["month_6"].tolist() == [4380, 4380]


def test_what_was_not_randomised_says_so(base):
    studies = table(base, "studies").set_index("study")["design"]
    apart = {"Krupitsky1997", "Pizon2018", "Gamelin2004", "Knijn2011", "IJMPRcohort"}
    assert set(studies[studies == "observational"].index) == apart
    assert set(studies[studies == "animal"].index) == {"Zhang2019mice"}


def test_pain_after_surgery_is_gone_when_the_table_says_so(base):
    """IJCLP 2022 article 1878705, table 3: ketamine against control, 3.16 points to none."""
    rows = table(base, "results")
    pain = rows[rows["study"].eq("IJCLP1878705_2022") & rows["outcome"].eq("pain_intensity")]
    means = pain.pivot_table(index="time_hours", columns="arm", values="mean")
    gap = means["IJCLP1878705_2022: control"] - means["IJCLP1878705_2022: ketamine"]
    assert gap.to_dict() == pytest.approx({0: 3.16, 4: 1.60, 8: 1.03, 24: 0.0, 48: -0.07})


def test_placebo_is_the_zero_of_the_dose_axis(base):
    arms = table(base, "arms")
    assert (arms.loc[arms["agent"] == "placebo", "dose"] == 0).all()
    assert arms.loc[arms["agent"] != "placebo", "dose"].isna().all()


def test_loading_needs_no_sampler():
    code = (
        "import sys, nmda_bayes.evidence as e; e.load_evidence();"
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_shipped_base_by_its_name(base):
    assert load_evidence("nmda").attrs == base.attrs
    assert base.attrs["kind"] == "base"
