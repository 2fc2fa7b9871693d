"""Published dose-response data, as in R's dosresmeta: one row per dose, with the referent's.

``id, type (cc, ci or ir), dose, cases, n or peryears, logrr, se``, where the referent of a study
has se NA or 0 (Crippa A, Orsini N (2016), J Stat Softw 72(1), doi:10.18637/jss.v072.c01).

The effects of a study share their referent. Their covariance follows from cases and totals by
Greenland S, Longnecker MP (1992), Am J Epidemiol 135:1301: the numbers of cases A that have the
published log relative risks and the study's margins give the variance s_i of each crude effect and
the part s_0 of the referent; the correlation of two effects is s_0 / sqrt(s_i s_j)::

    case-control (cc)    s_0 = 1/A_0 + 1/B_0,    s_i = s_0 + 1/A_i + 1/B_i,    B = n - A
    cohort, people (ci)  s_0 = 1/A_0 - 1/n_0,    s_i = s_0 + 1/A_i - 1/n_i
    cohort, time (ir)    s_0 = 1/A_0,            s_i = s_0 + 1/A_i

so that the covariance se_i se_j s_0 / sqrt(s_i s_j) is the product of the standard errors
``comparator_se`` = se_i sqrt(s_0 / s_i) of the referent in each effect.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmda_bayes.evidence.importers.arms import EXPOSURE
from nmda_bayes.evidence.importers.base import (
    ImportResult,
    SourceTable,
    TableFormat,
    matched_format,
    register_format,
)
from nmda_bayes.evidence.importers.crosscheck import check_ratio
from nmda_bayes.evidence.importers.reshape import trial_names
from nmda_bayes.evidence.importers.vocabulary import column_of, is_numeric, user_columns
from nmda_bayes.evidence.table_io import RawTable

FloatArray = NDArray[np.float64]

#: The designs: case-control, cohort with people, and cohort with person-time.
CASE_CONTROL, CUMULATIVE, INCIDENCE = "cc", "ci", "ir"
_TYPES = {
    **dict.fromkeys(("cc", "casecontrol", "case-control", "1"), CASE_CONTROL),
    **dict.fromkeys(("ci", "cumulativeincidence", "cohort", "3"), CUMULATIVE),
    **dict.fromkeys(("ir", "incidencerate", "rate", "2"), INCIDENCE),
}
_MEASURES = {CASE_CONTROL: "log_OR", CUMULATIVE: "log_RR", INCIDENCE: "log_IRR"}


def fitted_cases(
    log_ratio: FloatArray, cases: FloatArray, n: FloatArray, *, design: str
) -> FloatArray:
    """Cases by dose, the referent first, with these log relative risks and the same margins.

    The equations of Greenland and Longnecker; NaN where Newton's method does not converge.
    """
    total = float(cases.sum())
    # Exact for risks and rates, near the solution for odds.
    fitted = n * np.exp(log_ratio)
    fitted *= total / fitted.sum()
    if design != CASE_CONTROL:
        return fitted
    fitted = np.minimum(fitted, 0.9 * n)
    fitted[0] = total - fitted[1:].sum()
    with np.errstate(all="ignore"):
        for _ in range(100):
            odds, curvature = np.log(fitted / (n - fitted)), 1 / fitted + 1 / (n - fitted)
            error = log_ratio[1:] - (odds[1:] - odds[0])
            hessian = np.diag(curvature[1:]) + curvature[0]
            if not np.isfinite(hessian).all() or not np.isfinite(error).all():
                break
            step = np.linalg.solve(hessian, error)
            step = np.concatenate([[-step.sum()], step])
            # The largest part of the step that keeps every number of cases possible.
            limits = np.where(step < 0, fitted, n - fitted) / np.abs(step)
            fitted = fitted + min(1.0, 0.9 * float(np.nanmin(limits))) * step
            if np.abs(step).max() < 1e-10 * total:
                return fitted
    return np.full_like(fitted, np.nan)


def referent_errors(
    log_ratio: FloatArray, se: FloatArray, cases: FloatArray, n: FloatArray, *, design: str
) -> FloatArray:
    """Standard error of the referent in each effect; the referent's row comes first."""
    fitted = fitted_cases(log_ratio, cases, n, design=design)
    with np.errstate(all="ignore"):
        parts = 1 / fitted
        if design == CASE_CONTROL:
            parts = 1 / fitted + 1 / (n - fitted)
        elif design == CUMULATIVE:
            parts = 1 / fitted - 1 / n
        shared = se[1:] * np.sqrt(parts[0] / (parts[0] + parts[1:]))
    return np.where(shared > 0, shared, np.nan)


@register_format(
    "dosresmeta/contrasts",
    "dosresmeta: one row per dose, logrr with se against the study's referent (se NA or 0)",
    required={"study": "id", "dose": "dose", "estimate": "logrr", "se": "se"},
    optional={
        "type": "type",
        "cases": "cases|case",
        "n": "n",
        "person_time": "peryears|personyears|py",
        "ratio": "rr|adjrr",
        "agent": "agent|treatment|drug",
        "year": "year",
        "author": "author",
    },
)
def read_dose_response(table: SourceTable) -> ImportResult:
    """The contrast of each dose with the referent of its study."""
    study, column = table.text("study"), table.column("study")
    dose, estimate, se = table.numbers("dose"), table.numbers("estimate"), table.numbers("se")
    check_ratio(table, "ratio", "estimate")
    referent = (se.isna() | (se == 0)) & (estimate.isna() | (estimate == 0)) & (study != "")
    n_referents = referent.groupby(study).transform("sum")
    first = ~study.duplicated() & (study != "")
    table.issue(
        "E228",
        "se",
        (first & (n_referents == 0)).to_numpy(),
        "the study has no referent: every dose has an effect",
        "Add the dose that the others are compared with, with logrr 0 and se 0 or NA.",
    )
    table.issue(
        "E228",
        "se",
        (referent & (referent.groupby(study).cumsum() > 1)).to_numpy(),
        "a second referent in the study",
        f"Give each table of a report its own '{column}'.",
    )
    table.issue("E120", "dose", (dose.isna() & (study != "")).to_numpy(), "missing", "Fill it in.")
    design = table.text("type").str.casefold().map(_TYPES).fillna("")
    unknown = (table.text("type") != "") & (design == "")
    table.issue(
        "E229", "type", unknown.to_numpy(), "not cc, ci or ir", "Enter cc, ci or ir, or leave it."
    )
    usable = n_referents == 1
    unknown_covariance: list[str] = []
    shared = pd.Series(np.nan, index=study.index)
    referent_dose = dose.where(referent).groupby(study).transform("max")
    for name, rows in study[usable].groupby(study[usable], sort=False).groups.items():
        effects = [row for row in rows if not referent[row]]
        base = [row for row in rows if referent[row]]
        if effects:
            errors = _shared_errors(table, design, base, effects)
            shared[effects] = errors
            if len(effects) > 1 and not np.isfinite(errors).all():
                unknown_covariance.append(str(name))
    unusable = study.isin(unknown_covariance)
    if unusable.any() and not (usable & ~unusable).any():
        table.issue(
            "E230",
            "cases",
            (unusable & referent).to_numpy(),
            "the covariance of the study's effects does not follow from cases and totals",
            "Fill in type, cases and n (or peryears) at every dose, or keep one dose.",
        )
    elif unusable.any():
        usable &= ~unusable
        listed = ", ".join(f"'{name}'" for name in unknown_covariance)
        table.note(
            f"Set aside, {len(unknown_covariance)} study(ies) with several doses and without cases"
            f" and totals, from which their covariance would follow: {listed}."
        )
    names = trial_names(table, [dose.astype(str)])
    if table.has("author") and column != table.column("author"):
        label = (table.text("author") + " " + table.text("year")).str.strip()
        label = label.where(label == "", label + " ") + names["study"][0]
        names = {"study": (label.str.strip(), table.column("author"))}
    agent = table.agents("agent")
    if not table.has("agent"):
        name = table.groups[0] if table.groups else EXPOSURE
        agent = table.constant(name)
        table.note(
            f"The table does not name its agent; it is called '{name}'. Name it with"
            " --set groups=NAME,placebo."
        )
    part = table.fragment(usable & ~referent & (study != ""), ("se", "dose"))
    part.add("study", *names["study"])
    part.add("estimate", table.text("estimate"), table.column("estimate"))
    part.add("agent", agent, table.column("agent"))
    part.add("comparator", agent, table.column("agent"))
    part.add("comparator_dose", referent_dose, table.column("dose"))
    part.add("comparator_se", shared, table.column("cases"))
    part.add("measure", _measures(table, design), table.column("type"))
    table.used |= {table.column(role) for role in ("cases", "n", "person_time", "type", "ratio")}
    table.reference = str(agent.iloc[0])
    table.note(
        f"Each dose is compared with the study's referent ('{table.column('se')}' NA or 0). The"
        " effects of a study share it: their covariance is that of Greenland and Longnecker (1992),"
        f" from '{table.column('cases')}' and"
        f" '{table.column('n') or table.column('person_time')}'."
    )
    return table.assemble([part])


def _shared_errors(
    table: SourceTable, design: pd.Series, base: list[int], effects: list[int]
) -> FloatArray:
    """The standard error of a study's referent in each of its effects."""
    rows = [*base, *effects]
    kind = str(design[rows[0]])
    sizes = table.numbers("person_time") if kind == INCIDENCE else table.numbers("n")
    if kind == INCIDENCE and not table.has("person_time"):
        sizes = table.numbers("n")
    cases, n = table.numbers("cases")[rows].to_numpy(), sizes[rows].to_numpy()
    log_ratio = table.numbers("estimate")[rows].fillna(0.0).to_numpy()
    se = table.numbers("se")[rows].to_numpy()
    # A single effect needs no covariance.
    known = kind != "" and np.isfinite(cases).all() and np.isfinite(n).all()
    if not known or (cases < 0).any() or (n <= 0).any() or (cases[0] <= 0):
        return np.full(len(effects), np.nan)
    if kind != INCIDENCE and (cases >= n).any():
        return np.full(len(effects), np.nan)
    start = np.maximum(cases, 0.5)
    return referent_errors(log_ratio, se, start * cases.sum() / start.sum(), n, design=kind)


def _measures(table: SourceTable, design: pd.Series) -> pd.Series:
    """One measure of the table: relative risks of several designs are pooled as such."""
    kinds = {kind for kind in design if kind}
    if len(kinds) == 1:
        return table.constant(_MEASURES[kinds.pop()])
    table.note(
        "Odds ratios of case-control studies and risk or rate ratios of cohorts are read as one"
        " measure, the relative risk, as dosresmeta does (a rare outcome is assumed)."
    )
    return table.constant("log_RR")


def detect_dose_response(table: RawTable) -> TableFormat | None:
    """Find relative risks by dose in the headings of a table."""
    columns = user_columns(table)
    roles = {
        "study": column_of(columns, "", "id studyid study author"),
        "dose": column_of(columns, "dose"),
        "estimate": column_of(columns, "", "logrr lnrr logor lnor loghr lnhr"),
        "se": column_of(columns, "", "se selogrr selnrr"),
    }
    cases = column_of(columns, "", "cases case ncases events")
    if not all(roles.values()) or not cases or not is_numeric(table, roles["dose"]):
        return None
    free = [column for column in columns if column not in roles.values()]
    optional = {
        "cases": cases,
        "type": column_of(free, "", "type design"),
        "n": column_of(free, "", "n total subjects"),
        "person_time": column_of(free, "", "peryears personyears pyears py persontime"),
        "ratio": column_of(free, "", "rr adjrr or adjor hr"),
        "agent": column_of(free, "", "agent treatment drug"),
        "year": column_of(free, "year"),
        "author": column_of(free, "author"),
    }
    return matched_format("dosresmeta/contrasts", roles, **optional)
