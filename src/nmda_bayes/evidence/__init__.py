"""Evidence: trials as labelled tables, checked, traceable, and never used twice.

The floor below every model. It reads the shipped base, a folder of tables, or one flat table of
your own, and hands out an `xarray.DataTree`; it fits nothing and imports no sampler.
"""

from nmda_bayes.evidence.certainty import certainty
from nmda_bayes.evidence.comparisons import review_analysis
from nmda_bayes.evidence.load import load_evidence
from nmda_bayes.evidence.map import evidence_cells, evidence_map
from nmda_bayes.evidence.network import connected_parts, network, network_faults
from nmda_bayes.evidence.schemas import dictionary
from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.evidence.study_list import study_table
from nmda_bayes.evidence.summary import Summary, summarise
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tested_doses import dose_coverage
from nmda_bayes.evidence.tree import table
from nmda_bayes.evidence.write import write_evidence

__all__ = [
    "TABLES",
    "Summary",
    "certainty",
    "connected_parts",
    "dictionary",
    "dose_coverage",
    "evidence_cells",
    "evidence_map",
    "load_evidence",
    "network",
    "network_faults",
    "review_analysis",
    "shipped_folder",
    "study_table",
    "summarise",
    "table",
    "write_evidence",
]
