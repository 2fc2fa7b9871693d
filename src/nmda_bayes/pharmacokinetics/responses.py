"""From the parameters of a model to the response of each analyte to a unit dose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmda_bayes.pharmacokinetics.exponentials import (
    Mammillary,
    Terms,
    area,
    convolved,
    first_order,
    mammillary,
    scaled,
    two_transits,
)
from nmda_bayes.pharmacokinetics.inputs import Train, read
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.parameter import SITE_HALF_LIFE
from nmda_bayes.pharmacokinetics.structure import MOLAR_MASS, Path, Symbols

Values = Mapping[str, Symbols]


@dataclass(frozen=True, slots=True)
class Passage:
    """One way from a dose to the concentration of one analyte.

    Attributes
    ----------
    path
        How the dose enters.
    terms
        Concentration (mg/L) after 1 mg on that way, as a sum of exponentials.
    symbols
        Parameters of the parent.
    """

    path: Path
    terms: Terms
    symbols: Symbols

    def fed(self, train: Train, xp: Any = np) -> Train:
        """Say what this way gets of a train of doses.

        Parameters
        ----------
        train
            In mg.
        xp
            numpy, or `pytensor.tensor`.

        Returns
        -------
        Train
            After the lag, over the time of release, in mg that come through.
        """
        path, p = self.path, self.symbols
        amount = _share_of(path, p, train.amount, xp) * train.amount
        start = train.start + p[path.lag] if path.lag else train.start
        hours = xp.maximum(p[path.hours], train.hours) if path.hours else train.hours
        return Train(start, hours, amount, train.n, train.interval)


def _share_of(path: Path, p: Symbols, amount: Any, xp: Any = np) -> Any:
    """Share of a dose that goes this way; of several regimens' doses, each its own."""
    if np.ndim(amount) == 0:
        return path.share(p, float(amount))
    shares = [path.share(p, float(mg)) for mg in np.ravel(amount)]
    if all(np.ndim(share) == 0 for share in shares):
        return xp.reshape(xp.stack(shares), np.shape(amount))
    return np.concatenate([np.broadcast_to(s, np.broadcast_shapes((1, 1), np.shape(s)))
                           for s in shares], axis=-2)  # fmt: skip


def passages(
    model: PharmacokineticModel, values: Values, route: str, xp: Any = np
) -> dict[str, tuple[Passage, ...]]:
    """Give every way from a dose by some route to each analyte.

    Parameters
    ----------
    model
        The model.
    values
        As `PharmacokineticModel.values` gives them; numbers, arrays or variables of a graph.
    route
        Route of the dose.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    dict
        Analyte to passages.

    Raises
    ------
    InputError
        If the model has no parameters for the route.
    """
    paths, p = model.paths(route), values[model.analyte]
    parent = mammillary(*disposition(p), xp)
    of = {name: disposition(values[name]) for name in model.analytes[1:]}
    systems = {name: mammillary(*parts, xp) for name, parts in of.items()}
    found: dict[str, list[Passage]] = {name: [] for name in model.analytes}
    for path in paths:
        enter = first_order(p[path.rate]) if path.rate else None
        into = len(parent.volumes) - 1 if path.liver else 0
        seen = {model.analyte: _after(enter, parent.response(into), xp)}
        for metabolite in () if path.parent_only else model.structure.metabolites:
            source = metabolite.source or model.analyte
            flow = (
                scaled(seen[source], of[source][2][0])
                if metabolite.source
                else _eliminated(p, parent, enter, into, path, xp)
            )
            mass = MOLAR_MASS[metabolite.analyte] / MOLAR_MASS[source] if metabolite.molar else 1.0
            flow = scaled(flow, metabolite.fraction(p) * mass)
            if metabolite.transit:
                delay = values[metabolite.analyte][metabolite.transit]
                flow = convolved(flow, two_transits(delay), xp)
            system = systems[metabolite.analyte]
            seen[metabolite.analyte] = convolved(flow, system.response(), xp)
        if SITE_HALF_LIFE in p:
            site = first_order(math.log(2.0) / p[SITE_HALF_LIFE])
            seen[model.analyte] = convolved(seen[model.analyte], site, xp)
        for name, terms in seen.items():
            found[name].append(Passage(path, terms, p))
    return {name: tuple(ways) for name, ways in found.items() if ways}


def _after(enter: Terms | None, terms: Terms, xp: Any) -> Terms:
    return terms if enter is None else convolved(enter, terms, xp)


def _eliminated(
    p: Symbols, parent: Mammillary, enter: Terms | None, into: int, path: Path, xp: Any
) -> Terms:
    """Flow of the parent out of the body, from the liver's compartment where there is one."""
    place = len(parent.volumes) - 1 if "V_hepatic" in p else 0
    flow = _after(enter, parent.response(into, place), xp)
    flow = scaled(flow, disposition(p)[2][place])
    if path.first_pass is None or enter is None:
        return flow
    # Per milligram that comes through, as all responses of a path are.
    return (*flow, *scaled(enter, path.first_pass(p) / path.share(p, 0.0)))


def disposition(p: Symbols) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
    """Read volumes, flows and clearances out of symbols.

    Parameters
    ----------
    p
        Symbols of one analyte: volumes with clearances, or a volume with rate constants; or a
        liver, with its own volume or in balance with plasma.

    Returns
    -------
    tuple
        Volumes, the central one first; flows to the others; clearances of each.
    """
    if "k10" in p:
        others = [j for j in "23" if f"k1{j}" in p]
        volumes = [p["V1"], *(p["V1"] * p[f"k1{j}"] / p[f"k{j}1"] for j in others)]
        flows = [p["V1"] * p[f"k1{j}"] for j in others]
        central = p["V1"] * p["k10"]
    else:
        others = [j for j in "23" if f"V{j}" in p]
        volumes = [p["V1"], *(p[f"V{j}"] for j in others)]
        flows = [p[f"Q{j}"] for j in others]
        central = _clearance(p)
    clearances = [central, *(0.0 for _ in others)]
    if "V_hepatic" in p:
        volumes.append(p["V_hepatic"])
        flows.append(p["Q_hepatic"])
        clearances.append((p["kel"] + p["kmet"]) * p["V_hepatic"])
    return tuple(volumes), tuple(flows), tuple(clearances)


def _clearance(p: Symbols) -> Any:
    """Clearance out of the central compartment; 0 where the liver is a compartment of its own."""
    if "CL" in p:
        return p["CL"]
    if "V_hepatic" in p:
        return 0.0
    enzymes = sum(value for symbol, value in p.items() if symbol.startswith("CL_"))
    if "Q1_hepatic" in p:
        return p["Q1_hepatic"] * enzymes / (p["Q1_hepatic"] + enzymes)
    return enzymes


def side_by_side_terms(ways: Sequence[Passage], xp: Any = np) -> tuple[Passage, ...]:
    """Put the terms of each response side by side, so that one evaluation serves all.

    In a graph every term and every train is a copy of the formula otherwise: with a copy each, the
    primary analysis did not compile within five minutes.

    Parameters
    ----------
    ways
        Whose parameters are single numbers or variables.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    tuple of Passage
        With one term, over a last axis that whoever evaluates it adds up.
    """
    return tuple(
        Passage(
            way.path,
            (
                (
                    _row([weight for weight, _ in way.terms], xp),
                    _row([rate for _, rate in way.terms], xp),
                ),
            ),
            way.symbols,
        )
        for way in ways
    )


def _row(parts: Sequence[Any], xp: Any) -> Any:
    """Put numbers along a last axis; arrays of draws are brought to one shape first."""
    return xp.stack(np.broadcast_arrays(*parts) if xp is np else parts, axis=-1)


def superposed(ways: Sequence[Passage], given: Sequence[Train], times: Any, xp: Any = np) -> Any:
    """Add up the concentrations that every dose leaves on every way.

    Parameters
    ----------
    ways
        Of one analyte.
    given
        Trains of doses, mg.
    times
        Hours since the first administration.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    Any
        mg/L, of the shape that parameters, regimens and times have together.
    """
    total: Any = 0.0
    for way in ways:
        for train in given:
            clock = read(way.fed(train, xp), times, xp)
            held = sum(weight * clock.left(rate, xp) for weight, rate in way.terms)
            total = total + clock.amount * held
    return total


def area_until(ways: Sequence[Passage], given: Sequence[Train], times: Any, xp: Any = np) -> Any:
    """Integrate the concentration from the first administration on.

    What a pool has passed on is what went in less what is left, so that the area needs no grid.

    Parameters
    ----------
    ways
        Of one analyte.
    given
        Trains of doses, mg.
    times
        Hours.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    Any
        mg h/L.
    """
    total: Any = 0.0
    for way in ways:
        for train in given:
            clock = read(way.fed(train, xp), times, xp)
            went_in = clock.given(xp)
            passed = sum(w / rate * (went_in - clock.left(rate, xp)) for w, rate in way.terms)
            total = total + clock.amount * passed
    return total


def whole_area(ways: Sequence[Passage], given: Sequence[Train]) -> Any:
    """Integrate the concentration to infinity.

    Parameters
    ----------
    ways
        Of one analyte.
    given
        Trains of doses, mg; their times do not matter.

    Returns
    -------
    Any
        mg h/L.
    """
    return sum(
        _share_of(way.path, way.symbols, train.amount) * train.amount * train.n * area(way.terms)
        for way in ways
        for train in given
    )
