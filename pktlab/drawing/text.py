"""A picture for a terminal, in plain ASCII: drawn where it fits, else told box by box."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pktlab.drawing.layout import Layout, cells, layout, reaches
from pktlab.drawing.plan import TUNNEL, VETH, Plan, Row, Wire, printable
from pktlab.drawing.routing import Route
from pktlab.interface import Interface

_GAP = "  "
_FLAT = {VETH: "=", TUNNEL: "."}
_UPRIGHT = {VETH: "|", TUNNEL: ":"}


def text(plan: Plan, *, width: int = 80) -> str:
    """Draw a plan in at most `width` columns, with the middle of the network in the middle or on the left; where
    both are too wide, name at each interface what it is joined to."""
    for two_sided in (True, False):
        placed = layout(plan, two_sided=two_sided)
        if placed.width <= width:
            return "".join(printable(line) + "\n" for line in str(_drawn(placed)).splitlines())
    return "\n".join(map(printable, _told(plan, width))) + "\n"


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.cells = [[" "] * width for _ in range(height)]

    def write(self, x: int, y: int, text: str) -> None:
        self.cells[y][x : x + len(text)] = text

    def wire(self, route: Route) -> None:
        flat, upright = _FLAT[route.wire.kind], _UPRIGHT[route.wire.kind]
        points = route.points
        for (x1, y1), (x2, y2) in pairwise(points):
            for x in range(min(x1, x2), max(x1, x2) + 1):
                for y in range(min(y1, y2), max(y1, y2) + 1):
                    crossed = self.cells[y][x] in "=|.:+" and (x, y) not in ((x1, y1), (x2, y2))
                    sign = flat if y1 == y2 else upright
                    self.cells[y][x] = "+" if crossed and self.cells[y][x] != sign else sign
        for x, y in points[1:-1]:
            self.cells[y][x] = "+"

    def __str__(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.cells)


def _drawn(placed: Layout) -> _Canvas:
    canvas = _Canvas(placed.width, placed.height)
    for box in placed.boxes:
        edge = "+" + "-" * (box.width - 2) + "+"
        for y in range(box.y + 1, box.y + box.height - 1):
            canvas.write(box.x, y, "|" + " " * (box.width - 2) + "|")
        canvas.write(box.x, box.y, edge)
        canvas.write(box.x, box.y + box.height - 1, edge)
        canvas.write(box.x + 2, box.y, f" {box.box.name} ")
    for route in placed.routes:
        canvas.wire(route)
    for route, y, border, near in reaches(placed):
        sign = _FLAT[route.wire.kind]
        if border < near:
            canvas.write(border, y, sign * (near - border))
        else:
            canvas.write(near + 1, y, sign * (border - near))
    for _, row, x, y in cells(placed):
        for number, line in enumerate(_lines(row)):
            canvas.write(x, y + number, line)
    return canvas


def _lines(row: Row) -> list[str]:
    first, *rest = row.lines
    margin = " " * (len(row.name) + len(_GAP))
    return [f"{row.name}{_GAP}{first}".rstrip(), *(margin + line for line in rest)]


def _told(plan: Plan, width: int) -> Iterator[str]:
    joined: dict[Interface, list[tuple[Wire, Interface]]] = {}
    for wire in plan.wires:
        for near, far in (wire.ends, wire.ends[::-1]):
            joined.setdefault(near, []).append((wire, far))
    for box in plan.boxes:
        yield box.name
        column = max((2 + 2 * row.depth + len(row.name) for row in box.rows), default=0) + len(_GAP)
        for row in box.rows:
            name = "  " * (row.depth + 1) + row.name
            ends = [
                f"{_FLAT[wire.kind]} {far.netns + '/' if far.netns != box.name else ''}{far.name}"
                for wire, far in joined.get(row.interface, ())
            ]
            line = name.ljust(column)
            for word in [*row.notes, *row.addresses, *ends]:
                if len(line) + len(word) > width and line.strip():
                    yield line.rstrip()
                    line = " " * column
                line += word + _GAP
            yield line.rstrip()
