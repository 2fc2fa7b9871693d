"""Figures of agents against each other: league, ranks, node-splits."""

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import plot_league, plot_node_splits, plot_ranks
from nmda_bayes.figures.league import AT_MOST, DAGGER
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import texts

AGENTS = ["placebo", "ketamine", "dextromethorphan"]


def make_league(count: int = 3) -> xr.Dataset:
    """Medians 0, -10, -20, ...; the last agent hangs on the prior, at a dose never tried."""
    agents = [*AGENTS, *(f"agent{i}" for i in range(3, count))][:count]
    middle = -10.0 * np.arange(count)
    median = middle[:, None] - middle[None, :]
    evidence = np.full((count, count), "direct", dtype=object)
    evidence[-1, :], evidence[:, -1] = "prior only", "prior only"
    both = ("agent", "comparator")
    trials = np.where(evidence == "direct", 2, 0)
    beyond = np.zeros((count, count), bool)
    beyond[-1, :], beyond[:, -1] = True, True
    return xr.Dataset(
        {
            "median": (both, median), "lower": (both, median - 12), "upper": (both, median + 12),
            "evidence": (both, evidence), "trials": (both, trials), "extrapolated": (both, beyond),
        },
        coords={
            "agent": agents, "comparator": agents, "label": ("agent", agents),
            "dose": ("agent", [0.0, *[1.0] * (count - 1)]),
        },
        attrs={
            "title": "Pain intensity", "dose": "at the reference dose", "better": "lower",
            "scale_text": "difference in points", "null": 0.0,
        },
    )  # fmt: skip


def make_ranks(count: int = 3) -> xr.Dataset:
    agents = [*AGENTS, *(f"agent{i}" for i in range(3, count))][:count]
    p = np.eye(count)[::-1] * 0.8 + 0.2 / count
    mean = p @ np.arange(1, count + 1)
    evidence = np.array(["", *["direct"] * (count - 2), "prior only"], dtype=object)
    return xr.Dataset(
        {
            "p_rank": (("agent", "rank"), p), "cumulative": (("agent", "rank"), p.cumsum(1)),
            "sucra": ("agent", (count - mean) / (count - 1)), "mean_rank": ("agent", mean),
            "lower": ("agent", np.ones(count)), "upper": ("agent", np.full(count, float(count))),
            "evidence": ("agent", evidence),
        },
        coords={"agent": agents, "rank": range(1, count + 1), "label": ("agent", agents)},
        attrs={"title": "Pain", "dose": "at dose 2", "caution": "A rank hides the distance."},
    )  # fmt: skip


def test_a_league_has_effects_below_and_evidence_above():
    figure = plot_league(make_league())
    shown = texts(figure)
    assert [t for t in shown if "to" in t and "\n" in t] == [
        "−10.0\n−22.0 to 2.0", f"−20.0{DAGGER}\n−32.0 to −8.0", f"−10.0{DAGGER}\n−22.0 to 2.0",
    ]  # fmt: skip
    assert shown.count("prior only") == 2
    assert "2 trials" in shown
    assert any(f"{DAGGER}: a dose beyond those tried" in t.replace("\n", " ") for t in shown)
    assert any(INTERVAL_TEXT in t.replace("\n", " ") for t in shown)
    assert "of 3 pairs, 1 have" in figure.get_label()
    assert "2 rest on the prior only" in figure.get_label()


def test_names_stay_in_their_cells():
    figure = plot_league(make_league(AT_MOST))
    axes = figure.axes[0]
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    names = [t for t in axes.texts if t.get_text() in AGENTS]
    assert len(names) == 3
    assert all(t.get_window_extent().width <= cell for t in names)


def test_a_large_league_says_whom_it_leaves_out():
    figure = plot_league(make_league(AT_MOST + 2))
    shown = " ".join(texts(figure)).replace("\n", " ")
    # The last two: one has as many trials as the others, the other none.
    assert f"Not drawn, with fewer trials: agent{AT_MOST}, agent{AT_MOST + 1}." in shown


def test_ranks_come_with_what_they_hide():
    figure = plot_ranks(make_ranks())
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == AGENTS[::-1]
    shown = " ".join(texts(figure)).replace("\n", " ")
    assert "A rank hides the distance." in shown
    assert "A rank hides the distance." in figure.get_label()
    assert INTERVAL_TEXT in shown
    first = " ".join(t.get_text() for t in figure.axes[0].texts)
    assert "(1 to 3)" in first
    assert "prior only" in first
    assert "prior only" not in " ".join(t.get_text() for t in figure.axes[1].texts)


def test_twenty_ranks_say_whom_they_leave_out():
    figure = plot_ranks(make_ranks(20))
    assert sum(axes.get_visible() for axes in figure.axes) == 15
    shown = " ".join(texts(figure)).replace("\n", " ")
    assert "Not drawn, with worse mean ranks: agent4, agent3, " in shown


def test_node_splits_print_the_difference_and_its_tail():
    three, one = ("comparison", "source"), "comparison"
    middle = np.array([[-5.0, 1.0, -2.0], [3.0, 2.0, 2.5]])
    splits = xr.Dataset(
        {
            "median": (three, middle), "lower": (three, middle - 2), "upper": (three, middle + 2),
            "difference_median": (one, [-6.0, 1.0]), "difference_lower": (one, [-9.0, -2.0]),
            "difference_upper": (one, [-3.0, 4.0]), "p_value": (one, [0.0004, 0.52]),
            "direct_trials": (one, [3, 1]),
        },
        coords={"comparison": ["a v b", "b v placebo"], "source": ["d", "i", "all"]},
        attrs={"title": "Pain", "scale_text": "points", "dose": "at dose 1"},
    )  # fmt: skip
    figure = plot_node_splits(splits)
    shown = texts(figure)
    assert {"a v b", "b v placebo", "< 0.001", "0.52"} <= set(shown)
    assert any(t.startswith("−6.0") and "−3.0" in t for t in shown)
    assert any("no proof of consistency" in t.replace("\n", " ") for t in shown)
    assert "< 0.001, of a v b" in figure.get_label()


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="plot_league needs the variable 'evidence'"):
        plot_league(make_league().drop_vars("evidence"))
    with pytest.raises(ValueError, match="plot_ranks needs the dim 'rank'"):
        plot_ranks(make_ranks().isel(rank=0))
