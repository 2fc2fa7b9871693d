"""The sections of the page, one a file, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Callable

from nmda_bayes.report.blocks import Section
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.bias import bias
from nmda_bayes.report.sections.certainty import certainty
from nmda_bayes.report.sections.evidence import evidence
from nmda_bayes.report.sections.exposure import exposure
from nmda_bayes.report.sections.model import model
from nmda_bayes.report.sections.networks import networks
from nmda_bayes.report.sections.over_time import over_time
from nmda_bayes.report.sections.predictive import predictive
from nmda_bayes.report.sections.priors import priors
from nmda_bayes.report.sections.provenance import provenance
from nmda_bayes.report.sections.question import question
from nmda_bayes.report.sections.results import results
from nmda_bayes.report.sections.sensitivity import sensitivity
from nmda_bayes.report.sections.variants import variants
from nmda_bayes.report.sections.verdict import verdict
from nmda_bayes.report.sections.window import window
from nmda_bayes.report.view import View

#: Each gives its section, or None where the analysis has nothing to say there.
SECTIONS: tuple[Callable[[View, Gallery], Section | None], ...] = (
    verdict,
    question,
    evidence,
    exposure,
    model,
    priors,
    results,
    networks,
    over_time,
    bias,
    window,
    sensitivity,
    variants,
    predictive,
    certainty,
    provenance,
)

__all__ = ["SECTIONS"]
