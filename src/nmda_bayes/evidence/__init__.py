"""Evidence: trial data as validated, labelled tables with provenance.

`load_evidence` reads the shipped base, a folder of tables, or a user's table into an
`xarray.DataTree`. Nothing here imports a sampler.
"""

from __future__ import annotations

from nmda_bayes.evidence.base import load_evidence, review_analysis
from nmda_bayes.evidence.describe import EvidenceSummary, study_characteristics, summarise_evidence
from nmda_bayes.evidence.doses import dose_coverage
from nmda_bayes.evidence.export import write_evidence
from nmda_bayes.evidence.grade import grade_certainty
from nmda_bayes.evidence.network import (
    connected_components,
    evidence_cells,
    evidence_map,
    evidence_network,
    network_issues,
)
from nmda_bayes.evidence.schema import TABLES, data_dictionary
from nmda_bayes.evidence.tree import to_frame
from nmda_bayes.registry import shipped_folder

__all__ = [
    "TABLES",
    "EvidenceSummary",
    "grade_certainty",
    "connected_components",
    "data_dictionary",
    "dose_coverage",
    "evidence_cells",
    "evidence_map",
    "load_evidence",
    "evidence_network",
    "network_issues",
    "review_analysis",
    "shipped_folder",
    "study_characteristics",
    "summarise_evidence",
    "to_frame",
    "write_evidence",
]
