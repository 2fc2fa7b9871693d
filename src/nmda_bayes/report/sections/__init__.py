"""The sections of a report, registered by importing every module of this folder."""

from __future__ import annotations

import importlib
import pkgutil

from nmda_bayes.report.blocks import SECTIONS

__all__ = ["SECTIONS"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
