"""What a spec may write short: published priors by name, and one entry for a list of parameters.

Both are written out before anything is checked, so that the rules, the graph, the report and the
stored spec see priors with their numbers and parameters one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.time import COURSES
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
    for catalogue, key, default in ((CURVES, "curve", ""), (COURSES, "course", "constant")):
        part = catalogue.get(str(outcome.get(key, default)))
        options = outcome.get(f"{key}_options", {})
        if part is None or not part.numbered or not isinstance(parameters, Mapping):
            continue
        if isinstance(options, Mapping) and not any(part.option_faults(options)):
            parameters = _members(part.numbered, part.given(options).parameters, parameters)
    return {**outcome, "parameters": parameters} if parameters is not None else outcome


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
