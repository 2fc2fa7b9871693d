"""The report of a fit: one self-contained HTML page without scripts or external resources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from nmda_bayes.artifacts import write_atomically
from nmda_bayes.checks import Diagnostics
from nmda_bayes.errors import InputError, Issue
from nmda_bayes.report.blocks import Section
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.sections import SECTIONS

GENERATOR = '<meta name="generator" content="nmda-bayes">'
#: Bytes at the start of a file in which the generator is searched.
HEAD_BYTES = 4096


def render_report(
    fit: xr.DataTree, variants: xr.Dataset | None = None, checks: Diagnostics | None = None
) -> str:
    """Write the report of a fit as HTML."""
    report = ReportContext(fit, variants, checks)
    ordered = sorted(SECTIONS.values(), key=lambda section: section.position)
    if report.synthetic or not report.checks.passed:  # before any result
        ordered.sort(key=lambda section: section.key != "convergence")
    sections = [section for build in ordered if (section := build(report)) is not None]
    return build_page(report.spec.title, sections, passed=report.checks.passed)


def write_report(
    path: str | os.PathLike[str],
    fit: xr.DataTree,
    variants: xr.Dataset | None = None,
    checks: Diagnostics | None = None,
) -> Path:
    """Write the report of a fit as one HTML page.

    Parameters
    ----------
    path
        The HTML file, written atomically. An earlier report is replaced, any other file is kept.
    fit
        As `nmda_bayes.fit` returns it.
    variants
        As `nmda_bayes.fit_variants` returns it for the same analysis; None leaves out that section.
    checks
        As `nmda_bayes.diagnose` returns it for this fit; computed if None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the path is a folder, its folder does not exist (E870, E871), or it is a file that is not
        a report of this package (E872). Nothing is then written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> nb.write_report(f"{folder}/report.html", fit).name
    'report.html'
    """
    target = require_writable(path)
    return write_atomically(target, render_report(fit, variants, checks))


def require_writable(path: str | os.PathLike[str]) -> Path:
    """Check that a page may be written to a path, before the work that it takes."""
    target = Path(path)
    file = str(target)
    if target.is_dir():
        issue = Issue("E870", "is a folder", "Name a file, for example report.html.", file)
    elif not target.parent.is_dir():
        issue = Issue("E871", "its folder does not exist", "Make the folder first.", file)
    elif target.exists() and not _is_report(target):
        fix = "Choose another name, or move this file."
        issue = Issue("E872", "exists and is not a report; it was not overwritten", fix, file)
    else:
        return target
    raise InputError([issue])


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(HEAD_BYTES)


def build_page(title: str, sections: Sequence[Section], *, passed: bool) -> str:
    """Write sections as an HTML page."""
    template, style = _template()
    return template.render(
        title=title, sections=sections, style=style, generator=Markup(GENERATOR), passed=passed
    )


@cache
def _template() -> tuple[Template, Markup]:
    """The template and the style sheet."""
    loader = PackageLoader("nmda_bayes.report", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source, _, _ = loader.get_source(environment, "style.css")
    return environment.get_template("report.html"), Markup(source)
