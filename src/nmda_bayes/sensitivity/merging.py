"""A partial spec laid over a whole one.

Merging is by key. A prior is replaced whole: half of one prior and half of another is none. What is
excluded adds up. Where a variant changes a part (curve, likelihood, heterogeneity, pooling), what
the base gave for the old part and the new one has no use for falls away, and is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec import needed_parameters
from nmda_bayes.spec.rules import natural
from nmda_bayes.spec.shorthand import written_out

#: A mapping with one of these keys is a prior.
OF_A_PRIOR = ("dist", "library")
#: Options belong to the part that they stand beside.
OPTIONS_OF = {"curve": "curve_options", "likelihood": "likelihood_options"}
PARTS = ("curve", "curve_options", "likelihood", "likelihood_options", "heterogeneity")
EXCLUDE = "exclude"


def merged(
    base: Mapping[str, Any], partial: Mapping[str, Any], without: Sequence[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Lay a partial spec over a whole one.

    Parameters
    ----------
    base
        The content of a whole spec.
    partial
        What differs.
    without
        Dotted keys of the base to leave out; `removal_faults` checks them.

    Returns
    -------
    tuple[dict[str, Any], tuple[str, ...]]
        The content, not validated, and the dotted keys of the base that fell away because a changed
        part has no use for them.
    """
    whole = _pruned(base, without)
    content = written_out(laid_over(whole, partial))
    outcomes = content.get("outcomes")
    changed = partial.get("outcomes")
    if not isinstance(outcomes, Mapping) or not isinstance(changed, Mapping):
        return content, ()
    fallen: list[str] = []
    kept = dict(outcomes)
    for name in set(changed) & set(whole.get("outcomes", {})):
        if isinstance(changed[name], Mapping) and isinstance(kept[name], Mapping):
            before = whole["outcomes"][name]
            kept[name], lost = _fitting(kept[name], before, changed[name])
            fallen += [f"outcomes.{name}.{key}" for key in lost]
    return {**content, "outcomes": kept}, tuple(sorted(fallen))


def removal_faults(base: Mapping[str, Any], without: Sequence[str]) -> Iterator[Fault]:
    """Find keys to leave out that the base does not have.

    Parameters
    ----------
    base
        The content of a whole spec.
    without
        Dotted keys.

    Yields
    ------
    Fault
        With the nearest known key of that place.
    """
    for key in without:
        place: Any = base
        for part in key.split("."):
            if not isinstance(place, Mapping) or part not in place:
                known = list(place) if isinstance(place, Mapping) else []
                message = f"the base has no '{key}' to leave out"
                yield Fault(message, nearest(part, known) if known else "", column="without")
                break
            place = place[part]


def leaves(partial: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Name what a partial spec writes.

    Parameters
    ----------
    partial
        The content.
    above
        The dotted key that it stands under.

    Yields
    ------
    str
        The dotted keys of values and of whole priors.
    """
    for key, value in partial.items():
        here = f"{above}.{key}" if above else key
        if isinstance(value, Mapping) and not any(word in value for word in OF_A_PRIOR):
            yield from leaves(value, here)
        else:
            yield here


def laid_over(base: Mapping[str, Any], partial: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Lay one content over another, key by key.

    Parameters
    ----------
    base
        A whole or partial spec's content.
    partial
        What differs.
    at
        The key that both stand under.

    Returns
    -------
    dict[str, Any]
        Both; what changed parts have no use for is still there.
    """
    found = dict(base)
    for key, value in partial.items():
        before = found.get(key)
        if at == EXCLUDE and before is not None:
            found[key] = list(dict.fromkeys([*_as_list(before), *_as_list(value)]))
        elif isinstance(before, Mapping) and _is_part(before) and _is_part(value):
            found[key] = laid_over(before, value, key)
        else:
            found[key] = value
    for part, options in OPTIONS_OF.items():
        if part in partial and partial[part] != base.get(part) and options not in partial:
            found.pop(options, None)
    return found


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(word in value for word in OF_A_PRIOR)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _pruned(base: Mapping[str, Any], without: Sequence[str]) -> dict[str, Any]:
    found = dict(base)
    for key in without:
        head, _, rest = key.partition(".")
        if not rest:
            found.pop(head, None)
        elif isinstance(found.get(head), Mapping):
            found[head] = _pruned(found[head], [rest])
    return found


def _fitting(
    outcome: Mapping[str, Any], before: Mapping[str, Any], changed: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Let go of what the base gave for parts that a variant replaced."""
    given = outcome.get("parameters")
    own = changed.get("parameters")
    own = own if isinstance(own, Mapping) else {}
    if not isinstance(given, Mapping):
        return dict(outcome), []
    parameters, fallen = dict(given), []
    if any(outcome.get(part) != before.get(part) for part in PARTS):
        needed = needed_parameters(outcome)
        wanted = {n for name in needed or () for n in (name, natural(name))}
        for name in [] if needed is None else list(parameters):
            if name not in wanted and name not in own:
                del parameters[name]
                fallen.append(f"parameters.{name}")
    for name, mine in own.items():
        if isinstance(mine, Mapping) and name in parameters and "pooling" in mine:
            parameters[name], lost = _repooled(parameters[name], mine)
            fallen += [f"parameters.{name}.{key}" for key in lost]
    return {**outcome, "parameters": parameters}, fallen


def _repooled(
    parameter: Mapping[str, Any], own: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    pooling, priors = POOLINGS.get(str(parameter.get("pooling"))), parameter.get("priors")
    if pooling is None or not isinstance(priors, Mapping):
        return dict(parameter), []
    written = own.get("priors")
    kept = {*pooling.priors, *pooling.optional, *(written if isinstance(written, Mapping) else ())}
    lost = [slot for slot in priors if slot not in kept]
    found = {**parameter, "priors": {s: p for s, p in priors.items() if s in kept}}
    if not pooling.heavy and "nu" not in own:
        found.pop("nu", None)
    return found, [f"priors.{slot}" for slot in lost]
