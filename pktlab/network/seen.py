"""What was captured in a window of an act, and the questions one can ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pktlab.errors import LabError, PatternError
from pktlab.frame import Frame
from pktlab.frames.dissect import Pattern
from pktlab.frames.journey import Journey
from pktlab.frames.path import Change, Path, path_of, rewrites
from pktlab.interface import Interface
from pktlab.network.recording import Recording

Rewrites = dict[tuple[Interface, Interface], dict[str, Change]]


class Window:
    """The block of ``with net.capture() as seen:``."""

    def __init__(self, begin: Callable[[], Seen], end: Callable[[Seen], None]) -> None:
        self._begin = begin
        self._end = end
        self._seen: Seen | None = None

    def __enter__(self) -> Seen:
        self._seen = self._begin()
        return self._seen

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an exception there is nothing more to ask, and its own message is the one to see.
        if kind is None and self._seen is not None:
            self._end(self._seen)

    def __getattr__(self, name: str) -> Any:
        raise LabError(
            f"net.capture() itself has no {name!r}", remedy="write `with net.capture() as seen:`, and ask `seen`"
        )


class Seen:
    """The frames between the two ends of ``with net.capture() as seen:``, on every interface of every namespace.

    A pattern is a Scapy packet of which only the fields written down count; it is also found inside VXLAN. Asked
    within the block, a question waits until nothing is on its way. Each question and its answer is recorded.
    """

    def __init__(self, recording: Recording, start: int, settle: Callable[[], object], interfaces: list[Interface]):
        self._recording = recording
        self._start = start
        self._stop: int | None = None
        self._settle = settle
        self._interfaces = interfaces

    def _close(self, stop: int) -> None:
        self._stop = stop

    def _matches(self, pattern: Any) -> tuple[Pattern, list[tuple[Journey, list[Frame]]]]:
        """Return the packets that the pattern matches anywhere, each with the sightings that it matches."""
        compiled = Pattern(pattern)
        if self._stop is None:
            self._settle()
        stop = len(self._recording.frames) if self._stop is None else self._stop
        matching = self._recording.matching(compiled, self._start, stop)
        numbers = {frame.number for frame in matching}
        found = [
            (journey, [frame for frame in journey.frames if frame.number in numbers])
            for journey in self._recording.journeys_of(matching)
        ]
        return compiled, found

    def path(self, pattern: Any) -> Path:
        """Return the interfaces that saw the packet, in the order of first sighting, each once; [] if none did.

        Several packets that match, such as repeated ARP requests, must have gone the same way; raises PatternError
        otherwise, since no single path would be true.
        """
        compiled, found = self._matches(pattern)
        paths = [path_of(frames) for _journey, frames in found]
        if any(path != paths[0] for path in paths):
            for path in paths:
                path.asked(str(compiled), self._interfaces)
            raise PatternError(
                f"{compiled} matches {len(paths)} packets that went different ways:\n"
                + "\n".join(f"    {path}" for path in dict.fromkeys(map(str, paths))),
                remedy="write more fields into the pattern, or ask seen.paths() or seen.where()",
            )
        path = Path(frame for _journey, frames in found for frame in frames)
        path.asked(str(compiled), self._interfaces, note=self._note(compiled, found))
        self._recording.observe(f"path of {compiled}", [str(i) for i in path], str(path) or "seen nowhere", _in(found))
        return path

    def _note(self, pattern: Pattern, found: list[tuple[Journey, list[Frame]]]) -> str:
        """What a failed path should tell: where the packet is seen, but not by this pattern or not in this block."""
        for journey, frames in found:
            onward = [frame for frame in journey.frames if frame.number > frames[-1].number]
            if onward:
                places = path_of(onward)
                places.asked("", self._interfaces)
                return f"the packet goes on to {places}, where the pattern does not match it any more"
        if not found:
            others = [str(frame.number) for frame in self._recording.matching(pattern, 0, len(self._recording.frames))]
            if others:
                return f"outside of this capture block it was seen: frames {', '.join(others[:8])}"
        return ""

    def paths(self, pattern: Any) -> list[Path]:
        """Return the path of each packet that matches, in the order of first sighting."""
        compiled, found = self._matches(pattern)
        paths = [path_of(frames) for _journey, frames in found]
        for path in paths:
            path.asked(str(compiled), self._interfaces)
        answer = [[str(interface) for interface in path] for path in paths]
        told = "; ".join(map(str, paths)) or "seen nowhere"
        self._recording.observe(f"paths of {compiled}", answer, told, _in(found))
        return paths

    def where(self, pattern: Any) -> set[Interface]:
        """Return the interfaces that saw any packet that matches, as a set: for floods, where order means nothing."""
        compiled, found = self._matches(pattern)
        where = {frame.interface for _journey, frames in found for frame in frames}
        answer = sorted(map(str, where))
        self._recording.observe(f"where {compiled} was seen", answer, ", ".join(answer) or "nowhere", _in(found))
        return where

    def count(self, pattern: Any, *, on: Interface | None = None) -> int:
        """Return how many packets match; with `on`, how many of them that interface saw."""
        compiled, found = self._matches(pattern)
        count = sum(on is None or any(frame.interface == on for frame in frames) for _journey, frames in found)
        place = "" if on is None else f" on {on}"
        self._recording.observe(f"how many {compiled}{place}", count, str(count), _in(found))
        return count

    def frames(self, pattern: Any, *, on: Interface | None = None) -> list[Frame]:
        """Return the sightings that match, in true order; with `on`, those of one interface."""
        compiled, found = self._matches(pattern)
        every = [frame for _journey, frames in found for frame in frames if on is None or frame.interface == on]
        every.sort(key=lambda frame: frame.number)
        numbers = [frame.number for frame in every]
        place = "" if on is None else f" on {on}"
        text = ", ".join(map(str, numbers)) or "none"
        self._recording.observe(f"frames of {compiled}{place}", numbers, text, numbers)
        return every

    def rewrites(self, pattern: Any) -> Rewrites:
        """Return which fields of the packet changed, and between which two interfaces.

        As in ``{(rt.eth0, rt.eth1): {"ip.ttl": (64, 63)}}``, with Wireshark's names for the fields; a tunnel header
        put on is ``"vxlan.vni": (None, 42)``. The whole way of the packet is looked at, also where the pattern does not
        match any more. Several packets that match must have been rewritten alike; raises PatternError otherwise.
        """
        compiled, found = self._matches(pattern)
        every = [rewrites(journey, vxlan_ports=self._recording.vxlan_ports) for journey, _frames in found]
        if any(each != every[0] for each in every):
            raise PatternError(
                f"{compiled} matches {len(every)} packets that were rewritten differently",
                remedy="write more fields into the pattern, so that it matches one of them",
            )
        changes = every[0] if every else {}
        answer = [
            {"between": [str(a), str(b)], "fields": {name: list(change) for name, change in fields.items()}}
            for (a, b), fields in changes.items()
        ]
        text = "; ".join(
            f"{a} > {b}: " + ", ".join(f"{name} {old} -> {new}" for name, (old, new) in fields.items())
            for (a, b), fields in changes.items()
        )
        self._recording.observe(f"rewrites of {compiled}", answer, text or "none", _in(found))
        return changes


def _in(found: list[tuple[Journey, list[Frame]]]) -> set[int]:
    """The numbers of the frames that match."""
    return {frame.number for _journey, frames in found for frame in frames}
