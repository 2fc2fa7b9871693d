"""Names that a spec, a table or a command may use: registries of parts, and what is shipped.

Imports nothing heavy, so that the command line can list names in its help.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any, Concatenate, Final

from nmda_bayes.errors import EvidenceError, InputError, Issue, SpecError, suggest_match

#: Conventions of tables; `evidence.importers` registers the layouts of each.
TABLE_FORMATS: Final = (
    "flat",
    "arms",
    "dosresmeta",
    "effects",
    "escalc",
    "gemtc",
    "mbnmadose",
    "mbnmatime",
    "meta",
    "multinma",
    "netmeta",
    "persons",
    "revman",
)


class Registry[T, **P](dict[str, T]):
    """Parts of one kind by name, in the order in which they were registered.

    `entry` is a decorator that builds a part from a function or class and registers it. An unknown
    name raises an error that suggests the nearest known one.
    """

    def __init__(
        self,
        kind: str,
        build: Callable[Concatenate[Any, P], T],
        name: str = "name",
        error: type[InputError] = SpecError,
        code: str = "E304",
    ) -> None:
        super().__init__()
        self.kind, self.error, self.code = kind, error, code
        self._build, self._name_of = build, attrgetter(name)

    def add(self, part: T) -> T:
        """Register a part that is built already."""
        self[self._name_of(part)] = part
        return part

    def entry(self, *args: P.args, **kwargs: P.kwargs) -> Callable[[Any], T]:
        """Decorate a function or class from which a part is built."""
        return lambda decorated: self.add(self._build(decorated, *args, **kwargs))

    def unknown(self, name: str, column: str = "") -> Issue:
        """The error for a name that is not registered."""
        hint = suggest_match(name, list(self))
        return Issue(self.code, f"unknown {self.kind} '{name}'", hint, column=column)

    def __missing__(self, name: str) -> T:
        raise self.error([self.unknown(name)])


def shipped_folder(name: str) -> Path:
    """Find a folder that is shipped with the package: `data` or `models`."""
    package = Path(__file__).resolve().parent
    # A wheel contains them in the package; in a clone they are next to src.
    for folder in (package / "shipped" / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    message, hint = f"the shipped folder '{name}' is missing", "Install the package again."
    raise EvidenceError([Issue("E905", message, hint, str(package))])


def shipped_analyses(*, sensitivity: bool = False, templates: bool = False) -> list[str]:
    """List the shipped specs that are not templates, or the sensitivity analyses or templates."""
    names = sorted(path.stem for path in shipped_folder("models").glob("*.toml"))
    return [
        name
        for name in names
        if name.endswith("sensitivity") == sensitivity and name.startswith("template_") == templates
    ]


def analysis_path(name: str) -> Path:
    """The path of an analysis file: an existing one, or the shipped analysis of that name."""
    path = Path(name)
    shipped = shipped_folder("models") / f"{path.name.removesuffix('.toml')}.toml"
    return shipped if shipped.exists() and not path.exists() else path


#: Endings of the tables that a spec may name as its evidence.
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")


def require_table_name(evidence: Path, spec: Path) -> None:
    """Stop before a spec makes other files than tables be opened, and shown in an error."""
    file = str(evidence).partition("#")[0]
    if evidence.is_file() and Path(file).suffix.lower() not in TABLE_SUFFIXES:
        message = f"'{evidence}' is not named like a table"
        hint = f"Name a folder, or a file that ends in {', '.join(TABLE_SUFFIXES)}; or give it with"
        raise SpecError(
            [Issue("E920", message, f"{hint} --evidence.", str(spec), column="evidence")]
        )
