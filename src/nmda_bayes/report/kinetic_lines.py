"""By which published models doses become concentrations, as plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design import AS_CONTRAST, OUTCOMES
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of_design
from nmda_bayes.pharmacokinetics.parameter import log_sd
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.prior import PriorSpec


def kinetic_lines(spec: AnalysisSpec, design: xr.DataTree) -> Iterator[str]:
    """Write the models, the errors of their parameters, and what was assumed of which arm.

    Parameters
    ----------
    spec
        The analysis.
    design
        Its design.

    Yields
    ------
    str
        Lines; none where no outcome stands on an axis of concentration.
    """
    asking = [name for name, part in spec.outcomes.items() if EXPOSURES[part.exposure].of]
    kinetics = kinetics_of_design(spec, design)
    if kinetics is None or not asking:
        return
    yield from ("Concentrations", "--------------")
    if kinetics.spec.why:
        yield f"  # {kinetics.spec.why}"
    yield f"  a body of {kinetics.weight:g} kg; parameters {kinetics.spec.uncertainty}"
    for agent, routes in kinetics.spec.model.items():
        one = " by ".join(reversed(kinetics.reference(agent)))
        for route, name in routes.items():
            model = kinetics.published[name]
            said = f"; 1 is {one}" if one.strip(" by") else ""
            blood = model.specimen or "specimen not read"
            yield f"  {agent} ({route} route): {name}, {blood}{said}"
    if kinetics.spec.uncertainty == "published":
        for name in kinetics.used:
            model = kinetics.published[name].of_the_drug()
            spreads = {s: log_sd(p, "typical") for (_, s), p in model.parameters.items()}
            varied = [f"{s} {spread:.2g}" for s, spread in spreads.items() if spread]
            yield (
                f"  {name}: log-normal, log SD {', '.join(varied)}"
                if varied
                else (f"  {name}: no standard error is published; its parameters are held")
            )
    yield from _site_lines(spec, kinetics)
    for name in asking:
        arms = design[f"{OUTCOMES}/{name}"].to_dataset()
        notes = np.array([str(note) for note in arms["dose_note"].to_numpy()], dtype=object)
        for note in dict.fromkeys(n for n in notes if n not in ("", "nan")):
            count = int((notes == note).sum())
            yield f"  {name}: {count} arm{'s' if count > 1 else ''}: {note}"
        if nominal := nominal_line(kinetics, arms):
            yield f"  {name}: {nominal}"
    yield ""


def nominal_line(kinetics: Kinetics, arms: xr.Dataset) -> str:
    """Say which arms keep the published exposures where kinetic parameters have priors.

    Parameters
    ----------
    kinetics
        The models.
    arms
        An outcome's design.

    Returns
    -------
    str
        One sentence; empty where there is no such arm, or no parameter has a prior.
    """
    sites = [h for site in kinetics.spec.effect_site.values() for h in site.values()]
    learned = kinetics.spec.uncertainty == "published" or any(
        isinstance(half_life, PriorSpec) for half_life in sites
    )
    given = arms["exposure"].to_numpy().astype(float) > 0
    count = int((given & (arms["report"].to_numpy() == AS_CONTRAST)).sum())
    if not learned or not count:
        return ""
    whose = "1 arm of a printed difference keeps its" if count == 1 else (
        f"{count} arms of printed differences keep their"
    )  # fmt: skip
    return f"{whose} exposure at the published values: the errors of the kinetics do not reach it"


def _site_lines(spec: AnalysisSpec, kinetics: Kinetics) -> Iterator[str]:
    """Write how fast each outcome's effect site follows blood."""
    for name, site in kinetics.spec.effect_site.items():
        for drug, half_life in site.items():
            at = f"  effect site of {spec.outcomes[name].label or name}, {drug}: half-life"
            if not isinstance(half_life, PriorSpec):
                yield f"{at} {half_life:g} h, held"
                continue
            middle, spread = math.exp(half_life.kwargs["mu"]), half_life.kwargs["sigma"]
            why = f"  # {half_life.why}" if half_life.why else ""
            yield f"{at} log-normal around {middle:.3g} h, log SD {spread:.2g}{why}"
