"""Tables as lines of text that fit a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

#: Characters a line: what a terminal of the usual width shows without wrapping.
WIDTH = 100
GAP = "  "
INDENT = "  "


def lines_of(frame: pd.DataFrame, width: int = WIDTH, at_least: int = 8) -> Iterator[str]:
    """Lay out a table, each row on one line.

    Parameters
    ----------
    frame
        Cells of text or numbers; an empty cell is printed empty, 0 as 0.
    width
        Characters a line may have.
    at_least
        Characters that a column keeps when the widest are narrowed.

    Yields
    ------
    str
        The headings, then a line a row. Texts too long for their column end in an ellipsis;
        numbers stand to the right.
    """
    cells = {str(name): [_text(value) for value in frame[name]] for name in frame}
    right = {str(name) for name in frame if frame[name].dtype.kind in "iuf"}
    wide = {name: max([len(name), *map(len, texts)]) for name, texts in cells.items()}
    room = width - len(INDENT) - len(GAP) * (len(wide) - 1)
    while sum(wide.values()) > room:
        widest = max(wide, key=lambda name: wide[name])
        if wide[widest] <= at_least:
            break
        wide[widest] -= 1
    for row in ([*cells], *zip(*cells.values(), strict=True)):
        parts = [
            _cut(text, wide[name]).rjust(wide[name])
            if name in right
            else _cut(text, wide[name]).ljust(wide[name])
            for name, text in zip(cells, row, strict=True)
        ]
        yield (INDENT + GAP.join(parts)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:,.0f}" if value == int(value) else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())
