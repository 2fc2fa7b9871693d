"""How a line of the model is set: variables in italics, dims as subscripts, functions upright."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from nmda_bayes.report.words import MINUS

#: Letters for the words that every statistician writes as letters.
LETTERS = {"eta": "η", "delta": "δ", "theta": "θ", "rho": "ρ"}
PLAIN = frozenset(
    (
        "for",
        "each",
        "arm",
        "mu",
        "sigma",
        "correlation",
        "of",
        "between",
        "the",
        "outcomes",
        "one",
        "known",
        "sampling",
        "covariance",
        "in",
        "crossover",
        "trials",
        "cut",
        "off",
        "is",
        "these",
        "parameters",
    )
)
FUNCTIONS = ("exp", "log", "logit", "Normal", "Gamma", "Binomial", "MvNormal", "Phi")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|\[[^\]]*\]|\^[A-Za-z0-9]+|.", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line of the model.

    Attributes
    ----------
    left
        What is defined, as HTML.
    relation
        ``=`` or ``∼``.
    right
        Its definition, as HTML.
    note
        A remark in words.
    """

    left: Markup
    relation: str
    right: Markup
    note: str = ""


def set_line(text: str, note: str = "") -> Line:
    """Split a statement at its relation and set both sides.

    Parameters
    ----------
    text
        A statement as the catalogues write it.
    note
        A remark in words.

    Returns
    -------
    Line
        The statement, marked up.
    """
    found = re.search(r"\s(~|=)\s", text)
    if found is None:
        return Line(typeset(text), "", Markup(), note)
    relation = "∼" if found[1] == "~" else "="
    return Line(typeset(text[: found.start()]), relation, typeset(text[found.end() :]), note)


def typeset(text: str) -> Markup:
    """Set a formula in HTML: variables in italics, dims as subscripts, functions upright.

    Parameters
    ----------
    text
        A formula as the catalogues write it.

    Returns
    -------
    Markup
        Escaped, marked up with ``var``, ``sub`` and ``sup``.
    """
    return Markup("").join(_set_token(token) for token in _TOKEN.findall(text))


def _set_token(token: str) -> Markup:
    if token.startswith("["):
        return Markup("<sub>{}</sub>").format(token)
    if token.startswith("^"):
        return Markup("<sup>{}</sup>").format(token[1:])
    if token in LETTERS:
        return Markup("<var>{}</var>").format(LETTERS[token])
    plain = token in FUNCTIONS or token[0].isupper() or not (token[0].isalpha() or token[0] == "_")
    if plain or token in PLAIN:
        return escape(token.replace("-", MINUS))
    return Markup("<var>{}</var>").format(token)
