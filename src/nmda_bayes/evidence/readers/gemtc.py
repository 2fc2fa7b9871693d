"""Tables of gemtc: one row an arm, with study and treatment.

van Valkenhoef G, R package gemtc, ``mtc.network``: ``responders, sampleSize``, ``mean, std.dev,
sampleSize``, ``mean, std.err``, ``responders, exposure``; or relative effects ``diff, std.err``,
diff NA in the baseline arm, whose std.err is then that of its own mean.
"""

from __future__ import annotations

from nmda_bayes.evidence.readers.arms import log_rates, long_arms
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.contrasts import against_baseline
from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Reading

ARM = {"study": "study", "agent": "treatment"}
EXTRA = {"dose": "dose"}


@reader(
    "gemtc/counts",
    "gemtc: one row an arm, responders of sampleSize people",
    needed={**ARM, "r": "responders", "n": "sampleSize"},
    optional=EXTRA,
)
def counts(table: Foreign) -> Reading:
    """Read counts."""
    return table.reading([long_arms(table, events="r", n="n")])


@reader(
    "gemtc/means",
    "gemtc: one row an arm, mean with std.dev of sampleSize people",
    needed={**ARM, "mean": "mean", "sd": "std.dev", "n": "sampleSize"},
    optional={**EXTRA, "se": "std.err"},
)
def means(table: Foreign) -> Reading:
    """Read means with their standard deviations."""
    return table.reading([long_arms(table, mean="mean", sd="sd", n="n", se="se")])


@reader(
    "gemtc/means_se",
    "gemtc: one row an arm, mean with std.err",
    needed={**ARM, "mean": "mean", "se": "std.err"},
    optional={**EXTRA, "n": "sampleSize"},
)
def means_se(table: Foreign) -> Reading:
    """Read means with their standard errors."""
    return table.reading([long_arms(table, mean="mean", se="se", n="n")])


@reader(
    "gemtc/rates",
    "gemtc: one row an arm, responders (events) in exposure (person-time)",
    needed={**ARM, "r": "responders", "exposed": "exposure"},
    optional=EXTRA,
)
def rates(table: Foreign) -> Reading:
    """Read rates."""
    return table.reading([log_rates(table, long_arms(table), "r", "exposed")])


@reader(
    "gemtc/contrasts",
    "gemtc: one row an arm, diff with std.err against the study's arm that has NA",
    needed={**ARM, "y": "diff", "se": "std.err"},
    optional=EXTRA,
)
def contrasts(table: Foreign) -> Reading:
    """Read effects against a baseline arm."""
    return table.reading([against_baseline(table, "y", "se")])
