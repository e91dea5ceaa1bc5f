"""What is written beside each frame in the pcapng: which packet it is, and how far on its way."""

from __future__ import annotations

from collections.abc import Iterable

from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Journey
from pktlab.frames.path import path_of
from pktlab.frames.words import short_words


def comment_texts(journeys: Iterable[Journey], *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> dict[int, list[str]]:
    """The comments for each frame, by its number: "ARP is-at 192.168.3.102: hop 3 of 3, stops here".

    A hop is a position in the journey's path; the packet stops at its last sighting, where that is on the last hop.
    """
    comments: dict[int, list[str]] = {}
    for journey in journeys:
        path = path_of(journey.frames)
        hops = {interface: hop for hop, interface in enumerate(path, 1)}
        last = journey.frames[-1]
        told: dict[bytes, str] = {}
        for frame in journey.frames:
            text = told.get(frame.data)
            if text is None:
                text = told[frame.data] = short_words(frame.data, vxlan_ports=vxlan_ports)
            hop = hops[frame.interface]
            stops = ", stops here" if frame is last and hop == len(path) else ""
            comments.setdefault(frame.number, []).append(f"{text}: hop {hop} of {len(path)}{stops}")
    return comments
