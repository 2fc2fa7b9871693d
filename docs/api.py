"""Write docs/api.md, docs/errors.md and the package's stub from the code: python docs/api.py."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import nmda_bayes as nb
from nmda_bayes.errors import CODES

PAGE = Path(__file__).with_name("api.md")
ERRORS = Path(__file__).with_name("errors.md")
STUB = Path(nb.__file__).with_suffix(".pyi")
INTRODUCTION = """\
# Public API

Made from the docstrings by `python docs/api.py`. In the examples, `nb` is `nmda_bayes`, `evidence`
the shipped evidence, `spec` the analysis `models/benefit_risk.toml`, `fit` a short fit of it and
`pk_fit` one of `models/concentration.toml`.
`help(nb.NAME)` prints parameters, dims and units.
"""
#: What the first digits of an error code stand for; a code belongs to the last group it reaches.
ERROR_GROUPS = {
    "E100": "Tables of evidence",
    "E200": "Formats of other packages",
    "E300": "Analysis files (specs)",
    "E400": "Selection of rows and templates",
    "E500": "Models, priors and their parts",
    "E550": "Inference and checks",
    "E600": "Sensitivity analyses",
    "E700": "Doses, regimens and pharmacokinetics",
    "E800": "Estimands and stored fits",
    "E850": "Figures and reports",
    "E900": "Command line and results folders",
}
ERRORS_INTRODUCTION = """\
# Error codes

Errors that a user can fix have a stable code, the place (file, row, column or key) and a hint. The
command line prints all errors of an input at once and exits with 2; in Python they are the `issues`
of an `InputError`. Messages may be reworded, codes do not change. Made by `python docs/api.py`.
"""


def errors_page() -> str:
    """Return the page of error codes: code and name, by group."""
    parts = [ERRORS_INTRODUCTION]
    starts = [*ERROR_GROUPS, "F000"]
    for start, end in itertools.pairwise(starts):
        rows = [f"| {code} | {name} |" for code, name in CODES.items() if start <= code < end]
        parts += [f"## {ERROR_GROUPS[start]}\n", "| code | error |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def api_page() -> str:
    """Return the page: every public name by group, with an example per group."""
    parts = [INTRODUCTION]
    for group, modules in nb.PUBLIC_API.items():
        members = {
            name: getattr(import_module(f"nmda_bayes.{module}"), name)
            for module, names in modules.items()
            for name in names
        }
        parts += [f"## {group}\n", *_lines("nb", members), *_example(members.values())]
    for name in nb.SUBMODULES:
        module = getattr(nb, name)
        members = {n: getattr(module, n) for n in module.__all__ if n not in nb.__all__}
        parts += [f"## More in `nb.{name}`\n", *_lines(f"nb.{name}", members)]
    return "\n".join(parts)


def _lines(prefix: str, members: dict[str, Any]) -> list[str]:
    """List functions and classes with the first line of their docstrings."""
    documented = {
        name: inspect.getdoc(member)
        for name, member in members.items()
        if inspect.isroutine(member) or inspect.isclass(member)
    }
    rows = [f"- `{prefix}.{n}`: {doc.splitlines()[0]}" for n, doc in documented.items() if doc]
    return [*rows, ""]


def _example(members: Iterable[Any]) -> list[str]:
    """Return the first example in the docstrings."""
    for member in members:
        _, heading, text = (inspect.getdoc(member) or "").partition("Examples\n--------\n")
        if heading:
            return ["```python", text.split("\n\n")[0].rstrip(), "```", ""]
    return []


def stub() -> str:
    """Return what type checkers and editors read instead of the imports on first use."""
    module_of = {
        name: f"nmda_bayes.{module}"
        for modules in nb.PUBLIC_API.values()
        for module, names in modules.items()
        for name in names
    } | dict.fromkeys(nb.SUBMODULES, "nmda_bayes")
    imports = [f"from {module} import {name} as {name}" for name, module in module_of.items()]
    facts = ["PUBLIC_API: dict[str, dict[str, tuple[str, ...]]]", "SUBMODULES: tuple[str, ...]"]
    return "\n".join(["# Made by docs/api.py.", *sorted(imports), "", *facts, ""])


if __name__ == "__main__":
    PAGE.write_text(api_page(), encoding="utf-8")
    ERRORS.write_text(errors_page(), encoding="utf-8")
    STUB.write_text(stub(), encoding="utf-8")
