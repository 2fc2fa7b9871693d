"""Tables of multinma: one row an arm, or effects against a row that is the baseline arm.

Phillippo D, R package multinma, ``set_agd_arm`` (study, trt, and ``r, n`` or ``y, se`` or
``r, E``) and ``set_agd_contrast`` (y is NA in each study's baseline arm, whose se is then that of
its own mean). The package's data call the columns ``studyn, studyc, trtn, trtc``.
"""

from __future__ import annotations

from nmda_bayes.evidence.readers.arms import log_rates, long_arms
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.contrasts import against_baseline
from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Reading

ARM = {"study": "study|studyc|studyn|studyID|studlab", "agent": "trt|trtc|trtn"}
EXTRA = {"dose": "dose", "time": "time"}


@reader(
    "multinma/counts",
    "multinma: one row an arm, r of n people with the event",
    needed={**ARM, "r": "r", "n": "n"},
    optional=EXTRA,
)
def counts(table: Foreign) -> Reading:
    """Read counts."""
    return table.reading([long_arms(table, events="r", n="n")])


@reader(
    "multinma/rates",
    "multinma: one row an arm, r events in person-time E",
    needed={**ARM, "r": "r", "exposed": "E"},
    optional=EXTRA,
)
def rates(table: Foreign) -> Reading:
    """Read rates."""
    return table.reading([log_rates(table, long_arms(table), "r", "exposed")])


@reader(
    "multinma/means",
    "multinma: one row an arm, mean y with standard error se",
    needed={**ARM, "y": "y", "se": "se"},
    optional={**EXTRA, "n": "n"},
)
def means(table: Foreign) -> Reading:
    """Read means; y is NA once in every study where the rows are effects instead."""
    study, silent = table.text("study"), table.blank("y")
    if silent.groupby(study).sum().eq(1).mean() > 0.5:
        return table.reading([against_baseline(table, "y", "se")])
    return table.reading([long_arms(table, mean="y", se="se", n="n")])


@reader(
    "multinma/contrasts",
    "multinma: one row an arm, effect diff (or y) against the study's arm that has NA",
    needed={**ARM, "y": "diff|y", "se": "se_diff|se"},
    optional=EXTRA,
)
def contrasts(table: Foreign) -> Reading:
    """Read effects against a baseline arm."""
    return table.reading([against_baseline(table, "y", "se")])
