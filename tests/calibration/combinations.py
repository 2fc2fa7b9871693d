"""Which parts are calibrated together: a plan made from the catalogues.

The whole product of the catalogues has thousands of members. What is demanded is every pair: each
curve with each likelihood, each pooling with each curve and each likelihood, each heterogeneity
with all of them. Pairs suffice as far as parts meet only through the linear predictor: a
likelihood reads eta and knows no curve, a curve reads a parameter and knows no pooling, so that
what two parts do to each other is there whatever the others are. What pairs cannot show is a fault
that takes three parts at once; that is said in the documents, and each new record is free to bring
its own triple.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from itertools import combinations, product, starmap
from typing import Any

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import IDENTITY, LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.spec import needed_parameters
from nmda_bayes.spec.rules import BASELINE

#: Poolings of a baseline, and of a heterogeneity; the others stand at a parameter of the curve.
AT_BASELINE, AT_HETEROGENEITY = ("study",), ("stratum",)

#: On the logarithm of a rate or of odds these are simulated counts past e^100.
GROWING_TAILS = ("exponential", "agent_t")

#: Heterogeneities that read no hour and no cluster; the others stand among the features.
ANYWHERE = {
    name: kind for name, kind in HETEROGENEITIES.items() if not kind.fades and not kind.nested
}
CATALOGUES: Mapping[str, Mapping[str, Any]] = {
    "curve": CURVES,
    "likelihood": LIKELIHOODS,
    "pooling": POOLINGS,
    "heterogeneity": ANYWHERE,
}

Part = tuple[str, str]
Pair = tuple[Part, Part]


@dataclass(frozen=True, slots=True)
class Combination:
    """One part of each catalogue."""

    curve: str
    likelihood: str
    pooling: str
    heterogeneity: str

    @property
    def name(self) -> str:
        return "-".join(astuple(self))

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple((field.name, getattr(self, field.name)) for field in fields(self))

    @property
    def has_baseline(self) -> bool:
        return has_baseline(self.likelihood)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(combinations(self.parts, 2))


def known(combination: Combination) -> bool:
    """Say whether the catalogues still have every part."""
    return all(name in CATALOGUES[kind] for kind, name in combination.parts)


def has_baseline(likelihood: str) -> bool:
    """Say whether a likelihood asks for the level of a study."""
    outcome = {"curve": "constant", "heterogeneity": "none", "likelihood": likelihood}
    return BASELINE in (needed_parameters(outcome) or ())


def can_meet(parts: Iterable[Part]) -> bool:
    """Say whether parts can stand in one outcome."""
    given = dict(parts)
    likelihood, pooling = given.get("likelihood"), given.get("pooling")
    if pooling in AT_BASELINE and likelihood is not None:
        return has_baseline(likelihood)
    if (given.get("curve"), pooling) == GROWING_TAILS and likelihood is not None:
        return LIKELIHOODS[likelihood].link == IDENTITY
    return not (pooling in AT_HETEROGENEITY and given.get("heterogeneity") == "none")


def wanted_pairs() -> Iterator[Pair]:
    """Give every pair of parts that can meet, in the order of the catalogues."""
    for (one, mine), (other, yours) in combinations(CATALOGUES.items(), 2):
        for pair in product(((one, name) for name in mine), ((other, name) for name in yours)):
            if can_meet(pair):
                yield pair


def missing_pairs(done: Iterable[Combination]) -> list[Pair]:
    """List the pairs that no combination has."""
    seen = {pair for one in done for pair in one.pairs}
    return [pair for pair in wanted_pairs() if pair not in seen]


def plan(done: Iterable[Combination] = ()) -> list[Combination]:
    """Choose combinations until every pair is there, beginning with those that are done.

    Greedy, and so the same for the same catalogues and records: the next combination brings the
    most pairs that are missing, and among equals the parts that were used least. What is done
    stays, so that a new part asks for records of its own and for no other.
    """
    done = list(done)
    missing = set(missing_pairs(done))
    used = Counter(part for one in done for part in one.parts)
    able = [
        one for one in starmap(Combination, product(*CATALOGUES.values())) if can_meet(one.parts)
    ]
    pairs_of = {one: frozenset(one.pairs) for one in able}
    gain = {one: len(pairs & missing) for one, pairs in pairs_of.items()}
    chosen = []
    while missing:
        most = max(gain.values())
        equals = [one for one, value in gain.items() if value == most]
        best = min(equals, key=lambda one: sum(used[part] for part in one.parts))
        chosen.append(best)
        used.update(best.parts)
        new = pairs_of[best] & missing
        missing -= new
        gain = {one: value - len(pairs_of[one] & new) for one, value in gain.items() if value}
    return chosen
