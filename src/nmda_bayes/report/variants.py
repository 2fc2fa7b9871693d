"""A sensitivity analysis in a folder: cached results, an HTML page, and tables."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd
import xarray as xr

from nmda_bayes.artifacts import MARKER, write_atomically, write_csv
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import InputError, Issue
from nmda_bayes.report.blocks import Block, FigureNumbering, Items, Section, Text, fold_table
from nmda_bayes.report.format import CRI, count_noun, display_name, join_words
from nmda_bayes.report.page import build_page, require_writable
from nmda_bayes.report.sections.sensitivity import (
    elpd_blocks,
    estimate_range,
    main_cells,
    tested_cells,
    variant_figures,
    variant_table,
)
from nmda_bayes.sensitivity import compare_variants
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.results import VARIANT
from nmda_bayes.sensitivity.runner import (
    estimate,
    executor_factory,
    jobs_of,
    progress_display,
    run_plan,
)
from nmda_bayes.sensitivity.variants import NAMED, SAME_ROWS_NOTE

#: Cells per outcome with a section: those with most trials.
CELLS_PER_OUTCOME: Final = 3
METHODS_NOTE: Final = (
    "Reweighted: importance weights on the draws of the base case (k-hat at most 0.7, at least 400"
    " effective draws). Refitted: sampled with an already compiled model; fitted: with a newly"
    " compiled one. Both use half of the base case's draws, at least 1,000 per chain, and as many"
    " chains again if convergence checks fail. Exact: numerical integration. Monte Carlo errors of"
    " the means are in sensitivity.csv."
)

# --- The page ------------------------------------------------------------------------------------


def write_variants_page(path: str | os.PathLike[str], results: xr.Dataset) -> Path:
    """Write a sensitivity analysis as one self-contained page."""
    return write_atomically(require_writable(path), render_variants(results))


def render_variants(results: xr.Dataset) -> str:
    """Write a sensitivity analysis as HTML."""
    figures = FigureNumbering()
    sections = [Section("variants", "Variants", tuple(_overview(results)))]
    elpd = tuple(elpd_blocks(results))
    if elpd:
        sections.append(Section("elpd", "Predictive performance (elpd)", elpd))
    for cell in main_cells(results, CELLS_PER_OUTCOME):
        key = "-".join(str(cell.attrs[dim]) for dim in (OUTCOME, AGENT, CONDITION))
        outcome = str(cell.attrs["axis"]).partition(":")[0]
        blocks = (estimate_range(cell), *variant_figures(cell, figures))
        sections.append(Section(f"cell-{key}", f"{outcome}: {cell.attrs['title']}", blocks))
    sections.append(Section("all", "All variants", tuple(_all_variants(results))))
    passed = bool(_valid(results).all())
    return build_page(str(results.attrs["title"]), sections, passed=passed)


def variants_table(results: xr.Dataset) -> pd.DataFrame:
    """The effects of all variants in all cells that have a trial."""
    frames = []
    for cell in tested_cells(results):
        frame = compare_variants(results, **cell)
        for position, (dim, label) in enumerate(cell.items()):
            frame.insert(position, dim, label)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _valid(results: xr.Dataset) -> xr.DataArray:
    """Whether each variant passed its convergence checks, or has no result at all."""
    return results["passed"] | (results["how"] == "")


def _overview(results: xr.Dataset) -> Iterator[Block]:
    names, remarks, whys, methods, kinds = (
        [str(text) for text in results[name].to_numpy()]
        for name in (VARIANT, "remark", "why", "how", "kind")
    )
    counts = pd.Series([method for method in methods if method]).value_counts()
    yield Text(
        f"{count_noun(len(names), 'analysis', 'analyses')}: the base case ({methods[0]}) and its"
        f" variants. Methods: {join_words(f'{n} {method}' for method, n in counts.items())}."
        f" Effects are compared at exposure {results.attrs['dose']:g}, on the scale of the linear"
        f" predictor. {CRI}: 95% credible interval (equal-tailed), given after the posterior"
        " median. The base case has no privilege over the variants.",
        "lead",
    )
    yield Text(METHODS_NOTE)
    named = [i for i, kind in enumerate(kinds) if kind == NAMED]
    if named:
        yield Text("Named variants and their reasons:")
        yield Items(tuple(f"{display_name(names[i])}: {whys[i]}" for i in named))
    failed = [i for i, method in enumerate(methods) if not method]
    if failed:
        yield Text(f"{count_noun(len(failed), 'variant')} without a result:")
        yield Items(tuple(f"{names[i]}: {remarks[i]}." for i in failed))
    same = [name for name, remark in zip(names, remarks, strict=True) if remark == SAME_ROWS_NOTE]
    if same:
        yield Text(f"{join_words(same)}: {SAME_ROWS_NOTE}.")
    invalid = [i for i, valid in enumerate(_valid(results).to_numpy()) if not valid]
    if invalid:
        variants = count_noun(len(invalid), "variant")
        yield Text(f"Convergence checks failed for {variants}; do not use these results:", "failed")
        yield Items(tuple(f"{names[i]}: {remarks[i]}." for i in invalid))


def _all_variants(results: xr.Dataset) -> Iterator[Block]:
    yield Text(
        "All variants of the first effect above. All cells are in sensitivity.csv, and all"
        " numbers in sensitivity.nc, in the folder of this page."
    )
    cell = next(main_cells(results, 1))
    text = cell.attrs
    labels = (str(text[dim]) for dim in (OUTCOME, AGENT, CONDITION))
    table = variant_table(compare_variants(results, *labels), f"{text['title']}: {text['axis']}.")
    yield fold_table(table, "All variants")


# --- The folder ----------------------------------------------------------------------------------

#: Folder inside a fit's folder where its report looks for the sensitivity analysis.
SUBFOLDER: Final = "sensitivity"
CACHE, PAGE, TABLE, RESULTS = "cache", "sensitivity.html", "sensitivity.csv", "sensitivity.nc"
logger = logging.getLogger(__name__)


def describe_estimate(plan: Plan, evidence: xr.DataTree, out: Path, workers: int | None) -> str:
    """Count and time a sensitivity analysis before it starts, as one line."""
    folder = out / CACHE
    cache = ResultCache(folder) if folder.is_dir() else None
    return estimate(plan, jobs_of(plan, evidence), cache, workers or 1).text


def read_results(folder: Path) -> xr.Dataset | None:
    """Read the sensitivity analysis in a fit's folder; None without one."""
    path = folder / SUBFOLDER / RESULTS
    if not path.is_file():
        return None
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"cannot be read ({str(error).splitlines()[0]})"
        fix = "Run nmda-bayes sensitivity again, or delete it."
        raise InputError([Issue("E666", message, fix, file=str(path))]) from None


def run_into_folder(
    plan: Plan,
    evidence: xr.DataTree,
    out: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> tuple[Path, bool]:
    """Run a plan in a new folder, or continue in that of an earlier run.

    Returns the page, and whether all results passed the convergence checks.
    """
    contents = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if out.exists() and (not out.is_dir() or (CACHE not in contents and contents - {MARKER})):
        message = "exists and is not a sensitivity analysis"
        fix = "Choose a new folder, or that of an earlier run; nothing was overwritten."
        raise InputError([Issue("E665", message, fix, file=str(out))])
    make_executor = executor_factory(workers, scheduler)
    cache = ResultCache(out / CACHE)
    page = require_writable(out / PAGE)
    with progress_display() as progress:
        results = run_plan(plan, evidence, cache, make_executor, progress=progress)
    for issue in cache.corrupt:
        logger.warning("%s", issue)
    write_csv(out / TABLE, variants_table(results))
    # In memory first: a full disk is then an error of a plain write, not one of HDF5's.
    write_atomically(out / RESULTS, bytes(results.to_netcdf(engine="h5netcdf")))
    return write_variants_page(page, results), bool(_valid(results).all())
