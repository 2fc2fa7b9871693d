"""What the user says of a table because its columns do not: ``--say KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from nmda_bayes.errors import EvidenceError, Fault, nearest

DOSE = "dose."


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of a table.

    Attributes
    ----------
    format
        The convention or layout; None to go by the columns.
    groups
        What the first and second group are, in a table of two groups that does not name them.
    scale
        The ends of the scale that means, or differences of means, stand on.
    measure
        What contrasts measure, such as ``log_OR``, ``SMD``, ``MD``.
    reference
        The agent that the others are compared with.
    outcome
        The outcome to analyse.
    better
        ``lower`` or ``higher``: which way of the outcome is better.
    reference_doses
        The dose that an agent's doses are multiples of.
    """

    format: str | None = None
    groups: tuple[str, str] | None = None
    scale: tuple[float, float] | None = None
    measure: str | None = None
    reference: str | None = None
    outcome: str | None = None
    better: str | None = None
    reference_doses: dict[str, float] = field(default_factory=dict)


def _pair(text: str) -> tuple[str, str]:
    one, two = (part.strip() for part in text.split(","))
    if not one or not two:
        raise ValueError
    return one, two


def _ends(text: str) -> tuple[float, float]:
    low, high = map(float, text.split(","))
    if not low < high:
        raise ValueError
    return low, high


def _way(text: str) -> str:
    if text not in ("lower", "higher"):
        raise ValueError
    return text


#: How each key's value is read, and how it is written.
KEYS: dict[str, tuple[Callable[[str], Any], str]] = {
    "groups": (_pair, "groups=vaccine,control"),
    "scale": (_ends, "scale=0,10 (the lower end first)"),
    "measure": (str, "measure=log_OR"),
    "reference": (str, "reference=placebo"),
    "outcome": (str, "outcome=vomiting"),
    "better": (_way, "better=lower or better=higher"),
}


def said(words: Iterable[str], format: str | None = None) -> Said:
    """Read what the user says.

    Parameters
    ----------
    words
        Each ``key=value``; ``dose.AGENT=value`` gives an agent's reference dose.
    format
        The format, which has an option of its own.

    Returns
    -------
    Said
        Of the table.

    Raises
    ------
    EvidenceError
        With every word that is not understood.
    """
    faults, made = [], Said(format=format)
    for word in words:
        key, _, value = (part.strip() for part in word.partition("="))
        if key.startswith(DOSE):
            agent = key.removeprefix(DOSE)
            try:
                dose = float(value)
            except ValueError:
                dose = 0.0
            if dose > 0:
                doses = {**made.reference_doses, agent: dose}
                made = replace(made, reference_doses=doses)
            else:
                faults.append(_unread(word, "Write for instance dose.ketamine=0.5."))
        elif key not in KEYS:
            faults.append(_unread(word, nearest(key, [*KEYS, f"{DOSE}AGENT"])))
        else:
            read, example = KEYS[key]
            try:
                made = replace(made, **{key: read(value)})
            except ValueError:
                faults.append(_unread(word, f"Write for instance {example}."))
    if faults:
        raise EvidenceError(faults)
    return made


def _unread(word: str, mend: str) -> Fault:
    return Fault(f"'{word}' is not understood", mend, "--say")
