"""Where a packet was seen, in which order, and what became of it on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pktlab.frame import IN, OUT, Frame
from pktlab.frames.headers import VXLAN_PORTS, Fields, Value, parse
from pktlab.frames.journey import Journey
from pktlab.frames.words import words
from pktlab.interface import Interface, shortest

Change = tuple[Value | None, Value | None]
_NOT_COMPARED = frozenset({"ip.checksum", "icmp.checksum", "icmpv6.checksum", "tcp.checksum", "udp.checksum"})


class Path(list[Interface]):
    """The interfaces in order of first sighting, each once; equal to a plain list of the same interfaces.

    `sightings` are all the frames that it was made of, in true order; `first` those that were the first on their
    interface, one a hop.
    """

    def __init__(self, sightings: Iterable[Frame] = ()) -> None:
        self.sightings: tuple[Frame, ...] = tuple(sightings)
        first: dict[Interface, Frame] = {}
        for frame in self.sightings:
            first.setdefault(frame.interface, frame)
        super().__init__(first)
        self.first: tuple[Frame, ...] = tuple(first.values())
        self.question = ""
        self.note = ""
        self.interfaces: tuple[Interface, ...] = ()

    @property
    def journeys(self) -> tuple[int, ...]:
        """The numbers of the packets, once they are known."""
        return tuple(dict.fromkeys(frame.packet for frame in self.sightings))

    def asked(self, question: str, interfaces: Iterable[Interface], *, note: str = "") -> None:
        """Note the pattern that this is the answer to, all interfaces that could have seen it, and what to add if it
        is not the path that was expected."""
        self.question = question
        self.note = note
        self.interfaces = tuple(interfaces)

    def __str__(self) -> str:
        names = short_names([*self.interfaces, *self])
        return " > ".join(names[interface] for interface in self)


def path_of(frames: Iterable[Frame], interfaces: Iterable[Interface] = ()) -> Path:
    """The path that frames, given in true order, make up: those of one journey, or of several that are one to see.

    `interfaces` are all that could have seen it; where one of them has the name of another, neither is told bare.
    """
    path = Path(frames)
    path.interfaces = tuple(interfaces)
    return path


def short_names(interfaces: Iterable[Interface]) -> dict[Interface, str]:
    """Each interface's bare name where no other of them has it ("veth0"), else its name in full ("host/veth0")."""
    named = dict.fromkeys(interfaces)
    short = shortest(map(str, named))
    return {each: short[str(each)] for each in named}


def first_difference(
    path: Path,
    expected: Sequence[Interface],
    interfaces: Sequence[Interface] = (),
    *,
    vxlan_ports: frozenset[int] = VXLAN_PORTS,
) -> str:
    """Why a path is not the expected one, in plain text of several lines; empty where it is.

    The first hop that differs; the frames seen there and one hop before, with their numbers in the pcapng and the
    time since the first sighting; and how often each of `interfaces` (those of the path and of `expected`, where none
    are given) saw the packet.
    """
    if path == list(expected):
        return ""
    common = 0
    while common < min(len(path), len(expected)) and path[common] == expected[common]:
        common += 1
    if not path:
        lines = [f"seen nowhere; expected {expected[0]} first"]
    elif common == len(path):
        lines = [f"the path ends after hop {common}; expected next {expected[common]}"]
    elif common == len(expected):
        lines = [f"hop {common + 1} was not expected: {path[common]}"]
    else:
        lines = [f"hop {common + 1} differs: expected {expected[common]}, seen {path[common]}"]
    shown = [(hop, path.first[hop]) for hop in (common - 1, common) if 0 <= hop < len(path)]
    rows = [
        (
            f"hop {hop + 1}",
            str(frame.interface),
            frame.direction,
            f"frame {frame.number}",
            f"+{(frame.time - path.first[0].time) / 1e9:.9f} s",
            words(frame.data, vxlan_ports=vxlan_ports),
        )
        for hop, frame in shown
    ]
    lines += ["", *_aligned(rows)] if rows else []
    return "\n".join([*lines, "", *_counts(path, interfaces or tuple(dict.fromkeys([*path, *expected])))])


def _counts(path: Path, interfaces: Iterable[Interface]) -> list[str]:
    rows = [("interface", "in", "out")]
    for interface in interfaces:
        directions = [frame.direction for frame in path.sightings if frame.interface == interface]
        rows.append((str(interface), str(directions.count(IN)), str(directions.count(OUT))))
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart; numbers to the right, as are their titles."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [all(cell.isdigit() for cell in column[1:]) and len(rows) > 2 for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def rewrites(
    journey: Journey, *, vxlan_ports: frozenset[int] = VXLAN_PORTS
) -> dict[tuple[Interface, Interface], dict[str, Change]]:
    """Which fields of a packet changed between which two interfaces: {(from, to): {"ip.ttl": (64, 63)}}.

    Compares the innermost packet, without its checksums. A tunnel header put on is ``"vxlan.vni": (None, 42)``, one
    taken off ``(42, None)``. None also stands for a field that the packet has on one side only.
    """
    found: dict[tuple[Interface, Interface], dict[str, Change]] = {}
    for position, frame in enumerate(journey.frames):
        origin = _origin(frame, journey.frames[:position])
        if origin is None:
            continue
        before = _compared(origin.data, vxlan_ports)
        after = _compared(frame.data, vxlan_ports)
        names = dict.fromkeys([*before, *after])
        changes = {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
        if changes:
            found.setdefault((origin.interface, frame.interface), {}).update(changes)
    return found


def _origin(frame: Frame, earlier: Sequence[Frame]) -> Frame | None:
    """The sighting that the node made this frame of; None where it only passed a wire or a bridge, or began."""
    place = (frame.interface, frame.direction)
    within = [f for f in earlier if f.interface.netns == frame.interface.netns and (f.interface, f.direction) != place]
    if not within:
        return None
    if frame.direction == OUT:
        return None if any(other.data == frame.data for other in within) else within[-1]
    # What comes in came over a wire, as it left the other end. But a bridge or a tunnel device takes in what a port
    # or a NIC of its node took in, with the same timestamp; where times are not the kernel's, the nearer one is meant.
    for other in reversed(within):
        if other.direction == IN and other.time == frame.time:
            return other
    nearest = next(other for other in reversed(earlier) if other is within[-1] or other.data == frame.data)
    return nearest if nearest is within[-1] else None


def _compared(data: bytes, vxlan_ports: frozenset[int]) -> Fields:
    chain = parse(data, vxlan_ports=vxlan_ports)
    fields: Fields = {}
    for header in chain.innermost:
        fields |= {name: value for name, value in header.fields.items() if name not in _NOT_COMPARED}
    for header in chain.headers:
        if header.protocol == "vxlan":
            fields["vxlan.vni"] = header.fields["vxlan.vni"]
    return fields
