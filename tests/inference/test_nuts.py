"""What the sampler is asked for, and what it says where it cannot draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytest

from nmda_bayes.errors import SpecError
from nmda_bayes.inference import nuts
from nmda_bayes.spec import SamplingSpec

SETTINGS = SamplingSpec(seed=1, chains=1, draws=10, tune=10)


def test_a_density_that_is_nowhere_finite_is_told_in_words():
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Normal("y", np.exp(1000.0 + x), 1.0, observed=1.0)
    with pytest.raises(SpecError, match="no place to start from") as caught:
        nuts.draw(nuts.compiled(model), SETTINGS, progress=False)
    assert "prior under which effects overflow" in caught.value.faults[0].mend


def test_any_other_end_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch):
    def ended(*args: Any, **given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nutpie, "sample", ended)
    with pytest.raises(KeyboardInterrupt):
        nuts.draw(None, SETTINGS, progress=False)
