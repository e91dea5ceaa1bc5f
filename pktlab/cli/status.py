"""The exit status of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

import typer

from pktlab.errors import KernelError, MachineError, PktlabError

PASSED = 0
FAILED = 1
WRONG_USE = 2
CANNOT_RUN = 3
INCONCLUSIVE = 4
# As a shell reports a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
BROKEN_PIPE = 141


def status_of(error: PktlabError) -> int:
    """Return the exit status for a fault that ended the command."""
    if isinstance(error, MachineError):
        return CANNOT_RUN
    return FAILED if isinstance(error, KernelError) else WRONG_USE


def interrupted() -> NoReturn:
    """End a command of which half of the results would look like all of them."""
    # Not KeyboardInterrupt: Typer takes that for an exit status of its own, and says nothing.
    print("pktlab: interrupted", file=sys.stderr)  # noqa: T201
    raise typer.Exit(INTERRUPTED)


def worst(statuses: Iterable[str]) -> int:
    """Return the exit status for what became of labs or acts."""
    found = set(statuses)
    if "failed" in found:
        return FAILED
    return INCONCLUSIVE if "inconclusive" in found else PASSED
