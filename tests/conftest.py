"""Order of the test files, the mocked sampler, and the fit that many tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.runtime import tune_gc
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS, SAMPLER, make_fit, prior_as_posterior

#: Folders with long fits run first, so that neither of two processes is left alone with them.
SLOWEST_FIRST = ("reference", "notebooks", "report", "cli")

tune_gc()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {folder: position for position, folder in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))


@pytest.fixture
def mocked_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SAMPLER, prior_as_posterior)
    monkeypatch.setattr(PRIOR_DRAWS, 100)


@pytest.fixture(scope="session")
def quick_fit() -> xr.DataTree:
    """A benefit-risk fit with correlated offsets whose posterior is its prior."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        spec = specs.benefit_risk(correlations=specs.LKJ)
        return inference.fit(spec, load_evidence(specs.both_tables()))


@pytest.fixture
def fit_by_hand() -> Callable[..., xr.DataTree]:
    """`make_fit`, which makes a fit from written draws."""
    return make_fit
