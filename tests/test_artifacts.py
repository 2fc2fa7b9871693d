"""Atomic writes and hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmda_bayes import artifacts


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    target = artifacts.write_atomically(tmp_path / "x.txt", "old")
    with pytest.raises(RuntimeError), artifacts.atomic_path(target) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.txt", "old")]


def test_a_digest_is_of_the_concatenated_parts():
    # SHA-256 of "abc" (FIPS 180-4).
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert artifacts.digest("a", b"bc") == known
