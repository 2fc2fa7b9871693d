"""Parts that a spec may name; each has one formula, registered by one decorator line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def keyword_parameters(formula: Callable[..., Any]) -> tuple[str, ...]:
    """Names of a formula's keyword-only arguments: the parameters that have priors."""
    arguments = inspect.signature(formula).parameters.values()
    return tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)


def summary_line(formula: Callable[..., Any]) -> str:
    """First line of a formula's docstring."""
    return (inspect.getdoc(formula) or "").partition("\n")[0]
