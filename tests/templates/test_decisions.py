"""What only the owner of a table can decide is asked, with the exact words, and never guessed."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pandas as pd
import pytest

from nmda_bayes.design import build_design
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.model import build_model_from_design
from nmda_bayes.templates import Rehearsal, rehearse

HEADER = "study,agent,dose,events,n\n"
#: Two trials that compare doses of one agent, none at dose 0.
DOSES_ONLY = (
    HEADER + "A,alcohol,5,10,200\nA,alcohol,15,14,210\nB,alcohol,10,8,150\nB,alcohol,20,14,160\n"
)
#: Two named agents, no placebo.
PAIRS = "study,agent,events,n\nA,usual,10,90\nA,device,20,91\nB,usual,11,80\nB,device,19,82\n"
CONDITIONS = """\
study,agent,condition,events,n
A,placebo,acute,10,90
A,drug,acute,20,91
B,placebo,chronic,11,80
B,drug,chronic,19,82
"""
#: Two outcomes of the same arms: means without a scale, and counts.
PAIN_AND_HARM = """\
study,agent,dose,n,outcome,mean,sd,events
A,placebo,0,20,pain,6.1,2,
A,ketamine,0.5,21,pain,4.1,2,
A,placebo,0,20,dissociation,,,1
A,ketamine,0.5,21,dissociation,,,6
B,placebo,0,30,pain,5.1,2,
B,ketamine,0.25,31,pain,4.1,2,
B,ketamine,1,29,pain,3.1,2,
B,placebo,0,30,dissociation,,,2
B,ketamine,0.25,31,dissociation,,,3
B,ketamine,1,29,dissociation,,,12
"""
CONTRASTS = """\
study,agent,comparator,estimate,se,measure
A,vaccine,placebo,-0.4,0.2,{}
B,vaccine,placebo,-0.6,0.2,{}
C,vaccine,placebo,-0.1,0.3,{}
"""


def frame(text: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(text))


def rehearsed(text: str, *settings: str, template: str | None = None) -> Rehearsal:
    return rehearse(frame(text), parse_options(settings), template)


def codes(result: Rehearsal) -> list[str]:
    return [issue.code for issue in result.issues]


def outcome(result: Rehearsal, name: str = "") -> Any:
    assert result.spec is not None, result.issues
    outcomes = result.spec.outcomes
    return outcomes[name] if name else next(iter(outcomes.values()))


class TestReference:
    """The reference is a placebo, the comparator of every row, or asked for."""

    def test_candidates_are_asked_for(self):
        result = rehearsed(PAIRS)
        assert codes(result) == ["E460"]
        assert "--set reference=usual" in result.issues[0].hint
        assert "--set reference=device" in result.issues[0].hint

    @pytest.mark.parametrize("name", ["usual", "device"])
    def test_it_is_set(self, name: str):
        result = rehearsed(PAIRS, f"reference={name}")
        assert result.spec is not None and result.spec.reference == name

    def test_an_agent_in_every_trial_is_not_the_reference(self):
        text = PAIRS.replace("B,device", "B,drug")  # usual is in both trials
        assert codes(rehearsed(text)) == ["E460"]

    def test_comparator_of_every_row(self):
        result = rehearsed(CONTRASTS.format(*["log_OR"] * 3).replace("placebo", "sham"))
        assert result.spec is not None and result.spec.reference == "sham"

    def test_comparator_of_some_rows_only(self):
        text = CONTRASTS.format(*["log_OR"] * 3).replace("placebo", "sham")
        text = text.replace("C,vaccine,sham", "C,sham,device")
        assert codes(rehearsed(text)) == ["E460"]

    def test_the_only_agent_that_is_always_at_dose_0(self):
        text = HEADER + "A,sham,0,9,50\nA,x,1,19,50\nB,sham,0,9,50\nB,x,2,25,51\n"
        result = rehearsed(text)
        assert result.spec is not None and result.spec.reference == "sham"

    def test_unknown_agent(self):
        assert codes(rehearsed(PAIRS, "reference=plcebo")) == ["E459"]

    def test_an_agent_at_several_doses_is_no_reference(self):
        assert codes(rehearsed(DOSES_ONLY, "reference=alcohol")) == ["E470"]


class TestDoses:
    """Several doses of an agent are a dose-response, unless the user pools them."""

    def test_a_network_without_dose_0(self):
        result = rehearsed(DOSES_ONLY)
        assert outcome(result).curve == "emax"
        assert result.spec is not None and result.spec.reference == "zero dose"
        assert "dose-response" in result.lines[0]
        assert any("extrapolated" in line for line in result.lines)

    def test_pooling_its_only_agent_leaves_nothing(self):
        assert codes(rehearsed(DOSES_ONLY, "doses=pooled")) == ["E474"]

    def test_two_doses_have_no_ceiling(self):
        text = HEADER + "A,placebo,0,9,50\nA,x,1,19,50\nB,placebo,0,9,50\nB,x,2,25,51\n"
        assert outcome(rehearsed(text)).curve == "log_linear"
        assert outcome(rehearsed(text), "event").exposure == "dose_relative_to_reference"

    def test_one_dose_is_no_dose_response(self):
        text = HEADER + "A,placebo,0,9,50\nA,x,2,19,50\nB,placebo,0,9,50\nB,x,2,25,51\n"
        assert outcome(rehearsed(text)).curve == "constant"
        assert codes(rehearsed(text, "doses=separate")) == ["E468"]

    def test_pooled(self):
        text = HEADER + "A,placebo,0,9,50\nA,x,1,19,50\nB,placebo,0,9,50\nB,x,2,25,51\n"
        result = rehearsed(text, "doses=pooled")
        assert outcome(result).curve == "constant"
        assert "doses pooled" in result.lines[0]

    MISSING = HEADER + "A,placebo,0,9,50\nA,x,1,19,50\nB,placebo,0,9,50\nB,x,2,25,51\nB,y,,25,51\n"

    def test_missing_doses_are_asked_for(self):
        result = rehearsed(self.MISSING)
        assert codes(result) == ["E469"]
        assert result.issues[0].row == 6

    def test_an_agent_without_doses_has_one_effect(self):
        result = rehearsed(self.MISSING, "doses=separate")
        assert outcome(result).curves["y"].curve == "constant"
        assert outcome(result).curve == "log_linear"
        assert {"slope", "effect"} <= set(outcome(result).parameters)

    def test_an_arm_without_a_dose_is_left_out(self):
        text = self.MISSING.replace("B,y", "A,x") + "B,y,4,20,50\n"
        result = rehearsed(text, "doses=separate")
        assert any("no dose" in line and "'A'" in line for line in result.lines)

    @pytest.mark.parametrize("doses", [(1, 2), (0.5, 1, 2)])
    def test_means_have_a_dose_response_too(self, doses: tuple[float, ...]):
        rows = [("T", "placebo", 0, 5.0, 1, 30)]
        rows += [("T", "x", dose, 4.0, 1, 30) for dose in doses]
        table = pd.DataFrame(rows, columns=["study", "agent", "dose", "mean", "sd", "n"])
        result = rehearse(table, parse_options(["scale=0,10"]))
        assert outcome(result).curve == ("emax" if len(doses) > 2 else "log_linear")
        assert outcome(result).likelihood == "normal"

    CURVE_OF_CONTRASTS = """\
study,agent,dose,comparator,comparator_dose,estimate,se,measure
A,ketamine,1,placebo,0,-0.5,0.2,SMD
B,ketamine,2,placebo,0,-0.8,0.2,SMD
C,ketamine,2,ketamine,1,-0.3,0.2,SMD
"""

    def test_two_doses_of_one_agent_in_a_contrast(self):
        result = rehearsed(self.CURVE_OF_CONTRASTS)
        assert outcome(result).curve == "log_linear"
        assert any("3 contrasts of 3 trials enter" in line for line in result.lines)

    def test_an_agent_is_connected_by_its_curve(self):
        text = HEADER + "A,placebo,0,9,50\nA,x,1,19,50\nB,y,1,9,50\nB,y,2,25,51\nB,y,5,25,51\n"
        result = rehearsed(text)
        assert outcome(result).curve == "emax"
        pooled = rehearsed(text, "doses=pooled")
        assert codes(pooled) == ["E405"]


class TestConditions:
    """Conditions are pooled only if the user says so."""

    def test_they_are_asked_for(self):
        result = rehearsed(CONDITIONS)
        assert codes(result) == ["E471"]
        for word in ("--set conditions=pooled", "--set conditions=separate"):
            assert word in result.issues[0].hint

    @pytest.mark.parametrize(
        ("setting", "pooling"), [("pooled", "independent"), ("separate", "condition")]
    )
    def test_they_are_set(self, setting: str, pooling: str):
        result = rehearsed(CONDITIONS, f"conditions={setting}")
        assert outcome(result).parameters["effect"].pooling == pooling
        assert f"conditions {setting}" in result.lines[0]

    def test_separate_conditions_are_described_as_partially_pooled(self):
        spec = rehearsed(CONDITIONS, "conditions=separate").spec
        assert spec is not None
        assert "partially pooled" in spec.decisions["conditions"]
        assert "between their effects" in spec.decisions["priors"]

    def test_separate_conditions_of_two_agents(self):
        text = CONDITIONS.replace("B,drug", "B,device")
        result = rehearsed(text, "conditions=separate")
        assert outcome(result).parameters["effect"].pooling == "agent_and_condition"


class TestOutcomes:
    """Several outcomes: one, or a benefit and a harm."""

    def test_every_question_is_asked_at_once(self):
        result = rehearsed(PAIN_AND_HARM)
        assert codes(result) == ["E452", "E458"]
        hint = result.issues[0].hint
        assert "--set benefit=pain --set harm=dissociation --set better.pain=lower" in hint
        assert "--set scale.pain=0,10" in result.issues[1].hint

    JOINT = ("benefit=pain", "harm=dissociation", "better.pain=lower", "scale.pain=0,10")

    def test_benefit_and_harm(self):
        result = rehearsed(PAIN_AND_HARM, *self.JOINT)
        spec = result.spec
        assert spec is not None and spec.window is not None
        assert list(spec.outcomes) == ["pain", "dissociation"]
        assert (spec.window.benefit_at_least, spec.window.risk_at_most) == (1, 0.1)
        assert spec.window.baseline_risk == pytest.approx(3.5 / 51, abs=1e-3)
        assert [part.better for part in spec.outcomes.values()] == ["lower", "lower"]
        assert "(proposed)" in result.lines[0]
        assert spec.title.startswith("Pain and dissociation over dose")

    def test_thresholds_are_set(self):
        result = rehearsed(PAIN_AND_HARM, *self.JOINT, "window=2,0.2,0.03")
        assert result.spec is not None and result.spec.window is not None
        window = result.spec.window
        assert (window.benefit_at_least, window.risk_at_most) == (2, 0.2)
        assert window.baseline_risk == 0.03
        assert "(proposed)" not in result.lines[0]

    def test_one_of_several(self):
        result = rehearsed(PAIN_AND_HARM, "outcome=dissociation")
        assert outcome(result).likelihood == "hypergeometric"
        assert outcome(result).label == "Dissociation"

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (["benefit=pain", "scale=0,10"], ["E464"]),
            (["benefit=pain", "harm=pain", "scale=0,10", "better=lower"], ["E464", "E472"]),
            (["benefit=dissociation", "harm=pain", "scale=0,10", "better=lower"], ["E472"]),
            (["benefit=pain", "harm=dissociation", "scale=0,10"], ["E473"]),
            (["outcome=pain", "scale=0,10", "better.nausea=lower"], ["E463"]),
            (["outcome=pian"], ["E451"]),
        ],
    )
    def test_contradictions(self, settings: list[str], expected: list[str]):
        assert codes(rehearsed(PAIN_AND_HARM, *settings)) == expected


class TestKindsOfData:
    """The likelihood follows from the data."""

    @pytest.mark.parametrize(
        ("least", "likelihood"),
        [(4, "hypergeometric"), (5, "binomial"), (0, "hypergeometric"), (46, "hypergeometric")],
    )
    def test_sparse_counts(self, least: int, likelihood: str):
        text = f"study,agent,events,n\nA,placebo,{least},50\nA,x,20,50\nB,placebo,9,50\nB,x,19,50\n"
        assert outcome(rehearsed(text)).likelihood == likelihood

    def test_sparse_counts_whose_tables_are_too_many(self):
        rows = "".join(f"A,x{i},900,2000\n" for i in range(5))
        text = f"study,agent,events,n\nA,placebo,3,2000\n{rows}"
        assert outcome(rehearsed(text)).likelihood == "binomial"

    def test_trials_without_events_say_nothing(self):
        text = "study,agent,events,n\nA,placebo,0,50\nA,x,0,50\nB,placebo,0,60\nB,x,0,50\n"
        result = rehearsed(text)
        assert any("say nothing" in line for line in result.lines)
        assert any("the result is the prior" in line for line in result.lines)

    def test_trials_without_events_beside_binomial_ones(self):
        """A trial so large that its conditional likelihood is not feasible."""
        rows = "".join(f"A,x{i},900,2000\n" for i in range(5))
        text = f"study,agent,events,n\nA,placebo,3,2000\n{rows}B,placebo,0,60\nB,x0,0,50\n"
        result = rehearsed(text)
        assert outcome(result).likelihood == "binomial"
        assert any("'B' says nothing" in line for line in result.lines)
        assert "too long" in result.lines[0]

    def test_trials_without_events_over_person_time(self):
        text = "study,agent,events,person_time\nA,placebo,12,100\nA,x,9,110\n"
        result = rehearsed(text + "B,placebo,0,90\nB,x,0,95\n")
        assert any("'B' says nothing" in line for line in result.lines)

    @pytest.mark.parametrize(
        ("doses", "curve"), [((1, 2), "log_linear"), ((1, 2, 4), "emax"), ((3,), "constant")]
    )
    def test_sparse_counts_keep_their_curve_over_dose(self, doses: tuple[int, ...], curve: str):
        rows = "".join(f"A,x,{dose},{2 + dose},50\n" for dose in doses)
        text = f"{HEADER}A,placebo,0,1,50\n{rows}B,placebo,0,0,40\nB,x,{doses[-1]},4,41\n"
        result = rehearsed(text)
        assert (outcome(result).likelihood, outcome(result).curve) == ("hypergeometric", curve)
        assert "baseline" not in outcome(result).parameters
        model = build_model_from_design(result.spec, build_design(result.spec, result.evidence))
        assert {"effect", "slope", "emax"} & {rv.name for rv in model.free_RVs}
        assert "eta" in model.named_vars

    def test_rates(self):
        text = "study,agent,events,person_time\nA,placebo,12,100\nA,x,9,110\n"
        result = rehearsed(text)
        assert outcome(result).likelihood == "poisson"
        assert result.spec is not None and "rate" in result.spec.question

    @pytest.mark.parametrize(
        ("measure", "template", "unit"),
        [
            ("log_OR", "template_contrasts", "log OR"),
            ("SMD", "template_contrasts", "SMD"),
            ("ZCOR", "template_correlations", "Fisher z"),
        ],
    )
    def test_contrasts(self, measure: str, template: str, unit: str):
        result = rehearsed(CONTRASTS.format(measure, measure, measure))
        assert template in result.lines[0]
        assert outcome(result).unit == unit

    def test_several_measures_are_not_pooled(self):
        text = CONTRASTS.format("log_OR", "log_OR", "log_HR")
        result = rehearsed(text)
        assert codes(result) == ["E180"]
        assert "--set measure=log_OR" in result.issues[0].hint
        chosen = rehearsed(text, "measure=log_OR")
        assert any("2 contrasts of 2 trials enter" in line for line in chosen.lines)
        assert any("its measure is log_HR" in line for line in chosen.lines)

    def test_a_measure_is_not_of_arms(self):
        assert codes(rehearsed(PAIRS, "reference=usual", "measure=SMD")) == ["E466"]

    def test_single_arms(self):
        text = "study,agent,events,n\nA,x,10,50\nB,x,12,50\n"
        assert "E465" in codes(rehearsed(text))


class TestScales:
    """Means stay in the table's unit; priors are proportional to the width of the scale."""

    MEANS = "study,agent,mean,sd,n\nA,placebo,5,1,20\nA,x,4,1,20\nB,placebo,5,1,30\nB,x,4,1,30\n"

    @pytest.mark.parametrize("ends", [(0, 10), (4, 12), (-5, 5), (0, 5000)])
    def test_of_the_user(self, ends: tuple[float, float]):
        low, high = ends
        result = rehearsed(self.MEANS, f"scale={low},{high}")
        part, width = outcome(result), high - low
        assert part.scale == ends
        sigma = {n: next(iter(p.priors.values())).kwargs for n, p in part.parameters.items()}
        assert sigma["effect"] == {"mu": 0, "sigma": pytest.approx(width / 4)}
        assert sigma["heterogeneity_sd"] == {"sigma": pytest.approx(width / 10)}
        assert sigma["baseline"]["mu"] == pytest.approx((low + high) / 2)
        assert "0-100" not in part.unit

    def test_it_is_asked_for_once_with_the_range_of_the_means(self):
        result = rehearsed(self.MEANS)
        assert codes(result) == ["E458"]
        assert "4 means" in result.issues[0].message and "4 to 5" in result.issues[0].message

    def test_mixed_scales_are_converted(self):
        table = frame(self.MEANS).assign(scale_min=0, scale_max=[10, 10, 100, 100])
        result = rehearse(table, parse_options([]))
        assert outcome(result).scale == (0, 100)
        assert any("converted to 0 to 100" in line for line in result.lines)

    def test_differences_stay_in_their_unit(self):
        result = rehearsed(CONTRASTS.format("MD", "MD", "MD"), "scale=-3,3")
        assert outcome(result).parameters["effect"].priors["each"].kwargs["sigma"] == 1.5
        assert outcome(result).unit == "points on -3 to 3"


class TestCrossover:
    """How crossover trials enter is asked for."""

    COUNTS = """\
study,design,agent,events,n
A,crossover,placebo,10,40
A,crossover,x,20,40
B,parallel,placebo,9,50
B,parallel,x,19,51
"""
    MEANS = """\
study,design,agent,mean,sd,n
A,crossover,placebo,5,2,40
A,crossover,x,4,2,40
B,parallel,placebo,5,2,50
B,parallel,x,4,2,51
"""

    @pytest.mark.parametrize(("text", "settings"), [(COUNTS, ()), (MEANS, ("scale=0,10",))])
    def test_it_is_asked_for(self, text: str, settings: tuple[str, ...]):
        result = rehearsed(text, *settings)
        assert codes(result) == ["E475"]
        assert (result.issues[0].row, result.issues[0].column) == (2, "design")
        for word in ("parallel", "paired", "first"):
            assert f"--set crossover={word}" in result.issues[0].hint

    @pytest.mark.parametrize(
        ("text", "choice", "parallel", "rows"),
        [
            (COUNTS, "parallel", True, 4),
            (COUNTS, "paired", True, 4),
            (COUNTS, "first", False, 2),
            (MEANS, "parallel", True, 4),
            (MEANS, "paired", False, 4),
            (MEANS, "first", False, 2),
        ],
    )
    def test_it_is_set(self, text: str, choice: str, parallel: bool, rows: int):
        settings = ("scale=0,10",) if text == self.MEANS else ()
        result = rehearsed(text, f"crossover={choice}", *settings)
        assert result.spec is not None, result.issues
        crossover = result.spec.designs.crossover
        assert crossover is not None
        assert (crossover.as_parallel == tuple(result.spec.outcomes)) == parallel
        is_paired = choice == "paired" and text == self.MEANS
        assert (crossover.within_person_correlation is not None) == is_paired
        assert any(f"{rows} arms of" in line for line in result.lines)

    def test_trials_with_parallel_arms_only(self):
        assert not codes(rehearsed(self.COUNTS.replace("crossover", "parallel")))


def test_titles_name_outcome_and_agents():
    result = rehearsed(PAIN_AND_HARM, "outcome=dissociation")
    assert result.spec is not None
    assert result.spec.title == "Dissociation over dose: ketamine against placebo"
    assert "dissociation" in result.spec.question and "ketamine" in result.spec.question
