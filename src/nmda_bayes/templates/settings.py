"""Settings of a table in a spec, so that a spec alone reads the table as it was read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from nmda_bayes.evidence.importers.options import ImportOptions

#: The key of a spec's settings for the format of the table.
FORMAT_KEY = "format"


def settings_of(options: ImportOptions) -> dict[str, str]:
    """The settings of a user by key, the format among them."""
    settings = dict(_split(setting) for setting in options.settings)
    return ({FORMAT_KEY: options.format} if options.format else {}) | settings


def _split(setting: str) -> tuple[str, str]:
    key, _, value = (part.strip() for part in setting.partition("="))
    return key, value


def merge_settings(
    stored: Mapping[str, str], format: str | None, settings: Iterable[str]
) -> tuple[str | None, list[str]]:
    """The format and the settings of a spec, replaced by those that the user gives."""
    merged = dict(stored) | dict(_split(setting) for setting in settings)
    stored_format = merged.pop(FORMAT_KEY, None)
    return format or stored_format, [f"{key}={value}" for key, value in merged.items()]


def run_command(settings: Mapping[str, str], source: str, spec: str = "") -> str:
    """The command that repeats an analysis, quoted for a shell."""
    words = ["nmda-bayes", "run", *([spec] if spec else [])]
    if source:
        words += ["--evidence", source]
    for key, value in settings.items():
        words += ["--format", value] if key == FORMAT_KEY else ["--set", f"{key}={value}"]
    return shlex.join([*words, "--out", "results"])
