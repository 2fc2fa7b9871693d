"""Published priors, by outcome and comparison, as their sources print them.

A heterogeneity prior is of tau, the SD of a contrast between trials, which is `heterogeneity_sd`.
Turner and Rhodes print log tau²: a normal or t distribution of log tau² with location m and scale s
is one of log tau with m / 2 and s / 2.

References
----------
Turner RM, Jackson D, Wei Y, Thompson SG, Higgins JPT (2015). Predictive distributions for
between-study heterogeneity and simple methods for their application in Bayesian meta-analysis.
Statistics in Medicine 34:984-998. Table IV.
Rhodes KM, Turner RM, Higgins JPT (2015). Predictive distributions were developed for the extent of
heterogeneity in meta-analyses of continuous outcome data. Journal of Clinical Epidemiology
68:52-60. Table 3.
Bartoš F, Gronau QF, Timmers B, Otte WM, Ly A, Wagenmakers EJ (2021). Bayesian model-averaged
meta-analysis in medicine. Statistics in Medicine 40:6743-6761. (Standardised mean differences.)
Bartoš F, Otte WM, Gronau QF, Timmers B, Ly A, Wagenmakers EJ (2023). Empirical prior distributions
for Bayesian meta-analyses of binary and time-to-event outcomes. arXiv:2306.11468. (The others.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nmda_bayes.errors import Fault, SpecError, nearest

LOG_OR: Final = "log odds ratios"
LOG_RR: Final = "log risk ratios"
SMD: Final = "standardised mean differences"
RD: Final = "risk differences"

HETEROGENEITY: Final = "heterogeneity"
EFFECT: Final = "effect"

ANY: Final = "any"
DRUG_V_PLACEBO: Final = "drug_v_placebo"
DRUG_V_DRUG: Final = "drug_v_drug"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Library:
    """One source of priors.

    Attributes
    ----------
    name
        What a spec calls it.
    citation
        The source, for a reader.
    quantity
        ``heterogeneity`` or ``effect``: what the priors are of.
    priors
        By outcome and comparison (empty where it makes no difference): family, arguments, and the
        scale that they are on.
    printed
        The distribution as the source prints it, for the reason.
    """

    name: str
    citation: str
    quantity: str
    priors: Mapping[Key, tuple[str, Mapping[str, float], str]]
    printed: Mapping[Key, str]


#: log tau² ~ Normal(mean, sd²), of log odds ratios.
TURNER: dict[Key, tuple[float, float]] = {
    ("all_cause_mortality", DRUG_V_PLACEBO): (-3.95, 1.34),
    ("all_cause_mortality", DRUG_V_DRUG): (-4.18, 1.41),
    ("withdrawal", DRUG_V_PLACEBO): (-2.99, 1.74),
    ("withdrawal", DRUG_V_DRUG): (-3.23, 1.79),
    ("adverse_events", DRUG_V_PLACEBO): (-1.87, 1.52),
    ("adverse_events", DRUG_V_DRUG): (-2.10, 1.58),
    ("pain", DRUG_V_PLACEBO): (-1.83, 1.52),
    ("pain", DRUG_V_DRUG): (-2.06, 1.58),
    ("quality_of_life", DRUG_V_PLACEBO): (-2.54, 1.54),
    ("quality_of_life", DRUG_V_DRUG): (-2.78, 1.60),
    ("mental_health", DRUG_V_PLACEBO): (-2.12, 1.53),
    ("mental_health", DRUG_V_DRUG): (-2.35, 1.60),
    ("subjective", DRUG_V_PLACEBO): (-2.70, 1.52),
    ("subjective", DRUG_V_DRUG): (-2.93, 1.58),
    (ANY, ""): (-2.56, 1.74),
}
#: log tau² ~ t(location, scale) with 5 degrees of freedom, of standardised mean differences.
_GENERAL_PLACEBO, _GENERAL_DRUG = (-3.16, 2.50), (-3.44, 2.44)
RHODES: dict[Key, tuple[float, float]] = {
    ("pain", DRUG_V_PLACEBO): _GENERAL_PLACEBO,
    ("pain", DRUG_V_DRUG): _GENERAL_DRUG,
    ("adverse_events", DRUG_V_PLACEBO): _GENERAL_PLACEBO,
    ("adverse_events", DRUG_V_DRUG): _GENERAL_DRUG,
    ("quality_of_life", DRUG_V_PLACEBO): _GENERAL_PLACEBO,
    ("quality_of_life", DRUG_V_DRUG): _GENERAL_DRUG,
    ("mental_health", DRUG_V_PLACEBO): (-2.99, 2.16),
    ("mental_health", DRUG_V_DRUG): (-3.27, 2.14),
    ("subjective", DRUG_V_PLACEBO): (-2.76, 2.58),
    ("subjective", DRUG_V_DRUG): (-3.03, 2.59),
    (ANY, ""): (-3.44, 2.59),
}


def _turner(mean: float, sd: float) -> tuple[str, Mapping[str, float], str]:
    return "LogNormal", {"mu": mean / 2, "sigma": sd / 2}, LOG_OR


def _rhodes(location: float, scale: float) -> tuple[str, Mapping[str, float], str]:
    return "LogStudentT", {"nu": 5.0, "mu": location / 2, "sigma": scale / 2}, SMD


def _t(nu: float, sigma: float, scale: str) -> tuple[str, Mapping[str, float], str]:
    return "StudentT", {"nu": nu, "mu": 0.0, "sigma": sigma}, scale


def _inverse_gamma(shape: float, rate: float, scale: str) -> tuple[str, Mapping[str, float], str]:
    return "InverseGamma", {"alpha": shape, "beta": rate}, scale


_PAIN_FIELD = (
    "Bartoš et al. 2021 (Statistics in Medicine 40:6743) and 2023 (arXiv:2306.11468), Cochrane"
    " field Pain, Palliative and Supportive Care"
)
LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library(
            "turner_2015",
            "Turner et al. 2015, Statistics in Medicine 34:984-998, Table IV",
            HETEROGENEITY,
            {key: _turner(*numbers) for key, numbers in TURNER.items()},
            {key: f"log tau² ~ Normal({m:g}, {s:g}²)" for key, (m, s) in TURNER.items()},
        ),
        Library(
            "rhodes_2015",
            "Rhodes et al. 2015, Journal of Clinical Epidemiology 68:52-60, Table 3",
            HETEROGENEITY,
            {key: _rhodes(*numbers) for key, numbers in RHODES.items()},
            {key: f"log tau² ~ t5({m:g}, {s:g}²)" for key, (m, s) in RHODES.items()},
        ),
        Library(
            "cochrane_pain_effect",
            _PAIN_FIELD,
            EFFECT,
            {
                ("standardised_mean_difference", ""): _t(5, 0.43, SMD),
                ("log_odds_ratio", ""): _t(7, 1.00, LOG_OR),
                ("log_risk_ratio", ""): _t(5, 0.59, LOG_RR),
                ("risk_difference", ""): _t(2, 0.111, RD),
            },
            {},
        ),
        Library(
            "cochrane_pain_heterogeneity",
            _PAIN_FIELD,
            HETEROGENEITY,
            {
                ("standardised_mean_difference", ""): _inverse_gamma(1.69, 0.42, SMD),
                ("log_odds_ratio", ""): _inverse_gamma(1.50, 0.40, LOG_OR),
                ("log_risk_ratio", ""): _inverse_gamma(1.98, 0.39, LOG_RR),
                ("risk_difference", ""): ("HalfNormal", {"sigma": 0.106}, RD),
            },
            {},
        ),
    )
}


def prior_library(library: str, *, outcome: str, comparison: str = "") -> dict[str, Any]:
    """Look up a published prior.

    Parameters
    ----------
    library
        Its name: turner_2015, rhodes_2015, cochrane_pain_effect, cochrane_pain_heterogeneity.
    outcome
        The kind of outcome, or for the Cochrane field the effect measure.
    comparison
        ``drug_v_placebo`` or ``drug_v_drug``, where the library tells them apart.

    Returns
    -------
    dict[str, Any]
        A prior as a spec writes it: ``dist``, ``kwargs``, ``why`` with the citation and the scale,
        and the names that were looked up.

    Raises
    ------
    SpecError
        If a name is unknown; the nearest is offered.
    """
    faults = list(library_faults(library, outcome, comparison))
    if faults:
        raise SpecError(faults)
    source = LIBRARIES[library]
    dist, kwargs, scale = source.priors[outcome, comparison]
    about = ", ".join(part.replace("_", " ") for part in (outcome, comparison) if part)
    printed = source.printed.get((outcome, comparison), "")
    why = f"{source.citation}: {source.quantity} of {scale}, {about}"
    return {
        "dist": dist,
        "kwargs": dict(kwargs),
        "why": f"{why}; printed as {printed}." if printed else f"{why}.",
        "library": library,
        "outcome": outcome,
        "comparison": comparison,
    }


def library_faults(library: str, outcome: str, comparison: str) -> Iterator[Fault]:
    """Find which name of a published prior is unknown.

    Parameters
    ----------
    library
        The library's name.
    outcome
        The outcome's.
    comparison
        The comparison's.

    Yields
    ------
    Fault
        With the nearest known name.
    """
    if library not in LIBRARIES:
        mend = nearest(library, list(LIBRARIES))
        yield Fault(f"unknown prior library '{library}'", mend, column="library")
        return
    priors = LIBRARIES[library].priors
    outcomes = list(dict.fromkeys(key[0] for key in priors))
    if outcome not in outcomes:
        yield Fault(
            f"{library} has no outcome '{outcome}'", nearest(outcome, outcomes), column="outcome"
        )
        return
    comparisons = [key[1] for key in priors if key[0] == outcome]
    if comparison in comparisons:
        return
    if comparisons == [""]:
        yield Fault(
            f"{library} does not tell comparisons apart for '{outcome}'",
            "Remove comparison.",
            column="comparison",
        )
    else:
        message = f"{library} has no comparison '{comparison}' for '{outcome}'"
        yield Fault(message, nearest(comparison, comparisons), column="comparison")
