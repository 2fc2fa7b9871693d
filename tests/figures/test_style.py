"""Colours, text, and saving of figures."""

import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from nmda_bayes.figures import as_png, as_svg, plot_forest, style
from nmda_bayes.figures.style import (
    column_decimals,
    display_name,
    format_number,
    one_line,
    styled_figure,
)
from tests.figures.conftest import make_effects

#: Series that meet in one panel.
PANELS = {
    "window": (style.BENEFIT_STYLE.color, style.HARM_STYLE.color, style.BOTH_STYLE.color),
    "forest": (style.BLACK, style.BLUE, style.LIGHT_GREY),
    "prior and posterior": (style.PRIOR_STYLE.color, style.POSTERIOR_STYLE.color),
    "side by side": (style.BLACK, style.POSTERIOR_STYLE.color),
    "dose-response": tuple(look.color for look in style.OUTCOME_STYLES[:3]),
    "network": (style.BLUE, style.ORANGE),
}


#: Linear RGB seen without the middle cones: Machado, Oliveira and Fernandes 2009, severity 1.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


#: sRGB to CIE XYZ, over the D65 white.
XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(np.clip(XYZ @ rgb, 0, None).clip(0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("panel", PANELS)
def test_colours_differ_with_deuteranopia(panel):
    for first, second in itertools.combinations(PANELS[panel], 2):
        seen = [lab(np.clip(DEUTERANOPIA @ linear(c), 0, 1)) for c in (first, second)]
        assert np.linalg.norm(seen[0] - seen[1]) > 25, (first, second)


@pytest.mark.parametrize("panel", PANELS)
def test_colours_differ_in_grey(panel):
    for first, second in itertools.combinations(PANELS[panel], 2):
        assert abs(lab(linear(first))[0] - lab(linear(second))[0]) > 18, (first, second)


def test_lines_and_markers_differ():
    for looks in (
        (style.BENEFIT_STYLE, style.HARM_STYLE, style.BOTH_STYLE),
        (style.PRIOR_STYLE, style.POSTERIOR_STYLE),
    ):
        assert len({str(look.linestyle) for look in looks}) == len(looks)
        assert len({look.marker for look in looks}) == len(looks)


def test_text_from_data_is_not_math():
    name = r"$\frac{a}{$ <script>alert(1)</script> \$5"
    figure = plot_forest(make_effects(2, names=[name, r"$x_1$"]))
    shown = [t for t in figure.findobj(Text) if t.get_text()]
    assert not any(t.get_parse_math() for t in shown)
    assert any("$x_1$" in t.get_text() for t in shown)
    assert "<script>" not in as_svg(figure)


def test_saving_keeps_style_and_changes_no_settings(tmp_path, effects):
    before = dict(matplotlib.rcParams)
    figure = plot_forest(effects)
    figure.savefig(tmp_path / "forest.pdf")
    assert b"/Type0" in (tmp_path / "forest.pdf").read_bytes()
    assert as_svg(figure) == as_svg(figure)
    assert as_svg(figure).startswith("<svg")
    assert "<text" not in as_svg(figure)
    assert dict(matplotlib.rcParams) == before


def test_notebook_display_has_alternative_text(effects):
    figure = plot_forest(effects)
    bundle, metadata = figure._repr_mimebundle_(include=None, exclude=None)
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == figure.get_label()
    assert as_png(figure, 30).startswith(b"\x89PNG")


def test_import_needs_neither_pymc_nor_pyplot():
    code = (
        "import sys, nmda_bayes.figures;"
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_names_and_numbers_as_text():
    assert display_name("s_ketamine") == "S-ketamine"
    assert one_line("a\nb\x00\t c") == "a b c"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"
    assert format_number(-3.14159, 2) == "\N{MINUS SIGN}3.14"
    assert format_number(-0.001, 1) == "0.0"


def test_decimals_depend_on_the_span():
    assert [column_decimals(x) for x in (100.0, 30.0, 4.0, 0.3, 0.0, np.nan)] == [1, 1, 2, 3, 2, 2]


@pytest.mark.parametrize("letters", [10, 200])
def test_a_figure_without_room_for_its_texts_is_made_larger(letters: int):
    """Without Matplotlib's warning, which is an error in this suite."""
    with styled_figure(width=3, height=2) as figure:
        axes = figure.add_subplot()
        axes.set_yticks([0, 1], ["A" * letters, "B" * letters])
        axes.set_ylabel("C" * letters)
    as_svg(figure)
    assert (figure.get_figwidth() > 3) == (letters > 10)
