"""Lint, format and types are clean, as `make check` has them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("words", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join)
def test_clean(words: list[str], tmp_path: Path) -> None:
    # The caches lie elsewhere: the tests of an ordinary user may run in a folder that he cannot write to.
    cache = {"ruff": "--no-cache", "mypy": f"--cache-dir={tmp_path}"}[words[0]]
    done = subprocess.run(
        [sys.executable, "-m", *words, cache],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
