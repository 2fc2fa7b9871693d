"""Many variants as one table: a dim ``variant``, and beside each how it was got."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import Fault, InputError
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.sweep import Outcomes
from nmda_bayes.sensitivity.variants import BASE
from nmda_bayes.spec import AnalysisSpec

VARIANT: Final = "variant"
CHOICE: Final = "choice"
AS_IN_BASE: Final = "as in the base"
NUMBERS: Final = ("effect", "ed50", "heterogeneity_sd", "p_window", "p_best", "best_dose")


def together(plan: Plan, outcomes: Outcomes) -> xr.Dataset:
    """Put the answers of all variants into one table.

    Parameters
    ----------
    plan
        What was asked.
    outcomes
        What it came to.

    Returns
    -------
    xr.Dataset
        The variables of `nmda_bayes.sensitivity.answers.answers` with a dim variant, the base
        first; coordinates ``why``, ``kind``, ``how``, ``passed``, ``remark`` (why a variant has no
        answer, which checks it failed, or that it chooses the base's rows), ``seconds`` and
        ``k_hat`` by variant, and ``setting`` (variant, choice): to what each choice was turned.

    Raises
    ------
    InputError
        If the base itself has no answer.
    """
    if BASE not in outcomes.answered:
        why = outcomes.failed.get(BASE)
        message = f"the base could not be fitted: {why.message}" if why else "the base is not run"
        raise InputError([Fault(message, "The others are compared with it.")])
    names = list(plan.variants)
    base = outcomes.answered[BASE]
    parts = [outcomes.answered[name] for name in names if name in outcomes.answered]
    told = [name for name in names if name in outcomes.answered]
    kept = [part.drop_attrs(deep=False) for part in parts]
    variant = xr.Variable(VARIANT, np.array(told, dtype=object))
    joined = xr.concat(kept, dim=variant, join="outer", coords="minimal", compat="override")
    found = joined.reindex({VARIANT: names})
    found = found.reindex({d: base[d] for d in (OUTCOME, AGENT, CONDITION) if d in base.dims})
    found = found.assign_coords({n: base[n] for n in base.coords if str(n).endswith("_label")})
    found["trials"] = found["trials"].fillna(0).astype(int)
    attributes = {name: outcomes.answered[name].attrs for name in told}
    found = found.assign_coords(_beside(plan, outcomes, attributes))
    found.attrs = {
        "title": plan.title,
        "dose": plan.dose,
        "spec": plan.base.spec.to_json(),
    }
    return found


def _beside(
    plan: Plan, outcomes: Outcomes, attributes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    every = list(plan.variants.values())
    choices = list(dict.fromkeys(choice for one in every for choice in one.choices))
    setting = [[one.choices.get(choice, AS_IN_BASE) for choice in choices] for one in every]
    remarks = []
    for one in every:
        failed = outcomes.failed.get(one.name)
        checks = json.loads(str(attributes.get(one.name, {}).get("gate", "[]")))
        remarks.append((failed.message if failed else "; ".join(checks)) or one.remark)
    return {
        "why": (VARIANT, _words([one.why for one in every])),
        "kind": (VARIANT, _words([one.kind for one in every])),
        "how": (VARIANT, _words([attributes.get(n.name, {}).get("how", "") for n in every])),
        "passed": (VARIANT, [bool(attributes.get(n.name, {}).get("passed", 0)) for n in every]),
        "remark": (VARIANT, _words(remarks)),
        "seconds": (VARIANT, [attributes.get(n.name, {}).get("seconds", np.nan) for n in every]),
        "k_hat": (VARIANT, [attributes.get(n.name, {}).get("k_hat", np.nan) for n in every]),
        "setting": ((VARIANT, CHOICE), np.array(setting, dtype=object).reshape(len(every), -1)),
        CHOICE: _words(choices),
    }


def _words(words: list[str]) -> np.ndarray:
    return np.array(words, dtype=object)


def compare(
    found: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> pd.DataFrame:
    """Hold the variants' effects beside the base's, one row a variant.

    Parameters
    ----------
    found
        As `fit_variants` gives it.
    outcome, agent, condition
        The cell; the base's best-tried one where left out.

    Returns
    -------
    pd.DataFrame
        ``variant, median, lower, upper, interval`` (its kind and level), ``shift`` of the median in
        the base's posterior SDs, ``above_zero``, ``trials``, ``p_window`` where there is a window,
        ``mcse`` (the Monte Carlo error of the mean), ``k_hat`` of the weights where there are any,
        ``how``, ``passed``, ``remark``. The cell stands in the frame's ``attrs``.
    """
    cell = cell_of(found, outcome, agent, condition)
    one = found.sel(cell)
    effect = one["effect"]
    columns = {name: effect.sel(statistic=name) for name in ("median", "lower", "upper")}
    base = effect.sel({VARIANT: BASE})
    moved = columns["median"] - base.sel(statistic="median")
    columns["shift"] = moved / base.sel(statistic="sd")
    columns["above_zero"] = effect.sel(statistic="above_zero")
    columns["trials"] = one["trials"]
    if "p_window" in one:
        columns["p_window"] = one["p_window"]
    columns |= {"mcse": effect.sel(statistic="mcse"), "k_hat": one["k_hat"]}
    frame = pd.DataFrame({name: values.to_numpy() for name, values in columns.items()})
    frame.insert(0, VARIANT, one[VARIANT].to_numpy())
    # In the table too: a file of commas has no attributes.
    place = list(frame.columns).index("upper") + 1
    frame.insert(place, "interval", INTERVAL_TEXT.removesuffix(" interval"))
    for name in ("kind", "how", "passed", "remark", "why"):
        frame[name] = one[name].to_numpy()
    frame.attrs = {**{str(k): v for k, v in cell.items()}, "interval": frame["interval"].iloc[0]}
    return frame


def cell_of(
    found: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> dict[str, str]:
    """Name one cell, by default the one with most trials in the base.

    Parameters
    ----------
    found
        As `fit_variants` gives it.
    outcome, agent, condition
        What is fixed.

    Returns
    -------
    dict[str, str]
        All three dims.

    Raises
    ------
    InputError
        If a label is none of the table's.
    """
    asked = {OUTCOME: outcome, AGENT: agent, CONDITION: condition}
    trials = found["trials"].sel({VARIANT: BASE})
    for dim, label in asked.items():
        known = [str(one) for one in found[dim].to_numpy()]
        if label is None:
            continue
        if label not in known:
            fault = Fault(f"no {dim} is called '{label}'", f"Known: {', '.join(known)}", column=dim)
            raise InputError([fault])
        trials = trials.sel({dim: [label]})
    if outcome is None:
        trials = trials.isel({OUTCOME: [0]})
    most = trials.argmax(list(asked))
    return {dim: str(trials[dim].to_numpy()[int(most[dim])]) for dim in asked}


def one_cell(
    found: xr.Dataset,
    outcome: str | None = None,
    agent: str | None = None,
    condition: str | None = None,
) -> xr.Dataset:
    """Take one cell out of the table, with the words that a figure of it needs.

    Parameters
    ----------
    found
        As `fit_variants` gives it.
    outcome, agent, condition
        As in `cell_of`.

    Returns
    -------
    xr.Dataset
        Dim variant (and statistic, choice): ``effect``, ``trials`` and all else of that cell;
        attributes ``outcome``, ``agent``, ``condition``, ``title`` and ``axis``.
    """
    cell = cell_of(found, outcome, agent, condition)
    one = found.sel(cell)
    spec = AnalysisSpec.from_dict(json.loads(found.attrs["spec"]))
    part = spec.outcomes[cell[OUTCOME]]
    link = LIKELIHOODS[part.likelihood].link
    names = [
        str(one[f"{dim}_label"].item()) if f"{dim}_label" in one.coords else cell[dim]
        for dim in (AGENT, CONDITION)
    ]
    label = part.label or cell[OUTCOME].replace("_", " ")
    unit = link.effect or part.unit or "difference"
    dose = f" at exposure {found.attrs['dose']:g}" if part.shape.needs_dose else ""
    words = {"title": f"{names[0]}, {names[1]}", "axis": f"{label}: {unit}, against dose 0{dose}"}
    return one.assign_attrs(**cell, **words)
