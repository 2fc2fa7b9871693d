"""The design: which rows of the evidence a spec sees, and which it leaves out and why."""

from nmda_bayes.design.build import ARMS, LABELS, LEFT_OUT, OUTCOMES, build_design
from nmda_bayes.design.choose import AS_ARM, AS_CONTRAST, AS_RESPONDERS, BORROWED
from nmda_bayes.design.cutoffs import LEVEL, levels_of
from nmda_bayes.design.forms import Form, forms_of
from nmda_bayes.design.margins import silent_trials
from nmda_bayes.design.study_columns import coefficient, covariates_of

__all__ = [
    "ARMS",
    "AS_ARM",
    "AS_CONTRAST",
    "AS_RESPONDERS",
    "BORROWED",
    "Form",
    "LABELS",
    "LEVEL",
    "LEFT_OUT",
    "OUTCOMES",
    "build_design",
    "coefficient",
    "covariates_of",
    "forms_of",
    "levels_of",
    "silent_trials",
]
