"""An act as a ladder: interfaces side by side, and below them each packet's way from one to the next.

Made of what the record of the act and its capture say. A ladder has a bound, since nobody reads a flood to its end:
packets that the act asked about come first, and how many are left out is said where they are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pktlab.act import ActRecord, Packet
from pktlab.frame import IN, OUT, Frame
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Journey
from pktlab.frames.path import Change, rewrites
from pktlab.interface import Interface
from pktlab.transcript import answer_words, names, packet_words, shorten

PACKETS, SIGHTINGS, QUESTIONS = 40, 40, 200


@dataclass(frozen=True, slots=True)
class Hop:
    """A sighting: `origin` is the position of the one that it came from, None where the packet began.

    `last` tells that nothing came of it: the packet stops here, or this copy of it does. `changes` are the fields
    that were rewritten since, by Wireshark's names. `unseen` tells that between the two lies something that is no
    interface, such as a program behind a tun.
    """

    frame: Frame
    origin: int | None = None
    last: bool = False
    unseen: bool = False
    changes: tuple[tuple[str, Change], ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """One packet. `times` is more than 1 where the same happened again and again; `hidden` sightings are left out."""

    packet: Packet
    words: str
    path: str
    hops: tuple[Hop, ...] = ()
    times: int = 1
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its answer, line by line."""

    question: str
    answer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """So many packets, and so many questions, are left out here."""

    packets: int = 0
    questions: int = 0


@dataclass(slots=True)
class Ladder:
    """The interfaces that saw anything, from left to right, and what happened, from top to bottom."""

    columns: list[Interface] = field(default_factory=list)
    events: list[Lane | Asked | Gap] = field(default_factory=list)
    untold: int = 0

    @property
    def lanes(self) -> list[Lane]:
        """The packets alone."""
        return [event for event in self.events if isinstance(event, Lane)]


def ladder(
    record: ActRecord,
    frames: Iterable[Frame],
    *,
    order: Sequence[Interface] = (),
    peers: Mapping[Interface, Interface] | None = None,
    vxlan_ports: frozenset[int] = VXLAN_PORTS,
) -> Ladder:
    """Put an act in the shape of a ladder; `frames` are those of its capture, `order` is that of the declared
    interfaces, `peers` the other end of each declared veth."""
    short = names(record)
    shown = _chosen(record)
    ways: dict[int, list[Frame]] = {record.packets[index].number: [] for index in shown}
    for frame in frames:  # of a flood only what is drawn is kept
        way = ways.get(frame.packet)
        if way is not None and len(way) < SIGHTINGS:
            way.append(frame)
    found = Ladder(untold=record.untold)
    questions = 0
    for kind, index in record.story or _in_a_row(record):
        if kind == "observation":
            questions += 1
            asked = record.observations[index]
            lines = answer_words(asked, short).splitlines() or [""]
            _append(found, Asked(shorten(asked.question, short), tuple(lines)) if questions <= QUESTIONS else Gap(0, 1))
        elif index not in shown:
            _append(found, Gap(1))
        else:
            packet = record.packets[index]
            path = " > ".join(short.get(name, name) for name in packet.path)
            seen = ways[packet.number]
            hidden = len(packet.frames) - len(seen) if seen else 0
            hops = _hops(Journey(packet.number, seen), peers or {}, vxlan_ports, whole=not hidden)
            _append(found, Lane(packet, packet_words(packet), path, hops, hidden=hidden))
    seen_by = [hop.frame.interface for lane in found.lanes for hop in lane.hops]
    found.columns = _columns(seen_by, found.lanes, order)
    return found


def _in_a_row(record: ActRecord) -> list[tuple[str, int]]:
    packets = [("packet", index) for index in range(len(record.packets))]
    return [*packets, *(("observation", index) for index in range(len(record.observations)))]


def _chosen(record: ActRecord) -> set[int]:
    """Which packets are shown: rather those that the act asked about, rather the earlier ones."""
    asked = set(record.evidence)
    order = sorted(range(len(record.packets)), key=lambda at: (asked.isdisjoint(record.packets[at].frames), at))
    return set(order[:PACKETS])


def _append(found: Ladder, event: Lane | Asked | Gap) -> None:
    """Add an event; what is left out in a row, or is the same as before, becomes one."""
    last = found.events[-1] if found.events else None
    if isinstance(last, Gap) and isinstance(event, Gap):
        found.events[-1] = Gap(last.packets + event.packets, last.questions + event.questions)
    elif isinstance(last, Lane) and isinstance(event, Lane) and _shape(last) == _shape(event):
        found.events[-1] = replace(last, times=last.times + 1)
    else:
        found.events.append(event)


def _shape(lane: Lane) -> object:
    hops = [(hop.frame.interface, hop.frame.direction, hop.origin, hop.changes) for hop in lane.hops]
    return lane.words, lane.path, hops


def _hops(
    journey: Journey, peers: Mapping[Interface, Interface], vxlan_ports: frozenset[int], *, whole: bool
) -> tuple[Hop, ...]:
    frames = journey.frames
    origins: list[int | None] = []
    for at in range(len(frames)):
        origins.append(_origin(frames, at, peers, origins))
    went_on = {origin for origin in origins if origin is not None}
    changes: dict[int, list[tuple[str, Change]]] = {}
    for (before, after), fields in rewrites(journey, vxlan_ports=vxlan_ports).items():
        there = [at for at, _ in enumerate(origins) if frames[at].interface == after]
        here = [at for at in there if (came := origins[at]) is not None and frames[came].interface == before] or there
        if here:
            changes.setdefault(here[0], []).extend(fields.items())
    return tuple(
        Hop(frames[at], origin, whole and at not in went_on, _unseen(frames, at, origin), tuple(changes.get(at, ())))
        for at, origin in enumerate(origins)
    )


def _origin(
    frames: Sequence[Frame], at: int, peers: Mapping[Interface, Interface], origins: Sequence[int | None]
) -> int | None:
    """Which earlier sighting this one came from, given `origins` of those; None where it is the first, or nobody can
    tell."""
    frame = frames[at]
    earlier = range(at)
    here = [n for n in earlier if frames[n].interface.netns == frame.interface.netns]
    if frame.direction == OUT:
        # What a bridge sends came from the first that had the same bytes; what was rewritten, from the last.
        same = [n for n in here if frames[n].data == frame.data]
        if same:
            first = frames[same[0]]
            # Two ports that send the same have it from one that this packet's frames do not show.
            ports = first.direction == OUT and first.interface.kind == frame.interface.kind != ""
            return None if ports else same[0]
        return here[-1] if here else None
    behind = [n for n in here if frames[n].direction == IN and frames[n].time == frame.time]
    if behind:
        return behind[-1]  # a bridge behind its port, a tunnel's device behind the NIC
    sent = [n for n in earlier if frames[n].direction == OUT and frames[n].data == frame.data]
    other = peers.get(frame.interface)
    over_wire = [n for n in sent if frames[n].interface == other]
    if over_wire:
        return over_wire[-1]
    # Of a wire that was made or moved while the act ran nobody says where it leads: the first that nothing came of as
    # yet, and whose declared other end this packet did not pass.
    passed = {each.interface for each in frames}
    came = {origins[n] for n in earlier if frames[n].direction == IN}
    waiting = [n for n in sent if n not in came and peers.get(frames[n].interface) not in passed]
    waiting.sort(key=lambda n: frames[n].interface in peers)
    if waiting or here:
        return waiting[0] if waiting else here[-1]
    # It has come through a program, which changes it as a router does: from where it was last sent.
    lost = [n for n in earlier if frames[n].direction == OUT and n not in origins]
    return lost[-1] if lost else None


def _unseen(frames: Sequence[Frame], at: int, origin: int | None) -> bool:
    if origin is None:
        return False
    here, there = frames[origin], frames[at]
    return here.interface.netns != there.interface.netns and here.data != there.data


def _columns(seen: Iterable[Interface], lanes: Sequence[Lane], order: Sequence[Interface]) -> list[Interface]:
    """The interfaces that saw anything: those declared in their order, each other one behind what it came from."""
    wanted = dict.fromkeys(seen)
    columns = [each for each in order if each in wanted]
    for lane in lanes:
        for hop in lane.hops:
            interface = hop.frame.interface
            if interface in columns:
                continue
            mine = [at for at, each in enumerate(columns) if each.netns == interface.netns]
            origin = lane.hops[hop.origin].frame.interface if hop.origin is not None else None
            if mine:
                near = columns.index(origin) if origin in columns and columns.index(origin) in mine else mine[-1]
                columns.insert(near + 1, interface)
            else:
                columns.append(interface)
    return columns
