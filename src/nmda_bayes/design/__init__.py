"""The design: which rows of the evidence a spec sees, and which it leaves out and why."""

from nmda_bayes.design.bias_columns import CONTRAST_SE, JUDGEMENT, WEIGHT
from nmda_bayes.design.build import ARMS, LABELS, LEFT_OUT, OUTCOMES, build_design
from nmda_bayes.design.choose import AS_ARM, AS_CONTRAST, AS_RESPONDERS, BORROWED
from nmda_bayes.design.cutoffs import LEVEL, levels_of
from nmda_bayes.design.decisive import decisive_contrasts
from nmda_bayes.design.error_correlation import ERROR_CORRELATION
from nmda_bayes.design.forms import Form, forms_of
from nmda_bayes.design.margins import silent_trials
from nmda_bayes.design.readings import READING, SAME_ARM, WHOLE_ARM
from nmda_bayes.design.splitting import of_agents, original_agent
from nmda_bayes.design.study_columns import cluster_arms, coefficient, covariates_of

__all__ = [
    "ARMS",
    "AS_ARM",
    "AS_CONTRAST",
    "AS_RESPONDERS",
    "BORROWED",
    "CONTRAST_SE",
    "ERROR_CORRELATION",
    "Form",
    "JUDGEMENT",
    "LABELS",
    "LEVEL",
    "LEFT_OUT",
    "OUTCOMES",
    "READING",
    "SAME_ARM",
    "WHOLE_ARM",
    "WEIGHT",
    "build_design",
    "cluster_arms",
    "coefficient",
    "covariates_of",
    "decisive_contrasts",
    "forms_of",
    "levels_of",
    "of_agents",
    "original_agent",
    "silent_trials",
]
