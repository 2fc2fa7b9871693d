"""Networks of counts by MCMC, for the references: Laplace's method is off where events are few.

    python benchmarks/peers/public_networks.py TRIALS.json REFERENCES.json

A graph of its own in PyMC: flat baselines, arms' offsets Normal(0, tau^2 / 2), so that a difference
has the variance tau^2; Monte Carlo errors are below 0.03 posterior SD.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pymc as pm
from public_quadrature import _arm_design

trials_file, references_file = map(Path, sys.argv[1:])
trials = {(e["table"], e["what"]): e["trials"] for e in json.loads(trials_file.read_text())}
references = json.loads(references_file.read_text())
for entry in references:
    table = trials[entry["table"], entry["what"]]
    if table["kind"] != "arm_counts" or entry.get("mcmc"):
        continue
    agents, baseline, effect = _arm_design(table)
    r, n = np.array(table["r"]), np.array(table["n"])
    studies = baseline.argmax(1)
    informs = np.array([0 < r[studies == s].sum() < n[studies == s].sum() for s in studies])
    baseline, effect, r, n = (part[informs] for part in (baseline, effect, r, n))
    baseline = baseline[:, baseline.any(0)]
    study = baseline.argmax(1)
    with pm.Model():
        level = pm.Flat("level", shape=baseline.shape[1], initval=np.full(baseline.shape[1], -1.0))
        d = pm.Normal("d", 0, entry["prior"]["effect"], shape=len(agents))
        tau = pm.HalfNormal("tau", entry["prior"]["tau"])
        offset = pm.Normal("offset", 0, 1, shape=len(r))
        logit = level[study] + effect @ d + offset * tau / np.sqrt(2)
        pm.Binomial("events", n=n, logit_p=logit, observed=r)
        draws = pm.sample(
            2000, tune=1000, chains=2, cores=1, nuts_sampler="nutpie", progressbar=False,
            random_seed=1, target_accept=0.9,
        )["posterior"]  # fmt: skip
    means = draws["d"].mean(("chain", "draw")).values
    sds = draws["d"].std(("chain", "draw")).values
    width = float(draws["tau"].mean())
    entry["mcmc"] = [
        {"agent": a, "effect": round(float(m), 4), "sd": round(float(s), 4), "tau": round(width, 4)}
        for a, m, s in zip(agents, means, sds, strict=True)
    ]
    print(entry["table"], entry["mcmc"][:3], flush=True)
    references_file.write_text(json.dumps(references, indent=1) + "\n")
