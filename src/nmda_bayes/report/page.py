"""One self-contained page: nothing is fetched, no script runs, every text is escaped."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from nmda_bayes.checks import Checks
from nmda_bayes.errors import Fault, InputError
from nmda_bayes.report.blocks import Section
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections import SECTIONS
from nmda_bayes.report.view import View

GENERATOR = '<meta name="generator" content="nmda-bayes">'
#: How far into a file the generator may stand: a page of ours has it in its first lines.
HEAD_BYTES = 4096


def render(
    fit: xr.DataTree, variants: xr.Dataset | None = None, checks: Checks | None = None
) -> str:
    """Write a fit as a page.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.
    variants
        As `nmda_bayes.fit_variants` gives it, of the same analysis; without their section if None.
    checks
        As `nmda_bayes.check` gives them of this fit; computed if None.

    Returns
    -------
    str
        HTML, the same for the same fit.
    """
    view = View(fit, variants, checks)
    gallery = Gallery(watermark="SYNTHETIC" if view.synthetic else "")
    made = (section(view, gallery) for section in SECTIONS)
    told = [section for section in made if section is not None]
    return as_page(view.spec.title, told, passed=view.checks.passed)


def write_report(
    path: str | os.PathLike[str],
    fit: xr.DataTree,
    variants: xr.Dataset | None = None,
    checks: Checks | None = None,
) -> Path:
    """Write a fit's report.

    Parameters
    ----------
    path
        The HTML file. It is written beside and then renamed: a reader never sees half of it.
    fit
        As `nmda_bayes.fit` gives it.
    variants
        As `nmda_bayes.fit_variants` gives it, of the same analysis; without their section if None.
    checks
        As `nmda_bayes.check` gives them of this fit; computed if None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the path is a folder, its folder does not exist, or it holds a file that is not a report
        of this package: then nothing is written.
    """
    target = free_for_a_page(path)
    return write_page(target, render(fit, variants, checks))


def free_for_a_page(path: str | os.PathLike[str]) -> Path:
    """Ask that a page may be written somewhere, before the work that it takes.

    Parameters
    ----------
    path
        The HTML file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If nothing may be written there.
    """
    target = Path(path)
    fault = _fault_of(target)
    if fault is not None:
        raise InputError([fault])
    return target


def as_page(title: str, sections: list[Section], *, passed: bool) -> str:
    """Write sections as a page.

    Parameters
    ----------
    title
        Its title.
    sections
        What stands in it.
    passed
        False where the first page must say that the diagnostics refused something.

    Returns
    -------
    str
        HTML.
    """
    template, style = _parts()
    return template.render(
        title=title, sections=sections, style=style, generator=Markup(GENERATOR), passed=passed
    )


def write_page(target: Path, text: str) -> Path:
    """Write a page beside its place, and then rename it: a reader never sees half of it.

    Parameters
    ----------
    target
        The HTML file.
    text
        The page.

    Returns
    -------
    Path
        The file.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _fault_of(target: Path) -> Fault | None:
    """Say why a report must not be written there."""
    if target.is_dir():
        return Fault("is a folder", "Name a file, for instance report.html.", str(target))
    if not target.parent.is_dir():
        return Fault("its folder does not exist", "Make the folder first.", str(target))
    if not target.exists():
        return None
    with target.open("rb") as file:
        if GENERATOR.encode() in file.read(HEAD_BYTES):
            return None
    return Fault(
        "exists and is not a report of nmda-bayes; it was left as it is",
        "Name another file, or move this one away.",
        str(target),
    )


@cache
def _parts() -> tuple[Template, Markup]:
    """The template, and the style sheet, which stands in the page as it is."""
    loader = PackageLoader("nmda_bayes.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    source, _, _ = loader.get_source(environment, "style.css")
    return environment.get_template("report.html"), Markup(source)
