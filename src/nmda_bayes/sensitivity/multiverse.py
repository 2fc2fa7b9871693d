"""The multiverse: every declared choice with every other, counted before any is run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nmda_bayes.errors import Fault
from nmda_bayes.sensitivity.merging import laid_over, leaves
from nmda_bayes.sensitivity.variants import MULTIVERSE, Draft


def multiverse(groups: Sequence[Sequence[Draft]], why: str) -> tuple[list[Draft], list[Fault]]:
    """Combine choices: the product of groups, in each of which the base is one of the choices.

    Parameters
    ----------
    groups
        Drafts that exclude each other.
    why
        The reason.

    Returns
    -------
    tuple[list[Draft], list[Fault]]
        The combinations of two or more choices (those of one are the drafts themselves), and a
        fault for two groups that write one key. What groups exclude adds up.
    """
    faults: list[Fault] = []
    combined: list[tuple[Draft, ...]] = [()]
    seen: set[str] = set()
    for group in groups:
        mine = {key for draft in group for key in leaves(draft.partial)}
        clash = sorted(key for key in mine & seen if not key.startswith("exclude."))
        if clash:
            message = f"two of them write {clash[0]}, and which of the two holds is not said"
            mend = "Combine choices of different things."
            faults.append(Fault(message, mend, column="multiverse.of"))
        seen |= mine
        combined += [(*one, draft) for one in combined for draft in group]
    return [_joined(one, why) for one in combined if len(one) > 1], faults


def _joined(drafts: Sequence[Draft], why: str) -> Draft:
    partial: dict[str, Any] = {}
    choices: dict[str, str] = {}
    for draft in drafts:
        partial = laid_over(partial, draft.partial)
        choices |= draft.choices or {draft.name: "yes"}
    without = tuple(key for draft in drafts for key in draft.without)
    name = " + ".join(draft.name for draft in drafts)
    return Draft(name, partial, why, MULTIVERSE, choices, without, generated=True)
