"""A verb of the command line: how its faults are told, and with which exit code it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import typer
from typer.core import TyperCommand

from nmda_bayes.errors import InputError
from nmda_bayes.garbage import look_rarely

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


class _Command(TyperCommand):
    """A verb; ``show --evidence`` with nothing behind it means the shipped base."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill in what a bare ``--evidence`` means."""
        if self.name == "show" and "--evidence" in args:
            after = args.index("--evidence") + 1
            if after == len(args) or args[after].startswith("-"):
                args = [*args[:after], "nmda", *args[after:]]
        return super().parse_args(ctx, args)


def verb(function: Callable[..., int]) -> Callable[..., None]:
    """Make a library call a verb: faults are told and become exit codes, not tracebacks.

    Parameters
    ----------
    function
        Does what the verb says, and gives the exit code.

    Returns
    -------
    Callable[..., None]
        The verb of that name, on `app`.
    """

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> None:
        look_rarely()
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

    return app.command(function.__name__, cls=_Command)(told)


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Say what is going on, on standard error, before it takes its time.

    Parameters
    ----------
    what
        In words.

    Yields
    ------
    None
        While it goes on.
    """
    typer.echo(f"{what} ...", err=True)
    yield
