"""What a picture of a topology shows: namespaces as boxes, their interfaces as rows, what joins them as wires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pktlab.interface import Interface
from pktlab.topology import Topology
from pktlab.topology.settings import Address, Bridge, FdbEntry, Link, Macvlan, Port, Tap, Tun, Up, Veth, Vxlan

VETH, TUNNEL = "veth", "tunnel"


@dataclass(frozen=True, slots=True)
class Row:
    """An interface: `depth` is 1 below the bridge that it is a port of, or below the interface that it stands on.

    `over` is the interface above it, `kind` iproute2's word, `notes` what else is to be said.
    """

    interface: Interface
    kind: str
    addresses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    depth: int = 0
    over: Interface | None = None

    @property
    def name(self) -> str:
        """The interface's own name."""
        return self.interface.name

    @property
    def lines(self) -> tuple[str, ...]:
        """What stands beside the name, line by line: notes, then addresses, one a line behind the first."""
        first, *rest = self.addresses or ("",)
        return ("  ".join(filter(None, (*self.notes, first))), *rest)


@dataclass(slots=True)
class Box:
    """A namespace and its interfaces, from top to bottom."""

    name: str
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wire:
    """What joins two interfaces: a veth pair, or a tunnel between two devices of one kind; `label` says which."""

    ends: tuple[Interface, Interface]
    kind: str = VETH
    label: str = ""


@dataclass(slots=True)
class Plan:
    """All of a picture, before anything has a place."""

    boxes: list[Box]
    wires: list[Wire]

    @property
    def rows(self) -> dict[Interface, Row]:
        """Every row, by its interface."""
        return {row.interface: row for box in self.boxes for row in box.rows}


def plan(topology: Topology) -> Plan:
    """Return what a picture of this topology shows, in the order of declaration."""
    rows = _rows(topology)
    boxes = [
        Box(name, list(_ordered([row for row in rows if row.interface.netns == name]))) for name in topology.namespaces
    ]
    known = {row.interface for row in rows}
    wires = [Wire((s.device, s.peer)) for s in topology.settings if isinstance(s, Veth)]
    return Plan(boxes, [wire for wire in [*wires, *_tunnels(topology)] if known.issuperset(wire.ends)])


def _rows(topology: Topology) -> list[Row]:
    settings = topology.settings
    up = {s.device for s in settings if isinstance(s, Up)}
    bridges: dict[Interface, Interface] = {s.device: s.bridge for s in settings if isinstance(s, Port)}
    addresses: dict[Interface, list[str]] = {}
    for setting in settings:
        if isinstance(setting, Address):
            addresses.setdefault(setting.device, []).append(setting.address)
    links = {device: s for s in settings if isinstance(s, Link) for device in s.creates}
    rows = []
    for device in topology.devices:
        if device.kind == "loopback":
            # Every namespace has one; it is worth a line where something is said of it.
            if device not in addresses and device in up:
                continue
        elif device not in links:
            continue
        link = links.get(device)
        over = bridges.get(device) or (link.link if isinstance(link, Macvlan) else None)
        notes = [*_notes(link), *([] if device in up else ["down"])]
        rows.append(
            Row(device, device.kind, tuple(addresses.get(device, ())), tuple(notes), int(over is not None), over)
        )
    return rows


def _notes(link: Link | None) -> Iterator[str]:
    if isinstance(link, Bridge):
        yield "bridge"
    elif isinstance(link, Vxlan):
        yield f"vxlan {link.id}"
    elif isinstance(link, Macvlan):
        yield f"macvlan {link.mode}"
    elif isinstance(link, Tap):
        yield "tap"
    elif isinstance(link, Tun):
        yield "tun"


def _ordered(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as declared, but each below the one that it belongs to."""
    rows = list(rows)
    below: dict[Interface | None, list[Row]] = {}
    present = {row.interface for row in rows}
    for row in rows:
        below.setdefault(row.over if row.over in present else None, []).append(row)

    def descend(over: Interface | None, depth: int) -> Iterator[Row]:
        for row in below.get(over, ()):
            yield Row(row.interface, row.kind, row.addresses, row.notes, depth, row.over)
            yield from descend(row.interface, depth + 1)

    return descend(None, 0)


def _tunnels(topology: Topology) -> Iterator[Wire]:
    """A wire for each two VXLAN devices of one VNI of which one sends to an address of the other's namespace."""
    owners: dict[str, set[str]] = {}
    for setting in topology.settings:
        if isinstance(setting, Address):
            owners.setdefault(setting.ip, set()).add(setting.netns)
    devices = [s for s in topology.settings if isinstance(s, Vxlan)]
    sent: dict[Interface, set[str]] = {s.device: {s.remote} if s.remote else set() for s in devices}
    for setting in topology.settings:
        if isinstance(setting, FdbEntry) and setting.dst and setting.device in sent:
            sent[setting.device].add(setting.dst)
    for number, one in enumerate(devices):
        for other in devices[number + 1 :]:
            if one.id != other.id or one.netns == other.netns:
                continue
            for near, far in ((one, other), (other, one)):
                if any(far.netns in owners.get(address, ()) for address in sent[near.device]):
                    yield Wire((one.device, other.device), TUNNEL, f"vxlan {one.id}")
                    break


def printable(text: str) -> str:
    """Return a text without what no page may hold: control characters, and halves of characters."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
