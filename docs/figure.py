"""Draw the README's figure from a stored fit: python docs/figure.py FOLDER TARGET.png."""

import sys
from pathlib import Path

import nmda_bayes as nb
from nmda_bayes.estimands import study_effects
from nmda_bayes.figures import as_png

folder, target = map(Path, sys.argv[1:])
fit = nb.read_fit(folder)
curve = nb.dose_response(fit).sel(agent=["ketamine", "s_ketamine"], condition=["crps"])
observed = {outcome: study_effects(fit, outcome) for outcome in curve["outcome"].to_numpy()}
target.write_bytes(as_png(nb.plot_dose_response(curve, observed)))
