"""Runs the command as a person does, as a process of its own, and writes the labs that the tests run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pktlab

ROOT = Path(pktlab.__file__).parent.parent
# -P, for the installed command does not look for modules in the folder it is called in either.
COMMAND = [sys.executable, "-P", "-m", "pktlab"]
DEADLINE = 120

# Acts that ask for no network are run where pytest is: quick, and for what is said about them just as good.
HEAD = '"""A lab of a test."""\ntopology = None\n\n\n'


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of the command came to."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """An environment without what would change the output, in which this checkout is what is run."""
    # In CI, pytest explains a failed assert at greater length.
    unwanted = ("CI", "BUILD_NUMBER", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER")
    return {k: v for k, v in os.environ.items() if k not in unwanted} | {"PYTHONPATH": str(ROOT)} | more


def pktlab_command(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Said:
    """Run ``pktlab`` with these arguments in the folder `cwd`."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def write_lab(folder: Path, text: str, name: str = "a_lab", head: str = HEAD) -> Path:
    """Write a lab with these acts."""
    path = folder / f"{name}.py"
    path.write_text(head + text, encoding="utf-8")
    return path
