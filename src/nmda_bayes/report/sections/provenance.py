"""Where the numbers come from, and how to make them again."""

from __future__ import annotations

import json
import shlex

import tomli_w

from nmda_bayes.report.blocks import Code, Definitions, Fold, Section, Text
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.spec import AnalysisSpec


def provenance(view: View, gallery: Gallery) -> Section:
    """Say what was run.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used.

    Returns
    -------
    Section
        Evidence, versions, seed, the spec in full, and the command.
    """
    attrs, sampling = view.fit.attrs, view.spec.sampling
    posterior = view.fit["posterior"]
    versions = json.loads(str(attrs.get("versions", "{}")))
    source = str(attrs.get("evidence_source", ""))
    pairs = (
        ("Evidence", source),
        ("Evidence hash (SHA-256)", str(attrs.get("evidence_hash", ""))),
        (
            "Sampling",
            f"{sampling.method}, {posterior.sizes['chain']} chains of"
            f" {posterior.sizes['draw']} draws after {sampling.tune} of warm-up,"
            f" target acceptance {sampling.target_accept:g}",
        ),
        ("Seed", str(attrs.get("seed", sampling.seed))),
        ("Versions", ", ".join(f"{package} {number}" for package, number in versions.items())),
    )
    again = f"nmda-bayes run spec.toml --evidence {shlex.quote(source)} --out results"
    if source == "data frame":
        again = "nmda-bayes run spec.toml --evidence YOUR_TABLE.csv --out results"
    if source == "nmda":
        again = "nmda-bayes run spec.toml --out results"
    how = (
        "To make this page again: save the spec below as spec.toml and run the command. The same"
        " seed, versions and evidence give the same draws; another evidence hash means other rows."
    )
    return Section(
        "provenance",
        "Provenance",
        (
            Definitions(pairs),
            Text(how),
            Code(again),
            Fold("The spec in full (TOML)", (Code(spec_toml(view.spec)),)),
        ),
    )


def spec_toml(spec: AnalysisSpec) -> str:
    """Write a spec as the TOML that makes it again.

    Parameters
    ----------
    spec
        The analysis.

    Returns
    -------
    str
        For `AnalysisSpec.from_toml`; keys at their defaults are left out.
    """
    content = spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return tomli_w.dumps(content)
