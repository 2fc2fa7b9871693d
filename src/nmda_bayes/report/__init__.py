"""The report: tables, and one self-contained page."""

from nmda_bayes.report.page import render, write_report
from nmda_bayes.report.tables import summary_table

__all__ = ["render", "summary_table", "write_report"]
