"""The compiled density: value, gradient and return codes."""

from __future__ import annotations

from ctypes import POINTER, c_double, c_void_p

import numpy as np
import pymc as pm
from numpy.testing import assert_allclose

from nmda_bayes.inference.compiled import compile_model


def evaluate(compiled: object, x: np.ndarray) -> tuple[int, float, np.ndarray]:
    """Call the C function as the sampler does."""
    logp, gradient = np.zeros(1), np.zeros(len(x))
    pointers = [a.ctypes.data_as(POINTER(c_double)) for a in (x, gradient, logp)]
    code = compiled.compiled_logp_func.ctypes(len(x), *pointers, c_void_p(0))
    return code, float(logp[0]), gradient


def test_density_gradient_and_return_codes():
    with pm.Model(coords={"arm": ["a", "b"]}) as model:
        pm.Normal("x", sigma=[1.0, 2.0], dims="arm")
    compiled = compile_model(model).sampler
    code, logp, gradient = evaluate(compiled, np.array([0.5, -1.0]))
    assert code == 0
    assert_allclose(logp, -0.125 - 0.125 - np.log(2) - np.log(2 * np.pi))
    assert_allclose(gradient, [-0.5, 0.25])
    assert evaluate(compiled, np.array([np.nan, 0.0]))[0] == 3
    assert evaluate(compiled, np.zeros(3))[0] == -1
    assert compiled.shapes == {"x": (2,)}
