"""The style of every figure, and its text, legend, note and alternative text.

Figures are made without pyplot: no display is needed, and importing this module changes no global
setting. The colours (Okabe and Ito) remain distinct with the common forms of colour blindness;
series of one panel also differ in lightness, and in line or marker, so that a grey print is clear.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import words_of

BLACK: Final = "#000000"
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#6E6E6E"
LIGHT_GREY: Final = "#CFCFCF"

#: Inches: the full width of a two-column page.
FULL_WIDTH: Final = 7.2

#: Any: matplotlib's type of its settings is not a plain dict.
STYLE: Final[Any] = {
    # Study names are text. "$" in one must never start a formula.
    "text.parse_math": False,
    "text.usetex": False,
    # The font that matplotlib ships: the same glyphs on every machine.
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
class SeriesStyle:
    """Colour, line and marker of one series."""

    color: str
    linestyle: Any = "-"
    marker: str = "o"
    hollow: bool = False

    @property
    def face(self) -> str:
        """The fill colour of its markers."""
        return "white" if self.hollow else self.color


#: By outcome, in the spec's order: the first is usually the benefit.
OUTCOME_STYLES: Final = (
    SeriesStyle(BLUE, "-", "o"),
    SeriesStyle(ORANGE, "-", "s"),
    SeriesStyle(BLACK, "-", "^"),
    SeriesStyle(PURPLE, "-", "D"),
)
BOTH_STYLE: Final = SeriesStyle(BLACK, "-", "o")
BENEFIT_STYLE: Final = SeriesStyle(BLUE, (0, (5, 1.5)), "s")
HARM_STYLE: Final = SeriesStyle(ORANGE, (0, (3, 1, 1, 1)), "^")
PRIOR_STYLE: Final = SeriesStyle(ORANGE, (0, (4, 2)), "s")
POSTERIOR_STYLE: Final = SeriesStyle(BLUE, "-", "o")
#: What a trial or a publication reports, against an estimate of the model.
REPORTED_STYLE: Final = SeriesStyle(BLACK, "-", "s", hollow=True)
#: Lines of one panel: distinguishable up to this number.
LINE_STYLES: Final = (
    SeriesStyle(BLUE, "-", "o"),
    SeriesStyle(ORANGE, (0, (5, 1.5)), "s"),
    SeriesStyle(BLACK, (0, (3, 1, 1, 1)), "^"),
    SeriesStyle(PURPLE, (0, (1, 1)), "D"),
    SeriesStyle(GREEN, (0, (7, 2)), "v"),
    SeriesStyle(VERMILLION, (0, (2, 2)), "P"),
)
#: Extrapolation beyond the trials: broken lines and hatching in every figure.
EXTRAPOLATED_LINE: Final = (0, (2.5, 1.5))
EXTRAPOLATED_HATCH: Final = "//////"
NO_TRIAL_HATCH: Final = "......"


class StyledFigure(Figure):
    """A matplotlib figure that keeps its style when saved, and shows itself in a notebook.

    ``get_label()`` is its alternative text.
    """

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save in the figure's style."""
        with matplotlib.rc_context(STYLE):
            super().savefig(fname, **options)

    def add_legend(self, *keys: Artist | Literal[False], columns: int = 3) -> None:
        """Put a legend above the panels, in as many columns as the width allows; False is skipped.

        The panels keep their size: the figure grows by the legend's height.
        """
        handles = [key for key in keys if key is not False]
        if not handles:
            return
        characters = int(self.get_figwidth() * 14) - 6
        for handle in handles:
            handle.set_label(wrap_text(str(handle.get_label()), characters))
        for count in range(columns, 0, -1):
            legend = self.legend(handles=handles, loc="outside upper left", ncols=count)
            if count == 1 or legend.get_window_extent().width <= 0.97 * self.bbox.width:
                break
            legend.remove()
        self.set_figheight(self.get_figheight() + legend.get_window_extent().height / self.dpi)

    def add_note(self, *sentences: str | Literal[False]) -> None:
        """Print sentences below a figure; False and empty ones are skipped."""
        text = " ".join(sentence for sentence in sentences if sentence)
        if text:
            text = wrap_text(text, int(self.get_figwidth() * 19))
            self.supxlabel(text, fontsize=6.5, x=0.01, ha="left", color="#333333")

    def set_alt_text(self, *sentences: str | Literal[False]) -> None:
        """Set the alternative text of a figure; False and empty sentences are skipped."""
        self.set_label(" ".join(sentence for sentence in sentences if sentence))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        return {"image/png": as_png(self)}, {"image/png": {"alt": str(self.get_label())}}


#: Matplotlib's warning that a layout was given up.
COLLAPSED = "constrained_layout not applied"


@contextmanager
def styled_figure(width: float = FULL_WIDTH, height: float = 3.0) -> Iterator[StyledFigure]:
    """Make a figure of a size in inches, without pyplot."""
    with matplotlib.rc_context(STYLE):
        figure = StyledFigure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        # Ticks are made when first needed: here, while the style still applies. Running the layout
        # makes them; drawing as well took a quarter of a report's time.
        _lay_out(figure)


def _lay_out(figure: StyledFigure) -> None:
    """Run the layout; a figure whose texts leave no room for its axes is made larger."""
    engine = figure.get_layout_engine()
    assert engine is not None
    for _ in range(4):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.execute(figure)
        others = [w for w in caught if COLLAPSED not in str(w.message)]
        for warning in others:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        if len(others) == len(caught):
            return
        width, height = map(float, figure.get_size_inches())
        figure.set_size_inches(1.4 * width, 1.4 * height)
    # It would only warn again whenever the figure is drawn.
    figure.set_layout_engine("none")


def as_svg(figure: Figure) -> str:
    """Write a figure as SVG, the same bytes every time."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Figure, dpi: float = 150) -> bytes:
    """Write a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


# Text: names, numbers and estimates.


def one_line(text: object, width: int = 42) -> str:
    """Reduce text from the evidence to one line of bounded length."""
    printable = "".join(c if c.isprintable() else " " for c in str(text))
    line = " ".join(printable.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def display_name(name: object, width: int = 42) -> str:
    """Write a vocabulary name as words: ``s_ketamine`` as "S-ketamine"."""
    return one_line(words_of(str(name)), width)


def cell_label(cell: xr.DataArray | xr.Dataset, dim: str, width: int = 28) -> str:
    """Write the label of a cell's agent, condition or outcome."""
    if f"{dim}_label" in cell.coords:
        return one_line(cell[f"{dim}_label"].item(), width)
    return display_name(cell[dim].item(), width)


def within_sentence(text: str) -> str:
    """Write a label as part of a sentence; abbreviations keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def wrap_text(text: str, width: int) -> str:
    """Break each line of a text into lines of at most a number of characters."""
    lines = (
        textwrap.wrap(line, width, break_long_words=True) or [line] for line in text.split("\n")
    )
    return "\n".join("\n".join(line) for line in lines)


def format_number(value: float, decimals: int) -> str:
    """Print a number for a column: a real minus sign, and no negative zero."""
    return f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def column_decimals(span: float) -> int:
    """Choose the decimals of a column of numbers from the span of its values."""
    if not np.isfinite(span) or span <= 0:
        return 2
    return int(np.clip(np.ceil(2.2 - np.log10(span)), 0, 4))


def format_estimates(
    estimates: np.ndarray, decimals: int | None = None, missing: str = ""
) -> list[str]:
    """Write rows of median, lower and upper limit as "median [lower, upper]"."""
    if decimals is None:
        decimals = column_decimals(float(np.nanmax(estimates) - np.nanmin(estimates)))
    numbers = [[format_number(x, decimals) for x in row] for row in estimates]
    return [
        f"{median} [{lower}, {upper}]" if np.isfinite(row[0]) else missing
        for row, (median, lower, upper) in zip(estimates, numbers, strict=True)
    ]


# Legend entries.


def line_key(label: str, color: str = BLACK, **line: Any) -> Line2D:
    """Make a legend entry that shows a line."""
    return Line2D([], [], color=color, label=label, **line)


def marker_key(label: str, marker: str = "o", color: str = BLACK, **line: Any) -> Line2D:
    """Make a legend entry that shows a marker."""
    return line_key(label, color, marker=marker, ls="none", **({"ms": 4} | line))


def patch_key(label: str, color: str = "none", **patch: Any) -> Patch:
    """Make a legend entry that shows an area."""
    return Patch(facecolor=color, label=label, **patch)


def hatch_key(label: str, color: str = "none") -> Patch:
    """Make a legend entry that shows the hatching of what lies beyond the trials."""
    return patch_key(label, color, edgecolor=GREY, hatch=EXTRAPOLATED_HATCH)
