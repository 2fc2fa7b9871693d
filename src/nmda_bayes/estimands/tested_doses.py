"""The doses that were tested, the commonest among them, and doses as a reader writes them.

"Tested" is per outcome, agent and condition: a dose of another condition is no trial of this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design.dose_labels import ROUTE_TEXTS, UNIT_NOT_STATED
from nmda_bayes.dims import AGENT, ARM, CONDITION, DOSE, OUTCOME
from nmda_bayes.estimands.fit_access import design_of, labels_of, pools_baselines, spec_of

#: Number of positive doses on a default grid, besides the tested ones: a smooth curve in print.
GRID: Final = 48
#: A dose counts as tested up to this relative error: grids pass through the tested doses.
TOLERANCE: Final = 1e-6
#: Significant digits by which two exposures are one dose.
DIGITS: Final = 6
#: Doses at which a report states the effect of one agent in one condition, at most.
MAX_REPORTED: Final = 5
NOT_STATED: Final = UNIT_NOT_STATED.strip("()")


def tested_doses(fit: xr.DataTree) -> pd.DataFrame:
    """List the doses that trials compared: a row per outcome, agent, condition and dose.

    Columns ``outcome, agent, condition, dose, arms, people`` (0 if not known). A trial counts if it
    compares exposures; a single arm counts where baselines are pooled.
    """
    keys = [OUTCOME, AGENT, CONDITION, DOSE]
    parts = [
        compared_arms(fit, outcome).assign(outcome=outcome) for outcome in spec_of(fit).outcomes
    ]
    arms = pd.concat(parts, ignore_index=True).query("exposure > 0")
    rounded = arms["exposure"].map(lambda exposure: float(f"{exposure:.{DIGITS}g}"))
    groups = arms.groupby([OUTCOME, AGENT, CONDITION, rounded.rename("rounded")], sort=True)
    table = groups.agg(
        dose=("exposure", "min"), arms=("exposure", "size"), people=("people", "sum")
    )
    return table.reset_index()[[*keys, "arms", "people"]]


def compared_arms(fit: xr.DataTree, outcome: str) -> pd.DataFrame:
    """List the arms of an outcome's trials that compare exposures, with their people."""
    design = design_of(fit, outcome)
    frame = design[["study", "agent", "condition", "exposure"]].to_dataframe()
    frame = frame.reset_index(drop=True).assign(people=0.0)
    arms = fit["design/arms"].to_dataset()
    if "n_randomised" in arms and "position" in design:
        people = arms["n_randomised"].to_numpy()[design["position"].to_numpy()]
        frame["people"] = np.nan_to_num(people)
    if pools_baselines(spec_of(fit), outcome):
        return frame
    # Two arms of an agent at equal exposure (bolus and infusion) are no comparison.
    exposures = frame.drop_duplicates(["study", "agent", "exposure"])
    return frame[frame["study"].map(exposures.groupby("study").size()) > 1]


def dose_range(fit: xr.DataTree) -> xr.Dataset:
    """Count trials, and find the range of tested exposures, by outcome, agent and condition.

    ``trials``, ``tested_from`` and ``tested_to``, NaN where no trial of the agent in the condition
    compares exposures. A single arm counts where baselines are pooled.
    """
    spec = spec_of(fit)
    coords = {AGENT: labels_of(fit, AGENT), CONDITION: labels_of(fit, CONDITION)}
    ranges = []
    for outcome in spec.outcomes:
        cells = compared_arms(fit, outcome).query("exposure > 0").groupby([AGENT, CONDITION])
        columns = {
            "trials": cells["study"].nunique(),
            "tested_from": cells["exposure"].min(),
            "tested_to": cells["exposure"].max(),
        }
        table = pd.DataFrame(columns).to_xarray().reindex(coords)
        ranges.append(table.assign(trials=table["trials"].fillna(0).astype(int)))
    return xr.concat(ranges, dim=xr.Variable(OUTCOME, list(spec.outcomes)))


def is_extrapolated(exposure: Any, tested_to: Any) -> Any:
    """Whether exposures exceed the highest tested exposure; True where none was tested."""
    return np.logical_not(exposure <= tested_to * (1 + TOLERANCE))


def is_tested(fit: xr.DataTree, doses: Sequence[float] | np.ndarray) -> xr.DataArray:
    """Whether an arm had each dose; dims outcome, agent, condition, dose."""
    tested = dose_range(fit)["trials"]
    values = np.asarray(doses, float)
    flags = np.zeros((*tested.shape, len(values)), bool)
    axes = [tested.get_index(dim) for dim in (OUTCOME, AGENT, CONDITION)]
    for row in tested_doses(fit).itertuples():
        cell = tuple(
            index.get_loc(label)
            for index, label in zip(axes, (row.outcome, row.agent, row.condition), strict=True)
        )
        flags[cell] |= np.isclose(values, float(str(row.dose)), rtol=10.0 ** (1 - DIGITS), atol=0)
    coords = {dim: tested[dim] for dim in (OUTCOME, AGENT, CONDITION)}
    return xr.DataArray(flags, {**coords, DOSE: values}, (OUTCOME, AGENT, CONDITION, DOSE))


def default_dose_grid(fit: xr.DataTree) -> xr.DataArray:
    """Make a dose grid from 0 to 1.5 times the highest tested dose, through the tested doses.

    Of more tested doses than a grid has steps, those closer to each other than its steps are on it
    once, by the commonest. Without any tested dose it runs around 1, the unit.
    """
    tested, ranges = tested_doses(fit), dose_range(fit)
    ends = np.unique(ranges["tested_to"].max(CONDITION).to_numpy())
    ends = ends[np.isfinite(ends)]
    low, high = (tested["dose"].min() / 4, ends.max() * 1.5) if len(ends) else (0.25, 1.5)
    steps = np.geomspace(low, high, GRID - 1)
    gap = np.log(steps[1] / steps[0]) / 2
    counts = tested.groupby("dose")["arms"].sum().sort_values(ascending=False, kind="stable")
    few = len(counts) <= GRID
    chosen = sorted({*ends, *counts.index}) if few else list(ends)
    if not few:
        for dose in counts.index:
            if np.abs(np.log(dose / np.array(chosen))).min() > gap / 2:
                chosen.append(float(dose))
    between = steps[1:-1]
    if len(chosen):
        apart = np.abs(np.log(between[:, None] / np.array(chosen)[None])).min(axis=1)
        between = between[apart > gap]
    values = np.unique([0.0, low, high, *between, *chosen])
    return xr.DataArray(values, dims=DOSE, coords={DOSE: values})


# The commonest dose, and the doses that a report states.


def commonest_dose(
    tested: pd.DataFrame, outcome: str, agent: str, condition: str | None = None
) -> float:
    """Find the commonest of the tested doses: by arms, then by people, then the lower.

    Without a trial of the agent in the condition, that of all its conditions; without any trial of
    the outcome, that of all outcomes. NaN for an agent that no trial compares.
    """
    rows = _nearest_rows(tested, outcome, agent, condition)
    if rows.empty:
        return float("nan")
    counts = rows.groupby(DOSE, as_index=False)[["arms", "people"]].sum()
    order = counts.sort_values(["arms", "people", DOSE], ascending=[False, False, True])
    return float(order[DOSE].iloc[0])


def reported_doses(
    tested: pd.DataFrame, outcome: str, agent: str, condition: str | None = None
) -> list[float]:
    """Choose the tested doses that a report states: all, or the lowest, highest and commonest."""
    rows = _nearest_rows(tested, outcome, agent, condition)
    counts = rows.groupby(DOSE, as_index=False)[["arms", "people"]].sum()
    if len(counts) > MAX_REPORTED:
        order = counts.sort_values(["arms", "people", DOSE], ascending=[False, False, True])
        ends = {counts[DOSE].min(), counts[DOSE].max()}
        inner = [dose for dose in order[DOSE] if dose not in ends][: MAX_REPORTED - 2]
        return sorted({*ends, *inner})
    return [float(dose) for dose in counts[DOSE]]


def _nearest_rows(
    tested: pd.DataFrame, outcome: str, agent: str, condition: str | None
) -> pd.DataFrame:
    of_agent = tested[tested[AGENT] == agent]
    of_outcome = of_agent[of_agent[OUTCOME] == outcome]
    of_cell = of_outcome[of_outcome[CONDITION] == condition]
    return next((rows for rows in (of_cell, of_outcome) if len(rows)), of_agent)


def comparison_doses(
    fit: xr.DataTree, outcome: str, agents: Sequence[str], condition: str | None = None
) -> dict[str, float]:
    """Choose the doses at which agents are compared with each other.

    The reference dose of each where the exposure is relative to it, so that doses are equipotent;
    else the commonest tested dose of each, in the condition if it is named.
    """
    part = spec_of(fit).outcomes[outcome]
    if not part.shape.needs_dose or EXPOSURES[part.exposure].relative:
        return dict.fromkeys(agents, 1.0)
    tested = tested_doses(fit)
    doses = {agent: commonest_dose(tested, outcome, agent, condition) for agent in agents}
    return {agent: dose for agent, dose in doses.items() if np.isfinite(dose)}


# Doses in words.


def dose_number(dose: float) -> str:
    """Write a dose with three significant digits."""
    return f"{float(f'{dose:.3g}'):,g}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def dose_words(fit: xr.DataTree, outcome: str, agent: str, dose: float) -> str:
    """Write a dose of an agent with its unit; beside a multiple, the amount that it stands for."""
    exposure, labels = EXPOSURES[spec_of(fit).outcomes[outcome].exposure], _dose_labels(fit, agent)
    number = dose_number(dose)
    if not exposure.relative:
        unit = exposure.unit if exposure.metric else labels["dose_unit"]
        return f"{number} {unit or UNIT_NOT_STATED}"
    multiple = f"{number} × reference"
    amount, unit = _reference_of_arms(fit, outcome, agent, dose) or (
        labels["reference_dose"],
        labels["reference_unit"],
    )
    if not exposure.metric and np.isfinite(amount):
        return f"{dose_number(dose * amount)} {unit or UNIT_NOT_STATED} ({multiple})"
    return f"{multiple} (1 × = {labels['reference_text'] or 'not stated'})"


def _reference_of_arms(
    fit: xr.DataTree, outcome: str, agent: str, dose: float
) -> tuple[float, str] | None:
    """Find the reference dose of the arms that had a dose; None without arms, or if they differ."""
    design, arms = design_of(fit, outcome), fit["design/arms"].to_dataset()
    if "reference_dose" not in arms or "position" not in design:
        return None
    exposures = design["exposure"].to_numpy().astype(float)
    had = np.isclose(exposures, dose, rtol=10.0 ** (1 - DIGITS), atol=0)
    positions = design["position"].to_numpy()[had & (design["agent"].to_numpy() == agent)]
    amounts = arms["reference_dose"].to_numpy()[positions]
    units = arms["reference_unit"].to_numpy()[positions]
    known = set(zip(amounts.tolist(), units.tolist(), strict=True))
    return known.pop() if len(known) == 1 and np.isfinite(amounts).all() else None


def doses_of_arms(fit: xr.DataTree, outcome: str, positions: np.ndarray) -> list[str]:
    """Write the doses of an outcome's arms; a multiple alone where its reference is not known."""
    design, arms = design_of(fit, outcome), fit["design/arms"].to_dataset()
    kind = EXPOSURES[spec_of(fit).outcomes[outcome].exposure]
    texts = []
    for agent, exposure, position in zip(
        design["agent"].to_numpy()[positions],
        design["exposure"].to_numpy()[positions],
        design["position"].to_numpy()[positions],
        strict=True,
    ):
        text = dose_words(fit, outcome, str(agent), float(exposure))
        if kind.relative:
            text = f"{dose_number(float(exposure))} ×"
            if "reference_dose" in arms and not kind.metric:
                arm = arms.isel({ARM: int(position)})
                amount = float(arm["reference_dose"]) * float(exposure)
                unit = _without_route(str(arm["reference_unit"].item()), str(arm["route"].item()))
                text = f"{dose_number(amount)} {unit}" if np.isfinite(amount) else text
        texts.append(text.removesuffix(UNIT_NOT_STATED).rstrip())
    return texts


def _without_route(unit: str, route: str) -> str:
    """Shorten a unit for a column of a figure."""
    words = ROUTE_TEXTS.get(route, route.replace("_", " "))
    return unit.removesuffix(words).rstrip().replace(" a day", "/day")


def dose_interval_words(
    fit: xr.DataTree, outcome: str, agent: str, interval: tuple[float, float, float]
) -> str:
    """Write an estimated dose, from its lower end, median and upper end, in the agent's unit."""
    exposure, labels = EXPOSURES[spec_of(fit).outcomes[outcome].exposure], _dose_labels(fit, agent)

    def text(factor: float) -> str:
        low, middle, high = (f"{float(f'{x * factor:.2g}'):g}" for x in interval)
        return f"{middle} ({low} to {high})"

    if not exposure.relative:
        unit = exposure.unit if exposure.metric else labels["dose_unit"]
        return f"{text(1)} {unit or UNIT_NOT_STATED}"
    amount, unit = labels["reference_dose"], labels["reference_unit"]
    if not exposure.metric and np.isfinite(amount):
        return f"{text(amount)} {unit or UNIT_NOT_STATED}; {text(1)} × reference"
    return f"{text(1)} × reference (1 × = {labels['reference_text'] or 'not stated'})"


def reference_words(fit: xr.DataTree, agent: str) -> str:
    """Write the reference dose of an agent; empty where doses are not multiples of one."""
    return str(_dose_labels(fit, agent)["reference_text"])


def _dose_labels(fit: xr.DataTree, agent: str) -> Mapping[str, Any]:
    labels = fit["design/labels"].to_dataset()
    empty = {"dose_unit": "", "reference_dose": np.nan, "reference_unit": "", "reference_text": ""}
    if agent not in labels[AGENT].to_numpy():
        return empty
    row = labels.sel({AGENT: agent})
    return {name: row[name].item() if name in row else value for name, value in empty.items()}


def exposure_axis_label(fit: xr.DataTree) -> str:
    """Write the dose axis's label, with the unit of the doses."""
    outcomes = spec_of(fit).outcomes.values()
    names = [part.exposure for part in outcomes if part.shape.needs_dose]
    names = names or [part.exposure for part in outcomes]
    return "; ".join(dict.fromkeys(exposure_axis(fit, name) for name in names))


def exposure_axis(fit: xr.DataTree, exposure: str) -> str:
    """Write the axis of an exposure; plain doses in the unit that the evidence states."""
    return axis_in_units(fit["design/labels"].to_dataset(), exposure)


def axis_in_units(labels: xr.Dataset, exposure: str) -> str:
    """Write the axis of an exposure for the labels of a design."""
    kind = EXPOSURES[exposure]
    if kind.metric or kind.relative:
        return kind.axis
    agents = labels["agent_label"].to_numpy()
    stated = labels["dose_unit"].to_numpy() if "dose_unit" in labels else [""] * len(agents)
    units = {str(a): str(unit) or NOT_STATED for a, unit in zip(agents, stated, strict=True)}
    if len(set(units.values())) == 1:
        return f"dose ({next(iter(units.values()))})"
    return f"dose ({'; '.join(f'{agent}: {unit}' for agent, unit in units.items())})"
