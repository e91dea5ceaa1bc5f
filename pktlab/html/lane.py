"""The parts of a ladder as SVG: the heads of its columns, and one packet's way below them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree

from pktlab.drawing.plan import printable
from pktlab.frame import OUT
from pktlab.frames.path import Change
from pktlab.html.ladder import Hop, Lane
from pktlab.interface import Interface

# Pixels.
_SIDE, _BETWEEN, _CHARACTER, _SMALL = 64, 16, 7.3, 6.8
_NARROW, _WIDE, _FEW = 62, 90, 8  # of a column, at least; with few columns there is room
_HEAD, _STEP, _TEXT, _TOP = 48, 20, 14, 13
_LINES = 8  # of rewritten fields, at most
_ARROW, _DOT = 7.0, 4.5


@dataclass(frozen=True, slots=True)
class Columns:
    """The interfaces with the middle of each column; `bands` are the namespaces with their left and right edges."""

    places: dict[Interface, float]
    bands: tuple[tuple[str, float, float], ...]
    width: float


def columns(interfaces: Sequence[Interface], lanes: Iterable[Lane] = ()) -> Columns:
    """Give each interface its place, with room between namespaces, and on both sides for what `lanes` write there."""
    narrow = _columns(interfaces, _SIDE, _SIDE)
    left = right = float(_SIDE)
    for drawn in lanes:
        places = [narrow.places[hop.frame.interface] for hop in drawn.hops]
        for at, hop in enumerate(drawn.hops):
            # Where a packet turns back, its arrows take one side, and the text needs the other.
            onward = [places[n] for n, each in enumerate(drawn.hops) if each.origin == at]
            if hop.changes and hop.origin is not None and onward:
                x, room = places[at], _room(_changed(hop.changes))
                if min(places[hop.origin], *onward) > x:
                    left = max(left, _SIDE + room - x + 1)
                elif max(places[hop.origin], *onward) < x:
                    right = max(right, _SIDE + x + room - narrow.width + 1)
    return _columns(interfaces, left, right)


def _columns(interfaces: Sequence[Interface], begin: float, behind: float) -> Columns:
    places: dict[Interface, float] = {}
    bands = []
    x = begin
    least = _WIDE if len(interfaces) <= _FEW else _NARROW
    for netns, group in groupby(interfaces, key=lambda each: each.netns):
        left = x
        for interface in group:
            width = max(least, len(interface.name) * _CHARACTER + 14)
            places[interface] = x + width / 2
            x += width
        x = max(x, left + len(netns) * _CHARACTER + 14)
        bands.append((netns, left, x))
        x += _BETWEEN
    return Columns(places, tuple(bands), x - _BETWEEN + behind if bands else begin + behind)


def head(columns: Columns) -> str:
    """Draw the names of namespaces and interfaces."""
    root = _svg(columns, _HEAD, "heads")
    for netns, left, right in columns.bands:
        _add(root, "rect", "band", x=_n(left), y="5", width=_n(right - left), height="19", rx="5")
        _add(root, "text", "netns", text=netns, x=_n((left + right) / 2), y="18.5")
    for interface, x in columns.places.items():
        _add(root, "text", "name", text=interface.name, x=_n(x), y="40")
    return ElementTree.tostring(root, encoding="unicode")


def lane(drawn: Lane, columns: Columns, *, stops: str = "stops") -> str:
    """Draw the way of one packet, from top to bottom; `stops` is the word for where it was seen last."""
    places = [columns.places[hop.frame.interface] for hop in drawn.hops]
    came = [places[hop.origin] if hop.origin is not None else x for hop, x in zip(drawn.hops, places, strict=True)]
    notes = [
        _note(hop.changes, x, other, columns.width) for hop, x, other in zip(drawn.hops, places, came, strict=True)
    ]
    rows: list[float] = []
    y: float = _TOP
    for note in notes:
        room = len(note.lines) * _TEXT
        y += room if note.above else 0
        rows.append(y)
        y += _STEP if note.above else max(_STEP, room + _TOP)
    height = y - _STEP + _TOP
    root = _svg(columns, height, "way")
    _add(root, "title", text=f"{drawn.words}: {drawn.path}")
    for _, left, right in columns.bands:
        _add(root, "rect", "ground", x=_n(left), y="0", width=_n(right - left), height=_n(height))
    for x in columns.places.values():
        _add(root, "path", "line", d=f"M{_n(x)} 0V{_n(height)}")
    points = list(zip(places, rows, strict=True))
    for hop, point in zip(drawn.hops, points, strict=True):
        if hop.origin is not None:
            kind = " changed" if hop.changes else " unseen" if hop.unseen else ""
            _arrow(root, points[hop.origin], point, f"arrow{kind}")
    for hop, (x, row), other, note in zip(drawn.hops, points, came, notes, strict=True):
        _mark(root, hop, x, row, other if hop.origin is not None else x - 1, stops)
        first = row - _TEXT * len(note.lines) + 4 if note.above else row + _TEXT
        for number, text in enumerate(note.lines):
            level = _n(first + number * _TEXT)
            _add(root, "text", f"change {note.side}", text=text, x=_n(note.x), y=level)
    return ElementTree.tostring(root, encoding="unicode")


@dataclass(frozen=True, slots=True)
class _Note:
    """The rewritten fields beside a sighting: `side` is where the text's own beginning or end is."""

    lines: list[str]
    side: str
    x: float
    above: bool


def _note(changes: Sequence[tuple[str, Change]], x: float, came_from: float, width: float) -> _Note:
    """Put a text where no arrow is: above, on the other side than the packet came from, or, where that has no room,
    below and on that side."""
    lines = _changed(changes)
    room = _room(lines)
    side = "end" if came_from > x else "begin"
    above = x + room < width if side == "begin" else x > room
    if not above:
        side = "begin" if side == "end" else "end"
    return _Note(lines, side, x + (5 if side == "begin" else -5), above)


def _room(lines: Sequence[str]) -> float:
    return max(map(len, lines), default=0) * _SMALL + 6


def _changed(changes: Sequence[tuple[str, Change]]) -> list[str]:
    """The rewritten fields as lines, those of Ethernet last: every router changes them."""
    ordered = sorted(changes, key=lambda change: change[0].startswith("eth."))
    lines = [f"{name} {_value(before)} \N{RIGHTWARDS ARROW} {_value(after)}" for name, (before, after) in ordered]
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [f"and {len(lines) - _LINES + 1} more"]
    return lines


def _value(value: object) -> str:
    return "none" if value is None else str(value)


def _arrow(root: ElementTree.Element, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
    (x1, y1), (x2, y2) = start, end
    if x1 == x2:  # the same interface again: round to the right of it
        right = x1 + 22
        _add(
            root, "path", kind, d=f"M{_n(x1)} {_n(y1)}C{_n(right)} {_n(y1)} {_n(right)} {_n(y2)} {_n(x2 + 8)} {_n(y2)}"
        )
        points = [(x2 + _DOT + 1, y2), (x2 + _DOT + 1 + _ARROW, y2 - 4), (x2 + _DOT + 1 + _ARROW, y2 + 4)]
    else:
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        dx, dy = (x2 - x1) / length, (y2 - y1) / length
        tip = (x2 - dx * (_DOT + 1), y2 - dy * (_DOT + 1))
        back = (tip[0] - dx * _ARROW, tip[1] - dy * _ARROW)
        points = [tip, (back[0] - dy * 4, back[1] + dx * 4), (back[0] + dy * 4, back[1] - dx * 4)]
        _add(root, "path", kind, d=f"M{_n(x1)} {_n(y1)}L{_n(back[0])} {_n(back[1])}")
    _add(root, "path", f"{kind} tip", d="M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + "Z")


def _mark(root: ElementTree.Element, hop: Hop, x: float, y: float, came_from: float, stops: str) -> None:
    frame = hop.frame
    kind = "out" if frame.direction == OUT else "in"
    group = _add(root, "g")
    words = f"frame {frame.number}: {frame.interface} {frame.direction}, {frame.length} bytes"
    _add(group, "title", text=words + (", stops here" if hop.last else ""))
    if not hop.last:
        _add(group, "circle", f"sighting {kind}", cx=_n(x), cy=_n(y), r=_n(_DOT))
        return
    _add(group, "rect", f"stop {kind}", x=_n(x - 5), y=_n(y - 5), width="10", height="10")
    left = came_from >= x  # on the side from which no arrow comes
    _add(group, "text", f"stops {'end' if left else 'begin'}", text=stops, x=_n(x + (-9 if left else 9)), y=_n(y + 4))


def _svg(columns: Columns, height: float, kind: str) -> ElementTree.Element:
    size = {"width": _n(columns.width), "height": _n(height), "viewBox": f"0 0 {_n(columns.width)} {_n(height)}"}
    more = {"aria-hidden": "true"} if kind == "heads" else {"role": "img"}
    return ElementTree.Element("svg", {"class": kind} | size | more)


def _add(
    parent: ElementTree.Element, tag: str, kind: str = "", *, text: str = "", **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, ({"class": kind} if kind else {}) | attributes)
    element.text = printable(text) or None
    return element


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
