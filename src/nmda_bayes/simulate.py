"""Evidence drawn from the prior of a spec, for tests, calibration, teaching and trial design.

Trials keep their design (arms, agents, exposures, sizes, standard errors); their results are drawn.
Every row is marked as synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.design import (
    ARM_REPORT,
    CONTRAST_REPORT,
    CUTOFF_COLUMN,
    ERROR_CORRELATION,
    JUDGEMENT,
    OUTCOMES,
    RESPONDER_REPORT,
    WEIGHT,
    ObservedVariable,
    build_design,
    n_cutoffs,
    observed_variables,
)
from nmda_bayes.design.covariates import coefficient_name, study_level_columns
from nmda_bayes.dims import CLUSTER, SAMPLE, STRATUM, scoped_name
from nmda_bayes.evidence.flat_schema import SD_NOT_REPORTED
from nmda_bayes.model import (
    OFFSET,
    PY_MODE,
    apply_publication_selection,
    build_model_from_design,
    model_outcomes,
)
from nmda_bayes.runtime import ignore_potential_warning
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.rules import CLUSTER_SD


def simulate_evidence(
    spec: AnalysisSpec, evidence: xr.DataTree, *, seed: int | None = None
) -> tuple[pd.DataFrame, xr.Dataset, AnalysisSpec]:
    """Draw trial results from the prior of an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        Trial data, whose design is kept: arms, agents, doses, sizes and standard errors.
    seed
        Random seed; that of the spec's sampling if None.

    Returns
    -------
    tuple[pandas.DataFrame, xarray.Dataset, AnalysisSpec]
        A flat evidence table with one row per arm or contrast; the parameters that generated it;
        and a spec of the same model for that table, whose doses are in units of the exposure.

    Raises
    ------
    SpecError
        If the spec does not fit the evidence.

    Examples
    --------
    >>> rows, truth, new_spec = nb.simulate_evidence(spec, evidence, seed=1)
    >>> bool((rows["synthetic"] == 1).all())
    True
    >>> list(new_spec.outcomes) == list(spec.outcomes)
    True
    """
    design = build_design(spec, evidence)
    seed = spec.sampling.seed if seed is None else seed
    model = build_model_from_design(spec, design)
    with ignore_potential_warning():
        drawn = pm.sample_prior_predictive(
            1, model=model, random_seed=seed, compile_kwargs={"mode": PY_MODE}
        )
    prior, results = (drawn[group].to_dataset() for group in ("prior", "prior_predictive"))
    for outcome in model_outcomes(spec, design):
        results = apply_publication_selection(outcome, results, prior, seed, of_arms=False)
    results, truth = (draws.isel(dict.fromkeys(SAMPLE, 0)) for draws in (results, prior))
    frames = []
    for name, part in spec.outcomes.items():
        reported = design[f"{OUTCOMES}/{name}"].to_dataset()
        exposure = scoped_name(name, "exposure", single_outcome=spec.single_outcome)
        if exposure in truth:  # it depends on pharmacokinetic parameters
            reported = reported.assign(exposure=("arm", truth[exposure].to_numpy()))
        for observed in observed_variables(spec, reported, name):
            rows = _flat_rows(name, LIKELIHOODS[part.likelihood], observed, results)
            rows = rows.assign(**_study_columns(name, part, observed))
            frames.append(rows)
            if observed.report_format == RESPONDER_REPORT:
                frames += _harder_cutoffs(rows, observed, results)
    truth = truth.drop_vars(list(SAMPLE)).drop_vars(
        [name for name in truth.data_vars if str(name).endswith(OFFSET)]
    )
    return pd.concat(frames, ignore_index=True), truth, _spec_of_table(spec)


def true_parameters(truth: xr.Dataset) -> pd.DataFrame:
    """The parameters that generated simulated evidence, one row per scalar."""
    rows = []
    for name, array in truth.data_vars.items():
        labels = pd.MultiIndex.from_product(
            [array[dim].to_numpy() for dim in array.dims] or [np.array([""])]
        )
        for label, value in zip(labels, array.to_numpy().ravel(), strict=True):
            at = ", ".join(f"{d}={v}" for d, v in zip(array.dims, label, strict=False))
            rows.append((str(name), at, float(value)))
    return pd.DataFrame(rows, columns=["variable", "at", "value"])


def _flat_rows(
    outcome: str, likelihood: Likelihood, observed: ObservedVariable, results: xr.Dataset
) -> pd.DataFrame:
    """Drawn results of one observed variable in the columns of a flat table."""
    rows = {name: observed.design[name].to_numpy() for name in observed.design.variables}
    values = results[observed.variable].to_numpy()
    if observed.report_format == CONTRAST_REPORT:
        arm, comparator = rows["arm_position"], rows["comparator_position"]
        columns: Mapping[str, Any] = {
            "study": rows["study"][arm],
            "agent": rows["agent"][arm],
            "dose": rows["exposure"][arm],
            "condition": rows["condition"][arm],
            "comparator": rows["agent"][comparator],
            "comparator_dose": rows["exposure"][comparator],
            "estimate": values,
            "se": rows["estimate_se"],
            "comparator_se": rows["comparator_se"],
        }
        return pd.DataFrame(columns).assign(outcome=outcome, synthetic=1)
    responders = observed.report_format == RESPONDER_REPORT
    drawn_column, *known = ("events", "n") if responders else likelihood.columns
    labels = zip(rows["arm"], rows["study"], strict=True)
    columns = {
        "study": rows["study"],
        "arm": [str(arm).removeprefix(f"{study}: ") for arm, study in labels],
        "agent": rows["agent"],
        "dose": rows["exposure"],
        "condition": rows["condition"],
        "design": np.where(rows["same_people"].astype(float) == 1, "crossover", "parallel"),
        drawn_column: values,
        **{name: rows[name] for name in known},
        "outcome": rows["measure"] if responders else outcome,
    }
    if observed.report_format == ARM_REPORT and likelihood.second_observed:
        columns["sd"] = _drawn_sds(observed, results)
    return pd.DataFrame(columns).assign(synthetic=1)


def _drawn_sds(observed: ObservedVariable, results: xr.Dataset) -> np.ndarray:
    """Drawn SDs of the arms; an arm that reported none reports none."""
    sd = pd.Series(SD_NOT_REPORTED, index=observed.design["arm"].to_numpy(), dtype=object)
    if observed.variable + "_variance" in results:
        variance = results[observed.variable + "_variance"]
        sd[variance[variance.dims[0]].to_numpy()] = np.sqrt(variance.to_numpy())
    return sd.to_numpy()


def _harder_cutoffs(
    rows: pd.DataFrame, observed: ObservedVariable, results: xr.Dataset
) -> Iterator[pd.DataFrame]:
    """Rows of the harder cut-offs of the same arms."""
    for level in range(2, n_cutoffs(observed.design) + 1):
        events = results[CUTOFF_COLUMN.format(observed.variable, level)]
        counts = events.to_series().reindex(observed.design["arm"].to_numpy()).to_numpy()
        measure = observed.design[CUTOFF_COLUMN.format("measure", level)].to_numpy()
        yield rows.assign(events=counts, outcome=measure)[~np.isnan(counts)]


def _study_columns(name: str, part: OutcomeSpec, observed: ObservedVariable) -> dict[str, Any]:
    """Strata, covariates, judgements and weights of the studies, for each row of a variable."""
    design = observed.design
    order: Any = slice(None)
    if observed.report_format == CONTRAST_REPORT:
        order = design["arm_position"].to_numpy()
    shared = [*study_level_columns(part), *({ERROR_CORRELATION} & set(design))]
    columns: dict[str, Any] = {column: design[column].to_numpy()[order] for column in shared}
    # Judgements and weights may differ between outcomes.
    for column in sorted({JUDGEMENT, WEIGHT} & set(design)):
        columns[f"{name}_{column}"] = list(map(_as_text, design[column].to_numpy()[order]))
    return columns


def _as_text(value: Any) -> str:
    # A bare number would be read back as a number, and 1 as 1.0.
    return f"weight {value:g}" if isinstance(value, float) else str(value)


def _spec_of_table(spec: AnalysisSpec) -> AnalysisSpec:
    """The same model for a table whose rows are selected and whose doses are exposures."""
    content = spec.model_dump(exclude_none=True)
    content |= {
        "title": f"Simulated from: {spec.title}",
        "evidence": "evidence.csv",
        "select": {},
        "exclude": {},
        "agents": {},
    }
    content.pop("pharmacokinetics", None)
    errors = content["correlations"].get("errors", {})
    if errors.get("column"):
        errors["column"] = ERROR_CORRELATION
    for name, outcome in content["outcomes"].items():
        outcome |= {"measures": [name], "exposure": "dose"}
        for key in ("scale", "time"):
            outcome.pop(key, None)
        for parameter, part in outcome["parameters"].items():
            strata = CLUSTER if parameter == CLUSTER_SD else STRATUM
            part["strata_column"] = strata if part.get("strata_column") else ""
            for covariate, source in part["covariates"].items():
                source |= {
                    "level": "",
                    "measure": "",
                    "column": coefficient_name(parameter, covariate),
                    "centre": source.get("centre", 0.0),
                    "unit": source.get("unit", 1.0),
                }
        biases = outcome["bias"]
        if "risk_of_bias" in biases:
            biases["risk_of_bias"] |= {"domain": "", "scope": [], "column": f"{name}_{JUDGEMENT}"}
        if "power" in biases:
            weights = set(biases["power"]["weights"].values())
            biases["power"]["column"] = f"{name}_{WEIGHT}"
            biases["power"]["weights"] = {_as_text(float(w)): w for w in weights}
        if outcome.get("contrasts"):
            outcome["contrasts"] |= {"measures": [name], "effects": ["unnamed"]}
    return AnalysisSpec.from_dict(content)
