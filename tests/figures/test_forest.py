"""Row charts: forest, two estimates a row, node splits."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection

from nmda_bayes.figures import (
    plot_bias_adjustment,
    plot_forest,
    plot_node_splits,
    plot_published_comparison,
)
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import collection, full_text, make_effects, texts


def intervals(figure, label):
    return collection(figure.axes[0], label, LineCollection).get_segments()


def test_forest_draws_trial_model_and_predicted_intervals(effects):
    figure = plot_forest(effects)
    assert len(intervals(figure, "_model estimate")) == 9
    assert len(intervals(figure, "_predicted")) == 9
    assert len(intervals(figure, "_trial estimate")) == 8
    assert "zero cell" in texts(figure)
    # In the legend twice, and above the column of model estimates.
    assert sum(INTERVAL_TEXT in text for text in texts(figure)) == 3
    assert "trial estimate (95% CI)" in texts(figure)
    assert "1 without a trial estimate" in figure.get_label()


def test_forest_is_grouped_and_sorted(effects):
    figure = plot_forest(effects)
    shown = [t for t in figure.axes[0].texts if t.get_text()]
    headings = [
        t.get_text() for t in shown if t.get_text().startswith(("ketamine,", "S-ketamine,"))
    ]
    assert headings == sorted(headings, key=str.lower)
    assert len(headings) == 4
    exposures = {f"{x:.3g}" for x in effects["exposure"].to_numpy()}
    assert exposures <= set(texts(figure))
    in_crps = (effects["agent"] == "ketamine") & (effects["condition"] == "crps")
    group = effects.isel(arm=np.flatnonzero(in_crps)).sortby("exposure")
    order = [str(v) for v in group["arm"].to_numpy()]
    rows = {t.get_text().strip(): t.xy[1] for t in shown}
    assert [rows[arm] for arm in order] == sorted(rows[arm] for arm in order)


def test_forest_names_an_active_comparator(effects):
    effects["comparator"][0] = "s_ketamine"
    shown = [text.strip() for text in texts(plot_forest(effects))]
    assert "Author1990: arm vs S-ketamine" in shown
    assert "Author1991: arm" in shown


def test_forest_interval_is_that_of_the_draws(effects):
    figure = plot_forest(effects.isel(arm=[0]))
    ((low, _), (high, _)) = intervals(figure, "_model estimate")[0]
    expected = effects["shrunk"].isel(arm=0).quantile([0.025, 0.975])
    np.testing.assert_allclose([low, high], expected)


def test_forest_labels_are_inside_the_page():
    names = ["A very long name of a study that somebody typed in full " + "x" * 90, "B", "C"]
    for effects in (make_effects(3, names=names), make_effects(60)):
        figure = plot_forest(effects)
        renderer = figure.canvas.get_renderer()
        for text in figure.axes[0].texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width + 1


@pytest.mark.parametrize("variable", ["raw", "shrunk", "predicted", "exposure"])
def test_forest_missing_variable_is_rejected(effects, variable):
    with pytest.raises(ValueError, match=f"plot_forest needs the variable '{variable}'"):
        plot_forest(effects.drop_vars(variable))


def test_forest_missing_dim_is_rejected(effects):
    with pytest.raises(ValueError, match="plot_forest, shrunk, needs the dim 'draw'"):
        plot_forest(effects.assign(shrunk=effects["shrunk"].isel(draw=0)))
    with pytest.raises(ValueError, match="needs the dim 'arm'"):
        plot_forest(effects.rename(arm="row"))


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "label": ["Pain, immediate (1.1)", "Pain, medium"],
            "published": [-15.8, np.nan],
            "published_low": [-32.1, np.nan],
            "published_high": [0.5, np.nan],
            "ours": [-14.0, -5.0],
            "ours_low": [-30.0, -12.0],
            "ours_high": [2.0, 3.0],
        }
    )


def test_published_comparison_draws_both_estimates(table):
    figure = plot_published_comparison(table, axis="mean difference (points of 0-100)")
    assert len(intervals(figure, "_this model")) == 2
    minus = "\N{MINUS SIGN}"
    assert f"{minus}15.8 [{minus}32.1, 0.5]" in texts(figure)
    assert "not published" in texts(figure)
    assert f"this model (median, {INTERVAL_TEXT})" in texts(figure)
    assert "1 of 1 published estimates" in figure.get_label()


def test_published_ratios_have_their_null_line_at_one(table):
    ratios = table.assign(**{c: np.exp(table[c] / 20) for c in table.columns[1:]})
    figure = plot_published_comparison(ratios, axis="risk ratio", log=True)
    assert figure.axes[0].get_xscale() == "log"
    assert any(list(line.get_xdata()) == [1, 1] for line in figure.axes[0].lines)


def test_published_missing_column_is_rejected(table):
    with pytest.raises(ValueError, match="ours_low"):
        plot_published_comparison(table.drop(columns="ours_low"))


TABLE = pd.DataFrame(
    {
        "label": ["ketamine", "memantine"],
        "apparent": [-12.0, -4.0],
        "apparent_low": [-20.0, -9.0],
        "apparent_high": [-4.0, 1.0],
        "without": [-8.0, -3.5],
        "without_low": [-17.0, -8.5],
        "without_high": [1.0, 1.5],
    }
)


def test_bias_adjustment_draws_both_estimates():
    figure = plot_bias_adjustment(TABLE, axis="pain, points")
    ends = [
        np.array(intervals(figure, label))[:, :, 0].tolist()
        for label in ("_unadjusted", "_adjusted")
    ]
    assert ends == [[[-20.0, -4.0], [-9.0, 1.0]], [[-17.0, 1.0], [-8.5, 1.5]]]
    assert {"unadjusted", "adjusted", "−12.0 [−20.0, −4.0]"} <= set(texts(figure))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [INTERVAL_TEXT in text for text in legend] == [True, True]
    assert "ketamine: −12" in figure.get_label()


def test_bias_adjustment_missing_column_is_rejected():
    with pytest.raises(ValueError, match="without_low"):
        plot_bias_adjustment(TABLE.drop(columns="without_low"))


def test_node_splits_print_difference_and_p():
    both, single = ("comparison", "source"), "comparison"
    middle = np.array([[-5.0, 1.0, -2.0], [3.0, 2.0, 2.5]])
    splits = xr.Dataset(
        {
            "median": (both, middle),
            "lower": (both, middle - 2),
            "upper": (both, middle + 2),
            "difference_median": (single, [-6.0, 1.0]),
            "difference_lower": (single, [-9.0, -2.0]),
            "difference_upper": (single, [-3.0, 4.0]),
            "p_value": (single, [0.0004, 0.52]),
            "direct_trials": (single, [3, 1]),
        },
        coords={"comparison": ["a vs b", "b vs placebo"], "source": ["d", "i", "all"]},
        attrs={"title": "Pain", "scale_text": "points", "dose": "at dose 1"},
    )
    figure = plot_node_splits(splits)
    shown = texts(figure)
    assert {"a vs b", "b vs placebo", "< 0.001", "0.52"} <= set(shown)
    assert any(t.startswith("−6.0") and "−3.0" in t for t in shown)
    assert "does not prove consistency" in full_text(figure)
    assert "< 0.001, of a vs b" in figure.get_label()
