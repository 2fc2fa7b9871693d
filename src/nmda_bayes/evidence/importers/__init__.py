"""Formats of other packages, converted to flat tables.

A table is read as text, its format is detected by its columns, and its rows are converted to a flat
table, which then passes the checks of flat tables. Errors name the file, row and column of the
user's table.
"""

from __future__ import annotations

from nmda_bayes.evidence.importers import formats, revman
from nmda_bayes.evidence.importers.base import FORMATS, TableFormat, format_names, register_format
from nmda_bayes.evidence.importers.user_table import ImportOptions, load_table, parse_options

# registers the formats


__all__ = [
    "FORMATS",
    "ImportOptions",
    "TableFormat",
    "format_names",
    "formats",
    "load_table",
    "parse_options",
    "register_format",
    "revman",
]
