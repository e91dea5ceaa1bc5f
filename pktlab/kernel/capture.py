"""Capture of every interface of every namespace: one packet socket a namespace, one thread for all.

A namespace is heard by a `Queue`, which has the lowest latency, or by a `Ring`, which has the most room: when asked
for, or when a queue fills. Either way the order of its frames is that in which its interfaces saw them.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pktlab.errors import PktlabError
from pktlab.kernel.fence import Fence
from pktlab.kernel.mmsg import Receiver
from pktlab.kernel.netns import Netns
from pktlab.kernel.queue import OVERHEAD, Marker, Queue
from pktlab.kernel.ring import Ring, size_for
from pktlab.kernel.storage import Storage

_WANTED_QUEUE = 64 << 20
# Frames that the thread reads of one namespace before it looks at the next; and when a ring takes over.
_TURN = 1024
_HALF = 0.5


@dataclass(slots=True)
class _Retired:
    """What is to be known of a queue that a ring took over from: its capacity; frames read, dropped before, after."""

    name: str
    capacity: int
    count: int
    before: int
    after: int
    ring: Ring

    def lost(self) -> int:
        """Of what it dropped last, most were the ring's already: at most those were not that came in between."""
        return self.before + min(self.after, self.ring.straddling)


class Recorder:
    """Records all frames of several namespaces from `start` on, as rows of `storage`.

    A namespace's number in their places is its place in `names`. `lost` counts, by namespace, the frames that the
    kernel dropped, and those for which the storage had no room.
    """

    def __init__(
        self, namespaces: Sequence[Netns], *, queue: int = _WANTED_QUEUE, storage: Storage | None = None
    ) -> None:
        self.names = [namespace.name for namespace in namespaces]
        self.storage = Storage() if storage is None else storage
        self.lost: dict[str, int] = dict.fromkeys(self.names, 0)
        self.failure: BaseException | None = None
        # Tells whether a frame with the markers' ethertype is one of ours, which is not recorded.
        self.marker: Marker = lambda data, stamp, place: False
        self.automatic = True  # whether a ring takes over where a queue fills
        # Told, by whoever read them, that there are new frames; it must not wait, nor ask anything of this object.
        self.news: Callable[[], None] = _nothing
        self._told = 0
        self._namespaces = list(namespaces)
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held while waiting for the other
        self._receiver = Receiver()
        self._queues: dict[int, Queue] = {}
        self._rings: dict[int, Ring] = {}
        self._retired: list[_Retired] = []
        self._moving: set[int] = set()
        self._overflowing = False
        self.others: list[socket.socket] = []  # to be closed with its own
        self._poll = select.epoll()
        self._heard: dict[int, int] = {}  # descriptor -> number of the namespace
        for number, namespace in enumerate(namespaces):
            self._queues[number] = Queue(namespace, number, self.storage, self._receiver, size=queue)
            self._hear(self._queues[number], number)
        self._stop_read, self._stop_write = os.pipe()
        self._poll.register(self._stop_read, select.EPOLLIN)
        self._thread: threading.Thread | None = None

    def _hear(self, source: Queue | Ring, number: int) -> None:
        self._heard[source.fileno()] = number
        self._poll.register(source, select.EPOLLIN)

    def start(self) -> None:
        """Start the thread that empties the sockets as frames come in."""
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                ready = [descriptor for descriptor, _ in self._poll.poll()]
                if self._stop_read in ready:
                    return
                self.read(ready)
                if self._overflowing and self.automatic:
                    # Where there is no ring to be had, the queue goes on; what it drops is counted.
                    self.automatic = False
                    with contextlib.suppress(PktlabError):
                        self.use_rings([number for number, each in self._queues.items() if each.filled() > _HALF / 2])
                        self.automatic = True
                self._overflowing = False
        except BaseException as error:
            # Shown by the next question, in the thread that asks it.
            self.failure = error

    @contextlib.contextmanager
    def fairly(self) -> Iterator[None]:
        """Keep the capture's thread from reading within the block."""
        # In a storm that thread would take the lock again before who waits for it is awake.
        with self._turn:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def read(self, ready: Sequence[int]) -> None:
        """Read from the sockets that have something, by their descriptors."""
        with self.fairly():
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            for descriptor in ready:
                number = self._heard.get(descriptor)
                if number is None:
                    continue
                if (ring := self._rings.get(number)) and ring.fileno() == descriptor:
                    if not ring.read():
                        ring.settle_error()
                elif queue := self._queues.get(number):
                    more = queue.read(now, self.marker, most=_TURN)
                    self._overflowing |= more and queue.filled() > _HALF
        self.news()

    def relieve(self) -> None:
        """Read what is there at once, so that there is room again; the block that a ring is filling can wait."""
        with self.fairly():
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            for queue in self._queues.values():
                queue.read(now, self.marker)
            for ring in self._rings.values():
                ring.read()
        self.news()

    def drain(self) -> int:
        """Read what the sockets hold; return how many frames have been read since the start."""
        with self.fairly():
            # In a storm there is always more; what comes from now on is for the next call.
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            for queue in self._queues.values():
                queue.read(now, self.marker)
            for ring in self._rings.values():
                ring.drain(now)
            count = sum(queue.count for queue in self._queues.values()) + sum(each.count for each in self._retired)
            count += sum(ring.count for ring in self._rings.values())
        if count != self._told:
            self._told = count
            self.news()
        return count

    def bunch(self, size: int, sightings: int) -> int:
        """Return how many frames may be sent before `drain`, so that nothing is lost though nobody else reads.

        They are of `size` bytes, and seen so often in one namespace; half of the room is for what they give rise to.
        """
        with self.fairly():
            rooms = [queue.capacity() for queue in self._queues.values()]
            room = min(rooms + [ring.capacity() for ring in self._rings.values()])
        return max(1, room // 2 // (OVERHEAD + 2 * size) // max(1, sightings))

    def index(self) -> int:
        """Make rows of all that was read; return how many rows there are."""
        with self.fairly():
            for ring in self._rings.values():
                ring.index(self.marker)
            return len(self.storage)

    def losses(self) -> dict[str, int]:
        """Return by namespace how many frames have been lost since the start."""
        with self.fairly():
            lost = dict.fromkeys(self.names, 0)
            for number, queue in self._queues.items():
                lost[self.names[number]] += queue.losses()
            for number, ring in self._rings.items():
                lost[self.names[number]] += ring.losses()
            for each in self._retired:
                lost[each.name] += each.lost()
            self.lost = lost
            return dict(lost)

    def use_rings(self, numbers: Sequence[int] | None = None) -> None:
        """Let rings hear some namespaces, or all, from now on; no frame is lost or kept twice by that.

        Ring and queue hear side by side for a while. A frame has one stamp, which both of them tell; those stamped up
        to a moment are the queue's, later ones the ring's. The first round of the fence makes sure that what is stamped
        after that moment is heard by the ring, the second that what was stamped before is in the queue. Must be
        called in the sandbox's first namespace. Raises KernelError, DeadlineExceeded.
        """
        with self.fairly():
            every = range(len(self._namespaces)) if numbers is None else numbers
            moved = [number for number in every if number not in self._rings and number not in self._moving]
            self._moving.update(moved)
        if not moved:
            return
        size = size_for(len(self._namespaces))
        fence = Fence()
        opened: dict[int, Ring] = {}
        try:
            for number in moved:
                opened[number] = Ring(self._namespaces[number], number, self.storage, size=size, since=None)
                with self.fairly():
                    self._rings[number] = opened[number]
                    self._hear(opened[number], number)
            fence.round()
            self._cut(opened)
            fence.round()
            self._retire(opened)
        except BaseException:
            self._undo(opened)
            raise
        finally:
            fence.close()
            self._moving.difference_update(moved)

    def _cut(self, opened: dict[int, Ring]) -> None:
        with self.fairly():
            for number, ring in opened.items():
                self._queues[number].until = ring.begin()
                self._queues[number].losses()

    def _retire(self, opened: dict[int, Ring]) -> None:
        """Read the rest of some queues, and close them; the rings must not fill meanwhile."""
        closing = []
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        for number, ring in opened.items():
            more = True
            while more:
                with self.fairly():
                    more = self._queues[number].read(now, self.marker, most=_TURN)
                    for each in opened.values():
                        each.read()
            with self.fairly():
                queue = self._queues.pop(number)
                before = queue.lost
                self._retired.append(
                    _Retired(queue.name, queue.capacity(), queue.count, before, queue.losses() - before, ring)
                )
                self._forget(queue)
            closing.append(queue)
        _close(closing)

    def _undo(self, opened: dict[int, Ring]) -> None:
        """Leave the namespaces to their queues, unless a ring has begun already."""
        with self.fairly():
            idle = [number for number, ring in opened.items() if ring.since is None]
            rings = [self._rings.pop(number) for number in idle if number in self._rings]
            for ring in rings:
                self._forget(ring)
        _close(rings)

    def _forget(self, source: Queue | Ring) -> None:
        self._poll.unregister(source)
        del self._heard[source.fileno()]

    @property
    def rings(self) -> dict[str, int]:
        """By namespace, for each that a ring hears: how often that was full."""
        return {self.names[number]: ring.frozen for number, ring in self._rings.items()}

    def stop(self) -> None:
        """Stop reading; the frames read so far stay."""
        if self._thread is not None:
            os.write(self._stop_write, b"x")
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Stop, and close the sockets."""
        self.stop()
        _close([*self._queues.values(), *self._rings.values(), *self.others])
        self.storage.close()
        self._poll.close()
        os.close(self._stop_read)
        os.close(self._stop_write)


def _nothing() -> None:
    pass


def _close(sources: Sequence[Queue | Ring | socket.socket]) -> None:
    """Close sockets side by side, since each close waits for the kernel."""
    closing = [threading.Thread(target=each.close) for each in sources]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()
