"""How every figure looks, and how one is made without touching anybody's settings.

Figures are drawn on a canvas of their own, never through pyplot: nothing leaks, no display is
needed, and importing this module changes no global setting. Colours are Okabe and Ito's, which
survive the common colour blindnesses; where two series share a panel they differ in lightness
[tests/figures/test_style.py] and in line or marker as well, so that a grey print can be read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLACK: Final = "#000000"
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#6E6E6E"
PALE: Final = "#CFCFCF"

#: Inches: a two-column page's full width, and one column of it.
FULL_WIDTH: Final = 7.2
COLUMN_WIDTH: Final = 3.5

STYLE: Final[Any] = {  # matplotlib types each key; a plain dict is not one of them
    # Study names are text. "$" in one must never start a formula.
    "text.parse_math": False,
    "text.usetex": False,
    # The family that matplotlib carries itself: the same glyphs on every machine.
    "font.family": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#333333",
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    # Outlines: an SVG looks the same where the font is missing, and shows no fallback glyphs.
    "svg.fonttype": "path",
    "svg.hashsalt": "nmda_bayes",
    "savefig.dpi": 200,
    "figure.dpi": 100,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is told from the others.

    Attributes
    ----------
    color
        Hexadecimal.
    linestyle
        Matplotlib's.
    marker
        Matplotlib's.
    """

    color: str
    linestyle: Any
    marker: str


#: One an outcome, in the spec's order: the first is drawn as the benefit usually is.
OUTCOME_LOOKS: Final = (
    Look(BLUE, "-", "o"),
    Look(ORANGE, "-", "s"),
    Look(BLACK, "-", "^"),
    Look(PURPLE, "-", "D"),
)
BOTH: Final = Look(BLACK, "-", "o")
BENEFIT: Final = Look(BLUE, (0, (5, 1.5)), "s")
HARM: Final = Look(ORANGE, (0, (3, 1, 1, 1)), "^")
#: Prior against posterior; published against ours.
BEFORE: Final = Look(ORANGE, (0, (4, 2)), "s")
AFTER: Final = Look(BLUE, "-", "o")
#: What lies outside the trials: broken lines and hatching in every figure.
BEYOND_LINE: Final = (0, (2.5, 1.5))
BEYOND_HATCH: Final = "//////"
NO_TRIAL_HATCH: Final = "......"


class Drawing(Figure):
    """A matplotlib figure that keeps its style when saved, and shows itself in a notebook.

    ``get_label()`` is its alternative text.
    """

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save in the figure's own style.

        Parameters
        ----------
        fname
            Path or open binary file.
        **options
            As matplotlib's.
        """
        with matplotlib.rc_context(STYLE):
            super().savefig(fname, **options)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        return {"image/png": as_png(self)}, {"image/png": {"alt": str(self.get_label())}}


@contextmanager
def drawing(width: float = FULL_WIDTH, height: float = 3.0) -> Iterator[Drawing]:
    """Make a figure, in the house style, on a canvas of its own.

    Parameters
    ----------
    width
        Inches.
    height
        Inches.

    Yields
    ------
    Drawing
        Empty, with constrained layout; laid out when the block ends.
    """
    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        # Ticks are made when first needed: here, while the style still holds. Laying out makes
        # them; to draw as well took a quarter of a page's time.
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)


def as_svg(figure: Figure) -> str:
    """Write a figure as SVG, the same bytes every time.

    Parameters
    ----------
    figure
        A figure.

    Returns
    -------
    str
        From ``<svg`` on, with no XML declaration, so that it can stand in a page.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Figure, dpi: float = 150) -> bytes:
    """Write a figure as PNG.

    Parameters
    ----------
    figure
        A figure.
    dpi
        Dots per inch.

    Returns
    -------
    bytes
        A PNG file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
