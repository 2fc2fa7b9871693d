"""Exposures of the arms of trials, and in words why an arm has none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nmda_bayes.errors import InputError
from nmda_bayes.pharmacokinetics.asked import Asked
from nmda_bayes.pharmacokinetics.concentrations import per_mg_per_litre
from nmda_bayes.pharmacokinetics.content import content_of
from nmda_bayes.pharmacokinetics.exposures import exposures
from nmda_bayes.pharmacokinetics.inputs import Train
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.responses import passages, whole_area
from nmda_bayes.regimens import Regimen, parse_regimen

#: In ng/mL, the area in ng h/mL.
EXPOSURES = (
    "peak_concentration",
    "average_concentration",
    "area",
    "concentration_at_outcome",
)
QUALIFIED = {
    "up to": "the highest dose of a titrated or stepped schedule",
    "mean": "the mean of the doses that people were given",
    "median": "the median of the doses that people were given",
}


def arm_exposures(
    arms: pd.DataFrame,
    model_by_agent: Mapping[str, PharmacokineticModel],
    *,
    weight: float | pd.Series = 70.0,
    hours_at_outcome: pd.Series | None = None,
    reference: str = "placebo",
) -> pd.DataFrame:
    """Work out the exposure of every arm from its schedule.

    Parameters
    ----------
    arms
        With columns agent, route and schedule.
    model_by_agent
        The model that each agent is computed with; of one that is about a part of it where that
        part is known (S-ketamine in ketamine, magnesium in its sulphate).
    weight
        Of the body, kg; one for all, or one an arm (NaN: not known).
    hours_at_outcome
        Hours from the first administration to the outcome, one an arm; NaN where not known.
        Exposures are those up to it: of an infusion of a day, read after six hours, six hours.
        Where no hour is known the whole regimen counts.
    reference
        The agent that has no concentration: its exposures are 0.

    Returns
    -------
    pd.DataFrame
        Index of arms; columns of `EXPOSURES` in ng/mL (area, without an hour to infinity: ng h/mL)
        of what the model measures first, above any baseline, NaN where not known; ``missing`` says
        why, by column; ``note`` what was assumed; ``model`` which one was used.
    """
    weights = weight if isinstance(weight, pd.Series) else pd.Series(weight, index=arms.index)
    hours = pd.Series(math.nan, index=arms.index) if hours_at_outcome is None else hours_at_outcome
    words = arms[["agent", "route", "schedule"]].astype("str")
    rows = [
        _Arm(*said).row(model_by_agent, float(kg), float(hour), reference)
        for *said, kg, hour in zip(
            words["agent"],
            words["route"],
            words["schedule"],
            weights.reindex(arms.index),
            hours.reindex(arms.index),
            strict=True,
        )
    ]
    columns = [*EXPOSURES, "missing", "note", "model"]
    return pd.DataFrame(rows, columns=columns, index=arms.index)


class _Arm:
    """One arm: what can be said of it, and what not."""

    def __init__(self, agent: str, route: str, schedule: str) -> None:
        self.agent, self.route, self.schedule = agent, route, schedule
        self.values: dict[str, float] = dict.fromkeys(EXPOSURES, math.nan)
        self.missing: dict[str, str] = {}
        self.note: list[str] = []

    def row(
        self,
        by_agent: Mapping[str, PharmacokineticModel],
        weight: float,
        hour: float,
        reference: str,
    ) -> dict[str, Any]:
        model = by_agent.get(self.agent)
        if self.agent == reference:
            self.values = dict.fromkeys(EXPOSURES, 0.0)
        elif why := self._why_not(model, weight):
            self.missing = dict.fromkeys(EXPOSURES, why)
        elif model is not None:
            self._fill(model, weight, hour)
        return {**self.values, "missing": self._told(), "note": "; ".join(self.note),
                "model": model.name if model else ""}  # fmt: skip

    def _why_not(self, model: PharmacokineticModel | None, weight: float) -> str:
        if not self.schedule:
            return "no schedule"
        if model is None:
            return f"no pharmacokinetic model of {self.agent.replace('_', ' ')} is named"
        if parse_regimen(self.schedule).basis == "ng/mL":
            return ""
        if self.route not in model.routes:
            where = self.route.replace("_", " ") or "a route that is not said"
            return f"{model.name} has no absorption for {where}"
        return "" if weight > 0 else "no body weight"

    def _fill(self, model: PharmacokineticModel, weight: float, hour: float) -> None:
        regimen = parse_regimen(self.schedule)
        self.note += [QUALIFIED[word] for word in regimen.qualifiers]
        if regimen.basis == "ng/mL":
            self._target(regimen, content_of(self.agent, model))
            return
        unread = math.isnan(hour)
        try:
            found = exposures(
                regimen,
                model,
                weight=weight,
                route=self.route,
                agent=self.agent,
                times=() if unread else (hour,),
                until=math.inf if unread else hour,
                analytes=(model.analyte,),
            ).isel(analyte=0)
        except InputError as wrong:
            self._unlaid(model, weight, regimen, hour, wrong.faults[0].message)
            return
        for name in ("peak_concentration", "average_concentration", "area"):
            self.values[name] = float(found[name])
        if math.isnan(self.values["average_concentration"]):
            self.missing["average_concentration"] = "a single dose has no length to average over"
        if unread:
            self.missing["concentration_at_outcome"] = "no hour of the outcome"
            return
        self.values["concentration_at_outcome"] = float(found["concentration_at"][0])
        lasting = float(found["treatment_hours"])
        if hour < lasting * (1 - 1e-9):
            self.note.append(f"counted up to the reading at {hour:g} h of {lasting:.4g} h")

    def _unlaid(
        self, model: PharmacokineticModel, weight: float, regimen: Regimen, hour: float, why: str
    ) -> None:
        """Fill in what asks neither for lengths nor for times of doses: the area after the end."""
        said = why.split("' ", 1)[-1]
        self.missing |= dict.fromkeys(EXPOSURES, f"the schedule {said}")
        # Within the treatment, what had come by the reading hangs on when the doses were given.
        if math.isnan(hour) or hour >= regimen.days * 24:
            del self.missing["area"]
            self._whole_area(model, weight, regimen)

    def _whole_area(self, model: PharmacokineticModel, weight: float, regimen: Regimen) -> None:
        content = content_of(self.agent, model)
        try:
            asked = Asked.of(regimen, model, weight, self.route, self.agent, None, timed=False)
            ways, given = asked.ways[model.analyte], asked.given
        except InputError:
            total = regimen.for_weight(weight).total("mg")
            if math.isnan(total):
                self.missing["area"] = "the schedule does not say how much was given in all"
                return
            ways = passages(model, model.values(weight), self.route)[model.analyte]
            given = (Train(0.0, 0.0, total * content),)
        per = per_mg_per_litre("ng/mL", model.analyte)
        self.values["area"] = float(whole_area(ways, given)) * per

    def _target(self, regimen: Regimen, content: float) -> None:
        """A pump's target is the concentration that it aims at; no dose is known."""
        aims = [phase.amount.to("ng/mL") * content for c in regimen.courses for phase in c.phases]
        self.values["peak_concentration"] = max(aims)
        if len(aims) == 1:
            self.values["average_concentration"] = aims[0]
        else:
            self.missing["average_concentration"] = "the pump's target changes"
        self.missing["area"] = "a pump's target says no dose"
        self.missing["concentration_at_outcome"] = "a pump's target says nothing of later hours"
        self.note.append("the target of the pump, not a model's prediction")

    def _told(self) -> str:
        by_reason: dict[str, list[str]] = {}
        for name, why in self.missing.items():
            if math.isnan(self.values[name]):
                by_reason.setdefault(why, []).append(name)
        return "; ".join(
            why if len(names) == len(EXPOSURES) else f"{', '.join(names)}: {why}"
            for why, names in by_reason.items()
        )
