"""The report: tables, and one self-contained page."""
