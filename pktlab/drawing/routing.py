"""The ways of wires between boxes in columns: along rows and, between two columns, in lanes of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pktlab.drawing.plan import Wire
from pktlab.interface import Interface

if TYPE_CHECKING:
    from pktlab.drawing.layout import Placed

_GAP = 6  # cells between two columns, at least
_LANE = 2  # cells between two lanes
_MARGIN = 2  # cells between a box and the nearest lane

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a wire: corners, the first and the last on the border of a box; `inner` within one box."""

    wire: Wire
    points: tuple[Point, ...]
    inner: bool = False

    def moved(self, x: int, y: int) -> Route:
        """Return the same way somewhere else."""
        return Route(self.wire, tuple((px + x, py + y) for px, py in self.points), self.inner)


@dataclass(slots=True)
class _Run:
    """A vertical piece in the gap right of a column: from which row to which, and in which lane."""

    gap: int
    start: int
    stop: int
    lane: int = 0

    @property
    def span(self) -> tuple[int, int]:
        return min(self.start, self.stop), max(self.start, self.stop)


def lanes(spans: Sequence[Sequence[int]]) -> list[int]:
    """Number a lane for each span of rows, such that none shares its lane with another that it touches, and each
    keeps outside of those before it that it touches."""
    found: list[int] = []
    for low, high in spans:
        touched = [lane for lane, (a, b) in zip(found, spans, strict=False) if low <= b and a <= high]
        found.append(1 + max(touched, default=-1))
    return found


def within(width: int, offsets: Mapping[Interface, Point], wires: Sequence[Wire]) -> list[Route]:
    """Return the ways of wires within one box `width` cells wide: out to the right, along, and back.

    `offsets` are the cells behind the text of each interface.
    """
    spans = [sorted(offsets[end][1] for end in wire.ends) for wire in wires]
    # A short wire lies within a long one.
    order = sorted(range(len(wires)), key=lambda at: (spans[at][1] - spans[at][0], spans[at]))
    numbers = lanes([spans[at] for at in order])
    most = max(numbers, default=0)
    found = []
    for at, lane in zip(order, numbers, strict=True):
        x = width - 3 - 2 * (most - lane)
        first, last = (offsets[end] for end in wires[at].ends)
        found.append(Route(wires[at], (first, (x, first[1]), (x, last[1]), last), inner=True))
    return found


def route(places: Mapping[str, Placed], wires: Sequence[Wire]) -> tuple[list[Route], int]:
    """Set the columns as far apart as their wires need; return the ways of the wires, and the width of it all."""
    columns = sorted({placed.column for placed in places.values()})
    bottom = max(placed.y + placed.height for placed in places.values())
    ends = [
        _from_left(_End(places[wire.ends[0].netns], wire.ends[0]), _End(places[wire.ends[1].netns], wire.ends[1]))
        for wire in wires
    ]
    runs: list[list[_Run]] = []
    tracks = 0
    for one, other in ends:
        gaps = _gaps(one.column, other.column)
        if len(gaps) == 1:
            runs.append([_Run(gaps[0], one.row, other.row)])
        else:
            track = bottom + tracks
            tracks += 1
            runs.append([_Run(gaps[0], one.row, track), _Run(gaps[1], track, other.row)])
    counts = {column: _number([run for pair in runs for run in pair if run.gap == column]) for column in columns}
    x = 0
    for column in columns:
        mine = [placed for placed in places.values() if placed.column == column]
        for placed in mine:
            placed.x = x
        x += mine[0].width + max(_GAP, 2 * _MARGIN + _LANE * counts[column])
    right = {column: next(p.x + p.width for p in places.values() if p.column == column) for column in columns}
    routes = []
    for wire, (one, other), pieces in zip(wires, ends, runs, strict=True):
        xs = [right[run.gap] + _MARGIN + _LANE * run.lane for run in pieces]
        points = [(one.border(pieces[0].gap), one.row)]
        for lane, run in zip(xs, pieces, strict=True):
            points += [(lane, run.start), (lane, run.stop)]
        points.append((other.border(pieces[-1].gap), other.row))
        routes.append(Route(wire, _straightened(points)))
    last = max(placed.x + placed.width for placed in places.values())
    return routes, max([last, *(px + 1 for each in routes for px, _ in each.points)])


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a wire: a row of a box."""

    placed: Placed
    interface: Interface

    @property
    def column(self) -> int:
        return self.placed.column

    @property
    def row(self) -> int:
        return self.placed.y + self.placed.offsets[self.interface]

    def border(self, gap: int) -> int:
        return self.placed.x + self.placed.width - 1 if gap == self.column else self.placed.x


def _from_left(one: _End, other: _End) -> tuple[_End, _End]:
    return (one, other) if one.column <= other.column else (other, one)


def _gaps(left: int, right: int) -> list[int]:
    """The gaps, each named by the column left of it, in which a wire changes its row."""
    if left == right:
        return [left if left <= 0 else left - 1]  # towards the middle
    return [left] if right - left == 1 else [left, right - 1]


def _number(runs: list[_Run]) -> int:
    """Give each vertical piece of a gap its lane; return how many there are.

    Among wires that leave one box and go up, the uppermost turns first, and of those that go down the lowest: so none
    crosses another.
    """
    down = sorted((run for run in runs if run.stop > run.start), key=lambda run: (-run.start, -run.stop))
    up = sorted((run for run in runs if run.stop < run.start), key=lambda run: (run.start, run.stop))
    ordered = up + down
    for run, lane in zip(ordered, lanes([run.span for run in ordered]), strict=True):
        run.lane = lane
    return 1 + max((run.lane for run in ordered), default=0)


def _straightened(points: Sequence[Point]) -> tuple[Point, ...]:
    """The corners alone: points that repeat, or lie on a straight line, say nothing."""
    kept: list[Point] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        kept.append(point)
    return tuple(kept)
