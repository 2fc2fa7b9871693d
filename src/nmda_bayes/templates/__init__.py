"""Templates: specs for any table of trials, completed from the table and the user's settings.

The shipped specs `template_*` have generic weakly informative priors: one for each kind of data,
and one for each curve over dose. What only the owner of the table can decide is asked; every
decision is written into the spec.
"""

from pathlib import Path

from nmda_bayes.templates.composition import (
    FilledTemplate,
    apply_reference_doses,
    fill_template,
    import_decisions,
)
from nmda_bayes.templates.decisions import DATA_OF
from nmda_bayes.templates.rehearsal import Rehearsal, rehearse
from nmda_bayes.templates.settings import merge_settings, run_command, settings_of

__all__ = [
    "DATA_OF",
    "FilledTemplate",
    "Rehearsal",
    "apply_reference_doses",
    "fill_template",
    "import_decisions",
    "merge_settings",
    "rehearse",
    "run_command",
    "settings_of",
    "template_name",
]


def template_name(spec: str) -> str | None:
    """The name of a shipped template; None for any other spec."""
    name = Path(spec).name.removesuffix(".toml")
    return name if name in DATA_OF and not Path(spec).exists() else None
