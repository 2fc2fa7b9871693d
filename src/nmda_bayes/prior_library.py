"""Published priors, by outcome and comparison, as in their sources.

A heterogeneity prior is of tau, the SD of a contrast between trials, which is `heterogeneity_sd`.
Turner and Rhodes report log tau²: a normal or t distribution of log tau² with location m and scale
s is one of log tau with m / 2 and s / 2.

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

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nmda_bayes.errors import Issue, SpecError, suggest_match

LOG_OR: Final = "log odds ratios"
LOG_RR: Final = "log risk ratios"
SMD: Final = "standardised mean differences"
RD: Final = "risk differences"

HETEROGENEITY: Final = "heterogeneity"
EFFECT: Final = "effect"

ANY_COMPARISON: Final = "any"
DRUG_VS_PLACEBO: Final = "drug_vs_placebo"
DRUG_VS_DRUG: Final = "drug_vs_drug"

#: Outcome and comparison; the comparison is empty where a source does not distinguish any.
LibraryKey = tuple[str, str]
#: Distribution, its arguments, and the scale of the effects.
LibraryPrior = tuple[str, Mapping[str, float], str]
#: Location and scale of log tau².
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PriorLibrary:
    """A source of priors; ``source_text`` quotes those that it reports on another scale."""

    name: str
    citation: str
    quantity: str
    priors: Mapping[LibraryKey, LibraryPrior]
    source_text: Mapping[LibraryKey, str]


# log tau² for drug vs placebo, and for drug vs drug.
_TURNER_ANY = (-2.56, 1.74)
_TURNER = {
    "all_cause_mortality": ((-3.95, 1.34), (-4.18, 1.41)),
    "withdrawal": ((-2.99, 1.74), (-3.23, 1.79)),
    "adverse_events": ((-1.87, 1.52), (-2.10, 1.58)),
    "pain": ((-1.83, 1.52), (-2.06, 1.58)),
    "quality_of_life": ((-2.54, 1.54), (-2.78, 1.60)),
    "mental_health": ((-2.12, 1.53), (-2.35, 1.60)),
    "subjective": ((-2.70, 1.52), (-2.93, 1.58)),
}
_RHODES_GENERAL = ((-3.16, 2.50), (-3.44, 2.44))
_RHODES_ANY = (-3.44, 2.59)
_RHODES = {
    "pain": _RHODES_GENERAL,
    "adverse_events": _RHODES_GENERAL,
    "quality_of_life": _RHODES_GENERAL,
    "mental_health": ((-2.99, 2.16), (-3.27, 2.14)),
    "subjective": ((-2.76, 2.58), (-3.03, 2.59)),
}


def _of_log_tau2(
    name: str,
    citation: str,
    any_comparison: Pair,
    by_outcome: Mapping[str, tuple[Pair, Pair]],
    prior: Callable[[float, float], LibraryPrior],
    source_text: str,
) -> PriorLibrary:
    """A library whose source reports log tau²."""
    pairs = {
        (outcome, comparison): pair
        for outcome, both in by_outcome.items()
        for comparison, pair in zip((DRUG_VS_PLACEBO, DRUG_VS_DRUG), both, strict=True)
    } | {(ANY_COMPARISON, ""): any_comparison}
    return PriorLibrary(
        name,
        citation,
        HETEROGENEITY,
        {key: prior(m / 2, s / 2) for key, (m, s) in pairs.items()},
        {key: source_text.format(m, s) for key, (m, s) in pairs.items()},
    )


def _t(nu: float, sigma: float, scale: str) -> LibraryPrior:
    return "StudentT", {"nu": nu, "mu": 0.0, "sigma": sigma}, scale


def _inverse_gamma(shape: float, rate: float, scale: str) -> LibraryPrior:
    return "InverseGamma", {"alpha": shape, "beta": rate}, scale


_PAIN_FIELD = (
    "Bartoš et al. 2021 (Statistics in Medicine 40:6743) and 2023 (arXiv:2306.11468), Cochrane"
    " field Pain, Palliative and Supportive Care"
)
PRIOR_LIBRARIES: dict[str, PriorLibrary] = {
    library.name: library
    for library in (
        _of_log_tau2(
            "turner_2015",
            "Turner et al. 2015, Statistics in Medicine 34:984-998, Table IV",
            _TURNER_ANY,
            _TURNER,
            lambda mu, sigma: ("LogNormal", {"mu": mu, "sigma": sigma}, LOG_OR),
            "log tau² ~ Normal({:g}, {:g}²)",
        ),
        _of_log_tau2(
            "rhodes_2015",
            "Rhodes et al. 2015, Journal of Clinical Epidemiology 68:52-60, Table 3",
            _RHODES_ANY,
            _RHODES,
            lambda mu, sigma: ("LogStudentT", {"nu": 5.0, "mu": mu, "sigma": sigma}, SMD),
            "log tau² ~ t5({:g}, {:g}²)",
        ),
        PriorLibrary(
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
        PriorLibrary(
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


def published_prior(library: str, *, outcome: str, comparison: str = "") -> dict[str, Any]:
    """Look up a published prior.

    Parameters
    ----------
    library
        One of ``turner_2015`` and ``rhodes_2015`` (heterogeneity by outcome and comparison),
        ``cochrane_pain_effect`` and ``cochrane_pain_heterogeneity`` (by scale of the effect).
    outcome
        Kind of outcome, or scale of the effect, as the library calls it.
    comparison
        ``drug_vs_placebo`` or ``drug_vs_drug``; empty where the library does not distinguish them.

    Returns
    -------
    dict
        A prior as a spec writes it: ``dist``, ``kwargs``, ``why`` (with the citation), and the
        arguments. Heterogeneity priors are of the SD of a contrast between trials.

    Raises
    ------
    SpecError
        If the library has no such prior; names the nearest one.

    References
    ----------
    Turner RM et al. (2015). Statistics in Medicine 34:984-998.
    Rhodes KM et al. (2015). Journal of Clinical Epidemiology 68:52-60.
    Bartoš F et al. (2021). Statistics in Medicine 40:6743-6761, and (2023) arXiv:2306.11468.

    Examples
    --------
    >>> prior = nb.published_prior("turner_2015", outcome="pain", comparison="drug_vs_placebo")
    >>> prior["dist"], prior["kwargs"]
    ('LogNormal', {'mu': -0.915, 'sigma': 0.76})
    """
    issues = list(library_issues(library, outcome, comparison))
    if issues:
        raise SpecError(issues)
    source = PRIOR_LIBRARIES[library]
    dist, kwargs, scale = source.priors[outcome, comparison]
    about = ", ".join(part.replace("_", " ") for part in (outcome, comparison) if part)
    reported = source.source_text.get((outcome, comparison), "")
    why = f"{source.citation}: {source.quantity} of {scale}, {about}"
    return {
        "dist": dist,
        "kwargs": dict(kwargs),
        "why": f"{why}; reported as {reported}." if reported else f"{why}.",
        "library": library,
        "outcome": outcome,
        "comparison": comparison,
    }


def library_issues(library: str, outcome: str, comparison: str) -> Iterator[Issue]:
    """Find which name of a published prior is unknown."""
    if library not in PRIOR_LIBRARIES:
        hint = suggest_match(library, list(PRIOR_LIBRARIES))
        yield Issue("E501", f"unknown prior library '{library}'", hint, column="library")
        return
    keys = PRIOR_LIBRARIES[library].priors
    outcomes = list(dict.fromkeys(name for name, _ in keys))
    comparisons = [key[1] for key in keys if key[0] == outcome]
    if not comparisons:
        message, hint = f"{library} has no outcome '{outcome}'", suggest_match(outcome, outcomes)
        yield Issue("E502", message, hint, column="outcome")
    elif comparison not in comparisons and comparisons == [""]:
        message = f"{library} does not distinguish comparisons of '{outcome}'"
        yield Issue("E503", message, "Remove comparison.", column="comparison")
    elif comparison not in comparisons:
        message = f"{library} has no comparison '{comparison}' of '{outcome}'"
        yield Issue("E503", message, suggest_match(comparison, comparisons), column="comparison")
