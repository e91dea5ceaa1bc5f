"""Bytes of a frame, read into its chain of headers.

Fields bear the names of Wireshark's display filter, so what pktlab prints can be typed into Wireshark. The one
exception is ``ip.options``, which Wireshark splits into its parts. Values are numbers, MAC addresses in lower case
with colons, dotted IP addresses, and options as hexadecimal bytes with colons.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from struct import Struct
from typing import Any

Value = int | str
Fields = dict[str, Any]  # of Value: which of both hangs on the field's name, and that no type can say

VXLAN_PORTS = frozenset({4789, 8472})  # IANA's (RFC 7348), and Linux's from before there was one: flannel's to this day

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x86DD
ETHERTYPES_VLAN = frozenset({0x8100, 0x88A8, 0x9100})
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
ECHO_REPLY, UNREACHABLE, REDIRECT, ECHO_REQUEST, TIME_EXCEEDED, PARAMETER_PROBLEM = 0, 3, 5, 8, 11, 12
ICMP_ERRORS = frozenset({UNREACHABLE, 4, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM})  # those that quote a datagram

_ICMP_QUERIES = frozenset({0, 8, 13, 14, 15, 16, 17, 18})  # those with an identifier and a sequence number
_IPV6_SKIPPED = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options: all (next header, length) first
_ETHERNET, _VLAN = Struct("!6s6sH"), Struct("!HH")
_ARP, _ARP_ADDRESSES = Struct("!HHBBH"), Struct("!6s4s6s4s")
_IPV4, _IPV6 = Struct("!BBHHHBBH4s4s"), Struct("!IHBB16s16s")
_ICMP, _UDP, _TCP = Struct("!BBHHH"), Struct("!HHHH"), Struct("!HHIIHHHH")


@dataclass(frozen=True, slots=True)
class Header:
    """One header: its protocol as Wireshark abbreviates it, its offset in the frame, its fields."""

    protocol: str
    offset: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Chain:
    """The headers of a frame from the outermost inwards, and the bytes behind the last one that was understood.

    Padding behind the end that a length field names is no part of `payload`.
    """

    headers: tuple[Header, ...]
    payload: bytes

    @property
    def depth(self) -> int:
        """How many tunnels the innermost packet is in."""
        return sum(header.protocol == "vxlan" for header in self.headers)

    @property
    def innermost(self) -> tuple[Header, ...]:
        """The headers of the innermost packet: all of them, or those behind the last tunnel header."""
        for position in range(len(self.headers) - 1, -1, -1):
            if self.headers[position].protocol == "vxlan":
                return self.headers[position + 1 :]
        return self.headers

    def get(self, protocol: str) -> Fields | None:
        """The fields of the innermost packet's header of this protocol; None where it has none."""
        for header in self.innermost:
            if header.protocol == protocol:
                return header.fields
        return None


def parse(data: bytes, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> Chain:
    """Read a frame that starts with its Ethernet header.

    Never raises: where bytes are missing or make no sense, the chain ends and the rest is payload. A UDP datagram
    to one of `vxlan_ports` with a valid VXLAN header (RFC 7348 section 5) is followed into the frame that it carries.
    """
    headers: list[Header] = []
    start, end = _ethernet(data, 0, len(data), headers, vxlan_ports)
    return Chain(tuple(headers), data[start:end])


def parse_ipv4(data: bytes, *, vxlan_ports: frozenset[int] = frozenset()) -> Chain:
    """Read a datagram that starts with its IPv4 header, such as the one that an ICMP error quotes; never raises."""
    headers: list[Header] = []
    start, end = _ipv4(data, 0, len(data), headers, vxlan_ports)
    return Chain(tuple(headers), data[start:end])


# Each reader gets the bytes, where its header starts and where the packet ends, appends what it understands, and
# returns where the payload starts and ends.
_Span = tuple[int, int]


def _ethernet(data: bytes, at: int, end: int, headers: list[Header], ports: frozenset[int]) -> _Span:
    if end - at < 14:
        return at, end
    dst, src, ethertype = _ETHERNET.unpack_from(data, at)
    fields: Fields = {"eth.dst": dst.hex(":"), "eth.src": src.hex(":")}
    headers.append(Header("eth", at, fields))
    at += 14
    if ethertype < 0x600:  # IEEE 802.3: a length, and LLC behind it
        fields["eth.len"] = ethertype
        return at, min(end, at + ethertype)
    fields["eth.type"] = ethertype
    while ethertype in ETHERTYPES_VLAN:
        if end - at < 4:
            return at, end
        tci, ethertype = _VLAN.unpack_from(data, at)
        tag: Fields = {"vlan.priority": tci >> 13, "vlan.dei": tci >> 12 & 1, "vlan.id": tci & 0xFFF}
        tag["vlan.etype"] = ethertype
        headers.append(Header("vlan", at, tag))
        at += 4
    if ethertype == ETHERTYPE_IPV4:
        return _ipv4(data, at, end, headers, ports)
    if ethertype == ETHERTYPE_ARP:
        return _arp(data, at, end, headers)
    if ethertype == ETHERTYPE_IPV6:
        return _ipv6(data, at, end, headers, ports)
    return at, end


def _arp(data: bytes, at: int, end: int, headers: list[Header]) -> _Span:
    """RFC 826, for IPv4 over Ethernet only."""
    if end - at < 28:
        return at, end
    hardware, protocol, hardware_size, protocol_size, opcode = _ARP.unpack_from(data, at)
    if (protocol, hardware_size, protocol_size) != (ETHERTYPE_IPV4, 6, 4):
        return at, end
    sha, spa, tha, tpa = _ARP_ADDRESSES.unpack_from(data, at + 8)
    fields: Fields = {
        "arp.hw.type": hardware,
        "arp.opcode": opcode,
        "arp.src.hw_mac": sha.hex(":"),
        "arp.src.proto_ipv4": _dotted(spa),
        "arp.dst.hw_mac": tha.hex(":"),
        "arp.dst.proto_ipv4": _dotted(tpa),
    }
    headers.append(Header("arp", at, fields))
    return at + 28, at + 28


def _ipv4(data: bytes, at: int, end: int, headers: list[Header], ports: frozenset[int]) -> _Span:
    """RFC 791."""
    if end - at < 20:
        return at, end
    first, dsfield, total, ident, fragment, ttl, protocol, checksum, src, dst = _IPV4.unpack_from(data, at)
    size = (first & 15) * 4
    # A total length of 0 is a segmentation offload beyond 64 KiB: the datagram then ends where the frame does.
    if first >> 4 != 4 or size < 20 or size > end - at or 0 < total < size:
        return at, end
    offset = fragment & 0x1FFF
    more = fragment >> 13 & 1
    fields: Fields = {
        "ip.hdr_len": size,
        "ip.dsfield": dsfield,
        "ip.len": total,
        "ip.id": ident,
        "ip.flags.df": fragment >> 14 & 1,
        "ip.flags.mf": more,
        "ip.frag_offset": offset,  # in units of 8 bytes, as the header has it and as Wireshark filters it
        "ip.ttl": ttl,
        "ip.proto": protocol,
        "ip.checksum": checksum,
        "ip.src": _dotted(src),
        "ip.dst": _dotted(dst),
    }
    if size > 20:
        fields["ip.options"] = data[at + 20 : at + size].hex(":")
    headers.append(Header("ip", at, fields))
    if total:
        end = min(end, at + total)
    at += size
    if offset:
        return at, end
    if more:
        ports = frozenset()  # the first part of a datagram: the frame in the tunnel is not all there
    return _transport(protocol, data, at, end, headers, ports)


def _ipv6(data: bytes, at: int, end: int, headers: list[Header], ports: frozenset[int]) -> _Span:
    """RFC 8200; extension headers are passed over, and a fragment ends the chain."""
    if end - at < 40:
        return at, end
    first, length, protocol, hops, src, dst = _IPV6.unpack_from(data, at)
    if first >> 28 != 6:
        return at, end
    fields: Fields = {
        "ipv6.tclass": first >> 20 & 0xFF,
        "ipv6.flow": first & 0xFFFFF,
        "ipv6.plen": length,
        "ipv6.nxt": protocol,
        "ipv6.hlim": hops,
        "ipv6.src": str(IPv6Address(src)),
        "ipv6.dst": str(IPv6Address(dst)),
    }
    headers.append(Header("ipv6", at, fields))
    at += 40
    if length:  # 0 is a jumbogram or an offload beyond 64 KiB
        end = min(end, at + length)
    while protocol in _IPV6_SKIPPED:
        if end - at < 8 or (data[at + 1] + 1) * 8 > end - at:
            return at, end
        protocol, at = data[at], at + (data[at + 1] + 1) * 8
    return _transport(protocol, data, at, end, headers, ports)


def _transport(protocol: int, data: bytes, at: int, end: int, headers: list[Header], ports: frozenset[int]) -> _Span:
    if protocol == UDP:
        return _udp(data, at, end, headers, ports)
    if protocol == TCP:
        return _tcp(data, at, end, headers)
    if protocol == ICMP:
        return _icmp(data, at, end, headers)
    if protocol == ICMPV6:
        return _icmpv6(data, at, end, headers)
    return at, end


def _icmp(data: bytes, at: int, end: int, headers: list[Header]) -> _Span:
    """RFC 792; the mtu is RFC 1191's."""
    if end - at < 8:
        return at, end
    kind, code, checksum, high, low = _ICMP.unpack_from(data, at)
    fields: Fields = {"icmp.type": kind, "icmp.code": code, "icmp.checksum": checksum}
    if kind in _ICMP_QUERIES:
        fields |= {"icmp.ident": high, "icmp.seq": low}
    elif kind == UNREACHABLE and code == 4:
        fields["icmp.mtu"] = low
    elif kind == REDIRECT:
        fields["icmp.redir_gw"] = _dotted(data[at + 4 : at + 8])
    headers.append(Header("icmp", at, fields))
    return at + 8, end


def _icmpv6(data: bytes, at: int, end: int, headers: list[Header]) -> _Span:
    """RFC 4443; neighbour solicitation and advertisement are RFC 4861's."""
    if end - at < 8:
        return at, end
    kind, code, checksum, high, low = _ICMP.unpack_from(data, at)
    fields: Fields = {"icmpv6.type": kind, "icmpv6.code": code, "icmpv6.checksum": checksum}
    headers.append(Header("icmpv6", at, fields))
    if kind in (128, 129):
        fields |= {"icmpv6.echo.identifier": high, "icmpv6.echo.sequence_number": low}
    elif kind in (135, 136) and end - at >= 24:
        target = str(IPv6Address(data[at + 8 : at + 24]))
        fields["icmpv6.nd.ns.target_address" if kind == 135 else "icmpv6.nd.na.target_address"] = target
        return at + 24, end
    return at + 8, end


def _tcp(data: bytes, at: int, end: int, headers: list[Header]) -> _Span:
    """RFC 9293; sequence numbers are the ones in the packet (Wireshark shows relative ones unless told not to)."""
    if end - at < 20:
        return at, end
    source, destination, sequence, acknowledged, bits, window, checksum, urgent = _TCP.unpack_from(data, at)
    size = (bits >> 12) * 4
    if size < 20 or size > end - at:
        return at, end
    fields: Fields = {
        "tcp.srcport": source,
        "tcp.dstport": destination,
        "tcp.seq": sequence,
        "tcp.ack": acknowledged,
        "tcp.hdr_len": size,
        "tcp.flags": bits & 0xFFF,
        "tcp.window_size_value": window,
        "tcp.checksum": checksum,
        "tcp.urgent_pointer": urgent,
    }
    if size > 20:
        fields["tcp.options"] = data[at + 20 : at + size].hex(":")
    headers.append(Header("tcp", at, fields))
    return at + size, end


def _udp(data: bytes, at: int, end: int, headers: list[Header], ports: frozenset[int]) -> _Span:
    """RFC 768, and VXLAN in it."""
    if end - at < 8:
        return at, end
    source, destination, length, checksum = _UDP.unpack_from(data, at)
    fields: Fields = {
        "udp.srcport": source,
        "udp.dstport": destination,
        "udp.length": length,
        "udp.checksum": checksum,
    }
    headers.append(Header("udp", at, fields))
    if length >= 8:
        end = min(end, at + length)
    at += 8
    # Only the I bit must be set and the others "are reserved": the group policy extension uses some (section 5).
    if destination not in ports or end - at < 8 or not data[at] & 0x08:
        return at, end
    tunnel: Fields = {
        "vxlan.flags": data[at] << 8 | data[at + 1],
        "vxlan.vni": int.from_bytes(data[at + 4 : at + 7], "big"),
    }
    headers.append(Header("vxlan", at, tunnel))
    return _ethernet(data, at + 8, end, headers, ports)


def _dotted(address: bytes) -> str:
    return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}"
