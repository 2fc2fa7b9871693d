"""Internals of nutpie, PyTensor and PyMC are used in one file only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmda_bayes

ROOT = Path(nmda_bayes.__file__).parent
INTERNALS_FILE = ROOT / "inference" / "compiled.py"
LIBRARIES = ("nutpie", "pymc", "pytensor", "numba")
#: Modules whose names are documented, or exported by the package above them.
ALLOWED = re.compile(
    r"""
    nutpie
    | numba (\.extending)?
    | pymc (\.dims (\.math)? | \.exceptions | \.stats | \.distributions\.transforms)?
    | pymc\.model\.(transform | fgraph)
    | pytensor (\.compile | \.gradient | \.graph (\.basic | \.traversal)? | \.tensor)?
    | pytensor\.xtensor (\.math | \.random)?
    # As PyMC's guide to new distributions uses them.
    | pymc\.distributions\.shape_utils:rv_size_is_none
    | pymc\.dims\.distributions\.core:PositiveDimDistribution
    | pymc\.dims\.distributions\.transforms
    | pytensor\.tensor\.random\.(basic | op | type)
    | pytensor\.tensor\.random\.utils:normalize_size_param
    """,
    re.VERBOSE,
)
#: Tables and methods of PyMC's models that are changed in place.
MUTATION = re.compile(r"\.rvs_to_(transforms|values)\[[^]]*\](\.name)? = |\.logp = ")


def internals(path: Path) -> Iterator[str]:
    """Imports and attributes of a file that are not public, and models changed in place."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    modules = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [(alias.name, "", alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "", a.name, a.asname or a.name) for a in node.names]
        for module, name, local in names:
            if module.partition(".")[0] not in LIBRARIES:
                continue
            modules.add(local)
            spellings = [module, f"{module}:{name}", f"{module}.{name}"]
            if name.startswith("_") or not any(map(ALLOWED.fullmatch, spellings)):
                yield f"{module} {name}"
    for node in ast.walk(tree):
        attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if attribute and node.attr.startswith("_") and node.value.id in modules:
            yield ast.unparse(node)
    yield from (match.group() for match in MUTATION.finditer(text))


FILES = sorted(path for path in ROOT.rglob("*.py") if path != INTERNALS_FILE)


def test_no_other_file_uses_internals():
    used = {str(path.relative_to(ROOT)): names for path in FILES if (names := [*internals(path)])}
    assert used == {}


@pytest.mark.parametrize(
    "line",
    [
        "from nutpie.compile_pymc import make_user_data",
        "from pytensor.link.numba.dispatch import basic",
        "import pymc.logprob.abstract",
        "from pymc import _version",
        "import nutpie\nnutpie._lib",
        "model.rvs_to_transforms[rv] = None",
        "model.logp = f",
    ],
)
def test_internals_are_recognised(line: str, tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(line)
    assert [*internals(path)]


def test_the_one_file_uses_internals():
    assert len([*internals(INTERNALS_FILE)]) > 5
