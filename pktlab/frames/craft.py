"""Frames to send: what a lab wrote, turned into bytes.

Scapy would fill in a missing address by asking the machine's own routing table and ARP; here it is filled in from
the interface that the frame leaves by, or refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pktlab.errors import LabError, PatternError
from pktlab.frames import dissect, pcapng

BROADCAST = "ff:ff:ff:ff:ff:ff"
WHO_HAS = 1


def frames(what: Any, *, mac: str, ip: str) -> list[bytes]:
    """Return the bytes of each frame: `what` is a Scapy packet, bytes, a list of these, or the path of a pcap file.

    `mac` and `ip` are those of the sending interface (`ip` empty if it has none). Raises PatternError for a frame
    that lacks an address, and LabError for a file that is no pcap.
    """
    if isinstance(what, str | os.PathLike):
        return [data for _time, data in pcapng.read_packets(Path(what))]
    if isinstance(what, bytes | bytearray | memoryview):
        return [bytes(what)]
    if isinstance(what, Sequence) and not hasattr(what, "fields"):
        return [data for each in what for data in frames(each, mac=mac, ip=ip)]
    pattern = dissect.Pattern(what)
    return [bytes(_complete(each.copy(), mac, ip)) for each in pattern.packet]


def recorded(file: Any) -> tuple[list[int], list[bytes]]:
    """Return the times in nanoseconds and the bytes of the frames of a pcap or pcapng file, or of pairs of both.

    Raises LabError for anything else.
    """
    if isinstance(file, list) and file and all(isinstance(each, tuple) and len(each) == 2 for each in file):
        return [time for time, _data in file], [data for _time, data in file]
    if not isinstance(file, str | os.PathLike):
        raise LabError(
            f"only a capture file has times: {type(file).__name__} is none",
            remedy="give the path of a pcap or pcapng file, or leave out timing=True",
        )
    packets = pcapng.read_packets(Path(file))
    return [time for time, _data in packets], [data for _time, data in packets]


def _complete(packet: Any, mac: str, ip: str) -> Any:
    from scapy.layers.inet import IP
    from scapy.layers.l2 import ARP, Dot3, Ether
    from scapy.layers.vxlan import VXLAN

    first = packet
    if isinstance(packet, ARP):
        first = Ether() / packet
    elif not isinstance(packet, Ether | Dot3):
        raise PatternError(
            f"the frame begins with {packet.name}, not with Ethernet",
            remedy="put Ether(dst=<the MAC of the next hop>) / in front of it",
        )
    inside = False
    layer = first
    while layer:
        if isinstance(layer, VXLAN):
            inside = True
        elif isinstance(layer, Ether):
            _ethernet(layer, mac, inside)
        elif type(layer) is ARP and not inside:
            if "hwsrc" not in layer.fields:
                layer.hwsrc = mac
            if "psrc" not in layer.fields:
                layer.psrc = ip or "0.0.0.0"  # as an ARP probe does, RFC 5227
        elif type(layer) is IP:
            if "src" not in layer.fields and ip and not inside:
                layer.src = ip
            _require(layer, "src", "dst")
        layer = layer.payload
    return first


def _ethernet(layer: Any, mac: str, inside: bool) -> None:
    from scapy.layers.l2 import ARP

    arp = layer.payload
    if "dst" not in layer.fields and isinstance(arp, ARP):
        op = arp.getfieldval("op")
        if op == WHO_HAS:
            layer.dst = BROADCAST
        elif "hwdst" in arp.fields:
            layer.dst = arp.hwdst
    if "src" not in layer.fields and not inside:
        layer.src = mac
    _require(layer, "src", "dst")


def _require(layer: Any, *names: str) -> None:
    for name in names:
        if name not in layer.fields:
            raise PatternError(
                f"the frame's {layer.name} header has no {name}",
                remedy=f"write it: {type(layer).__name__}({name}=...); Scapy would ask the machine's own tables for it",
            )
