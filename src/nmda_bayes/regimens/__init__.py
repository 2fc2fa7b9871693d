"""Regimens: what was given, how fast and how often, as values with units.

A schedule is written as people say it (``bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h``) and read
into a frozen `Regimen`, which knows its totals, rates and times, and knows what it does not know.
"""

from nmda_bayes.regimens.measures import Measure
from nmda_bayes.regimens.notation import NOTATION, parse_regimen
from nmda_bayes.regimens.parts import Phase, Repetition
from nmda_bayes.regimens.regimen import Course, Event, Regimen

__all__ = [
    "NOTATION",
    "Course",
    "Event",
    "Measure",
    "Phase",
    "Regimen",
    "Repetition",
    "parse_regimen",
]
