"""Frames of every kind that Scapy reads, well made and broken, and patterns that are nearly about them."""

from __future__ import annotations

from random import Random
from typing import Any

from crafted import ICMP, IP, M1, M2, M3, TCP, UDP, VXLAN, Dot1Q, Ether, ICMPv6EchoRequest, IPv6, Packet
from scapy.base_classes import Net
from scapy.fields import FlagValue
from scapy.layers.inet import (
    ICMPerror,
    IPerror,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    TCPerror,
    UDPerror,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, STP, Dot1AD, Dot3
from scapy.packet import Raw

OWN_PORT = 5555  # of a tunnel; to be bound
MACS = (M1, M2, M3, "ff:ff:ff:ff:ff:ff")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.3.102", "0.0.0.0")
ADDRESSES_6 = ("fe80::1", "fe80::2", "ff02::1")
PORTS = (53, 80, 40000, 4754, 4789, 4790, 8472, OWN_PORT)
LOADS = (b"", b"x", b"hello", b"hello, world", b"a" * 56, b"\x00" * 18, bytes(range(200)))


def frame(rng: Random) -> bytes:
    """A frame; one in two is broken in some way."""
    data = bytes(_link(rng, 0))
    match rng.choice(("whole", "whole", "whole", "padded", "trailed", "cut", "byte", "bytes", "garbage")):
        case "padded":
            data = data.ljust(60, b"\0")
        case "trailed":
            data += rng.randbytes(rng.randint(1, 9))
        case "cut":
            data = data[: rng.randint(0, len(data))]
        case "byte" | "bytes" as kind:
            broken = bytearray(data)
            for _ in range(1 if kind == "byte" else 4):
                # Headers rather than payload; small values, which lengths and types often have.
                at = rng.randrange(min(len(broken), rng.choice((20, 50, 100))))
                broken[at] = rng.choice((0, 1, 4, 5, 6, 8, 17, 41, 47, broken[at] ^ 1, rng.randrange(256)))
            data = bytes(broken)
        case "garbage":
            data = data[: rng.randint(12, 60)] + rng.randbytes(rng.randint(0, 60))
    return data


def _link(rng: Random, depth: int) -> Packet:
    if rng.random() < 0.04:
        snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP() / _network(rng, depth)
        return Dot3(src=M1, dst=M2) / rng.choice((snap, LLC() / STP(), Raw(b"ipx")))
    packet: Packet = Ether(src=rng.choice(MACS), dst=rng.choice(MACS))
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 3))):
        packet /= rng.choice((Dot1Q, Dot1AD))(vlan=rng.choice((1, 2, 300)), prio=rng.choice((0, 3)))
    packet /= _network(rng, depth)
    return packet


def _network(rng: Random, depth: int) -> Packet:
    kind = rng.choice(("arp", "ip", "ip", "ip", "ip", "ip", "ipv6", "raw"))
    if kind == "arp":
        arp = ARP(op=rng.choice((1, 2)), hwsrc=rng.choice(MACS), hwdst=rng.choice(MACS))
        arp.psrc, arp.pdst = rng.choice(ADDRESSES), rng.choice(ADDRESSES)
        return arp
    if kind == "raw":
        return Raw(rng.choice(LOADS) or b"-")
    if kind == "ipv6":
        above = rng.choice((_udp(rng, depth), TCP(sport=rng.choice(PORTS), dport=80), ICMPv6EchoRequest(id=3)))
        return IPv6(src=rng.choice(ADDRESSES_6), dst=rng.choice(ADDRESSES_6), hlim=rng.choice((1, 64))) / above
    return _ip(rng) / _transport(rng, depth)


def _ip(rng: Random, layer: type[Packet] = IP) -> Packet:
    record = IPOption_RR(routers=["0.0.0.0"] * 9, pointer=4)
    option = rng.choice((None, None, None, None, IPOption_NOP(), IPOption_Router_Alert(), record))
    options = [option] if option else []
    fields: dict[str, Any] = {"src": rng.choice(ADDRESSES), "dst": rng.choice(ADDRESSES), "options": options}
    fields |= {"ttl": rng.choice((1, 63, 64)), "id": rng.choice((0, 1, 2)), "tos": rng.choice((0, 4))}
    flags, frag = rng.choice(((0, 0), (2, 0), (2, 0), (1, 0), (1, 5), (0, 300)))
    return layer(flags=flags, frag=frag, **fields)


def _udp(rng: Random, depth: int) -> Packet:
    udp = UDP(sport=rng.choice(PORTS), dport=rng.choice(PORTS))
    if depth < 2 and rng.random() < 0.6:
        udp.dport = rng.choice((4789, 4789, 8472, OWN_PORT))
        flags = rng.choice((8, 8, 8, 8, 0x88, 0x0C, 0x8C, 0))
        return udp / VXLAN(vni=rng.choice((1, 42)), flags=flags) / _link(rng, depth + 1)
    return udp / Raw(rng.choice(LOADS))


def _transport(rng: Random, depth: int) -> Packet:
    load = rng.choice(LOADS)
    match rng.choice(("udp", "udp", "udp", "tcp", "tcp", "echo", "echo", "icmp", "error", "error", "ip", "gre", "raw")):
        case "udp":
            return _udp(rng, depth)
        case "tcp":
            stamps = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
            options = rng.choice(([], [], stamps, [("MSS", 1460)], [(29, b"ab")], [(29, b"")]))
            flags, seq = rng.choice(("S", "SA", "A", "FA")), rng.choice((0, 1, 70000))
            return TCP(sport=rng.choice(PORTS), dport=rng.choice(PORTS), flags=flags, seq=seq, options=options) / load
        case "echo":
            return ICMP(type=rng.choice((0, 8)), id=rng.choice((0, 7)), seq=rng.choice((0, 1, 2))) / load
        case "icmp":
            kinds = (3, 4, 5, 9, 11, 12, 13, 14, 17, 18, 37, 40)
            return ICMP(type=rng.choice(kinds), code=rng.choice((0, 1, 4))) / load
        case "error":
            quoted = bytes(_ip(rng) / _transport(rng, 1))[: rng.choice((20, 28, 28, 60, 128, 600))]
            error = ICMP(type=rng.choice((3, 5, 11, 12)), code=rng.choice((0, 1, 4)))
            return error / Raw(quoted + rng.choice((b"", b"", b"\x20\x00\x00\x00\x00\x08\x01\x01abcd")))
        case "ip":
            return _ip(rng) / rng.choice((ICMP(id=7), UDP(dport=53) / b"x"))
        case "gre":
            return GRE(proto=rng.choice((0x0800, 0x6558))) / rng.choice((_ip(rng) / ICMP(id=7), Ether() / ARP()))
    return Raw(load)


LAYERS = (Ether, Dot1Q, Dot1AD, ARP, IP, IPv6, ICMP, UDP, TCP, VXLAN, Raw, IPerror, ICMPerror, UDPerror, TCPerror)


def pattern(rng: Random, dissected: Packet) -> Packet:
    """A pattern with some of the layers and fields of a packet; one in two has something else in it."""
    layers = [layer.copy() for layer in _chain(dissected)]
    first = rng.randrange(len(layers))
    out: Packet | None = None
    wrong = rng.random() < 0.5
    for layer in layers[first : first + rng.choice((1, 1, 1, 2, 2, 3))]:
        kind = type(layer) if type(layer) in LAYERS or rng.random() < 0.5 else IP
        if wrong and rng.random() < 0.2:
            kind = rng.choice(LAYERS)
        part = kind()
        same = kind is type(layer)
        names = [each.name for each in kind.fields_desc if each.name not in ("options", "ext", "extpad", "unused")]
        chosen = rng.sample(names, min(len(names), rng.choice((0, 0, 1, 1, 2, 3))))
        for name in chosen:
            value = layer.getfieldval(name) if same else part.getfieldval(name)
            if isinstance(value, int | str | FlagValue) or name == "load":
                setattr(part, name, _other(rng, value) if wrong else _same(rng, value))
        out = part if out is None else out / part
    assert out is not None
    return out


def _chain(packet: Packet) -> list[Packet]:
    chain = []
    while packet:
        chain.append(packet)
        packet = packet.payload
    return chain


def _same(rng: Random, value: Any) -> Any:
    """The value, written in one of the ways that it can be."""
    if isinstance(value, FlagValue):
        return int(value)
    if isinstance(value, str) and value.count(".") == 3:
        return rng.choice((value, value, Net(f"{value}/24"), [value, "1.2.3.4"]))
    if isinstance(value, int):
        return rng.choice((value, value, value, (max(0, value - 3), value + 300), [value, value + 1]))
    return value.upper() if isinstance(value, str) and rng.random() < 0.3 else value


def _other(rng: Random, value: Any) -> Any:
    if rng.random() < 0.4:
        return _same(rng, value)
    if isinstance(value, FlagValue):
        return int(value) ^ 1
    if isinstance(value, str) and len(value) == 17 and value[2::3] == ":::::":
        return rng.choice(MACS)
    if isinstance(value, str) and value.count(".") == 3:
        return rng.choice((*ADDRESSES, Net("10.0.0.0/31")))
    if isinstance(value, str):
        return rng.choice(ADDRESSES_6) if ":" in value else value
    if isinstance(value, bytes):
        return rng.choice((value + b"x", value[:-1], value[1:]))
    return rng.choice((value ^ 1, value + 1, (value + 1, value + 9), [value + 1, 0], 0))
