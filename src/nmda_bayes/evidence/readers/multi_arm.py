"""Multi-arm trials printed as all their pairs: as many contrasts as are independent.

netmeta wants k (k - 1) / 2 contrasts of a trial with k arms, of which k - 1 say everything. The
variance of a contrast is that of its two arms added up, so the pairs also give the variance of each
arm: V_A = (s_AB² + s_AC² - s_BC²) / 2 for three arms, least squares for more. What the contrasts
with one comparator share is the comparator's variance (Franchini et al. 2012).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from nmda_bayes.evidence.readers.foreign import PLACEBO, Foreign

#: How far a printed standard error may be, as a share of its variance, from what the arms give.
VARIANCE_TOLERANCE = 0.1
#: How far the effects around a triangle may be from adding up, in standard errors.
EFFECT_TOLERANCE = 0.1


def independent_contrasts(table: Foreign, rows: pd.DataFrame) -> pd.DataFrame:
    """Reduce the pairs of each multi-arm trial to contrasts with one of its arms.

    Parameters
    ----------
    table
        Takes the notes and faults; roles ``estimate``, ``se``.
    rows
        Columns study, key (what tells outcomes and times of a study apart), arm, other,
        estimate, se, comparator_se.

    Returns
    -------
    pd.DataFrame
        ``keep`` and ``turn`` (the arm and the other change places, and the sign), and
        ``comparator_se``, worked out where the trial has three arms or more.
    """
    made = pd.DataFrame(
        {"keep": True, "turn": False, "comparator_se": rows["comparator_se"]}, index=rows.index
    )
    whole = rows[["estimate", "se"]].notna().all(axis=1) & (rows["se"] > 0)
    for _, trial in rows.groupby(["study", "key"], sort=False):
        if len(trial) > 1 and whole[trial.index].all():
            _reduce(table, trial, made)
    return made


def _reduce(table: Foreign, trial: pd.DataFrame, made: pd.DataFrame) -> None:
    pairs = [frozenset(pair) for pair in zip(trial["arm"], trial["other"], strict=True)]
    here = pd.Series(made.index.isin(trial.index), index=made.index)
    first = here & (made.index == trial.index[0])
    study, arms = trial["study"].iloc[0], list(dict.fromkeys([*trial["arm"], *trial["other"]]))
    if len(set(pairs)) < len(pairs):
        again = (
            pd.Series(pairs, index=trial.index).duplicated().reindex(made.index, fill_value=False)
        )
        table.fault(
            again,
            "estimate",
            f"study '{study}' has this contrast twice",
            "Delete one of the two, or tell them apart in a column 'outcome'.",
        )
        return
    given = trial["comparator_se"].notna().all()
    if given and len(pairs) == len(arms) - 1:
        return
    if len(pairs) < len(arms) * (len(arms) - 1) / 2:
        table.fault(
            first,
            "se",
            f"study '{study}' has {len(arms)} arms and {len(pairs)} of their"
            f" {len(arms) * (len(arms) - 1) // 2} contrasts: how these correlate is not known",
            "Add the missing contrasts (netmeta wants them all), or a column comparator_se with the"
            " comparator arm's own standard error, or keep one contrast of the study.",
        )
        return
    variance = _arm_variances(table, trial, arms, first)
    if variance is None or not _adds_up(table, trial, arms, first):
        return
    base = _base(trial, arms)
    kept = (trial["arm"] == base) | (trial["other"] == base)
    made.loc[trial.index, "keep"] = kept
    made.loc[trial.index, "turn"] = trial["arm"] == base
    made.loc[trial.index, "comparator_se"] = np.sqrt(variance[base])
    follows = ", ".join(str(line) for line in table.lines[trial.index[~kept]])
    table.note(
        f"Study '{study}': {len(pairs)} contrasts of {len(arms)} arms are reduced to {kept.sum()},"
        f" each against '{base}'; row {follows} follows from them. The standard error of"
        f" '{base}' alone, {np.sqrt(variance[base]):.4g}, is worked out from those of the pairs."
    )


def _base(trial: pd.DataFrame, arms: list[str]) -> str:
    """Choose the arm to compare with: placebo, else the one most often compared with."""
    if PLACEBO in arms:
        return PLACEBO
    uses = trial["other"].value_counts()
    return max(arms, key=lambda arm: int(uses.get(arm, 0)))


def _arm_variances(
    table: Foreign, trial: pd.DataFrame, arms: list[str], first: pd.Series
) -> dict[str, float] | None:
    sides = zip(trial["arm"], trial["other"], strict=True)
    design = np.array([[(arm in pair) * 1.0 for arm in arms] for pair in sides])
    printed = trial["se"].to_numpy() ** 2
    found, *_ = np.linalg.lstsq(design, printed, rcond=None)
    study = trial["study"].iloc[0]
    if found.min() <= 0:
        arm = arms[int(found.argmin())]
        table.fault(
            first,
            "se",
            f"study '{study}': its standard errors leave no variance for arm '{arm}', so they"
            " cannot be those of one trial",
            "Check them: se² of a contrast is the variances of its two arms added up.",
        )
        return None
    off = np.abs(design @ found / printed - 1).max()
    if off > VARIANCE_TOLERANCE:
        table.fault(
            first,
            "se",
            f"study '{study}': its standard errors contradict each other, by {100 * off:.0f} % of a"
            " variance",
            "Check them: se² of a contrast is the variances of its two arms added up.",
        )
        return None
    return dict(zip(arms, found.tolist(), strict=True))


def _adds_up(table: Foreign, trial: pd.DataFrame, arms: list[str], first: pd.Series) -> bool:
    """Ask of every triangle that the effects around it add up to nothing."""
    effect: dict[tuple[str, str], float] = {}
    for row in trial.itertuples():
        effect[str(row.arm), str(row.other)] = float(str(row.estimate))
        effect[str(row.other), str(row.arm)] = -float(str(row.estimate))
    for one, two, three in combinations(arms, 3):
        gap = effect[one, two] + effect[two, three] + effect[three, one]
        if abs(gap) > EFFECT_TOLERANCE * trial["se"].min():
            table.fault(
                first,
                "estimate",
                f"study '{trial['study'].iloc[0]}': the effects of '{one}', '{two}' and '{three}'"
                f" do not add up, by {abs(gap):.3g}",
                "Check their signs and which treatment stands first: A v B and B v C make A v C.",
            )
            return False
    return True
