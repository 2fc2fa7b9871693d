"""Posterior means and SDs of public tables by plain quadrature, without the package.

    python benchmarks/peers/public_quadrature.py TRIALS.json OUT.json [--effect 2.82] [--tau 0.5]

TRIALS.json comes from public_tables.R. The model is the usual random-effects one: trial effects
Normal(effect, tau), effect ~ Normal(0, ...), tau ~ HalfNormal(...). Counts of two groups have the
exact conditional (noncentral hypergeometric) likelihood, integrated over the trial effects by
Gauss-Hermite quadrature; networks of counts are integrated by Laplace's method at each tau.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import expit, gammaln, logsumexp

Trials = dict[str, Any]
_HERMITE, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)


def hypergeometric(a: int, n1: int, c: int, n2: int, log_ratio: np.ndarray) -> np.ndarray:
    """Log probability of ``a`` events of ``n1``, given a + c events in all, at log odds ratios."""
    total = a + c
    support = np.arange(max(0, total - n2), min(n1, total) + 1)
    log_ways = (
        -gammaln(support + 1)
        - gammaln(n1 - support + 1)
        - gammaln(total - support + 1)
        - gammaln(n2 - total + support + 1)
    )
    at = log_ways[list(support).index(a)] + a * log_ratio
    return np.asarray(at - logsumexp(log_ways[:, None] + support[:, None] * log_ratio, axis=0))


def _summary(values: np.ndarray, log_weight: np.ndarray) -> tuple[float, float]:
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = float((weight * values).sum())
    return mean, float(np.sqrt((weight * (values - mean) ** 2).sum()))


def _grids(effect_prior: float, tau_prior: float) -> tuple[np.ndarray, np.ndarray]:
    # Midpoints, denser near 0, where the likelihood of tau often has its maximum.
    edges = 5 * tau_prior * np.linspace(0, 1, 91) ** 1.7
    return np.linspace(-4 * effect_prior, 4 * effect_prior, 101), (edges[1:] + edges[:-1]) / 2


def binomial(a: int, n1: int, c: int, n2: int, log_ratio: np.ndarray) -> np.ndarray:
    """Log likelihood of two binomials at log odds ratios, over a flat mean of their logits."""
    level = np.linspace(-30, 30, 3001)[:, None]
    first, second = level + log_ratio / 2, level - log_ratio / 2
    log_p = a * first - n1 * np.logaddexp(0, first) + c * second - n2 * np.logaddexp(0, second)
    return np.asarray(logsumexp(log_p, axis=0))


def counts(
    trials: Trials, effect_prior: float, tau_prior: float, conditional: bool = True
) -> dict[str, float]:
    """Quadrature over effect, tau and the trials' effects.

    The likelihood is conditional on each trial's number of events, or that of two binomials.
    Trials without an event, or with nothing but events, say nothing about a ratio.
    """
    line = np.linspace(-25, 25, 1001)
    likelihood = hypergeometric if conditional else binomial
    columns = (trials[k] for k in ("a", "n1", "c", "n2"))
    rows = [tuple(map(int, row)) for row in zip(*columns, strict=True)]
    rows = [(a, n1, c, n2) for a, n1, c, n2 in rows if 0 < a + c < n1 + n2]
    curves = [CubicSpline(line, likelihood(*row, line)) for row in rows]
    return _over_trials(line, curves, effect_prior, tau_prior)


def rates(trials: Trials, effect_prior: float, tau_prior: float) -> dict[str, float]:
    """Poisson counts over time, given each trial's number of events: binomial in the rate ratio."""
    line = np.linspace(-25, 25, 1001)
    columns = (trials[k] for k in ("x1", "t1", "x2", "t2"))
    curves = [
        CubicSpline(line, x1 * line - (x1 + x2) * np.logaddexp(np.log(t1) + line, np.log(t2)))
        for x1, t1, x2, t2 in zip(*columns, strict=True)
        if x1 + x2
    ]
    return _over_trials(line, curves, effect_prior, tau_prior)


def _over_trials(
    line: np.ndarray, curves: list[CubicSpline], effect_prior: float, tau_prior: float
) -> dict[str, float]:
    effects, taus = _grids(effect_prior, tau_prior)
    widths = np.gradient(taus)
    for points in (81, 121, 0):  # later passes cover only where the earlier have found mass
        table = np.zeros((len(effects), len(taus)))
        for k, tau in enumerate(taus):
            at = np.clip(effects[:, None] + tau * _HERMITE, line[0], line[-1])
            for curve in curves:
                table[:, k] += logsumexp(curve(at), b=_WEIGHTS / _WEIGHTS.sum(), axis=1)
        table += -0.5 * (effects[:, None] / effect_prior) ** 2
        table += -0.5 * (taus / tau_prior) ** 2 + np.log(widths)
        mean, sd = _summary(effects, logsumexp(table, axis=1))
        if points:
            half = 8 * max(sd, effects[1] - effects[0])
            effects = np.linspace(mean - half, mean + half, points)
    tau, tau_sd = _summary(taus, logsumexp(table, axis=0))
    return {"effect": mean, "sd": sd, "tau": tau, "tau_sd": tau_sd}


def effects(trials: Trials, effect_prior: float, tau_prior: float) -> dict[str, float]:
    """Estimates with known errors: exact given tau, by quadrature over tau."""
    y, v = np.asarray(trials["yi"]), np.asarray(trials["vi"])
    _, taus = _grids(effect_prior, tau_prior)
    total = v + taus[:, None] ** 2
    precision = 1 / effect_prior**2 + (1 / total).sum(1)
    mean = (y / total).sum(1) / precision
    log_weight = -0.5 * (np.log(total).sum(1) + np.log(precision))
    log_weight += -0.5 * ((y**2 / total).sum(1) - mean**2 * precision)
    log_weight += -0.5 * (taus / tau_prior) ** 2 + np.log(np.gradient(taus))
    weight = np.exp(log_weight - logsumexp(log_weight))
    pooled = float(weight @ mean)
    sd = float(np.sqrt(weight @ (1 / precision + (mean - pooled) ** 2)))
    tau, tau_sd = _summary(taus, log_weight)
    return {"effect": pooled, "sd": sd, "tau": tau, "tau_sd": tau_sd}


def _mixture(
    agents: list[str],
    conditional: Callable[[float], tuple[np.ndarray, np.ndarray, float]],
    taus: np.ndarray,
    tau_prior: float,
) -> list[dict[str, Any]]:
    parts = [conditional(tau) for tau in taus]
    log_weight = np.array([part[2] for part in parts])
    log_weight += -0.5 * (taus / tau_prior) ** 2 + np.log(np.gradient(taus))
    weight = np.exp(log_weight - logsumexp(log_weight))
    means, variances = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
    pooled = weight @ means
    sds = np.sqrt(weight @ (variances + (means - pooled) ** 2))
    tau = float(weight @ taus)
    return [
        {"agent": agent, "effect": float(m), "sd": float(s), "tau": tau}
        for agent, m, s in zip(agents, pooled, sds, strict=True)
    ]


def _arm_design(trials: Trials) -> tuple[list[str], np.ndarray, np.ndarray]:
    agents = sorted(set(trials["agent"]) - {trials["reference"]})
    studies = {s: k for k, s in enumerate(dict.fromkeys(trials["study"]))}
    baseline = np.zeros((len(trials["study"]), len(studies)))
    effect = np.zeros((len(trials["study"]), len(agents)))
    for row, (study, agent) in enumerate(zip(trials["study"], trials["agent"], strict=True)):
        baseline[row, studies[study]] = 1
        if agent != trials["reference"]:
            effect[row, agents.index(agent)] = 1
    return agents, baseline, effect


def arm_counts(trials: Trials, effect_prior: float, tau_prior: float) -> list[dict[str, Any]]:
    """Networks of counts: flat baselines, offsets Normal(0, tau^2 / 2), Laplace at each tau."""
    agents, baseline, effect = _arm_design(trials)
    r, n = np.asarray(trials["r"], float), np.asarray(trials["n"], float)
    # A study whose arms have no event (or nothing but events) says nothing about a ratio.
    studies = baseline.argmax(1)
    informs = np.array([0 < r[studies == s].sum() < n[studies == s].sum() for s in studies])
    baseline, effect, r, n = (part[informs] for part in (baseline, effect, r, n))
    baseline = baseline[:, baseline.any(0)]
    design = np.hstack([effect, baseline, np.eye(len(r))])
    size, arms = len(agents), len(r)
    start = np.zeros(design.shape[1])

    def conditional(tau: float) -> tuple[np.ndarray, np.ndarray, float]:
        prior = np.zeros(design.shape[1])
        prior[:size] = 1 / effect_prior**2
        prior[size:-arms] = 1e-4  # a flat baseline, but for arms without any event
        prior[-arms:] = 2 / max(tau, 1e-3) ** 2
        x = start.copy()
        for _ in range(60):
            p = expit(design @ x)
            gradient = design.T @ (r - n * p) - prior * x
            hessian = (design.T * (n * p * (1 - p))) @ design + np.diag(prior)
            step = np.linalg.solve(hessian, gradient)
            x += step * min(1.0, 2 / max(np.abs(step).max(), 1e-9))
            if np.abs(step).max() < 1e-8:
                break
        start[:] = x
        eta = design @ x
        height = (r * eta - n * np.logaddexp(0, eta)).sum() - 0.5 * (prior * x**2).sum()
        height += 0.5 * np.log(prior[-arms:]).sum() - 0.5 * np.linalg.slogdet(hessian)[1]
        return x[:size].copy(), np.diag(np.linalg.inv(hessian))[:size], float(height)

    _, taus = _grids(effect_prior, tau_prior)
    return _mixture(agents, conditional, taus[::3], tau_prior)


def arm_means(trials: Trials, effect_prior: float, tau_prior: float) -> list[dict[str, Any]]:
    """Networks of means: exact given tau."""
    agents, baseline, effect = _arm_design(trials)
    y, v = np.asarray(trials["y"], float), np.asarray(trials["v"], float)
    design = np.hstack([effect, baseline])
    size = len(agents)
    prior = np.r_[np.full(size, 1 / effect_prior**2), np.zeros(baseline.shape[1])]

    def conditional(tau: float) -> tuple[np.ndarray, np.ndarray, float]:
        total = v + tau**2 / 2
        precision = (design.T / total) @ design + np.diag(prior)
        mean = np.linalg.solve(precision, design.T @ (y / total))
        residual = y - design @ mean
        height = -0.5 * (np.log(total).sum() + (residual**2 / total).sum())
        height += -0.5 * ((prior * mean**2).sum() + np.linalg.slogdet(precision)[1])
        return mean[:size], np.diag(np.linalg.inv(precision))[:size], float(height)

    _, taus = _grids(effect_prior, tau_prior)
    return _mixture(agents, conditional, taus, tau_prior)


def contrasts(trials: Trials, effect_prior: float, tau_prior: float) -> list[dict[str, Any]]:
    """Networks of contrasts: a trial of several arms gives all its pairs, reduced to a base arm."""
    names = sorted({*trials["t1"], *trials["t2"]} - {trials["reference"]})
    blocks = []
    for study in dict.fromkeys(trials["study"]):
        rows = [k for k, s in enumerate(trials["study"]) if s == study]
        signed = {}
        for k in rows:
            first, second = trials["t1"][k], trials["t2"][k]
            signed[first, second] = (trials["y"][k], trials["se"][k] ** 2)
            signed[second, first] = (-trials["y"][k], trials["se"][k] ** 2)
        base = trials["t2"][rows[0]]
        others = [t for t in dict.fromkeys([*trials["t1"], *trials["t2"]]) if (t, base) in signed]
        y = np.array([signed[t, base][0] for t in others])
        cov = np.zeros((len(others), len(others)))
        for i, s in enumerate(others):
            for j, t in enumerate(others):
                pair = signed.get((s, t), (0.0, 0.0))[1]
                cov[i, j] = (signed[s, base][1] + signed[t, base][1] - (0 if i == j else pair)) / 2
        design = np.zeros((len(others), len(names)))
        for i, t in enumerate(others):
            if t in names:
                design[i, names.index(t)] += 1
            if base in names:
                design[i, names.index(base)] -= 1
        blocks.append((y, cov, design))

    def conditional(tau: float) -> tuple[np.ndarray, np.ndarray, float]:
        precision = np.eye(len(names)) / effect_prior**2
        information, height = np.zeros(len(names)), 0.0
        for y, cov, design in blocks:
            total = cov + tau**2 * (np.eye(len(y)) + 1) / 2
            inverse = np.linalg.inv(total)
            precision += design.T @ inverse @ design
            information += design.T @ inverse @ y
            height -= 0.5 * (np.linalg.slogdet(total)[1] + y @ inverse @ y)
        mean = np.linalg.solve(precision, information)
        height += 0.5 * (mean @ precision @ mean - np.linalg.slogdet(precision)[1])
        return mean, np.diag(np.linalg.inv(precision)), float(height)

    _, taus = _grids(effect_prior, tau_prior)
    return _mixture(names, conditional, taus, tau_prior)


_BY_KIND = {
    "counts": counts,
    "effects": effects,
    "rates": rates,
    "arm_counts": arm_counts,
    "arm_means": arm_means,
    "contrasts": contrasts,
}


def posterior(
    trials: Trials, effect_prior: float, tau_prior: float, conditional: bool = True
) -> list[dict[str, Any]] | None:
    """Pooled effects with SDs, one entry per agent; ``None`` for kinds without a pooled effect."""
    if trials["kind"] not in _BY_KIND:
        return None
    if trials["kind"] == "counts":
        return [{"agent": "", **counts(trials, effect_prior, tau_prior, conditional)}]
    answer = _BY_KIND[trials["kind"]](trials, effect_prior, tau_prior)
    return [{"agent": "", **answer}] if isinstance(answer, dict) else answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--effect", type=float, default=2.82, help="SD of the effect's prior")
    parser.add_argument("--tau", type=float, default=0.5, help="scale of the heterogeneity's prior")
    given = parser.parse_args()
    references = []
    for entry in json.loads(given.trials.read_text()):
        trials = entry["trials"]
        ratios = trials["scale"] not in ("mean difference", "mean")
        # Differences in a table's unit have no generic prior: vague ones, so that REML is near.
        spread = 1.0 if ratios else _spread(trials)
        effect_prior, tau_prior = (given.effect, given.tau) if ratios else (20 * spread, 2 * spread)
        references.append(
            {
                "table": entry["table"],
                "what": entry["what"],
                "scale": trials["scale"],
                "trials": len(set(trials.get("study") or range(len(next(
                    trials[k] for k in ("yi", "a", "x", "x1") if k in trials))))),
                "prior": {"effect": effect_prior, "tau": tau_prior},
                "quadrature": posterior(trials, effect_prior, tau_prior),
                "peers": entry["peers"],
            }
        )  # fmt: skip
        print(entry["table"], entry["what"], flush=True)
    given.out.write_text(json.dumps(_rounded(references), indent=1) + "\n")


def _spread(trials: Trials) -> float:
    if "yi" in trials:
        return float(np.std(trials["yi"]) + np.sqrt(np.median(trials["vi"])))
    _, baseline, _ = _arm_design(trials)
    y = np.asarray(trials["y"], float)
    centred = y - baseline @ (baseline.T @ y / baseline.sum(0))
    return float(np.std(centred) + np.sqrt(np.median(trials["v"])))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return {k: _rounded(v) for k, v in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
