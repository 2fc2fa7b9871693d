"""Where the priors of a spec stand, and the same prior wider, narrower or moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.spec import AnalysisSpec

#: The argument that widens a family, and whether it does so as a rate, by its inverse. A family
#: without one (Beta, Gamma by shape) is wider in more than one way, and none is chosen here.
SCALE_OF: Final = {
    ("Normal", "sigma"): 1,
    ("Normal", "tau"): -2,
    ("StudentT", "sigma"): 1,
    ("Cauchy", "beta"): 1,
    ("Laplace", "b"): 1,
    ("TruncatedNormal", "sigma"): 1,
    ("HalfNormal", "sigma"): 1,
    ("HalfStudentT", "sigma"): 1,
    ("HalfCauchy", "beta"): 1,
    ("Exponential", "lam"): -1,
    ("Exponential", "scale"): 1,
    ("LogNormal", "sigma"): 1,
    ("LogStudentT", "sigma"): 1,
}
LOCATION_OF: Final = {"Cauchy": "alpha"}
MOVABLE: Final = (
    *("Normal", "StudentT", "Cauchy", "Laplace", "TruncatedNormal", "LogNormal", "LogStudentT"),
)


@dataclass(frozen=True)
class PriorPlace:
    """One prior of a spec.

    Attributes
    ----------
    outcome, parameter, slot
        Where it stands.
    prior
        Its content.
    """

    outcome: str
    parameter: str
    slot: str
    prior: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Its place, dotted."""
        return f"{self.outcome}.{self.parameter}.{self.slot}"

    def partial(self, prior: Mapping[str, Any]) -> dict[str, Any]:
        """Write a partial spec with another prior in its place.

        Parameters
        ----------
        prior
            A whole prior.

        Returns
        -------
        dict[str, Any]
            Content.
        """
        parameter = {"priors": {self.slot: dict(prior)}}
        return {"outcomes": {self.outcome: {"parameters": {self.parameter: parameter}}}}

    def scaled(self, factor: float) -> dict[str, Any]:
        """Widen the prior.

        Parameters
        ----------
        factor
            Of its scale; below 1 it is narrowed.

        Returns
        -------
        dict[str, Any]
            A prior.

        Raises
        ------
        SpecError
            If the family has not one scale.
        """
        dist, kwargs = str(self.prior["dist"]), dict(self.prior["kwargs"])
        for name in kwargs:
            power = SCALE_OF.get((dist, name))
            if power is not None:
                kwargs[name] = kwargs[name] * factor**power
                return {"dist": dist, "kwargs": kwargs, "why": f"Scale × {factor:g}."}
        raise SpecError([self._fault("has no one scale to change")])

    def moved(self, shift: float) -> dict[str, Any]:
        """Move the prior.

        Parameters
        ----------
        shift
            Added to its location.

        Returns
        -------
        dict[str, Any]
            A prior.

        Raises
        ------
        SpecError
            If the family has no location.
        """
        dist, kwargs = str(self.prior["dist"]), dict(self.prior["kwargs"])
        name = LOCATION_OF.get(dist, "mu")
        if dist not in MOVABLE or name not in kwargs:
            raise SpecError([self._fault("has no location to move")])
        kwargs[name] += shift
        return {"dist": dist, "kwargs": kwargs, "why": f"Location {shift:+g}."}

    def _fault(self, message: str) -> Fault:
        mend = "Write whole priors under prior_choice, or do not name it in 'of'."
        return Fault(
            f"the prior of {self.text}, {self.prior['dist']}, {message}", mend, column="of"
        )


def prior_places(spec: AnalysisSpec, of: Sequence[str]) -> Iterator[PriorPlace]:
    """Find the priors that a file names.

    Parameters
    ----------
    spec
        The base.
    of
        ``outcome.parameter.slot``; ``*`` stands for any part.

    Yields
    ------
    PriorPlace
        Each once, in the spec's order.

    Raises
    ------
    SpecError
        For each name that fits no prior, with the nearest that is there.
    """
    content = spec.model_dump(mode="json", exclude_none=True)
    places = [
        PriorPlace(outcome, parameter, slot, prior)
        for outcome, part in content["outcomes"].items()
        for parameter, given in part["parameters"].items()
        for slot, prior in given["priors"].items()
    ]
    names = [place.text for place in places]
    unknown = [name for name in of if not any(fnmatchcase(text, name) for text in names)]
    if unknown:
        raise SpecError(
            [
                Fault(f"the base has no prior '{name}'", nearest(name, names), column="of")
                for name in unknown
            ]
        )
    for place in places:
        if any(fnmatchcase(place.text, name) for name in of):
            yield place
