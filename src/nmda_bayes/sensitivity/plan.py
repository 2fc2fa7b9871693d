"""A sensitivity analysis as a file: the base, variants, generators, and their products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr
from pydantic import ValidationError

from nmda_bayes.errors import Fault, InputError, SpecError, nearest
from nmda_bayes.sensitivity.catalogue import Generator, Ground
from nmda_bayes.sensitivity.designs import Designs
from nmda_bayes.sensitivity.generators import GENERATORS
from nmda_bayes.sensitivity.multiverse import multiverse
from nmda_bayes.sensitivity.toml import content_of, shape_faults
from nmda_bayes.sensitivity.variants import BASE, NAMED, Draft, Variant, as_variants
from nmda_bayes.spec import AnalysisSpec

#: Exposures in multiples of the reference dose have it at 1.
REFERENCE_DOSE, RELATIVE = 1.0, "relative_to_reference"
OF_A_VARIANT = ("why", "without")


@dataclass(frozen=True)
class Plan:
    """What a sensitivity analysis will run.

    Attributes
    ----------
    title
        What the user calls it.
    variants
        By name, the base first; each whole, with the rows that it sees.
    dose
        Where effects are compared, on the exposure axis.
    elpd
        True where it is asked how well whole trials are foretold.
    """

    title: str
    variants: dict[str, Variant]
    dose: float = 1.0
    elpd: bool = False

    @property
    def base(self) -> Variant:
        """What the others differ from."""
        return self.variants[BASE]

    def only(self, names: tuple[str, ...]) -> Plan:
        """Keep some variants; the base stays, for the others are compared with it.

        Parameters
        ----------
        names
            Names, in which ``*`` stands for anything.

        Returns
        -------
        Plan
            The smaller plan.

        Raises
        ------
        SpecError
            For each name that fits no variant.
        """
        known = list(self.variants)
        unknown = [n for n in names if not any(fnmatchcase(one, n) for one in known)]
        if unknown:
            raise SpecError(
                [
                    Fault(f"no variant is called '{n}'", nearest(n, known), column="--only")
                    for n in unknown
                ]
            )
        kept = {
            name: one
            for name, one in self.variants.items()
            if name == BASE or any(fnmatchcase(name, pattern) for pattern in names)
        }
        return replace(self, variants=kept)


def read_plan(path: str | PathLike[str], evidence: xr.DataTree, base: AnalysisSpec) -> Plan:
    """Read a sensitivity analysis from a TOML file.

    Parameters
    ----------
    path
        The file.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    base
        The spec that the file names, as `base_of` finds it.

    Returns
    -------
    Plan
        Every variant whole and checked; nothing has run.

    Raises
    ------
    SpecError
        With every fault of every variant: file, key and mend.
    """
    return plan_of(content_of(path), Designs(base, evidence), file=str(path))


def base_of(path: str | PathLike[str], shipped: Path) -> Path:
    """Find the spec that a sensitivity analysis starts from.

    Parameters
    ----------
    path
        The file of the sensitivity analysis.
    shipped
        The folder of the shipped specs.

    Returns
    -------
    Path
        The base's file: beside the file, or shipped.

    Raises
    ------
    SpecError
        If the file cannot be read or names no base that is there.
    """
    named = content_of(path).get("base")
    beside = Path(path).parent
    if not isinstance(named, str) or not named:
        mend = 'Write base = "benefit_risk", or the path of a spec.'
        raise SpecError([Fault("'base' is missing", mend, str(path), column="base")])
    for place in (beside / named, beside / f"{named}.toml", shipped / f"{named}.toml"):
        if place.is_file():
            return place
    mend = nearest(named, sorted(p.stem for p in shipped.glob("*.toml")))
    raise SpecError([Fault(f"there is no spec '{named}'", mend, str(path), column="base")])


def plan_of(content: Mapping[str, Any], designs: Designs, *, file: str = "") -> Plan:
    """Make a plan of plain content, as TOML gives it.

    Parameters
    ----------
    content
        Nested mappings of plain values.
    designs
        The base, its evidence, and what was built of them before.
    file
        Where the content stands, for messages.

    Returns
    -------
    Plan
        Every variant whole and checked.

    Raises
    ------
    SpecError
        With every fault of every variant.
    """
    faults = [*shape_faults(content), *_dose_faults(content, designs.base)]
    named, more = _named(content)
    faults += more
    base = designs.base
    ground = Ground(base, designs.of(base), designs.evidence)
    groups, more = _generated(content, ground)
    faults += more
    every = [*named.values(), *(draft for group in groups.values() for draft in group)]
    products, more = _products(content, named, groups)
    faults = [replace(fault, file=file) for fault in [*faults, *more]]
    variants: dict[str, Variant] = {}
    try:
        variants = as_variants(designs, [*every, *products], file=file)
    except SpecError as error:
        faults += error.faults
    if faults:
        raise SpecError(faults)
    title = str(content.get("title", f"Sensitivity of: {base.title}"))
    dose = float(content.get("dose", REFERENCE_DOSE))
    return Plan(title, variants, dose, bool(content.get("elpd", False)))


def _dose_faults(content: Mapping[str, Any], base: AnalysisSpec) -> Iterator[Fault]:
    """Ask at which dose effects are compared, where the reference dose is not 1."""
    dosed = [one for one in base.outcomes.values() if one.shape.needs_dose]
    if "dose" not in content and any(RELATIVE not in one.exposure for one in dosed):
        mend = "Write dose = ..., an exposure at which effects are compared."
        yield Fault("the dose is not named, and exposures are no multiples", mend, column="dose")


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key, {})
    return found if isinstance(found, Mapping) else {}


def _named(content: Mapping[str, Any]) -> tuple[dict[str, Draft], list[Fault]]:
    found, faults = {}, []
    for name, part in _table(content, "variants").items():
        key = f"variants.{name}"
        if not isinstance(part, Mapping):
            faults.append(Fault("is not a table", f"Write [{key}].", column=key))
            continue
        why, without = part.get("why", ""), part.get("without", [])
        if not isinstance(why, str) or not why.strip():
            mend = 'Write why = "...": a reader asks.'
            faults.append(Fault("a variant has a reason", mend, column=f"{key}.why"))
        if isinstance(without, str):
            without = [without]
        partial = {k: v for k, v in part.items() if k not in OF_A_VARIANT}
        if not partial and not without:
            faults.append(Fault("differs in nothing", "Write what differs.", column=key))
        words = str(name).replace("_", " ")
        found[str(name)] = Draft(
            str(name), partial, str(why), NAMED, {words: "yes"}, tuple(map(str, without))
        )
    return found, faults


def _generated(
    content: Mapping[str, Any], ground: Ground
) -> tuple[dict[str, list[Draft]], list[Fault]]:
    """Let each generator write its drafts, by the key that it stands under."""
    found: dict[str, list[Draft]] = {}
    faults: list[Fault] = []
    for kind, said in _table(content, "generate").items():
        made = GENERATORS.get(kind)
        if made is None:
            mend = nearest(str(kind), list(GENERATORS))
            key = f"generate.{kind}"
            faults.append(Fault(f"unknown generator '{kind}'", mend, column=key))
            continue
        several = said if isinstance(said, list) else [said]
        for place, one in enumerate(several):
            key = f"generate.{kind}" + (f"[{place}]" if isinstance(said, list) else "")
            try:
                rule = made.model_validate(one)
                found.setdefault(str(kind), []).extend(rule.drafts(ground))
            except ValidationError as error:
                faults += _fields_faults(error, made, key)
            except InputError as error:
                faults += [replace(f, column=f"{key}.{f.column}") for f in error.faults]
    return found, faults


def _fields_faults(error: ValidationError, made: type[Generator], key: str) -> Iterator[Fault]:
    for one in error.errors():
        at = ".".join([key, *(str(part) for part in one["loc"])])
        name = str(one["loc"][0]) if one["loc"] else ""
        if one["type"] == "extra_forbidden":
            yield Fault(f"unknown key '{name}'", nearest(name, list(made.model_fields)), column=at)
        elif one["type"] == "missing":
            yield Fault(f"'{name}' is missing", f"Write {name} = ... {made.about}", column=at)
        else:
            yield Fault(str(one["msg"]), made.about, column=at)


def _products(
    content: Mapping[str, Any], named: Mapping[str, Draft], groups: Mapping[str, list[Draft]]
) -> tuple[list[Draft], list[Fault]]:
    said = _table(content, "multiverse")
    if not said:
        return [], []
    faults = [
        Fault(f"unknown key '{key}'", nearest(str(key), ("of", "why")), column=f"multiverse.{key}")
        for key in said
        if key not in ("of", "why")
    ]
    if not isinstance(said.get("why"), str):
        faults.append(Fault("'why' is missing", "Write why = ...", column="multiverse.why"))
    chosen: list[list[Draft]] = []
    known = [*named, *groups]
    for entry in said.get("of", []):
        words = entry if isinstance(entry, list) else [entry]
        group: list[Draft] = []
        for word in words:
            if word in groups:
                group += groups[word]
            elif word in named:
                group.append(named[word])
            else:
                message = f"'{word}' is neither a variant nor a generator of this file"
                faults.append(Fault(message, nearest(str(word), known), column="multiverse.of"))
        chosen.append(group)
    if len(chosen) < 2:
        mend = 'Write for instance of = ["prior_scale", ["no_crossover", "log_linear"]].'
        faults.append(Fault("a product has two factors or more", mend, column="multiverse.of"))
    drafts, more = multiverse(chosen, str(said.get("why", "")))
    return drafts, [*faults, *more]
