"""Which frames may be sightings of the same packets as some others, told without reading each frame's headers.

All frames of a journey have one loose key (see `journey`), so the journeys of a few frames are found without the rest.
Most of the rest is told apart by its mark: a few bytes that are a part of the loose key. Frames with one loose key
have one mark; or none, where they are built in an unusual way: then their key is made and compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pktlab.frame import Frame
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import loose_key

_Find = Callable[[bytes], re.Match[bytes] | None]

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
    find = _finder(vxlan_ports)
    keys = {loose_key(data, vxlan_ports) for data in {frame.data for frame in of}}
    marks = {_mark(key, find) for key in keys}
    every = list(frames)
    alike = []
    for frame, match in zip(every, map(find, map(attrgetter("data"), every)), strict=True):
        if match is None or match[match.lastindex or 0] in marks:
            alike.append(frame)
    known: dict[bytes, bool] = {}  # what crosses a wire is seen again
    out = []
    for frame in alike:
        if frame.data not in known:
            known[frame.data] = loose_key(frame.data, vxlan_ports) in keys
        if known[frame.data]:
            out.append(frame)
    return out


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
