"""The design: the rows of the evidence that an analysis uses, one per arm and outcome.

Every choice between rows is a key of the spec, and every row that does not enter is listed with
the step that excluded it and the reason. Nothing is imputed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import (
    LIKELIHOODS,
    MAX_TABLES,
    contrast_covariance,
    count_tables,
)
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design.bias_columns import add_bias_columns
from nmda_bayes.design.covariates import (
    missing_column,
    missing_value,
    names,
    study_column_issues,
    varying_within_study_issues,
)
from nmda_bayes.design.dose_labels import dose_labels, facts_of_arms
from nmda_bayes.design.filters import ARM_REPORT, Tables
from nmda_bayes.design.node_split import arm_nodes, original_agent, relabel_split_arms, split_issues
from nmda_bayes.design.pk_exposure import PK_NODE, pk_design_issues, pk_models, pk_tables
from nmda_bayes.design.select import Selection, parent_arms, select_rows
from nmda_bayes.dims import ARM, STUDY, study_of, words_of
from nmda_bayes.errors import EvidenceError, Issue, SpecError, suggest_match
from nmda_bayes.evidence import connected_components, to_frame
from nmda_bayes.evidence.grade import NOT_JUDGED, RISK_OF_BIAS_COLUMN, overall_risk_of_bias
from nmda_bayes.evidence.network import ZERO_DOSE, dose_links
from nmda_bayes.evidence.tree import hours_after_treatment
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.rules import BASELINE, CORRELATION_EXAMPLE, issue_at

#: Groups of the design; each outcome has a group below `OUTCOMES`.
ARMS, LABELS, OUTCOMES, EXCLUDED = "arms", "labels", "outcomes", "excluded"
#: Column of arms with the correlation of errors between outcomes, where the evidence states it.
ERROR_CORRELATION = "error_correlation"
#: Columns that determine when the treatment of an arm ends.
TREATMENT_COLUMNS = ["n_administrations", "treatment_days", "infusion_hours"]


def build_design(spec: AnalysisSpec, evidence: xr.DataTree) -> xr.DataTree:
    """Select the arms and results that enter an analysis."""
    tables, issues = _select_tables(spec, evidence)
    _raise(SpecError, issues or pk_design_issues(spec, tables))
    selections = {name: select_rows(name, spec, tables) for name in spec.outcomes}
    _raise(SpecError, _declaration_issues(spec, selections))
    for name, selection in selections.items():
        outcome = spec.outcomes[name]
        selection.arms = relabel_split_arms(selection.arms, outcome, spec.reference)
    source = str(evidence.attrs.get("source", ""))
    _raise(EvidenceError, _outcome_issues(spec, selections, source))
    add_bias_columns(selections, spec, tables, evidence)
    correlation_issues = _add_error_correlation(selections, spec, tables)
    _raise(SpecError, [*_class_issues(spec, selections), *correlation_issues])
    return _to_tree(selections, spec, evidence, tables)


def _raise(kind: type[SpecError | EvidenceError], issues: list[Issue] | Iterator[Issue]) -> None:
    if issues := list(issues):
        raise kind(issues)


# The rows that the spec selects


def _select_tables(
    spec: AnalysisSpec, evidence: xr.DataTree
) -> tuple[dict[str, pd.DataFrame], list[Issue]]:
    """Join rows with arms and studies, apply `select` and `exclude`, and rename agents."""
    arms = to_frame(evidence, "arms")
    arms = arms.assign(agent_given=arms["agent"])
    studies = to_frame(evidence, "studies").drop(columns="notes", errors="ignore")
    judged = overall_risk_of_bias(evidence)
    if judged is not None and RISK_OF_BIAS_COLUMN not in studies:
        judgement = studies["study"].map(judged).fillna(NOT_JUDGED)
        studies = studies.assign(**{RISK_OF_BIAS_COLUMN: judgement})
    joined = arms.merge(studies, on="study", suffixes=("", "_study"), validate="many_to_one")
    results = to_frame(evidence, "results")
    results = results.merge(joined, on=["study", "arm"], suffixes=("", "_arm"))
    # Within-person: a crossover trial, except results of its first period.
    is_crossover = (results["design"] == "crossover") & (results["period"] != "first")
    results = results.assign(same_people=is_crossover.astype(float))
    contrasts = to_frame(evidence, "contrasts").merge(studies, on="study", suffixes=("", "_study"))
    contrasts = _add_hours(contrasts, arms).rename(columns={"measure": "effect"})
    tables = {"results": results, "contrasts": contrasts}
    issues = list(_selection_issues(spec, tables))
    for name, outcome in spec.outcomes.items():
        issues += study_column_issues(f"outcomes.{name}", outcome, tables)
    if not issues:
        tables = {name: _selected(table, spec) for name, table in tables.items()}
    tables |= {"references": to_frame(evidence, "reference_doses"), "arms": arms}
    if spec.pharmacokinetics is not None:
        tables |= pk_tables(evidence)
    return tables, issues


def _add_hours(contrasts: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Add to contrasts the hours after treatment, and when their study's treatment ends."""
    columns = ["study", *TREATMENT_COLUMNS]
    if set(TREATMENT_COLUMNS) <= set(contrasts):  # a flat table, whose contrasts have no arms
        without_arms = contrasts.loc[~contrasts["study"].isin(arms["study"]), columns]
        types = dict.fromkeys(TREATMENT_COLUMNS, float)
        arms = pd.concat([part[columns].astype(types) for part in (arms, without_arms)])
    last = arms.groupby("study")[["treatment_days", "infusion_hours"]].max()
    ends = {str(column): contrasts["study"].map(last[column]).astype(float) for column in last}
    hours = hours_after_treatment(contrasts, arms)
    return contrasts.assign(hours_after_treatment=hours, **ends)


def _selected(rows: pd.DataFrame, spec: AnalysisSpec) -> pd.DataFrame:
    for column in spec.select.keys() & set(rows):
        rows = rows[rows[column].astype(str).isin(spec.select[column])]
    for column in spec.exclude.keys() & set(rows):
        rows = rows[~rows[column].astype(str).isin(spec.exclude[column])]
    agents = rows.columns.intersection(["agent", "comparator"])
    renamed = {column: rows[column].replace(dict(spec.agents)) for column in agents}
    return rows.assign(**renamed).reset_index(drop=True)


def _selection_issues(spec: AnalysisSpec, tables: Tables) -> Iterator[Issue]:
    """Find columns, values and agents of the spec that the evidence does not have."""
    rows = pd.concat(tables.values(), ignore_index=True)
    columns = [str(column) for column in rows]
    for key, values_of in (("select", spec.select), ("exclude", spec.exclude)):
        for column, values in values_of.items():
            if column not in columns:
                yield missing_column(f"{key}.{column}", column, columns)
                continue
            known = sorted(set(rows[column].dropna().astype(str)) - {""})
            missing = [value for value in values if value not in known]
            yield from (missing_value(f"{key}.{column}", column, v, known) for v in missing)
    agents = {*rows["agent"].dropna(), *rows["comparator"].dropna()} - {""}
    renamed = agents | set(spec.agents.values())
    # Single-arm trials need no reference, so the default may be absent; dose 0 is no agent.
    default = AnalysisSpec.model_fields["reference"].default
    stated = [spec.reference] if spec.reference not in (default, ZERO_DOSE) else []
    for key, stated_agents, known_agents in (
        ("agents.{}", spec.agents, agents),
        ("classes.{}", spec.classes, renamed),
        ("reference", stated, renamed),
    ):
        for agent in stated_agents:
            if agent not in known_agents:
                hint = suggest_match(agent, sorted(known_agents))
                yield issue_at("E403", key.format(agent), f"no arm has agent '{agent}'", hint)
    curve_agents = {spec.agents.get(agent, agent) for agent in agents}
    for name, outcome in spec.outcomes.items():
        for agent in outcome.curves:
            key = f"outcomes.{name}.curves.{agent}"
            if agent == spec.reference:
                message = f"'{agent}' is the reference, which has no curve"
                yield issue_at("E408", key, message, "Remove it.")
            elif agent not in curve_agents:
                hint = suggest_match(agent, sorted(curve_agents - {spec.reference}))
                yield issue_at("E403", key, f"no arm has agent '{agent}'", hint)


# What the spec must declare about the selected rows


def _declaration_issues(spec: AnalysisSpec, selections: Mapping[str, Selection]) -> Iterator[Issue]:
    for name, selection in selections.items():
        yield from _crossover_issues(name, selection.arms, spec)
    for name, selection in selections.items():
        yield from split_issues(name, selection.arms, spec.outcomes[name], spec.reference)


def _crossover_issues(name: str, arms: pd.DataFrame, spec: AnalysisSpec) -> Iterator[Issue]:
    """Require the spec to declare how crossover trials enter."""
    crossover, likelihood = spec.designs.crossover, LIKELIHOODS[spec.outcomes[name].likelihood]
    within_person = (arms["report"] == ARM_REPORT) & (arms["same_people"] == 1)
    studies = arms.loc[within_person, "study"].drop_duplicates()
    can_correlate = likelihood.allows_shared_error
    if crossover is not None:
        correlated = can_correlate and crossover.within_person_correlation is not None
        if correlated or name in crossover.as_parallel:
            return
    if not len(studies):
        return
    hint = f'periods = "first", or periods = "all" with as_parallel = ["{name}"]'
    if can_correlate:
        hint += f" or within_person_correlation = {CORRELATION_EXAMPLE}"
    message = f"outcome '{name}': {len(studies)} crossover trials ({names(studies, 3)}), and how"
    message += " they enter is not declared"
    yield issue_at("E410", "designs.crossover", message, f"Write [designs.crossover] with {hint}.")


def _class_issues(spec: AnalysisSpec, selections: Mapping[str, Selection]) -> Iterator[Issue]:
    """Require a class of every agent where classes are used."""
    parameters = (p for outcome in spec.outcomes.values() for p in outcome.parameters.values())
    if not any(POOLINGS[parameter.pooling].uses_classes for parameter in parameters):
        return
    agents = set(_active_agents(selections).map(original_agent))
    classes = ", ".join(sorted(set(spec.classes.values())))
    for agent in sorted(agents - set(spec.classes)):
        message = f"agent '{agent}' has no class, which a parameter is pooled within"
        hint = f'Write {agent} = "..." under [classes] (a new class, or one of: {classes}).'
        yield issue_at("E407", f"classes.{agent}", message, hint)


def _add_error_correlation(
    selections: Mapping[str, Selection], spec: AnalysisSpec, tables: Tables
) -> list[Issue]:
    """Add the error correlation of each study to its arms, where the spec names a column of it."""
    errors, key = spec.correlations.errors, "correlations.errors.column"
    if errors is None or not errors.column:
        return []
    rows = pd.concat([tables["results"], tables["contrasts"]], ignore_index=True)
    if errors.column not in rows:
        return [missing_column(key, errors.column, sorted(str(column) for column in rows))]
    stated = rows[["study"]].assign(rho=pd.to_numeric(rows[errors.column], "coerce"))
    stated = stated.dropna().drop_duplicates()
    by_study = stated.drop_duplicates("study").set_index("study")["rho"]
    for selection in selections.values():
        # 0 for studies of a single outcome, which have nothing to correlate.
        rho = selection.arms["study"].map(by_study).fillna(0.0).astype(float)
        selection.arms = selection.arms.assign(**{ERROR_CORRELATION: rho})
    n_outcomes = Counter(
        study for name in errors.of for study in set(selections[name].arms["study"])
    )
    least = 0.0 if len(errors.of) > 2 else -1.0
    issues = []
    for study in sorted(study for study, count in n_outcomes.items() if count > 1):
        values = sorted(stated.loc[stated["study"] == study, "rho"])
        if not (len(values) == 1 and -1 < values[0] < 1 and values[0] >= least):
            text = ", ".join(f"{value:g}" for value in values) or "missing"
            message = f"study '{study}' reports several outcomes, and its {errors.column} is {text}"
            hint = f"Give one number per study from {least:g} to below 1, or set"
            hint += " correlations.errors.correlation for all."
            issues.append(issue_at("E414", key, message, hint))
    return issues


# Evidence that cannot be analysed


def _outcome_issues(
    spec: AnalysisSpec, selections: Mapping[str, Selection], source: str
) -> Iterator[Issue]:
    for name, selection in selections.items():
        outcome, arms = spec.outcomes[name], selection.arms
        if arms.empty:
            reasons = selection.excluded["reason"].value_counts()
            counts = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
            yield Issue(
                "E400",
                f"no row is left for outcome '{name}' ({counts or 'no row has its measures'})",
                "Widen measures, select or time, or check the columns that the likelihood needs.",
                file=source,
                column=f"outcomes.{name}",
            )
            continue
        # Pooled baselines are an answer without any effect: the results of single arms.
        if not outcome.baseline_pooled and not (arms["exposure"] > 0).any():
            yield Issue(
                "E474",
                f"outcome '{name}': every arm is the reference '{spec.reference}' or at dose 0, so"
                " that nothing is compared with it",
                "Name another reference (reference = ...), or do not pool the doses.",
                file=source,
                column="agent",
            )
            continue
        if selection.contrasts is not None:
            yield from _contrast_issues(arms, selection.contrasts, source)
        yield from _conditional_issues(name, outcome, arms, source)
        yield from varying_within_study_issues(name, outcome, arms)
        yield from _network_issues(name, arms, spec, source)


def _network_issues(
    name: str, arms: pd.DataFrame, spec: AnalysisSpec, source: str
) -> Iterator[Issue]:
    baseline = spec.outcomes[name].parameters.get(BASELINE)
    pooled = baseline is not None and baseline.pooling != "independent"
    if pooled or spec.disconnected == "allow":
        return
    nodes = arm_nodes(arms, spec.reference)
    memberships = list(zip(arms["study"], nodes, strict=True))
    # A trial that compares doses of an agent connects it to its curve's dose 0.
    shape = spec.outcomes[name].shape
    over_dose = [shape.of(original_agent(str(a))).needs_dose for a in arms["agent"]]
    active = arms[(arms["exposure"] > 0) & np.array(over_dose, bool)]
    exposure = active["exposure"]
    memberships += dose_links(active["study"], active["agent"], exposure, spec.reference)
    networks = connected_components(memberships)
    separate = [agents for agents in networks if spec.reference not in agents]
    if separate:
        listed = "; ".join(", ".join(sorted(map(str, agents))) for agents in separate)
        yield Issue(
            "E405",
            f"outcome '{name}': the network is disconnected ({len(networks)} sub-networks); no"
            f" trial connects {listed} to the reference '{spec.reference}'",
            f"Name the reference agent of this evidence (reference = ...; now '{spec.reference}'),"
            " select connected agents, pool the baselines,"
            ' or write disconnected = "allow" to rely on the priors.',
            file=source,
            column="agent",
        )


def _contrast_issues(arms: pd.DataFrame, contrasts: pd.DataFrame, source: str) -> Iterator[Issue]:
    """Find contrasts with a shared arm whose covariance is unknown or not positive definite."""
    sides = contrasts[["arm_position", "comparator_position"]]
    n_contrasts = sides.melt()["value"].value_counts()
    shared = sides.isin(n_contrasts.index[n_contrasts > 1]).any(axis=1)
    unknown = contrasts[shared & contrasts["comparator_se"].isna()]
    for position in unknown["comparator_position"].unique():
        arm = arms.iloc[position]
        yield Issue(
            "E411",
            f"study '{arm['study']}' compares several arms with one ('{arm['agent']}') whose"
            " standard error is missing, so the correlation of these contrasts is unknown",
            "Fill in comparator_se, or keep one contrast of the study.",
            file=source,
            column="comparator_se",
        )
    if not unknown.empty:
        return
    study = arms["study"].iloc[contrasts["arm_position"]].to_numpy()
    for name, group in contrasts[shared].groupby(study[shared], sort=False):
        variances = np.linalg.eigvalsh(contrast_covariance(xr.Dataset.from_dataframe(group)))
        if variances.min() <= 1e-9 * variances.max():
            yield Issue(
                "E412",
                f"the contrasts of study '{name}' are not independent: one follows from the others,"
                " or a comparator's standard error is larger than its contrast's",
                "Keep one contrast fewer than the study has arms, and check comparator_se.",
                file=source,
                column="comparator_se",
            )


def uninformative_trials(outcome: OutcomeSpec, reported: xr.Dataset) -> list[str]:
    """Name trials without information on the effect: nobody had the event, or everybody.

    Where baselines have a prior it must leave them free: what a trial without events then adds is
    negligible.
    """
    likelihood = LIKELIHOODS[outcome.likelihood]
    is_free = outcome.baseline_is_mean and not outcome.baseline_pooled
    if not likelihood.counts or not (likelihood.conditional or is_free):
        return []
    names = [n for n in ("study", "report", "events", "n") if n in reported]
    rows = pd.DataFrame({name: reported[name].to_numpy() for name in names})
    rows = rows[rows["report"] == ARM_REPORT]
    events = rows["events"].astype(float)
    silent = events == 0
    everybody = events == rows["n"].astype(float) if "n" in likelihood.recorded else silent
    studies = dict.fromkeys(rows["study"])
    never, always = (part.groupby(rows["study"]).all() for part in (silent, everybody))
    return [str(study) for study in studies if never[study] or always[study]]


def _conditional_issues(
    name: str, outcome: OutcomeSpec, arms: pd.DataFrame, source: str
) -> Iterator[Issue]:
    """Find trials whose conditional likelihood has too many terms."""
    if LIKELIHOODS[outcome.likelihood].conditional:
        for study, count in _n_tables(arms).items():
            if count > MAX_TABLES:
                message = f"outcome '{name}', study '{study}': the conditional likelihood has"
                hint = 'Use likelihood = "binomial" with baselines: with so many events both agree.'
                terms = f"{count:,} terms (limit {MAX_TABLES:,})"
                yield Issue("E413", f"{message} {terms}", hint, file=source, column="events")


def _n_tables(arms: pd.DataFrame) -> dict[str, int]:
    """Count the tables with the margins of each study."""
    counted = arms[arms["report"] == ARM_REPORT]
    return {
        str(study): count_tables(rows["events"].to_numpy(float), rows["n"].to_numpy(float))
        for study, rows in counted.groupby("study", sort=False)
    }


# The design as labelled arrays


def _to_tree(
    selections: dict[str, Selection], spec: AnalysisSpec, evidence: xr.DataTree, tables: Tables
) -> xr.DataTree:
    columns = ["arm", "study", "agent", "condition", "route", "regimen"]
    parents = {name: parent_arms(selection.arms) for name, selection in selections.items()}
    arms = pd.concat(
        [selection.arms[columns].assign(arm=parents[n]) for n, selection in selections.items()]
    )
    arms = arms.drop_duplicates("arm").reset_index(drop=True)
    arms = arms.assign(**facts_of_arms(spec, arms, tables, evidence))
    labels = _labels(evidence, agent=_active_agents(selections), condition=arms["condition"])
    if spec.classes:
        agents = labels["agent"].to_numpy()
        classes = [spec.classes.get(original_agent(agent), "") for agent in agents]
        labels = labels.assign(class_of_agent=("agent", np.array(classes, dtype=object)))
    kinetics = pk_models(spec, tables)
    labels = labels.merge(dose_labels(spec, labels["agent"].to_numpy(), arms, tables, kinetics))
    groups = {ARMS: _to_dataset(arms, "arm"), LABELS: labels}
    for name, selection in selections.items():
        position = pd.Index(arms["arm"]).get_indexer(parents[name])
        dataset = _to_dataset(selection.arms.assign(position=position), "arm")
        if selection.contrasts is not None:
            dataset = dataset.merge(_to_dataset(selection.contrasts, "contrast"))
        groups[f"{OUTCOMES}/{name}"] = dataset
    if kinetics is not None:
        groups[PK_NODE] = _to_dataset(kinetics.source_rows(), "row")
    excluded = pd.concat([s.excluded for s in selections.values()], ignore_index=True)
    groups[EXCLUDED] = _to_dataset(excluded.rename_axis("row").reset_index(), "row")
    return xr.DataTree.from_dict(groups)


def _active_agents(selections: Mapping[str, Selection]) -> pd.Series:
    arms = [selection.arms for selection in selections.values()]
    return pd.concat([rows.loc[rows["exposure"] > 0, "agent"] for rows in arms])


def _labels(evidence: xr.DataTree, **values: pd.Series) -> xr.Dataset:
    """Label agents and conditions by the evidence's vocabulary, else by their name."""
    terms = pd.DataFrame({"kind": [], "term": [], "label": []}, dtype=object)
    if "vocabulary" in evidence.children:
        terms = to_frame(evidence, "vocabulary")
    labels = {}
    for dim, members_used in values.items():
        known = terms[terms["kind"].isin([dim, f"{dim}_group"])].drop_duplicates("term")
        label_of = known.set_index("term")["label"].to_dict()
        members = sorted(set(members_used))
        texts = [label_of.get(name) or words_of(str(name)) for name in members]
        coords = {dim: np.array(members, dtype=object)}
        labels[f"{dim}_label"] = xr.DataArray(np.array(texts, dtype=object), coords, (dim,))
    return xr.Dataset(labels)


def _to_dataset(frame: pd.DataFrame, dim: str) -> xr.Dataset:
    """Convert a table to arrays over one dim, text as Python objects, which netCDF can store."""
    columns = {
        column: frame[column].to_numpy(object if frame[column].dtype.kind in "OUT" else None)
        for column in frame
    }
    coords: dict[str, Any] = {dim: columns.pop(dim)}
    study = STUDY if dim == ARM else study_of(dim)
    if study in columns:
        coords[study] = (dim, columns.pop(study))
    return xr.Dataset({name: (dim, values) for name, values in columns.items()}, coords=coords)
