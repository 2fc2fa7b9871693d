"""Whether two graphs have the same density, in different coordinates."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
from numpy.testing import assert_allclose

from nmda_bayes.model import PY_MODE


def at_random(model: pm.Model, seed: int) -> dict[str, np.ndarray]:
    """A point near the centre of the prior, in the sampler's coordinates."""
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.normal(size=np.shape(v)) for name, v in model.initial_point().items()}


def assert_same_density(plain: pm.Model, fast: pm.Model) -> None:
    """The density in other coordinates is that of the plain graph times the Jacobian."""
    values = fast.value_vars
    points = [at_random(fast, seed) for seed in (1, 2)]
    natural = pytensor.function(
        values, fast.replace_rvs_by_values(fast.free_RVs), on_unused_input="ignore", mode=PY_MODE
    )
    jacobian = pytensor.function(
        values,
        [
            transform.log_jac_det(v)
            for v, transform in zip(
                values, map(fast.rvs_to_transforms.get, fast.free_RVs), strict=True
            )
            if transform is not None
        ],
        on_unused_input="ignore",
        mode=PY_MODE,
    )
    of_plain = plain.compile_fn(plain.logp(jacobian=False), inputs=plain.value_vars, mode=PY_MODE)
    of_fast = fast.compile_logp(mode=PY_MODE)
    for point in points:
        at = [point[v.name] for v in values]
        natural_values = {rv.name: x for rv, x in zip(fast.free_RVs, natural(*at), strict=True)}
        plain_point = {}
        for rv in plain.free_RVs:
            value, transform = natural_values[rv.name], plain.rvs_to_transforms[rv]
            if transform is not None:
                value = transform.forward(value, *rv.owner.inputs).eval(mode=PY_MODE)
            plain_point[plain.rvs_to_values[rv].name] = value
        expected = of_plain(plain_point) + sum(s.sum() for s in jacobian(*at))
        assert_allclose(of_fast(point), expected, rtol=1e-9)
