"""The few lines of a failed act's report that say what failed and where."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

_NOISE = "Use -v to get more diff"


def brief(report: pytest.TestReport, lab: Path) -> str:
    """Return the message of the failure, behind the line of the lab where it happened; no traceback."""
    longrepr: Any = report.longrepr
    crash = getattr(longrepr, "reprcrash", None)
    if crash is None:
        return str(longrepr).strip()  # longreprtext would add which worker it was
    # Whose fault it is, pktlab's own errors say in words; of Python's, the kind says the half of it.
    message = re.sub(r"^(AssertionError|pktlab\.errors\.\w+): ", "", str(crash.message))
    if message.startswith("assert path of "):
        message = message.removeprefix("assert ")  # the explanation of a path is a sentence of its own
    lines = [line.rstrip() for line in message.splitlines() if line.strip() and line.strip() != _NOISE]
    place = _line(longrepr, lab)
    # A topology error names its line itself, in full.
    lines[:1] = [line.removeprefix(f"{lab}:{place}: ") for line in lines[:1]]
    where = f"{_shown(lab)}:{place}: " if place else ""
    return where + "\n".join(lines)


def _line(longrepr: Any, lab: Path) -> int:
    """The innermost line of the lab itself, which is what its author can change."""
    entries = getattr(getattr(longrepr, "reprtraceback", None), "reprentries", [])
    places = [entry.reprfileloc for entry in entries if getattr(entry, "reprfileloc", None)]
    inside = [place.lineno for place in places if Path(os.path.abspath(place.path)) == lab]
    return int(inside[-1]) if inside else 0


def _shown(path: Path) -> str:
    """The path as a person would write it from here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near
