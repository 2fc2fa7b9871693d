"""ARCHITECTURE.md names every source file, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nmda_bayes"
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def _section(heading: str) -> list[str]:
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_the_table_of_files_is_the_source() -> None:
    listed = []
    for row in _section("Files"):
        folder, _, files = row.strip("| ").split(" | ")
        listed += [SOURCE / folder.strip("`") / name for name in re.findall(r"`(\w+\.py)`", files)]
    written = {f for f in SOURCE.rglob("*.py") if f.name != "__init__.py" or f.parent == SOURCE}
    assert len(listed) == len(set(listed))
    assert set(listed) == written


def test_every_path_of_the_other_tables_exists() -> None:
    for heading in ("Where a new part goes", "Where do I look?"):
        rows = _section(heading)
        assert rows
        for path in re.findall(r"`([\w/]+(?:\.py|/))`", "\n".join(rows)):
            assert (SOURCE / path).exists() or (ROOT / path).exists(), path


def test_the_page_stays_one_page() -> None:
    assert len(PAGE.splitlines()) <= 120


def test_paths_in_documents_exist() -> None:
    folders = (ROOT, SOURCE, ROOT / "tests", ROOT / "src")
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"]
    in_backticks = re.compile(r"`([a-z_]+(?:/[a-z_]+)+\.(?:py|toml|csv|jsonl))`")
    quoted = [
        (d.name, path) for d in documents for path in in_backticks.findall(d.read_text("utf-8"))
    ]
    assert quoted
    exists = {path: any((folder / path).exists() for folder in folders) for _, path in quoted}
    assert [(name, path) for name, path in quoted if not exists[path]] == []
