"""The design: the rows of the evidence that enter an analysis, and those excluded with a reason."""

from __future__ import annotations

from nmda_bayes.design.bias_columns import CONTRAST_SE, JUDGEMENT, WEIGHT, publication_contrasts
from nmda_bayes.design.build import (
    ARMS,
    ERROR_CORRELATION,
    EXCLUDED,
    LABELS,
    OUTCOMES,
    build_design,
    uninformative_trials,
)
from nmda_bayes.design.covariates import cluster_arm_labels, coefficient_name, outcome_covariates
from nmda_bayes.design.filters import ARM_REPORT, BORROWED_SD, CONTRAST_REPORT, RESPONDER_REPORT
from nmda_bayes.design.node_split import agent_mask, original_agent
from nmda_bayes.design.select import (
    CUTOFF_COLUMN,
    PARENT_ARM,
    READING,
    SAME_ARM,
    STEPS,
    ObservedVariable,
    n_cutoffs,
    observed_variables,
)

__all__ = [
    "ARMS",
    "ARM_REPORT",
    "BORROWED_SD",
    "CONTRAST_REPORT",
    "CONTRAST_SE",
    "CUTOFF_COLUMN",
    "ERROR_CORRELATION",
    "EXCLUDED",
    "JUDGEMENT",
    "LABELS",
    "OUTCOMES",
    "PARENT_ARM",
    "READING",
    "RESPONDER_REPORT",
    "SAME_ARM",
    "STEPS",
    "WEIGHT",
    "ObservedVariable",
    "agent_mask",
    "build_design",
    "cluster_arm_labels",
    "coefficient_name",
    "n_cutoffs",
    "observed_variables",
    "original_agent",
    "outcome_covariates",
    "publication_contrasts",
    "uninformative_trials",
]
