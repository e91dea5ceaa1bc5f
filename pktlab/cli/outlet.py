"""Where a live stream goes: a pcapng file or pipe, or lines for a person."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pktlab import __version__
from pktlab.errors import PktlabError
from pktlab.frame import OUT, Frame
from pktlab.frames.section import Writer
from pktlab.frames.words import words
from pktlab.interface import Interface
from pktlab.transcript import Span

if TYPE_CHECKING:
    from pktlab.cli.screen import Screen
    from pktlab.frames.live import Begun

# A pipe that can be written to takes so much without waiting (PIPE_BUF in pipe(7)); of a file, a megabyte is a turn.
_PIPE, _FILE = 4096, 1 << 20
# Bytes, for a reader that has stopped reading: then the stream waits for it.
_LIMIT = 256 << 20


class Outlet(Protocol):
    """Takes what is to be told, in true order."""

    def begin(self, begun: Begun, interfaces: Sequence[Interface]) -> None:
        """Take note of a network, and of those interfaces of it that are chosen."""

    def frame(self, frame: Frame, comments: Sequence[str]) -> None:
        """Take a frame."""

    def finish(self, lost: Mapping[Interface, int], notes: Mapping[Interface, str]) -> None:
        """Take what is to be said at the end, and write all that is left."""

    def watch(self) -> tuple[int, int]:
        """Return a descriptor and the events of poll(2) to be told of, 0 for none but that its reader is gone."""

    def pump(self) -> None:
        """Write what can be written without waiting. Raises BrokenPipeError where nobody reads any more."""


class Stream:
    """A pcapng section, written to a descriptor as far as that takes it; the rest waits here, not the acts."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._rest = bytearray()
        self._piece = _FILE if stat.S_ISREG(os.fstat(descriptor).st_mode) else _PIPE
        self._names: dict[str, str] = {}
        self._writer = Writer(cast(Any, self), os="Linux", application=f"pktlab {__version__}")

    def write(self, data: bytes) -> None:
        """Take bytes from the writer."""
        self._rest += data
        while len(self._rest) > _LIMIT:
            self._write()

    def begin(self, begun: Begun, interfaces: Sequence[Interface]) -> None:
        """Describe interfaces and name addresses that are new."""
        for interface in interfaces:
            self._writer.describe(interface)
        new = {address: name for address, name in begun.names.items() if self._names.get(address) != name}
        self._names |= new
        self._writer.name(new)

    def frame(self, frame: Frame, comments: Sequence[str]) -> None:
        """Write a frame."""
        self._writer.frame(frame, comments)

    def finish(self, lost: Mapping[Interface, int], notes: Mapping[Interface, str]) -> None:
        """Write the interfaces' statistics."""
        self._writer.finish(lost, notes)
        while self._rest:
            self._write()

    def watch(self) -> tuple[int, int]:
        """Return what to wait for."""
        return self._descriptor, select.POLLOUT if self._rest else 0

    def pump(self) -> None:
        """Write a piece if one can be written."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while self._rest:
            events = dict(poll.poll(0)).get(self._descriptor, 0)
            if not events:
                return
            self._write()

    def _write(self) -> None:
        try:
            count = os.write(self._descriptor, self._rest[: self._piece])
        except BrokenPipeError:
            raise BrokenPipeError from None  # without its errno, by which Typer would take it and exit with 1
        except OSError as error:
            raise PktlabError(f"cannot write {self._name}: {error.strerror}", remedy="name another file") from None
        del self._rest[:count]


class Lines:
    """A line a packet's sighting, as tcpdump has them, with the interface, the direction and the packet's number.

    If `verbose`, the last sighting has Wireshark's filter for the packet's whole way.
    """

    def __init__(self, screen: Screen, *, verbose: bool = False) -> None:
        self._screen = screen
        self._verbose = verbose
        self._width = 0
        self._ports: dict[str, Any] = {}

    def begin(self, begun: Begun, interfaces: Sequence[Interface]) -> None:
        """Make room for the longest name."""
        self._width = max([self._width, *(len(str(each)) for each in interfaces)])
        self._ports = {"vxlan_ports": begun.vxlan_ports}

    def frame(self, frame: Frame, comments: Sequence[str]) -> None:
        """Print a frame."""
        clock = time.strftime("%H:%M:%S", time.localtime(frame.time // 10**9))
        where = f"{clock}.{frame.time // 1000 % 10**6:06}  {frame.interface!s:{self._width}} "
        way = "Out" if frame.direction == OUT else "In "
        number = f"#{frame.packet}" if frame.packet else ""
        hop = next((text.rpartition(": ")[2] for text in comments if ": hop " in text), "")
        line = [Span(where, "mark"), Span(f"{way} "), Span(f"{number:4} ", "path")]
        line += [Span(words(frame.data, **self._ports)), Span(f"  ({hop})" if hop else "", "mark")]
        if self._verbose and "stops here" in hop:
            line.append(Span(f"  frame.packet_id == {frame.packet}", "mark"))
        self._screen.lines([line])

    def finish(self, lost: Mapping[Interface, int], notes: Mapping[Interface, str]) -> None:
        """Nothing is left."""

    def watch(self) -> tuple[int, int]:
        """Return what to wait for: a reader that has gone."""
        return 1, 0

    def pump(self) -> None:
        """Each line was written at once."""


def file(path: Path) -> int:
    """Open a file or a FIFO for a stream; return its descriptor. Raises PktlabError."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise PktlabError(f"cannot write {path}: {error.strerror}", remedy="name another file") from None
