"""Which frames may be sightings of the same packets as some others, told without reading each frame's headers.

All frames of a journey have one loose key (see `journey`), so the journeys of a few frames are found without the rest.
Most of the rest is told apart by its mark: a few bytes that are a part of the loose key. Frames with one loose key
have one mark; or none, where they are built in an unusual way: then their key is made and compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import compress, count, repeat
from operator import add
from typing import Any

from pktlab.frame import Frame
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import loose_key

Buffer = bytes | bytearray | memoryview
_Find = Callable[..., re.Match[bytes] | None]
_REMEMBERED = 1 << 12  # so many frames are kept with the answer

_TAG = rb"(?:\x81\x00|\x88\xa8|\x91\x00).."
# A tunnel's headers, in which the lengths leave room for two tags and an IPv6 header, so that `headers` looks inside.
_TUNNEL = (
    rb"\x08\x00\x45.(?:\x00[\x62-\xff]|[^\x00].)..[\x00\x40]\x00.\x11.{10}"  # IPv4, no fragment
    rb"..%(port)b(?:\x00[\x4e-\xff]|[^\x00].)..[\x08\x88].{7}"  # UDP, VXLAN
    rb".{12}(?:%(tag)b){0,2}"
)
_MARKS = (
    rb"\x08\x00\x45.(.{4}).{3}(?!\x11.{12}%(port)b).{11}"  # IPv4 without options: length, identification
    rb"|\x08\x06(..\x08\x00\x06\x04.{22})"  # ARP: all of it
    rb"|\x86\xdd[\x60-\x6f].{3}(?!..\x11.{35}%(port)b)(..[\x06\x11\x3a]).{33}"  # IPv6: length, what is in it
)


@lru_cache(maxsize=8)
def _finder(vxlan_ports: frozenset[int]) -> _Find:
    """Return what finds the mark of a frame, in the one group that it sets; None where a frame has none."""
    ports = b"(?:%b)" % (b"|".join(re.escape(port.to_bytes(2, "big")) for port in sorted(vxlan_ports)) or b"(?!)")
    names = {b"port": b"(?:%b)" % ports, b"tag": _TAG, b"tunnel": _TUNNEL, b"marks": _MARKS}
    whole = rb".{12}(?:%(tag)b)*(?:%(tunnel)b)?(?:%(marks)b)"
    for name in (b"marks", b"tunnel", b"tag", b"port"):
        whole = whole.replace(b"%%(%b)b" % name, names[name])
    return re.compile(whole, re.DOTALL).match


def kin(frames: Iterable[Frame], of: Iterable[Frame], *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> list[Frame]:
    """Return those of the frames that have a loose key in common with any of some others; in order."""
    family = Family((frame.data for frame in of), vxlan_ports=vxlan_ports)
    return [frame for frame in frames if family.has(frame.data)]


class Family:
    """The loose keys of some frames, to find others that have one of them."""

    def __init__(self, of: Iterable[bytes], *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> None:
        self._vxlan_ports = vxlan_ports
        self._find = _finder(vxlan_ports)
        self._keys = {loose_key(data, vxlan_ports) for data in set(of)}
        self._marks = {_mark(key, self._find) for key in self._keys}
        self._known: dict[bytes, bool] = {}  # what crosses a wire is seen again

    def has(self, data: bytes) -> bool:
        """Tell whether a frame has one of the keys."""
        match = self._find(data)
        return self._likely(match) and self._surely(data)

    def _likely(self, match: re.Match[bytes] | None) -> bool:
        return match is None or match[match.lastindex or 0] in self._marks

    def _surely(self, data: bytes) -> bool:
        if data not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[data] = loose_key(data, self._vxlan_ports) in self._keys
        return self._known[data]

    def scan(self, buffer: Buffer, offsets: Sequence[int], lengths: Sequence[int]) -> Iterator[int]:
        """Yield which of the frames that lie in a buffer have one of the keys, counted from 0."""
        likely = map(self._likely, map(self._find, repeat(buffer), offsets, map(add, offsets, lengths)))
        for index in compress(count(), likely):
            if self._surely(bytes(buffer[offsets[index] : offsets[index] + lengths[index]])):
                yield index


def _mark(key: tuple[Any, ...], find: _Find) -> bytes | None:
    """Return the mark that frames with a loose key have, those that have one."""
    match key:
        case (4, _, ident, _, _, length, *_):
            return bytes(((length + 20 & 0xFFFF).to_bytes(2, "big")) + ident.to_bytes(2, "big"))
        case (6, following, length, *_):
            return bytes(length.to_bytes(2, "big") + bytes([following]))
        case ("arp", data):
            return bytes(data)
        case ("eth", _, _, int(kind), payload):
            match = find(bytes(12) + kind.to_bytes(2, "big") + payload)
            return match and match[match.lastindex or 0]
    return None
