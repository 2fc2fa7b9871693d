"""Bias adjustment, and the certainty of evidence: gaps, extrapolation, GRADE domains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks import PRIOR_ONLY
from nmda_bayes.checks.prior_influence import NO_TRIAL
from nmda_bayes.components.bias import BIASES
from nmda_bayes.dims import AGENT, ARM, OUTCOME
from nmda_bayes.estimands.effects import bias_adjusted_effects
from nmda_bayes.evidence.frequentist import EFFECT_COLUMNS
from nmda_bayes.evidence.grade import DOMAIN, grade_cells
from nmda_bayes.figures import plot_bias_adjustment
from nmda_bayes.intervals import credible_interval
from nmda_bayes.report.blocks import (
    Block,
    Heading,
    Items,
    Table,
    Text,
    build_table,
    fold_table,
    section,
)
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.format import (
    CRI,
    capitalise,
    count_noun,
    display_name,
    format_draws,
    format_exact,
    format_prior,
    format_probability,
    format_range,
    join_words,
    list_some,
)

# --- Bias adjustment -----------------------------------------------------------------------------


@section("bias", "Bias adjustment", 100)
def bias_section(report: ReportContext) -> Iterator[Block]:
    """The bias models of each outcome, and effects with and without adjustment."""
    adjusted = [outcome for outcome, part in report.outcomes.items() if part.bias.given]
    if not adjusted:
        return
    yield Text(
        "Bias models shift what trial arms report, not the dose-response curve: all effects in this"
        " report are adjusted for bias, as far as the data and priors determine it. For an"
        " unadjusted analysis remove [outcomes.X.bias] from the spec."
    )
    for outcome in adjusted:
        yield Heading(report.title(outcome))
        bias = report.outcomes[outcome].bias
        yield Items(tuple(_bias_sentence(report, outcome, name) for name in bias.given))
        if bias.priors:
            yield _bias_parameter_table(report, outcome)
        if bias.given != ["power"]:
            yield from _adjusted_effects(report, outcome)


def _bias_sentence(report: ReportContext, outcome: str, name: str) -> str:
    describe = BIAS_DATA[name]
    sentences = (
        BIASES[name].about,
        describe(report, outcome),
        getattr(report.outcomes[outcome].bias, name).why,
    )
    return " ".join(filter(None, sentences))


def _risk_of_bias_data(report: ReportContext, outcome: str) -> str:
    counts = _by_study(report, outcome, "judgement").value_counts()
    judgements = (f"{display_name(str(level))} {count}" for level, count in counts.items())
    return f"Risk of bias of the trials: {join_words(judgements)}."


def _power_data(report: ReportContext, outcome: str) -> str:
    counts = _by_study(report, outcome, "weight").value_counts()
    weights = (
        f"{count_noun(int(count), 'trial')} at {weight:g}" for weight, count in counts.items()
    )
    return f"Fixed weights: {join_words(weights)}."


def _by_study(report: ReportContext, outcome: str, column: str) -> pd.Series:
    design = report.design(outcome)
    values = pd.Series(design[column].to_numpy(), index=design["study"].to_numpy())
    return values.groupby(level=0).first()


def _unblinding_data(report: ReportContext, outcome: str) -> str:
    bias = report.outcomes[outcome].bias.unblinding
    assert bias is not None
    arms = report.design(outcome)[ARM].to_numpy()
    counted = set(report.design(bias.harm)[ARM].to_numpy())
    missing = sum(arm not in counted for arm in arms)
    return (
        f"The unblinding harm is {report.label(bias.harm)}, by its latent probability; {missing} of"
        f" {count_noun(len(arms), 'arm')} do not report it, and it is predicted from its curve at"
        " their exposure as for a new trial."
    )


def _selection_data(report: ReportContext, outcome: str) -> str:
    design, bias = report.design(outcome), report.outcomes[outcome].bias.selection
    assert bias is not None
    text = f"Steps of the one-sided p-value: {join_words(f'{step:g}' for step in bias.steps)}."
    study, exposure = design["study"].to_numpy(), design["exposure"].to_numpy()
    uncontrolled = len(set(study)) - len(set(study[exposure == 0]))
    if uncontrolled:
        trials = count_noun(uncontrolled, "trial")
        text += f" Publication of {trials} without an arm at dose 0 does not depend on the result."
    return text


def _small_study_data(report: ReportContext, outcome: str) -> str:
    errors = report.design(outcome)["contrast_se"].to_numpy()
    errors = errors[errors > 0]
    if not len(errors):
        return ""
    return (
        f"Standard errors {format_range(float(errors.min()), float(errors.max()))}; the adjusted"
        " effect is extrapolated to a trial without sampling error."
    )


BIAS_DATA: Final = {
    "small_study": _small_study_data,
    "risk_of_bias": _risk_of_bias_data,
    "unblinding": _unblinding_data,
    "selection": _selection_data,
    "power": _power_data,
}


def _bias_parameter_table(report: ReportContext, outcome: str) -> Table:
    compared = report.checks.identifiability.set_index("variable")
    posterior = report.fit["posterior"].to_dataset()
    rows = []
    for name, prior in report.outcomes[outcome].bias.priors.items():
        variable = report.variable(outcome, name)
        rows.append(
            {
                "parameter": name,
                "prior": format_prior(prior),
                f"posterior ({CRI})": format_draws(posterior[variable]),
                "overlap": format_probability(float(compared["overlap"][variable])),
                "conclusion": str(compared["conclusion"][variable]),
            }
        )
    caption = (
        f"{report.title(outcome)}: prior and posterior of the bias parameters. Overlap 1: unchanged"
        " by the data. 'Prior only': the size of the adjustment comes from the prior."
    )
    frame = pd.DataFrame(rows)
    return build_table(frame, caption, flagged=frame["conclusion"].str.startswith("prior"))


def _adjusted_effects(report: ReportContext, outcome: str) -> Iterator[Block]:
    """Effects with and without bias adjustment, as a figure and as a table."""
    results = bias_adjusted_effects(report.fit, outcome)
    agents = [report.agent(str(agent)) for agent in results[AGENT].to_numpy()]
    ends = pd.DataFrame({"label": agents})
    table = pd.DataFrame({"agent": agents, "trials": results["trials"], "arms": results["arms"]})
    titles = {"apparent": "as reported", "bias": "bias", "without": "adjusted"}
    for name, title in titles.items():
        draws = results[name]
        summary = credible_interval(draws)
        for suffix, end in (("", "median"), ("_low", "lower"), ("_high", "upper")):
            ends[name + suffix] = summary[end].to_numpy()
        table[f"{title} ({CRI})"] = [
            format_draws(draws.sel({AGENT: agent})) for agent in results[AGENT]
        ]
    scale = report.scale(outcome)
    caption = (
        f"{report.title(outcome)}, {scale}, vs {report.reference}: average over the reported arms"
        " at their doses. Hollow squares: as reported by such trials. Filled circles: adjusted for"
        f" bias. Medians and {CRI}s."
    )
    figure = plot_bias_adjustment(ends, axis=f"{report.label(outcome)}, {scale}")
    yield report.figures.add(figure, caption)
    caption = (
        f"{report.title(outcome)}: effects with and without bias adjustment. The median of a"
        " difference is not the difference of the medians."
    )
    yield build_table(table, caption)


# --- Certainty of evidence and gaps --------------------------------------------------------------

#: An exposure this many times its agent's median is flagged.
FAR_FACTOR: Final = 5.0
#: Exposures within this ratio count as one dose.
SAME_DOSE: Final = 1.1
MAX_EXAMPLES: Final = 6
FAST = re.compile(r"\b(?:push|bolus|injection|injected|rapid)\b", re.IGNORECASE)
SLOW = re.compile(r"\b(?:infusion|infused|over \d+|hours?|days?|continuous)\b", re.IGNORECASE)


@section("certainty", "Certainty of evidence and gaps", 150)
def certainty_section(report: ReportContext) -> Iterator[Block]:
    """Limitations computed from the data, trials by cell, and GRADE domains."""
    yield Text("Limitations that follow from the included data; affected results carry a remark.")
    yield Items(tuple(_limitations(report)))
    yield Heading("Trials by agent and condition")
    for outcome in report.outcomes:
        table = _trials_table(report, outcome)
        yield fold_table(table, f"{report.title(outcome)}: {len(table.rows)} conditions")
    yield from grade_domains(report)


def _trials_table(report: ReportContext, outcome: str) -> Table:
    counts = {
        report.condition(condition): [
            report.n_trials(outcome, agent, condition) for agent in report.agents
        ]
        for condition in report.conditions
    }
    agents = [report.agent(agent) for agent in report.agents]
    frame = pd.DataFrame.from_dict(counts, orient="index", columns=agents).replace(0, "none")
    frame = frame.rename_axis("condition").reset_index()
    caption = f"{report.title(outcome)}: number of trials. 'none': no trial (evidence gap)."
    return build_table(frame, caption)


def _limitations(report: ReportContext) -> Iterator[str]:
    if not report.checks.passed:
        yield "Convergence checks failed: the results in this report are not valid."
    for outcome in report.outcomes:
        yield from _gaps(report, outcome)
    for outcome in report.dose_outcomes:
        yield from _tested_ranges(report, outcome)
    yield from _dose_axis_problems(report)
    for conclusion, text in (
        (PRIOR_ONLY, "Prior only (the data were uninformative)"),
        (NO_TRIAL, "No trials, predicted from other agents and the prior"),
    ):
        if names := report.parameters_with(conclusion):
            yield f"{text}: {join_words(names)}."
    for outcome in report.outcomes:
        yield from _sparse_data(report, outcome)
        yield from _sources(report, outcome)


def _gaps(report: ReportContext, outcome: str) -> Iterator[str]:
    title, total = report.title(outcome), len(report.agents) * len(report.conditions)
    empty = int((report.dose_range["trials"].sel({OUTCOME: outcome}) == 0).sum())
    if empty and total > 1:
        yield f"{title}: {empty} of {total} agent-condition pairs have no trials (predicted)."
    untested = [agent for agent in report.agents if not report.n_trials(outcome, agent)]
    if untested:
        yield (
            f"{title}: no trials of {join_words(map(report.agent, untested), 'or')}; the curve is"
            " predicted from other agents and the prior."
        )
    uncontrolled = [
        report.agent_in(agent, condition)
        for agent in report.agents
        for condition in report.conditions
        if report.n_trials(outcome, agent, condition)
        and not report.n_controlled(outcome, agent, condition)
    ]
    if uncontrolled:
        yield (
            f"{title}: no trial against {report.reference} of {join_words(uncontrolled)}; trials"
            " there compare doses, routes or agents and inform the effect only through the curve."
        )


def _tested_ranges(report: ReportContext, outcome: str) -> Iterator[str]:
    ranges: dict[str, list[str]] = {}
    for agent in report.agents:
        for condition in report.conditions:
            doses = report.tested_range(outcome, agent, condition)
            if np.isnan(doses[0]):
                continue
            low, high = (report.dose_text(outcome, agent, dose) for dose in doses)
            only = f"{low} (one dose)" if low == high else f"{low} to {high}"
            named = report.condition(condition) if len(report.conditions) > 1 else ""
            ranges.setdefault(report.agent(agent), []).append(f"{named} {only}".strip())
    for agent, texts in ranges.items():
        yield (
            f"{report.title(outcome)}, tested doses of {agent}: {'; '.join(texts)}. Extrapolated"
            f" above{', and where no condition is named' if len(report.conditions) > 1 else ''}."
        )


def _dose_axis_problems(report: ReportContext) -> Iterator[str]:
    """Where one number per dose hides differences between regimens."""
    columns = ["arm", "agent", "regimen", "exposure"]
    frames = [
        pd.DataFrame({column: report.design(outcome)[column].to_numpy() for column in columns})
        for outcome in report.dose_outcomes
    ]
    if not frames:
        return
    active = pd.concat(frames).drop_duplicates("arm").query("exposure > 0")
    for agent, arms in active.groupby("agent"):
        name = f"Dose axis, {report.agent(str(agent))}"
        median = float(arms["exposure"].median())
        far = arms[arms["exposure"] > FAR_FACTOR * median]
        far = far.sort_values("exposure", ascending=False)
        if not far.empty:
            examples = (
                f"{arm} ({format_exact(float(exposure))})"
                for arm, exposure in zip(far["arm"], far["exposure"], strict=True)
            )
            unit = " × reference" if report.relative else ""
            yield (
                f"{name}: {count_noun(len(far), 'arm is', 'arms are')} more than {FAR_FACTOR:g}"
                f" times the agent's median of {format_exact(median)}{unit}"
                f" ({list_some(examples, MAX_EXAMPLES, '; ')}). Totals over days share the axis"
                " with single doses and influence the upper end of the curve."
            )
        pairs = _fast_and_slow_arms(arms)
        if pairs:
            yield (
                f"{name}: one dose was given rapidly in some trials and slowly in others"
                f" ({'; '.join(pairs[:3])}). The axis does not distinguish them, although peak"
                " concentrations differ."
            )


def _fast_and_slow_arms(arms: pd.DataFrame) -> list[str]:
    regimen = arms["regimen"].fillna("").astype(str)
    slow = regimen.str.contains(SLOW)
    fast = regimen.str.contains(FAST) & ~slow
    exposure = arms["exposure"].astype(float)
    pairs = []
    for arm, dose in zip(arms.loc[fast, "arm"], exposure[fast], strict=True):
        ratio = exposure / dose
        same = arms[slow & (ratio < SAME_DOSE) & (ratio > 1 / SAME_DOSE)]
        if not same.empty:
            pairs.append(f"{arm} and {same['arm'].iloc[0]} at {format_exact(dose)}")
    return pairs


def _sparse_data(report: ReportContext, outcome: str) -> Iterator[str]:
    title = report.title(outcome)
    if any(form.counts for form in report.observed(outcome)):
        events = report.design(outcome)["events"].to_numpy()
        without = int(np.sum(events == 0))
        if events.sum() == 0:
            yield (
                f"{title}: no event in any arm. The data bound the risk only from above; ratios"
                " come from the prior."
            )
        if silent := report.silent_trials(outcome):
            yield (
                f"{title}: in {count_noun(len(silent), 'trial')} nobody had the event, or everybody"
                f" ({list_some(silent, MAX_EXAMPLES)}): they say nothing about the effect."
            )
        if without and events.sum() > 0:
            yield (
                f"{title}: {without} of {count_noun(events.size, 'arm')} had no event; they are"
                " included without a continuity correction."
            )
    single = [
        report.agent_in(agent, condition)
        for agent in report.agents
        for condition in report.conditions
        if report.n_trials(outcome, agent, condition) == 1
    ]
    if single:
        yield f"{title}: a single trial informs {list_some(single, MAX_EXAMPLES, '; ')}."


def _sources(report: ReportContext, outcome: str) -> Iterator[str]:
    design, title = report.design(outcome), report.title(outcome)
    if "provenance" not in design:
        return
    texts = {
        column: pd.Series(design[column].to_numpy()).fillna("").astype(str)
        for column in ("provenance", "dose_note")
        if column in design
    }
    counts = texts["provenance"][texts["provenance"] != ""].value_counts()
    if len(counts) > 1:
        sources = join_words(f"{n} {display_name(str(source))}" for source, n in counts.items())
        yield f"{title}: sources of the arms' numbers: {sources}."
    noted = int((texts["dose_note"] != "").sum()) if "dose_note" in texts else 0
    if noted:
        doses = count_noun(noted, "dose has", "doses have")
        yield f"{title}: {doses} a note on how it was derived (see Included data)."


# --- GRADE domains -------------------------------------------------------------------------------

GRADED: Final = ("inconsistency", "imprecision", "publication_bias")


def grade_domains(report: ReportContext) -> Iterator[Block]:
    """What can be computed of the GRADE domains, without the model."""
    tables = [table for o in report.outcomes if (table := _grade_table(report, o)) is not None]
    if not tables:
        return
    yield Heading("GRADE domains")
    yield Text(
        "Computed from the trials alone by random-effects meta-analysis (DerSimonian and Laird) of"
        " each agent vs the reference over all its doses, without dose-response curve or prior: the"
        " numbers differ from those of the model. Doses of one trial are averaged, and so are their"
        " variances (conservative). Intervals are 95% confidence intervals. Risk of bias and"
        " indirectness need judgement; no level of certainty is assigned."
    )
    yield from (fold_table(table, table.caption) for table in tables)


def _grade_table(report: ReportContext, outcome: str) -> Table | None:
    effects = _effects_by_trial(report, outcome)
    if effects.empty:
        return None
    agents = [agent for agent in report.agents if agent in set(effects["agent"])]
    cells = xr.DataArray(
        np.zeros((len(agents), 1)),
        coords={AGENT: np.array(agents, object), OUTCOME: np.array([outcome], object)},
    )
    window = report.spec.window
    important = {outcome: window.benefit_at_least} if window and window.benefit == outcome else {}
    unit = report.outcomes[outcome].unit
    measure = report.link(outcome).effect or (f"difference, {unit}" if unit else "difference")
    scale = (measure, "md")
    grades = grade_cells(effects, cells, None, important, scale).isel({OUTCOME: 0})
    frame = pd.DataFrame(
        {
            "agent": [capitalise(report.agent(agent)) for agent in agents],
            "trials": grades["trials"],
            **{d.replace("_", " "): grades["text"].sel({DOMAIN: d}) for d in GRADED},
        }
    )
    return build_table(frame, f"{report.title(outcome)}: GRADE domains.")


def _effects_by_trial(report: ReportContext, outcome: str) -> pd.DataFrame:
    """One effect per trial and agent against the reference, with the columns of trial effects."""
    effects, design = report.effects[outcome], report.design(outcome)
    at_zero = design.isel({ARM: np.flatnonzero(design["exposure"].to_numpy() == 0)})
    references = set(zip(at_zero["study"].to_numpy(), at_zero["agent"].to_numpy(), strict=True))
    columns = ("study", "agent", "comparator", "raw", "raw_se")
    rows = pd.DataFrame({column: effects[column].to_numpy() for column in columns})
    pairs = zip(rows["study"], rows["comparator"], strict=True)
    controlled = np.array([pair in references for pair in pairs], dtype=bool)
    rows = rows[controlled & rows["agent"].isin(report.agents)]
    rows = rows.assign(md=rows["raw"], **{"md: v": rows["raw_se"] ** 2})
    by_trial = rows.groupby(["study", "agent"], as_index=False)[["md", "md: v"]].mean()
    complete = by_trial.assign(
        outcome=outcome, kind="continuous", people=0, crossover=False, note=""
    )
    return complete.reindex(columns=EFFECT_COLUMNS)
