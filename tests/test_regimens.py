"""Regimens: the notation, doses and times from it, and errors."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.errors import InputError
from nmda_bayes.regimens import Measure, Regimen, canonical_unit, parse_regimen
from tests.support.issues import codes_when, issues_when

NAN = math.nan

#: Schedules of trials in the shipped base, computed by hand:
#: text, unit, total, daily, peak rate an hour, hours, days, administrations.
WORKED = [
    # Dadabayev2020: half a milligram in 40 minutes is 0.75 an hour.
    ("0.5 mg/kg over 40 min", "mg/kg", 0.5, 0.5, 0.75, 2 / 3, 1, 1),
    # Nikolajsen1996: 0.1 in 5 min (1.2 an hour), then 7 micrograms a minute for 40 min (0.28).
    ("0.1 mg/kg over 5 min, then 7 ug/kg/min for 40 min", "mg/kg", 0.38, 0.38, 1.2, 0.75, 1, 1),
    # Schwartzman2009: 0.35 x 4 h x 10 days.
    ("up to 0.35 mg/kg/h for 4 h, 10 days", "mg/kg", 14, 1.4, 0.35, 4, 10, 10),
    # Sigtermans2009: 0.317 x 100.8 h; 4.2 days; 24 h of it are 7.608.
    ("up to 0.317 mg/kg/h for 100.8 h", "mg/kg", 31.9536, 7.608, 0.317, 100.8, 4.2, 1),
    # Fischer2013: 70 x 5; 70 in 4 h are 17.5 an hour.
    ("70 mg/kg over 4 h, 5 days", "mg/kg", 350, 70, 17.5, 4, 5, 5),
    # Kim2015: on days 1, 3 and 5.
    ("1 mg/kg over 1 h, every 2 days, 3 times", "mg/kg", 3, 1, 1, 1, 5, 3),
    # McQuay1994: 13.5 x 3 x 10.
    ("13.5 mg, 3 times a day, 10 days", "mg", 405, 40.5, NAN, NAN, 10, 30),
    # Jafarzadeh2023: 10 x 7 + 20 x 49.
    (
        "5 mg, 2 times a day, 7 days; 10 mg, 2 times a day, 49 days",
        "mg",
        1050,
        20,
        NAN,
        NAN,
        56,
        112,
    ),
    # Sang2002: 400 x 63, in an unknown number of doses.
    ("median 400 mg a day, 63 days", "mg", 25200, 400, NAN, NAN, 63, NAN),
    # Glue2024: 30 x 2 x 12; a dosing day has one.
    ("30 mg, 2 times a week, 12 weeks", "mg", 720, 30, NAN, NAN, 84, 24),
    # Fedgchin2019: the number of dosing days in the four weeks is not known.
    ("56 mg a dosing day, 4 weeks", "mg", NAN, 56, NAN, NAN, 28, NAN),
    # RBAoncology2007: 10 x 3 x 28.
    ("10 mg, every 8 h, 28 days", "mg", 840, 30, NAN, NAN, 28, 84),
    # Azizikhani2025: half at 9 an hour, half at 0.3; 31 minutes.
    ("0.15 mg/kg over 1 min, then 0.15 mg/kg over 30 min", "mg/kg", 0.3, 0.3, 9, 31 / 60, 1, 1),
    # Amr2010: 80 x 7, 16 mg an hour.
    ("80 mg over 5 h, 7 days", "mg", 560, 80, 16, 5, 7, 7),
    # Kim2013spine: the duration is not known, and a bolus has no rate.
    ("bolus 0.5 mg/kg, then 1 ug/kg/min", "mg/kg", NAN, NAN, NAN, NAN, NAN, 1),
    # Zhou2026: a rate alone.
    ("0.03 mg/kg/h", "mg/kg", NAN, NAN, 0.03, NAN, NAN, 1),
    # Bowdle1998: a target has no amount.
    ("target 150 ng/mL for 30 min", "ng/mL", NAN, NAN, NAN, 0.5, 1, 1),
    # An open-ended course: only the daily dose is known.
    ("10 mg, 2 times a day", "mg", NAN, 20, NAN, NAN, NAN, NAN),
    # Three doses at unknown times: only the total is known.
    ("2 mg/kg, 3 times", "mg/kg", 6, NAN, NAN, NAN, NAN, 3),
]


@pytest.mark.parametrize(
    ("text", "unit", "total", "daily", "rate", "hours", "days", "n"), WORKED, ids=lambda x: str(x)
)
def test_totals_rates_and_times(text, unit, total, daily, rate, hours, days, n):
    regimen = parse_regimen(text)
    mass_unit = "mg" if unit == "ng/mL" else unit
    values = [
        regimen.total(mass_unit),
        regimen.daily(mass_unit),
        regimen.peak_rate(f"{unit}/h") if unit != "ng/mL" else NAN,
        regimen.hours,
        regimen.days,
        regimen.n_administrations,
    ]
    np.testing.assert_allclose(values, [total, daily, rate, hours, days, n], rtol=1e-12)
    assert regimen.basis == unit
    assert str(regimen) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("0.5mg/kg over 40min", "0.5 mg/kg over 40 min"),
        ("20.0 mg,2 times a day,28 days", "20 mg, 2 times a day, 28 days"),
        ("bolus 1 mg then 2 mg/h for 1 h", "bolus 1 mg, then 2 mg/h for 1 h"),
        ("20 mg, 28 days, 2 times a day", "20 mg, 2 times a day, 28 days"),
        ("1 mg, 1 times a week, 4 weeks", "1 mg, 1 time a week, 4 weeks"),
        ("1 mg, every week, 4 times", "1 mg, every 1 week, 4 times"),
    ],
)
def test_variants_of_the_notation(text, same):
    assert str(parse_regimen(text)) == same
    assert parse_regimen(text) == parse_regimen(same)


_numbers = st.integers(1, 5_000_000).map(lambda n: n / 1000)
_times = st.builds("{} {}".format, st.integers(1, 90), st.sampled_from(["min", "h", "days"]))


@st.composite
def _phases(draw: st.DrawFn, unit: str) -> str:
    qualifier = draw(st.sampled_from(["", "up to ", "mean ", "median "]))
    amount, time = draw(_numbers), draw(_times)
    return qualifier + draw(
        st.sampled_from(
            [
                f"bolus {amount} {unit}",
                f"{amount} {unit}",
                f"{amount} {unit} over {time}",
                f"{amount} {unit}/min for {time}",
                f"{amount} {unit}/h",
            ]
        )
    )


@st.composite
def _schedules(draw: st.DrawFn) -> str:
    unit = draw(st.sampled_from(["mg", "ug", "mg/kg", "microg/kg", "g"]))
    k, n = draw(st.integers(1, 6)), draw(st.integers(1, 60))
    often = st.sampled_from(
        [
            "",
            f", {n} days",
            f", {k} times a day",
            f", {k} times a day, {n} days",
            f", {k} times a week, {n} weeks",
            f", every {k} h, {n} days",
            f", {n} times",
            f", every {k} days, {n} times",
        ]
    )
    courses = draw(st.lists(st.tuples(st.lists(_phases(unit), min_size=1, max_size=3), often)))
    written = [", then ".join(phases) + repeated for phases, repeated in courses]
    return "; ".join(written) or f"up to {n} {unit} a day, {k} weeks"


@settings(max_examples=40, deadline=None)
@given(_schedules())
def test_notation_round_trip(text):
    regimen = parse_regimen(text)
    assert isinstance(regimen, Regimen)
    assert parse_regimen(str(regimen)) == regimen


@settings(max_examples=40, deadline=None)
@given(_schedules(), st.floats(1, 200))
def test_body_weight_scales_every_amount(text, weight):
    regimen = parse_regimen(text)
    weighed = regimen.for_weight(weight)
    assert weighed.basis == "mg"
    factor = weight if regimen.basis == "mg/kg" else 1.0
    for before, after in (
        (regimen.total(regimen.basis), weighed.total("mg")),
        (regimen.daily(regimen.basis), weighed.daily("mg")),
        (regimen.peak_rate(f"{regimen.basis}/h"), weighed.peak_rate("mg/h")),
    ):
        np.testing.assert_allclose(after, before * factor, rtol=1e-9)
    assert weighed.n_administrations == regimen.n_administrations or math.isnan(
        regimen.n_administrations
    )


@settings(max_examples=40, deadline=None)
@given(_schedules())
def test_events_add_up_to_the_total(text):
    regimen = parse_regimen(text)
    try:
        events = regimen.events()
    except InputError as error:
        assert [issue.code for issue in error.issues] == ["E705"]
        assert regimen.unknowns
        return
    total = regimen.total(regimen.basis)
    assert sum(event.amount for event in events) == pytest.approx(total, rel=1e-9)
    starts = [event.start_hours for event in events]
    assert starts[0] == 0


def test_events_in_time():
    bolus, infusion = parse_regimen("bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h").events()
    assert (bolus.start_hours, bolus.hours, bolus.amount) == (0, 0, 0.1)
    assert math.isnan(bolus.rate)
    assert (infusion.start_hours, infusion.hours, infusion.rate) == (0, 1, 0.15)
    steps = parse_regimen("0.14 mg/kg/h for 1 h, then 0.28 mg/kg/h for 30 min, 2 days").events()
    assert [e.start_hours for e in steps] == [0, 1, 24, 25]
    assert [e.rate for e in steps] == pytest.approx([0.14, 0.28, 0.14, 0.28])
    tablets = parse_regimen("5 mg, 2 times a day, 1 day; 10 mg, 2 times a week, 1 week").events()
    assert [e.start_hours for e in tablets] == [0, 12, 24, 108]
    assert [e.amount for e in tablets] == [5, 5, 10, 10]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("0.03 mg/kg/h", "how much is given"),
        ("400 mg a day, 63 days", "how many doses there are"),
        ("2 mg/kg, 3 times", "when the doses are given"),
        ("20 mg, 2 times a day", "how many doses there are"),
        ("0.4 mg/kg, then 0.1 mg/kg/h for 1 h", "how long a phase before another takes"),
        ("target 150 ng/mL for 30 min", "how much is given"),
    ],
)
def test_events_of_incomplete_schedules(text, missing):
    regimen = parse_regimen(text)
    assert regimen.unknowns[0] == missing
    (issue,) = issues_when(regimen.events, InputError)
    assert issue.code == "E705"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "the end"),
        ("0.5", "the end"),
        ("0.5 mg/kg sometimes", "'sometimes'"),
        ("0.3-0.5 mg/kg", "'-0.5'"),
        ("1,5 mg", "','"),
        ("5 percent", "'percent'"),
        ("0.5 Mg", "'Mg'"),
        ("target 150 ng", "'ng'"),
        ("1e999 mg", "'1e999'"),
        ("bolus 0.1 mg/kg over 5 min", "'over'"),
        ("bolus 0.1 mg/kg/h", "'mg/kg/h'"),
        ("0.1 mg/kg for 1 h", "'for'"),
        ("0.1 mg/kg/h over 1 h", "'over'"),
        ("0.1 mg/kg over 5 mg", "'mg'"),
        ("0.1 mg/kg over 0 min", "'0'"),
        ("20 mg, every 0 h, 2 times", "'0'"),
        ("20 mg, 2 times a month", "'a'"),
        ("20 mg, 1.5 times a day", "'1.5'"),
        ("20 mg, 0 days", "'days'"),
        ("20 mg, 4 months", "'months'"),
        ("20 mg, 3 days, 4 days", "'4'"),
        ("20 mg a day, 2 times a day", "'2'"),
    ],
)
def test_syntax_error_names_the_word(text, word):
    (issue,) = issues_when(lambda: parse_regimen(text), InputError)
    assert issue.code == "E700"
    assert f" at {word} of the schedule" in issue.message
    assert issue.hint


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1 mg, then 1 mg/kg", "E701"),
        ("20 mg, 2 times, 4 days", "E702"),
        ("20 mg, 2 times a day, every 8 h", "E702"),
        ("20 mg, 2 times a week, 10 days", "E703"),
    ],
)
def test_contradictory_schedule_is_rejected(text, code):
    (issue,) = issues_when(lambda: parse_regimen(text), InputError)
    assert issue.code == code


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("0.5 mg/kg", lambda r: r.total("mg")),
        ("20 mg", lambda r: r.daily("mg/kg")),
        ("0.5 mg/kg over 1 h", lambda r: r.peak_rate("mg/h")),
        ("0.5 mg/kg over 1 h", lambda r: r.peak_rate("mg/kg")),
        ("20 mg", lambda r: r.total("percent")),
    ],
)
def test_unit_of_another_dimension_is_rejected(text, ask):
    (issue,) = issues_when(lambda: ask(parse_regimen(text)), InputError)
    assert issue.code == "E704"


def test_units_convert_exactly():
    assert Measure(6, "ug/kg/min").to("mg/kg/h") == pytest.approx(0.36, rel=1e-12)
    assert Measure(6, "µg/kg/min").to("microg/kg/h") == pytest.approx(360, rel=1e-12)
    assert Measure(2, "weeks").to("h") == pytest.approx(336, rel=1e-12)
    assert parse_regimen("1 g over 15 min").total("mg") == 1000


def test_importing_regimens_does_not_import_pint():
    code = (
        "import sys, nmda_bayes.regimens as r; before = 'pint' in sys.modules;"
        "r.parse_regimen('1 mg'); print(before, 'pint' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    "unit", ["mg**9**9**9", "mg\x00", "mg^99", "(mg)", "2*mg", "mg/", "a" * 99]
)
def test_only_plain_words_are_units(unit):
    """pint would work out powers, and read brackets and operators."""
    assert canonical_unit(unit) == ""
    assert codes_when(lambda: parse_regimen(f"5 {unit}"), InputError) == ["E700"]
    assert codes_when(lambda: parse_regimen("5 mg").total(unit), InputError) == ["E704"]


def test_schedules_are_bounded():
    assert codes_when(lambda: parse_regimen("5 mg; " * 2000 + "5 mg"), InputError) == ["E760"]
    assert codes_when(lambda: parse_regimen(f"5 mg, {'9' * 400} days"), InputError) == ["E700"]
    often = parse_regimen("1 mg, 1e8 times a day, 1e8 weeks")
    assert codes_when(often.events, InputError) == ["E761"]
