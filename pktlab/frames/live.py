"""Frames as they come in: put in true order, told apart by packet, and held until what is said of them is known.

A frame's comment tells how long the packet's way is and where it stops, which later frames decide. So a frame is held
for a tenth of a second, in which a packet has crossed any network that does not hold it back on purpose.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pktlab.frame import Frame
from pktlab.frames.annotate import comment_texts
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Follower, Journey
from pktlab.interface import Interface

HOLD = 100_000_000  # in nanoseconds
# So many frames of a stretch are followed before a new one begins; and more than so many waiting are not followed.
_STRETCH, _FLOOD = 20_000, 20_000


@dataclass(slots=True)
class Begun:
    """A network is up and its frames will come: of which act, and what is known of it beforehand."""

    lab: str
    act: str = ""
    title: str = ""
    interfaces: list[Interface] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # by IP address
    vxlan_ports: frozenset[int] = VXLAN_PORTS


@dataclass(slots=True)
class Batch:
    """Frames in the order in which each namespace saw them; those stamped up to `until` are all there.

    With `cut` all frames before these are there, and no packet goes on beyond: the network was silent. `lost` is how
    many frames have been lost so far, by namespace; `told` are further comments, each with the number of its frame in
    this network.
    """

    frames: list[Frame]
    until: int = 0
    cut: bool = False
    lost: dict[str, int] = field(default_factory=dict)
    told: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Ended:
    """The network is gone: how many frames were lost, by namespace, and a comment on each interface."""

    lost: dict[str, int] = field(default_factory=dict)
    notes: dict[Interface, str] = field(default_factory=dict)


Told = tuple[Frame, list[str]]


class Live:
    """Takes batches, and gives frames with their comments in true order; numbers frames and packets from 1 on."""

    def __init__(self) -> None:
        self._frames = 0
        self._packets = 0
        self._follower = Follower()
        self._followed = 0
        self._ports = VXLAN_PORTS
        self._latest: dict[str, int] = {}  # namespace -> the highest time
        self._arrived: list[tuple[int, bool, int, Frame]] = []  # a heap
        self._sequence = 0
        self._until = 0
        self._held: deque[tuple[Frame, Journey | None]] = deque()
        self._ready: list[Told] = []
        self._notes: list[str] = []
        self._before = 0  # how many frames there were in the networks before
        self._told: dict[int, list[str]] = {}  # by frame

    @property
    def packets(self) -> int:
        """How many packets have been told apart so far."""
        return self._packets + len(self._follower.journeys)

    def begin(self, begun: Begun) -> None:
        """Begin with another network, of which all is new; its first frame says which act it is."""
        self.cut()
        self._latest.clear()
        self._until = 0
        self._before = self._frames
        self._told.clear()
        self._ports = begun.vxlan_ports
        self._restart()
        if begun.act:
            self._notes = [f"{begun.act}: {begun.title}" if begun.title else begun.act]

    def take(self, batch: Batch) -> None:
        """Take in frames."""
        if batch.cut:
            # The last one is kept for its time: what is asked next is about what was seen until then.
            self._order(None)
            self._tell(len(self._held) - 1)
            self._restart()
        for number, text in batch.told:
            if number:
                self._told.setdefault(self._before + number, []).append(text)
        for frame in batch.frames:
            netns = frame.interface.netns
            time = self._latest[netns] = max(frame.time, self._latest.get(netns, 0))
            self._sequence += 1
            # What an upper interface hears has the time of the one below it, and may have been read before.
            entry = (time, frame.interface.kind == "macvlan", self._sequence, frame)
            heapq.heappush(self._arrived, entry)
        self._until = max(self._until, batch.until)
        self._order(self._until)

    def cut(self) -> None:
        """Give all frames that came, and take later ones for other packets."""
        self._order(None)
        self._tell(len(self._held))
        self._restart()

    def release(self, now: int) -> list[Told]:
        """Return the frames that have been held long enough, at a time in nanoseconds."""
        count = 0
        for frame, _journey in self._held:
            if frame.time + HOLD > now:
                break
            count += 1
        self._tell(count)
        ready, self._ready = self._ready, []
        return ready

    def due(self) -> int | None:
        """Return when `release` has something to give, in nanoseconds; None if that hangs on what comes."""
        if self._ready:
            return 0
        return self._held[0][0].time + HOLD if self._held else None

    def _order(self, until: int | None) -> None:
        flood = len(self._arrived) > _FLOOD
        while self._arrived and (until is None or self._arrived[0][0] <= until):
            frame = heapq.heappop(self._arrived)[3]
            self._frames += 1
            frame.number = self._frames
            if self._followed >= _STRETCH:
                self._restart()
            self._followed += 1
            self._held.append((frame, None if flood else self._follower.add(frame)))

    def _tell(self, count: int) -> None:
        told = [self._held.popleft() for _ in range(count)]
        journeys = list({id(journey): journey for _frame, journey in told if journey is not None}.values())
        comments: Mapping[int, Sequence[str]] = comment_texts(journeys, vxlan_ports=self._ports)
        for frame, _journey in told:
            texts = [*comments.get(frame.number, ()), *self._told.pop(frame.number, ()), *self._notes]
            self._ready.append((frame, texts))
            self._notes = []

    def _restart(self) -> None:
        self._packets += len(self._follower.journeys)
        self._follower = Follower(vxlan_ports=self._ports, number=self._packets + 1)
        self._followed = 0
