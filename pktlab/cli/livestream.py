"""The live stream: what a player's networks carry, filtered, in true order, into an outlet, until it is to end."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pktlab.errors import PktlabError
from pktlab.frame import Frame
from pktlab.frames.live import Batch, Begun, Ended, Live, Told
from pktlab.interface import Interface

# In milliseconds: poll(2) takes no more than an int holds, and one that returns early is called again.
_LONGEST_WAIT = 3_600_000.0

if TYPE_CHECKING:
    from pktlab.cli.outlet import Outlet
    from pktlab.cli.player import Act, Player
    from pktlab.frames.dissect import Pattern


@dataclass(slots=True)
class Choice:
    """Which frames are wanted: of these interfaces, ``NS/IFACE`` or ``IFACE`` in any namespace, and of a pattern."""

    interfaces: Sequence[str] = ()
    pattern: Pattern | None = None
    known: dict[str, None] = field(default_factory=dict)  # every interface that there was
    warned: bool = False

    def of(self, interfaces: Sequence[Interface]) -> list[Interface]:
        """Return those of some interfaces that are wanted."""
        self.known |= dict.fromkeys(map(str, interfaces))
        return [each for each in interfaces if self._has(each)]

    def has(self, frame: Frame) -> bool:
        """Tell whether a frame is wanted."""
        self.known.setdefault(str(frame.interface))
        return self._has(frame.interface) and (self.pattern is None or self.pattern.matches(frame))

    def unknown(self) -> list[str]:
        """Return those that were asked for and have not been there so far."""
        bare = {name.rpartition("/")[2] for name in self.known}
        return [name for name in self.interfaces if name not in self.known and name not in bare]

    def check(self) -> None:
        """Raise PktlabError if an interface was asked for that there never was."""
        if (wrong := self.unknown()) and self.known:
            raise PktlabError(f"no interface is called {wrong[0]!r}", remedy=f"there are {', '.join(self.known)}")

    def _has(self, interface: Interface) -> bool:
        return not self.interfaces or str(interface) in self.interfaces or interface.name in self.interfaces


@dataclass(slots=True)
class Outcome:
    """What a stream came to: frames written, the numbers of their packets, what became of the acts, if stopped."""

    frames: int = 0
    packets: set[int] = field(default_factory=set)
    statuses: list[str] = field(default_factory=list)
    interrupted: bool = False
    lost: dict[Interface, int] = field(default_factory=dict)


class Streaming:
    """One stream from a player to an outlet; `tell` hears of each network that it begins with, and of each act."""

    def __init__(
        self,
        player: Player,
        outlet: Outlet,
        choice: Choice,
        *,
        tell: Callable[[Act | Begun], None],
        duration: float | None = None,
        count: int | None = None,
    ) -> None:
        self._player = player
        self._outlet = outlet
        self._choice = choice
        self._tell = tell
        self._end = None if duration is None else time.monotonic() + duration
        self._count = count
        self._live = Live()
        self._interfaces: dict[str, Interface] = {}  # by namespace, the first
        self._notes: dict[Interface, str] = {}
        self._lost: dict[str, int] = {}  # in the network at hand
        self._over = False
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Stream until the player ends, or the time or the count is up, or Ctrl-C or SIGTERM comes.

        Raises BrokenPipeError when the reader is gone, and what ended the player's work.
        """
        with _signals() as stop:
            while not self._over:
                self._wait(stop)
            if not self._full():
                # What had been sent by then is a part of it.
                for message in self._player.messages() or ():
                    self._take(message)
                self._live.cut()
                self._write(self._live.release(0))
            self._count_lost()
            self._outlet.finish(self._outcome.lost, self._notes)
        return self._outcome

    def _wait(self, stop: int) -> None:
        poll = select.poll()
        poll.register(self._player, select.POLLIN)
        poll.register(stop, select.POLLIN)
        descriptor, events = self._outlet.watch()
        poll.register(descriptor, events)
        happened = dict(poll.poll(self._timeout()))
        if stop in happened:
            self._outcome.interrupted = self._over = True
        if happened.get(descriptor, 0) & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            raise BrokenPipeError
        if self._player.fileno() in happened:
            messages = self._player.messages()
            if messages is None:
                self._over = True
            for message in messages or ():
                self._take(message)
        self._write(self._live.release(time.time_ns()))
        self._outlet.pump()
        if self._end is not None and time.monotonic() >= self._end:
            self._over = True

    def _timeout(self) -> float | None:
        """In milliseconds, rounded up: poll would return too early otherwise, again and again."""
        times = []
        if (due := self._live.due()) is not None:
            times.append((due - time.time_ns()) / 1e6)
        if self._end is not None:
            times.append((self._end - time.monotonic()) * 1e3)
        return min(max(0.0, min(times)) + 1, _LONGEST_WAIT) if times else None

    def _take(self, message: object) -> None:
        if isinstance(message, Batch):
            self._live.take(message)
            self._lost = message.lost or self._lost
        elif isinstance(message, Begun):
            self._live.begin(message)
            # What the network before had to say is written before it is known what this one has.
            self._write(self._live.release(0))
            for interface in message.interfaces:
                self._interfaces.setdefault(interface.netns, interface)
            if self._choice.pattern is not None:
                from pktlab.frames import dissect

                dissect.bind_vxlan(message.vxlan_ports)
            self._outlet.begin(message, self._choice.of(message.interfaces))
            self._tell(message)
        elif isinstance(message, Ended):
            self._lost = message.lost
            self._count_lost()
            self._notes |= message.notes
            self._live.cut()
        else:
            act: Act = message  # type: ignore[assignment]
            self._outcome.statuses.append(act.status)
            self._write(self._live.release(0))
            self._tell(act)

    def _count_lost(self) -> None:
        """Put what was lost in a namespace down to its first interface, as the file of a run has it."""
        for netns, lost in self._lost.items():
            if lost and netns in self._interfaces:
                interface = self._interfaces[netns]
                self._outcome.lost[interface] = self._outcome.lost.get(interface, 0) + lost
        self._lost = {}

    def _write(self, told: Sequence[Told]) -> None:
        for frame, comments in told:
            if self._full():
                break
            if self._choice.has(frame):
                self._outlet.frame(frame, comments)
                self._outcome.frames += 1
                if frame.packet:  # 0 in a flood, in which no packet is followed
                    self._outcome.packets.add(frame.packet)
        self._over = self._over or self._full()

    def _full(self) -> bool:
        return self._count is not None and self._outcome.frames >= self._count


@contextmanager
def _signals() -> Iterator[int]:
    """Within the block SIGINT and SIGTERM make a descriptor readable; a second one does what it always did."""
    readable, writable = os.pipe()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: object) -> None:
        os.write(writable, b"x")
        signal.signal(number, before[signal.Signals(number)])

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield readable
    finally:
        for number in numbers:
            signal.signal(number, before[number])
        os.close(readable)
        os.close(writable)
