"""A program at a real pseudo-terminal, driven as a person would: wait for what is written, type."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Session:
    """What a program at a terminal came to: its exit status, and all that stood on the screen."""

    status: int
    text: str


def at_terminal(
    argv: Sequence[str], steps: Sequence[tuple[str, str]], env: Mapping[str, str], *, columns: int = 80
) -> Session:
    """Run a program at a terminal of its own; each step waits for a text, then types a line.

    Raises AssertionError, with the screen, where a text does not come or the program ends before it.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], list(argv), dict(env))
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        screen, end = b"", time.monotonic() + DEADLINE
        at = 0
        for expected, typed in steps:
            while (found := screen.find(expected.encode(), at)) < 0:
                piece = _read(terminal, end)
                assert piece, f"no {expected!r} on the screen:\n{screen.decode(errors='replace')}"
                screen += piece
            at = found + len(expected.encode())
            os.write(terminal, typed.encode())
        while piece := _read(terminal, end):
            screen += piece
        assert time.monotonic() < end, f"it does not end:\n{screen.decode(errors='replace')}"
        _, status = os.waitpid(pid, 0)
        pid = 0
    finally:
        os.close(terminal)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.waitpid(pid, 0)
    return Session(os.waitstatus_to_exitcode(status), screen.decode().replace("\r\n", "\n"))


def _read(terminal: int, end: float) -> bytes:
    """Whatever was written; nothing at the end, or when the time is up."""
    if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: the last process has let go of the terminal
        return b""
