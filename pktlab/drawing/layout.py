"""Where everything in a picture is put, in cells of one character: the same places serve paper and a terminal.

The namespace in the middle of the network becomes the middle column; what hangs on it goes to its left and right, one
column further for each wire between. Nothing is left to chance, so the same topology always gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pktlab.drawing.plan import Box, Plan, Row, Wire
from pktlab.drawing.routing import Route, lanes, route, within
from pktlab.drawing.tree import Tree, trees
from pktlab.interface import Interface

_GAP = 1  # rows between two boxes of a column
_NAME_GAP, _INDENT, _PADDING = 2, 2, 2
_WIDE = 100  # cells: where namespaces that nothing joins begin a new line


@dataclass(slots=True)
class Placed:
    """A box with its place: the cell of its upper left corner, and its size with its border."""

    box: Box
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    column: int = 0
    # The cell row of each interface, counted from `y`.
    offsets: dict[Interface, int] = field(default_factory=dict)
    # Cells at the right border that wires within the box take.
    inner: int = 0


@dataclass(slots=True)
class Layout:
    """A picture: its size in cells, its boxes, and the way of each wire."""

    width: int
    height: int
    boxes: list[Placed]
    routes: list[Route]


def layout(plan: Plan, *, two_sided: bool = True) -> Layout:
    """Give everything a place; `two_sided` is false for a picture that has all to the right of its first column."""
    found = trees(plan, two_sided=two_sided)
    joined = [tree for tree in found if tree.children]
    single = [tree for tree in found if not tree.children]
    boxes: list[Placed] = []
    routes: list[Route] = []
    width = y = 0
    for tree in joined:
        part = _component(tree, plan)
        boxes += [_moved(placed, y) for placed in part.boxes]
        routes += [route.moved(0, y) for route in part.routes]
        width, y = max(width, part.width), y + part.height + _GAP
    x = height = 0
    for tree in single:
        placed, wires = _alone(tree.box, plan)
        if x and x + placed.width > max(width, _WIDE if two_sided else 0):
            x, y, height = 0, y + height + _GAP, 0
        placed.x, placed.y = x, y
        boxes.append(placed)
        routes += [each.moved(x, y) for each in wires]
        x, height = x + placed.width + 2 * _GAP, max(height, placed.height)
        width = max(width, placed.x + placed.width)
    order = {box.name: number for number, box in enumerate(plan.boxes)}
    boxes.sort(key=lambda placed: order[placed.box.name])
    bottom = max((placed.y + placed.height for placed in boxes), default=0)
    return Layout(width, max([bottom, *(y + 1 for each in routes for _, y in each.points)]), boxes, routes)


def text_width(row: Row, lines: int | None = None) -> int:
    """How many cells a row takes, or the first of its lines: indentation, name, and what stands beside it."""
    beside = max(map(len, row.lines[:lines]))
    return row.depth * _INDENT + len(row.name) + (_NAME_GAP + beside if beside else 0)


def _moved(placed: Placed, y: int) -> Placed:
    placed.y += y
    return placed


def _size(box: Box, wires: Sequence[Wire]) -> Placed:
    placed = Placed(box)
    at = 1
    for row in box.rows:
        placed.offsets[row.interface] = at
        at += len(row.lines)
    placed.height = at + 1
    own = [wire for wire in wires if wire.ends[0].netns == wire.ends[1].netns == box.name]
    spans = [sorted(placed.offsets[end] for end in wire.ends) for wire in own]
    placed.inner = 2 * (1 + max(lanes(spans), default=-1)) + 2 * bool(own)
    widest = max([len(box.name) + 2, *map(text_width, box.rows)])
    placed.width = widest + 2 * _PADDING + placed.inner
    return placed


def _alone(box: Box, plan: Plan) -> tuple[Placed, list[Route]]:
    placed = _size(box, plan.wires)
    return placed, _inside(placed, plan)


def _inside(placed: Placed, plan: Plan) -> list[Route]:
    own = [wire for wire in plan.wires if {end.netns for end in wire.ends} == {placed.box.name}]
    behind = {
        row.interface: (_PADDING + text_width(row, 1) + 1, placed.offsets[row.interface]) for row in placed.box.rows
    }
    return within(placed.width, behind, own)


def _component(tree: Tree, plan: Plan) -> Layout:
    places: dict[str, Placed] = {}
    for member in tree.members():
        placed = places[member.box.name] = _size(member.box, plan.wires)
        placed.column = member.column
    _stack(tree, places)
    top = min(placed.y for placed in places.values())
    columns = sorted({placed.column for placed in places.values()})
    for column in columns:
        mine = [placed for placed in places.values() if placed.column == column]
        width = max(placed.width for placed in mine)
        for placed in mine:
            placed.y -= top
            placed.width = width
    wires = [w for w in plan.wires if w.ends[0].netns in places and w.ends[0].netns != w.ends[1].netns]
    routes, width = route(places, wires)
    for placed in places.values():
        routes += [each.moved(placed.x, placed.y) for each in _inside(placed, plan)]
    height = max(placed.y + placed.height for placed in places.values())
    height = max([height, *(y + 1 for each in routes for _, y in each.points)])
    return Layout(width, height, list(places.values()), routes)


def _stack(tree: Tree, places: dict[str, Placed]) -> tuple[int, int]:
    """Place the boxes of a tree relative to its root, whose row towards its parent is in row 0; return the first row
    that they take and the one behind the last."""
    placed = places[tree.box.name]
    pin = placed.offsets[tree.pin] if tree.pin else 0
    placed.y = -pin
    top, bottom = -pin, placed.height - pin
    for side in (-1, 1):
        children = [child for child in tree.children if child.side == side]
        spans = [_stack(child, places) for child in children]
        wished = [placed.offsets[child.parent_pin] - pin for child in children]
        at: list[int] = []
        for (first, _), wish in zip(spans, wished, strict=True):
            free = wish if not at else at[-1] + spans[len(at) - 1][1] + _GAP - first
            at.append(free if not at else max(free, wish))
        # As one block, the children move to where their wires are shortest.
        shift = round(sum(w - a for w, a in zip(wished, at, strict=True)) / len(at)) if len(at) > 1 else 0
        for child, (first, last), row in zip(children, spans, at, strict=True):
            for member in child.members():
                places[member.box.name].y += row + shift
            top, bottom = min(top, row + shift + first), max(bottom, row + shift + last)
    return top, bottom


def cells(layout: Layout) -> Iterator[tuple[Placed, Row, int, int]]:
    """Yield each row with its box and the cell in which its text begins."""
    for placed in layout.boxes:
        for row in placed.box.rows:
            yield placed, row, placed.x + _PADDING + row.depth * _INDENT, placed.y + placed.offsets[row.interface]


def reaches(layout: Layout) -> Iterator[tuple[Route, int, int, int]]:
    """Yield, for each end of a wire between two boxes, its row, its cell on the border, and the free cell next to the
    text of its interface."""
    boxes = {placed.box.name: placed for placed in layout.boxes}
    texts = {row.interface: (x, x + text_width(row, 1) - row.depth * _INDENT) for _, row, x, _ in cells(layout)}
    for each in layout.routes:
        if each.inner:
            continue
        ends = {(boxes[end.netns].y + boxes[end.netns].offsets[end], end.netns): end for end in each.wire.ends}
        for x, y in (each.points[0], each.points[-1]):
            for end in (end for (row, _), end in ends.items() if row == y):
                placed, (begin, behind) = boxes[end.netns], texts[end]
                if x == placed.x:
                    yield each, y, x, begin - 1
                elif x == placed.x + placed.width - 1:
                    yield each, y, x, behind
