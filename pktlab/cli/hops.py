"""Packets of a capture, hop by hop: each sighting, what was changed between two of them, and Wireshark's filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.frames.path import Change
    from pktlab.frames.retold import Retold
    from pktlab.interface import Interface

_SECOND = 10**9


def lines(retold: Retold) -> Iterator[Line]:
    """Tell each packet in words, and beneath it its sightings: number, time since the first frame, interface, way.

    What the node rewrote on the way to a sighting stands behind that. The filter is Wireshark's for the packet's
    whole way; only a file of ours has the packets' numbers that it goes by.
    """
    from pktlab.frames.path import rewrites
    from pktlab.frames.words import words

    frames = retold.capture.frames
    began = frames[0].time if frames else 0
    width = max((len(str(interface)) for interface in retold.capture.interfaces), default=0)
    digits = len(str(len(frames)))
    for journey in retold.journeys:
        told = words(journey.frames[0].data, vxlan_ports=retold.vxlan_ports)
        yield [Span("  "), Span(told, "packet")]
        if retold.numbered:
            yield [Span("    "), Span(f"frame.packet_id == {journey.number}", "mark")]
        changes = {
            there: (here, fields) for (here, there), fields in rewrites(journey, vxlan_ports=retold.vxlan_ports).items()
        }
        for frame in journey.frames:
            after = (frame.time - began) / _SECOND
            yield [
                Span(f"    {frame.number:>{digits}}  +{after:.9f}  "),
                Span(f"{frame.interface!s:<{width}}", "path"),
                Span(f"  {frame.direction:<3}"),
            ]
            if frame.interface in changes:
                yield from _changed(*changes.pop(frame.interface), digits)
        yield []


def _changed(here: Interface, fields: Mapping[str, Change], digits: int) -> Iterator[Line]:
    for name, (before, after) in fields.items():
        if before is None:
            text = f"{name} {after}, which it had not"
        elif after is None:
            text = f"{name} {before} is gone"
        else:
            text = f"{name} {before} -> {after}"
        yield [Span(f"    {'':{digits}}    since {here}: "), Span(text, "answer")]
