"""Damaged inputs by seed; each must be accepted, or refused with located errors, within seconds."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nmda_bayes.errors import InputError

SECONDS = 10.0
#: Cells, words and lines that have gone wrong somewhere.
HOSTILE = (
    "", " ", "=1+1", "'=x", "@a", "-", "--5", "inf", "-inf", "nan", "-999", "1e309", "1e-320", "0",
    "9" * 5000, "5 mg**9**9**9", "2**99", "\x00", "\x1b[31m", "\x1b]0;x\x07", "'", '"', '""', "é",
    "\u202e", "\u200b", "\ufeff", "\uff11\uff12", "\u0661\u0662", "1,5", "1.402,5", "1 204", "NA",
    "NR", "NaN", "None", "true", "<script>", "../../etc/passwd", "/etc/passwd", "a" * 3000, "0x10",
    "1_000", "\u00bd", "\u221e", "1/0", "50 %", "<0.001", "3-7", "12.0000000000001", "-0",
    "0.1.2", "1e5", "\\", "\t", "\n", "\r", ";", ",", "[", "]", "{", "}", "[" * 3000, "a." * 3000,
    "mg/", "/mg", "mg\x00", "if", "import os", "__class__", "{0.__class__}", "%s%n", "$(id)",
    "`id`",
)  # fmt: skip


class HangError(BaseException):
    """An input that takes too long."""


@contextmanager
def alarm(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `HangError` after some seconds."""

    def ring(number: int, frame: Any) -> None:
        raise HangError

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def outcome_of(call: Callable[[], object]) -> str:
    """How an input ends: accepted, refused, or a description of what must not happen."""
    try:
        with alarm():
            call()
    except InputError as error:
        incomplete = [issue for issue in error.issues if not (issue.code and issue.message)]
        return f"an issue without words: {incomplete}" if incomplete else "refused"
    except HangError:
        return f"no answer within {SECONDS:g} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "accepted"


def assert_all_handled(
    make: Callable[[np.random.Generator], tuple[object, Callable[[], object]]],
    seed: int,
    count: int,
) -> Counter[str]:
    """Try inputs by number; those that are neither accepted nor refused are listed together."""
    ends: Counter[str] = Counter()
    wrong = []
    for number in range(count):
        shown, call = make(np.random.default_rng([seed, number]))
        end = outcome_of(call)
        ends[end if end in ("accepted", "refused") else "wrong"] += 1
        if end not in ("accepted", "refused"):
            wrong.append(f"{number}: {end}\n    {str(shown)[:600]!r}")
    print(f"{count} inputs: {dict(ends)}")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:40])
    return ends


def pick(rng: np.random.Generator, options: Any) -> Any:
    """One of some options."""
    return options[int(rng.integers(len(options)))]


def mutated_text(rng: np.random.Generator, text: str) -> str:
    """A text with one to three changes of its letters, words or lines."""
    for _ in range(int(rng.integers(1, 4))):
        lines = text.split("\n")
        at, line = int(rng.integers(len(lines))), int(rng.integers(len(lines)))
        position = int(rng.integers(len(text) + 1))
        change = int(rng.integers(8))
        if change == 0:
            text = text[:position] + pick(rng, HOSTILE) + text[position:]
        elif change == 1:
            text = text[:position] + text[position + int(rng.integers(1, 6)) :]
        elif change == 2:
            lines.insert(at, lines[line])
            text = "\n".join(lines)
        elif change == 3:
            del lines[at]
            text = "\n".join(lines)
        elif change == 4:
            lines[at] = pick(rng, HOSTILE)
            text = "\n".join(lines)
        elif change == 5:
            text = text[:position]
        elif change == 6:
            text = text[:position] + chr(int(rng.integers(1, 0x2FF))) + text[position + 1 :]
        else:
            lines[at], lines[line] = lines[line], lines[at]
            text = "\n".join(lines)
    return text


def mutated_value(rng: np.random.Generator, line: str) -> str:
    """A line of TOML with another value."""
    key, equals, _ = line.partition("=")
    values = (
        *HOSTILE,
        "inf",
        "nan",
        "-1",
        "1e400",
        "[]",
        "{}",
        "true",
        '"x"',
        "1979-05-27",
        "[[1]]",
    )
    value = pick(rng, values)
    return f"{key}{equals} {value}" if equals else line


def mutated_toml(rng: np.random.Generator, text: str) -> str:
    """A TOML text with other values, or changed as any text."""
    if rng.random() < 0.5:
        return mutated_text(rng, text)
    lines = text.split("\n")
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(len(lines)))
        lines[at] = mutated_value(rng, lines[at])
    return "\n".join(lines)


def flipped(rng: np.random.Generator, content: bytes) -> bytes:
    """Bytes with a few bits flipped, cut short, or with a part overwritten."""
    changed = bytearray(content or b"\n")
    kind = int(rng.integers(3))
    if kind == 0:
        for position in rng.integers(0, len(changed), int(rng.integers(1, 5))):
            changed[position] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del changed[int(rng.integers(len(changed))) :]
    else:
        start = int(rng.integers(len(changed)))
        changed[start : start + 64] = rng.bytes(64)
    return bytes(changed)
