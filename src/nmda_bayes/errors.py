"""Errors that a user can fix: each with a code, its place and a hint.

All errors of an input are collected and raised as one exception, so that they can be fixed in one
go. The command line prints them and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: The kind of error of each code. E1: tables of evidence; E2: formats of other packages; E3: specs;
#: E4: design and templates; E5: models and inference; E6: sensitivity analyses; E7: regimens and
#: pharmacokinetics; E8: estimands, stored fits, figures; E9: command line and results folders.
CODES: dict[str, str] = {
    # Tables of evidence
    "E100": "file-not-found",
    "E101": "file-type",
    "E102": "empty-table",
    "E103": "invalid-csv",
    "E104": "unknown-sheet",
    "E105": "formula-without-value",
    "E106": "column-without-name",
    "E107": "duplicate-column",
    "E108": "reserved-column",
    "E109": "repeated-header",
    "E110": "row-length",
    "E111": "missing-column",
    "E112": "misspelt-column",
    "E113": "no-outcome-columns",
    "E114": "misplaced-column",
    "E115": "missing-tables",
    "E120": "missing-value",
    "E121": "not-a-number",
    "E122": "not-a-whole-number",
    "E123": "out-of-range",
    "E124": "value-not-allowed",
    "E125": "events-exceed-n",
    "E126": "duplicate-key",
    "E127": "duplicate-result",
    "E128": "duplicate-arm",
    "E129": "conflicting-values",
    "E130": "unknown-term",
    "E131": "unknown-study-or-arm",
    "E132": "unknown-source",
    "E133": "missing-dispersion",
    "E134": "reversed-limits",
    "E135": "incomplete-interval",
    "E136": "interval-level",
    "E137": "estimate-outside-interval",
    "E138": "asymmetric-interval",
    "E139": "order-statistics",
    "E140": "contradictory-dispersion",
    "E141": "ratio-not-positive",
    "E142": "undeclared-ratio",
    "E143": "several-results-in-row",
    "E144": "self-comparison",
    "E145": "period-without-crossover",
    "E146": "comparator-se-too-large",
    "E148": "dispersion-of-one",
    "E149": "row-without-result",
    "E180": "mixed-measures",
    "E181": "measure-not-in-table",
    "E182": "near-equal-labels",
    "E183": "unread-column",
    "E184": "outside-scale",
    "E185": "dispersion-impossible-on-scale",
    "E186": "contradictory-columns",
    "E187": "unknown-dose-unit",
    "E188": "incompatible-dose-units",
    "E189": "missing-value-code",
    "E190": "dose-unit-missing",
    "E191": "several-trials-of-one-name",
    "E192": "several-units-of-an-outcome",
    "E193": "correlation-before-and-after-missing",
    "E194": "total-among-trials",
    "E195": "standard-error-of-ratio-or-logarithm",
    "E160": "path-exists",
    "E161": "output-folder-missing",
    "E162": "output-not-csv",
    "E163": "arms-without-results",
    "E164": "not-writable-as-csv",
    "E165": "unknown-analysis",
    "E166": "options-not-applicable",
    "E167": "ambiguous-decimal-mark",
    "E168": "mixed-decimal-marks",
    "E170": "row-without-trial",
    "E171": "several-sheets",
    "E172": "table-too-large",
    "E173": "ambiguous-column",
    "E174": "unknown-role-or-heading",
    "E177": "merged-number",
    # Formats of other packages
    "E200": "unknown-format",
    "E201": "ambiguous-format",
    "E202": "unrecognised-columns",
    "E203": "invalid-setting",
    "E204": "no-results",
    "E205": "arm-without-name",
    "E206": "missing-baseline-arm",
    "E207": "second-baseline-arm",
    "E208": "baseline-arm-only",
    "E209": "missing-baseline-error",
    "E211": "one-group-measure",
    "E212": "missing-contrasts",
    "E213": "inconsistent-errors",
    "E214": "inconsistent-effects",
    "E216": "arm-of-one-participant",
    "E217": "event-not-binary",
    "E218": "duplicate-participant",
    "E219": "missing-heading",
    "E220": "contradictory-effects",
    "E221": "contradictory-errors",
    "E223": "repeated-effects",
    "E224": "invalid-correlation",
    "E225": "unclear-comparator",
    "E226": "unnamed-groups",
    "E227": "unclear-events",
    "E228": "referent-of-study",
    "E229": "unknown-design",
    "E230": "unknown-covariance",
    "E232": "invalid-cluster-correlation",
    "E233": "missing-cluster-correlation",
    "E234": "missing-cluster-size",
    "E235": "missing-comparator",
    "E236": "unsupported-content",
    "E238": "repeated-comparisons",
    "E239": "unread-statistic",
    "E240": "repeated-agent",
    # Specs
    "E300": "file-unreadable",
    "E301": "unknown-key",
    "E302": "missing-key",
    "E303": "invalid-value",
    "E304": "unknown-name",
    "E305": "file-not-utf8",
    "E306": "file-not-toml",
    "E307": "unknown-published-prior",
    "E308": "baseline-mean-pooled",
    "E309": "baseline-not-applicable",
    "E310": "missing-parameter",
    "E311": "duplicate-parameter",
    "E312": "unexpected-parameter",
    "E313": "pooling-not-applicable",
    "E314": "missing-prior",
    "E315": "unexpected-prior",
    "E316": "invalid-prior",
    "E317": "prior-not-positive",
    "E318": "prior-outside-unit-interval",
    "E319": "published-prior-numbers",
    "E320": "published-prior-quantity",
    "E321": "published-prior-scale",
    "E322": "nu-not-applicable",
    "E323": "nu-missing",
    "E324": "nu-duplicate",
    "E325": "strata-missing",
    "E326": "strata-not-applicable",
    "E327": "covariate-not-applicable",
    "E328": "covariate-scale-missing",
    "E329": "covariate-several-sources",
    "E330": "classes-missing",
    "E331": "curve-option",
    "E332": "unknown-likelihood-option",
    "E333": "likelihood-option-range",
    "E334": "course-option",
    "E335": "time-rule-missing",
    "E336": "missing-time-not-allowed",
    "E337": "several-times-not-allowed",
    "E338": "repeated-correlation-missing",
    "E340": "unknown-outcome",
    "E341": "better-missing",
    "E342": "window-benefit-scale",
    "E343": "window-harm-scale",
    "E344": "correlation-single-outcome",
    "E345": "correlation-without-heterogeneity",
    "E346": "correlation-names",
    "E347": "correlation-not-pooled",
    "E348": "error-correlation-likelihood",
    "E349": "error-correlation-selection",
    "E350": "error-correlation-source",
    "E351": "error-correlation-negative",
    "E352": "mixture-ratio-below-one",
    "E353": "mixture-correlated",
    "E354": "split-of-unrelated",
    "E355": "split-agents",
    "E356": "inconsistency-pooled-baseline",
    "E357": "inconsistency-shared-curve",
    "E360": "contrasts-redundant",
    "E361": "contrast-scale",
    "E362": "responder-scale",
    "E363": "crossover-first-period",
    "E370": "judgement-source",
    "E371": "judgement-scope",
    "E372": "judgement-reference",
    "E373": "unknown-judgement",
    "E374": "selection-steps",
    "E375": "selection-priors",
    "E376": "selection-likelihood",
    "E377": "selection-responders",
    "E378": "selection-heterogeneity",
    "E379": "selection-unblinding",
    "E380": "selection-spread",
    "E381": "power-weights",
    "E382": "unblinding-harm-likelihood",
    "E383": "unblinding-harm-mixture",
    "E384": "unblinding-harm-biased",
    "E385": "unblinding-harm-exposure",
    "E390": "kinetics-missing",
    "E391": "reference-regimen-missing",
    "E392": "reference-regimen-routes",
    "E393": "reference-regimen-invalid",
    "E394": "effect-site-missing",
    "E395": "effect-site-unused",
    "E396": "effect-site-prior",
    # Design and templates
    "E400": "no-rows-left",
    "E401": "column-not-in-evidence",
    "E402": "value-not-in-evidence",
    "E403": "agent-not-in-evidence",
    "E404": "measure-not-in-evidence",
    "E405": "disconnected-network",
    "E406": "value-varies-within-study",
    "E407": "agent-without-class",
    "E408": "curve-of-the-reference",
    "E410": "crossover-not-declared",
    "E411": "standard-error-of-shared-arm-missing",
    "E412": "redundant-contrasts",
    "E413": "too-many-tables",
    "E414": "error-correlation-of-study-missing",
    "E415": "split-without-direct-evidence",
    "E420": "bias-with-repeated-measures",
    "E421": "standard-error-unknown",
    "E422": "domain-not-judged",
    "E423": "several-values-for-one-study",
    "E424": "judgement-not-allowed",
    "E425": "judgement-without-prior",
    "E426": "weight-missing",
    "E427": "selection-crossover",
    "E428": "selection-several-contrasts",
    "E429": "unblinding-harm-not-counted",
    "E430": "pharmacokinetic-model-not-chosen",
    "E431": "reference-regimen-of-agent-missing",
    "E432": "effect-site-half-life-missing",
    "E433": "effect-site-of-unmodelled-drug",
    "E434": "unknown-pharmacokinetic-model",
    "E435": "pharmacokinetic-model-of-another-agent",
    "E436": "pharmacokinetic-model-without-route",
    "E437": "reference-regimen-without-model",
    "E438": "reference-regimen-not-computable",
    "E439": "reference-exposure-zero",
    "E450": "template-needs-a-table",
    "E451": "outcome-not-in-table",
    "E452": "several-outcomes-in-table",
    "E453": "arms-and-contrasts-mixed",
    "E454": "measure-of-contrasts-missing",
    "E455": "no-template-for-measure",
    "E456": "counts-and-means-mixed",
    "E457": "template-data-missing",
    "E458": "scale-missing",
    "E459": "reference-not-in-table",
    "E460": "reference-missing",
    "E461": "agent-without-dose",
    "E462": "no-usable-row",
    "E463": "setting-of-unknown-outcome",
    "E464": "benefit-and-harm-unclear",
    "E465": "single-arms-only",
    "E466": "measure-of-arms",
    "E468": "no-dose-response",
    "E469": "doses-missing",
    "E470": "reference-at-several-doses",
    "E471": "several-conditions",
    "E472": "outcome-unsuitable-for-window",
    "E473": "better-direction-missing",
    "E474": "nothing-compared-with-reference",
    "E475": "crossover-undecided",
    # Models, priors and their parts
    "E501": "unknown-prior-library",
    "E502": "unknown-prior-outcome",
    "E503": "unknown-prior-comparison",
    # Inference and checks
    "E550": "density-not-finite",
    "E551": "exact-integration-impossible",
    "E552": "fit-not-found",
    "E553": "fit-unreadable",
    "E554": "not-a-fit",
    "E555": "meta-analysis-prior",
    "E556": "location-prior-not-normal",
    "E557": "heterogeneity-prior-not-positive",
    "E558": "standard-error-not-positive",
    "E559": "standard-error-missing",
    "E560": "studies-not-separable",
    "E561": "studies-not-independent",
    "E570": "stacking-single-fit",
    "E571": "stacking-different-data",
    "E572": "average-missing-estimate",
    "E573": "average-different-coordinates",
    "E580": "fit-without-digest",
    "E581": "fit-altered",
    "E582": "fit-of-another-manifest",
    "E583": "manifest-damaged",
    "E584": "compiled-code-not-private",
    # Sensitivity analyses
    "E600": "sensitivity-file-unreadable",
    "E601": "sensitivity-file-not-toml",
    "E602": "sensitivity-unknown-key",
    "E603": "sensitivity-not-a-table",
    "E604": "sensitivity-invalid-value",
    "E605": "sensitivity-missing-key",
    "E606": "sensitivity-no-variants",
    "E607": "sensitivity-unknown-base",
    "E610": "variant-without-reason",
    "E611": "variant-without-difference",
    "E612": "duplicate-variant-name",
    "E613": "key-not-in-base",
    "E614": "unknown-variant",
    "E620": "unknown-generator",
    "E621": "invalid-generator-value",
    "E622": "unknown-prior-library",
    "E623": "unknown-prior",
    "E624": "prior-without-scale",
    "E625": "prior-without-location",
    "E626": "generator-unknown-outcome",
    "E630": "multiverse-unknown-decision",
    "E631": "multiverse-too-few-decisions",
    "E632": "multiverse-conflicting-decisions",
    "E640": "variant-without-trials",
    "E641": "variant-disconnected",
    "E650": "conflicting-schedulers",
    "E651": "invalid-worker-count",
    "E652": "dask-not-installed",
    "E653": "scheduler-unreachable",
    "E654": "variant-kills-workers",
    "E655": "workers-do-not-start",
    "E656": "variant-failed",
    "E657": "base-case-failed",
    "E660": "cache-not-writable",
    "E661": "cache-file-unreadable",
    "E662": "cache-file-foreign",
    "E663": "cache-file-of-another-analysis",
    "E664": "cache-file-changed",
    "E665": "results-folder-occupied",
    "E666": "results-unreadable",
    "E670": "perturbation-unknown-study",
    "E671": "perturbation-unsupported-likelihood",
    "E672": "perturbation-unknown-prior",
    "E673": "unknown-result-label",
    "E680": "subset-without-trials",
    "E681": "no-priors",
    "E682": "not-a-list",
    # Doses, regimens and pharmacokinetics
    "E700": "regimen-syntax",
    "E701": "regimen-mixed-units",
    "E702": "regimen-repetition-conflict",
    "E703": "regimen-partial-period",
    "E704": "unit-dimension",
    "E705": "regimen-incomplete",
    "E710": "derived-dose-column",
    "E711": "conversion-target-unknown",
    "E720": "single-arm-study",
    "E721": "reference-not-in-network",
    "E722": "disconnected-network",
    "E730": "derived-standard-errors",
    "E731": "imputed-standard-errors",
    "E732": "end-of-treatment-missing",
    "E733": "washout-not-reported",
    "E740": "pk-model-unknown",
    "E741": "pk-value-not-positive",
    "E742": "pk-unit",
    "E743": "pk-structure-unknown",
    "E744": "pk-parameter-missing",
    "E750": "pk-body-weight",
    "E751": "pk-analyte-unknown",
    "E752": "pk-target-concentration",
    "E753": "pk-concentration-unit",
    "E754": "pk-molar-mass-unknown",
    "E755": "pk-route-unknown",
    "E756": "pk-agent-mismatch",
    "E757": "pk-infusion-time-missing",
    "E758": "pk-absorption-invalid",
    "E759": "pk-effect-site-invalid",
    "E760": "schedule-too-long",
    "E761": "schedule-too-many-doses",
    # Estimands, stored fits
    "E800": "not-in-fit",
    "E801": "outcome-not-a-risk",
    "E802": "baseline-risk-missing",
    "E803": "window-missing",
    "E804": "unknown-covariate",
    "E805": "value-out-of-range",
    "E806": "comparison-dose-missing",
    "E807": "condition-missing",
    "E808": "different-dose-axes",
    "E810": "deviance-undefined",
    "E811": "models-of-different-arms",
    "E812": "no-bias-model",
    "E813": "no-mixture",
    "E814": "treatment-length-missing",
    "E820": "scale-not-available",
    "E821": "better-direction-unknown",
    "E822": "agents-share-curve",
    "E823": "comparison-not-splittable",
    "E824": "outcome-missing",
    "E825": "no-split-in-fit",
    "E826": "no-splittable-comparison",
    "E830": "shrinkage-likelihood",
    "E831": "shrinkage-repeated-measures",
    "E832": "shrinkage-no-comparison",
    "E840": "regimen-without-length",
    "E841": "exposure-is-dose",
    "E842": "no-pk-model",
    "E843": "exposure-is-area",
    "E844": "reference-rate-missing",
    # Figures and reports
    "E870": "report-path-is-a-folder",
    "E871": "report-folder-missing",
    "E872": "report-path-occupied",
    # Command line and results folders
    "E900": "folder-not-empty",
    "E901": "evidence-missing",
    "E902": "nothing-to-show",
    "E903": "options-exclude-each-other",
    "E905": "shipped-folder-missing",
    "E915": "folder-in-use",
    "E916": "fit-not-written",
    "E918": "operating-system",
    "E919": "memory-exhausted",
    "E920": "evidence-not-a-table",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One error of an input: what is wrong, where, and how to fix it.

    Attributes
    ----------
    code
        A key of `CODES`; codes are stable, messages are not.
    message
        What is wrong, without a full stop.
    hint
        How to fix it.
    file
        The file; empty for an object made in memory.
    row
        Line of the file, the header being line 1; None where the error is not of a single row.
    column
        Column of a table, or dotted key of a spec.

    Examples
    --------
    >>> issue = nb.Issue("E301", "unknown key 'titel'", "Did you mean 'title'?", column="titel")
    >>> str(issue)
    "E301 titel: unknown key 'titel'. Did you mean 'title'?"
    """

    code: str
    message: str
    hint: str = ""
    file: str = ""
    row: int | None = None
    column: str = ""

    def __str__(self) -> str:
        row = f"row {self.row}" if self.row is not None else ""
        location = ", ".join(part for part in (self.file, row, self.column) if part)
        text = f"{location}: {self.message}" if location else self.message
        return f"{self.code} {text}. {self.hint}" if self.hint else f"{self.code} {text}"


class InputError(ValueError):
    """An input that cannot be used; carries every `Issue` of it.

    Parameters
    ----------
    issues
        At least one.

    Examples
    --------
    >>> try:
    ...     nb.AnalysisSpec.from_dict(spec.model_dump() | {"reference": 1})
    ... except nb.InputError as error:
    ...     [(issue.code, issue.column) for issue in error.issues]
    [('E303', 'reference')]
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues: tuple[Issue, ...] = tuple(issues)
        if not self.issues:
            raise ValueError("an InputError needs at least one issue")
        super().__init__("\n".join(str(issue) for issue in self.issues))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Issue, ...]]]:
        """Pickle with the issues."""
        return type(self), (self.issues,)


class EvidenceError(InputError):
    """Errors in evidence tables.

    Examples
    --------
    >>> table = pd.DataFrame({"study": ["A"], "agent": ["ketamine"], "events": [3], "n": [2]})
    >>> try:
    ...     nb.load_evidence(table)
    ... except nb.EvidenceError as error:
    ...     error.issues[0].column
    'events'
    """


class SpecError(InputError):
    """Errors in an analysis spec, or in an argument.

    Examples
    --------
    >>> try:
    ...     nb.AnalysisSpec.from_toml("no_such_file.toml")
    ... except nb.SpecError as error:
    ...     error.issues[0].code
    'E300'
    """


class FitError(InputError):
    """A stored fit that cannot be read, or is not a fit of this package.

    Examples
    --------
    >>> try:
    ...     nb.read_fit("no_such_folder")
    ... except nb.FitError as error:
    ...     len(error.issues)
    1
    """


def suggest_match(word: str, known: Sequence[str], if_none: str = "") -> str:
    """Suggest the known name closest to a misspelt one, else list those known, if there are any."""
    if if_none and not known:
        return if_none
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(known)}"
