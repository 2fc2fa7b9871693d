"""The shipped base: complete, traceable and without duplicates."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest

from nmda_bayes.evidence import TABLES, data_dictionary, load_evidence, to_frame
from nmda_bayes.evidence.validate import bibliography_keys, unresolved_sources


@pytest.fixture(scope="module")
def usable(base) -> pd.DataFrame:
    results, arms = to_frame(base, "results"), to_frame(base, "arms")
    return results[results["unusable"] == ""].merge(
        arms.drop(columns=["source", "folder", "line"]), on=["study", "arm"]
    )


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_a_file_is_loaded(base, data, name):
    assert len(to_frame(base, name)) == len(pd.read_csv(data / f"{name}.csv", dtype="str"))


@pytest.mark.parametrize("name", ["results", "contrasts"])
def test_every_row_of_an_extraction_is_loaded(base, data, name):
    """The rows of the ledger that were not merged with others."""
    ledger = pd.read_csv(data / "ledger.csv", dtype="str", keep_default_na=False)
    carried = ledger[(ledger["data_table"] == name) & (ledger["fate"] != "merged")]
    counts = to_frame(base, name)["folder"].value_counts()
    assert counts.to_dict() == carried["folder"].value_counts().to_dict()


@pytest.mark.parametrize("name", [name for name in TABLES if name != "vocabulary"])
def test_every_row_has_a_source_that_resolves(base, data, name):
    rows = to_frame(base, name)
    keys = bibliography_keys(data)
    assert keys
    assert not [
        source for source in rows["source"] if not source or unresolved_sources(source, keys)
    ]


def test_bibliography_keys_are_unique(data):
    text = (data / "sources.bib").read_text("utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", text, re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert text.count("{") == text.count("}")


def test_data_dictionary_in_the_readme_is_current(data):
    text = (data / "README.md").read_text("utf-8")
    section = text.split("made by nmda_bayes.evidence.data_dictionary) -->")[1].split("<!--")[0]
    assert section.strip() == data_dictionary()


def test_files_have_the_described_columns(data):
    for name, described in TABLES.items():
        header = (data / f"{name}.csv").read_text("utf-8").splitlines()[0].split(",")
        assert header == described.names, name


def test_readme_explains_reasons_and_counts_rows(base, data):
    text = (data / "README.md").read_text("utf-8")
    for name in ("results", "contrasts", "published"):
        for reason in set(to_frame(base, name)["unusable"]) - {""}:
            assert f"| {reason} |" in text, reason
    for name in ("results", "contrasts"):
        rows = to_frame(base, name)
        free = int((rows["unusable"] == "").sum())
        assert re.search(rf"{name}\.csv \| {len(rows)} .*?{free} can be used", text), name


def test_every_term_has_a_label(base):
    words = to_frame(base, "vocabulary")
    assert (words["label"] != "").all()
    agents = set(words.loc[words["kind"] == "agent", "term"])
    assert set(to_frame(base, "arms")["agent"]) <= agents
    assert "esketamine" not in agents
    terms = set(zip(words["kind"], words["term"], strict=True))
    synonyms = words[words["synonym"] != ""]
    assert not terms & set(zip(synonyms["kind"], synonyms["synonym"], strict=True))


def test_no_arm_has_a_result_twice(usable):
    again = usable.duplicated(["arm", "outcome", "time_hours", "time_label"])
    assert not again.any()


def test_pooled_arms_only_add_unreported_outcomes(usable):
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
def test_trial_of_two_extractions_has_one_set_of_arms(base, home, part):
    arms, studies = to_frame(base, "arms"), to_frame(base, "studies")
    assert (arms["study"] == home).sum() == 2
    assert arms.loc[arms["study"] == home, "merged_from"].str.contains(part).all()
    assert part not in set(studies["study"])


@pytest.mark.parametrize("pool", ["Canuso2021pool", "TRANSFORM1and2"])
def test_pools_of_trials_are_never_used(base, usable, pool):
    assert pool in set(to_frame(base, "studies")["study"])
    assert pool not in set(usable["study"])


def test_reports_are_unique(base):
    studies = to_frame(base, "studies")
    for key in ("doi", "pmid"):
        named = studies[studies[key] != ""]
        repeated = set(named.loc[named[key].str.lower().duplicated(keep=False), "study"])
        # Two reports have two trials each, which differ in the suffix of their names.
        assert {study.split("_")[0] for study in repeated} <= {"Sang2002", "Nelson1997"}


def test_superseded_count_is_unusable(base):
    rows = to_frame(base, "results")
    rows = rows[rows["arm"].eq("Sigtermans2009: sket") & rows["outcome"].eq("psychotomimetic_any")]
    assert dict(zip(rows["events"], rows["unusable"], strict=True)) == {
        23: "",
        28: "superseded_by_abstract",
    }


def test_dose_of_a_pooled_arm_is_the_weighted_mean(base):
    arms = to_frame(base, "arms").set_index("arm")
    dose = arms.loc["Lumanauw2019: ket_both", "total_dose_mg_per_kg"]
    assert dose == pytest.approx((36 * 0.25 + 35 * 0.5) / 71, abs=5e-5)


def test_scales_start_at_0_or_above(base):
    rows = to_frame(base, "results")
    assert (rows["scale_min"].dropna() >= 0).all()


def test_only_crossover_results_have_a_period(base):
    rows = to_frame(base, "results").merge(
        to_frame(base, "studies")[["study", "design"]], on="study"
    )
    assert (rows.loc[rows["design"] == "crossover", "period"] != "").all()
    assert (rows.loc[rows["design"] == "parallel", "period"] == "").all()


def test_medians_are_unusable_as_means(base):
    rows = to_frame(base, "results")
    median = rows["outcome_reported"].str.contains("median")
    assert (rows.loc[median, "unusable"] == "median").all()


def test_reference_doses_refer_to_known_doses(base):
    arms, references = to_frame(base, "arms"), to_frame(base, "reference_doses")
    for row in references.itertuples():
        same = arms[(arms["agent"] == row.agent) & (arms["route"] == row.route)]
        if row.agent == "amantadine" and row.route == "oral":
            continue  # its only trial states no dose
        assert same[str(row.dose_column)].notna().any(), row


def test_synonyms_of_a_time_point(base):
    rows = to_frame(base, "results")
    assert ((rows["time_point"] != "") == (rows["time_label"] != "")).all()
    month = set(rows.loc[rows["time_point"] == "week_4", "time_label"])
    assert month == {"day 28", "week 4", "4 weeks", "28 days", "1 month"}
    words = to_frame(base, "vocabulary")
    terms = set(words.loc[words["kind"] == "time_point", "term"])
    for name in ("results", "contrasts"):
        assert set(to_frame(base, name)["time_point"]) <= terms | {""}
    hours = rows[rows["time_point"].isin(["h_2", "h_24", "week_4", "month_6"])].dropna(
        subset=["time_hours"]
    )
    spread = hours.groupby("time_point")["time_hours"].agg(["min", "max"])
    assert spread.loc["h_2"].tolist() == [2, 2]
    assert spread.loc["h_24"].tolist() == [24, 24]
    # 28 days in one report, a month of 30 days in another.
    assert spread.loc["week_4"].tolist() == [672, 720]
    assert spread.loc["month_6"].tolist() == [4380, 4380]


def test_studies_that_were_not_randomised(base):
    studies = to_frame(base, "studies").set_index("study")["design"]
    observational = {"Krupitsky1997", "Pizon2018", "Gamelin2004", "Knijn2011", "IJMPRcohort"}
    assert set(studies[studies == "observational"].index) == observational
    assert set(studies[studies == "animal"].index) == {"Zhang2019mice"}


def test_pain_after_surgery_agrees_with_the_report(base):
    """IJCLP 2022 article 1878705, table 3: control minus ketamine."""
    rows = to_frame(base, "results")
    pain = rows[rows["study"].eq("IJCLP1878705_2022") & rows["outcome"].eq("pain_intensity")]
    means = pain.pivot_table(index="time_hours", columns="arm", values="mean")
    gap = means["IJCLP1878705_2022: control"] - means["IJCLP1878705_2022: ketamine"]
    assert gap.to_dict() == pytest.approx({0: 3.16, 4: 1.60, 8: 1.03, 24: 0.0, 48: -0.07})


def test_placebo_has_dose_0(base):
    arms = to_frame(base, "arms")
    assert (arms.loc[arms["agent"] == "placebo", "dose"] == 0).all()
    assert arms.loc[arms["agent"] != "placebo", "dose"].isna().all()


def test_loading_needs_no_sampler():
    code = (
        "import sys, nmda_bayes.evidence as e; e.load_evidence();"
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shipped_base_by_name(base):
    assert load_evidence("nmda").attrs == base.attrs
    assert base.attrs["kind"] == "base"
