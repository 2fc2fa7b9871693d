"""Which components are calibrated together: a plan made from the registries.

There are thousands of combinations; we require every pair of components: each curve with each
likelihood, each pooling with each curve and each likelihood, each heterogeneity with all of them.
Pairs suffice as far as components interact only through the linear predictor: a likelihood depends
on eta and not on the curve, a curve on a parameter and not on its pooling. An error that needs
three particular components at once can escape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from itertools import combinations, product, starmap
from typing import Any

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.links import IDENTITY
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.spec import OutcomeSpec, required_parameters
from nmda_bayes.spec.rules import BASELINE

#: Poolings of a baseline, and of a heterogeneity SD; the others are of a parameter of the curve.
AT_BASELINE, AT_HETEROGENEITY = ("study",), ("stratum",)

#: With a log or logit link these give simulated counts above e^100.
GROWING_TAILS = ("exponential", "agent_t")

#: Heterogeneities without times or clusters; the others are among the features.
PLAIN_HETEROGENEITIES = {
    name: kind
    for name, kind in HETEROGENEITIES.items()
    if not kind.follows_course and not kind.nested
}
REGISTRIES: Mapping[str, Mapping[str, Any]] = {
    "curve": CURVES,
    "likelihood": LIKELIHOODS,
    "pooling": POOLINGS,
    "heterogeneity": PLAIN_HETEROGENEITIES,
}

Part = tuple[str, str]
Pair = tuple[Part, Part]


@dataclass(frozen=True, slots=True)
class Combination:
    """One component of each registry."""

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
    """Whether the registries have every component."""
    return all(name in REGISTRIES[kind] for kind, name in combination.parts)


def has_baseline(likelihood: str) -> bool:
    """Whether a likelihood has a baseline per study."""
    outcome = {"curve": "constant", "heterogeneity": "none", "likelihood": likelihood}
    return BASELINE in (required_parameters(OutcomeSpec.read_partially(outcome)) or ())


def can_meet(parts: Iterable[Part]) -> bool:
    """Whether components can occur in one outcome."""
    names = dict(parts)
    likelihood, pooling = names.get("likelihood"), names.get("pooling")
    if pooling in AT_BASELINE and likelihood is not None:
        return has_baseline(likelihood)
    if (names.get("curve"), pooling) == GROWING_TAILS and likelihood is not None:
        return LIKELIHOODS[likelihood].link == IDENTITY
    return not (pooling in AT_HETEROGENEITY and names.get("heterogeneity") == "none")


def required_pairs() -> Iterator[Pair]:
    """Every pair of components that can occur together, in the order of the registries."""
    parts = {kind: [(kind, name) for name in registry] for kind, registry in REGISTRIES.items()}
    for first, second in combinations(parts.values(), 2):
        for pair in product(first, second):
            if can_meet(pair):
                yield pair


def missing_pairs(done: Iterable[Combination]) -> list[Pair]:
    """Pairs that no combination has."""
    seen = {pair for combination in done for pair in combination.pairs}
    return [pair for pair in required_pairs() if pair not in seen]


def plan(done: Iterable[Combination] = ()) -> list[Combination]:
    """Choose combinations that cover every pair, in addition to those that are done.

    Greedy, and so reproducible: the next combination covers the most missing pairs, and among
    equals has the least used components. A new component needs records of its own only.
    """
    done = list(done)
    missing = set(missing_pairs(done))
    used = Counter(part for combination in done for part in combination.parts)
    candidates = [
        c for c in starmap(Combination, product(*REGISTRIES.values())) if can_meet(c.parts)
    ]
    pairs_of = {c: frozenset(c.pairs) for c in candidates}
    gain = {c: len(pairs & missing) for c, pairs in pairs_of.items()}
    chosen = []
    while missing:
        most = max(gain.values())
        equals = [c for c, value in gain.items() if value == most]
        best = min(equals, key=lambda c: sum(used[part] for part in c.parts))
        chosen.append(best)
        used.update(best.parts)
        new = pairs_of[best] & missing
        missing -= new
        gain = {c: value - len(pairs_of[c] & new) for c, value in gain.items() if value}
    return chosen
