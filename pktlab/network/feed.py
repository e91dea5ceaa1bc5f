"""The frames of a network handed on while they come in, for a stream that somebody reads along.

A thread beside the act reads the rows that the capture has made. It is woken by the capture, waits a moment for others
of the same bunch, and empties the sockets itself: so it can say up to which time nothing is missing.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from pktlab.frame import IN, OUT, Frame
from pktlab.frames.live import Batch, Begun, Ended
from pktlab.interface import Interface
from pktlab.kernel.capture import Recorder
from pktlab.kernel.netns import Netns
from pktlab.kernel.storage import placed
from pktlab.network.frames import Resolve
from pktlab.network.recording import Recording

Send = Callable[[Any], None]

# In seconds, and nanoseconds: how long frames gather; by how much less the sockets' word is taken, since a frame is
# stamped a moment before it is put into the socket's queue.
_GATHER = 0.02
_MARGIN = 5_000_000
# A message holds so many frames and bytes at most, so that it fits into a socket's buffer.
_FRAMES, _BYTES = 500, 50_000


class Feed:
    """Hands frames on from entering the `with` block until leaving it: `Begun`, any number of `Batch`, `Ended`.

    `send` is called by one thread at a time; where it raises OSError nobody listens any more, and the act goes on.
    """

    def __init__(
        self,
        begun: Begun,
        send: Send,
        recorder: Recorder,
        recording: Recording,
        namespaces: Iterable[Netns],
        resolve: Resolve,
    ) -> None:
        self._begun = begun
        self._send = send
        self._recorder = recorder
        self._recording = recording
        self._namespaces = list(namespaces)
        self._resolve = resolve
        self._sent = 0
        self._cuts = 0
        self._told = 0
        self._newest = 0
        self._until = 0
        self._stopping = False
        self._news = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def __enter__(self) -> Feed:
        self._recorder.news = self._recording.news = self._wake
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recorder.news = self._recording.news = lambda: None
        self._stopping = True
        os.write(self._stop_write, b"x")
        self._thread.join()
        for descriptor in (self._news, self._stop_read, self._stop_write):
            os.close(descriptor)

    def _wake(self) -> None:
        os.eventfd_write(self._news, 1)

    def _run(self) -> None:
        news, stop = select.poll(), select.poll()
        news.register(self._news, select.POLLIN)
        news.register(self._stop_read, select.POLLIN)
        stop.register(self._stop_read, select.POLLIN)
        try:
            self._send(self._begun)
            self._hand_on()
            while not self._stopping:
                # A frame that came after the word was given is not known to be the next one until another is given.
                news.poll(_GATHER * 1000 if self._newest > self._until else None)
                stop.poll(_GATHER * 1000)
                self._clear()
                self._hand_on()
            self._hand_on()
            self._send(Ended(self._recorder.losses(), _plain(self._recording.proof.notes())))
        except OSError:
            return

    def _clear(self) -> None:
        try:
            os.eventfd_read(self._news)
        except BlockingIOError:
            return

    def _hand_on(self) -> None:
        """Send what is new; and up to when that is all."""
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        self._recorder.drain()
        end = self._recorder.index()
        self._until = now - _MARGIN
        for cut in self._recording.cuts[self._cuts :]:
            self._cuts += 1
            if self._sent <= cut <= end:
                self._rows(cut)
                self._send(Batch([], cut=True))
        self._rows(end)
        # What a wait asked in vain has been forgotten again.
        told = self._recording.told(min(self._told, len(self._recording.observations)))
        self._told = len(self._recording.observations)
        self._send(Batch([], self._until, lost=self._recorder.losses(), told=told))

    def _rows(self, end: int) -> None:
        storage = self._recorder.storage
        places: dict[int, tuple[Interface, str]] = {}
        frames: list[Frame] = []
        size = 0
        for row in range(self._sent, end):
            number = storage.place[row]
            if number not in places:
                places[number] = self._where(number)
            interface, direction = places[number]
            frame = Frame(0, storage.time[row], interface, direction, storage.data(row))
            self._newest = max(self._newest, frame.time)
            frames.append(frame)
            size += len(frame.data)
            if len(frames) >= _FRAMES or size >= _BYTES:
                self._send(Batch(frames))
                frames, size = [], 0
        if frames:
            self._send(Batch(frames))
        self._sent = max(self._sent, end)

    def _where(self, number: int) -> tuple[Interface, str]:
        netns, index, outgoing = placed(number)
        interface = self._resolve(netns, index)
        if interface.name == f"if{index}":
            # New, and the kernel's word of it not read yet: that is for the act's own thread to do.
            try:
                with self._namespaces[netns].entered():
                    interface = Interface(interface.netns, socket.if_indextoname(index), index=index)
            except OSError:
                pass
        return plain(interface), OUT if outgoing else IN


def plain(interface: Interface) -> Interface:
    """Return the name alone: a declared device leads to its whole topology."""
    return Interface(interface.netns, interface.name, kind=interface.kind, mac=interface.mac, index=interface.index)


def _plain(notes: dict[Interface, str]) -> dict[Interface, str]:
    return {plain(interface): text for interface, text in notes.items()}
