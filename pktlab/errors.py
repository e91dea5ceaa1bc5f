"""What can go wrong, sorted by who is at fault.

============================  ==========================================  ==========================
error                         at fault                                    outcome of the act
============================  ==========================================  ==========================
`LabError` and below          the lab file                                failed
`MachineError` and below      this machine: something is missing          skipped, with the remedy
`KernelError`                 the kernel refused                          failed
`DeadlineExceeded`            something that was waited for never came    failed
`Inconclusive`                frames were lost                            inconclusive
============================  ==========================================  ==========================

An expectation that does not hold is no error of ours: it is a plain `AssertionError`.
"""

from __future__ import annotations

import os


class PktlabError(Exception):
    """A fault with its remedy: `message` says what is wrong, `remedy` what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class LabError(PktlabError):
    """The lab file is wrong."""


class TopologyError(LabError):
    """A declaration that no kernel could carry out, found where it is written (`file`, `line`)."""

    def __init__(self, message: str, *, remedy: str = "", file: str = "", line: int = 0) -> None:
        where = f"{file}:{line}: " if file else ""
        super().__init__(where + message, remedy=remedy)
        self.file = file
        self.line = line


class PatternError(LabError):
    """A pattern or frame that is not a Scapy packet, or that cannot be matched or sent as it is."""


class MachineError(PktlabError):
    """This machine lacks something; the act is skipped and the remedy shown."""


class SandboxError(MachineError):
    """This machine does not let pktlab make namespaces, so no lab can run here at all."""


class KernelError(PktlabError):
    """The kernel refused: `what` was asked, `errno` it answered, `detail` in its own words (extended ACK).

    `where` is the file and line of the declaration that asked, if one did.
    """

    def __init__(self, what: str, errno: int, detail: str = "", *, remedy: str = "", where: str = "") -> None:
        text = f"{where}: " if where else ""
        text += f"{what}: {os.strerror(errno)}"
        if detail:
            text += f" (kernel: {detail})"
        super().__init__(text, remedy=remedy)
        self.what = what
        self.errno = errno
        self.detail = detail
        self.where = where


class DeadlineExceeded(PktlabError):
    """An event that was waited for did not come within its bound."""


class Inconclusive(PktlabError):
    """Frames were lost, so neither presence nor absence can be claimed."""
