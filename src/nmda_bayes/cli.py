"""The command line: one verb, one library call.

Nothing heavy is imported before a verb needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from nmda_bayes.asked import spec_and_evidence
from nmda_bayes.errors import EvidenceError, Fault, InputError
from nmda_bayes.results_folder import new_folder, write_spec, write_tables

DONE, BAD_INPUT, REFUSED, INTERRUPTED = 0, 2, 3, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Bayesian evidence synthesis of NMDA-receptor antagonists: benefit and psychotomimetic"
    " harm, together, over dose.",
    epilog="Exit codes: 0 done; 2 bad input; 3 the diagnostics refused the fit (all is written,"
    " the report says so first).",
)

Spec = Annotated[str, typer.Argument(help="A spec (TOML), or the name of a shipped one.")]
Evidence = Annotated[
    Path | None,
    typer.Option(
        "--evidence", help="A folder, or a table of your own, instead of the spec's evidence."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="A new or empty folder for the results.")]
AnySpec = Annotated[
    str | None,
    typer.Argument(
        help="A spec (TOML), or the name of a shipped one; a generic one is chosen if left out."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Whose convention a table of your own follows: flat, revman, mbnmadose, netmeta,"
        " gemtc, escalc, multinma; found by its columns if left out.",
    ),
]
Say = Annotated[
    list[str] | None,
    typer.Option(
        "--say",
        metavar="KEY=VALUE",
        help="What a table of your own does not say: groups=vaccine,control; scale=0,10;"
        " measure=log_OR; and for a generic spec reference=, outcome=, better=, dose.AGENT=.",
    ),
]


class _Command(TyperCommand):
    """A verb; ``show --evidence`` with nothing behind it means the shipped base."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill in what a bare ``--evidence`` means."""
        if self.name == "show" and "--evidence" in args:
            after = args.index("--evidence") + 1
            if after == len(args) or args[after].startswith("-"):
                args = [*args[:after], "nmda", *args[after:]]
        return super().parse_args(ctx, args)


def main() -> None:
    """Run the command line."""
    app()


def _verb(function: Callable[..., int]) -> Callable[..., None]:
    """Make a library call a verb: faults are told and become exit codes, not tracebacks."""

    @wraps(function)
    def verb(*args: Any, **kwargs: Any) -> None:
        try:
            code = function(*args, **kwargs)
        except InputError as error:
            for fault in error.faults:
                typer.echo(f"error: {fault}", err=True)
            count = len(error.faults)
            typer.echo(f"{count} fault{'s' if count > 1 else ''}; nothing was written.", err=True)
            code = BAD_INPUT
        except OSError as error:
            typer.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
            code = BAD_INPUT
        except KeyboardInterrupt:
            typer.echo("interrupted; nothing half-written was left behind.", err=True)
            code = INTERRUPTED
        raise typer.Exit(code)

    return app.command(function.__name__, cls=_Command)(verb)


@_verb
def check(
    evidence: Annotated[
        str,
        typer.Argument(help="A folder, or a table of your own; the shipped base if left out."),
    ] = "nmda",
    reference: Annotated[str, typer.Option(help="The agent at dose 0.")] = "placebo",
    format: Format = None,
    say: Say = None,
) -> int:
    """Validate evidence: every fault at once, with file, row, column and the mend.

    nmda-bayes check

    nmda-bayes check my_trials.csv

    nmda-bayes check pairs.xlsx --format netmeta
    """
    from nmda_bayes.evidence import network_faults, summarise
    from nmda_bayes.evidence.load import load_as_said
    from nmda_bayes.evidence.notes import evidence_notes
    from nmda_bayes.evidence.readers import said
    from nmda_bayes.evidence.telling import how_read, reference_found

    words = said(say or (), format)
    loaded = load_as_said(evidence, words)
    if loaded.attrs.get("format", "flat") != "flat":
        # The packages name no reference in a table; where the table shows one, it is that.
        reference = reference_found(loaded, None, reference)[0] or reference
    reference = words.reference or reference
    typer.echo(summarise(loaded, reference).text)
    for line in how_read(loaded):
        typer.echo(line)
    for note in evidence_notes(loaded):
        typer.echo(f"note: {note}")
    faults = network_faults(loaded, reference)
    if loaded.attrs["kind"] == "base" or loaded.attrs["format"].startswith("revman"):
        # A base keeps every trial that was found, and a review every analysis; a spec chooses among
        # them, and is held to what it chose. Another table is meant to be fitted whole.
        for fault in faults:
            typer.echo(f"note: {fault}")
    elif faults:
        raise EvidenceError(faults)
    typer.echo("No fault.")
    return DONE


@_verb
def show(
    spec: Annotated[
        str | None,
        typer.Argument(help="A spec (TOML), or the name of a shipped one; none: the evidence."),
    ] = None,
    evidence: Evidence = None,
    format: Format = None,
    say: Say = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Without a spec: a new or empty folder for figures and tables."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Without a spec: print long tables whole.")
    ] = False,
) -> int:
    """Print what a spec means and will see; or, with --evidence alone, what evidence there is.

    nmda-bayes show benefit_risk

    nmda-bayes show --evidence

    nmda-bayes show --evidence my_trials.csv --out figures
    """
    if spec is None and evidence is not None:
        return _show_evidence(evidence, out, whole, (format, say))
    if spec is None or out is not None or whole:
        what = "there is nothing to show" if spec is None else "--out and --all go without a spec"
        mend = "Name a spec, or give --evidence (with --out or --all, if you like) and no spec."
        raise InputError([Fault(what, mend)])
    from nmda_bayes.report.show import show_text

    typer.echo(show_text(*spec_and_evidence(spec, evidence, format, say)))
    return DONE


@_verb
def fit(
    out: Out,
    spec: AnySpec = None,
    evidence: Evidence = None,
    format: Format = None,
    say: Say = None,
) -> int:
    """Fit a spec: writes fit.nc, summary.csv, diagnostics.csv and manifest.json.

    nmda-bayes fit my_spec.toml --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, (format, say))


@_verb
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that fit or run wrote.")],
) -> int:
    """Write report.html, one self-contained page, beside a stored fit.

    nmda-bayes report results
    """
    from nmda_bayes.checks import check as check_fit
    from nmda_bayes.inference import read_fit
    from nmda_bayes.report import write_report

    stored = read_fit(folder)
    with _stage("writing the report"):
        path = write_report(folder / "report.html", stored)
    typer.echo(f"report: {path}")
    return DONE if check_fit(stored).passed else REFUSED


@_verb
def run(
    out: Out,
    spec: AnySpec = None,
    evidence: Evidence = None,
    format: Format = None,
    say: Say = None,
) -> int:
    """Check the evidence, fit, and report.

    nmda-bayes run benefit_risk --out results

    nmda-bayes run --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, (format, say), report=True)


@_verb
def regimens(
    folder: Annotated[Path, typer.Argument(help="A folder that fit or run wrote.")],
    schedules: Annotated[
        list[str], typer.Argument(help='Each in quotes: "0.5 mg/kg over 40 min".')
    ],
    agent: Annotated[str, typer.Option(help="What is given.")],
    condition: Annotated[
        str | None, typer.Option(help="To whom; may be left out where the fit has one.")
    ] = None,
    route: Annotated[str, typer.Option(help="Of the doses.")] = "iv",
) -> int:
    """Answer what regimens do, by a stored fit on axes of concentration.

    nmda-bayes regimens DIR "0.5 mg/kg over 40 min" "0.5 mg/kg over 4 h" --agent ketamine
    """
    from nmda_bayes.estimands import regimen_response, regimen_words
    from nmda_bayes.inference import read_fit

    answer = regimen_response(
        read_fit(folder), schedules, agent=agent, condition=condition, route=route
    )
    typer.echo(regimen_words(answer))
    return DONE


@_verb
def sensitivity(
    spec: Annotated[
        str, typer.Argument(help="A sensitivity analysis (TOML), or the name of a shipped one.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="A folder for the results; run again, it goes on.")
    ],
    evidence: Evidence = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine; this one alone if left out.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler's address, tcp://host:port, instead.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A variant's name; * stands for anything.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and count the variants, and stop.")
    ] = False,
) -> int:
    """Run variants of an analysis: other priors, trials, curves, choices; one table, one page.

    nmda-bayes sensitivity sensitivity --out what_if --workers 2

    nmda-bayes sensitivity my.toml --out what_if --only sceptical_prior --only 'without *'
    """
    from nmda_bayes.evidence.shipped import shipped_folder
    from nmda_bayes.sensitivity.plan import base_of, read_plan

    models = shipped_folder("models")
    shipped = models / f"{Path(spec).name.removesuffix('.toml')}.toml"
    path = shipped if not Path(spec).exists() and shipped.exists() else Path(spec)
    read, loaded = spec_and_evidence(str(base_of(path, models)), evidence)
    plan = read_plan(path, loaded, read)
    plan = plan.only(tuple(only)) if only else plan
    from nmda_bayes.report.variants_folder import fill_folder, said_before

    typer.echo(said_before(plan, loaded, out, workers), err=not dry_run)
    if dry_run:
        return DONE
    found, believed = fill_folder(plan, loaded, out, workers=workers, scheduler=scheduler)
    typer.echo(f"report: {found}")
    return DONE if believed else REFUSED


@_verb
def simulate(
    spec: Spec,
    out: Out,
    evidence: Evidence = None,
    seed: Annotated[int | None, typer.Option(help="The spec's own seed if left out.")] = None,
) -> int:
    """Draw evidence from a spec's prior: writes evidence.csv, spec.toml and truth.csv.

    nmda-bayes simulate benefit_risk --out made_up
    """
    from nmda_bayes.simulate import simulate as draw
    from nmda_bayes.simulate import truth_table

    read, loaded = spec_and_evidence(spec, evidence)
    with new_folder(out):
        table, truth, reading = draw(read, loaded, seed=seed)
    table.to_csv(out / "evidence.csv", index=False)
    truth_table(truth).to_csv(out / "truth.csv", index=False)
    write_spec(reading, out / "spec.toml")
    typer.echo(f"synthetic evidence: {out}; fit it with: nmda-bayes fit {out}/spec.toml --out ...")
    return DONE


def _show_evidence(
    evidence: Path,
    out: Path | None,
    whole: bool,
    said_of_it: tuple[str | None, list[str] | None],
) -> int:
    """Print what evidence there is, and write its figures and tables where that is asked for."""
    from nmda_bayes.evidence.load import load_as_said
    from nmda_bayes.evidence.overview import describe
    from nmda_bayes.evidence.readers import said
    from nmda_bayes.evidence.telling import reference_found

    format, say = said_of_it
    words = said(say or (), format)
    loaded = load_as_said(str(evidence), words)
    reference = words.reference or reference_found(loaded, None, "placebo")[0] or "placebo"
    typer.echo(describe(loaded, reference, whole=whole))
    if out is not None:
        from nmda_bayes.figures.evidence_folder import write_evidence_folder

        with new_folder(out), _stage("drawing"):
            written = write_evidence_folder(out, loaded, reference)
        typer.echo(f"\n{len(written)} files: {out}")
    return DONE


def _fit(
    spec: str | None,
    evidence: Path | None,
    out: Path,
    words: tuple[str | None, list[str] | None] = (None, None),
    *,
    report: bool = False,
) -> int:
    read, loaded = spec_and_evidence(spec, evidence, *words)
    generic = read.choices.get("spec")
    if generic:
        typer.echo(f"spec: {generic} It stands in {out / 'spec.toml'}: look at it.")
    from nmda_bayes.checks import check as check_fit
    from nmda_bayes.inference import fit as fit_spec
    from nmda_bayes.inference import write_fit
    from nmda_bayes.report import write_report

    with new_folder(out), _stage(f"compiling and sampling: {read.title}"):
        result = fit_spec(read, loaded, progress=sys.stderr.isatty())
    write_fit(result, out / "fit.nc")
    if generic:
        write_spec(read, out / "spec.toml")
    with _stage("checking"):
        checks = check_fit(result)
    write_tables(spec, result, checks, out)
    if report:
        with _stage("writing the report"):
            path = write_report(out / "report.html", result)
        typer.echo(f"report: {path}")
    typer.echo(f"fit: {out / 'fit.nc'}")
    rows = result["design/left_out"].sizes["row"]
    if rows:
        typer.echo(f"{rows} rows of the evidence did not enter; show and the report say why.")
    if checks.passed:
        return DONE
    typer.echo("REFUSED: the diagnostics do not vouch for these draws:", err=True)
    for failed in checks.gate[~checks.gate["passed"]].itertuples():
        typer.echo(
            f"  {failed.check} {failed.value:.4g} (limit {failed.threshold:g}) at {failed.where}",
            err=True,
        )
    return REFUSED


@contextmanager
def _stage(what: str) -> Iterator[None]:
    """Say what is going on, on standard error, before it takes its time."""
    typer.echo(f"{what} ...", err=True)
    yield


if __name__ == "__main__":
    main()
