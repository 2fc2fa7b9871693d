"""Network, league table, and ranks."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.figures import plot_league, plot_network, plot_ranks
from nmda_bayes.figures.network import DAGGER, MAX_LEAGUE_SIZE, MAX_NETWORK_SIZE, MAX_RANKS_SIZE
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import collection, full_text, make_evidence, overlapping, texts


@pytest.mark.parametrize("agents", [2, 4, 12, 15])
def test_network_labels_do_not_overlap(agents):
    figure = plot_network(make_evidence(agents))
    figure.draw_without_rendering()  # equal aspects are applied when a figure is drawn
    axes = figure.axes[0]
    labels = [t for t in axes.texts if not t.get_text().isdigit()]
    assert len(labels) == agents
    assert "placebo (reference)" in texts(figure)
    assert overlapping(figure, labels) == []
    renderer = figure.canvas.get_renderer()
    for text in labels:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_network_counts_studies_and_people():
    arms = xr.Dataset(
        {
            "study": ("arm", ["A", "A", "A", "B", "B", "B"]),
            "agent": ("arm", ["x", "x", "placebo", "x", "placebo", "y"]),
            "n_randomised": ("arm", [10.0, 20.0, 30.0, 5.0, np.nan, 15.0]),
            "overlaps": ("arm", ["", "pools 1", "", "", "", ""]),
        }
    )
    contrasts = xr.Dataset(
        {
            "study": ("row", ["C"]),
            "agent": ("row", ["z"]),
            "comparator": ("row", ["x"]),
        }
    )
    figure = plot_network(xr.DataTree.from_dict({"arms": arms, "contrasts": contrasts}))
    numbers = sorted(t.get_text() for t in figure.axes[0].texts if t.get_text().isdigit())
    assert numbers == ["1", "1", "1", "2"]
    assert "4 agents and 4 comparisons" in figure.get_label()
    assert "placebo vs x, 2 studies. 60 participants" in figure.get_label()


def test_network_from_a_table_of_edges():
    edges = pd.DataFrame({"agent": ["a", "b"], "comparator": ["c", "c"], "studies": [3, 1]})
    figure = plot_network(edges, reference="c", participants={"a": 10, "b": 20, "c": 5})
    assert sum(line.get_label() == "_edge" for line in figure.axes[0].lines) == 2
    sizes = collection(figure.axes[0], "_agents").get_sizes()
    assert sizes.argmax() == 2
    with pytest.raises(ValueError, match="comparator"):
        plot_network(edges.drop(columns="comparator"))
    with pytest.raises(ValueError, match="'arms'"):
        plot_network(xr.DataTree())


def test_network_from_a_design():
    arms = xr.Dataset(
        {"study": ("arm", ["A", "A"]), "agent": ("arm", ["x", "placebo"])},
        coords={"agent_label": ["x"]},
    )
    figure = plot_network(xr.DataTree.from_dict({"arms": arms}))
    assert "participants not known" in full_text(figure)


def test_network_of_many_agents():
    figure = plot_network(make_evidence(47))
    assert len(figure.axes[0].texts) == 47


def test_network_by_dose(flat_evidence):
    figure = plot_network(flat_evidence, by="dose")
    names = {t.get_text() for t in figure.axes[0].texts if not t.get_text().isdigit()}
    assert names == {"placebo (reference)", "x, 5", "x, 10", "y, 500", "z, dose?"}
    edges = [line for line in figure.axes[0].lines if line.get_label() == "_edge"]
    within = [line for line in edges if len(line.get_xdata()) > 2]
    assert (len(edges), len(within)) == (6, 1)
    assert "doses of one agent" in texts(figure)
    # Area follows people: 32 at x 5, 30 at x 10, 12 at y, 9 at z.
    sizes = collection(figure.axes[0], "_agents").get_sizes()
    assert sizes.argmax() == 0
    assert np.diff(np.sort(sizes)).min() > 0


def test_network_of_an_outcome(flat_evidence):
    assert "0 agents" in plot_network(flat_evidence, outcome="another").get_label()
    assert "4 agents and 4 comparisons" in plot_network(flat_evidence).get_label()
    for more in ({"by": "dose"}, {"outcome": "pain"}):
        with pytest.raises(ValueError, match="load_evidence"):
            plot_network(make_evidence(3), **more)


def test_network_counts_omitted_nodes():
    figure = plot_network(make_evidence(130))
    assert len(figure.axes[0].texts) == MAX_NETWORK_SIZE
    assert f"{130 - MAX_NETWORK_SIZE} more nodes" in full_text(figure)


AGENTS = ["placebo", "ketamine", "dextromethorphan"]


def make_league(count: int = 3) -> xr.Dataset:
    """Medians 0, -10, -20, ...; the last agent depends on the prior, at an untested dose."""
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
            "median": (both, median),
            "lower": (both, median - 12),
            "upper": (both, median + 12),
            "evidence": (both, evidence),
            "trials": (both, trials),
            "extrapolated": (both, beyond),
        },
        coords={
            "agent": agents,
            "comparator": agents,
            "label": ("agent", agents),
            "dose": ("agent", [0.0, *[1.0] * (count - 1)]),
        },
        attrs={
            "title": "Pain intensity",
            "dose": "at the reference dose",
            "better": "lower",
            "scale_text": "difference in points",
            "null": 0.0,
        },
    )


def make_ranks(count: int = 3) -> xr.Dataset:
    agents = [*AGENTS, *(f"agent{i}" for i in range(3, count))][:count]
    p = np.eye(count)[::-1] * 0.8 + 0.2 / count
    mean = p @ np.arange(1, count + 1)
    evidence = np.array(["", *["direct"] * (count - 2), "prior only"], dtype=object)
    return xr.Dataset(
        {
            "p_rank": (("agent", "rank"), p),
            "cumulative": (("agent", "rank"), p.cumsum(1)),
            "sucra": ("agent", (count - mean) / (count - 1)),
            "mean_rank": ("agent", mean),
            "lower": ("agent", np.ones(count)),
            "upper": ("agent", np.full(count, float(count))),
            "evidence": ("agent", evidence),
        },
        coords={"agent": agents, "rank": range(1, count + 1), "label": ("agent", agents)},
        attrs={"title": "Pain", "dose": "at dose 2", "caution": "A rank hides the distance."},
    )


def test_league_has_effects_and_evidence():
    figure = plot_league(make_league())
    shown = texts(figure)
    assert [t for t in shown if "to" in t and "\n" in t] == [
        "−10.0\n−22.0 to 2.0",
        f"−20.0{DAGGER}\n−32.0 to −8.0",
        f"−10.0{DAGGER}\n−22.0 to 2.0",
    ]
    assert shown.count("prior only") == 2
    assert "2 trials" in shown
    assert f"{DAGGER}: beyond the tested doses" in full_text(figure)
    assert INTERVAL_TEXT in full_text(figure)
    assert "of 3 pairs, 1 have" in figure.get_label()
    assert "2 depend on the prior only" in figure.get_label()


def test_league_names_fit_their_cells():
    figure = plot_league(make_league(MAX_LEAGUE_SIZE))
    axes = figure.axes[0]
    cell = axes.transData.transform((1, 0))[0] - axes.transData.transform((0, 0))[0]
    names = [t for t in axes.texts if t.get_text() in AGENTS]
    assert len(names) == 3
    assert all(t.get_window_extent().width <= cell for t in names)


def test_league_names_omitted_agents():
    figure = plot_league(make_league(MAX_LEAGUE_SIZE + 2))
    shown = full_text(figure)
    # The last two: one has as many trials as the others, the other none.
    assert (
        f"Not drawn, with fewer trials: agent{MAX_LEAGUE_SIZE}, agent{MAX_LEAGUE_SIZE + 1}."
        in shown
    )


def test_ranks_print_their_caution():
    figure = plot_ranks(make_ranks())
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == AGENTS[::-1]
    shown = full_text(figure)
    assert "A rank hides the distance." in shown
    assert "A rank hides the distance." in figure.get_label()
    assert INTERVAL_TEXT in shown
    first = " ".join(t.get_text() for t in figure.axes[0].texts)
    assert "(1 to 3)" in first
    assert "prior only" in first
    assert "prior only" not in " ".join(t.get_text() for t in figure.axes[1].texts)


def test_ranks_name_omitted_agents():
    figure = plot_ranks(make_ranks(20))
    assert sum(axes.get_visible() for axes in figure.axes) == MAX_RANKS_SIZE
    shown = full_text(figure)
    assert "Not drawn, with worse mean ranks: agent4, agent3, " in shown


def test_league_and_ranks_bad_input_is_rejected():
    with pytest.raises(ValueError, match="plot_league needs the variable 'evidence'"):
        plot_league(make_league().drop_vars("evidence"))
    with pytest.raises(ValueError, match="plot_ranks needs the dim 'rank'"):
        plot_ranks(make_ranks().isel(rank=0))
