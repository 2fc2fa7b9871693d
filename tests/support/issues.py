"""What an action that must fail is refused with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nmda_bayes.errors import InputError, Issue


def issues_when(action: Callable[[], Any], kind: type[InputError]) -> list[Issue]:
    """The issues of the error that an action raises."""
    with pytest.raises(kind) as caught:
        action()
    return list(caught.value.issues)


def codes_when(action: Callable[[], Any], kind: type[InputError]) -> list[str]:
    """The codes of those issues, in their order."""
    return [issue.code for issue in issues_when(action, kind)]
