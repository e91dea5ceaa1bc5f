"""Where in a lab file something was written, so that a fault can be named there."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from pktlab.errors import TopologyError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Labs that ship inside the package are lab files like any other.
_LABS = os.path.join(_PACKAGE, "labs") + os.sep


class Origin(NamedTuple):
    """A place in a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def origin() -> Origin:
    """Return the innermost place on the call stack that lies outside pktlab itself."""
    frame = sys._getframe(1)
    while True:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) or file.startswith(_LABS) or frame.f_back is None:
            return Origin(file, frame.f_lineno)
        frame = frame.f_back


def fault(message: str, remedy: str) -> TopologyError:
    """Return the error for a wrong declaration, placed at the line that declares it."""
    where = origin()
    return TopologyError(message, remedy=remedy, file=where.file, line=where.line)
