"""Bayesian evidence synthesis of NMDA-receptor antagonists: benefit and harm, together, over dose.

The whole workflow::

    import nmda_bayes as nb

    evidence = nb.load_evidence()
    spec = nb.AnalysisSpec.from_toml("models/benefit_risk.toml")
    fit = nb.fit(spec, evidence)
    nb.diagnose(fit)
    nb.write_report("report.html", fit)

Names and submodules are imported on first use, because PyMC takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import Any

#: The public names by group and module. `__all__`, the imports on first use, docs/api.md and
#: `__init__.pyi` (what type checkers and editors see) are made from this table: python docs/api.py.
PUBLIC_API: dict[str, dict[str, tuple[str, ...]]] = {
    "Evidence": {
        "evidence": (
            "load_evidence",
            "to_frame",
            "write_evidence",
            "study_characteristics",
            "evidence_map",
            "evidence_network",
            "dose_coverage",
            "grade_certainty",
        ),
    },
    "Regimens and pharmacokinetics": {
        "regimens": ("parse_regimen", "Regimen"),
        "pk": ("published_pk_model", "predict_concentrations", "summarise_exposure"),
    },
    "Models and fits": {
        "spec": ("AnalysisSpec",),
        "prior_library": ("published_prior",),
        "model": ("build_model",),
        "inference": ("fit", "read_fit", "write_fit"),
        "simulate": ("simulate_evidence",),
    },
    "Diagnostics": {
        "checks": (
            "diagnose",
            "Diagnostics",
            "study_density",
            "study_elpd",
            "study_influence",
            "stacking_weights",
            "model_average",
        ),
    },
    "Dose, benefit and risk": {
        "estimands": (
            "dose_response",
            "effective_dose",
            "number_needed",
            "therapeutic_window",
            "compare_agents",
        ),
        "intervals": ("credible_interval",),
    },
    "Time and regimens": {
        "estimands": (
            "effect_over_time",
            "risk_over_time",
            "remaining_effect",
            "effect_duration",
            "regimen_response",
            "regimen_over_time",
            "regimen_window",
            "response_at_concentration",
            "describe_regimens",
        ),
    },
    "Trials and networks": {
        "estimands": (
            "study_effects",
            "residual_deviance",
            "shrinkage_by_cell",
            "bias_adjusted_effects",
            "outlier_probabilities",
            "league_table",
            "rank_agents",
            "compare_direct_indirect",
        ),
    },
    "Sensitivity analysis": {"sensitivity": ("fit_variants", "compare_variants", "select_cell")},
    "Figures": {
        "figures": (
            "plot_dose_response",
            "plot_benefit_risk",
            "plot_therapeutic_window",
            "plot_forest",
            "plot_effect_over_time",
            "plot_effect_over_dose_and_time",
            "plot_regimens_over_time",
            "plot_concentration",
            "plot_concentration_response",
            "plot_league",
            "plot_ranks",
            "plot_node_splits",
            "plot_network",
            "plot_evidence_map",
            "plot_dose_coverage",
            "plot_prior_posterior",
            "plot_predictive_check",
            "plot_specification_curve",
            "plot_curve_catalogue",
        ),
    },
    "Report": {"report.page": ("write_report",)},
    "Errors": {"errors": ("Issue", "InputError", "EvidenceError", "SpecError", "FitError")},
}
#: Submodules with further public names.
SUBMODULES = ("checks", "estimands", "evidence", "figures", "pk", "sensitivity")
_MODULE_OF = {
    name: module
    for modules in PUBLIC_API.values()
    for module, names in modules.items()
    for name in names
}
__all__ = [*_MODULE_OF, *SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in SUBMODULES:
        return importlib.import_module(f"nmda_bayes.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nmda_bayes' has no attribute '{name}'")
    return getattr(importlib.import_module(f"nmda_bayes.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
