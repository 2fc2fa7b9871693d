"""Two graphs of one density, in other coordinates."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
from numpy.testing import assert_allclose

from nmda_bayes.model import CHEAP


def at_random(model: pm.Model, seed: int) -> dict[str, np.ndarray]:
    """A point near the middle of the prior, on the sampler's coordinates."""
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.normal(size=np.shape(v)) for name, v in model.initial_point().items()}


def assert_same_density(plain: pm.Model, fast: pm.Model) -> None:
    """In other coordinates the density is the plain graph's, times what they stretch it by."""
    values = fast.value_vars
    points = [at_random(fast, seed) for seed in (1, 2)]
    natural = pytensor.function(
        values, fast.replace_rvs_by_values(fast.free_RVs), on_unused_input="ignore", **CHEAP
    )
    stretch = pytensor.function(
        values,
        [c.log_jac_det(v) for v, rv in zip(values, fast.free_RVs, strict=True)
         if (c := fast.rvs_to_transforms[rv]) is not None],
        on_unused_input="ignore", **CHEAP,
    )  # fmt: skip
    of_plain = plain.compile_fn(plain.logp(jacobian=False), inputs=plain.value_vars, **CHEAP)
    of_fast = fast.compile_logp(**CHEAP)
    for point in points:
        at = [point[v.name] for v in values]
        backwards = {rv.name: x for rv, x in zip(fast.free_RVs, natural(*at), strict=True)}
        here = {}
        for rv in plain.free_RVs:
            x, change = backwards[rv.name], plain.rvs_to_transforms[rv]
            there = x if change is None else change.forward(x, *rv.owner.inputs).eval(**CHEAP)
            here[plain.rvs_to_values[rv].name] = there
        expected = of_plain(here) + sum(s.sum() for s in stretch(*at))
        assert_allclose(of_fast(point), expected, rtol=1e-9)
