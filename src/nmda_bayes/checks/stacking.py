"""Several shapes averaged: weights that make the mixture of their forecasts of studies the best.

Which curve is right is not the question, for none is. Stacking (Yao, Vehtari, Simpson and Gelman
2018, Bayesian Analysis 13:917) chooses the weights w of models k whose mixture foretells each study
from the others best,

    maximise  sum over studies s of  log sum over k of  w[k] · p[k](y_s | the other studies).

The studies are few, and the weights know no more than they do: how far they would move with other
studies like these is told by the Bayesian bootstrap (Rubin 1981), which weighs the studies anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.leaving_out import study_density, study_elpd
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY, VARIANT
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL

#: Times that the studies are weighed anew.
RESAMPLED = 1000
#: Rounds of the EM algorithm at most, and the change of a weight that ends it.
ROUNDS, NEAR = 20_000, 1e-9
#: What a difference of elpd must exceed, in its standard errors, to be more than noise; and the
#: smallest difference worth a word (Sivula, Magnusson, Matamoros and Vehtari 2020, "uncertainty in
#: Bayesian leave-one-out cross-validation": below 4 the standard error itself is not reliable).
CLEAR, WORTH = 2.0, 4.0


def stack(
    fits: Mapping[str, xr.DataTree], elpds: Mapping[str, xr.Dataset] | None = None
) -> xr.Dataset:
    """Weigh fits of several models to the same studies by what each foretells of them.

    Parameters
    ----------
    fits
        Fits by name, of the same outcomes on the same evidence.
    elpds
        As `nmda_bayes.study_elpd` gives them, by the same names; worked out here if None.

    Returns
    -------
    xr.Dataset
        Dim variant: ``weight`` with ``lower`` and ``upper`` over resampled studies (95 %
        equal-tailed), ``total`` (the sum of elpd), ``behind`` (how far behind the best) with its
        standard error ``behind_error``, ``unreliable`` (how many studies' k-hat is too large); and
        dims variant, study: ``elpd`` and ``k_hat``. Attribute ``words`` says what may be
        concluded.

    Raises
    ------
    SpecError
        If there is one fit alone, or they do not report the same studies and outcomes.
    """
    faults = list(_faults(fits))
    if faults:
        raise SpecError(faults)
    if elpds is None:
        elpds = {name: study_elpd(study_density(fit)) for name, fit in fits.items()}
    kept = [elpds[name].drop_vars("log_weight") for name in fits]
    joined = xr.concat(kept, dim=pd.Index(list(fits), name=VARIANT), join="exact")
    elpd = joined["elpd"].transpose(STUDY, VARIANT).to_numpy()
    count = len(elpd)
    seed = spec_of(next(iter(fits.values()))).sampling.seed
    shares = np.random.default_rng(seed).dirichlet(np.ones(count), RESAMPLED)
    weight = stacking_weights(elpd, np.full((1, count), 1 / count))[0]
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    lower, upper = np.quantile(stacking_weights(elpd, shares), tails, axis=0)
    off = elpd - elpd[:, [elpd.sum(0).argmax()]]
    found = xr.Dataset(
        {
            "weight": (VARIANT, weight),
            "lower": (VARIANT, lower),
            "upper": (VARIANT, upper),
            "total": (VARIANT, elpd.sum(0)),
            "behind": (VARIANT, off.sum(0)),
            "behind_error": (VARIANT, off.std(0, ddof=1) * np.sqrt(count)),
            "unreliable": (~joined["reliable"]).sum(STUDY),
            "elpd": joined["elpd"],
            "k_hat": joined["k_hat"],
        },
        coords={VARIANT: list(fits), STUDY: joined[STUDY]},
    )
    return found.assign_attrs(words=_words(found))


def stacking_weights(elpd: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Maximise the log score of a mixture.

    The EM algorithm of a mixture's proportions: each step multiplies a weight by how much better
    than the mixture its model does, so that weights stay on the simplex and the score never falls.

    Parameters
    ----------
    elpd
        Log densities, dims study and model.
    shares
        Weights of the studies, one set a row, each adding up to 1.

    Returns
    -------
    np.ndarray
        Weights of the models, one set a row.
    """
    density = np.exp(elpd - elpd.max(axis=1, keepdims=True))
    weight = np.full((len(shares), density.shape[1]), 1 / density.shape[1])
    for _ in range(ROUNDS):
        better = (shares / (weight @ density.T)) @ density
        weight, before = weight * better, weight
        if np.abs(weight - before).max() < NEAR:
            break
    return weight / weight.sum(axis=1, keepdims=True)


def averaged(
    answers: Mapping[str, xr.DataArray], stacked: xr.Dataset, *, seed: int = 1
) -> xr.DataArray:
    """Mix the draws of an answer over models, each as often as its weight.

    Parameters
    ----------
    answers
        Draws of the same answer by name, dims chain, draw and others, alike in all: for instance
        `nmda_bayes.dose_response` of each fit at the same doses.
    stacked
        As `stack` gives it.
    seed
        Gives which draws are taken, and their order.

    Returns
    -------
    xr.DataArray
        One chain of as many draws as the first answer has, with coordinate ``from_variant`` (draw).

    Raises
    ------
    SpecError
        If an answer is missing, or they are not of the same places.
    """
    names = [str(name) for name in stacked[VARIANT].to_numpy()]
    missing = [name for name in names if name not in answers]
    if missing:
        raise SpecError([Fault(f"there is no answer of {', '.join(missing)}", "Give one a fit.")])
    first = answers[names[0]]
    size = first.sizes[CHAIN] * first.sizes[DRAW]
    rng = np.random.default_rng(seed)
    taken, origin = [], []
    for name, count in zip(names, _counts(stacked["weight"].to_numpy(), size), strict=True):
        bare = answers[name].drop_vars([*SAMPLE])
        flat = bare.stack({"sample": SAMPLE}, create_index=False)  # noqa: PD013 (xarray's)
        chosen = rng.permutation(np.resize(rng.permutation(flat.sizes["sample"]), count))
        taken.append(flat.isel(sample=chosen))
        origin += [name] * count
    try:
        mixed = xr.concat(taken, dim="sample", join="exact", coords="minimal", compat="override")
    except ValueError as error:
        mend = "Ask every fit at the same doses, of the same agents and conditions."
        message = f"the answers are not of the same places ({error})"
        raise SpecError([Fault(message, mend)]) from None
    order = rng.permutation(size)
    mixed = mixed.isel(sample=order).rename(sample=DRAW).expand_dims({CHAIN: [0]})
    mixed = mixed.assign_coords({DRAW: np.arange(size)})
    mixed = mixed.assign_coords(from_variant=(DRAW, np.array(origin, dtype=object)[order]))
    weights = zip(names, stacked["weight"].to_numpy(), strict=True)
    shares = ", ".join(f"{name} {weight:.2f}" for name, weight in weights)
    return mixed.transpose(*first.dims).assign_attrs(first.attrs | {"averaged_over": shares})


def _counts(weight: np.ndarray, size: int) -> list[int]:
    """Part a number of draws by weights; what rounding leaves goes to the largest remainders."""
    exact = weight * size
    counts = np.floor(exact).astype(int)
    rest = np.argsort(counts - exact, kind="stable")[: size - counts.sum()]
    counts[rest] += 1
    return [int(count) for count in counts]


def _faults(fits: Mapping[str, xr.DataTree]) -> Iterator[Fault]:
    if len(fits) < 2:
        yield Fault("one fit alone has nothing to be weighed against", "Give two or more.")
        return
    (one, first), *rest = fits.items()
    for name, fit in rest:
        ours, theirs = _reported(first), _reported(fit)
        if ours != theirs:
            what = sorted(ours ^ theirs)
            shown = "; ".join(": ".join(word for word in row if word) for row in what[:3])
            yield Fault(
                f"'{name}' and '{one}' do not report the same: {shown}"
                + ("; ..." if len(what) > 3 else ""),
                "Weigh fits of the same outcomes on the same studies: what one foretells of a"
                " study is compared with what the other does.",
            )


def _reported(fit: xr.DataTree) -> set[tuple[str, ...]]:
    """Name what the arms and contrasts of each outcome report, with their numbers."""
    spec = spec_of(fit)
    found: set[tuple[str, ...]] = set()
    for name, node in fit["design/outcomes"].children.items():
        likelihood, rows = LIKELIHOODS[spec.outcomes[name].likelihood], node.to_dataset()
        found.add((name, "observed", likelihood.columns[0], likelihood.also))
        for column in ("mean", "se", "events", "n", "estimate", "estimate_se"):
            if column in rows:
                labels = rows[rows[column].dims[0]].to_numpy()
                said = zip(labels, rows[column].to_numpy(), strict=True)
                found |= {(name, str(row), f"{column} {value:g}") for row, value in said}
    return found


def _words(found: xr.Dataset) -> str:
    """Say what the weights may be believed to mean."""
    count = found.sizes[STUDY]
    best = str(found[VARIANT].to_numpy()[found["weight"].to_numpy().argmax()])
    behind, error = found["behind"].to_numpy(), found["behind_error"].to_numpy()
    clear = (behind < -WORTH) & (np.abs(behind) > CLEAR * error)
    parts = [
        f"{count} studies; '{best}' has the largest weight,"
        f" {float(found['weight'].sel({VARIANT: best})):.2f}"
        f" ({INTERVAL_TEXT} over resampled studies {float(found['lower'].sel({VARIANT: best})):.2f}"
        f" to {float(found['upper'].sel({VARIANT: best})):.2f})"
    ]
    worse = [str(n) for n, c in zip(found[VARIANT].to_numpy(), clear, strict=True) if c]
    if worse:
        parts.append(f"clearly worse than the best at foretelling studies: {', '.join(worse)}")
    else:
        parts.append(
            "the studies do not tell the models apart; a weight is no probability of being true"
        )
    unreliable = int(found["unreliable"].max())
    if unreliable:
        parts.append(f"for up to {unreliable} studies the importance weights are not reliable")
    return "; ".join(parts) + "."
