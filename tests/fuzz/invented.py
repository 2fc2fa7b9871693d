"""Tables with known numbers, as people write them: layouts, headings, units, marks, decorations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.fuzz.harness import pick

AGENTS = ("ketamine", "Drug A", "memantine 20", "esketamine", "drug-b", "B12", "usual care")
STUDIES = (
    "Ash 2001", "Elm 2004", "Oak", "Yew 1999a", "Yew 1999b", "Müller 2010", "O'Brien 2015",
    "Fir et al. 2012", "Box (2020)", "NCT0123", "Bay-1", "Ivy & Sloe",
)  # fmt: skip
#: A number by what it is of: study, outcome, agent, dose, and the statistic.
Numbers = dict[tuple[str, str, str, float, str], float]


@dataclass
class Invented:
    """A table and the numbers that it holds."""

    headings: list[str]
    rows: list[list[str]]
    truth: Numbers
    layout: str
    settings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Arm:
    """The numbers of an arm."""

    study: str
    agent: str
    dose: float
    n: int
    events: dict[str, int]
    means: dict[str, tuple[float, float]]
    days: float


def invented_arms(
    rng: np.random.Generator, n_arms: int | None = None, outcomes: Sequence[str] = ("",)
) -> list[Arm]:
    """Trials of two or three arms, placebo among them."""
    active = [AGENTS[i] for i in rng.permutation(len(AGENTS))[:2]]
    dose_of = dict(zip(active, rng.choice([0.5, 1.0, 2.5, 10.0, 40.0], 2), strict=True))
    arms = []
    for study in [STUDIES[i] for i in rng.permutation(len(STUDIES))[: int(rng.integers(3, 7))]]:
        n = n_arms or int(rng.integers(2, 4))
        agents = ["placebo", *(active if n > 2 else [pick(rng, active)])]
        for agent in agents:
            people = int(rng.integers(18, 90))
            arms.append(
                Arm(
                    study,
                    agent,
                    0.0 if agent == "placebo" else float(dose_of[agent]),
                    people,
                    {name: int(rng.integers(2, people - 8)) for name in outcomes},
                    {
                        name: (
                            round(float(rng.uniform(20, 80)), 1) + 0.1,
                            round(float(rng.uniform(5, 25)), 1) + 0.1,
                        )
                        for name in outcomes
                    },
                    round(float(rng.uniform(500, 5000)), 1),
                )
            )
    return arms


def respelt(rng: np.random.Generator, heading: str) -> str:
    """A heading in another case or punctuation."""
    kind = int(rng.integers(7))
    if kind == 0:
        return heading.upper() if "(" not in heading else heading
    if kind == 1:
        return heading.lower() if "(" not in heading else heading
    if kind == 2:
        return heading.replace(" ", "_")
    if kind == 3:
        return heading.replace(" ", ".")
    if kind == 4:
        return heading.title() if "(" not in heading else heading
    return heading


STUDY = (
    "study",
    "Study",
    "Trial",
    "studlab",
    "Study ID",
    "Author (year)",
    "trial name",
    "First author",
)
AGENT = ("agent", "Treatment", "Arm", "Group", "Intervention", "Drug", "treat", "Treatment group")
EVENTS = ("events", "Events", "n events", "Responders", "Events (n)", "No. of events", "r", "cases",
          "number with event")  # fmt: skip
N = ("n", "N", "Total", "Sample size", "N analysed", "No. of patients", "N randomised", "n (total)",
     "Number of participants", "Participants", "n/arm")  # fmt: skip
MEAN = ("mean", "Mean", "Mean score", "mean value", "Average")
SD = ("sd", "SD", "Std. Dev.", "standard deviation", "std dev", "SD (points)")
SE = ("se", "SE", "SEM", "Std. error", "standard error")
TIME = ("person_time", "Person-years", "patient years", "person time", "Exposure time")
DOSE = ("dose", "Dose", "Dose (mg)", "dose_mg", "Dose [mg/day]", "daily dose", "Dose, mg")
OUTCOMES = ("Pain", "Nausea", "Vomiting", "Sleep quality", "Depression", "dizziness", "HbA1c",
            "Death", "Relapse")  # fmt: skip


def _number(value: float) -> str:
    return f"{value:g}" if value == int(value) else repr(round(float(value), 4))


def long_table(rng: np.random.Generator) -> Invented:
    """One row for each arm, with one result, or outcomes side by side or below each other."""
    several = pick(rng, ["one", "wide", "long"])
    names = [OUTCOMES[i] for i in rng.permutation(len(OUTCOMES))[:2]] if several != "one" else [""]
    arms = invented_arms(rng, outcomes=names)
    kind = pick(rng, ["counts", "means", "means_se", "rates"])
    if kind == "rates" and several == "wide":
        kind = "counts"
    with_dose = rng.random() < 0.5
    kinds = dict.fromkeys(names, kind)
    if several == "wide" and rng.random() < 0.5:
        kinds[names[1]] = "means" if kind == "counts" else "counts"
    heads = [respelt(rng, pick(rng, STUDY)), respelt(rng, pick(rng, AGENT))]
    heads += [respelt(rng, pick(rng, DOSE))] if with_dose else []
    heads += [pick(rng, ["outcome", "Outcome", "Endpoint"])] if several == "long" else []
    statistics = {
        "counts": [("events", EVENTS), ("n", N)],
        "means": [("mean", MEAN), ("sd", SD), ("n", N)],
        "means_se": [("mean", MEAN), ("se", SE)],
        "rates": [("events", EVENTS), ("person_time", TIME)],
    }
    columns: list[tuple[str, str]] = []
    if several == "wide":
        shared_n = rng.random() < 0.6
        for name in names:
            for statistic, choices in statistics[kinds[name]]:
                if statistic == "n" and shared_n:
                    continue
                word = {"events": pick(rng, ["events", "n events", "responders", "Events"])}.get(
                    statistic, pick(rng, choices[:2])
                )
                word = pick(rng, ["n", "N", "Total"]) if statistic == "n" else word
                form = pick(rng, ["{0} {1}", "{1} {0}", "{0}_{1}", "{0} ({1})", "{0}: {1}"])
                columns.append((name, statistic))
                heads.append(form.format(name, word))
        if shared_n and any(kinds[name] in ("counts", "means") for name in names):
            columns.append(("", "n"))
            heads.append(respelt(rng, pick(rng, N)))
    else:
        for statistic, choices in statistics[kind]:
            columns.append(("", statistic))
            heads.append(respelt(rng, pick(rng, choices)))
    rows, truth = [], Numbers()
    for arm in arms:
        for name in names if several == "long" else [""]:
            row = [arm.study, arm.agent]
            row += [_number(arm.dose)] if with_dose else []
            row += [name] if several == "long" else []
            for outcome, statistic in columns:
                key = outcome or name or names[0]
                row.append(_number(value_of(arm, key, statistic)))
            rows.append(row)
        for name in names:
            for statistic, _ in statistics[kinds[name]]:
                if statistic == "n" and kinds[name] == "means_se":
                    continue
                dose = arm.dose if with_dose else float("nan")
                truth[_key(arm.study, name, arm.agent, dose, statistic)] = value_of(
                    arm, name, statistic
                )
    return Invented(heads, rows, truth, f"long/{several}/{'+'.join(kinds.values())}")


def value_of(arm: Arm, outcome: str, statistic: str) -> float:
    """A statistic of an arm."""
    mean, sd = arm.means[outcome]
    return {
        "events": arm.events[outcome], "n": arm.n, "mean": mean, "sd": sd,
        "se": round(sd / np.sqrt(arm.n), 4), "person_time": arm.days,
    }[statistic]  # fmt: skip


def _key(study: str, outcome: str, agent: str, dose: float, statistic: str) -> tuple:
    return study, outcome.casefold(), agent.casefold(), -1.0 if np.isnan(dose) else dose, statistic


#: Headings of two groups side by side: the statistic, and the words of the groups.
SIDES = (
    ("{1}.{0}", ("e", "c"), {"events": "event", "n": "n", "mean": "mean", "sd": "sd"}, "x"),
    ("{0} {1}", ("Experimental", "Control"),
     {"events": "events", "n": "total", "mean": "mean", "sd": "SD"}, ""),
    ("{1}_{0}", ("treatment", "placebo"),
     {"events": "events", "n": "n", "mean": "mean", "sd": "sd"}, ""),
    ("{0}_{1}", ("{agent}", "placebo"),
     {"events": "events", "n": "n", "mean": "mean", "sd": "sd"}, "agent"),
    ("{1} ({0})", ("{agent}", "Placebo"),
     {"events": "Events", "n": "N", "mean": "Mean", "sd": "SD"}, "agent"),
    ("{1}{0}", ("1", "2"), {"events": "event", "n": "n", "mean": "mean", "sd": "sd"}, "treat"),
    ("{1}{0}i", ("1", "2"), {"events": "x", "n": "n", "mean": "m", "sd": "sd"}, ""),
    ("{1}_{0}", ("int", "ctl"), {"events": "r", "n": "n", "mean": "mean", "sd": "sd"}, ""),
    ("{1} {0}", ("Intervention", "Control"),
     {"events": "Events", "n": "N", "mean": "Mean", "sd": "SD"}, ""),
)  # fmt: skip


def wide_table(rng: np.random.Generator) -> Invented:
    """One row for each trial, its two groups side by side."""
    arms = invented_arms(rng, 2)
    active = next(arm.agent for arm in arms if arm.agent != "placebo")
    form, sides, words, named = pick(rng, SIDES)
    kind = pick(rng, ["counts", "means"])
    statistics = ["events", "n"] if kind == "counts" else ["mean", "sd", "n"]
    if rng.random() < 0.3:
        statistics = statistics[::-1]
    heads = [pick(rng, STUDY)]
    by_statistic = rng.random() < 0.3
    order = [(side, s) for side in (0, 1) for s in statistics]
    if by_statistic:
        order = [(side, s) for s in statistics for side in (0, 1)]
    if rng.random() < 0.3:
        order = [(1 - side, s) for side, s in order]
    for side, statistic in order:
        heads.append(form.format(sides[side].format(agent=active), words[statistic]))
    settings = [f"groups={active},placebo"]
    if named == "treat":
        heads += ["treat1", "treat2"]
        settings = []
    elif named == "agent":
        settings = []
    rows, truth = [], Numbers()
    for study in dict.fromkeys(arm.study for arm in arms):
        pair = [arm for arm in arms if arm.study == study]
        placebo, drug = pair[0], pair[1]
        row = [study]
        for side, statistic in order:
            row.append(_number(value_of((drug, placebo)[side], "", statistic)))
        row += [drug.agent, "placebo"] if named == "treat" else []
        rows.append(row)
        for arm in pair:
            name = active if arm.agent != "placebo" and named != "treat" else arm.agent
            for statistic in statistics:
                key = _key(study, "", name, float("nan"), statistic)
                truth[key] = value_of(arm, "", statistic)
    return Invented(heads, rows, truth, f"wide/{form}/{sides}/{kind}", settings)


RATIOS = ("OR", "RR", "HR")


def contrast_table(rng: np.random.Generator) -> Invented:
    """One row for each contrast: an effect with its standard error or interval."""
    measure = pick(rng, ["OR", "RR", "HR", "log_OR", "log_RR", "SMD"])
    studies = [STUDIES[i] for i in rng.permutation(len(STUDIES))[: int(rng.integers(3, 7))]]
    agent = pick(rng, AGENTS)
    spread = "ci" if measure in RATIOS else pick(rng, ["ci", "se"])
    words = {
        "OR": ("OR", "Odds ratio", "or", "odds_ratio"), "RR": ("RR", "Risk ratio", "risk.ratio"),
        "HR": ("HR", "Hazard ratio"), "log_OR": ("logOR", "log OR", "lnOR", "log_OR"),
        "log_RR": ("logRR", "log(RR)", "lnRR"), "SMD": ("SMD", "Hedges g", "std. mean difference"),
    }[measure]  # fmt: skip
    ends = [
        ("ci_low", "ci_high"), ("95% CI lower", "95% CI upper"), ("Lower 95% CI", "Upper 95% CI"),
        ("CI low", "CI high"), ("LCL (95%)", "UCL (95%)"), ("lower", "upper"),
    ]  # fmt: skip
    generic = rng.random() < 0.3
    heads = [respelt(rng, pick(rng, STUDY)), respelt(rng, pick(rng, AGENT))]
    heads += [pick(rng, ["comparator", "Control", "versus", "Comparator"])]
    heads += [pick(rng, ["estimate", "Effect"])] if generic else [pick(rng, words)]
    heads += list(pick(rng, ends)) if spread == "ci" else [pick(rng, SE)]
    heads += ["measure"] if generic else []
    rows, truth = [], Numbers()
    for study in studies:
        log, se = round(float(rng.normal(0, 0.6)), 4), round(float(rng.uniform(0.1, 0.5)), 4)
        ratio = measure in RATIOS
        estimate = round(float(np.exp(log)), 3) if ratio else log
        row = [study, agent, "placebo", _number(estimate)]
        if spread == "ci":
            low, high = log - 1.959964 * se, log + 1.959964 * se
            low, high = (np.exp(low), np.exp(high)) if ratio else (low, high)
            row += [_number(round(float(low), 4)), _number(round(float(high), 4))]
        else:
            row += [_number(se)]
        rows.append([*row, *([measure] if generic else [])])
        truth[_key(study, "", agent, float("nan"), "estimate")] = np.log(estimate) if ratio else log
        truth[_key(study, "", agent, float("nan"), "se")] = se
    settings = [] if spread == "se" else ["ci_level=0.95"]
    return Invented(heads, rows, truth, f"contrasts/{measure}/{spread}", settings)


#: Columns that no reading needs: their heading, and how their cells come about.
EXTRAS = (
    "Year", "Mean age", "Age (SD)", "Female n", "N female", "Country", "Follow-up (weeks)", "notes",
    "Risk of bias", "Baseline mean", "Baseline SD", "Dropouts", "n lost", "p value", "% female",
    "Total N of study", "weight", "N screened", "Duration", "Adverse events", "Serious AE (n)",
    "Mean BMI", "Phase", "Blinding", "ITT", "Sponsor", "I2", "Log dose", "Median age",
    "Withdrawals",
)  # fmt: skip


def with_extra(rng: np.random.Generator, table: Invented) -> tuple[Invented, str]:
    """A table with a column of something else."""
    heading = pick(rng, EXTRAS)
    at = int(rng.integers(len(table.headings) + 1))
    rows = []
    for row in table.rows:
        text = {
            "Year": str(rng.integers(1990, 2024)), "Country": pick(rng, ["Iran", "France"]),
            "notes": pick(rng, ["", "see text", "ITT"]), "Risk of bias": pick(rng, ["low", "high"]),
            "Blinding": "double", "ITT": pick(rng, ["yes", "no"]), "Sponsor": "university",
            "p value": f"{rng.uniform():.3f}", "Phase": str(rng.integers(2, 4)),
        }.get(heading)  # fmt: skip
        if text is None:
            whole = rng.random() < 0.9 and heading not in ("Mean age", "Age (SD)", "Mean BMI")
            text = str(rng.integers(1, 18)) if whole else f"{rng.uniform(5, 60):.1f}"
        rows.append([*row[:at], text, *row[at:]])
    headings = [*table.headings[:at], heading, *table.headings[at:]]
    return Invented(headings, rows, table.truth, table.layout, table.settings), heading


def decorated(rng: np.random.Generator, table: Invented) -> bytes:
    """A table as a file: marks, blank rows and columns, titles, footnotes, encodings."""
    headings, rows = list(table.headings), [list(row) for row in table.rows]
    delimiter = pick(rng, [",", ",", ";", "\t"])
    if delimiter != "," and rng.random() < 0.4:
        rows = [[c.replace(".", ",") if _is_decimal(c) else c for c in row] for row in rows]
    if rng.random() < 0.2:
        rows = [[c.replace("-", "\u2212") if _is_decimal(c) else c for c in row] for row in rows]
    if rng.random() < 0.3:
        rows = [[pick(rng, [c, f" {c}", f"{c}\u00a0"]) for c in row] for row in rows]
    if rng.random() < 0.2 and len(headings) > 2:
        headings, rows = [*headings, ""], [[*row, ""] for row in rows]
    lines = [headings, *rows]
    width = len(headings)
    if rng.random() < 0.2:
        lines.insert(int(rng.integers(1, len(lines))), [""] * width)
    if rng.random() < 0.15:
        lines.insert(0, ["Table 2. Results of the trials", *[""] * (width - 1)])
    if rng.random() < 0.15:
        lines.append(["* intention to treat", *[""] * (width - 1)])

    def cell(text: str) -> str:
        if delimiter in text or '"' in text or rng.random() < 0.05:
            return '"' + text.replace('"', '""') + '"'
        return text

    end = pick(rng, ["\n", "\r\n"])
    text = end.join(delimiter.join(cell(c) for c in line) for line in lines) + pick(rng, ["", end])
    return text.encode(pick(rng, ["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
                       if "\u2212" not in text else "utf-8")  # fmt: skip


def _is_decimal(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


LAYOUTS = (long_table, wide_table, contrast_table)
