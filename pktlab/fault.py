"""An exception that came out of a lab, in one line that names the line of the lab."""

from __future__ import annotations

import traceback
from pathlib import Path

from pktlab.errors import PktlabError


def describe(error: BaseException, lab: Path) -> str:
    """Return ``file:line: Kind: message``, the line being the innermost one of `lab` itself."""
    if isinstance(error, PktlabError) and str(lab) in error.message:
        return str(error)  # it says file and line by itself
    inside = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(lab)]
    place = f"{lab}:{inside[-1]}: " if inside else f"{lab}: "
    kind = "" if isinstance(error, PktlabError) else f"{type(error).__name__}: "
    return f"{place}{kind}{error}"
