"""What the keys of a spec require of each other, checked on the typed models.

pydantic checks each key by itself; these rules relate keys: a curve determines which parameters
need priors, a pooling which priors a parameter needs. Where pydantic refused a key, the rules get
the spec without it (`Section.read_partially`), so that a file's errors are all reported at once:
a name that is not in its registry makes a rule silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nmda_bayes.components.bias import JUDGEMENTS, LOW_RISK
from nmda_bayes.components.curve_set import CurveSet
from nmda_bayes.components.curves import CURVES, LOG_PREFIX
from nmda_bayes.components.heterogeneity import (
    HETEROGENEITIES,
    OUTLIER_PROBABILITY,
    OUTLIER_SD_RATIO,
)
from nmda_bayes.components.likelihoods import LIKELIHOODS, RESPONDER_SD, STARTING_LEVEL, Likelihood
from nmda_bayes.components.links import IDENTITY, LOGIT
from nmda_bayes.components.pooling import HEAVY_TAIL_TEXT, POOLINGS, SD_PREFIXES, Pooling
from nmda_bayes.components.time_courses import TIME_COURSES, TimeCourse
from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.prior_library import HETEROGENEITY, LOG_OR, PRIOR_LIBRARIES, SMD
from nmda_bayes.priors import (
    FAMILIES,
    PRIOR_EXAMPLE,
    is_at_least_one,
    is_positive,
    is_proportion,
    prior_issues,
)
from nmda_bayes.spec.outcome import (
    ALL_TIMES,
    AgentCurve,
    BiasSpec,
    CovariateSpec,
    OutcomeSpec,
    ParameterSpec,
    PriorSpec,
    RiskOfBiasSpec,
    SelectionSpec,
    UnblindingSpec,
)

if TYPE_CHECKING:
    from nmda_bayes.spec.analysis import AnalysisSpec, ErrorCorrelation, WindowSpec

BASELINE = "baseline"
HETEROGENEITY_SD = "heterogeneity_sd"
CLUSTER_SD = "cluster_sd"
NU = "nu"
#: SDs of differences between trials.
TRIAL_SDS = (HETEROGENEITY_SD, CLUSTER_SD)
#: A baseline varies by study, a heterogeneity SD by stratum; curve parameters vary by agent.
POOLINGS_OF = {
    BASELINE: ("common", "independent", "study"),
    HETEROGENEITY_SD: ("common", "independent", "stratum"),
    CLUSTER_SD: ("common",),
    OUTLIER_SD_RATIO: ("common",),
    OUTLIER_PROBABILITY: ("common",),
    RESPONDER_SD: ("common",),
    STARTING_LEVEL: ("common", "independent", "study"),
}
#: Poolings that no curve parameter can have.
NOT_OF_AGENTS = ("study", "stratum")
#: Parameters whose priors must be positive.
POSITIVE = (*TRIAL_SDS, RESPONDER_SD)
#: The dims of a parameter that differs between agents.
OF_AGENTS = {"own", "agent"}

WRITE_BETTER = 'Write better = "lower" or better = "higher".'
CORRELATION_EXAMPLE = '{ dist = "Beta", kwargs = { alpha = 5, beta = 5 }, why = "..." }'
SHARE_EXAMPLE = '{ dist = "Beta", kwargs = { alpha = 1, beta = 9 }, why = "..." }'
NU_EXAMPLE = '{ dist = "Gamma", kwargs = { alpha = 2, beta = 0.1 }, why = "..." }'
RATIO_EXAMPLE = (
    '{ dist = "TruncatedNormal", kwargs = { mu = 1, sigma = 3, lower = 1, upper = 20 },'
    ' why = "..." }'
)


def natural_name(name: str) -> str:
    """Name the positive quantity behind a logarithm: ``ed50`` for ``log_ed50``."""
    return name.removeprefix(LOG_PREFIX)


def required_parameters(outcome: OutcomeSpec) -> tuple[str, ...] | None:
    """Name the parameters that an outcome's parts need; None where a part is not known."""
    shapes, course = shapes_of(outcome), _course_of(outcome)
    heterogeneity = HETEROGENEITIES.get(outcome.heterogeneity)
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if shapes is None or heterogeneity is None or likelihood is None or course is None:
        return None
    return (
        *shapes.parameters,
        *course.parameters,
        *((BASELINE,) if likelihood.has_baseline else ()),
        *heterogeneity.parameters,
        *(name for name in likelihood.parameters if name not in outcome.likelihood_options),
        *((RESPONDER_SD, STARTING_LEVEL) if outcome.responders is not None else ()),
    )


def shapes_of(outcome: OutcomeSpec) -> CurveSet | None:
    """Get an outcome's curves; None where one is not known or its options are invalid."""
    curves = {}
    for agent, part in _curve_parts(outcome):
        curve = CURVES.get(part.curve)
        if curve is None or any(curve.option_issues(part.curve_options)):
            return None
        curves[agent] = curve.with_options(part.curve_options)
    return CurveSet(curves.pop(""), curves)


def _course_of(outcome: OutcomeSpec) -> TimeCourse | None:
    course = TIME_COURSES.get(outcome.course)
    if course is None or any(course.option_issues(outcome.course_options)):
        return None
    return course.with_options(outcome.course_options)


def _curve_parts(outcome: OutcomeSpec) -> list[tuple[str, OutcomeSpec | AgentCurve]]:
    return [("", outcome), *outcome.curves.items()]


def spec_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    """Find where the keys of a spec contradict each other, each with its dotted key."""
    for name, outcome in spec.outcomes.items():
        key = f"outcomes.{name}"
        yield from _parameters_issues(key, outcome)
        yield from _curve_issues(key, outcome)
        yield from _baseline_issues(f"{key}.baseline", outcome)
        yield from _library_issues(key, outcome)
        yield from _mixed_data_issues(key, outcome)
        yield from _consistency_issues(key, outcome)
        yield from _likelihood_issues(key, outcome)
        yield from _bias_issues(name, spec.outcomes)
        yield from _time_issues(key, outcome)
        yield from _mixture_issues(name, outcome, spec)
    yield from _crossover_issues(spec)
    yield from _repeated_issues(spec)
    yield from _class_issues(spec)
    yield from _agent_correlation_issues(spec)
    yield from _heterogeneity_correlation_issues(spec)
    if spec.correlations.errors is not None:
        yield from _error_correlation_issues(spec.correlations.errors, spec.outcomes)
    if spec.window is not None:
        yield from _window_issues(spec.window, spec.outcomes)


def issue_at(code: str, key: str, message: str, hint: str) -> Issue:
    """Make an issue at a dotted key."""
    return Issue(code, message, hint, column=key)


def _unknown_outcomes(
    names: Collection[str], outcomes: Mapping[str, OutcomeSpec], key: str
) -> Iterator[Issue]:
    for name in names:
        if name not in outcomes:
            hint = suggest_match(name, list(outcomes))
            yield issue_at("E340", key, f"no outcome is called '{name}'", hint)


def _are_distinct(names: Sequence[str]) -> bool:
    """Say whether there are two names or more, each once."""
    return len(set(names)) >= 2 and len(set(names)) == len(names)


# Parameters and their priors


def _parameters_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    needed = required_parameters(outcome)
    parameters = outcome.parameters
    if needed is not None:
        shapes = outcome.shape
        advice = shapes.prior_suggestions()
        for name in needed:
            at = f"{key}.parameters.{name}"
            both = {name, natural_name(name)} & set(parameters)
            if not both:
                hint = f"Write [{at}] with a pooling and its priors, for instance pooling = "
                hint += f'"common" and priors.location = {PRIOR_EXAMPLE}; there is no default.'
                hint += f" Advice: {advice[name].why}." if name in advice else ""
                message = f"parameter '{name}'{shapes.owner(name)} has no prior"
                yield issue_at("E310", at, message, hint)
            elif len(both) == 2 and name != natural_name(name):
                at = f"{key}.parameters.{natural_name(name)}"
                message = f"'{name}' and '{natural_name(name)}' are the same quantity"
                yield issue_at("E311", at, message, "Keep one.")
        for name in parameters:
            if name not in needed and name not in map(natural_name, needed):
                message = f"'{name}' is not a parameter of this outcome"
                hint = f"{suggest_match(name, needed)} Its parts need: {', '.join(needed)}."
                yield issue_at("E312", f"{key}.parameters.{name}", message, hint)
    for name, parameter in parameters.items():
        is_natural = needed is not None and name not in needed
        at = f"{key}.parameters.{name}"
        yield from _parameter_issues(at, name, parameter, is_natural, outcome.heterogeneity)


def _parameter_issues(
    key: str, name: str, parameter: ParameterSpec, is_natural: bool, heterogeneity: str
) -> Iterator[Issue]:
    """Check one parameter; `is_natural` where the formula uses its logarithm."""
    pooling = POOLINGS.get(parameter.pooling)
    heavy = pooling is not None and pooling.heavy_tailed
    if name == HETEROGENEITY_SD and heterogeneity in HETEROGENEITIES:
        heavy = HETEROGENEITIES[heterogeneity].heavy_tailed
    if pooling is not None:
        yield from _pooling_issues(key, name, pooling, is_natural)
        yield from _slot_issues(f"{key}.priors", pooling, parameter.priors, heavy)
        yield from _strata_issues(key, name, pooling, parameter.strata_column)
    yield from _nu_issues(f"{key}.{NU}", parameter, heavy)
    for covariate, part in parameter.covariates.items():
        yield from _covariate_issues(f"{key}.covariates.{covariate}", name, part, is_natural)
    positive = is_natural or name in POSITIVE or _is_positive_in_likelihood(name)
    for slot, prior in parameter.priors.items():
        must_be_positive = slot.startswith((*SD_PREFIXES, NU)) or (
            slot in ("location", "each") and positive
        )
        yield from prior_rules(f"{key}.priors.{slot}", prior, must_be_positive)


def _poolings_in_likelihood(name: str) -> tuple[str, ...] | None:
    """List the poolings of a likelihood's parameter; None where no likelihood has it."""
    likelihoods = [part for part in LIKELIHOODS.values() if name in part.parameters]
    if not likelihoods:
        return None
    of_studies = any(name in part.study_parameters for part in likelihoods)
    return ("common", "independent", "study") if of_studies else ("common",)


def _is_positive_in_likelihood(name: str) -> bool:
    return any(name in (*part.positive, *part.shares) for part in LIKELIHOODS.values())


def _pooling_issues(key: str, name: str, pooling: Pooling, is_natural: bool) -> Iterator[Issue]:
    allowed = POOLINGS_OF.get(name) or _poolings_in_likelihood(name)
    if is_natural:
        allowed = ("common", "independent")
    elif allowed is None:
        allowed = tuple(p for p in POOLINGS if p not in NOT_OF_AGENTS)
    if pooling.name not in allowed:
        message = f"pooling '{pooling.name}' does not apply to '{name}'"
        yield issue_at("E313", f"{key}.pooling", message, f"Use one of: {', '.join(allowed)}.")


def _slot_issues(
    key: str, pooling: Pooling, priors: Mapping[str, PriorSpec], heavy: bool
) -> Iterator[Issue]:
    for slot in pooling.priors:
        if slot not in priors:
            message = f"pooling '{pooling.name}' needs the prior '{slot}'"
            hint = f"Write priors.{slot} = {PRIOR_EXAMPLE}; there is no default prior."
            yield issue_at("E314", f"{key}.{slot}", message, hint)
    slots = (*pooling.priors, *pooling.optional, *((NU,) if heavy else ()))
    for slot in priors:
        if slot not in slots and slot != NU:
            message = f"pooling '{pooling.name}' has no prior '{slot}'"
            yield issue_at("E315", f"{key}.{slot}", message, suggest_match(slot, slots))


def _nu_issues(key: str, parameter: ParameterSpec, heavy: bool) -> Iterator[Issue]:
    """Require degrees of freedom once where tails are heavy, and nowhere else."""
    n_given = (parameter.nu is not None) + (NU in parameter.priors)
    if not heavy and n_given:
        message = "no distribution of this parameter is a t distribution"
        yield issue_at("E322", key, message, f"Use {HEAVY_TAIL_TEXT}, or remove it.")
    elif heavy and not n_given:
        hint = f"Write nu = 4, or priors.nu = {NU_EXAMPLE}; there is no default."
        yield issue_at("E323", key, "degrees of freedom nu are missing", hint)
    elif n_given == 2:
        yield issue_at("E324", key, "nu is given twice", "Keep the number or its prior.")


def _strata_issues(key: str, name: str, pooling: Pooling, column: str) -> Iterator[Issue]:
    has_strata = name == HETEROGENEITY_SD and pooling.name in ("independent", "stratum")
    if name == CLUSTER_SD:
        if not column:
            message = "the column that defines the clusters of trials is missing"
            hint = 'Write strata_column = "district", or another column of the evidence.'
            yield issue_at("E325", f"{key}.strata_column", message, hint)
    elif has_strata and not column:
        message = f"pooling '{pooling.name}' of '{name}' needs strata"
        hint = 'Use one of: common; or write strata_column = "risk_of_bias", for instance.'
        yield issue_at("E325", f"{key}.pooling", message, hint)
    elif column and not has_strata:
        message = f"'{name}' does not differ by strata"
        hint = f'Use pooling = "stratum" or "independent" with {HETEROGENEITY_SD}, or remove it.'
        yield issue_at("E326", f"{key}.strata_column", message, hint)


def _covariate_issues(
    key: str, name: str, covariate: CovariateSpec, is_natural: bool
) -> Iterator[Issue]:
    if name in POOLINGS_OF or _poolings_in_likelihood(name) is not None:
        hint = "Regress a parameter of the curve; for a heterogeneity use strata."
        yield issue_at("E327", key, f"'{name}' cannot have covariates", hint)
    elif is_natural:
        message = f"a positive quantity is regressed on the log scale, and '{name}' is not a log"
        yield issue_at("E327", key, message, f"Give log_{name} and its priors.")
    if not covariate.level:
        for field, meaning, example in (
            ("centre", "reference value", "2010"),
            ("unit", "size of one step", "10"),
        ):
            if getattr(covariate, field) is None:
                message = f"the covariate's {field} ({meaning}) is missing"
                hint = f"Write {field} = {example}, in the covariate's units."
                yield issue_at("E328", f"{key}.{field}", message, hint)
    if covariate.measure and (covariate.column or covariate.level):
        hint = "Keep column (with level or without) or measure."
        yield issue_at("E329", key, "a covariate has one source", hint)
    yield from prior_rules(f"{key}.prior", covariate.prior, False)


def prior_rules(key: str, prior: PriorSpec | None, must_be_positive: bool) -> Iterator[Issue]:
    """Check the arguments of a prior, and its sign where the quantity is positive."""
    if prior is None or prior.dist not in FAMILIES:
        return
    issues = list(prior_issues(prior.dist, prior.kwargs))
    for message, hint in issues:
        yield issue_at("E316", key, message, hint)
    if must_be_positive and not issues and not is_positive(prior.dist, prior.kwargs):
        message = f"a {prior.dist} prior allows negative values, but this quantity is positive"
        hint = "Use for instance HalfNormal, LogNormal, or a TruncatedNormal with lower = 0."
        yield issue_at("E317", key, message, hint)


def _share_issues(
    key: str, quantity: str, prior: PriorSpec | float | None, hint: str
) -> Iterator[Issue]:
    """Check that a prior, where there is one, lies between 0 and 1."""
    if not isinstance(prior, PriorSpec) or prior.dist not in FAMILIES:
        return
    if not is_proportion(prior.dist, prior.kwargs):
        message = f"{quantity} lies between 0 and 1, but this prior does not"
        yield issue_at("E318", key, message, hint)


def _library_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Find published priors of another quantity or scale, or with other numbers."""
    for name, parameter in outcome.parameters.items():
        for slot, prior in parameter.priors.items():
            at = f"{key}.parameters.{name}.priors.{slot}"
            library = PRIOR_LIBRARIES.get(prior.library)
            entry = (prior.outcome, prior.comparison)
            if library is None or entry not in library.priors:
                continue
            dist, kwargs, scale = library.priors[entry]
            if (prior.dist, prior.kwargs) != (dist, kwargs):
                message = f"the numbers are not those of {library.name}"
                hint = "Remove library, outcome and comparison, or dist and kwargs."
                yield issue_at("E319", at, message, hint)
            if (library.quantity == HETEROGENEITY) != (name == HETEROGENEITY_SD):
                use = HETEROGENEITY_SD if library.quantity == HETEROGENEITY else "an effect"
                message = f"{library.name} has priors of {use}, not of '{name}'"
                yield issue_at("E320", at, message, f"Use it for {use}.")
            wrong = _wrong_scale(scale, outcome)
            if wrong:
                hint = "Use a library of the outcome's scale, or write dist and kwargs."
                yield issue_at("E321", at, f"a prior for {scale}, but {wrong}", hint)


def _wrong_scale(scale: str, outcome: OutcomeSpec) -> str:
    """Say why an outcome is not on a scale; contrasts may be on any."""
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if likelihood is None or likelihood.contrasts:
        return ""
    if likelihood.link.effect and (likelihood.link != LOGIT or scale != LOG_OR):
        return f"the outcome's effects are {likelihood.link.effect}s"
    unit = outcome.unit.lower()
    standardised = scale == SMD and (unit in ("sd", "sds") or "standard deviation" in unit)
    if likelihood.link == IDENTITY and not standardised:
        return 'the outcome\'s effects are mean differences in its unit (for an SMD: unit = "SD")'
    return ""


def _class_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    if spec.classes:
        return
    for key, pooling in _poolings(spec):
        if pooling.uses_classes:
            message = f"pooling '{pooling.name}' needs the classes of the agents"
            hint = 'Write [classes] with lines such as ketamine = "arylcyclohexylamine".'
            yield issue_at("E330", f"{key}.pooling", message, hint)


def _poolings(spec: AnalysisSpec) -> Iterator[tuple[str, Pooling]]:
    """List each parameter's dotted key with its pooling."""
    for name, outcome in spec.outcomes.items():
        for parameter, part in outcome.parameters.items():
            if part.pooling in POOLINGS:
                yield f"outcomes.{name}.parameters.{parameter}", POOLINGS[part.pooling]


# Curve, likelihood, heterogeneity, time


def _curve_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    for agent, part in _curve_parts(outcome):
        at = f"{key}.curves.{agent}" if agent else key
        if part.curve in CURVES:
            for name, message, hint in CURVES[part.curve].option_issues(part.curve_options):
                yield issue_at("E331", f"{at}.curve_options.{name}", message, hint)


def _baseline_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Check what an outcome's baselines are against their pooling and the likelihood."""
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if outcome.baseline is None or likelihood is None:
        return
    if not likelihood.has_baseline:
        message = f"likelihood '{likelihood.name}' has no baseline"
        yield issue_at("E309", key, message, "Remove it.")
    elif outcome.baseline_is_mean and outcome.baseline_pooled:
        # Pooled, it would compare means over different sets of arms.
        message = "pooled baselines are levels of one treatment, not means of a study's arms"
        hint = 'Write baseline = "reference_arm", or parameters.baseline.pooling = "independent".'
        yield issue_at("E308", key, message, hint)


def _likelihood_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Check the fixed values and the priors of a likelihood's parameters."""
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if likelihood is None:
        return
    for name, value in outcome.likelihood_options.items():
        at = f"{key}.likelihood_options.{name}"
        if name not in likelihood.parameters:
            message = f"likelihood '{likelihood.name}' has no parameter '{name}'"
            hint = suggest_match(name, likelihood.parameters, "Remove it.")
            yield issue_at("E332", at, message, hint)
        elif name in likelihood.shares and not 0 < value < 1:
            message = f"{name} = {value:g} must be between 0 and 1"
            yield issue_at("E333", at, message, "Write a number between 0 and 1.")
        elif name in likelihood.positive and not value > 0:
            message = f"{name} = {value:g} must be positive"
            yield issue_at("E333", at, message, "Write a number above 0.")
    for name in likelihood.shares:
        if name in outcome.parameters:
            for slot, prior in outcome.parameters[name].priors.items():
                at, hint = f"{key}.parameters.{name}.priors.{slot}", f"Write {SHARE_EXAMPLE}."
                yield from _share_issues(at, f"'{name}'", prior, hint)


def _mixed_data_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Check contrasts and responders that are combined with an outcome's arms."""
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if likelihood is None:
        return
    if outcome.contrasts is not None:
        yield from _contrast_issues(f"{key}.contrasts", outcome.contrasts.effects, likelihood)
    if outcome.responders is None:
        return
    if likelihood.contrasts or likelihood.link != IDENTITY:
        message = "responders are modelled on the scale of a mean"
        hint = 'Use them with likelihood = "normal", or make them a separate outcome.'
        yield issue_at("E362", f"{key}.responders", message, hint)
    if not outcome.better:
        message = "responders need the direction in which the outcome is better"
        yield issue_at("E341", f"{key}.better", message, WRITE_BETTER)


def _contrast_issues(key: str, effects: Sequence[str], likelihood: Likelihood) -> Iterator[Issue]:
    if likelihood.contrasts:
        message = f"likelihood '{likelihood.name}' already reads contrasts"
        hint = "Remove this table, or use a likelihood of arms."
        yield issue_at("E360", key, message, hint)
        return
    for effect in effects:
        if effect not in likelihood.effects:
            message = f"'{effect}' is not on the scale of likelihood '{likelihood.name}'"
            hint = suggest_match(effect, likelihood.effects)
            yield issue_at("E361", f"{key}.effects", message, hint)


def _consistency_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Check an outcome that drops consistency, for all comparisons or for one."""
    unrelated = outcome.effects == "unrelated"
    if not outcome.split and not unrelated:
        return
    at = f"{key}.split" if outcome.split else f"{key}.effects"
    if outcome.split and unrelated:
        message = "unrelated effects cannot be split"
        yield issue_at("E354", f"{key}.split", message, "Keep one of the two.")
    if outcome.split and len(set(outcome.split)) != 2:
        hint = 'Write for instance split = ["memantine", "placebo"].'
        yield issue_at("E355", f"{key}.split", "a comparison has two different agents", hint)
    poolings = {name: part.pooling for name, part in outcome.parameters.items()}
    if poolings.get(BASELINE, "independent") != "independent":
        message = "with pooled baselines direct and indirect evidence cannot be separated"
        hint = 'Write parameters.baseline with pooling = "independent".'
        yield issue_at("E356", at, message, hint)
    shapes = shapes_of(outcome)
    if shapes is None or shapes.by_agent:
        return
    names = (poolings.get(name) or poolings.get(natural_name(name)) for name in shapes.parameters)
    dims = [set(POOLINGS[name].dims) for name in names if name and name in POOLINGS]
    if dims and not any(OF_AGENTS & dims_of for dims_of in dims):
        message = "all agents share one curve, so no comparison can have a separate effect"
        hint = 'Pool a parameter of the curve as "independent" or over agents.'
        yield issue_at("E357", at, message, hint)


def _time_issues(key: str, outcome: OutcomeSpec) -> Iterator[Issue]:
    """Check an outcome's time course against its choice of time points."""
    course, time = TIME_COURSES.get(outcome.course), outcome.time
    if course is None:
        return
    for name, message, hint in course.option_issues(outcome.course_options):
        yield issue_at("E334", f"{key}.course_options.{name}", message, hint)
    if course.clocks and time is None:
        message = f"course '{course.name}' needs times of measurement: a time rule is missing"
        hint = f'Write [{key}.time] with rule = "{ALL_TIMES}", or a rule for one time point.'
        yield issue_at("E335", f"{key}.time", message, hint)
    if time is None:
        return
    if (course.clocks or time.rule == ALL_TIMES) and time.missing_time != "leave_out":
        message = "rows without an hour cannot be used on a time course"
        hint = 'Write missing_time = "leave_out", or remove it.'
        yield issue_at("E336", f"{key}.time.missing_time", message, hint)
    likelihood = LIKELIHOODS.get(outcome.likelihood)
    if likelihood is not None and not likelihood.has_baseline and time.rule == ALL_TIMES:
        message = f"likelihood '{likelihood.name}' can use only one time point of a study"
        hint = 'Use one time point, for instance rule = "nearest_end_of_treatment".'
        yield issue_at("E337", f"{key}.likelihood", message, hint)


def _mixture_issues(name: str, outcome: OutcomeSpec, spec: AnalysisSpec) -> Iterator[Issue]:
    """Check an outcome whose trials are a mixture of ordinary and outlying ones."""
    heterogeneity = HETEROGENEITIES.get(outcome.heterogeneity)
    if heterogeneity is None or not heterogeneity.offset_parameters:
        return
    key = f"outcomes.{name}.parameters"
    ratio, share = (
        outcome.parameters[p].priors.get("location") if p in outcome.parameters else None
        for p in (OUTLIER_SD_RATIO, OUTLIER_PROBABILITY)
    )
    if ratio is not None and ratio.dist and not is_at_least_one(ratio.kwargs):
        message = "below 1 the two components of the mixture are not identified"
        hint = f"Write a prior with a lower bound of 1 or more, for instance {RATIO_EXAMPLE}."
        yield issue_at("E352", f"{key}.{OUTLIER_SD_RATIO}.priors.location", message, hint)
    at = f"{key}.{OUTLIER_PROBABILITY}.priors.location"
    hint = f"Write for instance {SHARE_EXAMPLE}."
    yield from _share_issues(at, "a share of trials", share, hint)
    if spec.correlations.heterogeneity is not None:
        message = f"arm effects that are a mixture, as of outcome '{name}', cannot be correlated"
        hint = 'Use heterogeneity = "arm_t", or remove the correlation.'
        yield issue_at("E353", "correlations.heterogeneity", message, hint)


# Biases


def _bias_issues(name: str, outcomes: Mapping[str, OutcomeSpec]) -> Iterator[Issue]:
    outcome = outcomes[name]
    bias, key = outcome.bias, f"outcomes.{name}.bias"
    if set(bias.given) - {"power"} and not outcome.better:
        message = "a bias favours the active arm, so the better direction must be given"
        yield issue_at("E341", f"outcomes.{name}.better", message, WRITE_BETTER)
    if bias.small_study is not None:
        yield from prior_rules(f"{key}.small_study.prior", bias.small_study.prior, False)
    if bias.unblinding is not None:
        yield from prior_rules(f"{key}.unblinding.prior", bias.unblinding.prior, False)
        yield from _unblinding_issues(f"{key}.unblinding.harm", name, bias.unblinding, outcomes)
    if bias.risk_of_bias is not None:
        yield from _judgement_issues(f"{key}.risk_of_bias", bias.risk_of_bias)
    if bias.selection is not None:
        yield from _step_issues(f"{key}.selection", bias.selection)
        yield from _selection_issues(f"{key}.selection", outcome, bias)
    if bias.power is not None and all(weight == 1 for weight in bias.power.weights.values()):
        message = "every weight is 1, so no trial is discounted"
        hint = "Write a weight below 1, or remove the table."
        yield issue_at("E381", f"{key}.power.weights", message, hint)


def _judgement_issues(key: str, bias: RiskOfBiasSpec) -> Iterator[Issue]:
    if bool(bias.column) == bool(bias.domain):
        message = "judgements have one source"
        hint = 'Write either column = "risk_of_bias_judgement" or domain = "overall".'
        yield issue_at("E370", f"{key}.column", message, hint)
    if bias.scope and not bias.domain:
        yield issue_at("E371", f"{key}.scope", "scope needs a domain", "Remove it.")
    for judgement, prior in bias.priors.items():
        at = f"{key}.priors.{judgement}"
        if judgement == LOW_RISK:
            message = "trials at low risk of bias are the reference"
            yield issue_at("E372", at, message, "Remove it.")
        elif judgement not in JUDGEMENTS:
            hint = suggest_match(judgement, JUDGEMENTS)
            yield issue_at("E373", at, f"unknown judgement '{judgement}'", hint)
        yield from prior_rules(at, prior, False)
    yield from prior_rules(f"{key}.spread", bias.spread, True)


def _step_issues(key: str, selection: SelectionSpec) -> Iterator[Issue]:
    steps, priors = selection.steps, selection.priors
    if not all(0 < step < 1 for step in steps) or list(steps) != sorted(set(steps)):
        message = "steps do not increase between 0 and 1"
        hint = "Write one-sided p-values, for instance steps = [0.025, 0.5]."
        yield issue_at("E374", f"{key}.steps", message, hint)
    if len(priors) != len(steps):
        message = f"{len(steps)} steps need {len(steps)} priors, not {len(priors)}"
        hint = "Write a prior of the probability of publication of each interval after the first."
        yield issue_at("E375", f"{key}.priors", message, hint)
    for position, prior in enumerate(priors):
        yield from prior_rules(f"{key}.priors.{position}", prior, True)


def _selection_issues(key: str, outcome: OutcomeSpec, bias: BiasSpec) -> Iterator[Issue]:
    """Selection needs estimates that are normal, with a known mean given the parameters."""
    likelihood, heterogeneity = outcome.likelihood, outcome.heterogeneity
    if likelihood in LIKELIHOODS and not LIKELIHOODS[likelihood].normal:
        message = f"selection needs normal estimates, which likelihood '{likelihood}' has not"
        hint = 'Use likelihood = "normal" or, for log odds ratios too, "normal_contrast".'
        yield issue_at("E376", key, message, hint)
    if outcome.responders is not None:
        message = "selection needs an estimate of each trial, and responders have none"
        yield issue_at("E377", key, message, "Remove the responders, or the selection.")
    if heterogeneity in HETEROGENEITIES and not HETEROGENEITIES[heterogeneity].independent_arms:
        message = f"selection needs normal heterogeneity with one variance, not '{heterogeneity}'"
        yield issue_at("E378", key, message, 'Use heterogeneity = "arm".')
    if bias.unblinding is not None:
        message = "selection needs a trial's mean, which with unblinding depends on a latent harm"
        yield issue_at("E379", key, message, "Keep one of the two, and compare them as variants.")
    if bias.risk_of_bias is not None and bias.risk_of_bias.spread is not None:
        message = "selection needs each trial's variance, and risk_of_bias has a spread"
        yield issue_at("E380", key, message, "Remove risk_of_bias.spread.")


def _unblinding_issues(
    key: str, name: str, bias: UnblindingSpec, outcomes: Mapping[str, OutcomeSpec]
) -> Iterator[Issue]:
    others = [other for other in outcomes if other != name]
    if bias.harm not in others:
        hint = suggest_match(bias.harm, others, "Add the outcome that counts the harm.")
        yield issue_at("E340", key, f"no other outcome is called '{bias.harm}'", hint)
        return
    harm = outcomes[bias.harm]
    likelihood = LIKELIHOODS.get(harm.likelihood)
    if likelihood is not None and (likelihood.link != LOGIT or not likelihood.has_baseline):
        message = "the unblinding harm must be counted in arms: a probability on the logit scale"
        yield issue_at("E382", key, message, 'Name an outcome with likelihood = "binomial".')
    heterogeneity = HETEROGENEITIES.get(harm.heterogeneity)
    if heterogeneity is not None and heterogeneity.offset_parameters:
        message = f"arms without counts of '{bias.harm}' have no component of its mixture"
        yield issue_at("E383", key, message, f'Give outcomes.{bias.harm} heterogeneity = "arm".')
    if harm.bias.unblinding is not None:
        hint = "The unblinding harm must be free of this bias."
        yield issue_at("E384", key, f"outcome '{bias.harm}' is itself inflated by unblinding", hint)
    if harm.exposure != outcomes[name].exposure:
        message = f"outcome '{bias.harm}' has another exposure, at which its curve is predicted"
        yield issue_at("E385", key, message, "Use one exposure for both.")


# Designs, correlations, window


def _crossover_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    crossover, key = spec.designs.crossover, "designs.crossover"
    if crossover is None:
        return
    rho, parallel = crossover.within_person_correlation, crossover.as_parallel
    yield from _unknown_outcomes(parallel, spec.outcomes, f"{key}.as_parallel")
    at, hint = f"{key}.within_person_correlation", f"Write for instance {CORRELATION_EXAMPLE}."
    yield from _share_issues(at, "a within-person correlation", rho, hint)
    if crossover.periods == "first" and (rho is not None or parallel):
        message = "with the first period alone no person is in two arms"
        hint = 'Remove within_person_correlation and as_parallel, or write periods = "all".'
        yield issue_at("E363", f"{key}.periods", message, hint)


def _repeated_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    repeated, key = spec.designs.repeated, "designs.repeated"
    rho = None if repeated is None else repeated.within_arm_correlation
    independent = () if repeated is None else repeated.as_independent
    yield from _unknown_outcomes(independent, spec.outcomes, f"{key}.as_independent")
    number_or_prior = f"{CORRELATION_EXAMPLE}, or a number"
    at, hint = f"{key}.within_arm_correlation", f"Write for instance {number_or_prior}."
    yield from _share_issues(at, "a within-arm correlation", rho, hint)
    for name, outcome in spec.outcomes.items():
        if outcome.time is None or outcome.time.rule != ALL_TIMES or name in independent:
            continue
        likelihood = LIKELIHOODS.get(outcome.likelihood)
        splits = likelihood is not None and likelihood.allows_shared_error
        if splits and rho is not None:
            continue
        keys = f'as_independent = ["{name}"]'
        if splits:
            keys = f"within_arm_correlation = {number_or_prior}, or {keys}"
        message = f"outcome '{name}' has repeated measures, whose correlation is missing"
        yield issue_at("E338", key, message, f"Write [designs.repeated] with {keys}.")


def _agent_correlation_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    if spec.correlations.agent is None:
        return
    key, names = "correlations.agent.of", spec.correlations.agent.of
    able = [
        at.removeprefix("outcomes.").replace(".parameters.", ".")
        for at, pooling in _poolings(spec)
        if "agent" in pooling.dims
    ]
    for name in names:
        if name not in able:
            message = f"'{name}' has no effects of agents that are pooled about a location"
            hint = suggest_match(name, able, 'Pool it by "agent" or "agent_and_condition".')
            yield issue_at("E347", key, message, hint)
    if not _are_distinct(names):
        message = "a correlation is between two different parameters or more"
        hint = f'Write of = ["outcome.parameter", ...]. Possible: {", ".join(able)}.'
        yield issue_at("E346", key, message, hint)


def _heterogeneity_correlation_issues(spec: AnalysisSpec) -> Iterator[Issue]:
    if spec.correlations.heterogeneity is None:
        return
    key = "correlations.heterogeneity"
    if len(spec.outcomes) < 2:
        yield issue_at("E344", key, "a single outcome cannot be correlated", "Remove it.")
    for name, outcome in spec.outcomes.items():
        if outcome.heterogeneity == "none":
            message = f"outcome '{name}' has no heterogeneity to correlate"
            hint = f'Give outcomes.{name} heterogeneity = "arm", or remove the correlation.'
            yield issue_at("E345", key, message, hint)


def _error_correlation_issues(
    errors: ErrorCorrelation, outcomes: Mapping[str, OutcomeSpec]
) -> Iterator[Issue]:
    key = "correlations.errors"
    if not _are_distinct(errors.of):
        hint = f'Write of = ["...", "..."] with some of: {", ".join(outcomes)}.'
        message = "errors are correlated between two different outcomes or more"
        yield issue_at("E346", f"{key}.of", message, hint)
    yield from _unknown_outcomes(errors.of, outcomes, f"{key}.of")
    for name in errors.of:
        likelihood = LIKELIHOODS.get(outcomes[name].likelihood) if name in outcomes else None
        if likelihood is not None and not likelihood.allows_correlated_error:
            able = [part.name for part in LIKELIHOODS.values() if part.allows_correlated_error]
            message = f"likelihood '{likelihood.name}' of outcome '{name}' has no normal errors"
            hint = f"Errors are correlated between outcomes with likelihood {' or '.join(able)}."
            yield issue_at("E348", f"{key}.of", message, hint)
        if name in outcomes and outcomes[name].bias.selection is not None:
            message = f"outcome '{name}' has a selection model, which is of one outcome at a time"
            hint = "Remove its bias.selection, or do not correlate its errors."
            yield issue_at("E349", f"{key}.of", message, hint)
    sources = {"correlation": errors.correlation, "prior": errors.prior, "column": errors.column}
    used = [name for name, source in sources.items() if source not in (None, "")]
    if len(used) != 1:
        message = f"one source of the correlation is needed, not {', '.join(used) or 'none'}"
        hint = "Write a correlation = 0.5, a prior, or a column; there is no default."
        yield issue_at("E350", key, message, hint)
    if len(errors.of) > 2 and errors.correlation is not None and errors.correlation < 0:
        message = "three outcomes or more cannot all be negatively correlated"
        yield issue_at("E351", f"{key}.correlation", message, "Write a number from 0 to 1.")
    hint = f"Write for instance {CORRELATION_EXAMPLE}; a negative one is a fixed number."
    yield from _share_issues(f"{key}.prior", "a correlation with a prior", errors.prior, hint)


def _window_issues(window: WindowSpec, outcomes: Mapping[str, OutcomeSpec]) -> Iterator[Issue]:
    yield from _unknown_outcomes([window.benefit], outcomes, "window.benefit")
    yield from _unknown_outcomes([window.harm], outcomes, "window.harm")
    benefit, harm = outcomes.get(window.benefit), outcomes.get(window.harm)
    if benefit is not None and not benefit.better:
        message = "a window needs the direction in which the benefit is better"
        yield issue_at("E341", f"outcomes.{window.benefit}.better", message, WRITE_BETTER)
    likelihood = LIKELIHOODS.get(benefit.likelihood) if benefit is not None else None
    if likelihood is not None and likelihood.link.ratio and not likelihood.link.probability:
        message = f"the benefit of a window cannot be a {likelihood.link.ratio}"
        yield issue_at("E342", "window.benefit", message, "Name another outcome.")
    likelihood = LIKELIHOODS.get(harm.likelihood) if harm is not None else None
    if likelihood is not None and not likelihood.link.probability:
        hint = 'Use an outcome with likelihood = "binomial".'
        yield issue_at("E343", "window.harm", "the harm of a window must be a risk", hint)
