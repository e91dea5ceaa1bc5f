"""Packets and questions in the order of events: what a transcript is told from, be it of a live act or of a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pktlab.act import Packet
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Journey
from pktlab.frames.path import path_of
from pktlab.frames.words import words


def packets(journeys: Iterable[Journey], began: int, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> list[Packet]:
    """Return each packet in tcpdump's words with its way; `began` is the time of the first frame, in nanoseconds."""
    return [
        Packet(
            number=journey.number,
            time=(journey.frames[0].time - began) / 1e9,
            words=words(journey.frames[0].data, vxlan_ports=vxlan_ports),
            path=[str(interface) for interface in path_of(journey.frames)],
            frames=[frame.number for frame in journey.frames],
        )
        for journey in journeys
    ]


def story(journeys: Sequence[Journey], asked_at: Sequence[int]) -> list[tuple[str, int]]:
    """Return ("packet", index) and ("observation", index) in the order of events.

    `asked_at` says of each question how many frames there were when it was asked.
    """
    events = [((journey.frames[0].number, 0, index), ("packet", index)) for index, journey in enumerate(journeys)]
    events += [((at, 1, index), ("observation", index)) for index, at in enumerate(asked_at)]
    return [event for _place, event in sorted(events)]
