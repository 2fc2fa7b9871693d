"""Errors of the sampler."""

from __future__ import annotations

from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytest

from nmda_bayes.errors import SpecError
from nmda_bayes.inference import nuts
from nmda_bayes.inference.compiled import compile_model
from nmda_bayes.spec import SamplingSpec
from tests.support.issues import issues_when

SETTINGS = SamplingSpec(seed=1, chains=1, draws=10, tune=10)


def test_a_density_that_is_nowhere_finite():
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Normal("y", np.exp(1000.0 + x), 1.0, observed=1.0)
    sampler = compile_model(model).sampler
    (issue,) = issues_when(lambda: nuts.sample_compiled(sampler, SETTINGS, False), SpecError)
    assert issue.code == "E550"


def test_other_exceptions_are_not_caught(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nutpie, "sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nuts.sample_compiled(None, SETTINGS, progress=False)
