"""Results folders: locked, never overwritten, usable again after a run that was killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from nmda_bayes import artifacts, results_folder
from nmda_bayes.errors import InputError
from nmda_bayes.results_folder import (
    ResultsFolder,
    create_output_folder,
    resume_output_folder,
    save_fit,
)
from nmda_bayes.terminal import exit_code
from tests.support.issues import issues_when

#: A run that writes a file, starts another one and is killed.
KILLED = """
import os, sys
from pathlib import Path
from nmda_bayes import results_folder
with results_folder.create_output_folder(Path(sys.argv[1])) as folder:
    folder.write("fit.nc", "draws")
    (folder.path / ".fit.nc.00.partial").write_text("half")
    os._exit(9)
"""
#: A run that prints when it has the folder, and then waits for a signal.
WAITING = """
import signal, sys, time
from pathlib import Path
from nmda_bayes.results_folder import create_output_folder
from nmda_bayes.terminal import exit_code
# A shell that runs the tests in the background has the interrupt ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
def work():
    with create_output_folder(Path(sys.argv[1])) as folder:
        if len(sys.argv) > 2:
            folder.write("fit.nc", "draws")
        print("working", flush=True)
        time.sleep(20)
sys.exit(exit_code(work))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_run_leaves_only_its_files(tmp_path: Path):
    with create_output_folder(tmp_path / "out") as folder:
        folder.write("a.txt", "a")
        folder.write("a.txt", "b")
        assert names(folder.path) == [artifacts.MARKER, "a.txt"]
    assert names(tmp_path / "out") == ["a.txt"]
    (issue,) = issues_when(lambda: enter(tmp_path / "out"), InputError)
    assert (issue.code, issue.file) == ("E900", str(tmp_path / "out"))
    assert "a.txt" in issue.message


def enter(out: Path) -> None:
    with create_output_folder(out):
        pass


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    run = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert run.returncode == 9
    assert names(out) == [".fit.nc.00.partial", artifacts.MARKER, "fit.nc"]
    return out


def test_a_killed_run_can_be_repeated(killed: Path):
    with create_output_folder(killed) as folder:
        assert (killed / "fit.nc").read_text() == "draws"  # until there are other draws
        folder.write("summary.csv", "x")
        assert names(killed) == [artifacts.MARKER, "summary.csv"]
    assert names(killed) == ["summary.csv"]


def test_a_second_run_that_fails_early_keeps_the_draws_of_a_killed_one(killed: Path):
    with pytest.raises(ZeroDivisionError) as caught, create_output_folder(killed):
        raise ZeroDivisionError
    assert (killed / "fit.nc").read_text() == "draws"
    assert artifacts.MARKER in names(killed)
    assert "nmda-bayes report" in caught.value.__notes__[0]


@pytest.mark.parametrize("change", ["edited", "added"])
def test_files_of_the_user_are_kept_after_a_killed_run(killed: Path, change: str):
    (killed / ("fit.nc" if change == "edited" else "notes.txt")).write_text("of the user")
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    (issue,) = issues_when(lambda: enter(killed), InputError)
    assert issue.code == "E900"
    after = {path.name: path.read_bytes() for path in killed.iterdir()}
    assert {**after, artifacts.MARKER: b""} == {**before, artifacts.MARKER: b""}


def test_a_file_made_during_the_run_is_kept(tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(FileExistsError), create_output_folder(out) as folder:
        (out / "report.html").write_text("of the user")
        folder.write("report.html", "ours")
    assert (out / "report.html").read_text() == "of the user"


def test_two_runs_cannot_share_a_folder(tmp_path: Path):
    for first in (create_output_folder, resume_output_folder):
        with first(tmp_path / "out"):
            for second in (create_output_folder, resume_output_folder):
                (issue,) = issues_when(
                    lambda second=second: second(tmp_path / "out").__enter__(), InputError
                )
                assert issue.code == "E915"


def test_a_failed_run_leaves_no_folder(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), create_output_folder(tmp_path / "out"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("written", [False, True], ids=["nothing written", "a fit written"])
def test_signals(tmp_path: Path, number: int, code: int, written: bool):
    out = tmp_path / "out"
    command = [sys.executable, "-c", WAITING, str(out), *(["fit"] if written else [])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        assert run.stdout.readline() == "working\n"
        (issue,) = issues_when(lambda: enter(out), InputError)
        assert issue.code == "E915"
        assert str(run.pid) in issue.message
        run.send_signal(number)
        printed = run.stderr.read()
    assert run.returncode == code
    assert "Traceback" not in printed
    if written:
        assert names(out) == [artifacts.MARKER, "fit.nc"]
        assert "fit.nc" in printed
    else:
        assert not out.exists()
        assert "No files were written" in printed
    enter(out)


def test_draws_that_cannot_be_written_are_saved_elsewhere(
    quick_fit: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(results_folder.tempfile, "tempdir", str(tmp_path))

    def fail(self: ResultsFolder, name: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(ResultsFolder, "write", fail)

    def write() -> None:
        with create_output_folder(tmp_path / "out") as folder:
            save_fit(folder, quick_fit)

    (issue,) = issues_when(write, InputError)
    (saved,) = tmp_path.glob("nmda-bayes-*/fit.nc")
    assert (issue.code, issue.file) == ("E916", str(tmp_path / "out" / "fit.nc"))
    assert str(saved) in issue.hint
    from nmda_bayes.inference import read_fit

    again = read_fit(saved.parent)
    xr.testing.assert_equal(again["posterior"].to_dataset(), quick_fit["posterior"].to_dataset())


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np; import xarray as xr
from nmda_bayes.results_folder import create_output_folder, save_fit
from nmda_bayes.terminal import exit_code
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
fit = xr.DataTree.from_dict({"posterior": xr.Dataset({"x": ("draw", np.random.rand(100_000))})})
def work():
    with create_output_folder(Path(sys.argv[1])) as folder:
        save_fit(folder, fit)
sys.exit(exit_code(work))
"""


def test_a_limit_on_file_size_is_an_error_not_a_crash(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert run.returncode == 2, run.stderr
    assert "E916" in run.stderr
    assert "ulimit -f" in run.stderr
    assert not list(tmp_path.glob("**/*.nc"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/home/x/.pytensor"), "base_compiledir"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "Free some space"),
        (MemoryError(), "E919"),
        (InputError([results_folder.Issue("E900", "x\x1b[31m\x07", "")]), r"x\x1b[31m\x07"),
    ],
)
def test_errors_of_the_system_have_hints(
    capsys: pytest.CaptureFixture[str], error: Exception, words: str
):
    def work() -> int:
        raise error

    assert exit_code(work) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert "\x1b" not in printed
