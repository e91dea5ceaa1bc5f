"""One captured frame: what was seen, where, in which direction, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pktlab.interface import Interface

IN = "in"
OUT = "out"


@dataclass(slots=True, eq=False)
class Frame:
    """A sighting of a packet on one interface.

    `number` counts from 1 in the true order of the act, and is the frame number in its pcapng. `time` is in
    nanoseconds since the epoch as the kernel stamped it. `direction` is ``"in"`` or ``"out"`` as seen from the
    interface's own namespace (PACKET_OUTGOING in packet(7)). `data` starts with the Ethernet header (of zeros
    where there is none, on lo and on a tun) and holds `length` bytes unless the frame was longer than was kept.
    `packet` is the number that all sightings of the same packet share (epb_packetid in the pcapng), 0 until it is
    known.
    """

    number: int
    time: int
    interface: Interface
    direction: str
    data: bytes
    length: int = 0
    packet: int = 0
    _dissected: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.length:
            self.length = len(self.data)

    def __bytes__(self) -> bytes:
        return self.data
