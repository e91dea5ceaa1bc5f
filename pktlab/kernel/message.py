"""Messages from a child process to its parent: pickles in a pipe, each behind its length.

Both ends are forks of one process, so pickle is safe here and carries what the act returns.
An exception travels as itself where it can be pickled, and as its traceback in text in any case.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pktlab.errors import PktlabError

_LENGTH = struct.Struct("!Q")


class ChildError(PktlabError):
    """What happened in the sandbox cannot be given back as itself: `message` has it in text."""


class ChildTraceback(Exception):
    """The traceback of the sandbox in text, set as `__cause__` of the exception that came out of it."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception on its way to the parent."""

    text: str
    pickled: bytes | None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Pack `error`; what cannot be pickled and read back stays text."""
        text = "".join(traceback.format_exception(error))
        for parts in (error, (type(error), error.args, error.__dict__)):
            try:
                pickled = pickle.dumps(parts)
                if type(_unpack(pickled)) is type(error):
                    return cls(text, pickled)
            except Exception:  # an exception's own pickling may raise anything at all
                continue
        return cls(text, None)

    def exception(self) -> BaseException:
        """The exception to raise in the parent; `ChildError` stands for one that could not be pickled."""
        error: BaseException = ChildError(self.text.rstrip().rpartition("\n")[2])
        if self.pickled:
            # Its module may have been imported in the sandbox only, and fail here.
            with contextlib.suppress(Exception):
                error = _unpack(self.pickled)
        error.__cause__ = ChildTraceback(self.text)
        return error


def _unpack(pickled: bytes) -> BaseException:
    parts = pickle.loads(pickled)
    if isinstance(parts, BaseException):
        return parts
    # By default pickle calls the class with `args` again, which fails where __init__ takes other arguments than
    # it hands to super().__init__(), as `KernelError` does. So: without __init__, then the attributes.
    kind, args, attributes = parts
    error: BaseException = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class Sender:
    """The writing end; threads may send at the same time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._turn = threading.Lock()

    def __call__(self, message: Any) -> None:
        """Write one message whole; blocks while the pipe is full. Raises `BrokenPipeError` without a reader."""
        body = pickle.dumps(message)
        rest = memoryview(_LENGTH.pack(len(body)) + body)
        with self._turn:
            while rest:
                rest = rest[os.write(self._fd, rest) :]


class Receiver:
    """Puts the messages of one pipe together again, in whatever pieces they are read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The messages that `piece` completes."""
        self._buffer += piece
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if len(self._buffer) < _LENGTH.size + length:
                return
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
            del self._buffer[: _LENGTH.size + length]
            yield pickle.loads(body)
