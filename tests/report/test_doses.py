"""Doses and units in the report: tested doses, each number with its interval, unit and dose."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures.layout import tested_doses_to_mark as positions_to_mark
from nmda_bayes.report import tables
from nmda_bayes.report.context import BELOW, EXTRAPOLATED, ReportContext
from nmda_bayes.report.sections.clinical import NO_DOSE_IS_LIKELY, window_section
from nmda_bayes.report.sections.evidence import evidence_section
from nmda_bayes.report.sections.summary import question_section
from tests.report.conftest import BENEFIT_RISK, flat_rows, quick_fit

NUMBER = r"−?[\d.]+(?:e[+−]?\d+)?"
INTERVAL = rf"{NUMBER} to {NUMBER}"
DOSE = rf"at ({NUMBER}) mg/kg"


@pytest.fixture(scope="module")
def report() -> ReportContext:
    rows = [row | {"dose_unit": "mg/kg"} for row in flat_rows()]
    return ReportContext(quick_fit(BENEFIT_RISK, rows))


def known_doses(
    report: ReportContext, outcome: str, agent: str, condition: str | None
) -> set[float]:
    rows = report.tested_doses
    rows = rows[(rows["outcome"] == outcome) & (rows["agent"] == agent)]
    if condition is not None:
        rows = rows[rows["condition"] == condition]
    return set(rows["dose"])


def number(text: str) -> float:
    return float(re.match(rf"({NUMBER})", text)[1].replace("−", "-"))


def key_results(report: ReportContext) -> list[str]:
    blocks = list(question_section(report).blocks)
    return [
        text for block in blocks for text in getattr(block, "items", ()) if isinstance(text, str)
    ]


def test_doses_of_cells_without_a_trial_are_labelled(report):
    for outcome in report.outcomes:
        for cell in report.cells(outcome):
            doses = report.reported_doses(outcome, cell.agent, cell.tested_in)
            known = known_doses(report, outcome, cell.agent, cell.tested_in)
            assert (set(doses) <= known) if cell.trials else not known
        frame = tables.effect_table(report, outcome)
        assert (frame.loc[frame["trials"] == 0, "remark"] == tables.NO_TRIAL).all()


def test_every_tested_cell_states_its_commonest_dose(report):
    counts = report.tested_doses.set_index(["outcome", "agent", "condition"]).sort_index()
    for outcome in report.outcomes:
        frame = tables.effect_table(report, outcome)
        assert frame.groupby(["agent", "condition"])["main"].sum().eq(1).all()
        for cell in report.tested_cells(outcome):
            rows = counts.loc[[(outcome, cell.agent, cell.condition)]]
            main = report.main_dose(outcome, cell.agent, cell.tested_in)
            (arms,) = rows.loc[rows["dose"] == main, "arms"]
            assert arms == rows["arms"].max()
    assert report.main_dose("pain", "ketamine", "fibromyalgia") == 2.0
    assert report.main_dose("pain", "ketamine", "crps") == 1.0


def test_each_key_result_has_its_dose_unit_and_interval(report):
    sentences = [text for text in key_results(report) if " vs placebo" in text]
    assert len(sentences) == 6  # two outcomes of three agent-condition pairs
    units = {"Pain intensity": "difference {} points", "Dissociation": "odds ratio {}"}
    for text in sentences:
        dose = re.search(DOSE, text)
        assert dose, text
        expected = units[text.partition(",")[0]].format(NUMBER)
        assert re.search(rf"{expected} \(95% CrI {INTERVAL}\)", text), text
        agent = "s_ketamine" if "S-ketamine" in text else "ketamine"
        assert float(dose[1]) in known_doses(report, "pain", agent, None)


def test_the_basis_of_the_results_is_on_the_first_screen(report):
    terms = [
        pair for block in question_section(report).blocks for pair in getattr(block, "pairs", ())
    ]
    expected = ["Data", "Left out", "Doses", "Conditions", "Reference"]
    assert [term for term, _ in terms][:5] == expected
    assert "ketamine 0.5 mg/kg, 1 mg/kg, 2 mg/kg" in dict(terms)["Doses"]


def test_comparisons_state_doses_and_whether_they_were_tested(report):
    frame = tables.contrast_table(report, "pain")
    assert not frame.empty
    for row in frame.to_dict("records"):
        doses = [number(text) for text in row["doses"].split(" vs ")]
        agents = [name.replace("S-", "s_") for name in row["agents"].split(" vs ")]
        for agent, dose in zip(agents, doses, strict=True):
            is_known = dose in known_doses(report, "pain", agent, row["condition"])
            assert is_known or "not a tested dose" in row["remark"] or EXTRAPOLATED in row["remark"]


def test_the_best_dose_is_a_tested_dose(report):
    window = report.spec.window
    cells = 0
    for agent in report.agents:
        for condition in report.conditions:
            best = tables.best_dose(report, agent, condition)
            known = {
                dose
                for outcome in (window.benefit, window.harm)
                for dose in known_doses(report, outcome, agent, condition)
            }
            assert (best is None) == (not known)
            if best is not None:
                cells += 1
                assert best.dose in known
                assert 0 <= best.probability <= 1
    assert cells == 3


def test_no_dose_is_called_best_when_none_is_likely(report):
    texts = [text for text in key_results(report) if text.startswith("Benefit with acceptable")]
    frame = [block for block in window_section(report).blocks if hasattr(block, "rows")][-1]
    findings = {row[-2] for row in frame.rows} | {row[-1] for row in frame.rows}
    for agent in ("ketamine", "s_ketamine"):
        shown = [tables.best_dose(report, agent, condition) for condition in report.conditions]
        assert all(not best.is_likely for best in shown if best is not None)
    assert NO_DOSE_IS_LIKELY in findings
    assert all("no tested dose is likely (at least 50%)" in text for text in texts)
    assert not any("has the highest probability of meeting" in text for text in texts)


def test_figures_mark_only_tested_doses(report):
    for curve in (report.response.sel(outcome="pain"), report.window["p_both"]):
        for agent in report.agents:
            for condition in report.conditions:
                cell = curve.sel(agent=agent, condition=condition)
                if not bool(cell["tested"].any()):
                    assert bool(cell["extrapolated"].all())
                    continue
                marked = cell["dose"].to_numpy()[positions_to_mark(cell)]
                known = known_doses(report, "pain", agent, condition)
                assert all(np.isclose(list(known), dose, rtol=1e-5).any() for dose in marked)


def test_remarks_follow_the_condition(report):
    # Ketamine was given at 0.5 and 1 in crps, at 2 in fibromyalgia.
    assert report.dose_remark("pain", "ketamine", 2.0, "crps") == EXTRAPOLATED
    assert report.dose_remark("pain", "ketamine", 2.0, "fibromyalgia") == ""
    assert report.dose_remark("pain", "ketamine", 1.0, "fibromyalgia") == BELOW
    assert report.dose_remark("pain", "s_ketamine", 1.0, "crps") == EXTRAPOLATED
    assert report.dose_remark("pain", "ketamine", 2.0) == ""


def test_trials_without_an_event_are_counted(report):
    fit = report.fit.copy()
    harm = fit["design/outcomes/dissociation"].to_dataset()
    of_s_ketamine = harm["study"].isin(["Seth 2004", "Enos 2005"])
    harm = harm.assign(events=harm["events"].where(~of_s_ketamine, 0))
    fit["design/outcomes/dissociation"] = xr.DataTree(harm)
    altered = ReportContext(fit, checks=report.checks)
    assert sorted(altered.silent_trials("dissociation")) == ["Enos 2005", "Seth 2004"]
    assert altered.silent_trials("dissociation", "ketamine") == []
    assert altered.silent_trials("pain") == []
    (totals, *_) = evidence_section(altered).blocks
    assert "in 2 of 5 trials nobody had the event, or everybody" in totals.text
    flagged = [text for text in key_results(altered) if "determined by its prior" in text]
    assert [text.split(" vs ")[0] for text in flagged] == ["Dissociation, S-ketamine"]


def test_parameters_are_named_for_readers(report):
    assert report.quantity("pain::emax") == "maximum effect of pain intensity"
    assert report.quantity("pain::emax_location") == "mean maximum effect of pain intensity"
    assert report.quantity("emax") == "maximum effect"
    assert not any("::" in text or "emax" in text for text in key_results(report))


def test_a_ratio_is_reported_as_a_ratio():
    content = copy.deepcopy(BENEFIT_RISK)
    del content["outcomes"]["dissociation"], content["window"]
    pain = content["outcomes"]["pain"]
    pain |= {"likelihood": "normal_contrast", "unit": "log RR", "curve": "constant"}
    parameters = pain["parameters"]
    pain["parameters"] = {
        "effect": {
            "pooling": "independent",
            "priors": {"each": parameters["baseline"]["priors"]["each"]},
        },
        "heterogeneity_sd": parameters["heterogeneity_sd"],
    }
    rows = [
        {"study": f"T{i}", "agent": "drug", "comparator": "placebo", "estimate": -0.3, "se": 0.2,
         "outcome": "pain"}
        for i in range(3)
    ]  # fmt: skip
    report = ReportContext(quick_fit(content, rows))
    (text, *_) = key_results(report)
    assert re.search(r"risk ratio .* \(95% CrI .* to .*\)", text)
    assert "log" not in text
    assert "risk ratio (95% CrI)" in tables.effect_table(report, "pain")
    assert report.effects["pain"].attrs["ratio"] == "risk ratio"
