"""Figures of predictive checks, priors and posteriors, power scaling, and stacking weights."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection
from numpy.testing import assert_allclose

from nmda_bayes.figures import (
    plot_power_scaling,
    plot_predictive_check,
    plot_prior_posterior,
    plot_stacking_weights,
)
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import collection, make_parameters, texts, visible_axes


def replicates(count=6, dim="analgesia::arm"):
    names = [f"Author{i}: ket" for i in range(count)]
    observed = xr.DataArray(np.full(count, 5.0), dims=dim, coords={dim: names})
    observed[-1] = 50.0
    draws = np.random.default_rng(0).integers(2, 9, (2, 100, count))
    return observed, xr.DataArray(draws, dims=("chain", "draw", dim))


def points(figure, label):
    return collection(figure.axes[0], label, PathCollection).get_offsets()


def test_predictive_check_marks_points_outside():
    figure = plot_predictive_check(*replicates(), kind="prior", axis="Pain ($)")
    interval = collection(figure.axes[0], "_prior predictive", LineCollection)
    assert len(interval.get_segments()) == 6
    assert len(points(figure, "_reported (")) == 5
    assert len(points(figure, "_reported, outside")) == 1
    assert f"prior predictive (median, {INTERVAL_TEXT})" in texts(figure)
    assert "reported (5 of 6 inside)" in texts(figure)
    assert "Author0: ket" in texts(figure)
    assert figure.get_label().startswith("Prior predictive check of Pain ($): 5 of 6")


def test_predictive_check_of_counts_is_in_proportions():
    observed, predictive = replicates()
    figure = plot_predictive_check(
        observed, predictive, [f"arm {i}" for i in range(6)], n=np.full(6, 50)
    )
    offsets = points(figure, "_reported (")
    assert_allclose(offsets[:, 0], 0.1)
    assert any("%" in label.get_text() for label in figure.axes[0].get_xticklabels())
    assert "arm 3" in texts(figure)


def test_predictive_check_bad_input_is_rejected():
    observed, predictive = replicates()
    with pytest.raises(ValueError, match="needs the dim 'analgesia::arm'"):
        plot_predictive_check(observed, predictive.rename({"analgesia::arm": "row"}))
    with pytest.raises(ValueError, match="2 labels for 6 rows"):
        plot_predictive_check(observed, predictive, ["a", "b"])
    with pytest.raises(ValueError, match="one dim of rows"):
        plot_predictive_check(predictive, predictive)


def test_prior_posterior_prints_identifiability():
    prior, posterior = make_parameters()
    table = pd.DataFrame(
        {
            "variable": ["analgesia::emax", "analgesia::log_ed50"],
            "at": ["agent=ketamine", "agent=s_ketamine"],
            "conclusion": ["informed by the data", "prior only"],
        }
    )
    figure = plot_prior_posterior(prior, posterior, identifiability=table)
    shown = visible_axes(figure)
    # Two agents twice, one spread, and one correlation: not its mirror image, nor the diagonal.
    assert len(shown) == 6
    printed = [text.get_text() for axes in shown for text in axes.texts if text.get_text()]
    assert printed == ["informed by the data", "prior only"]
    assert f"posterior {INTERVAL_TEXT}" in texts(figure)
    assert "analgesia: log ed50\nS-ketamine" in texts(figure)
    assert "1 prior only" in figure.get_label()
    for axes in shown:
        assert sum(line.get_label() == "_density" for line in axes.lines) == 2


def test_density_ends_with_its_support():
    prior, posterior = make_parameters()
    figure = plot_prior_posterior(prior, posterior, ["analgesia::heterogeneity_sd"])
    for line in figure.axes[0].lines:
        x, density = line.get_data()
        assert x.min() >= 0
        assert density[0] > 0.8 * density.max()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.02)


def test_prior_posterior_bad_input_is_rejected():
    prior, posterior = make_parameters()
    with pytest.raises(ValueError, match="prior, needs the variable 'gamma'"):
        plot_prior_posterior(prior, posterior, ["gamma"])
    with pytest.raises(ValueError, match="posterior, needs the dim 'chain'"):
        plot_prior_posterior(prior, posterior.isel(chain=0))


def test_power_scaling_draws_each_parameter_and_power():
    rng = np.random.default_rng(3)
    dims, cell = ("chain", "draw"), rng.normal(size=(2, 400, 2))
    prior = xr.Dataset({"emax": ((*dims, "agent"), 3 * cell), "sd": (dims, np.abs(cell[..., 0]))})
    posterior = xr.Dataset({"emax": ((*dims, "agent"), cell), "sd": (dims, np.abs(cell[..., 1]))})
    by = {
        name: data.assign_coords(agent=["ketamine", "mem"])
        for name, data in (("prior", prior), ("posterior", posterior))
    }
    first = np.linspace(2, 0, 400)[None].repeat(2, 0)
    weight = np.stack([[first, np.ones((2, 400)), first[:, ::-1]]] * 2)
    coords = {"component": ["prior", "likelihood"], "power": [0.67, 1.0, 1.5]}
    scaled = xr.Dataset(
        {
            "weight": (("component", "power", *dims), weight / weight.sum((-1, -2), keepdims=True)),
            "k_hat": (("component", "power"), [[0.1, 0.0, 0.9], [0.2, 0.0, 0.3]]),
        },
        coords,
    )
    figure = plot_power_scaling(by["prior"], by["posterior"], scaled, panels=2)
    assert len(figure.axes) == 2 * 2
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["_prior", "_0.67", "_1", "_1.5"]
    assert figure.axes[0].get_title() == "priors raised to a power\n(power 1.5: unreliable)"
    assert figure.axes[1].get_title() == "likelihood raised to a power"
    assert "2 parameters" in figure.get_label()
    with pytest.raises(ValueError, match="plot_power_scaling"):
        plot_power_scaling(by["prior"], by["posterior"], scaled.drop_vars("k_hat"))


def test_stacking_weights_are_sorted():
    stacked = xr.Dataset(
        {
            "weight": ("variant", [0.2, 0.8]),
            "lower": ("variant", [0.0, 0.3]),
            "upper": ("variant", [0.7, 1.0]),
            "elpd_difference": ("variant", [-2.0, 0.0]),
            "elpd_difference_se": ("variant", [1.5, 0.0]),
            "unreliable": ("variant", [0, 0]),
        },
        coords={"variant": ["linear", "emax"]},
        attrs={"summary": "12 studies."},
    )
    figure = plot_stacking_weights(stacked)
    (weights, scores) = figure.axes
    assert [t.get_text() for t in weights.get_yticklabels()] == ["emax", "linear"]
    assert_allclose(weights.collections[0].get_segments()[0][:, 0], [0.3, 1.0])
    assert_allclose(scores.collections[0].get_segments()[1][:, 0], [-3.5, -0.5])
    assert any(INTERVAL_TEXT in text for text in texts(figure))
    assert "emax has 80%" in figure.get_label()
    with pytest.raises(ValueError, match="needs the dim 'variant'"):
        plot_stacking_weights(stacked.isel(variant=0))
