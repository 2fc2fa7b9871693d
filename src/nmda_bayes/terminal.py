"""What the command line prints, and how a command ends."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer

from nmda_bayes.artifacts import printable
from nmda_bayes.errors import InputError, Issue

EXIT_DONE, EXIT_BAD_INPUT, EXIT_NOT_CONVERGED = 0, 2, 3
#: A process that a signal ends exits with this number and the signal's.
EXIT_SIGNAL: Final = 128
#: What schedulers and closed terminals send.
ENDING_SIGNALS: Final = ("SIGTERM", "SIGHUP")

#: Hints for errors of the operating system.
HINTS: Final = {
    errno.ENOSPC: "Free some space, or choose another folder.",
    errno.EDQUOT: "Your quota is used up: free some space, or choose another folder.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f).",
    errno.EROFS: "Choose a folder that can be written.",
    errno.EACCES: "Change the permissions, or choose another path.",
}
COMPILE_HINT: Final = (
    "Compiled models are kept there. Choose a folder of yours that can be written:"
    " PYTENSOR_FLAGS=base_compiledir=FOLDER nmda-bayes ..."
)


def echo(text: object = "", *, err: bool = False) -> None:
    """Print text with control characters written as escapes."""
    typer.echo(printable(str(text)), err=err)


class Terminated(KeyboardInterrupt):
    """A signal that ends the process; unwinds like Ctrl-C, so that locks and files are released."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise `Terminated` where a signal would end the process at once."""

    def terminate(number: int, frame: Any) -> None:
        raise Terminated(number)

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for name in ENDING_SIGNALS:
            number = getattr(signal, name, None)
            # A signal that is ignored stays so (nohup).
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                previous[number] = signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def exit_code(work: Callable[[], int]) -> int:
    """Do the work of a command; errors that a user can fix are printed and become its exit code."""
    try:
        with signals_as_exceptions():
            return work()
    except InputError as error:
        for issue in error.issues:
            echo(f"error: {issue}", err=True)
        count = len(error.issues)
        _print_ending(f"{count} error{'' if count == 1 else 's'}.", error)
    except OSError as error:
        echo(f"error: {system_issue(error)}", err=True)
        _print_ending("1 error.", error)
    except MemoryError as error:
        hint = "Use fewer draws or rows, or a computer with more."
        issue = Issue("E919", "the memory is exhausted", hint)
        echo(f"error: {issue}", err=True)
        _print_ending("1 error.", error)
    except Terminated as error:
        _print_ending(f"stopped by {error}.", error)
        return EXIT_SIGNAL + error.number
    except KeyboardInterrupt as error:
        _print_ending("interrupted.", error)
        return EXIT_SIGNAL + signal.SIGINT
    return EXIT_BAD_INPUT


def _print_ending(text: str, error: BaseException) -> None:
    """Print how a command ended, and which files it left (the notes of the exception)."""
    echo(
        " ".join([text, *(getattr(error, "__notes__", None) or ["No files were written."])]),
        err=True,
    )


def system_issue(error: OSError) -> Issue:
    """An error of the operating system as an issue."""
    file = str(error.filename or "")
    hint = HINTS.get(error.errno or 0, "")
    if "pytensor" in file:
        hint = COMPILE_HINT
    return Issue("E918", error.strerror or str(error) or type(error).__name__, hint, file)
