"""What a bias needs to know of each arm: a judgement, a standard error, a weight.

Nothing is guessed: a study that nobody judged is `unknown`, and a word without a prior or a weight
is refused with the studies that carry it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.bias import JUDGEMENTS, LOW, UNKNOWN
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design.choose import AS_ARM, AS_RESPONDERS, Chosen
from nmda_bayes.design.decisive import decisive_contrasts, paired_studies
from nmda_bayes.design.readings import has_readings
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.evidence import table
from nmda_bayes.evidence.judgements import NOT_JUDGED
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.bias import RiskOfBiasSpec
from nmda_bayes.spec.pooling_rules import HETEROGENEITY_SD

#: Columns of an outcome's arms.
JUDGEMENT, CONTRAST_SE, WEIGHT = "judgement", "contrast_se", "weight"
#: Studies that a message names at most.
NAMED = 5
PRIOR = '{ dist = "Normal", kwargs = { mu = 0, sigma = ... }, why = "..." }'

Tables = Mapping[str, pd.DataFrame]


def add_bias_columns(
    chosen: Mapping[str, Chosen], spec: AnalysisSpec, selected: Tables, evidence: xr.DataTree
) -> None:
    """Add to the arms of each outcome what its biases need to know.

    Parameters
    ----------
    chosen
        What enters, by outcome.
    spec
        The analysis.
    selected
        ``results`` and ``contrasts``, joined to studies.
    evidence
        ``risk_of_bias`` has judgements by domain.

    Raises
    ------
    SpecError
        With every study that a bias cannot be applied to, and the mend.
    """
    faults: list[Fault] = []
    for name, one in chosen.items():
        outcome = spec.outcomes[name]
        given, key = outcome.bias, f"outcomes.{name}.bias"
        faults += _reading_faults(key, outcome, spec)
        if given.small_study is not None:
            se = _contrast_ses(one, outcome)
            faults += _se_faults(f"{key}.small_study", one, se)
            one.arms = one.arms.assign(**{CONTRAST_SE: se.fillna(0.0)})
        if given.risk_of_bias is not None:
            words, found = _judged(f"{key}.risk_of_bias", given.risk_of_bias, selected, evidence)
            faults += found
            one.arms = one.arms.assign(**{JUDGEMENT: _of_study(one, words)})
            if not found:
                faults += _judgement_faults(f"{key}.risk_of_bias", given.risk_of_bias, one)
        if given.power is not None:
            words, found = _words(f"{key}.power.column", given.power.column, selected)
            of_study = _of_study(one, words)
            one.arms = one.arms.assign(**{WEIGHT: of_study.map(given.power.weights)})
            faults += found or _unweighted(f"{key}.power.weights", one, of_study)
        if given.selection is not None:
            faults += _selection_faults(f"{key}.selection", name, one, spec)
        if given.unblinding is not None:
            faults += _uncounted_faults(f"{key}.unblinding.harm", one, chosen, spec, name)
    if faults:
        raise SpecError(faults)


def _reading_faults(key: str, outcome: OutcomeSpec, spec: AnalysisSpec) -> Iterator[Fault]:
    """Ask for one row an arm where a bias is of an arm's contrast, or of its harm."""
    mend = "Let one time point of each arm in, or remove the bias."
    for name in ("small_study", "selection"):
        if getattr(outcome.bias, name) is not None and has_readings(outcome):
            said = f"{name} is of one contrast of each arm, and arms enter at several hours"
            yield Fault(said, mend, column=f"{key}.{name}")
    part = outcome.bias.unblinding
    if part is not None and has_readings(spec.outcomes[part.harm]):
        said = f"arms are betrayed by one harm each, and '{part.harm}' enters at several hours"
        yield Fault(said, mend, column=f"{key}.unblinding.harm")


def _contrast_ses(chosen: Chosen, outcome: OutcomeSpec) -> pd.Series:
    """Standard error of each active arm's contrast with its study's control.

    0 where there is none to have: at dose 0, and in trials without an arm at dose 0, of which
    neither side is the one that a small trial would favour. NaN where it should be and is not
    known. That of a crossover trial is taken as if its arms held different people: too large.
    """
    arms = chosen.arms
    found = pd.Series(0.0, index=arms.index)
    found[(arms["report"] == AS_RESPONDERS) & (arms["exposure"] > 0)] = np.nan
    own = _arm_variances(arms, outcome)
    for here, there in paired_studies(arms):
        found[here] = np.sqrt(own[here] + own[there])
    if chosen.contrasts is not None:
        rows = chosen.contrasts
        for a, b, se in zip(
            rows["arm_position"], rows["comparator_position"], rows["estimate_se"], strict=True
        ):
            exposure = arms["exposure"].iloc[[a, b]].to_numpy()
            for arm, other in ((a, exposure[1]), (b, exposure[0])):
                if other == 0 and arms["exposure"].iloc[arm] > 0:
                    found.iloc[arm] = se
    return found


def _arm_variances(arms: pd.DataFrame, outcome: OutcomeSpec) -> pd.Series:
    """Sampling variance of each arm on the scale of the linear predictor, outcome unknown.

    Of counts it is that of the proportion (or rate) of the whole trial, with half an event and half
    a person more so that none is 0, by the delta method.
    """
    likelihood = LIKELIHOODS[outcome.likelihood]
    reported = arms["report"] == AS_ARM
    nothing = pd.Series(np.nan, index=arms.index)
    if not reported.any():
        return nothing
    if not likelihood.counts:
        if "se" in likelihood.columns:
            return (arms["se"] ** 2).where(reported)
        return ((arms["sd"] ** 2 / arms["n"]) if "sd" in arms else nothing).where(reported)
    at_risk = arms[likelihood.columns[1]].where(reported)
    sums = [arms["events"].where(reported), at_risk]
    total, size = (x.groupby(arms["study"]).transform("sum") for x in sums)
    if likelihood.columns[1] == "person_time":
        return 1.0 / ((total + 0.5) / size * at_risk)
    p = (total + 0.5) / (size + 1.0)
    slope = p * (1 - p) if likelihood.link.name == "logit" else -(1 - p) * np.log1p(-p)
    return p * (1 - p) / at_risk / slope**2


def _se_faults(key: str, chosen: Chosen, se: pd.Series) -> Iterator[Fault]:
    unknown = chosen.arms[se.isna()]
    if not len(unknown):
        return
    responders = (unknown["report"] == AS_RESPONDERS).any()
    why = "they count responders" if responders else "an arm prints none"
    yield Fault(
        f"the standard error of {_named(unknown['study'])} is not known: {why}",
        "Leave these trials out, or remove small_study.",
        column=key,
    )


def _judged(
    key: str, part: RiskOfBiasSpec, selected: Tables, evidence: xr.DataTree
) -> tuple[pd.Series, list[Fault]]:
    """Find the judgement of each study."""
    if part.column:
        return _words(f"{key}.column", part.column, selected)
    rows = pd.DataFrame({"study": [], "domain": [], "scope": [], "judgement": []}, dtype=object)
    if "risk_of_bias" in evidence.children:
        rows = table(evidence, "risk_of_bias")
    known = sorted(set(rows["domain"]))
    if part.domain not in known:
        mend = nearest(part.domain, known) if known else 'Write column = "..." instead.'
        found = [
            Fault(f"nothing is judged in domain '{part.domain}'", mend, column=f"{key}.domain")
        ]
        return pd.Series(dtype=object), found
    rows = rows[(rows["domain"] == part.domain) & rows["scope"].fillna("").isin(["", *part.scope])]
    return _once(rows["study"], rows["judgement"], f"{key}.domain")


def _words(key: str, column: str, selected: Tables) -> tuple[pd.Series, list[Fault]]:
    """Take the word of each study out of a column of the evidence."""
    rows = pd.concat([selected["results"], selected["contrasts"]], ignore_index=True)
    if column not in rows:
        fault = Fault(
            f"the evidence has no column '{column}'",
            nearest(column, [str(c) for c in rows]),
            column=key,
        )
        return pd.Series(dtype=object), [fault]
    return _once(rows["study"], rows[column], key)


def _once(study: pd.Series, words: pd.Series, key: str) -> tuple[pd.Series, list[Fault]]:
    """Hold the words to one for a study."""
    said = pd.DataFrame({"study": study, "word": words.astype(object).where(words.notna(), "")})
    said = said[said["word"].astype(str) != ""].drop_duplicates()
    twice = said["study"][said["study"].duplicated()]
    faults = []
    if len(twice):
        mend = "Name a column that says one word of each study, or the scope of the judgements."
        faults = [Fault(f"several words are given for {_named(twice)}", mend, column=key)]
    return said.drop_duplicates("study").set_index("study")["word"].astype(str), faults


def _of_study(chosen: Chosen, words: pd.Series) -> pd.Series:
    found = chosen.arms["study"].map(words).astype(object)
    return found.where(found.notna() & (found != NOT_JUDGED), UNKNOWN)


def _judgement_faults(key: str, part: RiskOfBiasSpec, chosen: Chosen) -> Iterator[Fault]:
    arms = chosen.arms
    for judgement, mine in arms.groupby(JUDGEMENT, sort=True):
        word = str(judgement)
        if word in part.priors or word == LOW:
            continue
        if word not in JUDGEMENTS:
            yield Fault(
                f"'{word}', said of {_named(mine['study'])}, is no judgement",
                f"The words are {', '.join((LOW, *JUDGEMENTS))}.",
                column=f"{key}.column",
            )
            continue
        said = "nobody judged" if word == UNKNOWN else f"judged '{word}':"
        yield Fault(
            f"{said} {_named(mine['study'])}, and no prior says what that does",
            f"Write priors.{word} = {PRIOR}, or exclude these trials.",
            column=f"{key}.priors.{word}",
        )


def _unweighted(key: str, chosen: Chosen, words: pd.Series) -> list[Fault]:
    without = chosen.arms[WEIGHT].isna()
    return [
        Fault(
            f"no weight is given for '{word}' ({_named(chosen.arms['study'][words == word])})",
            f"Write {word} = 1 to count it whole, or a smaller number.",
            column=f"{key}.{word}",
        )
        for word in sorted(set(words[without]))
    ]


def _selection_faults(key: str, name: str, chosen: Chosen, spec: AnalysisSpec) -> Iterator[Fault]:
    part, crossover = spec.outcomes[name].bias.selection, spec.designs.crossover
    arms = chosen.arms
    same = arms.loc[arms["same_people"] == 1, "study"]
    if len(same) and not (crossover is not None and name in crossover.as_parallel):
        yield Fault(
            f"the p-value of {_named(same)} depends on a within-person correlation that is not"
            " known: the same people are in every arm",
            f'Write designs.crossover with as_parallel = ["{name}"], or periods = "first".',
            column=key,
        )
    found = decisive_contrasts(arms, chosen.contrasts)
    several = found.loc[found["candidates"] > 1, "study"]
    if len(several) and part is not None and not part.of_several:
        yield Fault(
            f"several contrasts of {_named(several)} have p-values, and which of them decided about"
            " publication is not said",
            'Write of_several = "highest_dose", or keep one contrast of each study.',
            column=f"{key}.of_several",
        )


def _uncounted_faults(
    key: str, chosen: Chosen, every: Mapping[str, Chosen], spec: AnalysisSpec, name: str
) -> Iterator[Fault]:
    """Ask that arms without counts of the harm can be given it by its model."""
    part = spec.outcomes[name].bias.unblinding
    assert part is not None
    counted = set(every[part.harm].arms["arm"])
    without = chosen.arms.loc[~chosen.arms["arm"].isin(counted), "study"]
    harm = spec.outcomes[part.harm]
    sd = harm.parameters.get(HETEROGENEITY_SD)
    wrong = {
        "is regressed on what these arms may not say": any(
            one.covariates for one in harm.parameters.values()
        ),
        "differs by strata that these arms may not be in": sd is not None and bool(sd.by),
        "has trials that differ by more than their arms": harm.heterogeneity not in ("none", "arm"),
        "depends on the hour": bool(harm.over_time.clocks),
    }
    for why, is_so in wrong.items():
        if is_so and len(without):
            yield Fault(
                f"arms of {_named(without)} do not count '{part.harm}', and its model {why}",
                f"Simplify outcomes.{part.harm}, or leave these trials out.",
                column=key,
            )


def _named(studies: pd.Series) -> str:
    names = list(dict.fromkeys(map(str, studies)))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
