"""Effects by dose, trial and agent, their heterogeneity, and the borrowing of strength."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import READING
from nmda_bayes.dims import (
    AGENT,
    CONDITION,
    OUTCOME,
    OUTCOME_PAIR,
    PARAMETER_PAIR,
    SAMPLE,
    STRATUM,
    STUDY,
)
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import (
    compare_with_published,
    inconsistency,
    league_frame,
    league_table,
    outlier_probabilities,
    rank_agents,
    residual_deviance,
    subnetworks,
)
from nmda_bayes.estimands.fit_access import pools_baselines
from nmda_bayes.estimands.shrinkage import (
    CELL,
    SOURCE_CELL,
    has_controlled_comparison,
    main_source,
    shows_borrowing,
    shrinkage_by_cell,
)
from nmda_bayes.figures import (
    plot_dose_response,
    plot_forest,
    plot_league,
    plot_published_comparison,
    plot_ranks,
)
from nmda_bayes.report.blocks import (
    Block,
    Columns,
    Fold,
    Heading,
    Items,
    Table,
    Text,
    build_table,
    fold_table,
    section,
)
from nmda_bayes.report.context import ALL_CONDITIONS, ReportContext
from nmda_bayes.report.format import (
    CRI,
    MINUS,
    capitalise,
    count_noun,
    decapitalise,
    format_draws,
    format_effect,
    format_exact_percent,
    format_interval,
    format_percent,
    format_probability,
    join_words,
    parameter_words,
)
from nmda_bayes.report.tables import (
    added_risk_table,
    contrast_table,
    effect_table,
    effective_dose_table,
)

#: Panels of one figure of curves, and of these without a trial, at most.
MAX_PANELS, MAX_EMPTY_PANELS = 8, 2
#: Agents, with the reference, from which on there is more than one comparison.
MIN_AGENTS: Final = 3


@section("effects", "Effects", 70)
def effect_section(report: ReportContext) -> Iterator[Block]:
    """All effects of the analysis."""
    if report.dose_outcomes:
        yield Heading("Dose-response")
        yield from _dose_response_figures(report)
    for outcome in report.outcomes:
        yield from _outcome_blocks(report, outcome)
    doses = effective_dose_table(report)
    if not doses.empty:
        yield Heading("Effective doses")
        yield _effective_doses(report, doses)
    yield from _heterogeneity_blocks(report)
    yield from _outlier_blocks(report)
    yield from _borrowing_blocks(report)
    yield from _published_blocks(report)


# --- Dose-response -------------------------------------------------------------------------------


def _dose_response_figures(report: ReportContext) -> Iterator[Block]:
    caption = (
        f"Medians and {CRI}s over {report.axis}. Circles are trial arms, compared with the"
        " reference arm of their trial. Hatched: above the doses tested for the agent in the"
        " condition. Grey: no trials."
    )
    if report.curve_baseline is not None:
        risk, source = report.curve_baseline
        caption += (
            f" Absolute risk, assuming {format_exact_percent(risk)} without treatment ({source})."
        )
    response, observed = report.response, dict(report.effects)
    several = len(report.conditions) > 1
    if several and not any(report.varies(outcome, CONDITION) for outcome in report.outcomes):
        response, observed = _merge_conditions(response, observed)
    for agents, panels in _panels(response):
        title = f": {join_words(map(report.agent, agents))}" if agents else ""
        figure = plot_dose_response(panels, observed)
        yield report.figures.add(figure, f"Dose-response{title}. {caption}")
        caption = "As in the previous figure."


def _panels(response: xr.DataArray) -> Iterator[tuple[list[str], xr.DataArray]]:
    """Split curves into readable figures; agents tested in the same conditions share one."""
    trials = response["trials"].sum(OUTCOME)
    agents = response[AGENT].to_numpy()[(trials.sum(CONDITION) > 0).to_numpy()]
    conditions = response[CONDITION].to_numpy()[(trials.sum(AGENT) > 0).to_numpy()]
    shown = response.sel({AGENT: agents, CONDITION: conditions})
    trials = trials.sel({AGENT: agents, CONDITION: conditions})
    few = len(agents) * len(conditions) <= MAX_PANELS and (trials == 0).sum() <= MAX_EMPTY_PANELS
    if few or len(conditions) == 1:
        yield [], shown
        return
    groups: dict[tuple[str, ...], list[str]] = {}
    for agent in sorted(agents, key=lambda a: -int(trials.sel({AGENT: a}).sum())):
        tested = (trials.sel({AGENT: agent}) > 0).to_numpy()
        groups.setdefault(tuple(conditions[tested]), []).append(str(agent))
    for where, members in groups.items():
        yield members, shown.sel({AGENT: members, CONDITION: list(where)})


def _merge_conditions(
    response: xr.DataArray, observed: dict[str, xr.Dataset]
) -> tuple[xr.DataArray, dict[str, xr.Dataset]]:
    """Merge the conditions where they share one curve."""
    coords = response.coords
    merged = {
        "trials": coords["trials"].sum(CONDITION),
        "tested_from": coords["tested_from"].min(CONDITION),
        "tested_to": coords["tested_to"].max(CONDITION),
        "extrapolated": coords["extrapolated"].all(CONDITION),
        "tested": coords["tested"].any(CONDITION),
    }
    label = {CONDITION: [ALL_CONDITIONS], f"{CONDITION}_label": (CONDITION, [ALL_CONDITIONS])}
    curve = response.isel({CONDITION: [0]}).drop_vars([*merged]).assign_coords(label)
    joined = {
        name: values.reset_coords(drop=True).expand_dims({CONDITION: [ALL_CONDITIONS]})
        for name, values in merged.items()
    }
    effects = {
        outcome: effect.assign_coords(
            condition=("arm", np.full(effect.sizes["arm"], ALL_CONDITIONS, object))
        )
        for outcome, effect in observed.items()
    }
    return curve.assign_coords(joined), effects


# --- Effects of one outcome ----------------------------------------------------------------------

PAIR: Final = "agent-condition pair"
ESTIMATE: Final = f"median ({CRI})"


def _outcome_blocks(report: ReportContext, outcome: str) -> Iterator[Block]:
    yield Heading(report.title(outcome))
    yield from _effect_tables(report, outcome)
    if report.is_risk(outcome):
        added = added_risk_table(report, outcome)
        if not added.empty:
            caption = (
                f"{report.title(outcome)}: added risk vs {report.reference}, and number needed to"
                " treat for one more event"
                + (" (NNT of a benefit, NNH of a harm)" if report.outcomes[outcome].better else "")
                + (", at the commonest tested dose" if report.has_dose(outcome) else "")
                + ". Intervals through ∞ include no effect (Altman 1998)."
            )
            table = build_table(added, caption)
            yield fold_table(table, f"Added risk and number needed: {count_noun(len(added), PAIR)}")
    pairs = contrast_table(report, outcome)
    if not pairs.empty:
        ratio = report.link(outcome).ratio
        measure = ratio or f"difference{_in_unit(report, outcome)}"
        caption = (
            f"{report.title(outcome)}: pairs of agents with trials, {measure} of the first vs the"
            f" second{_compared_at(report, outcome)}; direct and indirect evidence combined."
        )
        table = build_table(pairs, caption, flagged=pairs["remark"])
        yield fold_table(table, f"{count_noun(len(pairs), 'pair')} of agents")
    effects = report.effects[outcome]
    if effects.sizes["arm"]:
        not_estimable = int((effects["raw_note"] != "").sum())
        caption = (
            f"{report.title(outcome)} by trial, {_compared_in(report, outcome)}:"
            " trial estimate with its 95% confidence interval, model estimate (after partial"
            f" pooling) and predicted new trial, each with its {CRI}."
        )
        if not_estimable:
            caption += (
                f" {capitalise(count_noun(not_estimable, 'arm'))} not estimable: see the figure."
            )
        yield report.figures.add(plot_forest(effects), caption)


def _effect_tables(report: ReportContext, outcome: str) -> Iterator[Block]:
    frame = effect_table(report, outcome)
    unit = "" if report.link(outcome).effect else _in_unit(report, outcome)
    caption = f"{report.title(outcome)}: {report.effect_name(outcome)}s{unit} vs"
    caption += f" {report.reference}."
    if report.has_dose(outcome):
        caption += " At tested doses of each agent in each condition."
    if report.is_risk(outcome):
        risk, source = report.baseline(outcome)
        caption += f" Risk: assuming {format_exact_percent(risk)} without treatment ({source})."
    tested, main = frame["trials"] > 0, frame.pop("main")
    parts = {
        "": frame[tested & main],
        "at all reported doses": frame[tested] if not main[tested].all() else frame[:0],
        "without trials (predicted)": frame[~tested & main],
    }
    for summary, rows in parts.items():
        if rows.empty:
            continue
        table = build_table(rows, caption, flagged=rows["remark"])
        cells = count_noun(len(rows[["agent", "condition"]].drop_duplicates()), PAIR)
        yield (
            Fold(f"{cells} {summary}", (table,), printed=False)
            if summary
            else fold_table(table, cells)
        )


def _compared_in(report: ReportContext, outcome: str) -> str:
    """Say what the estimates of arms are."""
    name = report.effect_name(outcome)
    if name != "difference":
        return f"{name}, arm vs comparator"
    return f"arm minus comparator{_in_unit(report, outcome)}"


def _compared_at(report: ReportContext, outcome: str) -> str:
    """Say at which doses agents are compared."""
    if not report.has_dose(outcome):
        return ""
    if report.relative:
        return ", each at its reference dose"
    return ", each at its commonest tested dose"


def _in_unit(report: ReportContext, outcome: str) -> str:
    unit = report.outcomes[outcome].unit
    return f" in {unit}" if unit else ""


def _effective_doses(report: ReportContext, frame: pd.DataFrame) -> Table | Fold:
    caption = (
        f"Effective doses: median and {CRI} of the draws in which the effect is"
        " reached within 1.5 times the highest tested dose, and the probability of that."
    )
    table = build_table(frame, caption, flagged=frame["remark"])
    return fold_table(table, count_noun(len(frame), "effective dose"))


# --- Heterogeneity -------------------------------------------------------------------------------


def _heterogeneity_blocks(report: ReportContext) -> Iterator[Block]:
    yield Heading("Heterogeneity between trials")
    posterior = report.fit["posterior"].to_dataset()
    rows = []
    for outcome, part in report.outcomes.items():
        heterogeneity = HETEROGENEITIES[part.heterogeneity]
        # Of an outlier mixture: the ratio of SDs, and the probability that a trial is an outlier.
        ratios = ("times heterogeneity_sd", "probability")
        mixture = dict(zip(heterogeneity.offset_parameters, ratios, strict=False))
        units = report.link(outcome).effect or part.unit or "units of the outcome"
        for parameter in heterogeneity.parameters:
            draws = posterior[report.variable(outcome, parameter)]
            stratum = report.variable(outcome, STRATUM)
            labels = draws[stratum].to_numpy() if stratum in draws.dims else [None]
            rows += [
                {
                    "outcome": report.label(outcome),
                    "quantity": parameter_words(parameter)
                    + ("" if label is None else f" ({label})"),
                    "scale": mixture.get(parameter, units),
                    ESTIMATE: format_draws(draws if label is None else draws.sel({stratum: label})),
                }
                for label in labels
            ]
    for name, dim in (
        ("heterogeneity_correlation", OUTCOME_PAIR),
        ("agent_correlation", PARAMETER_PAIR),
    ):
        pairs = posterior.get(name)
        if pairs is None:
            continue
        for pair in pairs[dim].to_numpy():
            members = str(pair).split(", ")
            if dim == OUTCOME_PAIR:
                members = [report.label(outcome) for outcome in members]
            rows.append(
                {
                    "outcome": join_words(members, "with"),
                    "quantity": parameter_words(name),
                    "scale": "correlation",
                    ESTIMATE: format_draws(pairs.sel({dim: pair})),
                }
            )
    if not rows:
        yield Text("The spec assumes no heterogeneity between trials of one agent and dose.")
        return
    caption = (
        "Heterogeneity: SD of contrasts between trials of one agent, condition and dose (with an"
        " outlier mixture: between typical trials), and correlations."
    )
    yield build_table(pd.DataFrame(rows), caption)


def _outlier_blocks(report: ReportContext) -> Iterator[Block]:
    """The probability that each trial is an outlier, with an outlier mixture."""
    mixtures = {
        outcome: parameters
        for outcome, part in report.outcomes.items()
        if (parameters := HETEROGENEITIES[part.heterogeneity].offset_parameters)
    }
    if mixtures:
        yield Heading("Outlying trials")
    for outcome, (_, share) in mixtures.items():
        posterior = outlier_probabilities(report.fit, outcome).mean(SAMPLE)
        drawn = report.fit.children.get("prior")
        prior = math.nan if drawn is None else float(drawn[report.variable(outcome, share)].mean())
        frame = pd.DataFrame({"study": posterior[STUDY], "posterior": posterior, "prior": prior})
        frame = frame.sort_values("posterior", ascending=False, kind="stable")
        caption = (
            f"{report.title(outcome)}: probability that a trial is an outlier, with effects"
            " outlier_sd_ratio times as variable around the same mean. It depends on the distance"
            " to the other trials, the standard error, and the priors. A posterior probability near"
            " the prior means that the data were uninformative. Posterior means."
        )
        columns: Columns = {
            "study": "trial",
            "prior": ("Pr(outlier), prior", format_probability),
            "posterior": ("Pr(outlier), posterior", format_probability),
        }
        yield build_table(frame, caption, columns)


# --- Borrowing of strength -----------------------------------------------------------------------


def _borrowing_blocks(report: ReportContext) -> Iterator[Block]:
    """What each tested cell borrows from others, where parameters are pooled."""
    tables = [
        _borrowing_table(report, shrinkage_by_cell(report.fit, outcome), outcome)
        for outcome in report.outcomes
        if _borrows(report, outcome)
    ]
    shown = [table for table in tables if table is not None]
    if shown:
        yield Heading("Borrowing of strength")
        yield from shown


def _borrows(report: ReportContext, outcome: str) -> bool:
    part, design = report.outcomes[outcome], report.design(outcome)
    pooled = any(
        part.parameters[name].pooling != "independent"
        for name in part.shape.parameters
        if name in part.parameters
    )
    known = shows_borrowing(LIKELIHOODS[part.likelihood]) and READING not in design
    return pooled and known and has_controlled_comparison(design)


def _borrowing_table(
    report: ReportContext, results: xr.Dataset, outcome: str
) -> Table | Fold | None:
    if results.sizes[CELL] < 2:
        return None
    names = {
        str(label): ", ".join(
            filter(None, (report.agent(str(agent)), report.condition(str(condition))))
        )
        for label, agent, condition in zip(
            *(results[name].to_numpy() for name in (CELL, "agent", "condition")), strict=True
        )
    }
    rows = []
    for label, name in names.items():
        cell = results.sel({CELL: label})
        own_weight = float(cell["weight"].sel({SOURCE_CELL: label}))
        estimate = float(cell["own"])
        rows.append(
            {
                "agent, condition": name,
                "trials": int(cell["studies"]),
                "own trials": "not estimable" if np.isnan(estimate) else format_effect(estimate),
                "model": format_effect(float(cell["pooled"])),
                "weight of own trials": _weight(own_weight),
                "of other trials": _weight(float(cell["weight"].sum()) - own_weight),
                "main source": names[main_source(cell)],
                "of the rest": _weight(float(cell["rest"])),
                "equivalent number of trials": f"{float(cell['effective_studies']):.1f}",
            }
        )
    caption = (
        f"{report.title(outcome)}: inverse-variance mean of the pair's own trials, the model's"
        " estimate at the same doses, and its change per unit change of the pair's own trials or of"
        f" the other trials. The rest is the weight of {results.attrs['rest']}. Equivalent number"
        " of trials: how many such trials would give the model's precision; below the actual number"
        " if uncertainty about curve or heterogeneity outweighs the borrowing."
        " Monte Carlo error of the weights: at most"
        f" {float(results['rest_error'].max()):.2g}."
    )
    table = build_table(pd.DataFrame(rows), caption)
    return fold_table(table, f"Borrowing of strength: {count_noun(len(rows), PAIR)}")


def _weight(weight: float) -> str:
    return f"{weight:.2f}".replace("-", MINUS)


# --- Published results ---------------------------------------------------------------------------

RISK_RATIO: Final = "RR"
MEASURES: Final = {"MD": "mean difference", RISK_RATIO: "risk ratio"}


def _published_blocks(report: ReportContext) -> Iterator[Block]:
    """Published pooled results compared with this fit of the same rows."""
    published = compare_with_published(report.fit)
    if not published.empty:
        yield Heading("Comparison with published results")
    for measure, rows in published.groupby("measure", sort=False):
        frame, name = rows.reset_index(drop=True), MEASURES.get(str(measure), str(measure))
        caption = (
            f"Published pooled results ({name}, 95% confidence interval) and this fit of the same"
            f" rows (median, {CRI}). They differ in the model of heterogeneity and, for counts, in"
            " the likelihood."
        )
        if measure == RISK_RATIO:
            caption += (
                " Odds ratios of this fit are converted to risk ratios at the pooled risk of the"
                " reference arms."
            )
        figure = plot_published_comparison(frame, axis=name, log=measure == RISK_RATIO)
        yield report.figures.add(figure, caption)
        texts = frame.assign(
            risk=["" if pd.isna(risk) else format_percent(risk) for risk in frame["at_risk"]],
            **{
                column: [
                    format_interval(low, middle, high)
                    for low, middle, high in zip(
                        *(frame[column + end] for end in ("_low", "", "_high")), strict=True
                    )
                ]
                for column in ("published", "ours")
            },
        )
        columns: Columns = {
            "label": "analysis and outcome",
            "published": ("published (95% CI)", str),
            "ours": (f"this fit ({CRI})", str),
            "risk": ("risk in reference arms", str),
        }
        yield build_table(texts, f"Published results and this fit: {name}.", columns)


# --- Network comparisons -------------------------------------------------------------------------


@section("networks", "Network comparisons", 80)
def network_section(report: ReportContext) -> Iterator[Block]:
    """Comparisons between agents: what the trials identify, consistency, league table, ranks."""
    for outcome in report.outcomes:
        blocks = [
            *_subnetwork_blocks(report, outcome),
            *_consistency_blocks(report, outcome),
            *_league_blocks(report, outcome),
        ]
        if blocks:
            yield Heading(report.title(outcome))
            yield from blocks


def _subnetwork_blocks(report: ReportContext, outcome: str) -> Iterator[Block]:
    """What the trials identify, where the network is disconnected or baselines are pooled."""
    parts = subnetworks(report.fit, outcome)
    tested = parts[parts["trials"] > 0].to_dict("records")
    pooled = pools_baselines(report.spec, outcome)
    connected = len(tested) < 2
    if connected and not pooled:
        return
    text = "The network is connected."
    if not connected:
        text = (
            f"The network is disconnected ({len(tested)} sub-networks): comparisons between them"
            " are assumptions."
        )
    if pooled:
        text += (
            " Baselines are pooled over trials, so that arms without a comparator contribute: this"
            " assumes that trials differ at random."
        )
    yield Text(text, "note" if connected else "warning")
    yield Items(
        tuple(
            f"{capitalise(join_words(report.agent(str(agent)) for agent in part['agents']))}"
            f" ({count_noun(part['trials'], 'trial')}). Identified: {part['identified']}."
            + (f" Assumed {part['assumption']}." if part["assumption"] else "")
            for part in tested
        )
    )


def _consistency_blocks(report: ReportContext, outcome: str) -> Iterator[Block]:
    """Direct and indirect evidence compared, and the residual deviance."""
    part = report.outcomes[outcome]
    if part.effects == "unrelated":
        yield Text(
            "Unrelated effects: each compared pair of agents has its own effect, without indirect"
            " evidence. Use this model to assess the fit of the consistency model, not for"
            " conclusions."
        )
    if part.split is not None and report.spec.single_outcome and not report.has_dose(outcome):
        results = inconsistency(report.fit)
        texts = (
            f"{name} {format_draws(results[name])}" for name in ("direct", "indirect", "difference")
        )
        yield Text(
            f"Node split, {results.attrs['comparison']}: {join_words(texts)}, medians and {CRI}s;"
            f" p = {float(results['p_value']):.3f} (twice the smaller tail of the difference beyond"
            " 0)."
        )
    if len(report.agents) < 2:
        return
    try:
        fit = residual_deviance(report.fit, outcome).attrs
    except SpecError:  # not defined for this likelihood
        return
    points = count_noun(fit["data_points"], "data point")
    yield Text(
        f"Total residual deviance {fit['total']:.1f} for {points} (a fitting model has about as"
        f" many); pD {fit['pD']:.1f}, DIC {fit['DIC']:.1f}.",
        "note",
    )


def _league_blocks(report: ReportContext, outcome: str) -> Iterator[Block]:
    condition = _main_condition(report, outcome)
    agents = [a for a in report.agents if report.n_trials(outcome, a, condition or "")]
    if len(agents) + 1 < MIN_AGENTS or not report.varies(outcome, AGENT):
        return
    doses = report.comparison_doses(outcome, agents, condition)
    league = league_table(report.fit, outcome, doses, condition)
    at = _compared_at(report, outcome).removeprefix(", ") or "at any dose"
    where = report.condition(condition) if condition else ""
    at += f", {where}" if where else ""
    if report.has_dose(outcome):
        texts = (
            f"{report.agent(agent)} {report.dose_text(outcome, agent, dose)}"
            + ("" if report.is_tested(outcome, agent, dose, condition) else ", not a tested dose")
            for agent, dose in doses.items()
        )
        at += f": {'; '.join(texts)}"
    caption = (
        f"{report.title(outcome)}: league table, {at}. Agents without trials here are omitted."
    )
    yield report.figures.add(plot_league(league), caption)
    frame = league_frame(league)
    ends = zip(*(frame[end] for end in ("lower", "median", "upper")), strict=True)
    frame = frame.assign(
        pair=frame["agent"].map(decapitalise) + " vs " + frame["comparator"].map(decapitalise),
        estimate=[format_interval(*interval) for interval in ends],
    )
    columns: Columns = {
        "pair": "agents",
        "doses": ("doses", str),
        "estimate": ESTIMATE,
        "p_better": ("Pr(first is better)", format_probability),
        "trials": ("trials of both", str),
        "evidence": "evidence",
        "remark": "remark",
    }
    table = build_table(
        frame, f"{caption} {capitalise(league.attrs['scale_text'])}.", columns, frame["remark"]
    )
    yield Fold(f"League table as {count_noun(len(frame), 'row')}", (table,), printed=False)
    if report.outcomes[outcome].better:
        ranking = rank_agents(report.fit, outcome, doses, condition)
        caption = f"{report.title(outcome)}: cumulative ranks, {at}. {ranking.attrs['caution']}"
        yield report.figures.add(plot_ranks(ranking), caption)


def _main_condition(report: ReportContext, outcome: str) -> str | None:
    """The condition in which most agents were tested; None where effects do not differ."""
    if not report.varies(outcome, CONDITION):
        return None
    tested = {c: [report.n_trials(outcome, a, c) for a in report.agents] for c in report.conditions}
    return max(tested, key=lambda c: (sum(n > 0 for n in tested[c]), sum(tested[c])))
