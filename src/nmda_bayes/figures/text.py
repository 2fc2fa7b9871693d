"""Words around the panels: names, numbers, legends and remarks, all of bounded length."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure


def plain(text: object, width: int = 42) -> str:
    """Bring text from the evidence to one line of bounded length.

    Parameters
    ----------
    text
        A study's name, say.
    width
        Characters; a longer text ends in an ellipsis.

    Returns
    -------
    str
        Without line breaks or control characters.
    """
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    line = " ".join(shown.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def words(name: object, width: int = 42) -> str:
    """Write a vocabulary name as words: ``s_ketamine`` as "s ketamine".

    Parameters
    ----------
    name
        An agent, condition, outcome or parameter.
    width
        Characters; a longer text ends in an ellipsis.

    Returns
    -------
    str
        One line.
    """
    return plain(str(name).replace("_", " "), width)


def named(cell: xr.DataArray | xr.Dataset, dim: str, width: int = 28) -> str:
    """Write a cell's agent or condition as a reader knows it.

    Parameters
    ----------
    cell
        With one label of ``dim``, and its printed name as the coordinate ``<dim>_label`` where the
        caller has it.
    dim
        Agent, condition or outcome.
    width
        Characters.

    Returns
    -------
    str
        One line.
    """
    printed = f"{dim}_label"
    if printed in cell.coords:
        return plain(cell[printed].item(), width)
    return words(cell[dim].item(), width)


def wrapped(text: str, width: int) -> str:
    """Break a text into lines.

    Parameters
    ----------
    text
        One line.
    width
        Characters a line.

    Returns
    -------
    str
        Lines joined by line breaks.
    """
    return "\n".join(textwrap.wrap(text, width, break_long_words=True)) or text


def number(value: float, decimals: int) -> str:
    """Print a number for a column: a real minus sign, and no negative zero.

    Parameters
    ----------
    value
        The number.
    decimals
        Digits after the point.

    Returns
    -------
    str
        Text.
    """
    return f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def legend(figure: Figure, handles: Sequence[Artist], columns: int = 3) -> None:
    """Put a legend above the panels, in as many columns as the figure's width allows.

    The figure grows by the legend's height.

    Parameters
    ----------
    figure
        A figure.
    handles
        Labelled artists; a label too long for the figure is broken into lines.
    columns
        At most so many.
    """
    characters = int(figure.get_figwidth() * 14) - 6
    for handle in handles:
        handle.set_label(
            "\n".join(wrapped(line, characters) for line in str(handle.get_label()).split("\n"))
        )
    for count in range(columns, 0, -1):
        made = figure.legend(handles=handles, loc="outside upper left", ncols=count)
        if count == 1 or made.get_window_extent().width <= 0.97 * figure.bbox.width:
            break
        made.remove()
    # The panels keep their size: the figure grows by what the legend takes.
    figure.set_figheight(figure.get_figheight() + made.get_window_extent().height / figure.dpi)


def dose_label(figure: Figure, axis: str, remark: str, left_out: str = "") -> None:
    """Name the dose axis under all panels.

    Parameters
    ----------
    figure
        A figure that has no ``supxlabel`` yet.
    axis
        What is on it.
    remark
        What a reader must be told of it; may be empty.
    left_out
        What is not drawn, on a line of its own.
    """
    text = f"{plain(axis, 120)} ({remark})" if remark else plain(axis, 120)
    characters = int(figure.get_figwidth() * 15)
    lines = [wrapped(line, characters) for line in (text, left_out) if line]
    figure.supxlabel("\n".join(lines), fontsize=7.5)


def note(figure: Figure, text: str) -> None:
    """Print a remark at the foot of a figure.

    Parameters
    ----------
    figure
        A figure that has no ``supxlabel`` yet.
    text
        Broken into lines to fit.
    """
    characters = int(figure.get_figwidth() * 19)
    lines = "\n".join(wrapped(line, characters) for line in text.split("\n"))
    figure.supxlabel(lines, fontsize=6.5, x=0.01, ha="left", color="#333333")
