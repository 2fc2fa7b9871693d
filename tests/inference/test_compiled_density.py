"""The compiled density: the graph's own, with the codes that the sampler asks for."""

from __future__ import annotations

from ctypes import POINTER, c_double, c_void_p

import numpy as np
import pymc as pm
from numpy.testing import assert_allclose

from nmda_bayes.inference.compiled_density import compiled_density


def evaluated(compiled: object, at: np.ndarray) -> tuple[int, float, np.ndarray]:
    """Call the function of C as the sampler does."""
    logp, gradient = np.zeros(1), np.zeros(len(at))
    known = [x.ctypes.data_as(POINTER(c_double)) for x in (at, gradient, logp)]
    code = compiled.compiled_logp_func.ctypes(len(at), *known, c_void_p(0))
    return code, float(logp[0]), gradient


def test_the_sampler_gets_the_density_its_gradient_and_a_code_where_there_is_none():
    with pm.Model(coords={"arm": ["a", "b"]}) as model:
        pm.Normal("x", sigma=[1.0, 2.0], dims="arm")
    compiled = compiled_density(model)
    at = np.array([0.5, -1.0])
    code, logp, gradient = evaluated(compiled, at)
    assert code == 0
    assert_allclose(logp, -0.125 - 0.125 - np.log(2) - np.log(2 * np.pi))
    assert_allclose(gradient, [-0.5, 0.25])
    assert evaluated(compiled, np.array([np.nan, 0.0]))[0] == 3
    assert evaluated(compiled, np.zeros(3))[0] == -1
    assert compiled.shapes == {"x": (2,)}
