"""The sections of a report, registered by importing their modules."""

from __future__ import annotations

from nmda_bayes.report.blocks import SECTIONS
from nmda_bayes.report.sections import (  # noqa: F401  (registers the sections)
    certainty,
    clinical,
    effects,
    evidence,
    model,
    sensitivity,
    summary,
)

__all__ = ["SECTIONS"]
