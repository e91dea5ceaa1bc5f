"""Which sightings are of one packet: its journey.

A packet has no name of its own, so sightings are compared by two keys, made of the innermost packet:

- the *loose* key is what no router, NAT or tunnel changes: protocol, identification, fragment, payload;
- the *strict* key adds what only NAT changes: addresses, ports, the identifier of an ICMP query.

A frame belongs to the journey of its strict key that was extended last. Where there is none, a node may have
rewritten the packet between two of its interfaces: then it belongs to a journey of its loose key that came into the
frame's namespace. Whatever shows up again at the same place is another packet: ARP retries are byte-identical.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pktlab.frame import IN, OUT, Frame
from pktlab.frames.headers import ICMP_ERRORS, VXLAN_PORTS, Chain, Fields, Header, parse, parse_ipv4
from pktlab.interface import Interface

_Key = tuple[Any, ...]
_Place = tuple[Interface, str, tuple[str, ...]]
_REMEMBERED = 1 << 16  # so many different frames are kept read: what crosses a wire is seen again within a few
_SEARCHED = 1024  # so many journeys of one key are looked at, at most: a bound for a storm of identical frames


@dataclass(slots=True, eq=False)
class Journey:
    """One packet's way: its number (`Frame.packet` of its frames), and its sightings in true order."""

    number: int
    frames: list[Frame] = field(default_factory=list)


def follow(frames: Iterable[Frame], *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> list[Journey]:
    """Sort frames, which come in true order, into journeys, and number the packets from 1 by first sighting.

    Sets `Frame.packet`. Takes about the same time for each frame, however many there are.
    """
    follower = Follower(vxlan_ports=vxlan_ports)
    for frame in frames:
        follower.add(frame)
    return follower.journeys


class Follower:
    """Sorts frames into journeys one by one, in true order: what a frame belongs to hangs on no later one.

    `number` is that of the first packet. `journeys` has all packets so far, and with them every frame.
    """

    def __init__(self, *, vxlan_ports: frozenset[int] = VXLAN_PORTS, number: int = 1) -> None:
        self.journeys: list[Journey] = []
        self._vxlan_ports = vxlan_ports
        self._number = number
        self._same: dict[_Key, _Candidates] = {}  # strict key -> journeys
        self._near: dict[_Key, _Candidates] = {}  # (loose key, namespace) -> journeys seen there
        self._read: dict[bytes, _Keys] = {}

    def add(self, frame: Frame) -> Journey:
        """Return the journey that the frame belongs to, which it begins if there is none; sets `Frame.packet`."""
        same, near = self._same, self._near
        keys = self._read.get(frame.data)
        if keys is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            keys = self._read[frame.data] = _keys(parse(frame.data, vxlan_ports=self._vxlan_ports), frame.data)
        place = (frame.interface, frame.direction, keys.tunnels)
        strict = (keys.loose, keys.ends)
        here = (keys.loose, frame.interface.netns)
        way = None
        if group := same.get(strict):
            way = group.latest(place, frame, keys)
        if way is None and keys.ends and (group := near.get(here)):
            way = group.rewritten(place, frame, keys)
        if way is None:
            way = _Way(Journey(self._number + len(self.journeys)))
            self.journeys.append(way.journey)
        for index, key in ((same, strict), (near, here)) if keys.ends else ((same, strict),):
            group = index.get(key)
            if group is None:
                group = index[key] = _Candidates()
            group.add(way)
        way.extend(place, frame, keys)
        return way.journey


def loose_key(data: bytes, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> tuple[Any, ...]:
    """Return what all frames of a journey have in common; on frames with another, it does not depend."""
    return _keys(parse(data, vxlan_ports=vxlan_ports), data).loose


@dataclass(frozen=True, slots=True)
class _Keys:
    """What a frame is compared by. `ends` is empty where nothing on the way may change."""

    loose: _Key
    ends: tuple[Any, ...]  # source, its port, destination, its port, identifier
    tunnels: tuple[str, ...]  # the destinations of the tunnel headers around it, outermost first
    ttl: int


class _Way:
    """A journey in the making."""

    __slots__ = ("arrived", "groups", "journey", "keys", "last", "places")

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.places: dict[_Place, int] = {}  # where it was seen -> TTL there, at last
        self.arrived: dict[str, _Keys] = {}  # namespace -> what it was when it last came in
        self.groups: list[_Candidates] = []
        self.last: Frame
        self.keys: _Keys

    def extend(self, place: _Place, frame: Frame, keys: _Keys) -> None:
        self.journey.frames.append(frame)
        frame.packet = self.journey.number
        if place not in self.places:
            for group in self.groups:
                group.seen[place] = group.seen.get(place, 0) + 1
        self.places[place] = keys.ttl
        if frame.direction == IN:
            self.arrived[frame.interface.netns] = keys
        self.last, self.keys = frame, keys

    def repeats(self, place: _Place, frame: Frame, keys: _Keys) -> bool:
        """Whether this frame is another packet, since this one was at that place already.

        The exception is a routing loop, where the packet comes round with a lower TTL: in over the wire that it just
        left by, or out of the node that it just came into.
        """
        before = self.places.get(place)
        if before is None:
            return False
        if keys.ttl >= before:
            return True
        if frame.direction == IN:
            return self.last.direction != OUT or self.keys.ttl != keys.ttl
        return self.last.interface.netns != frame.interface.netns or self.keys.ttl != keys.ttl + 1

    def became(self, frame: Frame, keys: _Keys) -> bool:
        """Whether a node can have made this frame of this packet by rewriting addresses."""
        came = self.arrived.get(frame.interface.netns)
        if came is None:
            return False  # it never came in here, so the node sends one of its own
        if frame.direction == IN:
            # Come in twice, as one packet, it has only on a port and the bridge behind it: they share a timestamp, or
            # its MACs and its source, where the kernel translates between them (br_netfilter) and stamps it anew.
            kept = came.ends[:2] == keys.ends[:2] and self.last.data[:12] == frame.data[:12]
            return self.last.interface.netns == frame.interface.netns and (kept or self.last.time == frame.time)
        then, now = came.ends, keys.ends
        if then[4] is None and then[:2] == now[2:4]:
            return False  # it goes to where the packet came from: an answer with the same payload
        anew = then[0] != now[0] and then[2] != now[2] and keys.ttl >= came.ttl
        return not anew  # between two other hosts, and not a hop further: a program sends what it was sent


class _Candidates:
    """Journeys that share a key, the one that was extended last at the end."""

    __slots__ = ("seen", "ways")

    def __init__(self) -> None:
        self.ways: dict[_Way, None] = {}
        self.seen: dict[_Place, int] = {}  # place -> how many of the journeys were there

    def add(self, way: _Way) -> None:
        """Put a journey at the end, whether it was among them or not."""
        if way in self.ways:
            if way is next(reversed(self.ways)):
                return
            del self.ways[way]
        else:
            way.groups.append(self)
            for place in way.places:
                self.seen[place] = self.seen.get(place, 0) + 1
        self.ways[way] = None

    def open(self, place: _Place, frame: Frame, keys: _Keys) -> Iterator[_Way]:
        """The journeys that have not been at this place, the one that was extended last first."""
        everywhere = self.seen.get(place, 0) == len(self.ways)  # the common case: then only a loop can be open
        for way in islice(reversed(self.ways), 1 if everywhere else _SEARCHED):
            if not way.repeats(place, frame, keys):
                yield way

    def latest(self, place: _Place, frame: Frame, keys: _Keys) -> _Way | None:
        """The journey that was extended last, of those that have not been at this place."""
        return next(self.open(place, frame, keys), None)

    def rewritten(self, place: _Place, frame: Frame, keys: _Keys) -> _Way | None:
        """The journey that this frame's node rewrote: rather one that is in the node, and the most alike."""

        def likeness(way: _Way) -> tuple[bool, int]:
            alike = sum(one == other for one, other in zip(way.keys.ends, keys.ends, strict=True))
            return way.last.interface.netns == frame.interface.netns, alike

        ways = [way for way in self.open(place, frame, keys) if way.became(frame, keys)]
        return max(ways, key=likeness, default=None)


def _keys(chain: Chain, data: bytes) -> _Keys:
    packet = chain.innermost
    tunnels = tuple(
        str(h.fields.get("ip.dst", h.fields.get("ipv6.dst"))) for h in chain.headers if h.protocol in ("ip", "ipv6")
    )
    headers = {header.protocol: header for header in packet}
    if network := headers.get("ip") or headers.get("ipv6"):
        fields, protocol = network.fields, network.protocol
        ttl = fields["ip.ttl" if protocol == "ip" else "ipv6.hlim"]
        loose, (source_port, destination_port, ident) = _ip(headers, chain.payload)
        ends = (fields[f"{protocol}.src"], source_port, fields[f"{protocol}.dst"], destination_port, ident)
        return _Keys(loose, ends, tunnels[:-1], ttl)
    if arp := headers.get("arp"):
        return _Keys(("arp", data[arp.offset : arp.offset + 28]), (), tunnels, 0)
    if not packet:
        return _Keys(("", chain.payload), (), tunnels, 0)
    eth = packet[0].fields
    kind = packet[-1].fields.get("vlan.etype", eth.get("eth.type"))
    return _Keys(("eth", eth["eth.src"], eth["eth.dst"], kind, chain.payload), (), tunnels, 0)


def _ip(headers: dict[str, Header], payload: bytes) -> tuple[_Key, tuple[Any, Any, Any]]:
    """The loose key of an IP packet; and what more the strict one holds: ports, and identifier."""
    transport, ends = _transport(headers, payload)
    if ipv6 := headers.get("ipv6"):
        return (6, ipv6.fields["ipv6.nxt"], ipv6.fields["ipv6.plen"], *transport), ends
    ip: Fields = headers["ip"].fields
    length = ip["ip.len"] - ip["ip.hdr_len"]
    return (4, ip["ip.proto"], ip["ip.id"], ip["ip.frag_offset"], ip["ip.flags.mf"], length, *transport), ends


def _transport(headers: dict[str, Header], payload: bytes) -> tuple[_Key, tuple[Any, Any, Any]]:
    if udp := headers.get("udp"):
        return ("udp", payload), (udp.fields["udp.srcport"], udp.fields["udp.dstport"], None)
    if tcp := headers.get("tcp"):
        f = tcp.fields
        return ("tcp", f["tcp.seq"], f["tcp.ack"], f["tcp.flags"], payload), (f["tcp.srcport"], f["tcp.dstport"], None)
    if icmp := headers.get("icmp"):
        f = icmp.fields
        kind, code = f["icmp.type"], f["icmp.code"]
        if kind not in ICMP_ERRORS:
            return ("icmp", kind, code, f.get("icmp.seq"), payload), (None, None, f.get("icmp.ident", -1))
        return ("icmp", kind, code, f.get("icmp.mtu"), _quoted(payload)), (None, None, -1)
    if icmpv6 := headers.get("icmpv6"):
        f = icmpv6.fields
        rest = {name: value for name, value in f.items() if name != "icmpv6.checksum"}
        ident = rest.pop("icmpv6.echo.identifier", -1)
        return ("icmpv6", *rest.values(), payload), (None, None, ident)
    return ("", payload), (None, None, None)


def _quoted(datagram: bytes) -> _Key:
    """What NAT leaves alone of the datagram that an ICMP error quotes (RFC 5508 section 4.2)."""
    chain = parse_ipv4(datagram)
    headers = {header.protocol: header for header in chain.headers}
    if "ip" not in headers:
        return (datagram,)
    loose, _ = _ip(headers, chain.payload)
    if headers["ip"].fields["ip.proto"] == 6 and "tcp" not in headers:
        return (*loose[:-1], chain.payload[4:8])  # 8 bytes of TCP: the ports, which NAT changes, and the number
    return loose
