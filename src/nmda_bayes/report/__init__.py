"""Reports: tables, the HTML page of a fit, and the page of a sensitivity analysis."""

from __future__ import annotations
