"""What two captures have in common: kinds of packets, and the ways that packets of a kind went.

Two runs of an act are never the same bytes. What the kernel or a program draws anew each time is left out of a kind:
times, ports of clients, identifiers, sequence numbers, MACs and names that nobody declared, and how a stream of TCP
was cut into segments. Not compared at all is what keeps its own time: reports of multicast groups and the discovery of
routers and of duplicates (IGMP, MLD, RFC 4861, RFC 4862), and what closed sockets send after an act's last question.

A way is compared by the order in which each namespace saw the packet, which is that of the kernel's work; the branches
of a flood run through several namespaces at once, and which is ahead says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from pktlab.frame import Frame
from pktlab.frames.headers import parse
from pktlab.frames.journey import Journey
from pktlab.frames.path import path_of, short_names
from pktlab.frames.retold import Retold
from pktlab.frames.words import words

_DYNAMIC = 32768  # ip_local_port_range begins here
_PRIVILEGED = 1024  # no client's port is below
_SYN, _ACK = 2, 16
_ENDS = re.compile(r"(\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]*)\.(\d+)(?=[ :])|(?<=port )(\d+)(?= unreachable)")
_IDENT = re.compile(r"(?<=echo request), id \d+|(?<=echo reply), id \d+|(?<=\(frag )\d+:")
_TCP = re.compile(r"Flags \[([^]]*)\](, seq 0\b)?.*?(?= / |$)")
_MAC = re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b")
_DRAWN_NAME = re.compile(r"veth[0-9a-f]{8}")  # as the CNI plugins name the end in the host
_OWN_TIME = re.compile(r"ip-proto-2\b|multicast listener|router (?:solicitation|advertisement)|IP6 :: >")

# Of each namespace, the interfaces and directions in the order of first sighting.
Way = frozenset[tuple[str, tuple[tuple[str, str], ...]]]


@dataclass(slots=True)
class Ways:
    """The ways that packets of one kind went: how many went each, and how it is written."""

    count: dict[Way, int] = field(default_factory=dict)
    text: dict[Way, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of packet that went other ways in one capture than in the other, or more often; `a` and `b` have those
    ways that are not the other's, or with the count before them."""

    packet: str
    a: list[str]
    b: list[str]


def differences(a: Retold, b: Retold, *, count: bool = False) -> list[Difference]:
    """Return what is not the same in two captures, in the order of `a`, and then what only `b` has.

    With `count`, how many packets went each way counts as well, but for the segments of a stream.
    """
    one, other = kinds(a), kinds(b)
    out = []
    for packet in dict.fromkeys([*one, *other]):
        mine, theirs = one.get(packet, Ways()), other.get(packet, Ways())
        counted = count and not packet.endswith(_STREAM)
        only_a, only_b = list(_lacking(mine, theirs, counted)), list(_lacking(theirs, mine, counted))
        if sorted(only_a) == sorted(only_b):
            only_a, only_b = (
                [_in_full(way) for way in one.count if way not in two.count]
                for one, two in ((mine, theirs), (theirs, mine))
            )
        if only_a or only_b:
            out.append(Difference(packet, only_a, only_b))
    return out


def _lacking(mine: Ways, theirs: Ways, counted: bool) -> Iterator[str]:
    for way, number in mine.count.items():
        if way not in theirs.count:
            yield mine.text[way]
        elif counted and theirs.count[way] != number:
            yield f"{number} times: {mine.text[way]}"


def _in_full(way: Way) -> str:
    """Where and in which direction: for two ways whose interfaces alone read the same."""
    return "; ".join(
        " > ".join(f"{netns}/{name} {direction}" for name, direction in places) for netns, places in sorted(way)
    )


_STREAM = "TCP stream"


def kinds(retold: Retold) -> dict[str, Ways]:
    """Return the ways of each kind of packet, in the order of first sighting."""
    journeys = list(_compared(retold))
    drawn = _drawn_ports(journeys, retold.vxlan_ports)
    macs = {interface.mac for interface in retold.capture.interfaces}
    names = short_names(retold.capture.interfaces)
    found: dict[str, Ways] = {}
    known: dict[bytes, str] = {}
    for journey in journeys:
        data = journey.frames[0].data
        if data not in known:
            known[data] = _kind(words(data, vxlan_ports=retold.vxlan_ports), drawn, macs)
        if _OWN_TIME.search(known[data]):
            continue
        ways, way = found.setdefault(known[data], Ways()), _way(journey.frames)
        ways.count[way] = ways.count.get(way, 0) + 1
        text = " > ".join(_name(names.get(each, str(each))) for each in path_of(journey.frames))
        ways.text.setdefault(way, text)
    return found


def _compared(retold: Retold) -> Iterator[Journey]:
    last = max((each.frame for each in retold.questions), default=0) if retold.lab else 0
    return (each for each in retold.journeys if not last or each.frames[0].number <= last)


def _way(frames: Iterable[Frame]) -> Way:
    places: dict[str, dict[tuple[str, str], None]] = {}
    for frame in frames:
        places.setdefault(frame.interface.netns, {})[_name(frame.interface.name), frame.direction] = None
    return frozenset((netns, tuple(seen)) for netns, seen in places.items())


def _name(name: str) -> str:
    return _DRAWN_NAME.sub("veth*", name)


def _kind(text: str, drawn: Set[int], macs: Set[str]) -> str:
    """A packet's words without what is drawn anew in each run."""

    def port(match: re.Match[str]) -> str:
        number = int(match[2] or match[3])
        shown = "*" if number >= _DYNAMIC or number in drawn else str(number)
        return f"{match[1]}.{shown}" if match[1] else shown

    def segment(match: re.Match[str]) -> str:
        flags, refused = match[1], match[2] and "R" in match[1]
        if "S" in flags or refused:
            return f"Flags [{'S' if 'S' in flags else 'R'}{'.' if '.' in flags else ''}]"
        return _STREAM

    def mac(match: re.Match[str]) -> str:
        first = int(match[0][:2], 16)
        return "*" if match[0] not in macs and first & 2 and not first & 1 else match[0]

    return _MAC.sub(mac, _TCP.sub(segment, _IDENT.sub("", _ENDS.sub(port, text))))


def _drawn_ports(journeys: Iterable[Journey], vxlan_ports: frozenset[int]) -> set[int]:
    """The ports that a kernel or a program chose: of clients, and those that NAT gave them on the way."""
    drawn: set[int] = set()
    servers: set[int] = set()
    spoken: set[tuple[str, int]] = set()
    for journey in journeys:
        sources: set[int] = set()
        for data in dict.fromkeys(frame.data for frame in journey.frames):
            chain = parse(data, vxlan_ports=vxlan_ports)
            ip = chain.get("ip") or chain.get("ipv6")
            for protocol in ("tcp", "udp"):
                if ip is None or (header := chain.get(protocol)) is None:
                    continue
                source, destination = header[f"{protocol}.srcport"], header[f"{protocol}.dstport"]
                sources.add(source)
                spoken.add((str(ip.get("ip.src", ip.get("ipv6.src"))), source))
                if (str(ip.get("ip.dst", ip.get("ipv6.dst"))), destination) not in spoken:
                    servers.add(destination)
                if protocol == "tcp" and header["tcp.flags"] & (_SYN | _ACK) == _SYN:
                    drawn.add(source)
                if min(source, destination) < _PRIVILEGED:
                    drawn.add(max(source, destination))
        if len(sources) > 1:
            drawn |= sources - servers
    return {port for port in drawn if port >= _PRIVILEGED}
