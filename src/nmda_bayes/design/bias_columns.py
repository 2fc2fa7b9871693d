"""What bias models need of each arm: a judgement, a standard error, a weight.

A study without a judgement is "unknown"; a judgement without a prior or weight is an error that
names the studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.bias import JUDGEMENTS, LOW_RISK, UNKNOWN_RISK
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design.covariates import missing_column, names
from nmda_bayes.design.filters import ARM_REPORT, RESPONDER_REPORT, Tables
from nmda_bayes.design.select import Selection
from nmda_bayes.errors import Issue, SpecError, suggest_match
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.grade import NOT_JUDGED
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.outcome import PowerSpec, RiskOfBiasSpec
from nmda_bayes.spec.rules import HETEROGENEITY_SD, issue_at

#: Columns of an outcome's arms.
JUDGEMENT, CONTRAST_SE, WEIGHT = "judgement", "contrast_se", "weight"
PRIOR_EXAMPLE = '{ dist = "Normal", kwargs = { mu = 0, sigma = ... }, why = "..." }'


def add_bias_columns(
    selections: Mapping[str, Selection], spec: AnalysisSpec, tables: Tables, evidence: xr.DataTree
) -> None:
    """Add to the arms of each outcome the columns that its bias models need."""
    issues: list[Issue] = []
    for name, selection in selections.items():
        bias, key = spec.outcomes[name].bias, f"outcomes.{name}.bias"
        issues += _repeated_measures_issues(key, spec.outcomes[name], spec)
        if bias.small_study is not None:
            se = _contrast_ses(selection, spec.outcomes[name])
            issues += _se_issues(f"{key}.small_study", selection.arms[se.isna()])
            selection.arms = selection.arms.assign(**{CONTRAST_SE: se.fillna(0.0)})
        if bias.risk_of_bias is not None:
            at = f"{key}.risk_of_bias"
            judged, errors = _judgements(at, bias.risk_of_bias, tables, evidence)
            judgement = _by_arm(selection.arms, judged)
            selection.arms = selection.arms.assign(**{JUDGEMENT: judgement})
            issues += errors or _judgement_issues(at, bias.risk_of_bias, selection.arms)
        if bias.power is not None:
            values, errors = _study_values(f"{key}.power.column", bias.power.column, tables)
            value = _by_arm(selection.arms, values)
            selection.arms = selection.arms.assign(**{WEIGHT: value.map(bias.power.weights)})
            issues += errors or _weight_issues(key, bias.power, selection.arms["study"], value)
        if bias.selection is not None:
            issues += _selection_issues(f"{key}.selection", name, selection, spec)
        if bias.unblinding is not None:
            counted = selections[bias.unblinding.harm].arms["arm"]
            without = selection.arms.loc[~selection.arms["arm"].isin(counted), "study"]
            issues += _unblinding_issues(
                f"{key}.unblinding.harm", bias.unblinding.harm, without, spec
            )
    if issues:
        raise SpecError(issues)


def control_pairs(arms: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Pair each active arm with arm-level data with its study's first arm at dose 0."""
    for _, study in arms[arms["report"] == ARM_REPORT].groupby("study", sort=False):
        controls = study.index[study["exposure"] == 0]
        if len(controls):
            for active in study.index[study["exposure"] > 0]:
                yield int(active), int(controls[0])


def publication_contrasts(arms: pd.DataFrame, contrasts: pd.DataFrame | None) -> pd.DataFrame:
    """Find the contrast that decided about each study's publication: highest dose vs control."""
    exposure = arms["exposure"].to_numpy(float)
    rows = [(active, control, -1, 1.0) for active, control in control_pairs(arms)]
    if contrasts is not None:
        sides = contrasts[["arm_position", "comparator_position"]].to_numpy(int)
        for position, (arm, comparator) in enumerate(sides):
            if exposure[arm] > 0 and exposure[comparator] == 0:
                rows.append((int(arm), int(comparator), position, 1.0))
            elif exposure[comparator] > 0 and exposure[arm] == 0:
                rows.append((int(comparator), int(arm), position, -1.0))
    pairs = pd.DataFrame(rows, columns=["arm", "comparator", "contrast", "sign"])
    active_arms = pairs["arm"].to_numpy(int)
    pairs = pairs.assign(study=arms["study"].to_numpy()[active_arms], dose=exposure[active_arms])
    pairs["candidates"] = pairs.groupby("study")["arm"].transform("size")
    pairs = pairs.sort_values("dose", ascending=False, kind="stable").drop_duplicates("study")
    return pairs.sort_index().drop(columns="dose").reset_index(drop=True)


# Small studies


def _repeated_measures_issues(
    key: str, outcome: OutcomeSpec, spec: AnalysisSpec
) -> Iterator[Issue]:
    """Bias models of an arm's contrast, or of its harm, need one row per arm."""
    hint = "Use one time point of each arm, or remove the bias."
    for name in ("small_study", "selection"):
        if getattr(outcome.bias, name) is not None and outcome.has_repeated_measures:
            message = f"{name} needs one contrast of each arm, which has repeated measures"
            yield issue_at("E420", f"{key}.{name}", message, hint)
    unblinding = outcome.bias.unblinding
    if unblinding is not None and spec.outcomes[unblinding.harm].has_repeated_measures:
        message = (
            f"unblinding needs one harm of each arm; '{unblinding.harm}' has repeated measures"
        )
        yield issue_at("E420", f"{key}.unblinding.harm", message, hint)


def _contrast_ses(selection: Selection, outcome: OutcomeSpec) -> pd.Series:
    """Standard error of each active arm's contrast with its study's control.

    0 at dose 0, and in trials without an arm at dose 0, where small-study effects have no
    direction; NaN where it is unknown. For crossover trials it is that of independent arms, which
    is too large.
    """
    arms = selection.arms
    se = pd.Series(0.0, index=arms.index)
    se[(arms["report"] == RESPONDER_REPORT) & (arms["exposure"] > 0)] = np.nan
    variance = _arm_variances(arms, outcome)
    for active, control in control_pairs(arms):
        se[active] = np.sqrt(variance[active] + variance[control])
    if selection.contrasts is not None:
        exposure = arms["exposure"].to_numpy()
        columns = selection.contrasts[["arm_position", "comparator_position", "estimate_se"]]
        for arm, comparator, contrast_se in columns.itertuples(index=False):
            for side, other in ((arm, comparator), (comparator, arm)):
                if exposure[side] > 0 and exposure[other] == 0:
                    se.iloc[side] = contrast_se
    return se


def _arm_variances(arms: pd.DataFrame, outcome: OutcomeSpec) -> pd.Series:
    """Sampling variance of each arm on the scale of the linear predictor, under no effect."""
    likelihood, reported = LIKELIHOODS[outcome.likelihood], arms["report"] == ARM_REPORT
    if not reported.any() or likelihood.crude is None:
        return pd.Series(np.nan, index=arms.index)
    rows = {c: arms[c].astype(float).where(reported) for c in likelihood.recorded}
    if likelihood.null_variance is None:
        return pd.Series(likelihood.crude(rows)[1])
    totals = {c: values.groupby(arms["study"]).transform("sum") for c, values in rows.items()}
    return pd.Series(likelihood.null_variance(rows, totals))


def _se_issues(key: str, unknown: pd.DataFrame) -> Iterator[Issue]:
    if len(unknown):
        responders = (unknown["report"] == RESPONDER_REPORT).any()
        reason = "they report responders" if responders else "an arm reports none"
        message = f"the standard error of {names(unknown['study'])} is unknown: {reason}"
        yield issue_at("E421", key, message, "Exclude these trials, or remove small_study.")


# Values of studies: judgements and weights


def _judgements(
    key: str, bias: RiskOfBiasSpec, tables: Tables, evidence: xr.DataTree
) -> tuple[pd.Series, list[Issue]]:
    """The judgement of each study, from a column or from a domain of the table of judgements."""
    if bias.column:
        return _study_values(f"{key}.column", bias.column, tables)
    rows = pd.DataFrame({"study": [], "domain": [], "scope": [], "judgement": []}, dtype=object)
    if "risk_of_bias" in evidence.children:
        rows = to_frame(evidence, "risk_of_bias")
    domains = sorted(set(rows["domain"]))
    if bias.domain not in domains:
        hint = suggest_match(bias.domain, domains, 'Write column = "..." instead.')
        message = f"no study is judged in domain '{bias.domain}'"
        return pd.Series(dtype=object), [issue_at("E422", f"{key}.domain", message, hint)]
    in_scope = rows["scope"].fillna("").isin(["", *bias.scope])
    rows = rows[(rows["domain"] == bias.domain) & in_scope]
    return _one_per_study(rows["study"], rows["judgement"], f"{key}.domain")


def _study_values(key: str, column: str, tables: Tables) -> tuple[pd.Series, list[Issue]]:
    """The value of a column of the evidence for each study."""
    rows = pd.concat([tables["results"], tables["contrasts"]], ignore_index=True)
    if column not in rows:
        return pd.Series(dtype=object), [missing_column(key, column, [str(c) for c in rows])]
    return _one_per_study(rows["study"], rows[column], key)


def _one_per_study(study: pd.Series, values: pd.Series, key: str) -> tuple[pd.Series, list[Issue]]:
    texts = values.astype(object).where(values.notna(), "").astype(str)
    rows = pd.DataFrame({"study": study, "value": texts})
    rows = rows[rows["value"] != ""].drop_duplicates()
    repeated = rows["study"][rows["study"].duplicated()]
    issues = []
    if len(repeated):
        hint = "Use a column with one value per study, or name the scope of the judgements."
        message = f"several values are given for {names(repeated)}"
        issues = [issue_at("E423", key, message, hint)]
    return rows.drop_duplicates("study").set_index("study")["value"], issues


def _by_arm(arms: pd.DataFrame, values: pd.Series) -> pd.Series:
    by_arm = arms["study"].map(values).astype(object)
    return by_arm.where(by_arm.notna() & (by_arm != NOT_JUDGED), UNKNOWN_RISK)


def _judgement_issues(key: str, bias: RiskOfBiasSpec, arms: pd.DataFrame) -> list[Issue]:
    issues = []
    for judgement in sorted(set(arms[JUDGEMENT])):
        studies = names(arms.loc[arms[JUDGEMENT] == judgement, "study"])
        if judgement in bias.priors or judgement == LOW_RISK:
            continue
        if judgement not in JUDGEMENTS:
            message = f"'{judgement}' is not a risk-of-bias judgement ({studies})"
            hint = f"Use one of: {', '.join((LOW_RISK, *JUDGEMENTS))}."
            issues.append(issue_at("E424", f"{key}.column", message, hint))
            continue
        message = f"judgement '{judgement}' has no prior ({studies})"
        hint = f"Write priors.{judgement} = {PRIOR_EXAMPLE}, or exclude these trials."
        issues.append(issue_at("E425", f"{key}.priors.{judgement}", message, hint))
    return issues


def _weight_issues(key: str, power: PowerSpec, study: pd.Series, values: pd.Series) -> list[Issue]:
    return [
        issue_at(
            "E426",
            f"{key}.power.weights.{value}",
            f"value '{value}' has no weight ({names(study[values == value])})",
            f"Write {value} = 1 for full weight, or a smaller number.",
        )
        for value in sorted(set(values) - set(power.weights))
    ]


# Publication selection and unblinding


def _selection_issues(
    key: str, name: str, selection: Selection, spec: AnalysisSpec
) -> Iterator[Issue]:
    bias, crossover = spec.outcomes[name].bias.selection, spec.designs.crossover
    arms = selection.arms
    within_person = arms.loc[arms["same_people"] == 1, "study"]
    if len(within_person) and not (crossover is not None and name in crossover.as_parallel):
        message = f"p-values of crossover trials ({names(within_person)}) depend on an unknown"
        hint = f'Write designs.crossover with as_parallel = ["{name}"], or periods = "first".'
        yield issue_at("E427", key, f"{message} within-person correlation", hint)
    pairs = publication_contrasts(arms, selection.contrasts)
    several = pairs.loc[pairs["candidates"] > 1, "study"]
    if len(several) and bias is not None and not bias.contrast:
        message = f"several contrasts of {names(several)} could have decided about publication"
        hint = 'Write contrast = "highest_dose", or keep one contrast of each study.'
        yield issue_at("E428", f"{key}.contrast", message, hint)


def _unblinding_issues(
    key: str, harm: str, without: pd.Series, spec: AnalysisSpec
) -> Iterator[Issue]:
    """Find harm models that cannot predict the harm of arms that do not count it."""
    outcome = spec.outcomes[harm]
    sd = outcome.parameters.get(HETEROGENEITY_SD)
    obstacles = {
        "has covariates": any(part.covariates for part in outcome.parameters.values()),
        "has strata of heterogeneity": bool(sd and sd.strata_column),
        "has effects of trials": not HETEROGENEITIES[outcome.heterogeneity].independent_arms,
        "depends on time": bool(outcome.over_time.clocks),
    }
    for obstacle in (text for text, applies in obstacles.items() if applies and len(without)):
        message = f"arms of {names(without)} do not count '{harm}', and its model {obstacle}"
        hint = f"Simplify outcomes.{harm}, or exclude these trials."
        yield issue_at("E429", key, message, hint)
