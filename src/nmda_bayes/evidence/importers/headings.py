"""What a column's heading says: its role, the outcome or group it belongs to, its unit.

Case, blanks and punctuation make no difference. A heading may state more than a role: an outcome
(``Pain mean``), a unit (``Dose (mg/kg)``, ``week``), a scale (``Pain (0-10) mean``), the measure of
an effect (``OR``), the level of an interval (``95% CI lower``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from nmda_bayes.evidence.flat_schema import ARM_COLUMNS, FLAT_COLUMNS, STUDY_COLUMNS

#: Headings by role, separated by ``|``; those of a later line count only without the earlier.
ALIASES: dict[str, tuple[str, ...]] = {
    "study": (
        "study|trial|studlab|study name|trial name|study label|trial label|study id|trial id|slab|"
        "study acronym|trial acronym|study title|study author|study authors|author year|rct|"
        "author and year|study year|first author and year|study reference|studies|trials",
        "author|authors|first author|reference|publication|paper|article",
        "id|name|study no|study number|trial no|trial number|study code|trial code",
    ),
    "agent": (
        "agent|treatment|treat|trt|drug|intervention|therapy|medication|compound|treatment name|"
        "drug name|active treatment|treatments|agents|drugs|study drug|substance|agent name|"
        "intervention name|interventions|molecule",
        "arm|group|treatment group|treatment arm|study arm|study group|intervention group|"
        "trial arm|allocation|arm name|group name|randomised group|randomized group|"
        "assigned treatment|intervention arm|allocated treatment|exposure group|armlabel|arm label",
        "t",
    ),
    "comparator": (
        "comparator|comparison|control|versus|vs|compared with|compared to|reference treatment|"
        "control treatment|comparator treatment|control group|comparator group|comparator name|"
        "comparator drug|comparator agent|comparator arm|control arm|reference agent",
    ),
    "events": (
        "events|event|number of events|no of events|n events|events n|number with event|"
        "n with event|no with event|with event|patients with event|people with event|"
        "participants with event|event count|count of events|n event|num events|total events|"
        "event n|patients with events|"
        "number with events|n with events|number of patients with event|subjects with event",
        "responders|responder|number of responders|n responders|no of responders|cases|"
        "number of cases|n cases|r|nevents|successes|number responding|responded|count|counts",
        "x|xi",
    ),
    "n": (
        "n|total|n total|total n|sample size|n analysed|n analyzed|number analysed|number analyzed|"
        "analysed|analyzed|number of patients|number of participants|number of subjects|"
        "number of people|no of patients|no of participants|patients|participants|subjects|people|"
        "total number|n patients|n participants|n subjects|denominator|size|group size|arm size|"
        "number in group|number in arm|total patients|total participants|ntotal|num patients|nobs|"
        "total sample|sample|patients n|participants n|number|total no|n arm|no patients|n in arm|"
        "total in arm|total in group|n at risk|number at risk|n per arm|n per group|npatients",
        "n randomised|n randomized|number randomised|number randomized|randomised|randomized|"
        "total randomised|total randomized|no randomised|no randomized|itt|n itt|itt n|"
        "patients randomised|patients randomized|participants randomised|participants randomized",
        "ni",
    ),
    "mean": (
        "mean|average|avg|mean score|mean value|score mean|mean outcome|sample mean|mean response|"
        "arithmetic mean|group mean|arm mean|mean level",
    ),
    "sd": (
        "sd|std dev|stdev|std|standard deviation|s d|std deviation|stddev|st dev|sd score|"
        "sd of mean|sample sd|sd mean|standard dev",
    ),
    "se": (
        "se|std err|std error|standard error|sem|stderr|s e|s e m|se of mean|se mean|"
        "standard error of the mean|standard error of mean|se estimate|se effect|sete|se te|"
        "standard err|st err|se diff|se of estimate|se of effect|se es|se md|se smd|sei|"
        "standard error of estimate",
    ),
    "variance": (
        "variance|var|sampling variance|vi|variance of effect|var es|v|var effect size|"
        "vareffsize|variance of estimate",
    ),
    "median": ("median|med|median score|median value|score median",),
    "q1": (
        "q1|lower quartile|first quartile|25th percentile|25 percentile|p25|q25|iqr lower|iqr low|"
        "lower iqr|quartile 1|25th centile|25",
    ),
    "q3": (
        "q3|upper quartile|third quartile|75th percentile|75 percentile|p75|q75|iqr upper|iqr high|"
        "upper iqr|quartile 3|75th centile|75",
    ),
    "iqr": ("iqr|interquartile range|inter quartile range|quartiles|q1 q3",),
    "min": ("min|minimum|smallest|min value|lowest value",),
    "max": ("max|maximum|largest|max value|highest value",),
    "range": ("range|min max",),
    "change_mean": (
        "change mean|mean change|change|change from baseline|mean change from baseline|delta|"
        "change score|mean change score|change from baseline mean|mean difference from baseline",
    ),
    "change_sd": (
        "change sd|sd change|sd of change|standard deviation of change|change from baseline sd|"
        "sd change from baseline|sd of the change|mean change sd|change score sd",
    ),
    "pre_mean": ("pre mean|baseline mean|mean baseline|mean pre|mean at baseline|baseline",),
    "pre_sd": ("pre sd|baseline sd|sd baseline|sd pre|sd at baseline",),
    "post_mean": ("post mean|mean post|final mean|mean final|endpoint mean|mean endpoint",),
    "post_sd": ("post sd|sd post|final sd|sd final|endpoint sd|sd endpoint",),
    "estimate": (
        "estimate|effect|effect size|es|te|point estimate|coef|coefficient|beta|effect estimate|"
        "treatment effect|yi|pooled effect|d i|g i",
    ),
    "p": ("p|p value|pvalue|pval|p val",),
    "t": ("t value|t stat|t statistic|tvalue|tval",),
    "person_time": (
        "person time|person years|patient years|person days|patient days|time at risk|persontime|"
        "personyears|exposure time|py|person months|patient months|person years at risk",
    ),
    "dose": (
        "dose|dosage|dose level|daily dose|dose per day|dose given|dose of agent|drug dose|amount|"
        "treatment dose|dose amount|dose value|agent dose|total daily dose",
    ),
    "dose_unit": ("dose unit|unit of dose|units|dose units|unit",),
    "condition": (
        "condition|diagnosis|disease|indication|disorder|patient condition|clinical condition|"
        "pain condition|patient population|medical condition",
    ),
    "outcome": (
        "outcome|endpoint|outcome name|outcome measure|end point|outcome measured|endpoint name|"
        "outcome type|measured outcome",
    ),
    "measure": ("measure|effect measure|sm|summary measure|type of effect|effect type|metric",),
    "route": ("route|route of administration|administration route|administration",),
    "time": (
        "time|time point|timepoint|follow up time|followup time|time of assessment|follow up|"
        "followup|assessment time|time since treatment|visit|time after treatment|measured at",
    ),
    "year": ("year|pub year|publication year|year of publication|pubyear|yr|date|published",),
}

#: Measures by the heading of the column of effects.
MEASURES: dict[str, str] = {
    "OR": "or|odds ratio|oddsratio|aor|adjusted or|adjusted odds ratio|adj or|peto or",
    "RR": "rr|risk ratio|relative risk|riskratio|arr|adjusted rr|adjusted risk ratio|adjrr|adj rr",
    "HR": "hr|hazard ratio|hazardratio|hazards ratio|ahr|adjusted hr|adjusted hazard ratio|adj hr",
    "IRR": "irr|rate ratio|incidence rate ratio|incidence ratio|airr",
    "RD": "rd|risk difference|absolute risk difference",
    "MD": "md|mean difference|difference in means|wmd|weighted mean difference|mean diff|"
    "difference of means",
    "SMD": "smd|standardised mean difference|standardized mean difference|cohens d|cohen s d|"
    "hedges g|hedges s g|cohen d|hedge g|std mean difference|std mean diff",
    "log_OR": "logor|log or|lnor|ln or|log odds ratio|ln odds ratio|lor|log o r",
    "log_RR": "logrr|log rr|lnrr|ln rr|log risk ratio|log relative risk|ln risk ratio|"
    "ln relative risk",
    "log_HR": "loghr|log hr|lnhr|ln hr|log hazard ratio|ln hazard ratio|l hr",
    "log_IRR": "logirr|log irr|lnirr|ln irr|log rate ratio|ln rate ratio|log incidence rate ratio",
    "log_ROM": "logrom|log rom|lnrom|log ratio of means|lrr means",
}

_MEASURE_NAMES = {name for names in MEASURES.values() for name in names.split("|")}

#: Roles that are results, and may be those of one outcome or group.
RESULT_ROLES = (
    "events", "n", "mean", "sd", "se", "variance", "median", "q1", "q3", "iqr", "min", "max",
    "range", "change_mean", "change_sd", "pre_mean", "pre_sd", "post_mean", "post_sd", "estimate",
    "ci_low", "ci_high", "interval", "person_time", "p", "t",
)  # fmt: skip
#: Roles without which a result is lost; the others only describe one.
_STATISTIC_ROLES = tuple(role for role in RESULT_ROLES if role not in ("n", "p", "t"))
#: Roles whose numbers are counts.
COUNT_ROLES = ("events", "n")
#: Roles whose cells are numbers.
NUMBER_ROLES = (*RESULT_ROLES, "dose", "comparator_dose", "ci_level", "time_hours")
#: Roles that are no flat column; they become others.
DERIVED_ROLES = ("variance", "iqr", "range", "interval", "time", "year", "dose_unit")
#: Roles that a user may name.
KNOWN_ROLES = dict.fromkeys((*FLAT_COLUMNS, *STUDY_COLUMNS, *ARM_COLUMNS, *ALIASES, "interval"))

#: Statistics that may stand before or after the name of an outcome; the longest first.
_STATISTICS = (*(role for role in RESULT_ROLES if role in ALIASES),)
#: Single words that are too vague to be a statistic of an outcome.
_VAGUE = {
    "count", "counts", "number", "size", "sample", "x", "xi", "ni", "v", "t", "p", "change",
    "delta", "baseline", "effect", "es", "te", "25", "75", "range", "cases", "people", "total no",
    "estimate", "analysed", "analyzed", "case", "beta",
}  # fmt: skip

_LOW = {
    "low",
    "lower",
    "lo",
    "lcl",
    "ll",
    "lb",
    "lci",
    "l",
    "cil",
    "lwr",
    "cilow",
    "cilower",
    "lo95",
}
_HIGH = {
    "high",
    "upper",
    "up",
    "ucl",
    "ul",
    "ub",
    "uci",
    "u",
    "ciu",
    "upr",
    "cihigh",
    "ciupper",
    "hi",
}
_CI_NOISE = {
    "ci", "cl", "limit", "bound", "conf", "confidence", "interval", "of", "the", "end", "level",
    "%", "95", "90", "99", "95ci", "credible", "limits", "cri", "ci95", "pct", "percent", "975",
}  # fmt: skip
_CI_WORDS = {"ci", "95ci", "ci95", "confidence", "interval", "credible", "cri", "conf"}

#: Hours of the units of time.
HOURS: dict[str, float] = {
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 168.0),
    **dict.fromkeys(("mo", "month", "months", "mths"), 730.5),
}
_MASS = r"(?:ng|µg|μg|ug|mcg|mg|g|kg|iu|units?|mmol|µmol|umol|nmol|ml)"
DOSE_UNIT = re.compile(
    rf"{_MASS}(?:\s?(?:/|per|_per_|_)\s?(?:kg|m2|day|d|h|hr|hour|min|week|wk|dose|ml|l|lb))*",
    re.IGNORECASE,
)
_SCALE = re.compile(r"(?:\D*\s)?(-?\d+(?:\.\d+)?)\s*(?:-|\u2013|to)\s*(\d+(?:\.\d+)?)\D*")
#: A heading that counts people by what they have.
_COUNTED = re.compile(
    r"(?:number|no|n|patients|people|participants|subjects)(?: of)?"
    r"(?: patients| people| participants| subjects)? (?:with|having|reporting|who had) (.+)"
)
#: Characteristics of people and trials, which are no outcome.
CHARACTERISTICS = {
    "age", "weight", "body weight", "bmi", "height", "sex", "female", "male", "duration", "dose",
    "men", "women", "males", "females", "smokers", "follow up", "year", "disease duration",
    "treatment duration", "body mass index",
}  # fmt: skip
#: Words for a part of the people in an arm, who are counted in a column of their own.
PARTS = {
    "all", "total", "overall", "randomised", "randomized", "analysed", "analyzed", "itt",
    "enrolled",
    "per protocol", "baseline", "completers", "completed", "screened", "eligible", "included",
    "excluded", "started", "treated", "arm", "group", "safety", "follow up", "end", "lost",
}  # fmt: skip
_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]")


@dataclass(frozen=True, slots=True)
class Heading:
    """What a heading says; `label`: the outcome or group; `tier`: how plain the role is."""

    column: str
    role: str = ""
    tier: int = 0
    label: str = ""
    unit: str = ""
    measure: str = ""
    level: str = ""
    scale: tuple[str, str] | None = None

    @property
    def canonical(self) -> bool:
        """Whether the heading is the flat column itself."""
        return self.column == self.role


def states_result(column: str) -> bool:
    """Whether a heading is that of a statistic of an outcome, or of a dose."""
    heading = parse_heading(column)
    return heading.role in (*_STATISTIC_ROLES, "dose") and (
        heading.label.casefold() not in CHARACTERISTICS
    )


def _words(text: str) -> list[str]:
    """The words of a heading, in their case."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    return re.findall(r"%|[^\W_]+", parted)


@cache
def _phrases() -> dict[str, tuple[str, int, str]]:
    """Role, tier and measure of each phrase."""
    phrases: dict[str, tuple[str, int, str]] = {}
    for role, tiers in ALIASES.items():
        for tier, names in enumerate(tiers, start=1):
            for name in names.split("|"):
                phrases.setdefault(name, (role, tier, ""))
    for measure, names in MEASURES.items():
        for name in names.split("|"):
            phrases.setdefault(name, ("estimate", 2, measure))
            for prefix in ("se", "se of", "sei"):
                phrases.setdefault(f"{prefix} {name}", ("se", 2, measure))
            phrases.setdefault(f"se{name}", ("se", 2, measure))
            phrases.setdefault(f"var{name}", ("variance", 2, measure))
            phrases.setdefault(f"var {name}", ("variance", 2, measure))
    for name in (*FLAT_COLUMNS, *STUDY_COLUMNS, *ARM_COLUMNS):
        phrases[name.replace("_", " ")] = (name, 1, "")
    # Not the flat column of that name, where a table has no agent.
    phrases["arm"] = ("agent", 2, "")
    phrases["t"] = ("agent", 3, "")
    for phrase in list(phrases):
        if " " in phrase and len(phrase) > 4:
            phrases.setdefault(phrase.replace(" ", ""), phrases[phrase])
    return phrases


@cache
def parse_heading(column: str) -> Heading:
    """What a heading says."""
    if column in FLAT_COLUMNS or column in STUDY_COLUMNS or column in ARM_COLUMNS:
        return Heading(column, column)
    brackets = _BRACKETS.findall(column)
    text = _BRACKETS.sub(" ", column)
    unit = ", ".join(part.strip() for part in brackets if part.strip())
    named, _, after = text.rpartition(",")
    if named and DOSE_UNIT.fullmatch(after.strip()):
        text, unit = named, unit or after.strip()
    words = _words(text)
    heading = _of_words(column, words, unit) if words else Heading(column, unit=unit)
    if words and not heading.role and " ".join(_words(unit.casefold())) in _statistics():
        # 'Pain (SD)', 'Death (events)'
        heading = _of_words(column, [*words, *_words(unit)], "")
    scale = _SCALE.fullmatch(unit)
    if scale and heading.role:
        heading = replace(heading, scale=(scale[1], scale[2]))
    return heading


def _of_words(column: str, words: list[str], unit: str) -> Heading:
    folded = [word.casefold() for word in words]
    phrase = " ".join(folded)
    known = _phrases().get(phrase)
    if phrase == "follow up" and unit.casefold().strip(" .") in HOURS:
        known = None
    if known is not None and known[0] != "time":
        role, tier, measure = known
        if role == "iqr" and _looks_like(unit, _LOW):
            role = "q1"
        level = _level(unit)
        return Heading(column, role, tier, unit=unit, measure=measure, level=level)
    hours = _time(folded, unit)
    if hours:
        return Heading(column, "time", 1, unit=hours)
    if known is not None:
        return Heading(column, "time", 1)
    dose = re.fullmatch(r"(?:daily )?(?:dose|dosage|dosing) (.+)", phrase)
    if dose and DOSE_UNIT.fullmatch(dose[1].replace(" ", "/")):
        return Heading(column, "dose", 1, unit=unit or dose[1].replace(" ", "/"))
    counted = _COUNTED.fullmatch(phrase)
    if counted:
        label = " ".join(words[-len(counted[1].split()) :])
        return Heading(column, "events", 1, label, unit)
    return _interval(column, words, folded, unit) or _of_outcome(column, words, folded, unit)


def _looks_like(text: str, words: set[str]) -> bool:
    return bool(set(map(str.casefold, _words(text))) & words)


def _level(text: str) -> str:
    match = re.search(r"\b(8\d|9\d(?:\.\d)?)\s?%?(?:\s?ci)?", text, re.IGNORECASE)
    return match[1] if match else ""


def _time(words: list[str], unit: str) -> str:
    """The unit of a heading of time; blank if it is none."""
    rest = [word for word in words if word not in HOURS]
    units = [word for word in words if word in HOURS]
    unit = unit.casefold().strip(" .")
    about_time = _phrases().get(" ".join(rest), ("",))[0] in ("time", "follow_up")
    if not rest and len(units) == 1 and len(units[0]) > 1 and units[0] != "min":
        return units[0]
    if about_time and len(units) == 1:
        return units[0]
    if about_time and unit in HOURS:
        return unit
    return ""


def _interval(column: str, words: list[str], folded: list[str], unit: str) -> Heading | None:
    """An end of an interval, or an interval in one cell."""
    text = [*folded, *(word.casefold() for word in _words(unit))]
    level = next((word[:2] for word in text if re.match(r"9[059](ci)?$", word)), "")
    level = level or ("95" if {"lo95", "ci95"} & set(text) else "")
    low, high = set(text) & _LOW, set(text) & _HIGH
    about_ci = bool(set(text) & _CI_WORDS)
    rest = [
        word
        for word, fold in zip(words, folded, strict=True)
        if fold not in _LOW | _HIGH | _CI_NOISE and fold not in _MEASURE_NAMES
    ]
    if rest and not _label(rest):
        return None
    vague = {"l", "u", "low", "high", "up", "lo", "hi"}
    if len(low) + len(high) == 1:
        if rest and not about_ci and (low | high) <= vague | {"lower", "upper"}:
            return None
        if (low | high) <= {"l", "u"} and not about_ci:
            return None
        role = "ci_low" if low else "ci_high"
        return Heading(column, role, 2, " ".join(rest), unit, "", level)
    if about_ci and not low and not high and {"ci", "interval", "cri", "95ci", "ci95"} & set(text):
        return Heading(column, "interval", 2, " ".join(rest), unit, "", level)
    return None


def _of_outcome(column: str, words: list[str], folded: list[str], unit: str) -> Heading:
    """A statistic of an outcome or a group, before or after its name."""
    statistics = _statistics()
    for size in range(min(_LONGEST, len(words) - 1), 0, -1):
        for rest, matched in ((words[:-size], folded[-size:]), (words[size:], folded[:size])):
            role = statistics.get(" ".join(matched), "")
            label = _label(rest) if role else []
            if label:
                return Heading(column, role, 1, " ".join(label), unit)
    return Heading(column, unit=unit)


#: The most words of a statistic.
_LONGEST = 6


@cache
def _statistics() -> dict[str, str]:
    """The role of each phrase that is a statistic of an outcome."""
    return {
        phrase: role
        for phrase, (role, _, measure) in _phrases().items()
        if role in _STATISTICS and not measure and phrase not in _VAGUE
    }


def _label(words: list[str]) -> list[str]:
    """The words that name an outcome, without those that only join; blank where none does."""
    joining = {"of", "with", "in", "for", "the", "at", "no", "number"}
    kept = list(words)
    while kept and kept[0].casefold() in joining:
        kept = kept[1:]
    while kept and kept[-1].casefold() in joining:
        kept = kept[:-1]
    named = any(len(word) > 1 and word[0].isalpha() for word in kept)
    return kept if named else []
