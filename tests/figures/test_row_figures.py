"""Figures of rows: forest, predictive checks, published beside ours."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.figures import plot_forest, plot_predictive_check, plot_side_by_side
from nmda_bayes.figures.axes import decimals
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import make_effects, texts


def lines(figure, label):
    (found,) = (c for c in figure.axes[0].collections if c.get_label() == label)
    return found


def test_forest_draws_raw_shrunk_and_predicted(effects):
    figure = plot_forest(effects)
    assert len(lines(figure, "_shrunk").get_segments()) == 9
    assert len(lines(figure, "_predicted").get_segments()) == 9
    assert len(lines(figure, "_raw").get_segments()) == 8
    assert "zero cell" in texts(figure)
    assert sum(INTERVAL_TEXT in text for text in texts(figure)) == 2
    assert any("95 % confidence interval" in text for text in texts(figure))
    assert "1 have no raw estimate" in figure.get_label()


def test_forest_groups_and_sorts(effects):
    figure = plot_forest(effects)
    shown = [t for t in figure.axes[0].texts if t.get_text()]
    headings = [
        t.get_text() for t in shown if t.get_text().startswith(("ketamine,", "s ketamine,"))
    ]
    assert headings == sorted(headings)
    assert len(headings) == 4
    exposures = {f"{x:.3g}" for x in effects["exposure"].to_numpy()}
    assert exposures <= set(texts(figure))
    mine = (effects["agent"] == "ketamine") & (effects["condition"] == "crps")
    group = effects.isel(arm=np.flatnonzero(mine)).sortby("exposure")
    order = [str(v) for v in group["arm"].to_numpy()]
    places = {t.get_text().strip(): t.xy[1] for t in shown}
    assert [places[arm] for arm in order] == sorted(places[arm] for arm in order)


def test_forest_names_an_active_comparator(effects):
    effects["comparator"][0] = "s_ketamine"
    shown = [text.strip() for text in texts(plot_forest(effects))]
    assert "Author1990: arm v s ketamine" in shown
    assert "Author1991: arm" in shown


def test_forest_shows_the_interval_of_the_draws(effects):
    figure = plot_forest(effects.isel(arm=[0]))
    ((low, _), (high, _)) = lines(figure, "_shrunk").get_segments()[0]
    expected = effects["shrunk"].isel(arm=0).quantile([0.025, 0.975])
    np.testing.assert_allclose([low, high], expected)


def test_forest_keeps_every_label_inside_the_page():
    names = ["A very long name of a study that somebody typed in full " + "x" * 90, "B", "C"]
    for effects in (make_effects(3, names=names), make_effects(60)):
        figure = plot_forest(effects)
        renderer = figure.canvas.get_renderer()
        for text in figure.axes[0].texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width + 1


@pytest.mark.parametrize("variable", ["raw", "shrunk", "predicted", "exposure"])
def test_forest_refuses_what_it_cannot_draw(effects, variable):
    with pytest.raises(ValueError, match=f"plot_forest needs the variable '{variable}'"):
        plot_forest(effects.drop_vars(variable))


def test_forest_names_a_missing_dim(effects):
    with pytest.raises(ValueError, match="plot_forest, shrunk, needs the dim 'draw'"):
        plot_forest(effects.assign(shrunk=effects["shrunk"].isel(draw=0)))
    with pytest.raises(ValueError, match="needs the dim 'arm'"):
        plot_forest(effects.rename(arm="row"))


def replicates(count=6, dim="analgesia::arm"):
    names = [f"Author{i}: ket" for i in range(count)]
    observed = xr.DataArray(np.full(count, 5.0), dims=dim, coords={dim: names})
    observed[-1] = 50.0
    draws = np.random.default_rng(0).integers(2, 9, (2, 100, count))
    return observed, xr.DataArray(draws, dims=("chain", "draw", dim))


def test_predictive_check_marks_what_lies_outside():
    figure = plot_predictive_check(*replicates(), kind="prior", axis="Pain ($)")
    assert len(lines(figure, "_interval").get_segments()) == 6
    assert len(lines(figure, "_inside").get_offsets()) == 5
    assert len(lines(figure, "_outside").get_offsets()) == 1
    assert f"prior predictive: median, {INTERVAL_TEXT}" in texts(figure)
    assert "reported (5 of 6 inside)" in texts(figure)
    assert "Author0: ket" in texts(figure)
    assert figure.get_label().startswith("Prior predictive check of Pain ($): 5 of 6")


def test_predictive_check_of_counts_draws_proportions():
    observed, predictive = replicates()
    figure = plot_predictive_check(
        observed, predictive, [f"arm {i}" for i in range(6)], n=np.full(6, 50)
    )
    offsets = lines(figure, "_inside").get_offsets()
    np.testing.assert_allclose(offsets[:, 0], 0.1)
    assert any("%" in label.get_text() for label in figure.axes[0].get_xticklabels())
    assert "arm 3" in texts(figure)


def test_predictive_check_names_what_is_missing():
    observed, predictive = replicates()
    with pytest.raises(ValueError, match="needs the dim 'analgesia::arm'"):
        plot_predictive_check(observed, predictive.rename({"analgesia::arm": "row"}))
    with pytest.raises(ValueError, match="2 labels for 6 rows"):
        plot_predictive_check(observed, predictive, ["a", "b"])
    with pytest.raises(ValueError, match="one dim of rows"):
        plot_predictive_check(predictive, predictive)


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


def test_side_by_side_draws_both_with_their_numbers(table):
    figure = plot_side_by_side(table, axis="mean difference (points of 0-100)")
    assert len(lines(figure, "_ours").get_segments()) == 2
    minus = "\N{MINUS SIGN}"
    assert f"{minus}15.8 [{minus}32.1, 0.5]" in texts(figure)
    assert "not published" in texts(figure)
    assert f"ours (median, {INTERVAL_TEXT})" in texts(figure)
    assert "1 of 1 published estimates lie within our" in figure.get_label()


def test_side_by_side_has_its_line_at_one_for_ratios(table):
    ratios = table.assign(**{c: np.exp(table[c] / 20) for c in table.columns[1:]})
    figure = plot_side_by_side(ratios, axis="risk ratio", log=True)
    assert figure.axes[0].get_xscale() == "log"
    assert any(list(line.get_xdata()) == [1, 1] for line in figure.axes[0].lines)


def test_side_by_side_names_a_missing_column(table):
    with pytest.raises(ValueError, match="ours_low"):
        plot_side_by_side(table.drop(columns="ours_low"))


def test_decimals_follow_the_axis():
    assert [decimals(x) for x in (100.0, 30.0, 4.0, 0.3, 0.0, np.nan)] == [1, 1, 2, 3, 2, 2]
