"""What a command asks for: an analysis, and the evidence that it or the user names.

Nothing heavy is imported before it is needed: a spec that cannot be read is told at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nmda_bayes.errors import Fault, InputError

if TYPE_CHECKING:
    import xarray as xr

    from nmda_bayes.spec import AnalysisSpec


def spec_and_evidence(
    spec: str | None,
    evidence: Path | None,
    format: str | None = None,
    say: list[str] | None = None,
) -> tuple[AnalysisSpec, xr.DataTree]:
    """Read a spec and the evidence that it, or the user, names.

    Parameters
    ----------
    spec
        A TOML file, or the name of a shipped spec; None for a generic one that fits the table.
    evidence
        A folder or a table of one's own; None for what the spec names.
    format
        The convention that a table follows; None to find it by the columns.
    say
        ``KEY=VALUE`` for what a table does not say.

    Returns
    -------
    tuple[AnalysisSpec, xarray.DataTree]
        The spec, its choices told as far as the table made them, and the evidence.

    Raises
    ------
    SpecError, EvidenceError
        With every fault of either.
    """
    from nmda_bayes.evidence.load import load_as_said
    from nmda_bayes.evidence.readers import said
    from nmda_bayes.evidence.shipped import shipped_folder
    from nmda_bayes.generic import generic_spec, own_name, told
    from nmda_bayes.spec import AnalysisSpec

    words = said(say or (), format)
    if spec is None or own_name(spec):
        if evidence is None:
            mend = "Give --evidence FILE, or name another spec, such as benefit_risk."
            raise InputError([Fault("a generic spec needs a table of your own", mend)])
        made = generic_spec(load_as_said(evidence, words), words, spec and own_name(spec))
        return made.spec, made.evidence
    path = Path(spec)
    if not path.exists():
        shipped = shipped_folder("models") / f"{path.name.removesuffix('.toml')}.toml"
        path = shipped if shipped.exists() else path
    read = AnalysisSpec.from_toml(path)
    if evidence is None:
        beside = path.parent / read.evidence
        evidence = beside if read.evidence != "nmda" and beside.exists() else Path(read.evidence)
    loaded = load_as_said(evidence, words)
    return read.model_copy(update={"choices": {**read.choices, **told(loaded)}}), loaded
