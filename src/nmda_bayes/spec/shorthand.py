"""What a spec may write short: published priors by name, and one entry for a list of parameters.

Both are written out before anything is checked, so that the rules, the graph, the report and the
stored spec see priors with their numbers and parameters one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nmda_bayes.components.curves import CURVES, Curve
from nmda_bayes.components.time import COURSES, Course
from nmda_bayes.published_priors import library_faults, prior_library

NAMES = ("library", "outcome", "comparison")


def written_out(content: Any) -> Any:
    """Write out every shorthand of a spec.

    Parameters
    ----------
    content
        A spec as plain content; what is not understood is left for the checks to name.

    Returns
    -------
    Any
        The same content, longer.
    """
    if not isinstance(content, Mapping):
        return content
    content = _resolved(content)
    outcomes = content.get("outcomes")
    if not isinstance(outcomes, Mapping):
        return content
    return {**content, "outcomes": {name: _numbered(one) for name, one in outcomes.items()}}


def with_library(prior: Any) -> Any:
    """Fill in the numbers of a prior that names a library.

    Parameters
    ----------
    prior
        A prior as a spec writes it.

    Returns
    -------
    Any
        With ``dist`` and ``kwargs``, and the citation in ``why``; as it was where it names no
        library, a name is unknown, or its numbers are written already.
    """
    if not isinstance(prior, Mapping) or "dist" in prior or "kwargs" in prior:
        return prior
    library, outcome, comparison = (prior.get(name, "") for name in NAMES)
    if not all(isinstance(word, str) for word in (library, outcome, comparison)) or not library:
        return prior
    if any(library_faults(library, outcome, comparison)):
        return prior
    found = prior_library(library, outcome=outcome, comparison=comparison)
    own = prior.get("why", "")
    why = f"{own} {found['why']}" if isinstance(own, str) and own else found["why"]
    return {**prior, **found, "why": why}


def _resolved(content: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        key: _resolved(value) if isinstance(value, Mapping) else value
        for key, value in content.items()
    }
    return dict(with_library(found)) if "library" in found else found


def _numbered(outcome: Any) -> Any:
    """Give every member of a list, a curve's or a course's, the entry under the list's own name."""
    if not isinstance(outcome, Mapping):
        return outcome
    parameters = outcome.get("parameters")
    if not isinstance(parameters, Mapping):
        return outcome
    curves = outcome.get("curves")
    of_agents = list(curves.values()) if isinstance(curves, Mapping) else []
    lists: dict[str, list[str]] = {}
    asked: list[tuple[Course | Curve | None, Any]] = [
        (COURSES.get(str(outcome.get("course", "constant"))), outcome.get("course_options"))
    ]
    for one in (outcome, *of_agents):
        if isinstance(one, Mapping):
            asked.append((CURVES.get(str(one.get("curve"))), one.get("curve_options")))
    for part, given in asked:
        options = {} if given is None else given
        if part is None or not part.numbered or not isinstance(options, Mapping):
            continue
        if not any(part.option_faults(options)):
            lists.setdefault(part.numbered, []).extend(part.given(options).parameters)
    for numbered, names in lists.items():
        parameters = _members(numbered, list(dict.fromkeys(names)), parameters)
    return {**outcome, "parameters": parameters}


def _members(
    numbered: str, names: Sequence[str], parameters: Mapping[str, Any]
) -> Mapping[str, Any]:
    members = [n.removeprefix(numbered) for n in names if n.startswith(f"{numbered}_")]
    written = dict(parameters)
    for short in {numbered, numbered.removeprefix("log_")}:
        if short in written:
            entry = written.pop(short)
            written = {short + number: entry for number in members} | written
    return written
