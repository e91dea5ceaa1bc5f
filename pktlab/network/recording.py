"""What happened in an act: its frames in true order, the packets they are sightings of, the questions asked."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path as File
from typing import Any

from pktlab.act import Captured, Observation, Packet
from pktlab.errors import KernelError
from pktlab.frame import Frame
from pktlab.frames import annotate, pcapng, telling
from pktlab.frames.dissect import Pattern
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Journey, follow
from pktlab.frames.kinship import Family
from pktlab.interface import Interface
from pktlab.kernel.storage import Storage
from pktlab.network.completeness import Proof
from pktlab.network.frames import Frames, Resolve

# Of so many frames an observation has the numbers: nobody reads more, and a storm has a million.
_TOLD = 1000
# So many frames are followed for the story of an act; a packet of which one of the last of them was seen may go on.
_STORY, _UNSURE = 20_000, 1_000


class Recording:
    """Grows while the act runs. `take` takes in what was captured; `cut` ends a stretch, beyond which no packet goes
    on: a window of `net.capture()` opens or closes there, with nothing on its way."""

    def __init__(self, storage: Storage | None = None, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> None:
        self.vxlan_ports = vxlan_ports
        self.frames = Frames(storage)
        self.proof = Proof()
        self.observations: list[Observation] = []
        self._asked_at: list[int] = []
        # Told of each observation; it must not wait.
        self.news: Callable[[], None] = _nothing
        self._finished: list[Journey] = []
        self._open: list[Journey] = []
        self._cuts = [0]  # how many frames there were at each
        self._finished_to = 0  # all before this frame is in _finished; up to _followed in _open
        self._followed = 0

    def take(self, resolve: Resolve) -> int:
        """Take in what the capture has got since; return how many frames there are."""
        return self.frames.take(resolve)

    def cut(self) -> int:
        """End the stretch; return how many frames there are."""
        if self._cuts[-1] != len(self.frames):
            self._cuts.append(len(self.frames))
        return len(self.frames)

    @property
    def cuts(self) -> Sequence[int]:
        """How many frames there were at each cut."""
        return self._cuts

    def told(self, start: int) -> list[tuple[int, str]]:
        """Return the observations from one on, each with how many frames there were, and in the words of a comment."""
        every = zip(self.observations[start:], self._asked_at[start:], strict=False)
        return [(at, f"{each.question}: {each.text}") for each, at in every]

    def _stretches(self) -> Iterator[tuple[int, int]]:
        yield from ((start, end) for start, end in pairwise([*self._cuts, len(self.frames)]) if start != end)

    def _follow(self) -> None:
        if self._followed == len(self.frames):
            return
        for start, end in self._stretches():
            if end <= self._finished_to:
                continue
            if end > _STORY:
                self._open = self._beginning(start)
                break
            self._open = follow(self.frames[start:end], vxlan_ports=self.vxlan_ports)
            for journey in self._open:
                journey.number += len(self._finished)
                for frame in journey.frames:
                    frame.packet = self.frames.packets[frame.number - 1] = journey.number
            if end <= self._cuts[-1]:
                self._finished += self._open
                self._finished_to, self._open = end, []
        self._followed = len(self.frames)

    def _beginning(self, start: int) -> list[Journey]:
        """Follow the first packets of a stretch that has too many; those are left out whose way may go on."""
        some = follow(self.frames[start:_STORY], vxlan_ports=self.vxlan_ports) if start < _STORY else []
        sure = [each for each in some if each.frames[-1].number <= _STORY - _UNSURE]
        for number, journey in enumerate(sure, len(self._finished) + 1):
            journey.number = number
            for frame in journey.frames:
                frame.packet = self.frames.packets[frame.number - 1] = number
        return sure

    @property
    def journeys(self) -> list[Journey]:
        """Every packet so far, in the order of first sighting; in a flood, the first of them."""
        self._follow()
        return self._finished + self._open

    @property
    def untold(self) -> int:
        """Of how many frames no packet is told, since there are too many."""
        return len(self.frames) - sum(len(each.frames) for each in self.journeys)

    def matching(self, pattern: Pattern, start: int, stop: int) -> list[Frame]:
        """Return the frames that a pattern matches, of those between two cuts; in order."""
        found: list[int] = []
        for places, buffer, offsets, lengths in self.frames.chunks(start, stop):
            found += map(places.__getitem__, pattern.scan(buffer, offsets, lengths))
        return self.frames.kept(found)

    def journeys_of(self, frames: Sequence[Frame]) -> list[Journey]:
        """Return the packets that these frames, in order, are sightings of, without following all the others.

        They have no number as yet.
        """
        out = []
        for start, end in self._stretches():
            first, last = (bisect_right(frames, edge, key=lambda frame: frame.number) for edge in (start, end))
            wanted = frames[first:last]
            if wanted:
                family = Family((frame.data for frame in wanted), vxlan_ports=self.vxlan_ports)
                found: list[int] = []
                for places, buffer, offsets, lengths in self.frames.chunks(start, end):
                    found += map(places.__getitem__, family.scan(buffer, offsets, lengths))
                alike = self.frames.kept(found)
                numbers = {frame.number for frame in wanted}
                packets = [frame.packet for frame in alike]
                journeys = follow(alike, vxlan_ports=self.vxlan_ports)
                for frame, packet in zip(alike, packets, strict=True):
                    frame.packet = packet
                out += [each for each in journeys if not numbers.isdisjoint(frame.number for frame in each.frames)]
        return out

    def observe(self, question: str, answer: Any, text: str, frames: Iterable[int] = ()) -> None:
        """Record a question that the act asked, the answer that it got, and the numbers of the frames that gave it."""
        self.observations.append(Observation(question, answer, text, sorted(frames)[:_TOLD]))
        self._asked_at.append(len(self.frames))
        self.news()

    def forget(self, kept: int) -> None:
        """Drop what was asked after the first `kept` observations: what a wait asked in vain."""
        del self.observations[kept:], self._asked_at[kept:]

    def packets(self) -> list[Packet]:
        """Return every packet as the transcript tells it; in a flood, the first of them."""
        began = self.frames[0].time if len(self.frames) else 0
        return telling.packets(self.journeys, began, vxlan_ports=self.vxlan_ports)

    def story(self) -> list[tuple[str, int]]:
        """Return packets and observations in the order of events, as the transcript tells them."""
        return telling.story(self.journeys, self._asked_at)

    def write(
        self,
        file: str,
        interfaces: Sequence[Interface],
        *,
        dropped: Mapping[str, int],
        names: Mapping[str, str],
        comment: str,
        application: str,
        markers: bool = False,
    ) -> None:
        """Write the frames to a pcapng file; it appears under its name only when it is whole. `markers` puts
        the markers of the proof among them.

        Raises KernelError, the frames lost to the file but not to the verdict, when the disk is full or read-only.
        """
        comments = {number: list(texts) for number, texts in self._comments().items()}
        for at, text in self.told(0):
            if at:
                comments.setdefault(at, []).append(text)
        seen = list(dict.fromkeys([*interfaces, *self.frames.interfaces()]))
        # The kernel counts what it drops by socket, which is one a namespace; it is put down to its first interface.
        losses = {next(i for i in seen if i.netns == netns): count for netns, count in dropped.items() if count}
        path = File(file)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as out:
                pcapng.write(
                    out,
                    merged(self.frames, self.proof.markers) if markers else self.frames,
                    seen,
                    comments=comments,
                    names=names,
                    dropped=losses,
                    notes=self.proof.notes(),
                    section_comment=comment,
                    os="Linux",
                    application=application,
                )
            partial.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise KernelError(
                f"write {path}", error.errno or 0, remedy="choose another folder with --captures, or free some space"
            ) from None

    def _comments(self) -> dict[int, list[str]]:
        return annotate.comment_texts(self.journeys, vxlan_ports=self.vxlan_ports)

    def captured(self, file: str, interfaces: Sequence[Interface], dropped: Mapping[str, int]) -> Captured:
        """Return the figures of the capture for the record."""
        return Captured(
            file=file,
            frames=len(self.frames),
            dropped=sum(dropped.values()),
            interfaces=[str(interface) for interface in interfaces],
            proof=self.proof.as_json(),
        )


def _nothing() -> None:
    pass


def merged(frames: Iterable[Frame], markers: Sequence[Frame]) -> Iterator[Frame]:
    """Yield frames in their order, and markers, in theirs, before the first frame that is later."""
    at = 0
    for frame in frames:
        while at < len(markers) and markers[at].time < frame.time:
            yield markers[at]
            at += 1
        yield frame
    yield from markers[at:]
