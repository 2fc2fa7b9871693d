"""The command line: each command is one library call, with its options, messages and exit code.

Heavy modules are imported by the command that needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from nmda_bayes.errors import EvidenceError, InputError, Issue
from nmda_bayes.registry import TABLE_FORMATS, analysis_path, shipped_analyses, shipped_folder
from nmda_bayes.runtime import tune_gc

if TYPE_CHECKING:
    import xarray as xr

    from nmda_bayes.checks import Diagnostics
    from nmda_bayes.evidence.importers import ImportOptions
    from nmda_bayes.spec import AnalysisSpec


# A results folder: created before the work, never overwritten, sufficient to repeat the work.


@contextmanager
def create_output_folder(out: Path) -> Iterator[None]:
    """Create a folder before long work, so that errors come early; remove it if the work fails."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = "Choose an empty folder; nothing was overwritten."
        raise InputError([Issue("E900", "exists and is not empty", hint, file=str(out))])
    existed = out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not existed:
            out.rmdir()
        raise


def write_spec(spec: AnalysisSpec, path: Path) -> None:
    """Write a spec as TOML."""
    import tomli_w

    content = spec.model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    path.write_text(tomli_w.dumps(content), encoding="utf-8")


def write_fit_tables(spec: str | None, fit: xr.DataTree, checks: Diagnostics, out: Path) -> None:
    """Write summary.csv, diagnostics.csv and manifest.json next to a fit."""
    from nmda_bayes.report.tables import summary_table

    summary_table(fit, checks.scalars).to_csv(out / "summary.csv", index=False)
    checks.scalars.to_csv(out / "diagnostics.csv", index=False)
    manifest = {
        "spec_file": spec or "spec.toml",
        "spec": json.loads(fit.attrs["spec"]),
        "evidence": fit.attrs["evidence_source"],
        "evidence_hash": fit.attrs["evidence_hash"],
        "versions": json.loads(fit.attrs["versions"]),
        "seed": int(fit.attrs["seed"]),
        "passed": checks.passed,
        "convergence": checks.convergence.to_dict(orient="records"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


EXIT_DONE, EXIT_BAD_INPUT, EXIT_NOT_CONVERGED, EXIT_INTERRUPTED = 0, 2, 3, 130

SPEC_HELP = (
    f"Analysis file (TOML), or the name of a shipped analysis: {', '.join(shipped_analyses())}"
)
TEMPLATES = ", ".join(shipped_analyses(templates=True))

SpecArgument = Annotated[str, typer.Argument(help=f"{SPEC_HELP}.")]
OptionalSpecArgument = Annotated[
    str | None,
    typer.Argument(help=f"{SPEC_HELP}; default: a template chosen by the data ({TEMPLATES})."),
]
ShowSpecArgument = Annotated[str | None, typer.Argument(help=f"{SPEC_HELP}.")]
EvidenceOption = Annotated[
    Path | None,
    typer.Option("--evidence", help="Your own data: a table or a folder of tables."),
]
OutOption = Annotated[Path, typer.Option("--out", help="New or empty folder for the results.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help=f"Format of your table: {', '.join(TABLE_FORMATS)}; default: detected automatically.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Information missing from your file: groups=vaccine,control; scale=0,10;"
        " measure=log_OR; for a template also reference=, outcome=, better=, dose.AGENT=."
        " May be repeated.",
    ),
]
FitFolderArgument = Annotated[Path, typer.Argument(help="Results folder of fit or run.")]
TableArgument = Annotated[
    str, typer.Argument(help="Your own data: a table or a folder; default: the shipped evidence.")
]
ReferenceOption = Annotated[str, typer.Option(help="Agent at dose 0.")]
FiguresOption = Annotated[
    Path | None,
    typer.Option("--out", help="With --evidence: new or empty folder for figures and tables."),
]
AllOption = Annotated[bool, typer.Option("--all", help="With --evidence: print tables in full.")]
SchedulesArgument = Annotated[
    list[str], typer.Argument(help='Regimens, each in quotes: "0.5 mg/kg over 40 min".')
]
AgentOption = Annotated[str, typer.Option(help="Agent given.")]
ConditionOption = Annotated[
    str | None, typer.Option(help="Condition of the patients; not needed if the fit has only one.")
]
RouteOption = Annotated[str, typer.Option(help="Route of the doses.")]
SensitivityArgument = Annotated[
    str,
    typer.Argument(
        help="Sensitivity analysis file (TOML), or the name of a shipped one:"
        f" {', '.join(shipped_analyses(sensitivity=True))}."
    ),
]
ResumableOutOption = Annotated[
    Path, typer.Option("--out", help="Folder for the results; an interrupted run is resumed.")
]
WorkersOption = Annotated[int | None, typer.Option(help="Number of worker processes (default: 1).")]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:port, for the workers.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(help="Run only variants of this name (* matches anything). May be repeated."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check and count the variants without running them.")
]
SeedOption = Annotated[int | None, typer.Option(help="Random seed; default: the spec's.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done; 2 bad input; 3 convergence checks failed (results are written, and"
    " the report starts with the failed checks).",
)


def main() -> None:
    """Run the command line."""
    app()


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"nmda-bayes {version('nmda-bayes')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
]


@app.callback()
def _options(show_version: VersionOption = False) -> None:
    """Bayesian evidence synthesis of NMDA-receptor antagonists: benefit and harm over dose."""


class _Command(TyperCommand):
    """A command; `show --evidence` without a value means the shipped evidence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the value of a bare `--evidence`."""
        if self.name == "show" and "--evidence" in args:
            position = args.index("--evidence") + 1
            if position == len(args) or args[position].startswith("-"):
                args = [*args[:position], "nmda", *args[position:]]
        return super().parse_args(ctx, args)


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command: errors are printed and become exit codes, not tracebacks."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        tune_gc()
        try:
            code = function(*args, **kwargs)
        except InputError as error:
            for issue in error.issues:
                typer.echo(f"error: {issue}", err=True)
            count = len(error.issues)
            plural = "" if count == 1 else "s"
            typer.echo(f"{count} error{plural}. No files were written.", err=True)
            code = EXIT_BAD_INPUT
        except OSError as error:
            typer.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
            code = EXIT_BAD_INPUT
        except KeyboardInterrupt:
            typer.echo("interrupted; no incomplete files were left.", err=True)
            code = EXIT_INTERRUPTED
        raise typer.Exit(code)

    return app.command(function.__name__, cls=_Command)(wrapper)


@command
def check(
    evidence: TableArgument = "nmda",
    reference: ReferenceOption = "placebo",
    format: FormatOption = None,
    settings: SetOption = None,
) -> int:
    """Check data: reports all problems at once, with file, row, column and a fix for each.

    nmda-bayes check

    nmda-bayes check my_trials.csv

    nmda-bayes check pairs.xlsx --format netmeta
    """
    from nmda_bayes.evidence import network_issues, summarise_evidence
    from nmda_bayes.evidence.describe import describe_import, evidence_notes, infer_reference

    loaded, options = _load(evidence, format, settings)
    if loaded.attrs.get("format", "flat") != "flat":
        # Tables of other packages name no reference; it is inferred from the table if possible.
        reference = infer_reference(loaded, None, reference)[0] or reference
    reference = options.reference or reference
    typer.echo(summarise_evidence(loaded, reference).text)
    for line in describe_import(loaded):
        typer.echo(line)
    notes = list(evidence_notes(loaded))
    issues = network_issues(loaded, reference)
    if loaded.attrs["kind"] == "base" or loaded.attrs["format"].startswith("revman"):
        # An evidence base holds every trial, a review every analysis: a spec selects from them, and
        # only its selection must be a network. Other tables are analysed as a whole.
        notes += issues
    elif issues:
        raise EvidenceError(issues)
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo("No problems found. Ready to run.")
    return EXIT_DONE


@command
def show(
    spec: ShowSpecArgument = None,
    evidence: EvidenceOption = None,
    format: FormatOption = None,
    settings: SetOption = None,
    out: FiguresOption = None,
    show_all: AllOption = False,
) -> int:
    """Describe an analysis and the data that it uses; with --evidence alone, describe the data.

    nmda-bayes show benefit_risk

    nmda-bayes show --evidence

    nmda-bayes show --evidence my_trials.csv --out figures
    """
    if spec is None and evidence is not None:
        return _show_evidence(evidence, format, settings, out, show_all)
    if spec is None:
        hint = "Name an analysis, or give --evidence."
        raise InputError([Issue("E902", "there is nothing to show", hint)])
    if out is not None or show_all:
        message, hint = "--out and --all do not apply to an analysis", "Leave them out."
        raise InputError([Issue("E903", message, hint)])
    from nmda_bayes.report.equations import describe_analysis

    typer.echo(describe_analysis(*_resolve_inputs(spec, evidence, format, settings)))
    return EXIT_DONE


@command
def fit(
    out: OutOption,
    spec: OptionalSpecArgument = None,
    evidence: EvidenceOption = None,
    format: FormatOption = None,
    settings: SetOption = None,
) -> int:
    """Fit an analysis; writes fit.nc, summary.csv, diagnostics.csv and manifest.json.

    nmda-bayes fit my_spec.toml --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, format, settings, report=False)


@command
def report(
    folder: FitFolderArgument,
) -> int:
    """Write report.html, a single self-contained page, into a results folder.

    nmda-bayes report results

    A sensitivity analysis in results/sensitivity is included.
    """
    from nmda_bayes.checks import diagnose
    from nmda_bayes.inference import read_fit
    from nmda_bayes.report.page import write_report
    from nmda_bayes.report.variants import read_results

    stored = read_fit(folder)
    with announce("writing the report"):
        checks = diagnose(stored)
        path = write_report(folder / "report.html", stored, read_results(folder), checks)
    typer.echo(f"report: {path}")
    return EXIT_DONE if checks.passed else EXIT_NOT_CONVERGED


@command
def run(
    out: OutOption,
    spec: OptionalSpecArgument = None,
    evidence: EvidenceOption = None,
    format: FormatOption = None,
    settings: SetOption = None,
) -> int:
    """Check the data, fit the analysis and write the report.

    nmda-bayes run benefit_risk --out results

    nmda-bayes run --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, format, settings, report=True)


@command
def regimens(
    folder: FitFolderArgument,
    schedules: SchedulesArgument,
    agent: AgentOption,
    condition: ConditionOption = None,
    route: RouteOption = "iv",
) -> int:
    """Predict the effects of regimens from a fit whose exposure is a concentration.

    nmda-bayes regimens results "0.5 mg/kg over 40 min" "0.5 mg/kg over 4 h" --agent ketamine
    """
    from nmda_bayes.estimands import describe_regimens, regimen_response
    from nmda_bayes.inference import read_fit

    stored = read_fit(folder)
    response = regimen_response(stored, schedules, agent=agent, condition=condition, route=route)
    typer.echo(describe_regimens(response))
    return EXIT_DONE


@command
def sensitivity(
    spec: SensitivityArgument,
    out: ResumableOutOption,
    evidence: EvidenceOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
) -> int:
    """Run variants of an analysis (priors, trials, curves, choices) and compare their results.

    nmda-bayes sensitivity sensitivity --out what_if --workers 2

    nmda-bayes sensitivity my.toml --out what_if --only sceptical_prior --only 'without *'
    """
    from nmda_bayes.sensitivity.plan import base_path, read_plan

    path = analysis_path(spec)
    base, loaded = _resolve_inputs(str(base_path(path, shipped_folder("models"))), evidence)
    plan = read_plan(path, loaded, base)
    plan = plan.only(tuple(only)) if only else plan
    from nmda_bayes.report.variants import describe_estimate, run_into_folder

    typer.echo(describe_estimate(plan, loaded, out, workers), err=not dry_run)
    if dry_run:
        return EXIT_DONE
    page, converged = run_into_folder(plan, loaded, out, workers=workers, scheduler=scheduler)
    typer.echo(f"report: {page}")
    return EXIT_DONE if converged else EXIT_NOT_CONVERGED


@command
def simulate(
    spec: SpecArgument,
    out: OutOption,
    evidence: EvidenceOption = None,
    seed: SeedOption = None,
) -> int:
    """Simulate data from an analysis's prior; writes evidence.csv, spec.toml and truth.csv.

    nmda-bayes simulate benefit_risk --out simulated
    """
    from nmda_bayes.simulate import simulate_evidence, true_parameters

    analysis, loaded = _resolve_inputs(spec, evidence)
    with create_output_folder(out):
        table, truth, refit_spec = simulate_evidence(analysis, loaded, seed=seed)
    table.to_csv(out / "evidence.csv", index=False)
    true_parameters(truth).to_csv(out / "truth.csv", index=False)
    write_spec(refit_spec, out / "spec.toml")
    typer.echo(f"simulated data: {out}; fit them with: nmda-bayes fit {out}/spec.toml --out ...")
    return EXIT_DONE


def _load(
    evidence: str | Path, format: str | None, settings: list[str] | None
) -> tuple[xr.DataTree, ImportOptions]:
    from nmda_bayes.evidence.base import load_with_options
    from nmda_bayes.evidence.importers import parse_options

    options = parse_options(settings or (), format)
    return load_with_options(evidence, options), options


def _resolve_inputs(
    spec: str | None,
    evidence: Path | None,
    format: str | None = None,
    settings: list[str] | None = None,
) -> tuple[AnalysisSpec, xr.DataTree]:
    """Read a spec, or fill in a template, and load the evidence that it or the user names."""
    from nmda_bayes.spec import AnalysisSpec
    from nmda_bayes.templates import fill_template, import_decisions, template_name

    if spec is None or template_name(spec):
        if evidence is None:
            message, hint = "a template needs your own data", "Give --evidence FILE, or name an"
            hint += f" analysis: {', '.join(shipped_analyses())}."
            raise InputError([Issue("E901", message, hint)])
        loaded, options = _load(evidence, format, settings)
        filled = fill_template(loaded, options, spec and template_name(spec))
        return filled.spec, filled.evidence
    path = analysis_path(spec)
    analysis = AnalysisSpec.from_toml(path)
    if evidence is None:
        in_folder = path.parent / analysis.evidence
        is_file = analysis.evidence != "nmda" and in_folder.exists()
        evidence = in_folder if is_file else Path(analysis.evidence)
    loaded, _ = _load(evidence, format, settings)
    decisions = analysis.decisions | import_decisions(loaded)
    return analysis.model_copy(update={"decisions": decisions}), loaded


def _show_evidence(
    evidence: Path,
    format: str | None,
    settings: list[str] | None,
    out: Path | None,
    show_all: bool,
) -> int:
    from nmda_bayes.evidence.describe import describe_evidence, infer_reference

    loaded, options = _load(str(evidence), format, settings)
    reference = options.reference or infer_reference(loaded, None, "placebo")[0] or "placebo"
    typer.echo(describe_evidence(loaded, reference, full=show_all))
    if out is not None:
        from nmda_bayes.figures.evidence import write_evidence_folder

        with create_output_folder(out), announce("drawing figures"):
            written = write_evidence_folder(out, loaded, reference)
        typer.echo(f"\n{len(written)} files: {out}")
    return EXIT_DONE


def _fit(
    spec: str | None,
    evidence: Path | None,
    out: Path,
    format: str | None,
    settings: list[str] | None,
    *,
    report: bool,
) -> int:
    analysis, loaded = _resolve_inputs(spec, evidence, format, settings)
    template = analysis.decisions.get("spec")
    if template:
        typer.echo(
            f"spec: {template} Saved as {out / 'spec.toml'}; check it before you rely on the"
            " results."
        )
    from nmda_bayes.checks import diagnose
    from nmda_bayes.inference import fit as fit_analysis
    from nmda_bayes.inference import write_fit

    with create_output_folder(out), announce(f"compiling and sampling: {analysis.title}"):
        result = fit_analysis(analysis, loaded, progress=sys.stderr.isatty())
    write_fit(result, out / "fit.nc")
    if template:
        write_spec(analysis, out / "spec.toml")
    with announce("checking convergence and fit"):
        checks = diagnose(result)
    write_fit_tables(spec, result, checks, out)
    if report:
        from nmda_bayes.report.page import write_report  # imports matplotlib

        with announce("writing the report"):
            path = write_report(out / "report.html", result, checks=checks)
        typer.echo(f"report: {path}")
    typer.echo(f"fit: {out / 'fit.nc'}")
    if n_excluded := result["design/excluded"].sizes["row"]:
        typer.echo(f"{n_excluded} rows of the data were excluded; show and report give reasons.")
    if checks.passed:
        return EXIT_DONE
    typer.echo("Convergence checks failed:", err=True)
    for row in checks.convergence[~checks.convergence["passed"]].itertuples():
        text = f"{row.check} {row.value:.4g} (limit {row.threshold:g}) at {row.where}"
        typer.echo(f"  {text}", err=True)
    return EXIT_NOT_CONVERGED


@contextmanager
def announce(activity: str) -> Iterator[None]:
    """Print on standard error what is about to take time."""
    typer.echo(f"{activity} ...", err=True)
    yield


if __name__ == "__main__":
    main()
