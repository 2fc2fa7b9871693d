"""What may be written behind the verbs of the command line, each with its words of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Folder = Annotated[Path, typer.Argument(help="A folder that fit or run wrote.")]
Table = Annotated[
    str, typer.Argument(help="A folder, or a table of your own; the shipped base if left out.")
]
Reference = Annotated[str, typer.Option(help="The agent at dose 0.")]
SpecOrEvidence = Annotated[
    str | None,
    typer.Argument(help="A spec (TOML), or the name of a shipped one; none: the evidence."),
]
Figures = Annotated[
    Path | None,
    typer.Option("--out", help="Without a spec: a new or empty folder for figures and tables."),
]
Whole = Annotated[bool, typer.Option("--all", help="Without a spec: print long tables whole.")]

Schedules = Annotated[list[str], typer.Argument(help='Each in quotes: "0.5 mg/kg over 40 min".')]
Agent = Annotated[str, typer.Option(help="What is given.")]
Condition = Annotated[
    str | None, typer.Option(help="To whom; may be left out where the fit has one.")
]
Route = Annotated[str, typer.Option(help="Of the doses.")]

Variants = Annotated[
    str, typer.Argument(help="A sensitivity analysis (TOML), or the name of a shipped one.")
]
Resumed = Annotated[
    Path, typer.Option("--out", help="A folder for the results; run again, it goes on.")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes of this machine; this one alone if left out.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="A Dask scheduler's address, tcp://host:port, instead.")
]
Only = Annotated[list[str] | None, typer.Option(help="A variant's name; * stands for anything.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count the variants, and stop.")]

Seed = Annotated[int | None, typer.Option(help="The spec's own seed if left out.")]
