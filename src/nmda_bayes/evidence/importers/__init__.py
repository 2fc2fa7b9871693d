"""Formats of other packages, converted to flat tables.

A table is read as text, its format is detected by its columns, and its rows are converted to a flat
table, which then passes the checks of flat tables. Errors name the file, row and column of the
user's table.
"""

from __future__ import annotations

from nmda_bayes.evidence.importers import (
    arms,
    dosresmeta,
    effects,
    formats,
    groups,
    revman,
)
from nmda_bayes.evidence.importers.base import (
    DETECTORS,
    FORMATS,
    TableFormat,
    format_names,
    register_format,
)
from nmda_bayes.evidence.importers.options import ImportOptions, parse_options
from nmda_bayes.evidence.importers.user_table import load_table

# The more specific layouts come first.
DETECTORS |= {
    "dosresmeta": dosresmeta.detect_dose_response,
    "meta": groups.detect_groups,
    "effects": effects.detect_effects,
    "arms": arms.detect_arms,
}

__all__ = [
    "FORMATS",
    "ImportOptions",
    "TableFormat",
    "arms",
    "dosresmeta",
    "effects",
    "format_names",
    "formats",
    "groups",
    "load_table",
    "parse_options",
    "register_format",
    "revman",
]
