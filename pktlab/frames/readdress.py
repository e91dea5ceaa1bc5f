"""MAC addresses of ready frames written anew, so that a capture of one network can be sent in another.

A switch throws nothing away that it could deliver, but a host takes only what bears its own MAC: frames of another
network arrive, and nobody takes them. See eth_type_trans() in net/ethernet/eth.c (PACKET_OTHERHOST).
"""

from __future__ import annotations

from collections.abc import Iterable

from pktlab.frames.headers import parse

_SENDER, _TARGET = 8, 18  # of the hardware addresses in an ARP header for Ethernet and IPv4, RFC 826


def readdressed(frames: Iterable[bytes], *, src: str = "", dst: str = "") -> list[bytes]:
    """Return frames with another source MAC, another destination MAC, or both; "" leaves one as it is.

    A destination that is a group's (broadcast, multicast) stays. In ARP the sender and the target are written anew as
    well, where they are the frame's own: an answer goes to the MAC in there. What is inside a tunnel stays.
    """
    source, destination = (bytes.fromhex(mac.replace(":", "")) for mac in (src, dst))
    return [_readdressed(frame, source, destination) for frame in frames]


def _readdressed(frame: bytes, source: bytes, destination: bytes) -> bytes:
    if len(frame) < 14:
        return frame
    out = bytearray(frame)
    arp = next(
        (header.offset for header in parse(frame, vxlan_ports=frozenset()).headers if header.protocol == "arp"), 0
    )
    if source:
        out[6:12] = source
        if arp and frame[arp + _SENDER : arp + _SENDER + 6] == frame[6:12]:
            out[arp + _SENDER : arp + _SENDER + 6] = source
    if destination and not frame[0] & 1:
        out[:6] = destination
        if arp and frame[arp + _TARGET : arp + _TARGET + 6] == frame[:6]:
            out[arp + _TARGET : arp + _TARGET + 6] = destination
    return bytes(out)
