"""GRADE domains in the report."""

from __future__ import annotations

import numpy as np
import pytest

from nmda_bayes.evidence.frequentist import dersimonian_laird
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.sections.certainty import grade_domains


@pytest.fixture(scope="module")
def blocks(benefit_risk):
    return list(grade_domains(ReportContext(benefit_risk)))


def _table(block):
    return block if hasattr(block, "rows") else block.blocks[0]


def test_each_outcome_has_one_row_per_agent(blocks):
    tables = [_table(block) for block in blocks[2:]]
    assert len(tables) == 2
    for table in tables:
        assert [column.title for column in table.columns][:2] == ["agent", "trials"]
        assert [(row[0], row[1]) for row in table.rows] == [("Ketamine", "3"), ("S-ketamine", "2")]


def test_imprecision_is_that_of_the_pooled_trials(blocks):
    # Ketamine vs placebo: the two doses of Abel averaged, the trial named as a script, Cain.
    v = 2 * 3.0**2
    pool = dersimonian_laird([-11.5, -12.0, -15.0], [v, v, v])
    row = next(row for row in _table(blocks[2]).rows if row[0] == "Ketamine")
    imprecision = next(cell for cell in row if "confidence interval" in cell)
    assert f"{pool.estimate:.3g}".replace("-", "\N{MINUS SIGN}") in imprecision
    # The window asks for 10 points of benefit.
    assert "an important difference (10) below the null" in imprecision


def test_no_level_of_certainty_is_assigned(blocks):
    assert "no level of certainty is assigned" in blocks[1].text
    cells = [cell for block in blocks[2:] for row in _table(block).rows for cell in row[2:]]
    assert all(cell.startswith(("computed: ", "not assessable: ")) for cell in cells)
    assert np.unique(cells).size > 3
