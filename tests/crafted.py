"""Frames crafted by Scapy for the tests of the pure layer; every address is written down, so no route is consulted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scapy.config import conf

conf.route_autoload = False
conf.route6_autoload = False

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6  # noqa: E402
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Packet  # noqa: E402

from pktlab.frame import Frame  # noqa: E402
from pktlab.interface import Interface  # noqa: E402

M1, M2, M3, M4 = (f"02:00:00:00:00:0{n}" for n in range(1, 5))
START = 1_700_000_000_123_456_789


def ether(src: str = M1, dst: str = M2) -> Packet:
    return Ether(src=src, dst=dst)


def ip(src: str = "10.0.0.1", dst: str = "10.0.0.2", **fields: Any) -> Packet:
    return IP(src=src, dst=dst, **fields)


def who_has(target: str = "192.168.3.102", tell: str = "192.168.3.101") -> Packet:
    return Ether(src=M1, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=M1, psrc=tell, pdst=target)


def is_at(address: str = "192.168.3.102", to: str = "192.168.3.101") -> Packet:
    return ether(M2, M1) / ARP(op=2, hwsrc=M2, psrc=address, hwdst=M1, pdst=to)


def vxlan(inner: Packet, *, vni: int = 42, src: str = "10.9.0.1", dst: str = "10.9.0.2", port: int = 4789) -> Packet:
    return ether(M3, M4) / ip(src, dst, id=99) / UDP(sport=39998, dport=port) / VXLAN(vni=vni, flags=8) / inner


def fragments(whole: Packet, size: int = 1480) -> list[Packet]:
    """The datagram in fragments of so many bytes behind their IP headers."""
    parts: list[Packet] = whole.fragment(size)
    return parts


def interface(name: str) -> Interface:
    """ "host/veth0" as an interface."""
    netns, _, bare = name.partition("/")
    return Interface(netns, bare)


def sightings(*seen: tuple[str, str, Packet | bytes] | tuple[str, str, Packet | bytes, int]) -> list[Frame]:
    """Frames of (interface, direction, packet), numbered from 1 and 1 us apart, or at the offset given in ns."""
    return [
        Frame(
            number,
            START + (entry[3] if len(entry) == 4 else number * 1000),
            interface(entry[0]),
            entry[1],
            bytes(entry[2]),
        )
        for number, entry in enumerate(seen, 1)
    ]


def packets(frames: Sequence[Frame]) -> list[int]:
    return [frame.packet for frame in frames]


__all__ = [
    "ARP",
    "ICMP",
    "IP",
    "M1",
    "M2",
    "M3",
    "M4",
    "START",
    "TCP",
    "UDP",
    "VXLAN",
    "Dot1Q",
    "Ether",
    "ICMPv6EchoRequest",
    "ICMPv6ND_NS",
    "IPv6",
    "Packet",
    "ether",
    "fragments",
    "interface",
    "ip",
    "is_at",
    "packets",
    "sightings",
    "vxlan",
    "who_has",
]
