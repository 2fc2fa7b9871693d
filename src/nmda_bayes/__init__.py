"""Bayesian evidence synthesis of NMDA-receptor antagonists: benefit and harm, together, over dose.

The whole workflow::

    import nmda_bayes as nb

    evidence = nb.load_evidence()
    spec = nb.AnalysisSpec.from_toml("models/benefit_risk.toml")
    fit = nb.fit(spec, evidence)
    nb.check(fit)
    nb.write_report("report.html", fit)

Names are imported when they are first used: PyMC takes seconds to import, and looking at the
evidence does not need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmda_bayes.checks import (
        Checks,
        averaged,
        check,
        stack,
        study_density,
        study_elpd,
        study_influence,
    )
    from nmda_bayes.errors import EvidenceError, Fault, FitError, InputError, SpecError
    from nmda_bayes.estimands import (
        contrasts,
        deviance_table,
        dose_response,
        effect_over_time,
        effective_dose,
        effects_with_bias,
        hours_of_relief,
        inconsistency,
        league_frame,
        league_table,
        network_parts,
        node_splits,
        node_splitting,
        number_needed,
        pooling_report,
        pooling_words,
        ranks,
        regimen_over_time,
        regimen_response,
        regimen_table,
        regimen_window,
        regimen_words,
        residual_deviance,
        share_left,
        split,
        study_effects,
        therapeutic_window,
        unrelated_means,
    )
    from nmda_bayes.evidence import (
        certainty,
        dose_coverage,
        evidence_cells,
        evidence_map,
        load_evidence,
        network,
        study_table,
        table,
        write_evidence,
    )
    from nmda_bayes.figures import (
        plot_benefit_risk,
        plot_bias,
        plot_concentration,
        plot_curve,
        plot_curves,
        plot_dose_coverage,
        plot_dose_response,
        plot_evidence_map,
        plot_forest,
        plot_league,
        plot_left_out,
        plot_network,
        plot_node_splits,
        plot_over_time,
        plot_predictive_check,
        plot_prior_posterior,
        plot_ranks,
        plot_regimen_window,
        plot_side_by_side,
        plot_specification_curve,
        plot_stack,
        plot_tornado,
        plot_two_choices,
        plot_window,
    )
    from nmda_bayes.inference import fit, meta_analysis, read_fit, write_fit
    from nmda_bayes.intervals import interval
    from nmda_bayes.model import build_model
    from nmda_bayes.pharmacokinetics import (
        arm_exposures,
        concentration,
        draw_parameters,
        exposures,
        published_model,
    )
    from nmda_bayes.published_priors import prior_library
    from nmda_bayes.regimens import Regimen, parse_regimen
    from nmda_bayes.report import write_report
    from nmda_bayes.sensitivity import compare, fit_variants, one_cell
    from nmda_bayes.simulate import simulate
    from nmda_bayes.spec import AnalysisSpec

_HOMES = {
    "checks": (
        "Checks",
        "averaged",
        "check",
        "stack",
        "study_density",
        "study_elpd",
        "study_influence",
    ),
    "errors": ("EvidenceError", "Fault", "FitError", "InputError", "SpecError"),
    "estimands": (
        "contrasts",
        "deviance_table",
        "dose_response",
        "effect_over_time",
        "effective_dose",
        "effects_with_bias",
        "hours_of_relief",
        "inconsistency",
        "league_frame",
        "league_table",
        "network_parts",
        "node_splits",
        "node_splitting",
        "number_needed",
        "pooling_report",
        "pooling_words",
        "ranks",
        "regimen_over_time",
        "regimen_response",
        "regimen_table",
        "regimen_window",
        "regimen_words",
        "residual_deviance",
        "share_left",
        "split",
        "study_effects",
        "therapeutic_window",
        "unrelated_means",
    ),
    "evidence": (
        "certainty",
        "dose_coverage",
        "evidence_cells",
        "evidence_map",
        "load_evidence",
        "network",
        "study_table",
        "table",
        "write_evidence",
    ),
    "figures": (
        "plot_benefit_risk",
        "plot_bias",
        "plot_concentration",
        "plot_curve",
        "plot_curves",
        "plot_dose_coverage",
        "plot_dose_response",
        "plot_evidence_map",
        "plot_forest",
        "plot_league",
        "plot_left_out",
        "plot_network",
        "plot_node_splits",
        "plot_over_time",
        "plot_predictive_check",
        "plot_prior_posterior",
        "plot_ranks",
        "plot_regimen_window",
        "plot_side_by_side",
        "plot_specification_curve",
        "plot_tornado",
        "plot_two_choices",
        "plot_stack",
        "plot_window",
    ),
    "inference": ("fit", "meta_analysis", "read_fit", "write_fit"),
    "intervals": ("interval",),
    "model": ("build_model",),
    "pharmacokinetics": (
        "arm_exposures",
        "concentration",
        "draw_parameters",
        "exposures",
        "published_model",
    ),
    "published_priors": ("prior_library",),
    "regimens": ("Regimen", "parse_regimen"),
    "report": ("write_report",),
    "sensitivity": ("compare", "fit_variants", "one_cell"),
    "simulate": ("simulate",),
    "spec": ("AnalysisSpec",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AnalysisSpec",
    "Checks",
    "EvidenceError",
    "Fault",
    "FitError",
    "InputError",
    "Regimen",
    "SpecError",
    "arm_exposures",
    "averaged",
    "build_model",
    "certainty",
    "check",
    "compare",
    "concentration",
    "contrasts",
    "deviance_table",
    "dose_coverage",
    "dose_response",
    "draw_parameters",
    "effect_over_time",
    "effective_dose",
    "effects_with_bias",
    "evidence_cells",
    "evidence_map",
    "exposures",
    "fit",
    "fit_variants",
    "hours_of_relief",
    "inconsistency",
    "interval",
    "league_frame",
    "league_table",
    "load_evidence",
    "meta_analysis",
    "network",
    "network_parts",
    "node_splits",
    "node_splitting",
    "number_needed",
    "one_cell",
    "parse_regimen",
    "plot_benefit_risk",
    "plot_bias",
    "plot_concentration",
    "plot_curve",
    "plot_curves",
    "plot_dose_coverage",
    "plot_dose_response",
    "plot_evidence_map",
    "plot_forest",
    "plot_league",
    "plot_left_out",
    "plot_network",
    "plot_node_splits",
    "plot_over_time",
    "plot_predictive_check",
    "plot_prior_posterior",
    "plot_ranks",
    "plot_regimen_window",
    "plot_side_by_side",
    "plot_specification_curve",
    "plot_stack",
    "plot_tornado",
    "plot_two_choices",
    "plot_window",
    "pooling_report",
    "pooling_words",
    "prior_library",
    "published_model",
    "ranks",
    "read_fit",
    "regimen_over_time",
    "regimen_response",
    "regimen_table",
    "regimen_window",
    "regimen_words",
    "residual_deviance",
    "share_left",
    "simulate",
    "split",
    "stack",
    "study_density",
    "study_effects",
    "study_elpd",
    "study_influence",
    "study_table",
    "table",
    "therapeutic_window",
    "unrelated_means",
    "write_evidence",
    "write_fit",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nmda_bayes' has no attribute '{name}'")
    return getattr(importlib.import_module(f"nmda_bayes.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
