"""Choice of cells, and parts of curves."""

import numpy as np
import pytest

from nmda_bayes.figures.layout import MAX_CELLS, choose_cells, doses_to_mark, flag_runs
from tests.figures.conftest import make_response


@pytest.mark.parametrize(
    ("agents", "conditions", "columns"), [(1, 1, 1), (3, 4, 3), (12, 3, 4), (12, 1, 4), (1, 5, 4)]
)
def test_cells_fill_columns(agents, conditions, columns):
    response = make_response(
        [f"a{i}" for i in range(agents)], [f"c{i}" for i in range(conditions)], np.array([0.0, 1.0])
    )
    page = choose_cells(response["trials"].sum("outcome"))
    assert page.columns == columns
    assert len(page.selected) == min(agents * conditions, MAX_CELLS)
    assert bool(page.omitted) == (agents * conditions > MAX_CELLS)


def test_flag_runs_share_their_ends():
    flags = np.array([False, False, True, True, False])
    runs = [(part.start, part.stop, flag) for part, flag in flag_runs(flags)]
    assert runs == [(0, 2, False), (1, 4, True), (3, 5, False)]


def test_marked_doses_are_spread_over_the_grid():
    assert doses_to_mark(np.arange(3.0)) == [0, 1, 2]
    assert doses_to_mark(np.arange(41.0)) == [0, 10, 20, 30, 40]
