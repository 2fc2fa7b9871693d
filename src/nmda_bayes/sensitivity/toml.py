"""The file of a sensitivity analysis, and what is wrong with its outer shape."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from nmda_bayes.errors import Fault, SpecError, nearest

KEYS = ("title", "base", "dose", "elpd", "variants", "generate", "multiverse")


def content_of(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the file.

    Parameters
    ----------
    path
        TOML.

    Returns
    -------
    dict[str, Any]
        Its plain content.

    Raises
    ------
    SpecError
        If it cannot be read, or is not TOML.
    """
    file = str(path)
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        mend = "Check the path; a shipped one is models/sensitivity.toml."
        fault = Fault(f"cannot be read: {error.strerror or error}", mend, file)
    except UnicodeDecodeError:
        fault = Fault("is not UTF-8 text", "Save it as UTF-8.", file)
    except tomllib.TOMLDecodeError as error:
        fault = Fault(f"is not TOML: {error}", "Mend the TOML there.", file)
    raise SpecError([fault])


def shape_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Find what is wrong with the outer keys.

    Parameters
    ----------
    content
        The file's plain content.

    Yields
    ------
    Fault
        With key and mend.
    """
    for key in content:
        if key not in KEYS:
            yield Fault(f"unknown key '{key}'", nearest(key, KEYS), column=key)
    for key in ("variants", "generate", "multiverse"):
        if not isinstance(content.get(key, {}), Mapping):
            yield Fault("is not a table", f"Write [{key}...].", column=key)
    dose = content.get("dose")
    if dose is not None and not (isinstance(dose, int | float) and dose > 0):
        yield Fault("is not a positive number", "Write an exposure above 0.", column="dose")
    if not isinstance(content.get("elpd", False), bool):
        yield Fault("is neither true nor false", "Write elpd = true.", column="elpd")
    if not content.get("variants") and not content.get("generate"):
        mend = 'Write [variants.NAME] with why = "..." and what differs, or [generate.KIND].'
        yield Fault("no variant is declared", mend, column="variants")
