"""The command line: each command is one library call, with its options, messages and exit code.

Heavy modules are imported by the command that needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from click import UsageError
from typer.core import TyperCommand

from nmda_bayes.artifacts import printable, remove_stale_partials
from nmda_bayes.errors import EvidenceError, InputError, Issue
from nmda_bayes.registry import (
    TABLE_FORMATS,
    analysis_path,
    require_table_name,
    shipped_analyses,
    shipped_folder,
)
from nmda_bayes.results_folder import (
    create_output_folder,
    resume_output_folder,
    save_fit,
    spec_text,
    write_fit_tables,
)
from nmda_bayes.runtime import tune_gc
from nmda_bayes.terminal import EXIT_DONE, EXIT_NOT_CONVERGED, EXIT_SIGNAL, echo, exit_code

if TYPE_CHECKING:
    import xarray as xr

    from nmda_bayes.evidence.importers import ImportOptions
    from nmda_bayes.spec import AnalysisSpec


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
        " measure=log_OR; for a template also reference=, outcome= (or benefit= and harm=),"
        " better=, doses=, conditions=, window=, dose.AGENT=. `check` names what is missing. May"
        " be repeated.",
    ),
]
FitFolderArgument = Annotated[Path, typer.Argument(help="Results folder of fit or run.")]
TableArgument = Annotated[
    str, typer.Argument(help="Your own data: a table or a folder; default: the shipped evidence.")
]
ReferenceOption = Annotated[
    str | None, typer.Option(help="Agent that others are compared with; as --set reference=.")
]
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
    try:
        app()
    except SystemExit as ending:
        if isinstance(ending.code, int) and ending.code > EXIT_SIGNAL:
            # Threads of the sampler may still run: they must not outlive what they use.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ending.code)
        raise


def _print_version(requested: bool) -> None:
    if requested:
        echo(f"nmda-bayes {version('nmda-bayes')}")
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
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            raise UsageError(printable(error.format_message()), ctx) from None


def command(function: Callable[..., int]) -> Callable[..., None]:
    """Make a function a command: errors are printed and become exit codes, not tracebacks."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        tune_gc()
        raise typer.Exit(exit_code(lambda: function(*args, **kwargs)))

    return app.command(function.__name__, cls=_Command)(wrapper)


@command
def check(
    evidence: TableArgument = "nmda",
    reference: ReferenceOption = None,
    format: FormatOption = None,
    settings: SetOption = None,
) -> int:
    """Check data and rehearse `run`: every problem and every question, and what will be fitted.

    nmda-bayes check

    nmda-bayes check my_trials.csv --set scale=0,10

    nmda-bayes check pairs.xlsx --format netmeta
    """
    from nmda_bayes.evidence import summarise_evidence
    from nmda_bayes.evidence.base import is_base
    from nmda_bayes.evidence.describe import describe_import
    from nmda_bayes.evidence.importers import parse_options

    options = parse_options(settings or (), format)
    if reference is not None:
        options = replace(options, reference=reference)
    if is_base(evidence):
        return _check_base(evidence, options)
    from nmda_bayes.templates import rehearse

    rehearsal = rehearse(evidence, options)
    echo(summarise_evidence(rehearsal.evidence, rehearsal.reference).text)
    for line in (*describe_import(rehearsal.evidence), *rehearsal.lines):
        echo(line)
    if rehearsal.issues:
        raise EvidenceError(rehearsal.issues)
    echo(f"{_outcome_of_check(rehearsal.evidence)} Ready: {rehearsal.command}")
    return EXIT_DONE


def _check_base(evidence: str, options: ImportOptions) -> int:
    """Check an evidence base, which holds every trial: a spec selects a network from it."""
    from nmda_bayes.evidence import network_issues, summarise_evidence
    from nmda_bayes.evidence.base import load_with_options
    from nmda_bayes.evidence.describe import evidence_notes

    loaded = load_with_options(evidence, options)
    reference = options.reference or "placebo"
    echo(summarise_evidence(loaded, reference).text)
    for note in (*evidence_notes(loaded), *network_issues(loaded, reference)):
        echo(f"note: {note}")
    echo(f"{_outcome_of_check(loaded)} Ready to run.")
    return EXIT_DONE


def _outcome_of_check(loaded: xr.DataTree) -> str:
    from nmda_bayes.evidence.describe import count_imputed

    imputed = count_imputed(loaded)
    if not imputed:
        return "No problems found."
    return (
        f"No errors; {imputed} standard error{'s are' if imputed > 1 else ' is'} imputed (guesses)."
    )


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

    echo(describe_analysis(*_resolve_inputs(spec, evidence, format, settings)))
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
    if folder.is_dir():
        remove_stale_partials(folder)
    with announce("writing the report"):
        checks = diagnose(stored)
        path = write_report(folder / "report.html", stored, read_results(folder), checks)
    echo(f"report: {path}")
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
    echo(describe_regimens(response))
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

    echo(describe_estimate(plan, loaded, out, workers), err=not dry_run)
    if dry_run:
        return EXIT_DONE
    with resume_output_folder(out):
        page, converged = run_into_folder(plan, loaded, out, workers=workers, scheduler=scheduler)
    echo(f"report: {page}")
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
    with create_output_folder(out) as folder:
        table, truth, refit_spec = simulate_evidence(analysis, loaded, seed=seed)
        folder.write_csv("evidence.csv", table)
        folder.write_csv("truth.csv", true_parameters(truth))
        folder.write("spec.toml", spec_text(refit_spec))
    echo(f"simulated data: {out}; fit them with: nmda-bayes fit {out}/spec.toml --out ...")
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
    from nmda_bayes.evidence.base import load_with_options
    from nmda_bayes.evidence.importers import parse_options
    from nmda_bayes.spec import AnalysisSpec
    from nmda_bayes.templates import (
        apply_reference_doses,
        import_decisions,
        merge_settings,
        rehearse,
        settings_of,
        template_name,
    )

    if spec is None or template_name(spec):
        if evidence is None:
            message, hint = "a template needs your own data", "Give --evidence FILE, or name an"
            hint += f" analysis: {', '.join(shipped_analyses())}."
            raise InputError([Issue("E901", message, hint)])
        options = parse_options(settings or (), format)
        rehearsal = rehearse(evidence, options, spec and template_name(spec))
        if rehearsal.spec is None:
            raise EvidenceError(rehearsal.issues)
        return rehearsal.spec, rehearsal.evidence
    path = analysis_path(spec)
    analysis = AnalysisSpec.from_toml(path)
    if evidence is None:
        in_folder = path.parent / analysis.evidence
        is_file = analysis.evidence != "nmda" and in_folder.exists()
        evidence = in_folder if is_file else Path(analysis.evidence)
        require_table_name(evidence, path)
    format, settings = merge_settings(analysis.settings, format, settings or ())
    options = replace(parse_options(settings, format), read=analysis.columns_read)
    loaded = load_with_options(evidence, options)
    if options.reference_doses:
        loaded = apply_reference_doses(loaded, options.reference_doses)
    decisions = analysis.decisions | import_decisions(loaded)
    stored = settings_of(options)
    return analysis.model_copy(update={"decisions": decisions, "settings": stored}), loaded


def _show_evidence(
    evidence: Path,
    format: str | None,
    settings: list[str] | None,
    out: Path | None,
    show_all: bool,
) -> int:
    from nmda_bayes.evidence.describe import describe_evidence, infer_reference

    loaded, options = _load(str(evidence), format, settings)
    reference = options.reference or infer_reference(loaded)[0] or "placebo"
    echo(describe_evidence(loaded, reference, full=show_all))
    if out is not None:
        from nmda_bayes.figures.evidence import write_evidence_folder

        with (
            create_output_folder(out) as folder,
            announce("drawing figures"),
            tempfile.TemporaryDirectory() as drawn,
        ):
            written = write_evidence_folder(Path(drawn), loaded, reference)
            for path in written:
                folder.write(path.name, path.read_bytes())
        echo(f"\n{len(written)} files: {out}")
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
        echo(
            f"spec: {template} Saved as {out / 'spec.toml'}; check it before you rely on the"
            " results."
        )
        for key, text in analysis.decisions.items():
            if key not in ("spec", "priors", "agents", "table"):
                echo(f"{key.replace('_', ' ')}: {text}")
    from nmda_bayes.checks import diagnose
    from nmda_bayes.inference import fit as fit_analysis

    with create_output_folder(out) as folder:
        with announce(f"compiling and sampling: {analysis.title}"):
            result = fit_analysis(analysis, loaded, progress=sys.stderr.isatty())
        content = save_fit(folder, result)
        if template:
            folder.write("spec.toml", spec_text(analysis))
        with announce("checking convergence and fit"):
            checks = diagnose(result)
        write_fit_tables(folder, spec, result, checks, content)
        if report:
            from nmda_bayes.report.page import render_report  # imports matplotlib

            with announce("writing the report"):
                folder.write("report.html", render_report(result, checks=checks))
            echo(f"report: {out / 'report.html'}")
    echo(f"fit: {out / 'fit.nc'}")
    if n_excluded := result["design/excluded"].sizes["row"]:
        echo(f"{n_excluded} rows of the data were excluded; show and report give reasons.")
    for remark in checks.remarks:
        echo(f"note: {remark}")
    if checks.passed:
        return EXIT_DONE
    echo("Convergence checks failed:", err=True)
    for row in checks.convergence[~checks.convergence["passed"]].itertuples():
        text = f"{row.check} {row.value:.4g} (limit {row.threshold:g}) at {row.where}"
        echo(f"  {text}", err=True)
    return EXIT_NOT_CONVERGED


@contextmanager
def announce(activity: str) -> Iterator[None]:
    """Print on standard error what is about to take time."""
    echo(f"{activity} ...", err=True)
    yield


if __name__ == "__main__":
    main()
