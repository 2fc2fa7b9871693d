"""The rows that variants see: built once for all that choose the same.

Leaving whole trials out of the base keeps the base's rows, with the likelihood's weight 0: arms,
agents and conditions stay as they are, so that one compiled graph serves, and a posterior of what
trials share is that of a fit without their rows. Building a design anew takes 0.59 s, this 15 ms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import xarray as xr

from nmda_bayes.design import OUTCOMES, WEIGHT, build_design
from nmda_bayes.design.splitting import nodes
from nmda_bayes.dims import ARM
from nmda_bayes.errors import EvidenceError, Fault, InputError
from nmda_bayes.evidence import connected_parts, table
from nmda_bayes.evidence.judgements import JUDGEMENT, NOT_JUDGED, worst_judgements
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import BASELINE

#: Keys of a spec that choose no row of the evidence.
NOT_OF_ROWS = ("title", "question", "choices", "correlations", "window", "sampling")
#: Keys of an outcome that choose none either.
NOT_OF_ITS_ROWS = (
    *("curve", "curve_options", "likelihood_options", "heterogeneity"),
    *("label", "unit", "better", "why"),
)
#: Where a row's arm stands among all arms of its own design.
NOT_OF_A_ROW = ("position",)


class Designs:
    """Designs of many specs on one evidence base.

    Parameters
    ----------
    base
        The spec that the others differ from.
    evidence
        As `nmda_bayes.load_evidence` gives it.
    """

    def __init__(self, base: AnalysisSpec, evidence: xr.DataTree) -> None:
        self.base, self.evidence = base, evidence
        self._built: dict[str, xr.DataTree | InputError] = {}
        self._words = _words_of_studies(evidence)

    def of(self, spec: AnalysisSpec) -> xr.DataTree:
        """Give the design of a spec.

        Parameters
        ----------
        spec
            The base or a variant.

        Returns
        -------
        xr.DataTree
            As `nmda_bayes.design.build_design` gives it; where whole trials are left out, with
            a column ``weight`` in each outcome.

        Raises
        ------
        SpecError, EvidenceError
            If the spec and the evidence do not fit each other.
        """
        more = _excluded_beyond(self.base, spec)
        if not more:
            return self._whole(spec)
        kept, studies = spec.model_copy(update={"exclude": self.base.exclude}), self._left_out(more)
        if studies is not None:
            return without(spec, self._whole(kept), studies)
        fresh = self._whole(spec)
        return weighed_down(self._whole(kept), fresh) or fresh

    def _left_out(self, exclude: Mapping[str, set[str]]) -> set[str] | None:
        """Name the studies that go; None where what goes is not whole studies, or is not there."""
        found: set[str] = set()
        for column, values in exclude.items():
            words = self._words.get(column, {})
            if not values <= set(words.values()):
                return None
            found |= {study for study, word in words.items() if word in values}
        return found

    def _whole(self, spec: AnalysisSpec) -> xr.DataTree:
        rows = rows_asked(spec)
        if rows not in self._built:
            try:
                self._built[rows] = build_design(spec, self.evidence)
            except InputError as error:
                self._built[rows] = error
        found = self._built[rows]
        if isinstance(found, InputError):
            raise found
        return found


def without(spec: AnalysisSpec, design: xr.DataTree, studies: set[str]) -> xr.DataTree:
    """Give whole studies of a design the weight 0.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.
    studies
        Who goes.

    Returns
    -------
    xr.DataTree
        The design with a column ``weight`` in each outcome.

    Raises
    ------
    EvidenceError
        If nothing is left of an outcome, or what is left is not connected.
    """
    found, faults = design.copy(), []
    for name in spec.outcomes:
        rows = design[f"{OUTCOMES}/{name}"].to_dataset()
        stays = np.array([str(study) not in studies for study in rows["study"].to_numpy()])
        before = rows[WEIGHT].to_numpy() if WEIGHT in rows else np.ones(len(stays))
        weight = np.where(stays, before, 0.0)
        found[f"{OUTCOMES}/{name}"] = xr.DataTree(rows.assign({WEIGHT: (ARM, weight)}))
        wrong = _not_identified(spec, name, rows.isel({ARM: np.flatnonzero(weight)}))
        faults += [Fault(wrong, column=f"outcomes.{name}")] if wrong else []
    if faults:
        raise EvidenceError(faults)
    return found


def weighed_down(design: xr.DataTree, part: xr.DataTree) -> xr.DataTree | None:
    """Give the weight 0 to the rows of a design that are not in a part of it.

    Without an agent a trial of two keeps its other arms; which those are, and what they then
    report, only a design built anew says. Where it is a part of the other, one graph serves both.

    Parameters
    ----------
    design
        All rows.
    part
        Some of them, as a design of its own.

    Returns
    -------
    xr.DataTree or None
        None where the part holds what the design does not.
    """
    if set(part.children) != set(design.children):
        return None
    found = design.copy()
    for name, node in design[OUTCOMES].children.items():
        whole, some = node.to_dataset(), part[f"{OUTCOMES}/{name}"].to_dataset()
        stays = np.isin(whole[ARM].to_numpy(), some[ARM].to_numpy())
        columns = [column for column in some if column not in NOT_OF_A_ROW]
        if set(whole.dims) != {ARM} or stays.sum() != some.sizes[ARM] or set(some) != set(whole):
            return None
        if not whole.isel({ARM: np.flatnonzero(stays)})[columns].equals(some[columns]):
            return None
        before = whole[WEIGHT].to_numpy() if WEIGHT in whole else np.ones(len(stays))
        weight = np.where(stays, before, 0.0)
        found[f"{OUTCOMES}/{name}"] = xr.DataTree(whole.assign({WEIGHT: (ARM, weight)}))
    return found


def seen(design: xr.DataTree) -> xr.DataTree:
    """Keep the rows of a design that weigh anything: what a reader may call evidence.

    Parameters
    ----------
    design
        With or without weights.

    Returns
    -------
    xr.DataTree
        With the same labels.
    """
    found = design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows = node.to_dataset()
        if WEIGHT in rows:
            kept = rows.isel({ARM: np.flatnonzero(rows[WEIGHT].to_numpy())})
            kept = kept.drop_vars(WEIGHT) if bool((kept[WEIGHT] == 1).all()) else kept
            found[f"{OUTCOMES}/{name}"] = xr.DataTree(kept)
    return found


def rows_asked(spec: AnalysisSpec) -> str:
    """Write the part of a spec that chooses rows of the evidence.

    Parameters
    ----------
    spec
        The spec.

    Returns
    -------
    str
        The same for two specs that differ in priors, curves, sampling, window or words alone.
    """
    content = spec.model_dump(mode="json", exclude=set(NOT_OF_ROWS))
    for name, outcome in content["outcomes"].items():
        for key in NOT_OF_ITS_ROWS:
            outcome.pop(key, None)
        outcome["needs_dose"] = spec.outcomes[name].shape.needs_dose
        for parameter in outcome["parameters"].values():
            parameter.pop("priors", None)
        shared = spec.outcomes[name].parameters
        outcome["parameters"] = {
            key: value
            for key, value in outcome["parameters"].items()
            if key == BASELINE or shared[key].covariates or shared[key].by
        }
    return json.dumps(content, sort_keys=True)


def _not_identified(spec: AnalysisSpec, name: str, rows: xr.Dataset) -> str:
    """Say why what is left of an outcome cannot be fitted."""
    if not rows.sizes[ARM] or not bool((rows["exposure"] > 0).any()):
        return f"no trial is left of outcome '{name}'"
    baseline = spec.outcomes[name].parameters.get(BASELINE)
    shared = baseline is not None and baseline.pooling != "independent"
    if shared or spec.disconnected == "allow":
        return ""
    frame = rows[["study", "agent", "exposure"]].to_dataframe().reset_index(drop=True)
    linked = connected_parts(zip(frame["study"], nodes(frame, spec.reference), strict=True))
    loose = ["; ".join(sorted(map(str, part))) for part in linked if spec.reference not in part]
    if not loose:
        return ""
    return f"outcome '{name}': no trial is left that connects {', '.join(loose)} to the reference"


def _excluded_beyond(base: AnalysisSpec, spec: AnalysisSpec) -> dict[str, set[str]]:
    """What a variant excludes and the base does not."""
    more = {
        column: set(values) - set(base.exclude.get(column, ()))
        for column, values in spec.exclude.items()
    }
    return {column: values for column, values in more.items() if values}


def _words_of_studies(evidence: xr.DataTree) -> dict[str, dict[str, str]]:
    """Words of the columns that are one for a study, by column and study."""
    studies = table(evidence, "studies").set_index("study")
    others = {c for name in ("arms", "results", "contrasts") for c in table(evidence, name)}
    found = {
        str(column): {str(s): str(word) for s, word in studies[column].items()}
        for column in studies
        if column not in others
    }
    judged = worst_judgements(evidence)
    if judged is not None and JUDGEMENT not in found:
        found[JUDGEMENT] = {str(s): str(judged.get(s, NOT_JUDGED)) for s in studies.index}
    return found | {"study": {str(s): str(s) for s in studies.index}}
