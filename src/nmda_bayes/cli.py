"""The command line: one verb, one library call.

Nothing heavy is imported before a verb needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from nmda_bayes import arguments as given
from nmda_bayes.asked import spec_and_evidence
from nmda_bayes.errors import EvidenceError, Fault, InputError
from nmda_bayes.results_folder import new_folder, write_spec, write_tables
from nmda_bayes.verbs import DONE, REFUSED, app, stage, verb


def main() -> None:
    """Run the command line."""
    app()


@verb
def check(
    evidence: given.Table = "nmda",
    reference: given.Reference = "placebo",
    format: given.Format = None,
    say: given.Say = None,
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


@verb
def show(
    spec: given.SpecOrEvidence = None,
    evidence: given.Evidence = None,
    format: given.Format = None,
    say: given.Say = None,
    out: given.Figures = None,
    whole: given.Whole = False,
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


@verb
def fit(
    out: given.Out,
    spec: given.AnySpec = None,
    evidence: given.Evidence = None,
    format: given.Format = None,
    say: given.Say = None,
) -> int:
    """Fit a spec: writes fit.nc, summary.csv, diagnostics.csv and manifest.json.

    nmda-bayes fit my_spec.toml --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, (format, say))


@verb
def report(
    folder: given.Folder,
) -> int:
    """Write report.html, one self-contained page, beside a stored fit.

    nmda-bayes report results

    A sensitivity analysis in results/sensitivity has a section of its own there.
    """
    from nmda_bayes.checks import check as check_fit
    from nmda_bayes.inference import read_fit
    from nmda_bayes.report.page import write_report
    from nmda_bayes.report.variants_folder import beside

    stored = read_fit(folder)
    with stage("writing the report"):
        checks = check_fit(stored)
        path = write_report(folder / "report.html", stored, beside(folder), checks)
    typer.echo(f"report: {path}")
    return DONE if checks.passed else REFUSED


@verb
def run(
    out: given.Out,
    spec: given.AnySpec = None,
    evidence: given.Evidence = None,
    format: given.Format = None,
    say: given.Say = None,
) -> int:
    """Check the evidence, fit, and report.

    nmda-bayes run benefit_risk --out results

    nmda-bayes run --evidence my_trials.csv --out results
    """
    return _fit(spec, evidence, out, (format, say), report=True)


@verb
def regimens(
    folder: given.Folder,
    schedules: given.Schedules,
    agent: given.Agent,
    condition: given.Condition = None,
    route: given.Route = "iv",
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


@verb
def sensitivity(
    spec: given.Variants,
    out: given.Resumed,
    evidence: given.Evidence = None,
    workers: given.Workers = None,
    scheduler: given.Scheduler = None,
    only: given.Only = None,
    dry_run: given.DryRun = False,
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


@verb
def simulate(
    spec: given.Spec,
    out: given.Out,
    evidence: given.Evidence = None,
    seed: given.Seed = None,
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

        with new_folder(out), stage("drawing"):
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

    with new_folder(out), stage(f"compiling and sampling: {read.title}"):
        result = fit_spec(read, loaded, progress=sys.stderr.isatty())
    write_fit(result, out / "fit.nc")
    if generic:
        write_spec(read, out / "spec.toml")
    with stage("checking"):
        checks = check_fit(result)
    write_tables(spec, result, checks, out)
    if report:
        from nmda_bayes.report.page import write_report  # matplotlib, which a fit needs not

        with stage("writing the report"):
            path = write_report(out / "report.html", result, checks=checks)
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


if __name__ == "__main__":
    main()
