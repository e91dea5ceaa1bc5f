"""Programs as benchmarks run them: found or named as missing, their output checked, their time taken."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Missing

ROOT = Path(__file__).resolve().parent.parent
# The interpreter with those peers that are Python packages; `make bench` makes it.
PEERS = Path(os.path.abspath(os.environ.get("BENCH_VENV", ROOT / ".venv-bench")), "bin", "python")
# As a person would start a program: Python keeps what it has compiled, whatever the harness was told.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
ENVIRONMENT["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
DEBIAN = Path("/usr/bin/python3")


def need(name: str, package: str = "") -> str:
    """Return where a program is; raises Missing, with the Debian package that has it."""
    found = shutil.which(name, path=ENVIRONMENT["PATH"])
    if not found:
        raise Missing(f"{name} is not installed: apt-get install {package or name}")
    return found


def need_root() -> None:
    """Raise Missing for an ordinary user."""
    if os.geteuid():
        raise Missing("needs root")


def need_module(python: Path, module: str, remedy: str) -> None:
    """Raise Missing if an interpreter lacks a package."""
    if not python.exists() or subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode:
        raise Missing(f"{module} is not installed: {remedy}")


def run(argv: Sequence[str | Path], *, input: str | None = None) -> str:
    """Run a program to its end and return what it printed; raises RuntimeError with its errors if it failed."""
    done = subprocess.run(argv, input=input, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(argv[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def seconds(argv: Sequence[str | Path]) -> float:
    """Return how long a program takes from its start to its end."""
    began = time.monotonic()
    run(argv)
    return time.monotonic() - began
