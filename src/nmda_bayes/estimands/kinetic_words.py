"""What answers about regimens rest on, in words."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from nmda_bayes.design.kinetics import PUBLISHED, Kinetics
from nmda_bayes.dims import SEPARATOR
from nmda_bayes.estimands.reading import spec_of
from nmda_bayes.intervals import INTERVAL_TEXT, interval
from nmda_bayes.pharmacokinetics.content import content_of
from nmda_bayes.pharmacokinetics.parameter import SITE_HALF_LIFE


def rests_on(fit: xr.DataTree, kinetics: Kinetics, agent: str, route: str) -> str:
    """Say by which model, on what body and with which errors concentrations were worked out.

    Parameters
    ----------
    fit
        A fit.
    kinetics
        The models of its spec.
    agent
        What is given.
    route
        Of the doses.

    Returns
    -------
    str
        A few sentences.
    """
    model = kinetics.model(agent, route)
    assert model is not None  # asked of the spec when the question was put
    posterior = fit["posterior"].to_dataset()
    drawn = [n for n in posterior if str(n).startswith(f"{model.name}{SEPARATOR}")]
    if kinetics.spec.uncertainty != PUBLISHED:
        errors = "its parameters are held at their published values"
    elif drawn:
        errors = "its parameters vary by their published standard errors, as far as the trials"
        errors += " leave them"
    else:
        errors = "no standard error of it is published, so its parameters are held"
    of = model.agent.replace("_", " ")
    share = content_of(agent, model)
    part = f", {share:.3g} of the dose" if share != 1 else ""
    reference, schedule = kinetics.reference(agent)
    one = f" 1 on a relative axis is {schedule} ({reference})." if schedule else ""
    said = (
        f"Concentrations of {of}{part} by {model.name} ({model.population};"
        f" {model.specimen or 'specimen not read'}), a body of {kinetics.weight:g} kg;"
        f" {errors}. They are those of a typical person: the spread between people is not in"
        f" them.{one}"
    )
    return " ".join([said, *_sites(fit, kinetics, agent, route)])


def _sites(fit: xr.DataTree, kinetics: Kinetics, agent: str, route: str) -> Iterator[str]:
    """Say which outcomes follow an effect site, and how fast that follows blood."""
    posterior = fit["posterior"].to_dataset()
    for name, part in spec_of(fit).outcomes.items():
        here = kinetics.of_outcome(name)
        model = here.model(agent, route)
        if not here.outcome or model is None:
            continue
        hours = model.parameters[model.analyte, SITE_HALF_LIFE].value
        value, variable = f"{60 * hours:.3g} min", here.variable(model, SITE_HALF_LIFE)
        if variable in posterior:
            found = 60 * interval(posterior[variable])
            low, mid, high = (float(found[k]) for k in ("lower", "median", "upper"))
            value = f"{mid:.3g} min ({low:.3g} to {high:.3g}, {INTERVAL_TEXT})"
        yield (
            f"{part.label or name} follows the effect site, where half of the difference to blood"
            f" is gone in {value}."
        )
