"""The report of a user's table: its first screen, and no dose that is not tested or labelled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.report import tables
from nmda_bayes.report.blocks import Block, Definitions, Fold, Items, Picture, Table, Text
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.sections import SECTIONS
from nmda_bayes.templates import rehearse
from tests.report.conftest import quick_fit_of

MEANS = """study,agent,dose,dose_unit,condition,mean,sd,n
Ames 2001,placebo,0,mg,knee,62,20,40
Ames 2001,alpha,10,mg,knee,57,21,41
Ames 2001,alpha,40,mg,knee,50,20,39
Bond 2003,placebo,0,mg,knee,60,19,30
Bond 2003,beta,20,mg,knee,54,20,31
Cole 2005,placebo,0,mg,back,55,22,50
Cole 2005,alpha,25,mg,back,49,21,50
Cole 2005,alpha,40,mg,back,47,22,49
Dunn 2007,placebo,0,mg,back,57,20,35
Dunn 2007,beta,20,mg,back,52,20,35
Dunn 2007,beta,80,mg,back,45,21,34
Eden 2009,placebo,0,mg,back,58,20,25
Eden 2009,beta,60,mg,back,NR,NR,25
"""
JOINT = """study,agent,dose,dose_unit,outcome,mean,sd,n,events
Ames 2001,placebo,0,mg/kg,pain,6.1,2.1,31,
Ames 2001,placebo,0,mg/kg,nausea,,,31,6
Ames 2001,alpha,0.5,mg/kg,pain,4.4,2.3,30,
Ames 2001,alpha,0.5,mg/kg,nausea,,,30,11
Bond 2003,placebo,0,mg/kg,pain,5.8,1.9,24,
Bond 2003,placebo,0,mg/kg,nausea,,,24,7
Bond 2003,alpha,0.3,mg/kg,pain,4.9,2.0,25,
Bond 2003,alpha,0.3,mg/kg,nausea,,,25,9
Cole 2005,placebo,0,mg/kg,pain,6.7,1.8,19,
Cole 2005,placebo,0,mg/kg,nausea,,,19,5
Cole 2005,alpha,1.2,mg/kg,pain,4.2,2.2,20,
Cole 2005,alpha,1.2,mg/kg,nausea,,,20,12
"""
RATIOS = """study,agent,comparator,estimate,ci_low,ci_high,ci_level,measure
Ames 2001,alpha,standard,0.8,0.6,1.07,0.95,HR
Bond 2003,alpha,standard,0.7,0.5,0.98,0.95,HR
Cole 2005,alpha,standard,0.9,0.7,1.16,0.95,HR
"""
TABLES = {
    "means": (MEANS, ["scale=0,100", "better=lower", "conditions=separate"], "mg"),
    "joint": (
        JOINT,
        ["scale=0,10", "better.pain=lower", "benefit=pain", "harm=nausea", "window=1,0.1,0.2"],
        "mg/kg",
    ),
    "ratios": (RATIOS, [], ""),
}
#: Words that say that a dose beside them was not tested, or is estimated.
LABELS = ("tested doses (", "not a tested dose", "ED50", "added risk of", "benefit of")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReportContext]:
    made = {}
    for name, (table, settings, _) in TABLES.items():
        path = Path(tmp_path_factory.mktemp(name)) / "table.csv"
        path.write_text(table, encoding="utf-8")
        rehearsal = rehearse(path, parse_options(settings))
        assert not rehearsal.issues
        made[name] = ReportContext(quick_fit_of(rehearsal.spec, rehearsal.evidence))
    return made


def sentences(blocks: tuple[Block, ...]) -> Iterator[str]:
    """Every paragraph, item, definition, caption and row."""
    for block in blocks:
        match block:
            case Text():
                yield block.text
            case Items():
                yield from block.items
            case Definitions():
                yield from (f"{term}: {text}" for term, text in block.pairs)
            case Picture():
                yield block.caption
            case Table():
                yield block.caption
                yield from (" | ".join(row) for row in block.rows)
            case Fold():
                yield from sentences(block.blocks)


@pytest.fixture(scope="module")
def texts(reports: dict[str, ReportContext]) -> dict[str, list[str]]:
    return {
        name: [
            text
            for build in SECTIONS.values()
            if (part := build(report)) is not None
            for text in sentences(part.blocks)
        ]
        for name, report in reports.items()
    }


def first_table(report: ReportContext) -> dict[str, str]:
    blocks = SECTIONS["key-results"](report).blocks
    return dict(next(block for block in blocks if isinstance(block, Definitions)).pairs)


@pytest.mark.parametrize("name", ["means", "joint"])
def test_every_dose_is_tested_or_labelled(reports, texts, name):
    report, unit = reports[name], TABLES[name][2]
    tested = {
        agent: {
            float(re.match(r"[\d.]+", report.dose_text(row.outcome, agent, row.dose))[0])
            for row in rows.itertuples()
        }
        for agent, rows in report.tested_doses.groupby("agent")
    }
    known = set().union(*tested.values(), {0.0})
    labels = report.fit["design/labels"].to_dataset()
    references = set(labels["reference_dose"].to_numpy()[:].tolist())
    found = 0
    for text in texts[name]:
        # "1 × reference: alpha 25 mg" says what a multiple is, not that a result is at it.
        for number in re.findall(rf"(?<![\d.])([\d.]+) {unit}(?![\w/])", text):
            found += 1
            at_reference = "1 ×" in text and float(number) in references
            labelled = any(label in text for label in LABELS)
            assert float(number) in known or at_reference or labelled, text
    assert found > 20
    assert not any("unit not stated" in text and "dose" in text for text in texts[name])


def test_the_first_screen_has_people_exclusions_and_settings(reports):
    facts = first_table(reports["means"])
    assert facts["Data"].startswith("4 trials, 434 people, 11 arms")
    assert facts["Left out"].startswith("2 rows of 1 trial (Eden 2009): no comparator left (1)")
    assert "alpha 10 mg, 25 mg, 40 mg; beta 20 mg, 80 mg" in facts["Doses"]
    assert facts["Scale"].startswith("0 to 100")
    assert "conditions = separate" in facts["Settings (--set)"]
    assert first_table(reports["ratios"])["Left out"].startswith("Nothing")


def test_every_effect_of_few_is_among_the_key_results(reports):
    (items,) = (b for b in SECTIONS["key-results"](reports["means"]).blocks if isinstance(b, Items))
    effects = [text for text in items.items if " vs placebo at " in text]
    assert len(effects) == 4
    for text in effects:
        assert re.search(r" at [\d.]+ mg .*points on 0-100 \(95% CrI .*trials?, \d+ people\.", text)


def test_ratios_have_no_dose_and_name_their_measure(reports, texts):
    report = reports["ratios"]
    assert any("Pr(hazard ratio " in text for text in texts["ratios"])
    assert not any("log HR" in text for text in first_table(report).values())
    assert "dose" not in tables.effect_table(report, next(iter(report.outcomes)))
    assert report.people() is None


def test_a_table_without_conditions_names_none(texts):
    for name in ("joint", "ratios"):
        assert not any(re.search(r", all\b(?! )", text) for text in texts[name])
